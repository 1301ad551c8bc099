"""Lists whose answer is a list of places in them: numbers to sort, points to put a fence around.

`numbers` are whole, from 1 to 100, none twice; the answer is their places in ascending order.
`hulls` are points in a square; the answer is the corners of their convex hull, counterclockwise,
from the lowest point and back to it. Vinyals et al. (2015, section 3.1) start at the corner that
comes first in the input; where ours starts does not depend on the order of the input, so that the
right answer is the same set of points, in the same order, however the list is shuffled.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attnlib.data.toy import SPLITS, split_of
from attnlib.masks import padding_mask

LARGEST = 100  # number
Thing = tuple[float, ...]  # a number, or the two of a point


@dataclass(frozen=True)
class Lists:
    """N lists of things, and the places to point to.

    things (N, S, F), from 0 to 1, 0 where there is none; lengths (N,), how many things; targets
    (N, T), places from 0, 0 after the last; steps (N,), how many places.
    """

    things: Tensor
    lengths: Tensor
    targets: Tensor
    steps: Tensor

    def __len__(self):
        return len(self.lengths)

    def __getitem__(self, rows) -> "Lists":
        """Some of them, without the columns that are padding in all of them."""
        lengths, steps = self.lengths[rows], self.steps[rows]
        S, T = int(lengths.max()), int(steps.max())
        return Lists(self.things[rows, :S], lengths, self.targets[rows, :T], steps)

    @property
    def mask(self) -> Tensor:
        """True at things, (N, S)."""
        return padding_mask(self.lengths, self.things.shape[1])

    @property
    def asked(self) -> Tensor:
        """True at places to point to, (N, T)."""
        return padding_mask(self.steps, self.targets.shape[1])

    def shuffled(self, generator: torch.Generator) -> "Lists":
        """The same lists in another order, and the places where the things are now."""
        keys = torch.rand(self.mask.shape, generator=generator).masked_fill(~self.mask, 2.0)
        order = keys.argsort(1)  # (N, S): which thing comes at each place; padding stays last
        things = self.things.gather(1, order.unsqueeze(-1).expand_as(self.things))
        targets = order.argsort(1).gather(1, self.targets)
        return Lists(things, self.lengths, targets * self.asked, self.steps)


def numbers(
    rng: random.Random, count: int, shortest: int = 5, longest: int = 10, split: str = "train"
) -> Lists:
    """Lists of numbers to sort; things are hundredths.

    Parameters
    ----------
    rng : random.Random
        Where chance comes from; the same seed gives the same lists.
    count : int
        How many lists, at least 1.
    shortest, longest : int
        The length is uniform between the two, both included; at least 3.
    split : str
        ``train``, ``val``, ``test`` or ``all``. Lists of the same things are of one split, in
        whatever order (`toy.split_of`).

    Raises
    ------
    ValueError
        If a number is out of its range, or the split is unknown.

    Examples
    --------
    >>> one = numbers(random.Random(0), count=1, shortest=4, longest=4)
    >>> (one.things[0, :, 0] * LARGEST).round().int().tolist(), one.targets[0].tolist()
    ([98, 54, 6, 34], [2, 3, 1, 0])
    """
    if longest > LARGEST:
        raise ValueError(f"there are {LARGEST} numbers, got a list of {longest}")

    def draw(size: int) -> list[Thing]:
        return [(number / LARGEST,) for number in rng.sample(range(1, LARGEST + 1), size)]

    def ascending(things: Sequence[Thing]) -> list[int]:
        return sorted(range(len(things)), key=lambda i: things[i])

    return _lists(rng, count, (shortest, longest), split, draw, ascending)


def hulls(
    rng: random.Random, count: int, shortest: int = 5, longest: int = 10, split: str = "train"
) -> Lists:
    """Points, uniform in a square, and the corners of their hull; arguments as of `numbers`.

    >>> one = hulls(random.Random(0), count=1, shortest=4, longest=4)
    >>> one.things[0].mul(100).round().int().tolist(), one.targets[0].tolist()
    ([[76, 42], [26, 51], [40, 78], [30, 48]], [0, 2, 1, 3, 0])
    """

    def draw(size: int) -> list[Thing]:
        return [(rng.random(), rng.random()) for _ in range(size)]

    return _lists(rng, count, (shortest, longest), split, draw, hull)


def hull(points: Sequence[Thing]) -> list[int]:
    """The corners of the convex hull, counterclockwise from the lowest point and back to it.

    Raises
    ------
    ImportError
        If SciPy is missing.

    Examples
    --------
    >>> hull([(0.5, 0.4), (1.0, 1.0), (0.0, 0.9), (0.4, 0.0)])
    [3, 1, 2, 3]
    """
    from scipy.spatial import ConvexHull

    corners = ConvexHull(points).vertices.tolist()  # counterclockwise
    lowest = corners.index(min(corners, key=lambda i: (points[i][1], points[i][0])))
    return [*corners[lowest:], *corners[: lowest + 1]]


def enclosed(points: Sequence[Thing]) -> float:
    """The area of the convex hull; 0 of fewer than three points, or if they lie in a line.

    >>> enclosed([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.1, 0.1)])
    0.5
    """
    from scipy.spatial import ConvexHull, QhullError

    if len(points) < 3:
        return 0.0
    try:
        return float(ConvexHull(points).volume)  # in two dimensions the area
    except QhullError:
        return 0.0


def _lists(
    rng: random.Random,
    count: int,
    lengths: tuple[int, int],
    split: str,
    draw: Callable[[int], list[Thing]],
    answer: Callable[[Sequence[Thing]], list[int]],
) -> Lists:
    """Draw until there are so many lists of the split."""
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if not 3 <= lengths[0] <= lengths[1]:
        raise ValueError(f"need 3 <= shortest <= longest, got {lengths[0]} and {lengths[1]}")
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: one of {', '.join(SPLITS)}")
    found: list[list[Thing]] = []
    while len(found) < count:
        things = draw(rng.randint(*lengths))
        if split in ("all", split_of([str(thing) for thing in sorted(things)])):
            found.append(things)
    places = [answer(things) for things in found]
    values = torch.zeros(count, max(map(len, found)), len(found[0][0]))
    targets = torch.zeros(count, max(map(len, places)), dtype=torch.long)
    for n, things in enumerate(found):
        values[n, : len(things)] = torch.tensor(things)
        targets[n, : len(places[n])] = torch.tensor(places[n])
    return Lists(
        values,
        torch.tensor([len(things) for things in found]),
        targets,
        torch.tensor([len(each) for each in places]),
    )
