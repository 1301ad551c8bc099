"""Parallel text of one's own: a sentence a line, and the links between words that people made.

Line n of one file translates line n of the other, as sacreBLEU, Moses and fast_align have it; or
there is one file whose lines hold a source, a tab and a target. Files are UTF-8, with or without a
byte-order mark (UTF-16 with one is read too); a name that ends in ``.gz`` is a gzipped file.
"""

import codecs
import gzip
import random
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

from attnlib.data import cleaning
from attnlib.data.corpora import Corpus
from attnlib.data.hansards import Gold

_PHARAOH = re.compile(r"(\d+)([-?])(\d+)")
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
    if len(source) != len(target):
        raise ValueError(
            f"{paths[0]} has {len(source):,} lines but {paths[1]} {len(target):,}: line n of the "
            "one must translate line n of the other"
        )
    if not source:
        raise ValueError(f"{' and '.join(map(str, paths))}: there is no line in it")
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
        raise ValueError(f"{' and '.join(map(str, paths))}: each pair has an empty side")
    corpus = Corpus([source for source, _ in pairs], [target for _, target in pairs], languages)
    return corpus, len(sides[0]) - len(pairs)


def split(corpus: Corpus, number: int) -> tuple[Corpus, Corpus]:
    """Text to train on, and text held out: all pairs of `number` different sources, drawn.

    The draw depends on the text alone: whoever reads it again gets the same.

    Raises
    ------
    ValueError
        If no source would be left to train on.

    Examples
    --------
    >>> text = Corpus(["a", "b", "a", "c"], ["1", "2", "3", "4"], ("en", "fr"))
    >>> [part.source for part in split(text, 1)]
    [['a', 'a', 'c'], ['b']]
    """
    chosen = held_out(corpus.source, number, "sources", "text")

    def part(held: bool) -> Corpus:
        pairs = [pair for pair in corpus if (pair[0] in chosen) == held]
        return Corpus([x for x, _ in pairs], [y for _, y in pairs], corpus.languages)

    return part(False), part(True)


def held_out(items: Sequence[str], number: int, called: str, more: str) -> set[str]:
    """A draw of so many different items, which depends on the items alone.

    Raises
    ------
    ValueError
        If none would be left; the message calls the items so, and asks for more of something.
    """
    different = list(dict.fromkeys(items))
    if not 0 < number < len(different):
        raise ValueError(
            f"{number} {called} cannot be held out of {len(different)} different ones: give more "
            f"{more}, or a validation set"
        )
    return set(random.Random(0).sample(different, number))


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
