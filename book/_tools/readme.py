"""Write the numbers of the README's tables of models anew, from the models' cards.

``python book/_tools/readme.py`` changes rows that begin with a shipped model's name and nothing
else; the words behind the name stay as they are.
"""

import re
import sys
from pathlib import Path

from attnlib import pretrained

README = Path(__file__).parents[2] / "README.md"
ROW = re.compile(r"^\| `(?P<name>[\w-]+)`(?P<words>, [^|]*) \|.*$", re.M)


def cells(card: dict) -> list[str]:
    """What a row says of a model: parameters, marks, minutes of training."""
    marks = card["metrics"]
    if "true_captions" in marks:
        keys = ("true_captions", "true_captions_held_out", "pointing_game")
        shown = [f"{marks[key]:.3f}" for key in keys]
    else:
        keys = ("bleu", "bleu_lc_tok", "chrf")
        shown = [f"{marks[f'test_2016_flickr.{key}']:.2f}" for key in keys]
    return [f"{card['parameters']:,}", *shown, f"{card['seconds'] / 60:.0f}"]


def renewed(text: str) -> str:
    """The README with the rows as the cards of today have them."""

    def row(found: re.Match) -> str:
        if found["name"] not in pretrained.names():
            return found[0]
        first = f"`{found['name']}`{found['words']}"
        return f"| {' | '.join([first, *cells(pretrained.card(found['name']))])} |"

    return ROW.sub(row, text)


def main() -> int:
    """Write it, and say whether anything has changed."""
    before = README.read_text(encoding="utf-8")
    after = renewed(before)
    README.write_text(after, encoding="utf-8", newline="\n")
    print("README.md:", "the same" if before == after else "its numbers are new")
    return 0


if __name__ == "__main__":
    sys.exit(main())
