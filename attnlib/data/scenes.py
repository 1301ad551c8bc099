"""Scenes drawn by a seed: shapes or digits with their masks and true captions, no download.

A photograph comes without the truth about which pixels a word speaks of; here it is known, so
attention over an image can be marked right or wrong. A `Scenes` is an endless sequence: sample i is
a function of split, style, seed and i, and of nothing else; only the rounding of a pixel may differ
between machines. It draws one to four things over a cluttered background, from back to front, so
that they may hide each other in part, and takes its captions from `attnlib.data.grammar`.

Places are in pixels, x to the right and y down, and the image spans 0 to `SIZE` both ways: the
centre of the pixel in row 0 and column 0 is at (0.5, 0.5). Angles are in degrees, clockwise.
"""

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, starmap
from math import hypot, isfinite
from typing import NamedTuple

import numpy as np

from attnlib.data.grammar import Caption, Grammar, Thing

SIZE = 64  # pixels a side
SPLITS = ("train", "val", "test", "held_out")
STYLES = ("shapes", "digits")
MARGIN = 8.0  # pixels by which centres must differ before one thing is left of or above another
VISIBLE = 0.5  # at least this share of a thing's pixels is in front of everything else
MOST = 4  # things in a scene
ALIKE = 0.35  # share of scenes of two or more that are given two of one colour and noun
CLOSE = 0.55  # centres are at least this far apart, in sums of what two things reach to
TURN = 25.0  # degrees to either side that a shape may be turned

COLOURS = {  # red, green, blue in 0 to 255; also apart for colour-blind readers
    "red": (200, 55, 42),
    "green": (25, 190, 118),
    "blue": (30, 95, 250),
    "yellow": (248, 208, 48),
    "purple": (166, 73, 170),
    "white": (245, 245, 245),
}
SIZES = {"small": (6.0, 7.0), "large": (11.0, 13.0)}  # radius in pixels, uniform between the two
TEXTURES = ("striped", "dotted")  # a thing with neither is plain, which no caption says
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


# Shapes: distances to an outline ----------------------------------------------------------------
# Each takes coordinates u, v around the centre (v down) and a radius, and gives the distance of a
# point to the outline, in pixels, negative inside. Areas are alike at equal radius: 2.3 to 3.2 r^2.


def _circle(u, v, r):
    return np.hypot(u, v) - r


def _ring(u, v, r):
    return np.abs(np.hypot(u, v) - 0.8 * r) - 0.29 * r


def _square(u, v, r):
    return np.maximum(np.abs(u), np.abs(v)) - 0.89 * r


def _cross(u, v, r):
    u, v = np.abs(u), np.abs(v)
    return np.maximum(np.maximum(u, v) - 1.1 * r, np.minimum(u, v) - 0.38 * r)


def _triangle(u, v, r):
    return np.maximum(v, 0.8660254 * np.abs(u) - 0.5 * v) - 0.67 * r


def _star(u, v, r):
    tip, notch = 1.32 * r, 0.6 * r
    fifth = np.pi / 5
    turn = np.arctan2(u, -v)  # from the upper tip; every half tip looks alike
    turn = np.abs((turn + fifth) % (2 * fifth) - fifth)
    edge = np.array([notch * np.cos(fifth) - tip, notch * np.sin(fifth)])
    out = np.array([edge[1], -edge[0]]) / np.hypot(*edge)
    far = np.hypot(u, v)
    return (far * np.cos(turn) - tip) * out[0] + far * np.sin(turn) * out[1]


class _Shape(NamedTuple):
    plural: str
    distance: Callable
    reach: float  # no part is farther from the centre, in radii


_SHAPES = {
    "circle": _Shape("circles", _circle, 1.0),
    "ring": _Shape("rings", _ring, 1.1),
    "square": _Shape("squares", _square, 1.26),
    "triangle": _Shape("triangles", _triangle, 1.34),
    "cross": _Shape("crosses", _cross, 1.17),
    "star": _Shape("stars", _star, 1.32),
}
_DIGIT_REACH = 1.25  # to each side
_RGB = {name: np.array(colour, dtype=np.float32) for name, colour in COLOURS.items()}
_GRID = ((np.arange(SIZE, dtype=np.float32) + 0.5) / SIZE - 0.5)[None]  # of the image, about 0
_ONES = np.ones_like(_GRID)
HELD_OUT = frozenset(  # (colour, noun) that no scene of train, val or test has
    [
        *zip(COLOURS, ("star", "circle", "cross", "ring", "triangle", "square")),
        *((colour, noun) for noun, colour in zip(DIGITS, [*COLOURS, *COLOURS])),
    ]
)


# Drawing ----------------------------------------------------------------------------------------


def draw(
    things: Sequence[Thing], rng: np.random.Generator | int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw things, the first at the back, the last in front.

    Chance decides background, noise and a slight shade of each thing, drawn in the order of the
    things: the same `rng` with other things gives the same background, and a thing that keeps its
    place in the order keeps its shade. Nothing here asks that a thing be seen: edit a scene and
    hide what you like.

    Parameters
    ----------
    things : sequence of Thing
        Nouns are shapes or digits, even mixed; `Thing.size` has no say, `Thing.radius` has.
    rng : numpy.random.Generator or int
        A generator, which is used up a little, or a seed; `Scenes.rng` gives that of a scene.

    Returns
    -------
    image : uint8 array of shape (SIZE, SIZE, 3)
    masks : bool array of shape (len(things), SIZE, SIZE)
        The visible pixels of each thing: those that it covers by half or more, and no thing in
        front of it does. A ring has a hole, a digit is its ink.

    Raises
    ------
    ValueError
        If a thing has an unknown noun, colour or texture, a radius that is not between 0 and SIZE,
        a centre outside the image, or a digit whose `image` shows another.

    Examples
    --------
    >>> image, masks = draw([Thing("circle", x=32, y=32, radius=12, colour="red")])
    >>> image.shape, int(masks.sum())
    ((64, 64, 3), 448)
    """
    for thing in things:
        _refuse(thing)
    covers = [_cover(thing) for thing in things]
    return _draw(things, covers, np.random.default_rng(rng)), _visible(covers)


def put(text: str, x: float, y: float, angle: float = 0.0) -> Thing:
    """A thing at a place, from what a caption would call it, of the size that it says.

    Its radius is the middle one of its size (a large thing with the radius of a small one would
    make false captions true). A digit is the first picture of it in the test split.

    Parameters
    ----------
    text : str
        One thing with size and colour, and texture if it has one: "a small dotted red ring".
    x, y : float
        Its centre in pixels, y down.
    angle : float
        In degrees, clockwise; digits are not turned.

    Raises
    ------
    ValueError
        If the text is not of the grammar, says more than one thing, or no size or colour.

    Examples
    --------
    >>> ring = put("a small dotted red ring", x=20, y=30)
    >>> ring.noun, ring.radius
    ('ring', 6.5)
    >>> image, masks = draw([ring, put("a large white star", x=44, y=30)])
    """
    style = "digits" if text.lower().rstrip(". ").endswith(DIGITS) else "shapes"
    statement = _grammar(style).parse(text)
    phrase = statement.phrases[0]
    if statement.relations or phrase.number:
        raise ValueError(f"{text!r} is more than one thing: draw them one by one")
    for kind, known in (("size", SIZES), ("colour", COLOURS)):
        if not getattr(phrase, kind):
            raise ValueError(f"{text!r} says no {kind}: one of {', '.join(known)}")
    return Thing(
        phrase.noun,
        x,
        y,
        radius=sum(SIZES[phrase.size]) / 2,
        colour=phrase.colour,
        size=phrase.size,
        texture=phrase.texture,
        angle=angle,
        image=_pictures("test")[phrase.noun][0] if style == "digits" else -1,
    )


def _refuse(thing: Thing) -> None:
    """Raise a ValueError for a thing that cannot be drawn."""
    if thing.noun not in _SHAPES and thing.noun not in DIGITS:
        raise ValueError(f"unknown noun {thing.noun!r}: one of {', '.join((*_SHAPES, *DIGITS))}")
    if thing.colour not in COLOURS:
        raise ValueError(f"unknown colour {thing.colour!r}: one of {', '.join(COLOURS)}")
    if thing.texture and thing.texture not in TEXTURES:
        raise ValueError(f"unknown texture {thing.texture!r}: one of {', '.join(TEXTURES)}, or ''")
    if not 0 < thing.radius <= SIZE:
        raise ValueError(f"radius must be more than 0 and at most {SIZE}, got {thing.radius}")
    if not isfinite(thing.angle):
        raise ValueError(f"angle must be a number of degrees, got {thing.angle}")
    if not (0 <= thing.x <= SIZE and 0 <= thing.y <= SIZE):
        raise ValueError(f"centre ({thing.x}, {thing.y}) is outside the image, 0 to {SIZE}")
    if thing.noun in DIGITS:
        digit = DIGITS.index(thing.noun)
        if thing.image not in range(len(_digits()[1])) or _digits()[1][thing.image] != digit:
            raise ValueError(f"image {thing.image} does not show a {thing.noun}")


def _clip(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """``np.clip``, which takes longer than these two on small arrays."""
    return np.minimum(np.maximum(x, low), high)


class _Cover(NamedTuple):
    """Where a thing is: a patch of the image, how far it covers each pixel, how bright it is."""

    patch: tuple[slice, slice]
    alpha: np.ndarray  # (h, w), 0 to 1
    bright: np.ndarray  # (h, w), 1 or less at the rim and in the texture


def _cover(thing: Thing) -> _Cover:
    """The pixels of one thing, whatever its colour."""
    shape = _SHAPES.get(thing.noun)
    reach = thing.radius * _reach(thing.noun) + 1
    columns, rows = (
        range(max(0, int(centre - reach)), min(SIZE, int(centre + reach) + 1))
        for centre in (thing.x, thing.y)
    )
    patch = slice(rows.start, rows.stop), slice(columns.start, columns.stop)
    x = np.arange(columns.start, columns.stop) + (0.5 - thing.x)
    y = np.arange(rows.start, rows.stop)[:, None] + (0.5 - thing.y)
    if shape is None:
        ink = _digits()[0][thing.image]
        ink = _spread(y[:, 0], thing.radius) @ ink @ _spread(x, thing.radius).T
        return _Cover(patch, _clip(2.5 * ink - 0.5, 0, 1), _clip(1.5 * ink, 0.4, 1))
    cos, sin = np.cos(np.radians(thing.angle)), np.sin(np.radians(thing.angle))
    u, v = cos * x + sin * y, cos * y - sin * x
    distance = shape.distance(u, v, thing.radius)
    alpha = _clip(0.5 - distance, 0, 1)
    bright = _clip(-distance - 0.3, 0.6, 1)  # a dark rim sets equal colours apart
    if thing.texture:
        bright = np.minimum(bright, _texture(thing.texture, u, v))
    return _Cover(patch, alpha, bright)


def _texture(name: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Dark stripes or dots, the same width on small things and large; (h, w), 0.4 to 1."""
    if name == "striped":
        return _clip(0.9 + np.cos(v * (2 * np.pi / 4.2)), 0.45, 1)
    wave = np.cos(u * (2 * np.pi / 4)) + np.cos(v * (2 * np.pi / 4))
    return _clip(1.7 - wave, 0.4, 1)


def _spread(offsets: np.ndarray, radius: float) -> np.ndarray:
    """Linear interpolation of 8 cells, the outer ones a radius from the middle: (n, 8)."""
    place = offsets * (3.5 / radius) + 3.5  # in cells, 0 the centre of the first
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(8)))


def backdrop(
    rng: np.random.Generator | int = 0, things: int = MOST
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What chance decides of a picture: see `draw`.

    Returns
    -------
    background : float32 array of shape (SIZE, SIZE, 3)
    noise : int8 array of shape (SIZE, SIZE, 3)
        Added at the end.
    shades : float32 array of shape (things, 3)
        By what the colour of each thing is multiplied.

    Examples
    --------
    >>> background, noise, shades = backdrop(7, things=2)
    >>> image, _ = draw([], 7)
    >>> bool((image == np.clip(background + noise, 0, 255).astype(np.uint8)).all())
    True
    """
    rng = np.random.default_rng(rng)
    background, noise = _background(rng), rng.integers(-9, 10, (SIZE, SIZE, 3), dtype=np.int8)
    chance = rng.random((things, 4), dtype=np.float32)
    return background, noise, 0.91 + 0.12 * chance[:, :1] + 0.04 * chance[:, 1:]


def _draw(things, covers, rng) -> np.ndarray:
    """The image of `draw`, of things whose pixels are known."""
    image, noise, shades = backdrop(rng, len(things))
    for thing, cover, shade in zip(things, covers, shades):
        below = image[cover.patch]
        colour = _RGB[thing.colour] * shade
        below += cover.alpha[..., None] * (cover.bright[..., None] * colour - below)
    image += noise
    return _clip(image, 0, 255).astype(np.uint8)


def _visible(covers: Sequence[_Cover]) -> np.ndarray:
    """The pixels of each thing that no later one covers: (n, SIZE, SIZE)."""
    masks = np.zeros((len(covers), SIZE, SIZE), dtype=bool)
    for i, cover in enumerate(covers):
        solid = cover.alpha >= 0.5
        masks[(slice(0, i), *cover.patch)] &= ~solid
        masks[(i, *cover.patch)] = solid
    return masks


def _background(rng: np.random.Generator) -> np.ndarray:
    """Grey with a gradient, soft blobs and lines, all faint; float32 (SIZE, SIZE, 3)."""
    blobs, lines = 4, 3

    def uniform(low, high, *shape):
        return low + (high - low) * rng.random(shape, dtype=np.float32)

    # gradient and blobs: a sum of terms, each a function of the row, one of the column, a colour
    tint = uniform(60, 84) + uniform(-8, 8, 1, 3)
    slopes = uniform(-22, 22, 2, 1) + uniform(-6, 6, 2, 3)
    spots = uniform(-24, 24, blobs, 1) + uniform(-10, 10, blobs, 3)
    colours = np.concatenate([tint, slopes, spots])  # (terms, 3)
    places, widths = uniform(-0.6, 0.6, 2, blobs, 1), uniform(0.06, 0.2, 2, blobs, 1)
    bumps = np.exp(-(((_GRID - places) / widths) ** 2))  # (2, blobs, SIZE)
    across = np.concatenate([_ONES, _GRID, _ONES, bumps[0]])  # (terms, SIZE)
    down = np.concatenate([_ONES, _ONES, _GRID, bumps[1]])
    columns = across[:, :, None] * colours[:, None]  # (terms, SIZE, 3)
    image = (down.T @ columns.reshape(len(colours), -1)).reshape(SIZE, SIZE, 3)
    turns, offsets = uniform(0, np.pi, lines, 1, 1), uniform(-0.4, 0.4, lines, 1, 1)
    distance = np.abs(np.cos(turns) * _GRID + (np.sin(turns) * _GRID.T - offsets))
    near = _clip(1.2 - SIZE * distance, 0, 1)  # (lines, SIZE, SIZE)
    image += (uniform(-20, 20, lines) @ near.reshape(lines, -1)).reshape(SIZE, SIZE, 1)
    return image


# Digits: scikit-learn's pictures -------------------------------------------------------------


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Ink (1797, 8, 8), 0 to 1, and the digit that each shows."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError("digits need scikit-learn: pip install scikit-learn") from error
    data = load_digits()
    return data.images / 16, data.target


# held_out shows the pictures of test: only the combination is new
_PICTURES = {"train": (0, 1257), "val": (1257, 1437), "test": (1437, 1797)}


@cache
def _pictures(split: str) -> dict[str, tuple[int, ...]]:
    """The pictures of each digit that a split may show.

    The file is cut in its own order: what one person wrote stands together there, so most of it
    falls on one side.
    """
    first, last = _PICTURES["test" if split == "held_out" else split]
    target = _digits()[1][first:last]
    return {
        noun: tuple(int(i) + first for i in np.flatnonzero(target == digit))
        for digit, noun in enumerate(DIGITS)
    }


# Scenes -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """A scene: image (H, W, 3), masks (n, H, W), its n things from back to front, its captions."""

    image: np.ndarray
    masks: np.ndarray
    things: tuple[Thing, ...]
    captions: tuple[Caption, ...]


@cache
def _grammar(style: str) -> Grammar:
    plurals = {noun: shape.plural for noun, shape in _SHAPES.items()}
    if style == "digits":
        plurals = {noun: noun + ("es" if noun == "six" else "s") for noun in DIGITS}
    return Grammar(
        plurals,
        colours=tuple(COLOURS),
        sizes=tuple(SIZES),
        textures=TEXTURES if style == "shapes" else (),
        margin=MARGIN,
    )


@dataclass(frozen=True)
class Scenes:
    """Endless scenes with their captions, each a function of split, style, seed and number.

    One to four things; a scene of two or more has a pair whose centres are `MARGIN` apart along x
    or y. In three scenes of ten there are two things of one colour and noun, mostly alike in all.
    At least half of each thing is visible, and none crosses the border. Scenes of train, val and
    test differ in their draws and, for digits, in the pictures, and never have a pair (colour,
    noun) of `HELD_OUT`; those of held_out have at least one, with the pictures of test.

    Parameters
    ----------
    split : str
        ``train``, ``val``, ``test`` or ``held_out``.
    style : str
        ``shapes``, or ``digits`` for handwritten digits in colour, which need scikit-learn.
    seed : int
        Another seed, other scenes.
    captions : int
        How many captions a scene has at most, 1 or more; the same scene whatever the number.

    Raises
    ------
    ValueError
        If the split or the style is unknown, or `captions` is less than 1.

    Examples
    --------
    >>> sample = Scenes("train").sample(0)
    >>> sample.image.shape, sample.masks.shape == (len(sample.things), SIZE, SIZE)
    ((64, 64, 3), True)
    """

    split: str
    style: str = "shapes"
    seed: int = 0
    captions: int = 1

    def __post_init__(self):
        if self.split not in SPLITS:
            raise ValueError(f"unknown split {self.split!r}: one of {', '.join(SPLITS)}")
        if self.style not in STYLES:
            raise ValueError(f"unknown style {self.style!r}: one of {', '.join(STYLES)}")
        if self.captions < 1:
            raise ValueError(f"captions must be 1 or more, got {self.captions}")

    @property
    def grammar(self) -> Grammar:
        """What captions of this style may say."""
        return _grammar(self.style)

    @property
    def size(self) -> int:
        """Pixels a side."""
        return SIZE

    def sample(self, i: int) -> Sample:
        """Scene number i, 0 or more; no scene depends on another.

        Raises
        ------
        ValueError
            If `i` is negative.
        """
        rng = random.Random(self._hash("things", i))
        while True:
            things = self._things(rng)
            covers = [_cover(thing) for thing in things]
            masks = _visible(covers)
            alone = [np.count_nonzero(cover.alpha >= 0.5) for cover in covers]
            if all(np.count_nonzero(m) >= VISIBLE * a for m, a in zip(masks, alone)):
                break
        captions = self.grammar.captions(things, rng, self.captions)
        return Sample(_draw(things, covers, self.rng(i)), masks, things, tuple(captions))

    def rng(self, i: int) -> np.random.Generator:
        """What drew scene i: ``draw(sample.things, scenes.rng(i))`` draws it again.

        >>> scenes = Scenes("test")
        >>> sample = scenes.sample(7)
        >>> image, masks = draw(sample.things, scenes.rng(7))
        >>> bool((image == sample.image).all() and (masks == sample.masks).all())
        True
        """
        return np.random.Generator(np.random.PCG64(self._hash("pixels", i)))

    def _hash(self, what: str, i: int) -> int:
        """A seed for scene i that is the same on every machine."""
        if i < 0:
            raise ValueError(f"scenes are numbered from 0, got {i}")
        key = f"{what} {self.split} {self.style} {self.seed} {i}"
        return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())

    def _things(self, rng: random.Random) -> tuple[Thing, ...]:
        """Things of a scene from back to front, no two too close, one pair far enough apart."""
        while True:
            count = rng.choices(range(1, MOST + 1), (2, 3, 3, 2))[0]
            things = [self._kind(rng) for _ in range(count)]
            if self.split == "held_out":
                colour, noun = rng.choice(_held_out(self.style))
                things[0] = replace(things[0], colour=colour, noun=noun)
            if count > 1 and rng.random() < ALIKE:
                whole = rng.random() < 0.7  # in size and texture too
                kept = ("noun", "colour", "size", "texture") if whole else ("noun", "colour")
                things[1] = replace(things[1], **{name: getattr(things[0], name) for name in kept})
            rng.shuffle(things)
            placed = self._placed(things, rng)
            if placed and (count == 1 or any(starmap(_apart, combinations(placed, 2)))):
                return placed

    def _kind(self, rng: random.Random) -> Thing:
        """A thing without a place, its colour and noun not held out."""
        nouns = DIGITS if self.style == "digits" else tuple(_SHAPES)
        while True:
            colour, noun = rng.choice(tuple(COLOURS)), rng.choice(nouns)
            if (colour, noun) not in HELD_OUT:
                break
        texture = "" if self.style == "digits" else rng.choice(("", *TEXTURES))
        return Thing(noun, 0, 0, colour=colour, size=rng.choice(tuple(SIZES)), texture=texture)

    def _placed(self, things: Sequence[Thing], rng: random.Random) -> tuple[Thing, ...]:
        """The things at places inside the image; none where there was no room for them all."""
        placed: list[tuple[Thing, float]] = []
        for thing in things:
            radius = rng.uniform(*SIZES[thing.size])
            if self.style == "digits":
                turned = replace(thing, image=rng.choice(_pictures(self.split)[thing.noun]))
            else:
                turned = replace(thing, angle=rng.uniform(-TURN, TURN))
            border = radius * _reach(thing.noun)
            for _ in range(20):
                x, y = (rng.uniform(border, SIZE - border) for _ in "xy")
                if all(hypot(x - t.x, y - t.y) > CLOSE * (border + b) for t, b in placed):
                    placed.append((replace(turned, x=x, y=y, radius=radius), border))
                    break
            else:
                return ()
        return tuple(thing for thing, _ in placed)


def _held_out(style: str) -> list[tuple[str, str]]:
    """The pairs of a style, in a fixed order: a set's own changes from run to run."""
    return sorted(pair for pair in HELD_OUT if (pair[1] in DIGITS) == (style == "digits"))


def _reach(noun: str) -> float:
    return _SHAPES[noun].reach if noun in _SHAPES else _DIGIT_REACH


def _apart(one: Thing, other: Thing) -> bool:
    """Whether one of the relations holds between two things."""
    return max(abs(one.x - other.x), abs(one.y - other.y)) > MARGIN
