"""Sentences of the Canadian Hansards with word alignments made by people (Och and Ney 2000).

The test set of the WPT 2003 shared task (Mihalcea and Pedersen 2003): English and French sentences,
lower-cased and split into words. People linked the words: *sure* where there was no doubt,
*possible* where a reasonable person might (idioms, words of grammar).
"""

import re
from dataclasses import dataclass

from attnlib.data import files

SPLITS = {"test": "test/test.wa.nonullalign", "trial": "trial/trial.wa"}
_SENTENCE = re.compile(r"<s snum=(\d+)>(.*)</s>")

Links = frozenset[tuple[int, int]]


@dataclass(frozen=True)
class Gold:
    """Sentence pairs and their links; the four tuples run in parallel.

    A link is (position of the French word, position of the English word), both from 0: target
    first, as everywhere here. A sure link is possible too: `sure[i]` is a subset of `possible[i]`.
    """

    source: tuple[tuple[str, ...], ...]
    target: tuple[tuple[str, ...], ...]
    sure: tuple[Links, ...]
    possible: tuple[Links, ...]

    def __len__(self):
        return len(self.source)


def gold(split: str = "test") -> Gold:
    """English sentences (source), French sentences (target) and gold links between their words.

    Parameters
    ----------
    split : str
        ``test`` (447 sentence pairs) or ``trial`` (37).

    Raises
    ------
    ValueError
        If the split is unknown.
    DataError
        If a file is missing (the message says where to get it) or is not what it should be.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: one of {', '.join(SPLITS)}")
    english = _sentences(f"hansards/{split}/{split}.e")
    french = _sentences(f"hansards/{split}/{split}.f")
    if list(english) != list(french):
        raise files.DataError(f"hansards/{split}: the two sides number their sentences differently")
    name = f"hansards/{SPLITS[split]}"
    sure: dict[int, set] = {number: set() for number in english}
    possible: dict[int, set] = {number: set() for number in english}
    for line in _text(name).splitlines():
        number, e, f, kind = _link(name, line)
        if number not in english or e > len(english[number]) or f > len(french[number]):
            raise files.DataError(f"{name}: no such sentence or word: {line!r}")
        possible[number].add((f - 1, e - 1))
        if kind == "S":
            sure[number].add((f - 1, e - 1))
    return Gold(
        tuple(english.values()),
        tuple(french.values()),
        tuple(map(frozenset, sure.values())),
        tuple(map(frozenset, possible.values())),
    )


def _text(name: str) -> str:
    """A file's text: UTF-8, or the Latin-1 of the official archive."""
    data = files.fetch(name).read_bytes()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _sentences(name: str) -> dict[int, tuple[str, ...]]:
    """Words by sentence number."""
    sentences = {}
    for line in _text(name).splitlines():
        match = _SENTENCE.fullmatch(line.strip())
        if not match:
            raise files.DataError(f"{name}: not a numbered sentence: {line!r}")
        sentences[int(match[1])] = tuple(match[2].split())
    return sentences


def _link(name: str, line: str) -> tuple[int, int, int, str]:
    """Sentence number, English and French position from 1, and S or P; a confidence is ignored."""
    fields = line.split()
    numbers = fields[:3]
    if len(fields) < 4 or fields[3] not in ("S", "P") or not all(map(str.isdecimal, numbers)):
        raise files.DataError(f"{name}: not a link: {line!r}")
    number, e, f = map(int, numbers)
    if e < 1 or f < 1:
        raise files.DataError(f"{name}: positions count from 1: {line!r}")
    return number, e, f, fields[3]
