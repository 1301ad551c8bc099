"""Drawings of windows: where they stand, what pulls at them, and attention that only moves on."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from attnlib.drawing.canvas import WIDEST, Canvas

WORDS = ("a", "woman", "in", "a", "red", "shirt")
ROWS = {
    "everywhere": (0.0301, 0.2226, 0.0301, 0.0301, 0.0819, 0.6051),
    "local-m": (0, 0, 0, 0.042, 0.114, 0.844),
    "local-p": (0, 0, 0, 0.020, 0.112, 0.613),
    "causal": (0.076, 0.564, 0.076, 0.076, 0.208, 0),
}


def four_windows(
    words: Sequence[str] = WORDS,
    rows: Mapping[str, Sequence[float]] = ROWS,
    places: Mapping[str, float] | None = None,
    reaches: Mapping[str, int] | None = None,
    scores: Sequence[float] = (0, 2, 0, 0, 1, 3),
) -> Canvas:
    """One row of weights a window; what a window hides is crossed out.

    Parameters
    ----------
    words : S words of the source
    rows : the windows' names, and S weights each; a weight of 0 is hidden
    places : where windows stand, in source positions from 0; not all need one
    reaches : how far such a window reaches to either side
    scores : S scores, above the rows
    """
    places = {"local-m": 4, "local-p": 4.2} if places is None else places
    reaches = {"local-m": 1, "local-p": 2} if reaches is None else reaches
    left, cell, high, gap, below = 104, 47, 32, 14, 52
    right = left + cell * len(words)
    told = "; ".join(
        f"{name}: {', '.join('hidden' if not a else f'{a:.2f}' for a in row)}"
        for name, row in rows.items()
    )
    height = 80 + sum(high + (below if name in places else gap) for name in rows)
    listed = ", ".join(f"{e:g}" for e in scores)
    canvas = Canvas(
        WIDEST,
        height,
        f"The scores of {' '.join(words)} are {listed};"
        f" the weights under {len(rows)} windows: {told}.",
    )
    for s, word in enumerate(words):
        canvas.text(left + cell * (s + 0.5), 14, word)
        canvas.text(left + cell * (s + 0.5), 34, str(s), size=14, faint=True)
        canvas.text(left + cell * (s + 0.5), 58, f"{scores[s]:g}", bold=True)
    canvas.text(left - 6, 34, "position *s*", size=14, anchor="end", faint=True)
    canvas.text(left - 6, 58, "score *e*_s", size=14, anchor="end")
    canvas.text(right + 26, 58, "sum", size=14, faint=True)
    y: float = 78
    for name, row in rows.items():
        canvas.text(left - 6, y + high / 2, name, anchor="end")
        canvas.matrix(
            left,
            y,
            [row],
            role="key",
            cell=(cell, high),
            written=True,
            digits=2,
            hidden=[[a == 0 for a in row]],
        )
        canvas.text(right + 26, y + high / 2, f"{sum(row):.2f}")
        y += high
        if name in places:
            x, far = left + cell * (places[name] + 0.5), cell * reaches[name]
            canvas.line(
                (x - far, y + 3), (x - far, y + 9), (x + far, y + 9), (x + far, y + 3), role="query"
            )
            canvas.arrow((x, y + 32), (x, y + 11), role="query", thick=2)
            at = f"*p*_t = {places[name]:g}"
            canvas.text(x - 8, y + 24, at, size=14, anchor="end", role="query")
            canvas.text(x + 8, y + 24, f"*D* = {reaches[name]}", anchor="start", role="query")
        y += below if name in places else gap
    return canvas


def pulls(
    words: Sequence[str] = WORDS,
    centre: float = 4.2,
    reach: float = 2,
    gold: int = 5,
    weights: Sequence[float] = ROWS["local-p"],
) -> Canvas:
    """The Gaussian of a window at `centre`, and which words inside it pull or push the centre.

    The right word pulls, the others push. An arrow is as long as the slope of the word's weight by
    the centre: the weight, times the slope of its logarithm, 4 (s - p) / D².

    Parameters
    ----------
    words : S words of the source
    centre, reach : p and D of the window
    gold : the right word's position
    weights : S weights
    """
    step, ground, tall = 58, 136, 88

    def at(s: float) -> float:
        return 34 + step * s

    def bell(s: float) -> float:
        return math.exp(-2 * (s - centre) ** 2 / reach**2)

    inside = [s for s in range(len(words)) if abs(s - centre) <= reach]
    slopes = {s: weights[s] * 4 * (s - centre) / reach**2 for s in inside}
    does = {s: "pulls" if s == gold else "pushes" for s in inside}
    told = ", ".join(f"{words[s]} {does[s]} {abs(slope):.2f}" for s, slope in slopes.items())
    canvas = Canvas(
        WIDEST,
        214 + 30 * len(inside),
        f"A Gaussian over the words of {' '.join(words)}, with its top at {centre:g}, cut off at a"
        f" distance of {reach:g}. The right word pulls the top towards itself, the others inside"
        f" push it away: {told}. The words outside do neither.",
    )
    low, high = max(0.0, centre - reach), min(len(words) + 0.0, centre + reach)
    canvas.line((at(-0.4), ground), (at(len(words)), ground))
    marks = [low + (high - low) * i / 40 for i in range(41)]
    canvas.line(*((at(s), ground - tall * bell(s)) for s in marks), role="query", thick=2.5)
    for edge in (centre - reach, centre + reach):
        if low <= edge <= high:
            canvas.line((at(edge), ground), (at(edge), ground - tall * bell(edge)), role="query")
            low_edge = edge < centre
            canvas.text(
                at(edge) + (-6 if low_edge else 6),
                ground - 14,
                "*p*_t − *D*" if low_edge else "*p*_t + *D*",
                role="query",
                anchor="end" if low_edge else "start",
            )
    canvas.text(at(centre), ground - tall - 34, f"*p*_t = {centre:g}", role="query", bold=True)
    bottom = ground + 52 + 30 * len(inside)
    canvas.line((at(centre), ground - tall - 20), (at(centre), ground), role="query", dashed=True)
    canvas.line((at(centre), ground + 46), (at(centre), bottom), role="query", dashed=True)
    for s, word in enumerate(words):
        canvas.text(at(s), ground + 16, word, bold=s == gold, faint=s not in slopes)
        canvas.text(at(s), ground + 35, str(s), size=14, faint=True)
        if s in slopes:
            canvas.line((at(s), ground), (at(s), ground - tall * bell(s)), role="key", thick=5)
    for i, s in enumerate(inside):
        y = ground + 66 + 30 * i
        ahead = 1 if (s > centre) == (s == gold) else -1
        tip = at(centre) + ahead * max(14.0, 3 * step * abs(slopes[s]))
        canvas.arrow((at(centre), y), (tip, y), thick=4 if s == gold else 2, role="key")
        name = f"{words[s]} {does[s]}: {abs(slopes[s]):.2f}"
        canvas.text(
            at(centre) - 10 * ahead, y, name, anchor="end" if ahead > 0 else "start", bold=s == gold
        )
    if len(inside) < len(words):
        canvas.text(16, bottom + 10, "outside: neither", anchor="start", faint=True)
    return canvas


def stops(places: Sequence[int] = (1, 1, 3, 4), keys: int = 6, reach: int = 1) -> Canvas:
    """Local-m beside monotonic attention: a band that is fixed, and a reader who decides to stop.

    Parameters
    ----------
    places : where monotonic attention stops for each target word; never back
    keys : source words
    reach : D of local-m
    """
    cell, rows = 26, len(places)
    if any(b < a for a, b in pairwise(places)):
        raise ValueError(f"monotonic attention never goes back, got {list(places)}")
    one, two, top = 30, 30 + cell * keys + 60, 54
    canvas = Canvas(
        two + cell * keys + 24,
        top + cell * rows + 30,
        f"Two grids of {rows} target words by {keys} source words. Left, local-m: a band of cells"
        " along the diagonal. Right, monotonic attention: in each row the cells that are read"
        " are shaded, and one dot marks the stop, at or to the right of the dot above.",
    )
    band = [[float(abs(s - t) <= reach) for s in range(keys)] for t in range(rows)]
    canvas.text(one + cell * keys / 2, 14, "local-m", bold=True)
    canvas.matrix(
        one, top, band, role="query", cell=cell, hidden=[[not a for a in row] for row in band]
    )
    canvas.text(two + cell * keys / 2, 14, "monotonic attention", bold=True)
    start = 0
    for t, stop in enumerate(places):
        y = top + cell * t
        passed = [[float(start <= s <= stop) for s in range(keys)]]
        canvas.matrix(two, y, passed, role="key", cell=cell)
        if stop > start:
            canvas.arrow(
                (two + cell * (start + 0.3), y + cell / 2),
                (two + cell * (stop + 0.25), y + cell / 2),
                role="query",
                thick=2,
            )
        canvas.circle(two + cell * (stop + 0.5), y + cell / 2, 6, role="query", shade=1)
        start = stop
    below = top + cell * rows + 16
    canvas.text(one + cell * keys / 2, below, "stands at *p*_t = *t*")
    canvas.text(two + cell * keys / 2, below, "decides where to stop")
    for left in (one, two):
        canvas.text(left - 16, top + cell * rows / 2, "*t*")
        canvas.text(left + cell * keys / 2, top - 14, "*s*")
    return canvas
