"""Make attnlib/data/groceries.txt, the list of the photographs that mosaics are made of.

    git clone https://github.com/marcusklasson/GroceryStoreDataset
    git -C GroceryStoreDataset checkout fc80ba90f803d79d0383df52c5a4ac5de99ff6fc
    python book/_tools/groceries.py GroceryStoreDataset > attnlib/data/groceries.txt

Labels and splits are those of the data set's own lists: its folders disagree in places.
"""

import argparse
import csv
from pathlib import Path

from attnlib.data import files
from attnlib.data.mosaics import KINDS, SPLITS

HEADER = (
    "# The photographs of attnlib.data.mosaics: sha256, path, class, in the order of the splits.\n"
    "# Made by book/_tools/groceries.py from GroceryStoreDataset (MIT, Marcus Klasson 2019).\n"
)


def listing(folder: Path) -> str:
    """The text of the list, from a folder that holds the data set's ``dataset/``."""
    data = folder / "dataset"
    with open(data / "classes.csv", encoding="utf-8", newline="") as file:
        classes = {int(row[1]): row[0] for row in list(csv.reader(file))[1:]}
    lines = []
    for split in SPLITS:
        for line in sorted((data / f"{split}.txt").read_text("utf-8").splitlines()):
            path, number, _ = (field.strip() for field in line.split(","))
            label = classes[int(number)]
            if label in KINDS:
                lines.append(f"{files.sha256(data / path)} {path} {label}\n")
    return HEADER + "".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a checkout of GroceryStoreDataset")
    print(listing(parser.parse_args().folder), end="")
