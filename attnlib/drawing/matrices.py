"""Matrices beside each other, so that what differs between them is seen."""

import math
from collections.abc import Mapping, Sequence

from attnlib.drawing.canvas import WIDEST, Canvas

Rows = Sequence[Sequence[float]]
EQUAL = ((0.5, 0.5, 0.0), (0.5, 0.5, 0.0), (0.5, 0.5, 0.0))
ASIDE = ((0.33, 0.33, 0.33), (0.33, 0.33, 0.33), (0.0, 0.0, 0.0))


def matrices(
    shown: Mapping[str, Rows] | None = None,
    rows: Sequence[str] = ("a", "horse", "pad"),
    columns: Sequence[str] | None = None,
    *,
    role: str = "key",
    negative: str = "ink",
    written: bool = True,
    digits: int = 2,
    across: int = 2,
    marked: Mapping[str, Sequence[tuple[int, int]]] | None = None,
    missed: Mapping[str, Sequence[tuple[int, int]]] | None = None,
) -> Canvas:
    """Matrices of one shape, two in a row unless told, each below its name.

    Parameters
    ----------
    shown : what each shows, and its rows; a number that is none (NaN) is a cell crossed out
    rows, columns : what each row and each column stands for; the columns' as the rows', unless told
    role, negative : whose colour the cells have, and those of numbers below zero
    written, digits : whether the numbers are written into their cells, with how many decimals
    across : how many stand in a row; one alone has room for more columns
    marked, missed : of some matrices, the cells (row, column) that get a frame, and a dashed one

    Raises
    ------
    ValueError
        If there are so many columns that a number, or the name of one, has no room; or if the name
        of a matrix is longer than its part of the canvas.
    """
    shown = {"on the keys": EQUAL, "on the queries": ASIDE} if shown is None else shown
    columns = rows if columns is None else columns
    longest = max(map(len, rows))
    left = 12 + 8.0 * longest
    part = WIDEST / across
    wide = min(52.0, (part - left - 10) / len(columns))
    if written and wide < 30:
        raise ValueError(f"{len(columns)} columns are too many to be written in: written=False")
    if long := [word for word in columns if wide < 8.0 * len(word)]:
        raise ValueError(f"no room above its column for {long[0]!r}: a shorter name is needed")
    if long := [name for name in shown if 8.0 * len(name) > part - 10]:
        raise ValueError(f"no room above its matrix for {long[0]!r}: a shorter name is needed")
    title = 15 if max(map(len, shown)) < 24 else 14
    high = min(wide, 34.0)
    block = 64 + high * len(rows)
    told = "; ".join(
        f"{name}: " + ", ".join(f"{row} {_listed(each, digits)}" for row, each in zip(rows, matrix))
        for name, matrix in shown.items()
    )
    canvas = Canvas(
        WIDEST,
        block * math.ceil(len(shown) / across),
        f"{len(shown)} matrices, a row for each of {', '.join(rows)}, and a column for each of "
        f"{', '.join(columns)}. {told}.",
    )
    for number, (name, matrix) in enumerate(shown.items()):
        x, y = number % across * part + left, number // across * block + 50
        canvas.text(x - left + 4, y - 38, name, size=title, anchor="start", bold=True)
        for s, word in enumerate(columns):
            canvas.text(x + wide * (s + 0.5), y - 12, word, size=14)
        for t, word in enumerate(rows):
            canvas.text(x - 6, y + high * (t + 0.5), word, size=14, anchor="end")
        none = [[math.isnan(a) for a in row] for row in matrix]
        numbers = [[0.0 if math.isnan(a) else a for a in row] for row in matrix]
        canvas.matrix(
            x,
            y,
            numbers,
            role=role,
            negative=negative,
            cell=(wide, high),
            written=written,
            digits=digits,
            hidden=none,
        )
        for frames, dashed in ((marked, False), (missed, True)):
            for t, s in (frames or {}).get(name, ()):
                canvas.box(x + wide * s, y + high * t, wide, high, shade=0, dashed=dashed)
    return canvas


def _listed(numbers: Sequence[float], digits: int) -> str:
    return " ".join("nan" if math.isnan(a) else f"{a:.{digits}f}" for a in numbers)
