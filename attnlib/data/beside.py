"""Pictures with a question that relates two things: which colour stands beside the white one?

Four things stand in two rows of two, one in each quarter of the picture, anywhere in it. One is
white; the others have three colours of five, and all have any shape. The answer is the colour of
the thing that stands *beside* the white one: in its row. What stands above or below it, or across,
has another colour, so who knows the colours of a picture but cannot relate two things is right one
time in three; who knows nothing, one in five. A second question needs one thing alone: in which
quarter is the white one? Drawn by `scenes.draw`; the truth comes with it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from attnlib.data import scenes
from attnlib.data.grammar import Thing

SPLITS = ("train", "val", "test")
ASKING = "white"
COLOURS = tuple(colour for colour in scenes.COLOURS if colour != ASKING)  # what is answered
NOUNS = ("circle", "ring", "square", "triangle", "cross", "star")
ROLES = ("asking", "beside", "below", "across")  # of the things, in this order; below: or above
RADII = 6.0, 10.0  # pixels
REACH = 1.34  # no part of a thing is farther from its centre, in radii
HALF = scenes.SIZE / 2


@dataclass(frozen=True)
class Pictures:
    """N pictures: images uint8 (N, 3, 64, 64), answers, and what is where.

    An answer is a number of `COLOURS`; a quarter is 0 to 3, row by row, that of the white thing; a
    pixel of `shown` is a number of `ROLES`, or -1.
    """

    images: Tensor
    answers: Tensor  # (N,)
    quarters: Tensor  # (N,)
    shown: Tensor  # (N, 64, 64), int8

    def __len__(self):
        return len(self.answers)

    def __getitem__(self, rows) -> "Pictures":
        return Pictures(*(x[rows] for x in (self.images, self.answers, self.quarters, self.shown)))

    @property
    def masks(self) -> Tensor:
        """The visible pixels of each thing, in the order of `ROLES`: bool (N, 4, 64, 64)."""
        return self.shown.unsqueeze(1) == torch.arange(len(ROLES)).reshape(1, -1, 1, 1)


def things(split: str, number: int) -> list[Thing]:
    """The four things of a picture, in the order of `ROLES`; from the same numbers the same.

    Raises
    ------
    ValueError
        If the split is unknown or the number negative.

    Examples
    --------
    >>> asking, beside, below, across = things("train", 0)
    >>> asking.colour, (asking.x < 32) != (beside.x < 32), (asking.y < 32) == (beside.y < 32)
    ('white', True, True)
    """
    rng = _rng(split, number, 0)
    column, row = (int(rng.integers(2)) for _ in "xy")
    quarters = [(column, row), (1 - column, row), (column, 1 - row), (1 - column, 1 - row)]
    colours = [ASKING, *(COLOURS[i] for i in rng.permutation(len(COLOURS))[:3])]
    found = []
    for (across, down), colour in zip(quarters, colours, strict=True):
        radius = float(rng.uniform(*RADII))
        x, y = (float(rng.uniform(REACH * radius, HALF - REACH * radius)) for _ in "xy")
        found.append(
            Thing(
                NOUNS[int(rng.integers(len(NOUNS)))],
                HALF * across + x,
                HALF * down + y,
                radius=radius,
                colour=colour,
                texture=("", *scenes.TEXTURES)[int(rng.integers(3))],
                angle=float(rng.uniform(-scenes.TURN, scenes.TURN)),
            )
        )
    return found


def pictures(split: str, numbers: Iterable[int]) -> Pictures:
    """The pictures of these numbers; no picture depends on another. Errors as for `things`.

    >>> few = pictures("test", range(3))
    >>> few.images.shape, bool(few.masks.any(-1).any(-1).all())
    (torch.Size([3, 3, 64, 64]), True)
    """
    images, answers, quarters, shown = [], [], [], []
    for number in numbers:
        four = things(split, number)
        image, masks = scenes.draw(four, _rng(split, number, 1))
        images.append(torch.from_numpy(image).permute(2, 0, 1))
        answers.append(COLOURS.index(four[1].colour))
        quarters.append(2 * (four[0].y > HALF) + (four[0].x > HALF))
        shown.append(torch.from_numpy(np.where(masks.any(0), masks.argmax(0), -1).astype(np.int8)))
    return Pictures(
        torch.stack(images), torch.tensor(answers), torch.tensor(quarters), torch.stack(shown)
    )


def shuffled(images: Tensor, order: Tensor, patch: int = 8) -> Tensor:
    """The same pictures, cut into square patches that change places: (N, C, H, W).

    Patch `order[k]` comes to place k; row by row, a permutation of all.

    Raises
    ------
    ValueError
        If `order` does not name each patch once.

    Examples
    --------
    >>> shuffled(torch.tensor([[[[1, 2], [3, 4]]]]), torch.tensor([3, 1, 2, 0]), patch=1)
    tensor([[[[4, 2],
              [3, 1]]]])
    """
    N, C, H, W = images.shape
    rows, columns = H // patch, W // patch
    if order.sort().values.tolist() != list(range(rows * columns)):
        raise ValueError(f"order must name each of {rows * columns} patches once, got {order}")
    cut = images.reshape(N, C, rows, patch, columns, patch).permute(0, 2, 4, 1, 3, 5)
    moved = cut.flatten(1, 2)[:, order].unflatten(1, (rows, columns))
    return moved.permute(0, 3, 1, 4, 2, 5).reshape(images.shape)


def _rng(split: str, number: int, what: int) -> np.random.Generator:
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: one of {', '.join(SPLITS)}")
    if number < 0:
        raise ValueError(f"pictures are numbered from 0, got {number}")
    return np.random.default_rng([SPLITS.index(split), number, what])
