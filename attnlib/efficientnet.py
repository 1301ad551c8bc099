r"""EfficientNet-Lite0 as an image encoder, with the weights that it got from ImageNet.

The network of Tan and Le (2019, table 1, "EfficientNet-B0") in the form for telephones: no squeeze
and excitation, and rectifiers that stop at 6 (Liu 2020). Its weights lie beside attnlib in
``weights/efficientnet-lite0``, 8 bits a number; ``book/results/efficientnet.py`` made them from the
public ones, without the layers that name ImageNet's 1,000 classes. Batch normalization is folded
into each convolution: with stored statistics it is a scale and a shift a channel.

Shapes: images (B, 3, H, W), red, green and blue in [0, 1]; annotations (B, S, D), row by row.
"""

import functools
import json
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from attnlib.storage import MODEL, read_weights
from attnlib.vision import Grid, check_images

FOLDER = Path(__file__).parent / "weights" / "efficientnet-lite0"
ABOUT = "about.json"  # where the weights are from, and their checksum


class Stage(NamedTuple):
    """Blocks in a row, of which the first strides."""

    blocks: int
    kernel: int
    stride: int
    expand: int
    channels: int


STEM = 32  # channels of the first convolution, which halves the image
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
LAST = {16: 5, 32: 7}  # stages up to the last annotations with this many pixels a cell
MEAN, STD = 127 / 255, 128 / 255  # of red, green and blue, as the weights expect


class EfficientNetLite(Grid, nn.Module):
    """The feature map of EfficientNet-Lite0 as annotations.

    Parameters
    ----------
    size : int
        Height and width, in pixels, of the images it is meant for; others may be encoded too.
    stride : int
        Pixels a side of a cell: 16, the map of 112 channels, or 32, the last map, of 320.

    Raises
    ------
    ValueError
        If `stride` is neither, or does not divide `size`; when called, if the images do not fit.

    Examples
    --------
    >>> import torch
    >>> encoder = EfficientNetLite(size=224)
    >>> encoder(torch.rand(2, 3, 224, 224)).shape, encoder.cells(224, 224)
    (torch.Size([2, 49, 320]), (7, 7))
    """

    def __init__(self, size: int = 224, stride: int = 32):
        super().__init__()
        if stride not in LAST:
            raise ValueError(f"a cell may be {' or '.join(map(str, LAST))} pixels a side, {stride}")
        self.size, self.stride = size, stride
        self.cells(size, size)
        channels = STEM
        self.stem = convolution(3, STEM, kernel=3, stride=2)
        blocks = []
        for stage in STAGES[: LAST[stride]]:
            for number in range(stage.blocks):
                step = 1 if number else stage.stride
                blocks.append(
                    InvertedResidual(channels, stage.channels, stage.kernel, step, stage.expand)
                )
                channels = stage.channels
        self.blocks = nn.Sequential(*blocks)
        self.annotation_dim = channels

    def forward(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, H, W) in [0, 1]: annotations (B, S, D), the cells row by row."""
        check_images(images)
        self.cells(*images.shape[2:])
        maps = self.blocks(self.stem((images - MEAN) / STD))  # (B, D, h, w)
        return maps.flatten(2).transpose(1, 2)


class InvertedResidual(nn.Module):
    """An inverted bottleneck (Sandler et al. 2018, fig. 3d): widen, look around, narrow, add."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expand: int):
        super().__init__()
        wide = channels * expand
        self.widen = convolution(channels, wide) if expand > 1 else nn.Identity()
        self.look = convolution(wide, wide, kernel, stride, groups=wide)
        self.narrow = nn.Conv2d(wide, out, 1)
        self.adds = stride == 1 and channels == out

    def forward(self, maps: Tensor) -> Tensor:
        found = self.narrow(self.look(self.widen(maps)))
        return maps + found if self.adds else found


def convolution(channels: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1):
    """A convolution and its rectifier, padded as TensorFlow does: an odd zero goes to the end."""
    before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
    return nn.Sequential(
        nn.ZeroPad2d((before, after, before, after)),
        nn.Conv2d(channels, out, kernel, stride, groups=groups),
        nn.ReLU6(),
    )


def pretrained(size: int = 224, stride: int = 32) -> EfficientNetLite:
    """EfficientNet-Lite0 as ImageNet taught it, frozen.

    Raises
    ------
    ModelError
        If the file of its weights is missing, truncated or altered.

    Examples
    --------
    >>> encoder = pretrained(224, stride=16)
    >>> encoder.annotation_dim, encoder.cells(224, 224)
    (112, (14, 14))
    """
    encoder = EfficientNetLite(size, stride)
    stored, own = _weights(), encoder.state_dict()
    encoder.load_state_dict({name: stored[name].view_as(value) for name, value in own.items()})
    return encoder.requires_grad_(False).eval()


def checksum() -> str:
    """The sha256 of the file of weights: what was computed with other ones is not the same."""
    return json.loads((FOLDER / ABOUT).read_text("utf-8"))["sha256"][MODEL]


@functools.cache
def _weights() -> dict[str, Tensor]:
    """What is stored, in float32, kernels as matrices: a row a channel."""
    return read_weights(FOLDER, json.loads((FOLDER / ABOUT).read_text("utf-8")))
