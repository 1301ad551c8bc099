"""Drawings of an average against a choice: what each earns, learns from, and may answer."""

import math
from collections.abc import Mapping, Sequence

from attnlib.drawing.canvas import ROLES, WIDEST, Canvas

MINUS = "\N{MINUS SIGN}"
VALUES, SHARES, TARGET = (0, 4, 8), (0.5, 0.25, 0.25), 2
NUDGES = {
    "b = 0": ((-1, 0.5, 0.5), (1, -1.5, 0.5), (9, 4.5, -13.5)),
    "b = −6": ((2, -1, -1), (-2, 3, -1), (6, 3, -9)),
}
FRACTIONS = {0.5: "½", 0.25: "¼", 1 / 3: "⅓"}
OBJECTS = (
    ("blue circle", "query", True),
    ("green triangle", "value", False),
    ("orange square", "key", True),
    ("pink triangle", "context", False),
)


def average_or_choice(
    values: Sequence[float] = VALUES,
    weights: Sequence[float] = SHARES,
    target: float = TARGET,
) -> Canvas:
    """Values on a line, their average, and a choice of one, with the reward of each.

    The reward of a context c is -(c - target)² / 2.
    """
    reach = max(*values, target) - min(*values, target)

    def at(v: float) -> float:
        return 96 + 300 * (v - min(*values, target)) / reach

    def reward(v: float) -> float:
        return -((v - target) ** 2) / 2

    mean = sum(a * v for a, v in zip(weights, values, strict=True))
    expected = sum(a * reward(v) for a, v in zip(weights, values, strict=True))
    told = ", ".join(
        f"{v:g} with weight {_share(a)} earns {reward(v):g}"
        for v, a in zip(values, weights, strict=True)
    )
    canvas = Canvas(
        WIDEST,
        274,
        f"Values on a line; {target:g} is wanted. The average {mean:g} earns {reward(mean):g}."
        f" A choice: {told}; {expected:g} on average.",
    )
    canvas.text(at(target), 12, f"wanted: *y* = {target:g}", bold=True)
    canvas.line((at(target), 26), (at(target), 222), dashed=True)
    canvas.line((at(min(*values, target)) - 22, 82), (at(max(*values, target)) + 22, 82))
    canvas.text(66, 56, "values", anchor="end")
    for v, a in zip(values, weights, strict=True):
        canvas.circle(at(v), 56, 28 * math.sqrt(a), role="value", shade=0.3)
        canvas.text(at(v), 56, _share(a))
        canvas.text(at(v), 98, f"{v:g}", size=14)
    canvas.text(66, 138, "average", anchor="end")
    canvas.circle(at(mean), 138, 9, role="context", shade=0.9)
    canvas.text(
        at(mean) + 18, 138, f"{mean:g} earns {_signed(reward(mean))}", anchor="start", bold=True
    )
    canvas.text(66, 190, "choice", anchor="end")
    for v in values:
        canvas.circle(at(v), 190, 9, role="value", shade=0.9)
        words = f"earns {_signed(reward(v))}"
        canvas.text(at(v), 214, words, size=14, anchor="middle")
    canvas.text(at(values[0]) - 22, 252, "on average:", anchor="start")
    canvas.text(at(values[0]) + 66, 252, _signed(expected), anchor="start", bold=True)
    return canvas


def nudges(
    estimates: Mapping[str, Sequence[Sequence[float]]] = NUDGES,
    weights: Sequence[float] = SHARES,
) -> Canvas:
    """What one draw does to the scores: an arrow up or down for each score, and the mean of all.

    Parameters
    ----------
    estimates : a panel each, with its name: a row for each key that may be drawn, of one number
        for each score
    weights : the probability of each row
    """
    wide, high, left, top = 63, 52, 54, 58
    keys = len(weights)
    across = wide * keys
    told = []
    for name, rows in estimates.items():
        shown = "; ".join(
            f"key {k + 1} drawn: {', '.join(f'{x:+g}' for x in row)}" for k, row in enumerate(rows)
        )
        told.append(f"{name}. {shown}.")
    canvas = Canvas(
        left + (across + 4) * len(estimates),
        top + high * (keys + 1) + 12,
        "The score-function estimate for each key that may be drawn, as arrows up or down beside"
        f" the scores. {' '.join(told)}",
    )
    largest = max(abs(x) for rows in estimates.values() for row in rows for x in row)
    for k, a in enumerate(weights):
        y = top + high * (k + 0.5)
        canvas.text(4, y - 9, f"key {k + 1}", anchor="start", size=14)
        canvas.text(4, y + 10, f"prob. {_share(a)}", anchor="start", size=14, faint=True)
    canvas.text(4, top + high * (keys + 0.5) + 6, "mean", anchor="start", bold=True)
    for panel, (name, rows) in enumerate(estimates.items()):
        x0 = left + (across + 4) * panel
        mean = [sum(a * row[j] for a, row in zip(weights, rows, strict=True)) for j in range(keys)]
        canvas.text(x0 + across / 2, 12, name.replace("b", "*b*", 1), bold=True)
        for j in range(keys):
            canvas.text(x0 + wide * (j + 0.5), 40, f"*e*_{j + 1}")
        for i, row in enumerate([*rows, mean]):
            y = top + high * (i + 0.5) + (6 if i == keys else 0)
            for j, value in enumerate(row):
                x = x0 + wide * j + 12
                half = 5 + 17 * math.sqrt(abs(value) / largest)
                ends = ((x, y + half), (x, y - half))
                canvas.arrow(
                    *(ends if value > 0 else ends[::-1]),
                    role="query" if value > 0 else "context",
                    thick=3,
                )
                canvas.text(x + 9, y, _signed(value), anchor="start", size=14, bold=i == keys)
        if panel:
            canvas.line((x0 + 1, 30), (x0 + 1, top + high * (keys + 1) + 8), faint=True)
    line = top + high * keys + 4
    canvas.line((0, line), (left + across * len(estimates), line), faint=True)
    return canvas


def either(
    answers: Mapping[str, Sequence[float]] | None = None,
    objects: Sequence[tuple[str, str, bool]] = OBJECTS,
) -> Canvas:
    """Two marked objects of four, and, if given, how probable each pair of colour and shape is.

    Parameters
    ----------
    answers : ways to choose, each with four probabilities: both of the first marked object, its
        colour with the other's shape, its shape with the other's colour, both of the other
    objects : (colour and shape, role of the colour, marked or not); two are marked
    """
    first, second = (each for each in objects if each[2])
    (one, shape_one), (two, shape_two) = first[0].split(), second[0].split()
    pairs = [
        (first[1], shape_one, f"{one} {shape_one}", True),
        (first[1], shape_two, f"{one} {shape_two}", False),
        (second[1], shape_one, f"{two} {shape_one}", False),
        (second[1], shape_two, f"{two} {shape_two}", True),
    ]
    told = f"Four objects; {first[0]} and {second[0]} are marked."
    for name, row in (answers or {}).items():
        said = ", ".join(f"{pair[2]} {p:.2f}" for pair, p in zip(pairs, row, strict=True))
        told += f" {name}: {said}."
    height = 98 + (92 + 40 * len(answers) if answers else 0)
    canvas = Canvas(WIDEST, height, told)
    step = WIDEST / len(objects)
    for i, (_name, role, marked) in enumerate(objects):
        x = step * (i + 0.5)
        if marked:
            canvas.box(x - 34, 6, 68, 60, shade=0, dashed=True)
            canvas.text(x, 82, "marked", bold=True)
        _shape(canvas, x, 36, _name.split()[1], role, 18)
    if not answers:
        return canvas
    left, cell, top = 108, 83, 150
    canvas.line((0, 100), (WIDEST, 100), faint=True)
    canvas.text(0, 126, "answer:", anchor="start")
    for j, (role, shape, _said, right) in enumerate(pairs):
        x = left + cell * (j + 0.5)
        _shape(canvas, x, 124, shape, role, 13)
        canvas.text(x, 152, "right" if right else "wrong", size=14, bold=right, faint=not right)
    for i, (name, row) in enumerate(answers.items()):
        y = top + 40 * (i + 0.5) + 14
        canvas.text(0, y, name, anchor="start")
        for j, p in enumerate(row):
            x = left + cell * (j + 0.5)
            if p:
                canvas.box(x - 32, y - 15, 64, 30, f"{p:.2f}", shade=0.08 + 0.4 * p)
            else:
                canvas.text(x, y, "0", faint=True)
    return canvas


def where_to_average(keys: int = 3) -> Canvas:
    """Above, the values are averaged and read once; below, each is read, and then averaged."""
    canvas = Canvas(
        WIDEST,
        296,
        "Two ways from values to an answer. Above, soft: the values go into one average, the"
        " average is read once, and gives the answer. Below: each value is read by itself, and the"
        " answers are averaged.",
    )
    for row, (title, top) in enumerate((("average the values", 0), ("average the answers", 148))):
        canvas.text(0, top + 12, title, anchor="start", bold=True)
        middle = top + 82
        for k in range(keys):
            y = middle + 36 * (k - (keys - 1) / 2)
            canvas.vector(8, y - 8, 3, role="value", upright=False)
            if row == 0:
                canvas.arrow((62, y), (134, middle + 5 * (k - (keys - 1) / 2)))
            else:
                canvas.arrow((62, y), (104, y))
                canvas.box(106, y - 14, 64, 28, "read")
                canvas.arrow((172, y), (262, middle + 5 * (k - (keys - 1) / 2)))
        if row == 0:
            canvas.circle(158, middle, 23, "mean", role="context", size=14)
            canvas.arrow((182, middle), (222, middle))
            canvas.box(224, middle - 14, 64, 28, "read")
            canvas.arrow((290, middle), (340, middle))
        else:
            canvas.circle(286, middle, 23, "mean", role="context", size=14)
            canvas.arrow((310, middle), (340, middle))
        canvas.text(346, middle, "*p*(*y*)", anchor="start")
    canvas.line((0, 142), (WIDEST, 142), faint=True)
    return canvas


def _signed(value: float) -> str:
    return f"{value:g}".replace("-", MINUS)


def _share(weight: float) -> str:
    return FRACTIONS.get(weight, f"{weight:g}")


def _shape(canvas: Canvas, x: float, y: float, shape: str, role: str, size: float) -> None:
    """A circle, a square or a triangle around (x, y), filled."""
    if shape == "circle":
        canvas.circle(x, y, size, role=role, shade=0.75)
    elif shape == "square":
        canvas.box(x - size * 0.9, y - size * 0.9, size * 1.8, size * 1.8, role=role, shade=0.75)
    elif shape == "triangle":
        colour = f"var(--attn-{role}, {ROLES[role]})"
        corners = ((x, y - size), (x + size, y + size * 0.8), (x - size, y + size * 0.8))
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
        canvas.parts.append(
            f'<polygon points="{points}" fill="{colour}" fill-opacity="0.75" stroke="{colour}"'
            ' stroke-width="1.5" stroke-linejoin="round"/>'
        )
    else:
        raise ValueError(f"a shape is a circle, a square or a triangle, got {shape!r}")
