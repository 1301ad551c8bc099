"""Colour photographs of the United States, 1939 to 1944, with their photographers' captions.

1,615 photographs of the Farm Security Administration and the Office of War Information, small
versions from the data of "Humanities Data in Python" (distant-viewing/hdpy); they are in the public
domain ("No known restrictions on publication", Library of Congress). There is one caption to a
photograph, and it says what its author wanted kept: places, firms and names that no pixel shows.
"""

import bz2
import csv
import functools
import io
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from attnlib.data import files

FRAME = 0.09  # of a side: the dark mount of the slide
SPLITS = ("train", "val", "test")
LONGEST = 30  # words of a caption that are kept
# Words that no model should learn here: whom captions name again and again, and whom they call by
# words of their time. Other names are too rare to be learned.
LEFT_OUT = frozenset(
    ("dorothy", "jack", "jim", "john", "norris", "whinery", "negro", "negroes", "colored")
)
SPLIT_OF = {number: where for number, _, where in files.historic_list()}


@dataclass(frozen=True)
class CaptionedPhotograph:
    """One photograph: its number at the Library of Congress, and its caption."""

    number: str
    title: str

    @property
    def words(self) -> tuple[str, ...]:
        """The caption in lower case, without punctuation and without what cataloguers added.

        >>> CaptionedPhotograph("", "[N.W. R.R. [i.e. railroad], Elko, N[ew] Mex[ico](?)]").words
        ('n', 'w', 'r', 'r', 'elko', 'new', 'mexico')
        """
        text = re.sub(r"\[i\.\s?e\.[^]]*\]", "", self.title)
        text = re.sub(r"[][()?'\"]", "", text.lower())
        return tuple(re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", text))[:LONGEST]

    def image(self) -> Image.Image:
        """The photograph without the slide's mount."""
        return opened(self.number)


def opened(number: str) -> Image.Image:
    """A photograph by its number at the Library of Congress, without the slide's mount.

    Raises
    ------
    ValueError
        If there is no such photograph.
    DataError
        If it can neither be read nor downloaded.
    """
    name = files.historic(number)
    if name in files.REGISTRY and not (files.cache() / name).is_file():
        archive = files.in_mirror(files.HISTORIC_ARCHIVE)
        if archive is not None:
            _unpack(archive)
    return without_frame(files.fetch(name))


def without_frame(path: Path | str) -> Image.Image:
    """A file's photograph, without the slide's mount."""
    with Image.open(path) as opened_file:
        image = opened_file.convert("RGB")
    width, height = image.size
    across, down = round(FRAME * width), round(FRAME * height)
    return image.crop((across, down, width - across, height - down))


def _unpack(archive) -> None:
    """All photographs of the mirror's archive, into the cache."""
    with tarfile.open(archive) as packed:
        packed.extractall(files.cache() / "fsa-color", filter="data")


@functools.cache
def photographs() -> tuple[CaptionedPhotograph, ...]:
    """All photographs by their number, with their captions."""
    return read(bz2.decompress(files.fetch(files.HISTORIC_CAPTIONS).read_bytes()).decode("utf-8"))


def read(text: str) -> tuple[CaptionedPhotograph, ...]:
    """The photographs of a table with the columns filename and title, by their number."""
    rows = csv.DictReader(io.StringIO(text))
    return tuple(sorted((CaptionedPhotograph(x["filename"], x["title"]) for x in rows), key=str))


@functools.cache
def split(name: str) -> tuple[CaptionedPhotograph, ...]:
    """The photographs of ``train`` (1,000 and a few), ``val`` (250) or ``test`` (365).

    Photographs whose captions are alike, and pictures that are near twins, are together in one
    split: else a model would be asked what it has been told.

    Raises
    ------
    ValueError
        If the split is unknown.
    """
    if name not in SPLITS:
        raise ValueError(f"unknown split {name!r}: one of {', '.join(SPLITS)}")
    return tuple(x for x in photographs() if SPLIT_OF[x.number] == name)
