"""Drawings of a captioner: cells in place of words, its eye and gate, and how a look is marked."""

from collections.abc import Sequence

from attnlib.drawing.canvas import WIDEST, Canvas

CROSS = ("0011100", "0011100", "1111111", "1111111", "1111111", "0011100", "0011100")


def four_cells(
    annotations: Sequence[Sequence[float]] = ((2, 0), (0, 0), (0, 0), (0, 2)),
    words: Sequence[str] = ("red", "left of"),
    queries: Sequence[Sequence[float]] = ((1, 0), (1, 1)),
    weights: Sequence[Sequence[float]] = ((0.71, 0.1, 0.1, 0.1), (0.44, 0.06, 0.06, 0.44)),
    contexts: Sequence[Sequence[float]] = ((1.42, 0.19), (0.88, 0.88)),
) -> Canvas:
    """An image of four cells, and where two words look in it.

    Parameters
    ----------
    annotations : of the four cells, row by row
    words, queries, weights, contexts : of two steps of the decoder
    """
    told = "; ".join(
        f"at {word} the weights are {', '.join(f'{x:.2f}' for x in row)}"
        for word, row in zip(words, weights, strict=True)
    )
    canvas = Canvas(
        WIDEST, 222, f"An image of two by two cells, each with its annotation vector; {told}."
    )
    side, top = 62, 34
    canvas.text(side + 4, 14, "annotations", role="key", bold=True)
    for i, annotation in enumerate(annotations):
        x, y = 4 + side * (i % 2), top + side * (i // 2)
        canvas.box(x, y, side, side, _tuple(annotation), role="key", shade=0.08)
    canvas.text(side + 4, 174, "keys and values", faint=True)
    side = 58
    for i, word in enumerate(words):
        x, row = 170 + 144 * i, weights[i]
        canvas.text(x + side, 14, f"*{word}*", bold=True)
        cells = [row[:2], row[2:]]
        canvas.matrix(x, top, cells, role="key", cell=side, written=True, digits=2)
        canvas.text(x + side, 168, f"query {_tuple(queries[i])}", role="query")
        canvas.text(x + side, 192, "context", role="context")
        canvas.text(x + side, 211, _tuple(contexts[i]), role="context")
    return canvas


def captioner(word: str = "ring", cells: int = 8) -> Canvas:
    """One step of the captioner that asks with its new state: the eye, the gate and the word.

    Parameters
    ----------
    word : the word that is written
    cells : on a side of the grid
    """
    canvas = Canvas(
        WIDEST,
        396,
        "One step. A picture goes through convolutions and becomes a grid of annotations. The LSTM"
        " reads the previous word, the gated context of the step before and its own past. Its state"
        " is the query of an attention over the grid, sets the gate that scales the context, and"
        f" with that and the previous word goes into the deep output, which writes {word}.",
    )
    canvas.text(46, 12, "picture", bold=True).box(10, 26, 72, 72)
    canvas.circle(32, 48, 11, role="context", shade=0).circle(32, 48, 6, role="context", shade=0)
    canvas.box(52, 64, 18, 18, role="query", shade=0.5)
    canvas.arrow((86, 62), (112, 62))
    canvas.text(166, 12, "image encoder", bold=True)
    canvas.box(114, 40, 104, 44, "convolutions").arrow((220, 62), (246, 62))
    canvas.text(286, 12, "annotations", role="key", bold=True)
    canvas.matrix(250, 26, (cells, cells), role="key", cell=72 / cells)
    canvas.text(334, 52, "*h̄*_s, one for", anchor="start")
    canvas.text(334, 72, "each cell", anchor="start")
    canvas.arrow((286, 102), (286, 150), role="key", thick=2.5)
    canvas.text(298, 124, "keys and values", anchor="start", role="key")
    canvas.box(232, 152, 108, 40, "attention", bold=True)
    canvas.arrow((286, 194), (286, 228), role="context", thick=2.5)
    canvas.text(304, 210, "*c*_t, an average", anchor="start", role="context")
    canvas.circle(286, 244, 14, "×")
    canvas.arrow((286, 260), (286, 302), role="context", thick=2.5)
    canvas.text(304, 278, "*ẑ*_t, what is read", anchor="start", role="context")
    canvas.box(232, 304, 108, 40, "deep output", bold=True)
    canvas.arrow((342, 324), (386, 324)).text(412, 324, f"*{word}*", bold=True)
    canvas.arrow((286, 372), (286, 346)).text(286, 384, "*E y*_{t−1}")
    canvas.text(58, 122, "*E y*_{t−1}").arrow((58, 134), (58, 150))
    canvas.box(16, 152, 84, 192).text(58, 218, "LSTM", bold=True)
    canvas.text(58, 248, "from *h*_{t−1}").text(58, 272, "and *m*_{t−1}")
    canvas.arrow((58, 372), (58, 346), role="context", thick=2.5)
    canvas.text(58, 384, "*ẑ*_{t−1}", role="context")
    canvas.arrow((102, 172), (230, 172), role="query", thick=2.5)
    canvas.text(166, 158, "query *h*_t", role="query")
    canvas.arrow((102, 244), (134, 244), role="query", thick=2.5)
    canvas.box(136, 226, 88, 36, "gate *β*_t").arrow((226, 244), (270, 244))
    canvas.arrow((102, 324), (230, 324), role="query", thick=2.5)
    canvas.text(166, 310, "*h*_t", role="query")
    return canvas


def field_of_view(
    side: int = 8,
    cells: int = 8,
    field: tuple[int, int, int, int] = (13, 13, 43, 43),
    cell: tuple[int, int, int, int] = (24, 24, 32, 32),
    ring: int = 26,
) -> Canvas:
    """A grid of cells, one of them, and the larger square that its annotation depends on.

    Parameters
    ----------
    side, cells : pixels a side of a cell, and cells a side of the image
    field, cell : left, top, right and bottom of what the cell has seen and of the cell, in pixels
    ring : how wide a thing is that the field can hold and the cell cannot, in pixels
    """
    scale, at = 4, 4
    seen = field[2] - field[0]
    canvas = Canvas(
        WIDEST,
        scale * side * cells + 2 * at,
        f"An image cut into {cells} by {cells} cells of {side} pixels. One cell is shaded; a larger"
        f" frame of {seen} pixels around it is what it has seen. A ring {ring} pixels wide fits"
        " into the frame, but not into the cell.",
    )
    canvas.matrix(at, at, [[0] * cells for _ in range(cells)], cell=scale * side)
    left, top, right, bottom = (at + scale * x for x in field)
    canvas.box(left, top, right - left, bottom - top, role="key", shade=0.25)
    x0, y0, x1, y1 = (at + scale * x for x in cell)
    canvas.box(x0, y0, x1 - x0, y1 - y0, role="key", shade=0.9)
    middle = (x0 + x1) / 2, (y0 + y1) / 2
    canvas.circle(*middle, scale * ring / 2, role="context", shade=0)
    end = at + scale * side * cells + 12
    for y, points, lines in (
        (left + 8, (right + 2, left + 8), ("what it has seen:", f"{seen} × {seen} pixels")),
        (middle[1], (x1 + 2, middle[1]), ("a cell:", f"{side} × {side} pixels")),
        (bottom - 12, None, ("a large ring:", f"{ring} pixels wide")),
    ):
        target = points or (middle[0] + scale * ring * 0.36, middle[1] + scale * ring * 0.36)
        canvas.arrow((end - 3, y), target)
        for i, line in enumerate(lines):
            canvas.text(end + 2, y + 20 * i - 2, line, anchor="start")
    return canvas


def marking_rule(
    pixels: Sequence[Sequence[int | bool]] | None = None,
    shares: Sequence[Sequence[float]] = ((0.19, 0.13), (0.13, 0.08)),
    on: Sequence[Sequence[int | bool]] = ((1, 1), (1, 0)),
    name: str = "cross",
) -> Canvas:
    """How a look is marked: which cells are on a thing, by how much of them it covers.

    Parameters
    ----------
    pixels : the thing, True where it is visible; as many pixels as fill the cells
    shares : of each cell, how much of it is covered
    on : which cells count as on the thing
    name : the thing
    """
    rows, columns = len(shares), len(shares[0])
    if pixels is None:
        plain = [[int(x) for x in row.center(15, "0") + "0"] for row in CROSS]
        pixels = [[0] * 16] * 4 + plain + [[0] * 16] * 5
    side = 192 / columns
    high = side * rows
    dot = 192 / len(pixels[0])
    most = max(max(row) for row in shares)
    told = ", ".join(f"{x:.2f}" for row, its in zip(shares, on) for x, y in zip(row, its) if y)
    canvas = Canvas(
        WIDEST,
        high + 62,
        f"Left, the pixels of a {name} over a grid of cells. Right, the share of each cell that it"
        f" covers. The fullest has {most:.2f}; those with at least half as much, {told}, are framed"
        " and count as on the thing.",
    )
    left, right, top = 8, WIDEST - 200, 30
    canvas.text(left + 96, 12, f"the {name}")
    canvas.text(right + 96, 12, "share that is covered")
    for i, row in enumerate(pixels):
        for j, on_it in enumerate(row):
            if on_it:
                canvas.matrix(left + j * dot, top + i * dot, [[1]], role="value", cell=dot)
    for start in (left, right):
        canvas.matrix(start, top, [[0] * columns for _ in range(rows)], cell=side)
    canvas.arrow((left + 198, top + high / 2), (right - 8, top + high / 2))
    for i in range(rows):
        for j in range(columns):
            x, y = right + j * side, top + i * side
            if on[i][j]:
                canvas.box(x + 3, y + 3, side - 6, side - 6, role="value", shade=0.3)
            if shares[i][j]:
                canvas.text(x + side / 2, y + side / 2, f"{shares[i][j]:.2f}", bold=bool(on[i][j]))
    half = f"at least {most / 2:.2f}, half of {most:.2f}: on the thing"
    canvas.text(WIDEST - 8, top + high + 18, half, anchor="end")
    return canvas


def ways_in(
    looks: Sequence[str] = ("a", "large"),
    shut: Sequence[Sequence[int]] = ((), (0,), (1,), (0, 1), (-1,), (-1, 0, 1)),
    chances: Sequence[float | None] = (1.0, 0.904, 0.999, 0.735, 0.999, 0.596),
    title: tuple[str, str] = ("chance of *large*,", "not *small*"),
    digits: int = 3,
) -> Canvas:
    """What a picture's ways into a word are worth: some are crossed, and the word is asked for.

    Parameters
    ----------
    looks : the words at which the model looks
    shut : for each row the ways that are crossed: the looks, counted from 0; -1 is the first glance
    chances : for each row how probable, or how often right, the word is; None is a question
    title : what the bars show, in two lines
    digits : of the numbers
    """
    lanes, rows = range(-1, len(looks)), []
    for its, chance in zip(shut, chances, strict=True):
        names = ["the first glance" if i < 0 else f"the look at {looks[i]}" for i in its]
        said = "a question" if chance is None else f"{chance:.{digits}f}"
        rows.append(f"{' and '.join(names) + ' crossed' if its else 'all open'}: {said}")
    high, top = 34, 62
    told = " ".join(title).replace("*", "")
    canvas = Canvas(
        WIDEST,
        top + high * len(chances) + 26,
        "A picture reaches a word through the first glance and the looks at"
        f" {' and '.join(looks)}. Bars of the {told}, with {'; '.join(rows)}.",
    )
    heads = [("first", "glance"), *(("look at", f"*{each}*") for each in looks)]
    at, bar, wide = [40 + 76 * i for i in range(len(heads))], 254, 130
    for x, lines in zip(at, heads):
        for i, line in enumerate(lines):
            canvas.text(x, 14 + 20 * i, line, role="context", bold=True)
    for i, line in enumerate(title):
        canvas.text(bar, 14 + 20 * i, line, anchor="start", bold=True)
    for row, (its, chance) in enumerate(zip(shut, chances, strict=True)):
        y = top + high * (row + 0.5)
        for i, x in zip(lanes, at):
            if i in its:
                canvas.line((x - 7, y - 7), (x + 7, y + 7), thick=2)
                canvas.line((x - 7, y + 7), (x + 7, y - 7), thick=2)
            else:
                canvas.circle(x, y, 9, role="context", shade=0.7)
        if chance is not None:
            canvas.matrix(bar, y - 10, [[1.0]], role="context", cell=(wide * chance, 20))
        said = "?" if chance is None else f"{chance:.{digits}f}"
        canvas.text(bar + wide + 8, y, said, anchor="start", bold=chance is None)
    end = top + high * len(chances)
    canvas.line((bar + wide / 2, top - 2), (bar + wide / 2, end + 2), dashed=True)
    canvas.text(bar + wide / 2, end + 14, "a coin")
    return canvas


def _tuple(numbers: Sequence[float]) -> str:
    return "(" + ", ".join(f"{x:g}" for x in numbers) + ")"


def frozen_eye(tile: int = 3, word: str = "bananas") -> Canvas:
    """From photographs to a word, when a frozen network sees each photograph by itself.

    Parameters
    ----------
    tile : cells on a side of a tile
    word : the word that is written
    """
    side, high = 96, 30
    canvas = Canvas(
        WIDEST,
        262,
        "Three photographs in a grid of two by two tiles; one tile is empty. A frozen network sees"
        f" each tile by itself and gives {tile} by {tile} annotations of it, {2 * tile} by"
        f" {2 * tile} together. Attention, asked by the LSTM, averages them, and the decoder writes"
        f" {word}.",
    )
    canvas.text(10 + side / 2, 14, "mosaic", bold=True)
    half = side / 2
    for i, (role, shade) in enumerate((("key", 0.6), ("value", 0.6), ("ink", 0), ("query", 0.6))):
        x, y = 10 + half * (i % 2), high + half * (i // 2)
        canvas.box(x, y, half, half, dashed=role == "ink", shade=0.06)
        for dx, dy in ((15, 28), (24, 16), (33, 30)) if role != "ink" else ():
            canvas.circle(x + dx, y + dy, 8, role=role, shade=shade)
    middle = high + half / 2
    canvas.arrow((10 + side + 4, middle), (160, middle))
    canvas.text(216, 14, "image encoder", bold=True)
    canvas.box(162, high, 108, half, ("one tile at", "a time, frozen"), dashed=True)
    canvas.arrow((272, middle), (306, middle))
    canvas.text(310 + half, 14, "annotations", role="key", bold=True)
    canvas.matrix(310, high, (2 * tile, 2 * tile), role="key", cell=side / (2 * tile))
    for i in range(4):  # the tiles again
        canvas.box(310 + half * (i % 2), high + half * (i // 2), half, half, shade=0)
    canvas.text(216, high + half + 20, "taught by ImageNet", faint=True)
    below = high + side
    canvas.arrow((310 + half, below + 6), (310 + half, below + 46), role="key", thick=2.5)
    canvas.text(302 + half, below + 26, "keys and values", anchor="end", role="key")
    canvas.box(310, below + 48, side, 40, "attention", bold=True)
    canvas.box(162, below + 48, 108, 40, ("decoder", "(LSTM)"), bold=True)
    canvas.arrow((272, below + 58), (308, below + 58), role="query", thick=2.5)
    canvas.arrow((308, below + 78), (272, below + 78), role="context", thick=2.5)
    canvas.text(290, below + 104, "query, context", faint=True)
    canvas.arrow((160, below + 68), (108, below + 68))
    canvas.text(58, below + 68, f"*{word}*", bold=True)
    return canvas


def before_and_after(
    shares: Sequence[Sequence[float]] = ((0.38, 0.61, 0.01), (0.82, 0.16, 0.02)),
    words: Sequence[str] = ("bananas", "above"),
) -> Canvas:
    """How the weight is spread before a first noun is chosen, and after it.

    Parameters
    ----------
    shares : of the weight, on the photograph that is named, on all others and on empty tiles; while
        the noun is written, and one word later
    words : the two words
    """
    told = "; ".join(
        f"while {word} is written the named photograph has {own:.2f} of the weight, the others"
        f" {others:.2f} and empty tiles {empty:.2f}"
        for word, (own, others, empty) in zip(words, shares, strict=True)
    )
    canvas = Canvas(WIDEST, 214, f"Two steps of the decoder, {told}.")
    wide = 106  # of a bar that has all of the weight
    knows = "nothing yet", f"*{words[0]}*"
    for i, (word, (own, others, empty)) in enumerate(zip(words, shares, strict=True)):
        x = 20 + 230 * i
        canvas.text(x + 85, 14, f"writes *{word}*", bold=True)
        canvas.text(x + 85, 36, f"has said {knows[i]}", role="query")
        for row, (name, share, role) in enumerate(
            (("named", own, "context"), ("others", others, "key"), ("empty", empty, "ink"))
        ):
            y = 56 + 52 * row
            canvas.text(x + 52, y + 20, name, anchor="end", role=role)
            canvas.matrix(x + 60, y, (1, 1), role=role, cell=(wide * share, 40))
            canvas.text(x + 68 + wide * share, y + 20, f"{share:.2f}", anchor="start")
    return canvas
