"""Parallel text of one's own: a sentence a line, and the links between words that people made.

Line n of one file translates line n of the other, as sacreBLEU, Moses and fast_align have it; or
there is one file whose lines hold a source, a tab and a target. Files are UTF-8, with or without a
byte-order mark (UTF-16 with one is read too); a name that ends in ``.gz`` is a gzipped file.
"""

import codecs
import gzip
import itertools
import random
import re
import zlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path

import numpy as np

from attnlib.data import cleaning
from attnlib.data.corpora import Corpus
from attnlib.data.hansards import Gold

_PHARAOH = re.compile(r"(\d+)([-?])(\d+)")
BLOCK, FEWEST = 500, 200  # lines that are compared together, and the fewest that can be
FAR = 3  # lines that a text is shifted by, at most, to see whether it fits better there
VARIED = 0.1  # least standard deviation of log lengths, each against the mean of its neighbours
SOME = 10  # pairs: of fewer it may be chance that they are the same on both sides
SENTENCES = 15  # characters of a line, in the middle: below that they may be words
_WPT = re.compile(r"(\d+)\s+(\d+)\s+(\d+)(?:\s+([SP]))?(?:\s+[\d.eE+-]+)?")  # with a confidence


def lines(path: Path | str) -> list[str]:
    """The lines of a text file, without their ends; other signs that end a line somewhere do not.

    Raises
    ------
    ValueError
        If the file cannot be read, or is no text; the message says where.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is no whole gzip file: make it again, say with gzip") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = data[: error.start].count(b"\n") + 1, error.object[error.start]
        raise ValueError(
            f"{path}, line {line}, is not UTF-8 text (byte 0x{byte:02x}): convert it, say with "
            f"iconv -f latin1 -t utf-8"
        ) from error
    found = text.split("\n")
    if not found[-1]:
        del found[-1]
    return [line.removesuffix("\r") for line in found]


def parallel(paths: Sequence[Path | str]) -> tuple[list[str], list[str]]:
    """Sources and targets as they stand in their files, as many of the one as of the other.

    Parameters
    ----------
    paths : sequence of paths
        Of the sources and of the targets; or one of both, with a tab between: what comes after a
        second tab is not read.

    Raises
    ------
    ValueError
        If the numbers of lines differ, a line has no tab, or there is no line; as `lines`.
    """
    if len(paths) == 1:
        pairs = [line.split("\t") for line in lines(paths[0])]
        for number, fields in enumerate(pairs, start=1):
            if len(fields) < 2 and fields != [""]:
                raise ValueError(
                    f"{paths[0]}, line {number}, has no tab between a source and a target: for two "
                    "files give --source and --target"
                )
        source, target = [fields[0] for fields in pairs], [" ".join(f[1:2]) for f in pairs]
    else:
        source, target = map(lines, paths)
    if not source or not target:
        name = paths[0] if not source else paths[1]
        raise ValueError(f"{name} is empty: there is no line to read")
    if len(source) != len(target):
        raise ValueError(
            f"{paths[0]} has {len(source):,} lines but {paths[1]} {len(target):,}: line n of the "
            "one must translate line n of the other"
        )
    return source, target


def read(paths: Sequence[Path | str], languages: tuple[str, str]) -> tuple[Corpus, int]:
    """Text to train on, and how many pairs were left out for an empty side.

    What shows nothing (zero-width characters and their like) is taken out, as it is of what the
    model will be given to read (`cleaning.clean`).

    Raises
    ------
    ValueError
        If no pair is left; as `parallel`.
    """
    sides = [[plain(line) for line in side] for side in parallel(paths)]
    pairs = [pair for pair in zip(*sides, strict=True) if all(pair)]
    if not pairs:
        raise ValueError(f"{' and '.join(_different(paths))}: each pair has an empty side")
    corpus = Corpus([source for source, _ in pairs], [target for _, target in pairs], languages)
    return corpus, len(sides[0]) - len(pairs)


def split(corpus: Corpus, number: int) -> tuple[Corpus, Corpus]:
    """Text to train on, and text held out: all pairs of `number` different sources, drawn.

    What is drawn are groups of pairs that share a side, so that no source and no target is on both
    sides. Only where such groups are too large, or all pairs hang together, are sources drawn
    alone to make up the number, and some of their targets stand in the other text too.

    The draw depends on the text alone: whoever reads it again gets the same.

    Raises
    ------
    ValueError
        If no source would be left to train on.

    Examples
    --------
    >>> text = Corpus(["a", "b", "a", "c", "d"], ["1", "2", "3", "4", "2"], ("en", "fr"))
    >>> [part.source for part in split(text, 2)]
    [['b', 'd'], ['a', 'a', 'c']]
    """
    chosen = held_out(corpus.source, number, "source", "text", _groups(corpus))

    def part(held: bool) -> Corpus:
        pairs = [pair for pair in corpus if (pair[0] in chosen) == held]
        return Corpus([x for x, _ in pairs], [y for _, y in pairs], corpus.languages)

    return part(False), part(True)


def write(corpus: Corpus, paths: Sequence[Path | str]) -> None:
    """Write the sources and the targets to two plain text files, a sentence a line."""
    for path, side in zip(paths, (corpus.source, corpus.target), strict=True):
        Path(path).write_text("".join(line + "\n" for line in side), encoding="utf-8")


def held_out(
    items: Iterable[str],
    number: int,
    called: str,
    more: str,
    groups: Sequence[Sequence[str]] | None = None,
) -> set[str]:
    """A draw of so many different items, which depends on the items alone.

    Whole groups are drawn where they are given: those of at most a tenth of the number first, then
    larger ones that still fit, and items alone for what is missing then.

    Raises
    ------
    ValueError
        If none would be left; the message calls an item so, and asks for more of something.
    """
    different = list(dict.fromkeys(items))
    if not 0 < number < len(different):
        there = plural(len(different), "different one")
        raise ValueError(
            f"{plural(number, called)} cannot be held out of {there}: "
            f"give more {more}, or a validation set"
        )
    draw = random.Random(0)
    if groups is None:
        return set(draw.sample(different, number))
    chosen: set[str] = set()
    order = draw.sample(groups, len(groups))
    for group in sorted(order, key=lambda group: max(len(group), number // 10)):
        if len(chosen) + len(group) <= number:
            chosen.update(group)
    left = [item for item in different if item not in chosen]
    return chosen | set(draw.sample(left, number - len(chosen)))


def _groups(corpus: Corpus) -> list[list[str]]:
    """The different sources, those together that are joined by pairs with a side in common."""
    parents: dict[Hashable, Hashable] = {}  # union-find, over both sides

    def root(node: Hashable) -> Hashable:
        while parents.setdefault(node, node) != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    for source, target in corpus:
        parents[root((0, source))] = root((1, target))
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for source in dict.fromkeys(corpus.source):
        groups[root((0, source))].append(source)
    return list(groups.values())


def out_of_step(corpus: Corpus) -> str | None:
    """What makes it look as if line n of one side did not translate line n of the other, if so.

    A long sentence has a long translation. So the lengths of both sides are correlated, in blocks
    of `BLOCK` lines; each length is a logarithm, less the mean of those of its two neighbours,
    since in a file that is sorted by length neighbours agree whatever the step. Said is the first
    block where the lengths agree much better with those of a line up to `FAR` away; or that they do
    not agree at all, in lines that are long enough for sentences. Where lengths hardly vary
    (`VARIED`), as in sorted text, there are few lines, or they are words, nothing can be told.

    Examples
    --------
    >>> import random
    >>> lines = ["word " * random.Random(n).randrange(3, 30) for n in range(1001)]
    >>> out_of_step(Corpus(lines[1:], lines[1:], ("en", "fr")))
    >>> out_of_step(Corpus(lines[1:], lines[:-1], ("en", "fr")))
    'from pair 1 on the lengths of line n of the one file fit line n + 1 of the other ...'
    """
    number = max(1, round(len(corpus) / BLOCK))
    edges = [i * len(corpus) // number for i in range(number + 1)]
    agree = []
    for begin, end in itertools.pairwise(edges):
        rough = [_roughness(side[begin:end]) for side in (corpus.source, corpus.target)]
        if end - begin < FEWEST or min(each.std() for each in rough) < VARIED:
            continue
        source, target = (each / each.std() for each in rough)
        inner = slice(FAR, len(source) - FAR)
        fits = {
            shift: float((source[inner] * np.roll(target, -shift)[inner]).mean())
            for shift in range(-FAR, FAR + 1)
        }
        best = max(fits, key=lambda shift: fits[shift])
        if fits[best] - fits[0] > 0.5:
            return (
                f"from pair {begin + 1:,} on the lengths of line n of the one file fit line n "
                f"{'+-'[best < 0]} {abs(best)} of the other (correlation {fits[best]:.2f}), and "
                f"not line n ({fits[0]:.2f})"
            )
        agree.append(fits[0])
    middle = max(np.median([*map(len, side)]) for side in (corpus.source, corpus.target))
    sure = agree and len(corpus) >= BLOCK and middle >= SENTENCES
    if sure and (mean := np.mean(agree)) < 0.1:
        return (
            "the lengths of line n of the one file and line n of the other do not agree "
            f"(correlation {mean:.2f})"
        )
    return None


def warnings(corpus: Corpus, paths: Sequence[Path | str]) -> list[str]:
    """What looks wrong with the pairs of these files, a line each, and how to check or mend it.

    Said is that they look out of step, see `out_of_step`; and that more than half of ten pairs or
    more are not translated at all.
    """
    names, said = " and ".join(_different(paths)), []
    if (why := out_of_step(corpus)) is not None:
        said.append(f"{names} may be out of step: {why}; read some pairs there, side by side")
    alike = sum(source == target for source, target in corpus)
    if len(corpus) >= SOME and alike > len(corpus) / 2:
        said.append(
            f"{names}: {alike:,} of {len(corpus):,} pairs have the same text on both sides: is one "
            "file named twice?"
        )
    return [f"WARNING: {each}" for each in said]


def _roughness(side: Sequence[str]) -> np.ndarray:
    """How the length of each line differs from its neighbours' mean, in logarithms."""
    if len(side) < 3:
        return np.zeros(1)
    logs = np.log1p([len(line) for line in side])
    return logs[1:-1] - (logs[:-2] + logs[2:]) / 2


def gold(path: Path | str, source: Sequence[str], target: Sequence[str]) -> Gold:
    """The links between the words of sentence pairs that people made, sure ones and possible ones.

    Parameters
    ----------
    path : path
        A file in Pharaoh's format: a line a pair, ``0-0 1?2``, each link a source and a target
        position from 0, possible with ``?``. Or in that of the WPT shared tasks: a line a link, the
        number of the pair, the source and the target position, all from 1, then S or P.
    source, target : sequences of str
        Words are what stands between white space.

    Raises
    ------
    ValueError
        If there are not as many lines as pairs, a line is not of the format, or there is no such
        pair or word; as `lines`.
    """
    words = [[tuple(text.split()) for text in side] for side in (source, target)]
    found = lines(path)
    sure: list[set] = [set() for _ in source]
    possible: list[set] = [set() for _ in source]

    def add(number: int, pair: int, s: int, t: int, certain: bool) -> None:
        inside = 0 <= pair < len(sure)
        if not inside or not (0 <= s < len(words[0][pair]) and 0 <= t < len(words[1][pair])):
            raise ValueError(f"{path}, line {number}: no such pair or word: {found[number - 1]!r}")
        possible[pair].add((t, s))
        if certain:
            sure[pair].add((t, s))

    first = next((line.strip() for line in found if line.strip()), "")
    if wpt := _WPT.fullmatch(first) is not None:
        found = [line for line in found if line.strip()]
    elif len(found) != len(sure):
        raise ValueError(f"{path} has {len(found):,} lines for {len(sure):,} pairs of sentences")
    for number, line in enumerate(found, start=1):
        for each in [line.strip()] if wpt else line.split():
            match = (_WPT if wpt else _PHARAOH).fullmatch(each)
            if not match:
                raise ValueError(f"{path}, line {number}: not a link, as 0-0 or 1?2: {each!r}")
            if wpt:
                pair, s, t = (int(match[i]) - 1 for i in (1, 2, 3))
                add(number, pair, s, t, match[4] != "P")
            else:
                add(number, number - 1, int(match[1]), int(match[3]), match[2] == "-")
    links = tuple(map(frozenset, sure)), tuple(map(frozenset, possible))
    return Gold(tuple(words[0]), tuple(words[1]), *links)


def plain(line: str) -> str:
    """The line without what shows nothing."""
    if not (line.isprintable() and cleaning.INVISIBLE.isdisjoint(line)):  # few lines are not
        line = cleaning.clean(line)
    return line.strip()


def plural(number: int, what: str) -> str:
    """A number of things, in words.

    >>> plural(1, "validation pair"), plural(1500, "validation pair")
    ('1 validation pair', '1,500 validation pairs')
    """
    return f"{number:,} {what}{'s' * (number != 1)}"


def _different(paths: Sequence[Path | str]) -> list[str]:
    return list(dict.fromkeys(map(str, paths)))
