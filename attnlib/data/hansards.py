"""Sentences of the Canadian Hansards with word alignments made by people (Och and Ney 2000).

The test set of the WPT 2003 shared task (Mihalcea and Pedersen 2003): English and French sentences,
split into words. Names have capitals there and first words have not; here all is lower case. People
linked the words: *sure* where there was no doubt, *possible* where a reasonable person might
(idioms, words of grammar).
"""

import functools
import hashlib
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from attnlib.data import corpora, files

TRAINING = "hansards/training-every6th-utf8.tar.xz"
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


def corpus(split: str = "train", longest: int | None = 20) -> corpora.Corpus:
    """Debates to train on: the distinct pairs of every sixth debate, English to French.

    Lower-cased and split into words, as the gold sentences are: a sentence is its words with blanks
    between. Pairs of which either side is a gold sentence are left out ("hear, hear !" is one).
    About one in fifty, chosen by the checksum of its English side, is kept for ``val``, so that all
    translations of one sentence are on the same side.

    Parameters
    ----------
    split : str
        ``train`` or ``val``.
    longest : int, optional
        Words of either side, at most. None for no limit.

    Raises
    ------
    ValueError
        If the split is unknown.
    DataError
        If a file is missing (the message says where to get it) or a debate has unequal sides.
    """
    if split not in ("train", "val"):
        raise ValueError(f"unknown split {split!r}: one of train, val")
    gold_pairs = [gold(name) for name in SPLITS]
    english_gold, french_gold = (
        {" ".join(words) for found in gold_pairs for words in getattr(found, side)}
        for side in ("source", "target")
    )
    kept = [
        (english, french)
        for english, french in _distinct(files.fetch(TRAINING), longest)
        if english not in english_gold
        and french not in french_gold
        and (hashlib.sha256(english.encode()).digest()[0] < 256 / 50) == (split == "val")
    ]
    return corpora.Corpus([e for e, _ in kept], [f for _, f in kept], ("en", "fr"))


@functools.lru_cache(maxsize=1)  # both splits are parts of it
def _distinct(path: Path, longest: int | None) -> tuple[tuple[str, str], ...]:
    """All different pairs of the debates, each side lower-cased and split into words."""
    pairs: dict[tuple[str, str], None] = {}
    for sides in _debates(path):
        for pair in zip(*sides, strict=True):
            english, french = (side.lower().split() for side in pair)
            lengths = len(english), len(french)
            if min(lengths) and (longest is None or max(lengths) <= longest):
                pairs[" ".join(english), " ".join(french)] = None
    return tuple(pairs)


def _debates(path: Path):
    """Lines of the two sides of each debate, in the order of their names."""
    with tarfile.open(path) as archive:
        members = {member.name: member for member in archive.getmembers() if member.isfile()}
        for name in sorted(members):
            if not name.endswith(".e"):
                continue
            other = name[:-1] + "f"
            if other not in members:
                raise files.DataError(f"{TRAINING} holds {name} but not {other}")
            sides = []
            for part in (name, other):
                file = archive.extractfile(members[part])
                assert file is not None  # `members` holds files alone
                sides.append(file.read().decode("utf-8").rstrip("\n").split("\n"))
            if len(sides[0]) != len(sides[1]):
                raise files.DataError(
                    f"{TRAINING}: {name} has {len(sides[0])} lines, {other} {len(sides[1])}"
                )
            yield sides


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
        sentences[int(match[1])] = tuple(match[2].lower().split())
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
