"""A model as a folder of bytes: weights, a tokenizer and a card.

A folder holds ``model.safetensors`` (float16 on disk, or 8 bits where the card says so, float32
once loaded; no pickle), ``tokenizer.json`` and ``card.json``. The card says what the model is, how
it was trained and how well it does, and holds the sha256 of the other two, checked at every load::

    {"name": "en-fr-bahdanau", "languages": ["en", "fr"],
     "architecture": "translator",   # of settings.ARCHITECTURES; where there is none: translator
     "signs": {"en": "',-."},        # what its training text is punctuated with; see data.cleaning
     "model": {...},         # its arguments
     "metrics": {"test_2016_flickr.bleu": 54.0, ...}, "signatures": {...},   # same keys, flat
     "bits": 8,              # of each number of a matrix; where there is none: 16
     "sha256": {"model.safetensors": "...", "tokenizer.json": "..."},        # written by save
     ...}                    # data, licence, config, seed, device, seconds, limits

A captioner has one language, and its card names the ``pictures`` that it was trained on
(`data.images.COLLECTIONS`).
"""

import hashlib
import json
import os
from numbers import Real
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from attnlib.data.tokenizer import Tokenizer

MODEL, TOKENIZER, CARD = "model.safetensors", "tokenizer.json", "card.json"
BITS = (16, 8)  # a number of a matrix
SCALE = ".scale"  # ends the name of the scales of a matrix of 8 bits


class ModelError(RuntimeError):
    """A model's files are missing, truncated or altered; the message says which, and what to do."""


def save(folder: Path | str, model: nn.Module, tokenizer: Tokenizer, card: dict) -> None:
    """Write a model's folder; the card gets the checksums, and is written last.

    The weights are rounded (`packed`), so measure what the card claims on what `pretrained.read`
    gives back (saving that again changes no byte), then `save` with the metrics; see `evaluation`.

    Parameters
    ----------
    folder : path
        ``attnlib/weights/NAME`` for a model to ship; made if need be.
    model : Translator, Transformer or Captioner
    tokenizer : Tokenizer
    card : dict
        Must hold ``name``, ``languages`` (source, target; of a captioner one) and ``model`` (the
        arguments that build the model); ``metrics`` and ``signatures``, where given, are flat with
        the same keys; ``bits`` are 16 unless given.

    Raises
    ------
    ValueError
        If the card lacks an entry, a metric is no number or has no signature, the bits are neither
        16 nor 8, or a weight does not fit float16.
    """
    missing = [key for key in ("name", "languages", "model") if key not in card]
    if missing:
        raise ValueError(f"the card lacks {', '.join(missing)}")
    metrics, signatures = card.get("metrics", {}), card.get("signatures", {})
    if metrics.keys() != signatures.keys():
        odd = ", ".join(sorted(metrics.keys() ^ signatures.keys()))
        raise ValueError(f"metrics and signatures must have the same keys; not in both: {odd}")
    for key, value in metrics.items():
        if not isinstance(value, Real):
            raise ValueError(f"metrics must be numbers, {key} is a {type(value).__name__}")
    weights = packed(model.state_dict(), card.get("bits", BITS[0]))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(folder / (TOKENIZER + ".part"))
    content = {
        MODEL: safetensors.torch.save(weights),
        TOKENIZER: (folder / (TOKENIZER + ".part")).read_bytes(),
    }
    checksums = {file: _sha256(data) for file, data in content.items()}
    text = json.dumps({**card, "sha256": checksums}, indent=1, ensure_ascii=False) + "\n"
    content[CARD] = text.encode("utf-8")
    for file, data in content.items():
        (folder / (file + ".part")).write_bytes(data)
        os.replace(folder / (file + ".part"), folder / file)


def read_card(folder: Path) -> dict:
    """The card of a model's folder.

    Raises
    ------
    ModelError
        If it is missing, truncated or altered.
    """
    path = folder / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        missing = {"name", "languages", "model", "sha256"} - card.keys()
        missing |= {MODEL, TOKENIZER} - card.get("sha256", {}).keys()
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing; {_remedy(path)}") from error
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{path} is truncated or altered ({error}); {_remedy(path)}") from error
    if missing:
        raise ModelError(f"{path} lacks {', '.join(sorted(missing))}; {_remedy(path)}")
    return card


def read_weights(folder: Path, card: dict) -> dict[str, Tensor]:
    """The weights in a model's folder, in float32; every file is held against the card first.

    Raises
    ------
    ModelError
        If a file is missing, truncated or altered.
    """
    for file, expected in card["sha256"].items():
        path = folder / file
        if not path.is_file():
            raise ModelError(f"{path} is missing; {_remedy(path)}")
        got = _sha256(path.read_bytes())
        if got != expected:
            raise ModelError(
                f"{path} is truncated or altered: expected sha256 {expected}, got {got}; "
                f"{_remedy(path)}"
            )
    return unpacked(safetensors.torch.load_file(folder / MODEL))


def packed(weights: dict[str, Tensor], bits: int = 16) -> dict[str, Tensor]:
    """Weights as they are stored: in float16, or matrices in 8 bits.

    A row of such a matrix is whole numbers from -127 to 127 and a scale, the largest of the row
    over 127 rounded to bfloat16: so what is unpacked and packed again is the same. Vectors and
    kernels stay in float16.

    Raises
    ------
    ValueError
        If `bits` is neither 16 nor 8, or a weight does not fit float16.

    Examples
    --------
    >>> row = {"W": torch.tensor([[0.5, -1.0, 0.003]])}
    >>> packed(row, bits=8)["W"]
    tensor([[  64, -127,    0]], dtype=torch.int8)
    >>> unpacked(packed(row, bits=8))["W"].round(decimals=2)
    tensor([[ 0.5000, -1.0000,  0.0000]])
    """
    if bits not in BITS:
        raise ValueError(f"weights are stored in 16 or 8 bits, not {bits}")
    stored = {}
    for key, value in weights.items():
        value = value.detach().cpu().contiguous()
        half = value.half()
        if not half.isfinite().all():
            raise ValueError(f"{key} holds a number that float16 cannot")
        if bits == 16 or value.dim() != 2:
            stored[key] = half
            continue
        scale = (value.abs().amax(1, keepdim=True) / 127).bfloat16()
        whole = (value / scale.float().clamp(min=1e-30)).round().clamp(-127, 127)
        stored[key], stored[key + SCALE] = whole.to(torch.int8), scale
    return stored


def unpacked(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `packed` stored, in float32."""
    return {
        key: value.float() * stored[key + SCALE].float() if key + SCALE in stored else value.float()
        for key, value in stored.items()
        if not key.endswith(SCALE)
    }


def _remedy(path: Path) -> str:
    return f"put it back (git checkout -- {path.name} in its folder), or install attnlib again"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
