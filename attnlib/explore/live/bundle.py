"""A model as a page gets it: its numbers in 8 bits, its subwords, its settings."""

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import safetensors.torch
from torch import nn

from attnlib import pretrained, storage
from attnlib.data.tokenizer import Tokenizer

MODELS = ("en-fr-transformer", "en-fr-bahdanau", "en-fr-fixed", "scenes-soft", "scenes-hard")
# Settings of a model of one's own that `recurrent.mjs` and `transformer.mjs` compute.
COMPUTED: dict[str, dict[str, tuple]] = {
    "transformer": {
        "norm": ("before",),
        "positions": ("sinusoidal",),
        "window": ("everywhere",),
    },
    "translator": {
        "score": ("additive", None),
        "window": ("everywhere",),
        "selection": ("soft",),
        "timing": ("before",),
        "feeding": ("context",),
        "fixed": ("every_step",),
    },
}
PART = 512 * 1024  # bytes of a model that a page fetches at a time
BITS = 8  # of each number of a matrix: a quarter of float32, and half of what Python ships
UNUSED = ("detector.", "decoder.attention.selection.")  # they serve training alone


@dataclass(frozen=True)
class Bundle:
    """What a page needs to run a model."""

    name: str
    weights: bytes  # a safetensors file
    about: dict  # architecture and sizes, signs, and what its subwords are called
    subwords: str  # JSON: the vocabulary and its merges, which several models may share

    @property
    def parts(self) -> int:
        """How many scripts of `PART` bytes the page fetches."""
        return math.ceil(len(self.weights) / PART)


def bundle(name: str) -> Bundle:
    """Pack one of `MODELS`, or a translator of one's own by its folder.

    Raises
    ------
    ValueError
        If there is no model of that name that runs in a page, or it has a setting that no page
        computes.
    """
    if name in MODELS:
        return _packed(name)
    if not Path(name).is_dir():
        raise ValueError(f"no model {name!r} runs in a page: one of {', '.join(MODELS)}")
    card = pretrained.card(name)
    kind = card.get("architecture", "translator")
    if kind not in COMPUTED:
        raise ValueError(f"a {kind} of one's own runs in no page: one of {', '.join(COMPUTED)}")
    for setting, known in COMPUTED[kind].items():
        value = card["model"].get(setting, known[0])
        if value not in known:
            ours = " or ".join(map(str, known))
            raise ValueError(f"{name} runs in no page: its {setting} is {value}, wanted {ours}")
    return _pack(name)


@cache
def _packed(name: str) -> Bundle:
    return _pack(name)


def _pack(name: str) -> Bundle:
    found = pretrained.load(name)
    subwords = _subwords(found.tokenizer)
    called = hashlib.sha256(subwords.encode("utf-8")).hexdigest()[:12]
    return Bundle(name, _weights(found), _about(found) | {"subwords": called}, subwords)


def in_the_page(name: str) -> pretrained.Pretrained:
    """The model in Python with the numbers that its page has: what both say can be compared."""
    found = pretrained.load(name)
    kept = {k: v for k, v in found.model.state_dict().items() if k.startswith(UNUSED)}
    found.model.load_state_dict(
        storage.unpacked(safetensors.torch.load(bundle(name).weights)) | kept
    )
    return found


def _weights(found: pretrained.Pretrained) -> bytes:
    tensors = {k: v for k, v in found.model.state_dict().items() if not k.startswith(UNUSED)}
    return safetensors.torch.save(storage.packed(tensors, BITS))


def _about(found: pretrained.Pretrained) -> dict:
    model, card = found.card["model"], found.card
    about = {
        "kind": card.get("architecture", "translator"),
        "languages": card["languages"],
        "size": len(found.tokenizer),
    }
    if about["kind"] == "captioner":
        layers = found.model.modules()
        strides = [each.stride[0] for each in layers if isinstance(each, nn.Conv2d)]
        return about | {
            "side": found.side,
            "strides": strides,
            "selection": model["selection"],
            "most": pretrained.MAX_CAPTION,
        }
    if about["kind"] == "transformer":
        about |= {"heads": model["heads"], "layers": model["layers"]}
    signs = card.get("signs", {}).get(card["languages"][0], found.tokenizer.characters)
    limits = {"most": pretrained.MAX_SOURCE - 1, "longest": pretrained.LONGEST}
    return about | {"signs": "".join(sorted(signs)), **limits}


def _subwords(tokenizer: Tokenizer) -> str:
    """The vocabulary and its merges, as the library `tokenizers` writes them."""
    content = json.loads(tokenizer.to_json())
    kept = {"model": {name: content["model"][name] for name in ("vocab", "merges")}}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
