"""Photographs as a frozen image encoder sees them: computed once, and kept.

A frozen network gives the same annotations whenever it is asked, and it is most of the work. So
each photograph is seen once, those that mosaics are trained on in `VIEWS` views (crops, mirrored or
not, in another light), and the answers are kept in the cache. A mosaic is then put together from
them in no time: one encoder step of a batch of 64 mosaics would take ten seconds of one core.
"""

import hashlib
import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from attnlib import efficientnet
from attnlib.data import files, images, mosaics
from attnlib.data.grammar import Grammar, Thing
from attnlib.data.photographs import Photographs
from attnlib.data.scenes import Sample
from attnlib.vision import Tiled, arranged

VIEWS = 8  # of a training photograph; the first shows all of its middle square
BATCH = 16  # views a step


@dataclass(frozen=True)
class SeenMosaics:
    """Mosaics whose samples hold what `encoder` sees of them instead of pixels, float16 (S, D).

    Mosaics of train are made of random views, those of val and test of the photographs as they are;
    they have the things and captions of `mosaics`.
    """

    mosaics: mosaics.Mosaics
    encoder: Tiled

    @property
    def size(self) -> int:
        """Pixels a side."""
        return self.mosaics.size

    @property
    def grammar(self) -> Grammar:
        """What captions may say."""
        return self.mosaics.grammar

    def sample(self, i: int) -> Sample:
        """Mosaic number i, 0 or more, with features for an image and without masks."""
        things, captions = self.mosaics.told(i)
        rng = random.Random(f"views {self.mosaics.seed} {i}")
        seen = [[self._empty] * mosaics.SIDE for _ in range(mosaics.SIDE)]
        for thing in things:
            views = self.photographs[thing.image - self._first]
            row, column = (int(x // self.mosaics.tile) for x in (thing.y, thing.x))
            seen[row][column] = views[rng.randrange(len(views))]
        tiles = torch.from_numpy(np.stack([np.stack(row) for row in seen]))
        return Sample(arranged(tiles[None])[0].numpy(), np.zeros(0, bool), things, captions)

    @property
    def _first(self) -> int:
        return mosaics.numbers(self.mosaics.split).start

    @cached_property
    def _empty(self) -> np.ndarray:
        """A tile without a photograph: (rows, columns, D)."""
        tile = self.mosaics.tile
        return self._see([np.full((tile, tile, 3), mosaics.EMPTY, np.uint8)])[0]

    @cached_property
    def photographs(self) -> np.ndarray:
        """The split's photographs, (n, views, rows, columns, D)."""
        split, tile = self.mosaics.split, self.mosaics.tile
        views = VIEWS if split == "train" else 1
        numbers = mosaics.numbers(split)
        shape = (len(numbers), views, *self._empty.shape)
        listed = "".join(files.REGISTRY[mosaics.photographs()[i].name].sha256 for i in numbers)
        key = hashlib.sha256(f"{efficientnet.checksum()} {shape} {tile} {listed}".encode())
        path = files.cache() / "grocery-store" / f"{split}-seen-{key.hexdigest()[:16]}.npz"
        return files.kept(path, shape, np.float16, lambda: self._see_all(numbers, views))

    def _see_all(self, numbers: range, views: int) -> np.ndarray:
        total = len(numbers) * views
        seen = _some_at_a_time(self._see, self._views(numbers, views), total, "views")
        return seen.reshape(len(numbers), views, *self._empty.shape)

    def _views(self, numbers: range, views: int) -> Iterator[np.ndarray]:
        for number in numbers:
            thing = Thing(mosaics.photographs()[number].noun, 0, 0, image=number)
            for view in range(views):
                rng = random.Random(f"view {view} of {number}") if view else None
                yield mosaics.view(thing, rng, self.mosaics.tile)

    def _see(self, pixels: list[np.ndarray]) -> np.ndarray:
        """What the encoder sees of tiles: float16 (n, rows, columns, D)."""
        tiles = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            found: Tensor = self.encoder.pooled(self.encoder.network(tiles))
        return found.half().numpy()


@dataclass(frozen=True)
class SeenPhotographs:
    """Photographs whose samples hold what `encoder` sees of them, float16 (S, D), for pixels.

    Each is seen as it is, cut to its middle square: mirrored, "left of" would be no longer true.
    """

    photographs: Photographs
    encoder: Tiled

    def __len__(self):
        return len(self.photographs)

    def __iter__(self):
        return iter(self.photographs)

    def __getitem__(self, rows: slice) -> "SeenPhotographs":
        return SeenPhotographs(self.photographs[rows], self.encoder)

    @property
    def size(self) -> int:
        """Pixels a side."""
        return self.photographs.size

    def sample(self, i: int) -> Sample:
        """Photograph i, with features for an image."""
        return Sample(self.seen[i], np.zeros(0, bool), (), self.photographs.told(i))

    @cached_property
    def seen(self) -> np.ndarray:
        """What the encoder sees of each, float16 (n, S, D): from the cache, else computed."""
        rows, columns = self.encoder.cells(self.size, self.size)
        shape = (len(self), rows * columns, self.encoder.annotation_dim)
        listed = "".join(map(files.checksum, self.photographs.paths))
        how = f"{efficientnet.checksum()} {self.encoder.tiles} {self.encoder.pool} {self.size}"
        key = hashlib.sha256(f"{how} {shape} {listed}".encode()).hexdigest()
        path = files.cache() / "own-pictures" / f"seen-{key[:16]}.npz"
        return files.kept(path, shape, np.float16, self._see_all)

    def _see_all(self) -> np.ndarray:
        shown = map(self.photographs.image, range(len(self)))
        return _some_at_a_time(self._see, shown, len(self), "photographs")

    def _see(self, pixels: list[np.ndarray]) -> np.ndarray:
        found = self.encoder.features(torch.stack([images.as_floats(each) for each in pixels]))
        return found.half().numpy()


def _some_at_a_time(see, shown: Iterable[np.ndarray], total: int, what: str) -> np.ndarray:
    """What `see` says of all that is shown, `BATCH` at a time, with the time left."""
    from tqdm import tqdm

    shown, seen = iter(shown), []
    with tqdm(total=total, desc=what, unit="", leave=False, delay=5) as progress:
        while some := list(itertools.islice(shown, BATCH)):
            seen.append(see(some))
            progress.update(len(some))
    return np.concatenate(seen)
