"""Mosaics of real photographs, with captions that are known to be true.

Two to four photographs of fruit and vegetables, each of another kind, stand in a grid of 2 x 2
tiles: "bananas above carrots and left of red peppers". Generated scenes say where each thing is
because we drew it; here the tile is the truth, and the pixels are real. The photographs are 1,509
of the Grocery Store Dataset (Klasson, Zhang and Kjellström 2019, "A Hierarchical Grocery Store
Image Dataset with Visual and Semantic Labels"; MIT licence), of 16 kinds, taken with a telephone in
shops. They are downloaded on first use, those of one split at a time, and kept small in the cache.

The photographs of train, val and test are those of the data set's own splits. Val has no plum.
"""

import functools
import hashlib
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attnlib.data import files
from attnlib.data.grammar import Caption, Grammar, Thing
from attnlib.data.scenes import Sample

# Pixels a side of one photograph. Tried on single test photographs with a network of four
# convolutions, 40 epochs, one seed: 65 % of the kinds named at 32 pixels, 68 % at 48, the kinds
# weighing alike. Hardly a difference, but 96 pixels are what we allow, and people see more at 48.
TILE = 48
SIDE = 2  # tiles a side
KEPT = 64  # pixels a side of the cached copies: a crop of three quarters still fills a tile
# Pixels a side of a tile for a network that knows photographs of 224: six cells of its last map. A
# linear layer on the mean of that map names as many of train and val at 192 as at 224 and 256.
LARGE = 192
READ = 2048  # photographs kept in memory that are shown larger than the cached copies
SPLITS = ("train", "val", "test")
SECOND = 0.5  # how often a caption says a second relation where there is one
EMPTY = 128  # the grey of a tile without a photograph
# What a training view may do to a photograph. A classifier of single photographs (an `ImageEncoder`
# with a far field, 60 epochs, one seed) named 66 % of those of test at 0.6 and no shade, 68 % at
# these; so they were chosen by the test photographs.
NARROWEST = 0.4  # share of a photograph's side that a crop shows, at the least
SHADE = 0.15  # by how much brightness, contrast and saturation vary; the colours a third of that
CONNECTIONS = 8  # downloads at a time

KINDS = {  # the classes of the data set that we take, and what captions call them
    "Granny-Smith": "apples",
    "Aubergine": "aubergines",
    "Avocado": "avocados",
    "Banana": "bananas",
    "Carrots": "carrots",
    "Cucumber": "cucumbers",
    "Kiwi": "kiwis",
    "Lemon": "lemons",
    "Brown-Cap-Mushroom": "mushrooms",
    "Yellow-Onion": "onions",
    "Orange": "oranges",
    "Plum": "plums",
    "Floury-Potato": "potatoes",
    "Solid-Potato": "potatoes",
    "Red-Bell-Pepper": "red peppers",
    "Beef-Tomato": "tomatoes",
    "Regular-Tomato": "tomatoes",
    "Vine-Tomato": "tomatoes",
    "Watermelon": "watermelons",
}
NOUNS = tuple(dict.fromkeys(KINDS.values()))


@dataclass(frozen=True)
class Photograph:
    """One photograph: its name in `files.REGISTRY`, the split it belongs to, what it shows."""

    name: str
    split: str
    noun: str


@functools.cache
def photographs() -> tuple[Photograph, ...]:
    """All photographs; `Thing.image` is a position in this tuple.

    >>> photographs()[0].noun, len(photographs())
    ('apples', 1509)
    """
    return tuple(
        Photograph(name, name.split("/")[2], KINDS[label]) for name, _, label in files.groceries()
    )


@functools.cache
def numbers(split: str) -> range:
    """The positions of a split's photographs: they stand together."""
    found = [number for number, photo in enumerate(photographs()) if photo.split == split]
    return range(found[0], found[-1] + 1)


@functools.cache
def _showing(split: str) -> dict[str, tuple[int, ...]]:
    """The photographs of each noun in a split."""
    showing: dict[str, list[int]] = {}
    for number in numbers(split):
        showing.setdefault(photographs()[number].noun, []).append(number)
    return {noun: tuple(found) for noun, found in showing.items()}


# Small copies -----------------------------------------------------------------------------------


@functools.cache
def _small(split: str) -> np.ndarray:
    """A split's photographs, uint8 (n, KEPT, KEPT, 3): from the cache, else made and kept there."""
    names = [photographs()[number].name for number in numbers(split)]
    path = files.cache() / "grocery-store" / f"{split}-{_key(names)}.npz"
    shape = (len(names), KEPT, KEPT, 3)
    return files.kept(path, shape, np.uint8, lambda: _shrink_all(names))


def kinds_in(caption: str) -> list[str]:
    """The kinds that a caption names, the first one first.

    >>> kinds_in("red peppers left of plums and above red peppers")
    ['red peppers', 'plums']
    """
    return sorted((noun for noun in NOUNS if noun in caption), key=caption.index)


def _key(names: Sequence[str]) -> str:
    """Says which bytes were shrunk, and to what size; another list has another key."""
    digests = "".join(files.REGISTRY[name].sha256 for name in names)
    return hashlib.sha256(f"{KEPT} {digests}".encode()).hexdigest()[:16]


@functools.lru_cache(READ)
def _read(number: int, kept: int) -> np.ndarray:
    """A photograph at another size than that of the cached copies, (kept, kept, 3)."""
    return _shrunk(files.fetch(photographs()[number].name), kept)


def _shrink_all(names: Sequence[str]) -> np.ndarray:
    """Fetch and shrink; what has been downloaded is kept, so that a second call goes on."""
    from tqdm import tqdm

    small = np.empty((len(names), KEPT, KEPT, 3), np.uint8)
    progress = tqdm(total=len(names), desc="photographs", unit="", leave=False, delay=5)
    with progress, ThreadPoolExecutor(CONNECTIONS) as pool:
        done = pool.map(lambda name: _shrunk(files.fetch(name), KEPT), names)
        for i in range(len(names)):
            try:
                small[i] = next(done)
            except files.DataError as error:
                raise files.DataError(
                    f"{error} ({i} of {len(names)} photographs were read; those that have been "
                    "downloaded are kept, so try again)"
                ) from error
            progress.update()
    return small


def _shrunk(path: Path, kept: int) -> np.ndarray:
    """The middle square of a photograph, (kept, kept, 3)."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            square = ImageOps.fit(image.convert("RGB"), (kept, kept), Image.Resampling.LANCZOS)
    except (OSError, ValueError) as error:
        raise files.DataError(f"{path} cannot be read as a photograph: {error}") from error
    return np.asarray(square)


# Mosaics ----------------------------------------------------------------------------------------


def draw(
    things: Sequence[Thing], rng: random.Random | None = None, tile: int = TILE
) -> tuple[np.ndarray, np.ndarray]:
    """Put photographs into their tiles.

    Parameters
    ----------
    things : sequence of Thing
        `Thing.image` is a number of `photographs`, and the tile is the one that holds the centre;
        at most one thing a tile. A tile without a thing is grey.
    rng : random.Random, optional
        Draws for each photograph a square crop, whether it is mirrored, and the light. Without it,
        all of the photograph's middle square is shown as it is.
    tile : int
        Pixels a side of a tile.

    Returns
    -------
    image : uint8 array of shape (2 tile, 2 tile, 3)
    masks : bool array of shape (len(things), 2 tile, 2 tile)
        The tile of each thing.

    Raises
    ------
    ValueError
        If a photograph does not exist or shows something else than its thing's noun, a centre is
        outside the image, or two things have the same tile.
    DataError
        If a photograph is missing or damaged; the message names it.
    """
    image = _blank(tile)
    masks = np.zeros((len(things), *image.shape[:2]), bool)
    for thing, mask in zip(things, masks):
        place = _place(thing, tile)
        if masks[(..., *place)].any():
            raise ValueError(f"two things in the tile around ({thing.x}, {thing.y})")
        image[place] = view(thing, rng, tile)
        mask[place] = True
    return image, masks


def laid_out(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Photographs of anyone's in a grid as `draw` makes it, row by row from the top left.

    Parameters
    ----------
    pictures : sequence of one to four uint8 arrays of shape (tile, tile, 3)
        All of one size. A tile without a photograph is grey.

    Returns
    -------
    uint8 array of shape (2 tile, 2 tile, 3)

    Raises
    ------
    ValueError
        If there is none, or there are more than four, or one is no square of the size of the first.

    Examples
    --------
    >>> laid_out([np.zeros((1, 1, 3), np.uint8)])[..., 0].tolist()
    [[0, 128], [128, 128]]
    """
    if not 1 <= len(pictures) <= SIDE**2:
        raise ValueError(f"a mosaic has one to four photographs, got {len(pictures)}")
    tile = len(pictures[0])
    image = _blank(tile)
    for number, pixels in enumerate(pictures):
        if pixels.shape != (tile, tile, 3):
            raise ValueError(f"photograph {number + 1} is {pixels.shape}, not {(tile, tile, 3)}")
        x, y = _centre(number, tile)
        image[_place(Thing("", x, y), tile)] = pixels
    return image


def _blank(tile: int) -> np.ndarray:
    """A grid without a photograph."""
    return np.full((SIDE * tile, SIDE * tile, 3), EMPTY, np.uint8)


def _centre(number: int, tile: int) -> tuple[float, float]:
    """Across and down, of a tile by its number, row by row."""
    return (number % SIDE + 0.5) * tile, (number // SIDE + 0.5) * tile


def _place(thing: Thing, tile: int) -> tuple[slice, slice]:
    """Rows and columns of the tile that a thing stands in."""
    size = SIDE * tile
    if not (0 <= thing.x < size and 0 <= thing.y < size):
        raise ValueError(f"centre ({thing.x}, {thing.y}) is outside the image, 0 to {size}")
    top, left = (int(centre // tile) * tile for centre in (thing.y, thing.x))
    return slice(top, top + tile), slice(left, left + tile)


def view(thing: Thing, rng: random.Random | None = None, tile: int = TILE) -> np.ndarray:
    """A thing's photograph at the size of a tile, uint8 (tile, tile, 3); as `draw` shows it."""
    from PIL import Image

    if not 0 <= thing.image < len(photographs()):
        raise ValueError(
            f"photograph {thing.image}: they are numbered 0 to {len(photographs()) - 1}"
        )
    photo = photographs()[thing.image]
    if photo.noun != thing.noun:
        raise ValueError(f"photograph {thing.image} shows {photo.noun}, not {thing.noun!r}")
    kept = KEPT * tile // TILE
    if kept == KEPT:
        pixels = _small(photo.split)[thing.image - numbers(photo.split).start]
    else:
        pixels = _read(thing.image, kept)
    side, left, top, mirrored = float(kept), 0.0, 0.0, False
    if rng is not None:
        side = kept * rng.uniform(NARROWEST, 1)
        left, top = (rng.uniform(0, kept - side) for _ in range(2))
        mirrored = rng.random() < 0.5
    box = (left, top, left + side, top + side)
    small = Image.fromarray(pixels).resize((tile, tile), Image.Resampling.BILINEAR, box=box)
    seen = np.asarray(small)
    if mirrored:
        seen = seen[:, ::-1]
    return seen if rng is None else _in_another_light(seen, rng)


def _in_another_light(seen: np.ndarray, rng: random.Random) -> np.ndarray:
    """A view (tile, tile, 3) brighter or darker, with more or less contrast and colour."""

    def around(one: float, spread: float) -> float:
        return one + spread * rng.uniform(-1, 1)

    pixels = seen.astype(np.float32)
    mean = pixels.mean((0, 1))
    pixels = (pixels - mean) * around(1, SHADE) + mean * around(1, SHADE)
    grey = pixels.mean(2, keepdims=True)
    pixels = grey + (pixels - grey) * around(1, SHADE)
    pixels *= np.array([around(1, SHADE / 3) for _ in range(3)], np.float32)
    return np.clip(pixels.round(), 0, 255).astype(np.uint8)


@functools.cache
def _grammar(tile: int) -> Grammar:
    half = tile / 2  # centres of neighbouring tiles are a tile apart
    return Grammar({noun: noun for noun in NOUNS}, margin=half, second=SECOND)


@dataclass(frozen=True)
class Mosaics:
    """Endless mosaics with their captions, each a function of split, seed and number.

    Two, three or four kinds, each as likely, in tiles drawn at random; of each kind one of its
    photographs in the split, so that all kinds are seen equally often. No kind is in two tiles:
    one word, one tile. Train shows random crops of 40 to 100 % of a photograph's side, mirrored or
    not, in a slightly different light; val and test show the photographs as they are. The pixels
    may differ by a shade between versions of Pillow, which reads the photographs; everything else
    may not.

    Most photographs show a heap and some one piece in a hand. Captions name the kind by a bare
    plural ("bananas") and never count.

    Parameters
    ----------
    split : str
        ``train`` (735 photographs), ``val`` (79, without plums) or ``test`` (695).
    seed : int
        Another seed, other mosaics.
    captions : int
        How many captions a mosaic has at most, 1 or more; the same mosaic whatever the number.
    tile : int
        Pixels a side of a tile: the same photographs and captions whatever the number.

    Raises
    ------
    ValueError
        If the split is unknown or `captions` is less than 1.

    Examples
    --------
    >>> Mosaics("test").grammar.parse("bananas above carrots and left of red peppers").relations
    ('above', 'left of')
    """

    split: str
    seed: int = 0
    captions: int = 1
    tile: int = TILE

    def __post_init__(self):
        if self.split not in SPLITS:
            raise ValueError(f"unknown split {self.split!r}: one of {', '.join(SPLITS)}")
        if self.captions < 1:
            raise ValueError(f"captions must be 1 or more, got {self.captions}")

    @property
    def grammar(self) -> Grammar:
        """What captions may say: the same for all splits."""
        return _grammar(self.tile)

    @property
    def size(self) -> int:
        """Pixels a side."""
        return SIDE * self.tile

    def sample(self, i: int) -> Sample:
        """Mosaic number i, 0 or more; its things in the order of their tiles, row by row.

        Raises
        ------
        ValueError
            If `i` is negative.
        DataError
            On the first call, if a photograph is missing, damaged or cannot be downloaded; the
            message names it.
        """
        things, captions = self.told(i)
        image, masks = draw(things, self.rng(i), self.tile)
        return Sample(image, masks, things, captions)

    def told(self, i: int) -> tuple[tuple[Thing, ...], tuple[Caption, ...]]:
        """The things and the captions of mosaic number i, without a pixel."""
        rng = self._random("things", i)
        showing = _showing(self.split)
        tiles = sorted(rng.sample(range(4), rng.randint(2, 4)))
        things = tuple(
            Thing(
                noun,
                *_centre(tile, self.tile),
                radius=self.tile / 2,
                image=rng.choice(showing[noun]),
            )
            for tile, noun in zip(tiles, rng.sample(tuple(showing), len(tiles)))
        )
        return things, tuple(self.grammar.captions(things, rng, self.captions))

    def rng(self, i: int) -> random.Random | None:
        """What cropped mosaic i: ``draw(sample.things, mosaics.rng(i))`` draws it again."""
        return self._random("crops", i) if self.split == "train" else None

    def _random(self, what: str, i: int) -> random.Random:
        """Chance for mosaic i, the same on every machine."""
        if i < 0:
            raise ValueError(f"mosaics are numbered from 0, got {i}")
        return random.Random(f"{what} {self.split} {self.seed} {i}")
