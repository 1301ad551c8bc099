"""Make attnlib/data/historic.txt, the list of the photographs of attnlib.data.historic.

    git clone https://github.com/distant-viewing/hdpy
    git -C hdpy checkout f89833e9569f03f57956dae09be0213369fc39f2
    python book/_tools/list_historic.py hdpy/data > attnlib/data/historic.txt

Photographs that are alike, in caption or look, are put into one split.
"""

import argparse
import bz2
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from attnlib.data import files, historic

HEADER = (
    "# The photographs of attnlib.data.historic: sha256, number, split.\n"
    "# Made by book/_tools/list_historic.py from the data of hdpy (public domain).\n"
)
AT_LEAST = {"train": 1000, "val": 250, "test": 1615}  # photographs, as they come
ALIKE = 0.6  # captions that share this much of their words are kept in one split
TWINS = 6  # bits of 64 in which fingerprints of two pictures of one thing differ at most


def fingerprint(image: Image.Image) -> int:
    """64 bits of an image: whether each of 8 x 8 grey patches is darker than the one to its right.

    >>> fingerprint(Image.new("RGB", (90, 80)))
    0
    """
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX)).astype(int)
    bits = (grey[:, 1:] > grey[:, :-1]).ravel()
    return int("".join(map(str, bits.astype(int))), 2)


def together(
    photographs: Sequence[historic.CaptionedPhotograph], fingerprints: Sequence[int]
) -> list[list[historic.CaptionedPhotograph]]:
    """Groups of photographs that belong together: by caption, or by look, or by way of a third."""
    bags = [frozenset(x.words) for x in photographs]
    holders = defaultdict(list)
    for i, bag in enumerate(bags):
        for word in bag:
            holders[word].append(i)
    leader = list(range(len(photographs)))

    def lead(i: int) -> int:
        while leader[i] != i:
            leader[i] = leader[leader[i]]
            i = leader[i]
        return i

    for i, bag in enumerate(bags):
        for j in {j for word in bag for j in holders[word] if j < i}:
            if len(bag & bags[j]) >= ALIKE * len(bag | bags[j]):
                leader[lead(i)] = lead(j)
        for j in range(i):
            if (fingerprints[i] ^ fingerprints[j]).bit_count() <= TWINS:
                leader[lead(i)] = lead(j)
    groups = defaultdict(list)
    for i, photograph in enumerate(photographs):
        groups[lead(i)].append(photograph)
    return list(groups.values())


def listing(folder: Path) -> str:
    """The text of the list, from a folder that holds ``fsac_metadata.csv.bz2`` and ``fsac/``."""
    captions = bz2.decompress((folder / "fsac_metadata.csv.bz2").read_bytes())
    photographs = historic.read(captions.decode("utf-8"))
    paths = [folder / "fsac" / "thm" / f"{x.number}.jpg" for x in photographs]
    groups = together(photographs, [fingerprint(historic.without_frame(p)) for p in paths])
    random.Random(0).shuffle(groups)
    split_of: dict[str, str] = {}
    for group in groups:
        taken = list(split_of.values())
        where = next(x for x, size in AT_LEAST.items() if taken.count(x) < size)
        split_of |= {x.number: where for x in group}
    rows = zip(photographs, paths, strict=True)
    return HEADER + "".join(
        f"{files.sha256(path)} {x.number} {split_of[x.number]}\n" for x, path in rows
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="data/ of a checkout of hdpy")
    print(listing(parser.parse_args().folder), end="")
