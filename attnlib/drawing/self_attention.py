"""Drawings of self-attention (chapter 08): views of a word, heads, clocks, the mask, the cache."""

import math
from collections.abc import Sequence

from attnlib.drawing.canvas import WIDEST, Canvas

Rows = Sequence[Sequence[float]]
WORDS = ("a", "white", "horse")


def two_ways(
    words: Sequence[str] = ("A", "man", "in", "a", "red", "shirt", "rides"),
    start: int = 1,
    end: int = 6,
) -> Canvas:
    """How one word reaches another: through all states between them, and in one step.

    Parameters
    ----------
    words : the sentence
    start, end : int
        Places of the word that is needed, and of the one that needs it.
    """
    if not 0 <= start < end < len(words):
        raise ValueError(f"start and end must be places in order, got {start} and {end}")
    canvas = Canvas(
        WIDEST,
        322,
        f"Twice the words {' '.join(words)}. Above, a chain of states, one for each word: from "
        f"{words[start]} to {words[end]} a thick line leads through {end - start} arrows. Below, "
        f"every word has a line of its own to {words[end]}, and that from {words[start]} is thick.",
    )
    step = WIDEST / len(words)
    middle = [step * (i + 0.5) for i in range(len(words))]
    canvas.text(8, 14, f"recurrent: {end - start} steps", anchor="start", bold=True)
    for i, (x, word) in enumerate(zip(middle, words, strict=True)):
        canvas.text(x, 44, word, bold=i in (start, end))
        canvas.arrow((x, 54), (x, 73))
        on = start <= i <= end
        canvas.box(x - 19, 74, 38, 30, f"*h*_{i}", role="value" if on else "ink")
        if i:
            passed = start < i <= end
            canvas.arrow(
                (middle[i - 1] + 20, 89),
                (x - 21, 89),
                role="value" if passed else "ink",
                thick=3 if passed else 1.5,
            )
    canvas.text(8, 150, "self-attention: 1 step", anchor="start", bold=True)
    left, right = WIDEST - 170, WIDEST - 8
    for i, (x, word) in enumerate(zip(middle, words, strict=True)):
        canvas.text(x, 182, word, bold=i in (start, end))
        goal = left + (right - left) * (i + 0.5) / len(words)
        if i == start:
            canvas.arrow((x, 194), (goal, 275), role="value", thick=3)
        else:
            canvas.arrow((x, 194), (goal, 275), faint=True)
    told = f"what *{words[end]}* is told"
    return canvas.box(left, 276, right - left, 34, told, role="context")


def query_key_value(
    words: Sequence[str] = WORDS,
    x: Rows = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, -1)),
    w_q: Rows = ((0, 0, 4, 0), (0, 0, 2, 0), (0, 4, 0, 0), (0, 0, 0, 0)),
    w_k: Rows = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 0)),
    w_v: Rows = ((0, 0), (0, 1), (0, 0), (1, 0)),
    weights: Rows = ((0.11, 0.11, 0.79), (0.21, 0.21, 0.58), (0.11, 0.79, 0.11)),
    contexts: Rows = ((-0.79, 0.11), (-0.58, 0.21), (-0.11, 0.79)),
    features: Sequence[str] = ("det.", "adj.", "noun", "gender"),
) -> Canvas:
    """Self-attention of a few words with all its numbers, from the words to their contexts.

    Parameters
    ----------
    words : T words
    x : T rows of 4 whole numbers: the words
    w_q, w_k, w_v : 4 rows of 4, 4 and 2 whole numbers, by which queries, keys and values are made
    weights, contexts : T rows of T, and of 2
    features : what the 4 numbers of a word say
    """
    T, F, high, cell = len(words), len(features), 24, 26
    tall, deep = T * high, F * high
    first = 50  # where the rows of X begin, and those of the matrices, the views, the weights
    second = first + tall + 60
    third = second + deep + 58
    fourth = third + tall + 100
    canvas = Canvas(
        WIDEST,
        fourth + tall + 12,
        f"The words {', '.join(words)} as the rows of a matrix X, with the columns "
        f"{', '.join(features)}. Three arrows lead to W_Q, {_rows(w_q)}; W_K, {_rows(w_k)}; and "
        f"W_V, {_rows(w_v)}. Below each stands X times it: a blue matrix Q, an orange K and a "
        "green V with a row for each word. Q and K give the weights, "
        + "; ".join(
            f"{word}: {', '.join(f'{a:.2f}' for a in row)}"
            for word, row in zip(words, weights, strict=True)
        )
        + ". Weights times V give the pink contexts.",
    )

    def labels(top, left, names):
        for i, name in enumerate(names):
            canvas.text(left - 7, top + high * (i + 0.5), name, anchor="end", size=14)

    def plain(left, top, rows, role, wide=cell):
        canvas.matrix(
            left, top, rows, role=role, cell=(wide, high), written=True, digits=0, size=14
        )

    left = {"q": 62, "k": 202, "v": 342}
    broad, start = 56, 126
    canvas.text(start + 2 * broad, 14, "*X*: the words", bold=True)
    for j, name in enumerate(features):
        canvas.text(start + broad * (j + 0.5), 37, name, size=14)
    plain(start, first, x, "ink", broad)
    labels(first, start, words)
    low = first + tall
    for name, w, role, title, letter, at in (
        ("q", w_q, "query", "*Q* = *XW*_Q: seeks", "Q", -60),
        ("k", w_k, "key", "*K* = *XW*_K: is", "K", 0),
        ("v", w_v, "value", "*V* = *XW*_V: tells", "V", 60),
    ):
        middle = left[name] + len(w[0]) * cell / 2
        canvas.arrow((start + 2 * broad + at, low + 4), (middle, second - 26), role=role, thick=2)
        canvas.text(middle, second - 14, f"*W*_{letter}", role=role, bold=True)
        plain(left[name], second, w, role)
        canvas.arrow((middle, second + deep + 4), (middle, third - 26), role=role, thick=2)
        canvas.text(middle, third - 13, title, role=role, bold=True, size=14)
        product = [
            [sum(a * b for a, b in zip(row, by, strict=True)) for by in zip(*w)] for row in x
        ]
        plain(left[name], third, product, role)
    labels(second, left["q"], features)
    labels(third, left["q"], words)
    under, wide = third + tall, 46
    over = 62 + wide * T / 2
    canvas.arrow((left["q"] + 2 * cell, under + 4), (over - 20, fourth - 46), role="query", thick=2)
    canvas.arrow((left["k"] + 2 * cell, under + 4), (over + 20, fourth - 46), role="key", thick=2)
    canvas.text(over, fourth - 34, "weights", bold=True)
    canvas.text(over, fourth - 14, "softmax of *QK*^T / √*D*")
    canvas.matrix(62, fourth, weights, cell=(wide, high), written=True, digits=2, size=14)
    labels(fourth, 62, words)
    across = fourth + tall / 2
    canvas.arrow((62 + wide * T + 6, across), (314, across), thick=2)
    canvas.text(62 + wide * T + 58, across - 16, "× *V*", role="value")
    middle = left["v"] + cell
    canvas.arrow((middle, under + 4), (middle, fourth - 26), role="value", thick=2)
    canvas.text(middle, fourth - 14, "contexts", role="context", bold=True)
    return canvas.matrix(
        318, fourth, contexts, role="context", cell=(50, high), written=True, digits=2, size=14
    )


def _rows(matrix: Rows) -> str:
    return " / ".join(" ".join(f"{number:g}" for number in row) for row in matrix)


def looks(
    words: Sequence[str] = WORDS,
    weights: Rows = ((0.11, 0.11, 0.79), (0.21, 0.21, 0.58), (0.11, 0.79, 0.11)),
    marked: Sequence[tuple[int, int]] = ((0, 2), (1, 2)),
) -> Canvas:
    """The weights of a sentence on itself, in hundredths, so that small ones can be read too.

    Parameters
    ----------
    words : T words, at most twelve
    weights : T rows of T; one that rounds to 0 is not written
    marked : pairs (row, column) to draw a frame around

    Raises
    ------
    ValueError
        When there are more words than have room.
    """
    T = len(words)
    if T > 12:
        raise ValueError(f"there is room for 12 words, got {T}")
    left, top, high = 62, 84, 28
    wide = min(46, (WIDEST - left - 6) / T)
    cells = [[round(100 * float(a)) for a in row] for row in weights]
    canvas = Canvas(
        WIDEST,
        top + high * T + 8,
        f"A matrix of weights, a row and a column for each of {' '.join(words)}. The largest is "
        f"{max(map(max, cells)) / 100:.2f}. In the frames, row by row: "
        + "; ".join(f"{words[t]} on {words[s]} {cells[t][s] / 100:.2f}" for t, s in marked)
        + ".",
    )
    canvas.text(left + wide * T / 2, 14, "key: the word asked", role="key", bold=True)
    canvas.text(4, 60, "query:", role="query", bold=True, anchor="start")
    canvas.matrix(left, top, cells, cell=(wide, high), written=True, digits=0, zeros=False)
    for t, word in enumerate(words):
        middle = left + wide * (t + 0.5)
        # neighbours stand on two lines, so that long words have room
        canvas.text(middle, 46 if t % 2 else 66, word, size=14)
        if t % 2:
            canvas.line((middle, 56), (middle, top - 3), faint=True, thick=1)
        canvas.text(left - 8, top + high * (t + 0.5), word, anchor="end", size=14)
    for t, s in marked:
        x, y = left + wide * s, top + high * t
        corners = ((x, y), (x + wide, y), (x + wide, y + high), (x, y + high), (x, y))
        canvas.line(*corners, role="context", thick=3.5)
    return canvas


def heads(T: int = 3, width: int = 6, H: int = 2) -> Canvas:
    """Heads split and joined again: what `H` heads do with T words of the given width.

    Parameters
    ----------
    T, width, H : int
        Words, D, and heads; a head is D / H wide.
    """
    if width % H:
        raise ValueError(f"width must be divisible by H, got {width} and {H}")
    d, gap = width // H, 4
    cell = min(12, (WIDEST - 178 - 3 * gap * (H - 1)) / (3 * width + T + d))
    block = d * cell
    wide, tall = H * block + (H - 1) * gap, T * cell
    left = {"query": 68, "key": 68 + wide + 20}
    grid = left["key"] + wide + 22
    left["value"] = grid + tall + 22
    out = left["value"] + wide + 22
    first = 34
    rows = [first + tall + 40 + h * (tall + 26) for h in range(H)]
    join = rows[-1] + tall + 48
    canvas = Canvas(
        WIDEST,
        join + tall + 34,
        f"Above, the matrices Q, K and V, each {T} rows by {width} columns and cut into {H} blocks "
        f"of {d} columns. Below them a row for each head: its block of Q and its block of K give "
        f"its own {T} by {T} weights; these and its block of V give its {d} columns of contexts. "
        f"At the bottom the contexts of all heads stand side by side, {width} columns again, "
        "and are multiplied by W_O.",
    )

    def part(x, y, role, h):
        """A head's block: full for the first head and every second one after it, else pale."""
        cells: Rows | tuple[int, int] = (T, d) if h % 2 else [[1.0] * d] * T
        canvas.matrix(x, y, cells, role=role, cell=cell)

    for role, letter in (("query", "Q"), ("key", "K"), ("value", "V")):
        canvas.text(left[role] + wide / 2, first - 16, f"*{letter}*", role=role, bold=True)
        for h in range(H):
            x = left[role] + h * (block + gap)
            part(x, first, role, h)
            part(x, rows[h], role, h)
            canvas.arrow((x + block / 2, first + tall + 3), (x + block / 2, rows[h] - 4), role=role)
    canvas.text(58, first + tall / 2, "split", anchor="end", bold=True)
    canvas.text(grid + tall / 2, rows[0] - 16, "weights")
    for h in range(H):
        y = rows[h] + tall / 2
        canvas.text(58, y, f"head {h + 1}", anchor="end")
        q, k, v = (left[role] + h * (block + gap) for role in ("query", "key", "value"))
        canvas.line((q + block + 3, y), (k - 3, y))
        canvas.arrow((k + block + 3, y), (grid - 4, y))
        canvas.matrix(grid, rows[h], _looks(T, h), cell=cell)
        canvas.line((grid + tall + 3, y), (v - 3, y))
        canvas.arrow((v + block + 3, y), (out - 4, y))
        part(out, rows[h], "context", h)
    canvas.text(58, join + tall / 2, "join", anchor="end", bold=True)
    joined = left["value"]
    for h in range(H):
        x = joined + h * (block + gap)
        part(x, join, "context", h)
    low = join + tall / 2
    side = out + block + 14
    for h in range(H):
        y = rows[h] + tall / 2
        canvas.line((out + block + 3, y), (side, y), (side, low), role="context")
    canvas.arrow((side, low), (joined + wide + 5, low), role="context")
    canvas.arrow((joined - 5, low), (left["query"] + wide + 5, low))
    canvas.text((joined + left["query"] + wide) / 2, low - 16, "× *W*_O")
    canvas.matrix(left["query"], join, (T, width), role="context", cell=wide / width)
    canvas.text(left["query"] + wide / 2, join + tall + 18, "contexts *C*", role="context")
    return canvas.text(joined + wide / 2, join + tall + 18, "side by side", role="context")


def _looks(T: int, h: int) -> list[list[float]]:
    """Some weights that differ from head to head: one place back, one ahead, and so on."""
    shift = (-1, 1, 0)[h % 3]
    return [
        [1.0 if s == min(max(t + shift, 0), T - 1) else 0.1 for s in range(T)] for t in range(T)
    ]


def clocks(rates: Sequence[float] = (1, 0.398, 0.158), positions: int = 6) -> Canvas:
    """Sinusoidal positions as clocks: a column for each position, a row for each rate.

    Parameters
    ----------
    rates : sequence of float
        By how much each clock's hand turns from one position to the next, in radians.
    positions : int
    """
    radius, top = 22, 46
    step = (WIDEST - 84) / positions
    canvas = Canvas(
        WIDEST,
        top + 58 * len(rates) + 26,
        f"A grid of clocks, a column for each of the positions 0 to {positions - 1}. In the first "
        "column all hands point up. From column to column the hands turn clockwise, by "
        + ", ".join(f"{rate:.2f}" for rate in rates)
        + " radians from the first row to the last.",
    )
    canvas.text(74, 16, "position", anchor="end")
    for i, rate in enumerate(rates):
        y = top + 58 * i + 10
        canvas.text(74, y, f"*θ*_{i} = {rate:.2g}", anchor="end")
        for t in range(positions):
            x = 84 + step * (t + 0.5)
            canvas.circle(x, y, radius, shade=0.05)
            tip = x + 19 * math.sin(rate * t), y - 19 * math.cos(rate * t)
            canvas.arrow((x, y), tip, thick=2)
    for t in range(positions):
        canvas.text(84 + step * (t + 0.5), 16, str(t), bold=True)
    words = "each hand shows two numbers, (sin, cos)"
    return canvas.text(84 + (WIDEST - 84) / 2, top + 58 * len(rates) + 8, words)


def rotary(
    pairs: Sequence[tuple[int, int]] = ((0, 0), (1, 3), (4, 6)),
    rate: float = 0.5,
    query: float = 0.35,
    key: float = 0.75,
) -> Canvas:
    """One pair of numbers of a query and of a key, turned by their positions.

    Parameters
    ----------
    pairs : sequence of (t, s)
        Positions of the query and of the key, a circle each; (0, 0) is before any turn.
    rate : float
        By how much a vector turns from one position to the next, in radians.
    query, key : float
        The vectors' angles before they are turned.
    """
    between = [key - query + rate * (s - t) for t, s in pairs]
    canvas = Canvas(
        WIDEST,
        196,
        "Circles, each with a blue arrow, the query, and an orange one, the key. "
        + "; ".join(
            f"query at {t}, key at {s}: {angle:.2f} radians from the query to the key"
            for (t, s), angle in zip(pairs, between, strict=True)
        )
        + ".",
    )
    step, radius = WIDEST / len(pairs), 56
    for i, ((t, s), angle) in enumerate(zip(pairs, between, strict=True)):
        x, y = step * (i + 0.5), 92
        canvas.text(x, 16, f"*t* = {t}, *s* = {s}", bold=True)
        canvas.circle(x, y, radius, shade=0.05)
        for name, role, at in (
            ("*q*", "query", query + rate * t),
            ("*k*", "key", key + rate * s),
        ):
            tip = x + 37 * math.cos(at), y - 37 * math.sin(at)
            canvas.arrow((x, y), tip, role=role, thick=2.5)
            far = x + 46 * math.cos(at), y - 46 * math.sin(at)
            canvas.text(*far, name, role=role, size=14)
        turns = [query + rate * t + angle * j / 12 for j in range(13)]
        arc = [(x + 22 * math.cos(a), y - 22 * math.sin(a)) for a in turns]
        canvas.line(*arc)
        canvas.text(x, 170, f"angle {angle:.1f}")
    return canvas


def who_sees_whom(
    words: Sequence[str] = ("a", "white", "horse", "runs"),
    weights: Rows = ((1, 0, 0, 0), (0.5, 0.5, 0, 0), (0.33, 0.33, 0.33, 0), (0.25,) * 4),
) -> Canvas:
    """The causal mask over a sentence, with weights that each sum to 1 over what is left.

    Parameters
    ----------
    words : T words
    weights : T rows of T; what lies ahead is crossed out, whatever stands there
    """
    T = len(words)
    wide, high, left, top = min(62, 320 / T), 36, 106, 64
    canvas = Canvas(
        WIDEST,
        top + high * T + 10,
        f"A matrix with a row and a column for each of {', '.join(words)}. A row is crossed out "
        "right of its own word. What is left of each row: "
        + "; ".join(
            f"{word}: {', '.join(f'{a:.2f}' for a in weights[t][: t + 1])}"
            for t, word in enumerate(words)
        )
        + ".",
    )
    canvas.text(left + wide * T / 2, 14, "key: the word asked", role="key", bold=True)
    canvas.text(6, 41, "query:", role="query", bold=True, anchor="start")
    hidden = [[s > t for s in range(T)] for t in range(T)]
    canvas.matrix(left, top, weights, cell=(wide, high), written=True, digits=2, hidden=hidden)
    for t, word in enumerate(words):
        canvas.text(left + wide * (t + 0.5), 41, word)
        canvas.text(left - 10, top + high * (t + 0.5), word, anchor="end")
    return canvas


def growing_cache(words: Sequence[str] = ("<s>", "Un", "homme")) -> Canvas:
    """Writing with a cache of keys and values: at each step one column is new, the rest is kept."""
    T, cell, step = len(words), 30, WIDEST / len(words)
    canvas = Canvas(
        WIDEST,
        222,
        f"A panel for each of {', '.join(words)}. In each panel one query is new, blue. Below it "
        "stand keys, orange, and values, green, one for each word so far. The last of them is new "
        "and full in colour; those before it are pale, because they are kept from before.",
    )
    for i, word in enumerate(words):
        left = step * (i + 0.5) - cell * (i + 1) / 2
        middle = left + cell * (i + 0.5)
        canvas.text(step * (i + 0.5), 14, f"step {i + 1}", bold=True)
        canvas.text(middle, 40, word)
        canvas.vector(middle - cell / 2, 56, [1.0], role="query", cell=cell)
        if not i:
            canvas.text(left - 8, 56 + cell / 2, "query", anchor="end", role="query")
        for role, y in (("key", 104), ("value", 146)):
            if i:
                canvas.vector(left, y, i, role=role, cell=cell, upright=False)
            canvas.vector(middle - cell / 2, y, [1.0], role=role, cell=cell)
            if not i:
                name = {"key": "keys", "value": "values"}[role]
                canvas.text(left - 8, y + cell / 2, name, anchor="end", role=role)
        kept = "1 new" if not i else f"{i} kept, 1 new"
        canvas.text(step * (i + 0.5), 200, kept)
        if i + 1 < T:
            canvas.line((step * (i + 1), 30), (step * (i + 1), 184), faint=True, dashed=True)
    return canvas
