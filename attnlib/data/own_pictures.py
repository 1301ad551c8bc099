"""Photographs of one's own with captions: a folder, and a file that says what its images show.

The file has one of the forms that people have: ``image.jpg#0``, a tab and a caption (Flickr8k's);
the same without a number; ``image.jpg,caption`` with or without a line of names above (CSV); or
COCO's JSON. An image may have several captions. What cannot be used is left out, and counted.
"""

import csv
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attnlib.data import files, own, photographs
from attnlib.data.photographs import SIZE, Photographs, read_image

FORMS = "'image.jpg', a tab and a caption, 'image.jpg,caption', or COCO's JSON"
HEADS = {"image", "image_name", "image_id", "file", "file_name", "filename", "name", "path"}
SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
LOOKED = 32  # pixels a side that an image is read at, to see whether it can be


@dataclass(frozen=True)
class Found:
    """Photographs that can be read, each with a caption, and what there is to say of the others."""

    photographs: Photographs
    sha256: tuple[str, ...]  # of each photograph's file
    checksums: tuple[str, str]  # of the images that the captions name, and of the captions' file
    notes: tuple[str, ...] = ()

    def __len__(self):
        return len(self.photographs)

    def only(self, rows: Sequence[int]) -> "Found":
        """The same for some of the photographs."""
        paths, texts = self.photographs.paths, self.photographs.captions
        kept = Photographs(
            tuple(paths[i] for i in rows), tuple(texts[i] for i in rows), self.photographs.size
        )
        return Found(kept, tuple(self.sha256[i] for i in rows), self.checksums, self.notes)


def read(paths: Sequence[Path | str], size: int = SIZE) -> Found:
    """Photographs to train on, or to be scored on, in the order of the file of captions.

    Whether an image can be read is found out once, and kept in the cache.

    Parameters
    ----------
    paths : pair of paths
        The folder that the names of the images start from; and the file that says what they show,
        see the top of this module: UTF-8, gzipped if its name ends in ``.gz``.
    size : int
        Pixels a side of what `Photographs.image` gives.

    Raises
    ------
    ValueError
        If there is no such folder, or no image of it can be used; as `texts_of`.
    """
    images, captions = paths
    texts, empty = texts_of(captions)
    root = Path(images).expanduser()
    if not root.is_dir():
        raise ValueError(f"{images} is not a folder: give the one with the photographs")
    there = [name for name in texts if (root / name).is_file()]
    if not there:
        raise ValueError(
            f"none of the {len(texts):,} images that {captions} names is in {images}: "
            f"the first would be {root / next(iter(texts))}"
        )
    sums = [_checksum(root / name) for name in there]
    listed = "".join(f"{digest}  {name}\n" for name, digest in zip(there, sums))
    whole = hashlib.sha256(listed.encode("utf-8")).hexdigest()
    path = files.cache() / "own-pictures" / f"readable-{whole[:16]}.npz"
    good = files.kept(path, (len(there),), np.bool_, lambda: _look([root / x for x in there]))
    rows = [i for i, name in enumerate(there) if good[i] and texts[name]]
    found = Photographs(
        tuple(root / there[i] for i in rows), tuple(tuple(texts[there[i]]) for i in rows), size
    )
    if not rows:
        raise ValueError(
            f"none of the {len(there):,} images of {images} that {captions} names can be "
            "read and has a caption"
        )
    folders = {(root / name).parent for name in there}
    others = {x for each in folders for x in each.iterdir() if x.suffix.lower() in SUFFIXES}
    silent = sorted(others - {root / name for name in texts if texts[name]})
    missing = [name for name in texts if not (root / name).is_file()]
    unreadable = [name for name, can in zip(there, good) if not can]
    notes = [f"{own.plural(empty, 'empty caption')} left out"] if empty else []
    if len(missing) > len(texts) / 2:
        notes.append(
            f"WARNING: {len(missing):,} of the {len(texts):,} pictures that {captions} names "
            f"are not in {images}: is it the right folder?"
        )
    for several, what in (
        (missing, "missing"),
        (unreadable, "unreadable"),
        ([each.relative_to(root) for each in silent], "without a caption there"),
    ):
        if several:
            notes.append(f"{len(several):,} {what} ({several[0]}{', …' * (len(several) > 1)})")
    own_sum = files.sha256(Path(captions))
    return Found(found, tuple(sums[i] for i in rows), (whole, own_sum), tuple(notes))


def split(found: Found, number: int) -> tuple[Found, Found]:
    """Photographs to train on, and `number` different ones held out, with all of their captions.

    The draw depends on the photographs alone. Two files of the same bytes are one photograph, and
    never on both sides.

    Raises
    ------
    ValueError
        If no photograph would be left to train on.
    """
    held = own.held_out(found.sha256, number, "photograph", "of them")
    train, val = (
        found.only([i for i, digest in enumerate(found.sha256) if (digest in held) == side])
        for side in (False, True)
    )
    return train, val


def texts_of(path: Path | str) -> tuple[dict[str, list[str]], int]:
    """The captions of each image by its name, those without a word left out, and how many were.

    Raises
    ------
    ValueError, DataError
        If a line or an entry is not of the file's format, or there is none; as `own.lines`. The
        message says where.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "captions.csv")
    >>> _ = path.write_text("image,caption\\na.jpg,A red square.\\na.jpg,\\n")
    >>> texts_of(path)
    ({'a.jpg': ['A red square.']}, 1)
    """
    lines = own.lines(path)
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith(("{", "[")):
        pairs = _coco(Path(path), lines)
    elif "\t" in first:
        pairs = _tabs(path, lines)
    elif "," in first:
        pairs = _commas(path, lines)
    else:
        if not first:
            raise ValueError(f"{path} is empty: there is no line to read")
        raise ValueError(f"{path}: expected {FORMS}, got {first[:60]!r}")
    found: dict[str, list[str]] = {}
    empty = 0
    for name, text in pairs:
        caption = " ".join(own.plain(text).split())
        its = found.setdefault(name, [])
        if caption:
            its.append(caption)
        else:
            empty += 1
    if not found:
        raise ValueError(f"{path} names no image")
    return found, empty


def _tabs(path, lines: list[str]) -> list[tuple[str, str]]:
    pairs = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, tab, text = line.partition("\t")
        if not tab or not (name := _name(name)):
            raise ValueError(
                f"{path}, line {number}: expected 'image.jpg', a tab and a caption, got "
                f"{line[:60]!r}"
            )
        pairs.append((name, text))
    return pairs[1:] if pairs[0][0].lower() in HEADS else pairs


def _commas(path, lines: list[str]) -> list[tuple[str, str]]:
    rows = csv.reader(line + "\n" for line in lines)
    head: list[str] = []
    pairs: list[tuple[str, str]] = []
    for row in rows:
        if not any(map(str.strip, row)):
            continue
        if len(row) < 2 or not (name := _name(row[0])):
            raise ValueError(
                f"{path}, line {rows.line_num}: expected 'image.jpg,caption', got "
                f"{','.join(row)[:60]!r}"
            )
        if not pairs and not head and name.lower() in HEADS:
            head = [each.strip().lower() for each in row]
            continue
        column = head.index("caption") if "caption" in head[1:] else 1
        last = None if column >= len(head) - 1 else column + 1
        pairs.append((name, ",".join(row[column:last])))  # a bare caption may have commas
    return pairs


def _name(text: str) -> str:
    """An image's name, without the number of its caption.

    >>> _name("a.jpg#0 "), _name("b.jpg")
    ('a.jpg', 'b.jpg')
    """
    return re.sub(r"#\d+$", "", text.strip())


def _coco(path: Path, lines: list[str]) -> list[tuple[str, str]]:
    try:
        content = json.loads("\n".join(lines))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise ValueError(f"{path} is JSON, but not COCO's: it has no images and annotations")
    names = {
        photographs._entry(each, "id", int, path, place): photographs._entry(
            each, "file_name", str, path, place
        )
        for place, each in photographs._entries(content, "images", path)
    }
    pairs = []
    for place, each in photographs._entries(content, "annotations", path):
        number = photographs._entry(each, "image_id", int, path, place)
        if number not in names:
            raise ValueError(f"{path}, {place}.image_id: no image {number} in images")
        pairs.append((names[number], photographs._entry(each, "caption", str, path, place)))
    return pairs


def _checksum(path: Path) -> str:
    """The sha256 of a file; of one that may not be read, which is an unreadable image, nothing."""
    try:
        return files.checksum(path)
    except OSError:
        return ""


def _look(paths: list[Path]) -> np.ndarray:
    """Whether each file can be read as an image."""
    from tqdm import tqdm

    return np.array([_readable(path) for path in tqdm(paths, "images", leave=False, delay=5)], bool)


def _readable(path: Path) -> bool:
    try:
        read_image(path, LOOKED, resize=True)
    except files.DataError:
        return False
    return True
