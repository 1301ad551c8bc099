"""Pictures with captions, made into batches: by worker processes if wanted, the same ones always.

Where pictures come from is known by name (`load`). Such a collection has a ``size`` and
``sample(i)``, a function of i alone, whose image and captions are used here. Those that are
generated never end, and have a ``grammar``; photographs have a length.
"""

import math
import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from attnlib.data import scenes
from attnlib.data.batches import Batch, Pair, collate
from attnlib.data.tokenizer import Tokenizer

MOSAICS = ("mosaics", "photographs")  # of `mosaics`, small and large
GENERATED = ("scenes", "digits", *MOSAICS)
PHOTOGRAPHS = ("flickr8k", "coco")
OWN = "own-pictures"  # read by `own_pictures.read`, from files that a run's description names
COLLECTIONS = (*GENERATED, *PHOTOGRAPHS, OWN)
EPOCH = 500  # batches of an epoch, where there are new pictures for ever


@dataclass(frozen=True)
class ImageBatch(Batch):
    """A batch whose source is pictures: floats (B, 3, H, W) in [0, 1], or features (B, S, D).

    `source_lengths` (B,) are their numbers of cells, the positions that attention may look at.
    `places` (B, T, S), made where it is asked for, is the share of each cell that is covered by
    what the word of `target_out` names: zeros for a word that names nothing.
    """

    places: Tensor | None = None


def load(name: str, split: str, seed: int = 0, captions: int = 1):
    """A collection of pictures by its name: one of `COLLECTIONS`, but for `OWN`.

    Parameters
    ----------
    name : str
        ``scenes`` and ``digits`` are the two styles of `attnlib.data.scenes`; ``mosaics`` are made
        of photographs, which are downloaded, and ``photographs`` are the same in large, for an
        image encoder that ImageNet taught; ``flickr8k`` and ``coco`` are read from your own copy,
        see `photographs.load`.
    split : str
        ``train``, ``val`` or ``test``, and what else the collection has.
    seed : int
        Another seed, other pictures, where they are generated.
    captions : int
        How many true captions a sample has, at most; photographs have all of theirs.

    Raises
    ------
    ValueError
        If the name is unknown; as the collection for the rest.

    Examples
    --------
    >>> load("scenes", "test").sample(0).image.shape
    (64, 64, 3)
    """
    if name in ("scenes", "digits"):
        style = {"scenes": "shapes", "digits": "digits"}[name]
        return scenes.Scenes(split, style, seed, captions)
    if name == "mosaics":
        from attnlib.data import mosaics  # reads photographs

        return mosaics.Mosaics(split, seed, captions)
    if name == "photographs":
        from attnlib.data import mosaics

        return mosaics.Mosaics(split, seed, captions, tile=mosaics.LARGE)
    if name in PHOTOGRAPHS:
        from attnlib.data import photographs  # reads them

        return photographs.load(name, split)
    known = ", ".join((*GENERATED, *PHOTOGRAPHS))
    raise ValueError(f"unknown pictures {name!r}: one of {known}")


def tokenizer(texts: Sequence[str]) -> Tokenizer:
    """A vocabulary in which each word of these texts is one token, and there is nothing else.

    >>> words = tokenizer(["a red ring", "a dotted star"])
    >>> words.tokens(words.encode("a red star")), len(words)
    (['▁a', '▁red', '▁star'], 9)
    """
    texts = sorted({word for text in texts for word in text.split()})  # each as often: all merge
    letters = sum(len(text) + 1 for text in texts)  # more than enough
    whole, _ = Tokenizer.train(texts, 4 + 2 * letters).trimmed(texts)
    return whole


def size(name: str) -> int:
    """Pixels a side of a collection's pictures, without reading any.

    >>> size("scenes"), size("mosaics")
    (64, 96)
    """
    if name in PHOTOGRAPHS:
        from attnlib.data import photographs

        return photographs.SIZE
    return load(name, "train").size


def as_floats(image: np.ndarray) -> Tensor:
    """One picture of bytes (H, W, 3) as floats (3, H, W) in [0, 1].

    A grey picture (H, W) gets three equal channels; one with an alpha channel (H, W, 4) is laid on
    white.

    Raises
    ------
    ValueError
        If the picture has another shape, or other numbers than bytes.

    Examples
    --------
    >>> as_floats(np.full((2, 2), 51, np.uint8))[:, 0, 0]
    tensor([0.2000, 0.2000, 0.2000])
    """
    image = np.asarray(image)
    if image.dtype != np.uint8:
        raise ValueError(f"a picture must be of bytes (uint8), got {image.dtype}")
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    if image.ndim != 3 or image.shape[2] not in (3, 4):
        raise ValueError(f"a picture must be (H, W, 3), (H, W) or (H, W, 4), got {image.shape}")
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float() / 255
    if len(pixels) == 4:
        pixels = pixels[:3] * pixels[3] + (1 - pixels[3])
    return pixels


class Batches(Dataset):
    """The batches of one epoch by their number; see `epoch`. They hold bytes, to travel light.

    Or float16, where a sample's image is what a frozen image encoder sees of it, (S, D).
    """

    def __init__(self, pictures, tokenizer, cells, images, seed, number, limit, places):
        self.pictures, self.tokenizer, self.cells, self.places = pictures, tokenizer, cells, places
        self.images, self.seed, self.number = images, seed, number
        self.order = None  # new pictures for ever
        if hasattr(pictures, "__len__"):
            limit = min(len(pictures), limit or len(pictures))
        if limit is not None:
            self.order = list(range(limit))
            random.Random(f"{seed} {number}").shuffle(self.order)

    def __len__(self) -> int:
        return EPOCH if self.order is None else math.ceil(len(self.order) / self.images)

    def __getitem__(self, index: int) -> ImageBatch:
        first = index * self.images
        if self.order is None:
            first += self.number * EPOCH * self.images
            rows: Sequence[int] = range(first, first + self.images)
        else:
            rows = self.order[first : first + self.images]
        pixels, places = [], []
        pairs: list[Pair] = []
        for i in rows:
            sample = self.pictures.sample(i)
            rng = random.Random(f"{self.seed} {self.number} {i}")
            pixels.append(torch.from_numpy(sample.image))
            caption = rng.choice(sample.captions)
            pairs.append(([], self.tokenizer.encode(caption.text)))
            if self.places is not None:
                places.append(torch.from_numpy(self.places(caption, sample.masks)))
        words = collate(pairs)
        lengths = torch.full((len(pairs),), self.cells)
        source = torch.stack(pixels)
        if source.dtype == torch.uint8:  # and no features of a frozen encoder
            source = source.permute(0, 3, 1, 2).contiguous()
        batch = (source, lengths, words.target_in, words.target_out, words.target_lengths)
        if not places:
            return ImageBatch(*batch)
        told = torch.zeros(*words.target_out.shape, self.cells)
        for row, shares in zip(told, places, strict=True):
            row[: len(shares)] = shares
        return ImageBatch(*batch, told)


def epoch(
    pictures,
    tokenizer: Tokenizer,
    cells: int,
    images: int,
    seed: int = 0,
    number: int = 0,
    first: int = 0,
    limit: int | None = None,
    workers: int = 0,
    places: Callable | None = None,
) -> Iterator[ImageBatch]:
    """The batches of one epoch, each a function of the arguments and of its place alone.

    Parameters
    ----------
    pictures : a collection, as `load` gives it
    tokenizer : Tokenizer
    cells : int
        Into how many cells the eye divides a picture.
    images : int
        Pictures a batch; each with one of its captions, chosen anew each epoch.
    seed : int
        Of the order and of the choice of captions.
    number : int
        Which epoch, from 0.
    first : int
        The batch to begin with.
    limit : int, optional
        Each epoch has the first so many pictures, in another order. Unless given, it has all of a
        collection that ends; of one that does not it has the next 500 (`EPOCH`) batches, so that no
        epoch shows a picture of another.
    workers : int
        Processes that make them ahead of time; with 0 they are made when they are asked for. The
        batches are the same whatever the number.
    places : callable, optional
        Of a caption and the masks of its picture it gives what a batch has as `places`, (words,
        cells), as `pointing.named_cells` does. For pictures that have masks.

    Raises
    ------
    ValueError
        If `images` or `limit` is not positive, or `workers` is negative.
    """
    for name, value, least in (("images", images, 1), ("workers", workers, 0), ("limit", limit, 1)):
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    batches = Batches(pictures, tokenizer, cells, images, seed, number, limit, places)
    if workers:
        pictures.sample(0)  # what is read from files is read here, once, and shared
    loader = DataLoader(
        batches,
        batch_size=None,  # an item is a batch
        sampler=range(first, len(batches)),
        num_workers=workers,
        worker_init_fn=leave_group,
        generator=torch.Generator(),  # or it would draw from torch's own, and change the training
    )
    for batch in loader:
        scale = 255 if batch.source.dtype == torch.uint8 else 1
        yield replace(batch, source=batch.source.float() / scale)


def leave_group(worker: int) -> None:
    """Signals that end a whole group, as Ctrl-C does, are not for a worker: its loader ends it."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a fork has copied the handlers of the loop
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
