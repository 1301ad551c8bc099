"""Drawings of a lookup: hard and soft, step by step, its roles, its gradient, its weights."""

import math
from collections.abc import Sequence

from attnlib.drawing.canvas import WIDEST, Canvas

WORDS = ("a", "red", "shirt")
STATES = ((-1, 1), (2, -1), (2, 0))
QUERY = (1, 1)
FEATURES = ("det.", "adj.", "noun", "gender")
MATRICES = (
    ((2, 0), (1, 0), (0, 2), (0, 0)),
    ((-1, 0), (0, 1), (1, -1), (0, 0)),
    ((0, 0), (0, 1), (0, 0), (1, 0)),
)


def dictionary(
    words: Sequence[str] = WORDS,
    values: Sequence[str] = ("une", "rouge", "chemise"),
    wanted: int = 2,
    scores: Sequence[float] = (0, 1, 2),
) -> Canvas:
    """A dictionary, which returns one value, beside attention, which mixes them all.

    Parameters
    ----------
    words, values : S keys of the dictionary, and what it holds for each
    wanted : int
        Which of them is looked up.
    scores : S scores of the same lookup by attention
    """
    weights = _softmax(scores)
    step, high = 40, 30
    tall = step * len(words) + 38
    canvas = Canvas(
        WIDEST,
        2 * tall,
        f"Two lookups among the keys {', '.join(words)}. Above, a dictionary: only "
        f"{words[wanted]} equals the query, and its value {values[wanted]} is returned. Below, "
        f"attention: every key matches the query to some degree, the values are weighted "
        f"{', '.join(f'{a:.3f}' for a in weights)}, and their sum is returned.",
    )
    hard = [float(s == wanted) for s in range(len(words))]
    panels = (
        ("A dictionary: one key is equal, or none", hard, words[wanted], [values[wanted]], 0),
        ("Attention: every key matches, more or less", weights, "*q*", ["a bit", "of each"], 3),
    )
    for n, (title, rows, query, found, digits) in enumerate(panels):
        top = tall * n + 30
        middle = top + (step * len(words) - (step - high)) / 2
        canvas.text(1, top - 18, title, anchor="start", bold=True)
        canvas.box(1, middle - 17, 60, 34, query, role="query")
        canvas.box(358, middle - 24, 81, 48, found, role="context" if n else "value")
        for s, a in enumerate(rows):
            y = top + step * s + high / 2
            asked = (64, middle + (s - 1) * 7), (110, y)
            given = (328, y), (355, middle + (s - 1) * 9)
            if a:
                canvas.arrow(*asked, role="query", thick=1 + 4 * a)
                canvas.arrow(*given, role="value", thick=1 + 4 * a)
            else:
                canvas.line(*asked, dashed=True, faint=True)
            canvas.box(112, y - high / 2, 64, high, words[s], role="key")
            canvas.text(216, y, f"{a:.{digits}f} ×", bold=a == max(rows))
            canvas.box(248, y - high / 2, 78, high, values[s], role="value")
    return canvas


def sheet(
    words: Sequence[str] = WORDS,
    states: Sequence[Sequence[float]] = STATES,
    query: Sequence[float] = QUERY,
) -> Canvas:
    """One lookup with the dot product, step by step; the states are both keys and values.

    Parameters
    ----------
    words : S words, three at most
    states : S vectors of the query's width, of whole numbers
    query : the vector that is compared with each
    """
    scores = [sum(q * k for q, k in zip(query, state, strict=True)) for state in states]
    weights = _softmax(scores)
    context = [
        sum(a * state[i] for a, state in zip(weights, states, strict=True))
        for i in range(len(query))
    ]
    found = "(" + ", ".join(_shown(c, 3) for c in context) + ")"
    canvas = Canvas(
        WIDEST,
        440,
        f"One lookup. The query {_vector(query)} meets the keys of {', '.join(words)}: "
        f"{', '.join(_vector(state) for state in states)}. The dot products are the scores "
        f"{', '.join(_shown(e) for e in scores)}; a softmax makes them the weights "
        f"{', '.join(f'{a:.3f}' for a in weights)}; each weight multiplies its value, which is the "
        f"same state, and the sum is the context {found}.",
    )
    columns = [172 + 106 * s for s in range(len(words))]
    for y, label in ((46, "keys"), (158, "scores"), (262, "weights"), (330, "values")):
        canvas.text(0, y, label, anchor="start", faint=True)
    canvas.text(0, 80, "query", anchor="start", faint=True)
    canvas.box(1, 94, 76, 32, _vector(query), role="query")
    start = 78
    for x, word, state, score, a in zip(columns, words, states, scores, weights, strict=True):
        canvas.text(x, 14, f"*{word}*", size=16)
        canvas.box(x - 42, 30, 84, 32, _vector(state), role="key")
        canvas.arrow((x, 64), (x, 97), role="key")
        canvas.line((start, 110), (x - 13, 110), role="query", thick=2)
        canvas.circle(x, 110, 12, "·", size=22, shade=0)
        start = x + 13
        canvas.arrow((x, 123), (x, 146))
        canvas.text(x, 158, _shown(score), size=17, bold=True)
        canvas.arrow((x, 171), (x, 190))
        canvas.arrow((x, 222), (x, 244))
        canvas.box(x - 36, 246, 72, 32, f"{a:.3f}", shade=0.05 + 0.45 * a)
        canvas.text(x, 296, "×", size=18)
        canvas.box(x - 42, 314, 84, 32, _vector(state), role="value")
        canvas.line((x, 348), (x, 372), role="value")
    canvas.box(columns[0] - 42, 191, columns[-1] - columns[0] + 84, 30, "softmax", shade=0.05)
    middle = columns[len(columns) // 2]
    canvas.line((columns[0], 372), (columns[-1], 372), role="value")
    canvas.arrow((middle, 372), (middle, 398), role="value")
    canvas.text(middle + 18, 386, "+", size=18)
    canvas.text(0, 417, "context", anchor="start", faint=True)
    canvas.box(middle - 70, 400, 140, 34, found, role="context")
    return canvas


def projections(
    word: str = "shirt",
    features: Sequence[str] = FEATURES,
    vector: Sequence[int] = (0, 0, 1, 1),
    matrices: Sequence[Sequence[Sequence[int]]] = MATRICES,
) -> Canvas:
    """The query, the key and the value of one word: its vector times three learned matrices.

    Parameters
    ----------
    word : str
    features : what the coordinates of its vector stand for
    vector : the word's vector, a row of whole numbers
    matrices : of the query, the key and the value, each with a row a feature
    """
    made = [
        [sum(x * row[j] for x, row in zip(vector, W, strict=True)) for j in range(len(W[0]))]
        for W in matrices
    ]
    canvas = Canvas(
        WIDEST,
        326,
        f"The vector of {word}, {_vector(vector)}, is multiplied by three matrices. "
        + "; ".join(
            f"W_{letter} gives the {name} {_vector(row)}"
            for letter, name, row in zip("QKV", ("query", "key", "value"), made, strict=True)
        )
        + ".",
    )
    wide = 56
    left = (WIDEST - wide * len(vector)) / 2
    canvas.text(left - 10, 44, f"*{word}*", anchor="end", size=16)
    for i, name in enumerate(features):
        canvas.text(left + wide * (i + 0.5), 12, name, size=14, faint=True)
    canvas.matrix(left, 28, [list(vector)], cell=(wide, 30), written=True, digits=0, size=16)
    roles = (("query", "Q", "asks with"), ("key", "K", "is found by"), ("value", "V", "gives"))
    for n, (role, letter, said) in enumerate(roles):
        middle = 74 + 146 * n
        canvas.arrow((WIDEST / 2 + (n - 1) * 60, 62), (middle, 92), role=role)
        W, cell = matrices[n], (38, 26)
        canvas.matrix(middle - 38, 96, W, role=role, cell=cell, written=True, digits=0, size=15)
        canvas.text(middle - 44, 96 + 13 * len(W), f"*W*_{letter}", anchor="end", role=role)
        end = 96 + 26 * len(W)
        canvas.arrow((middle, end + 4), (middle, end + 32), role=role)
        canvas.matrix(
            middle - 38, end + 36, [made[n]], role=role, cell=(38, 30), written=True, digits=0,
            size=16,
        )  # fmt: skip
        canvas.text(middle, end + 86, role, bold=True, role=role)
        canvas.text(middle, end + 108, said, size=14)
    return canvas


def gradients(
    words: Sequence[str] = WORDS,
    states: Sequence[Sequence[float]] = STATES,
    scores: Sequence[float] = (0, 1, 2),
) -> Canvas:
    """Where the context moves when one score rises: its weight's share of the way to that value.

    Parameters
    ----------
    words : S words
    states : their values, S vectors of two coordinates
    scores : their scores
    """
    weights = _softmax(scores)
    context = [sum(a * v[i] for a, v in zip(weights, states, strict=True)) for i in (0, 1)]
    unit = 118

    def place(point: Sequence[float]) -> tuple[float, float]:
        return 132 + unit * point[0], 140 - unit * point[1]

    moves = [
        [a * (v[i] - context[i]) for i in (0, 1)] for a, v in zip(weights, states, strict=True)
    ]
    told = "; ".join(
        f"towards {word} by ({_shown(x, 3)}, {_shown(y, 3)})"
        for word, (x, y) in zip(words, moves, strict=True)
    )
    canvas = Canvas(
        WIDEST,
        280,
        f"The triangle of the values of {', '.join(words)}, and the context in it, from which "
        f"arrows point towards the corners. A rising score moves the context {told}.",
    )
    at = place(context)
    corners = [place(state) for state in states]
    canvas.line(*corners, corners[0], role="value", faint=True)
    for word, a, (x, y), corner in zip(words, weights, moves, corners, strict=True):
        canvas.line(at, corner, dashed=True, faint=True)
        canvas.arrow(at, (at[0] + unit * x, at[1] - unit * y), role="context", thick=2.5)
        canvas.circle(*corner, 6, role="value", shade=0.9)
        x, y = corner[0] + 12, corner[1] - 9
        if x < at[0]:  # the lines leave to the right: above them
            canvas.text(x, y, f"*{word}* {a:.3f}", anchor="start")
        else:
            canvas.text(x, y, f"*{word}*", anchor="start")
            canvas.text(x, y + 18, f"{a:.3f}", anchor="start")
    canvas.circle(*at, 6, role="context", shade=1)
    canvas.text(at[0] - 10, at[1] + 18, "*c*", anchor="end", role="context", size=17)
    return canvas


def triangle(
    words: Sequence[str] = WORDS,
    states: Sequence[Sequence[float]] = STATES,
    contexts: Sequence[Sequence[float]] = ((0.005, 0.575), (1.73, -0.155), (1.73, -0.575)),
    names: Sequence[str] = ("une", "chemise", "rouge"),
) -> Canvas:
    """Where contexts lie: between the states, inside their triangle.

    Parameters
    ----------
    words : three words
    states : their states, three vectors of two coordinates
    contexts : T vectors of two coordinates
    names : T words, of the queries that got them
    """
    unit = 108

    def place(point: Sequence[float]) -> tuple[float, float]:
        return 124 + unit * point[0], 140 - unit * point[1]

    told = "; ".join(
        f"{name} at ({_shown(x, 3)}, {_shown(y, 3)})"
        for name, (x, y) in zip(names, contexts, strict=True)
    )
    canvas = Canvas(
        WIDEST,
        290,
        f"The triangle of the states of {', '.join(words)}, and in it the contexts: {told}.",
    )
    corners = [place(state) for state in states]
    canvas.line(*corners, corners[0], role="value")
    for word, corner in zip(words, corners, strict=True):
        canvas.circle(*corner, 7, role="value", shade=0.9)
        x, y = corner[0] + 13, corner[1] - 10
        canvas.text(x, y, f"*{word}*", anchor="start", role="value", size=17)
    edge = max(x for x, _ in corners)
    for name, context in zip(names, contexts, strict=True):
        x, y = place(context)
        # The names stand outside, where no side crosses them: right of the triangle or above it.
        at = (edge + 10, y + 4) if edge - x < unit else (x + 26, y - 34)
        canvas.line((x, y), at, role="context", dashed=True, faint=True)
        canvas.circle(x, y, 7, role="context", shade=1)
        canvas.text(at[0] + 4, at[1], f"*{name}*", anchor="start", role="context", size=17)
    return canvas


def patterns(
    panels: Sequence[tuple[Sequence[str], Sequence[str], Sequence[Sequence[float]]]] = (
        (
            ("linear,", "any phrase"),
            ("det.", "adj.", "noun"),
            ((1, 0, 0), (0, 0.33, 0.67), (0, 0.67, 0.33)),
        ),
        (("attention,", "a red shirt"), WORDS, ((1, 0, 0), (0, 0, 1), (0, 1, 0))),
    ),
    rows: Sequence[str] = ("first", "second", "third"),
    digits: int = 2,
) -> Canvas:
    """Matrices of weights side by side, their numbers written into the cells.

    Parameters
    ----------
    panels : up to three (lines of a title, names of the columns, weights of shape (T, S))
    rows : T names, which all panels share
    digits : int
        With how many decimals.
    """
    wide, high, left, top = 40, 34, 58, 62
    alt = "; ".join(
        f"{' '.join(title)}: "
        + ", ".join(
            f"{row} on " + " and ".join(f"{n} {_shown(a, digits)}" for n, a in seen)
            for row, weights in zip(rows, matrix, strict=True)
            if (seen := [(n, a) for n, a in zip(names, weights, strict=True) if a >= 0.1])
        )
        for title, names, matrix in panels
    )
    canvas = Canvas(WIDEST, top + high * len(rows) + 4, f"Weights of source words. {alt}.")
    for t, row in enumerate(rows):
        canvas.text(left - 8, top + high * (t + 0.5), row, size=14, anchor="end")
    for n, (title, names, matrix) in enumerate(panels):
        x = left + n * (wide * len(names) + 10)
        for i, line in enumerate(title):
            canvas.text(x + wide * len(names) / 2, 9 + 18 * i, line, size=14, bold=not i)
        for s, name in enumerate(names):
            canvas.text(x + wide * (s + 0.5), top - 10, f"*{name}*", size=14)
        canvas.matrix(x, top, matrix, cell=(wide, high), written=True, digits=digits)
    return canvas


def _softmax(scores: Sequence[float]) -> list[float]:
    raised = [math.exp(e - max(scores)) for e in scores]
    return [x / sum(raised) for x in raised]


def _shown(number: float, digits: int = 0) -> str:
    return f"{number:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _vector(numbers: Sequence[float]) -> str:
    return "(" + ", ".join(_shown(n) for n in numbers) + ")"
