"""Drawings of the two recurrent decoders: when they ask, what they feed, and how they compare."""

from collections.abc import Mapping, Sequence

from attnlib.drawing.canvas import Canvas

WORDS = ("a", "red", "shirt")
TILDE = "h\N{COMBINING TILDE}"
PANELS = {"dot": {"fed": [(0.5, "1 of 2"), (1.0, "2 of 2")]}}


def two_orders(words: Sequence[str] = WORDS) -> Canvas:
    """Bahdanau's decoder and Luong's side by side, with the one arrow that moves.

    >>> two_orders(["a", "red", "shirt"]).width
    440
    """
    canvas = Canvas(
        440,
        304,
        f"Two diagrams of one decoder step that looks at {', '.join(words)}. In both, the old "
        "state and the previous word lead to the new state, and the new state and the context to "
        "the readout. On the left the old state asks, on the right the new state.",
    )
    for x, early in ((1, True), (227, False)):
        _one_order(canvas, x, early, words)
    canvas.line((220, 6), (220, 298), faint=True, dashed=True)
    return canvas


def _one_order(canvas, x, early, words):
    """One decoder step with its corner at (x, 0)."""
    letter = "s" if early else "h"
    canvas.text(x + 106, 12, f"ask {'before' if early else 'after'} the step", bold=True)
    pitch = 212 / len(words)
    for i, word in enumerate(words):
        middle = x + pitch * (i + 0.5)
        canvas.line((middle, 268), (x + 106 + 18 * (i - (len(words) - 1) / 2), 216), role="key")
        canvas.box(middle - pitch / 2 + 3, 268, pitch - 6, 30, f"*{word}*", role="key", size=14)
    canvas.arrow((x + 106, 182), (x + 106, 49), (x + 138, 49), role="context", thick=2)
    canvas.text(x + (94 if early else 92), 154, "*c*_t", role="context")
    canvas.arrow((x + 68, 118), (x + 144, 118))
    canvas.arrow((x + 68, 54), (x + 144, 108))
    canvas.arrow((x + 178, 102), (x + 178, 67))
    start = (x + 34, 135) if early else (x + 178, 135)
    canvas.arrow(start, (x + 80 if early else x + 132, 182), role="query", thick=3.5)
    canvas.text(x + 40 if early else x + 172, 162, "asks", size=14, role="query",
                anchor="end" if early else "start")  # fmt: skip
    canvas.box(x + 2, 34, 66, 30, "*E* *y*_{t-1}", shade=0)
    canvas.box(x + 140, 34, 70, 30, "readout", size=14, shade=0)
    canvas.box(x + 2, 103, 66, 30, f"*{letter}*_{{t-1}}", role="query", shade=0.35 if early else 0)
    canvas.box(x + 146, 103, 64, 30, f"*{letter}*_t", role="query", shade=0 if early else 0.35)
    canvas.box(x + 68, 184, 76, 30, "attend", role="key", size=14)


def steps_moved() -> Canvas:
    """The six steps of a decoder that asks before the step, and of one that asks after it.

    >>> steps_moved().width
    440
    """
    canvas = Canvas(
        440,
        270,
        "Two lists of six steps. Bahdanau: embed the word, score, softmax, context, new state, "
        "readout. Luong: embed the word, new state, score, softmax, context, readout. A dashed "
        "arrow leads from the new state in fifth place on the left to the second on the right.",
    )
    early = ["score: *s*_{t-1} asks", "softmax", "context *c*_t", "new state *s*_t"]
    late = ["new state *h*_t", "score: *h*_t asks", "softmax", "context *c*_t"]
    canvas.arrow((189, 202), (251, 97), thick=2, dashed=True, faint=True)
    for x, name, middle in ((2, "Bahdanau", early), (252, "Luong", late)):
        canvas.text(x + 93, 12, f"{name}: {'before' if x == 2 else 'after'}", bold=True)
        for i, words in enumerate(["embed *y*_{t-1}", *middle, f"readout *{TILDE}*_t"]):
            moved = words.startswith("new")
            role = "query" if moved else "context" if words.startswith("context") else "ink"
            shade = 0.35 if moved else 0.14 if role == "context" else 0
            y = 28 + 40 * i
            canvas.box(x, y, 186, 34, role=role, shade=shade)
            canvas.text(x + 16, y + 17, str(i + 1), size=14, faint=True)
            canvas.text(x + 104, y + 17, words, bold=moved)
    return canvas


def feedings() -> Canvas:
    """What the cell reads beside the previous word: the context, the attentional vector, nothing.

    >>> feedings().height
    310
    """
    canvas = Canvas(
        440,
        310,
        "Three rows. Context in the cell: the cell reads the word's embedding and the context. "
        "Input feeding: it reads the embedding and the previous attentional vector, which was made "
        "of the previous state and context. Nothing: it reads the embedding alone.",
    )
    rows = (
        ("context in the cell", ("*c*", 4), "what a look has found, as it is"),
        ("input feeding", (f"*{TILDE}*_{{t-1}}", 3), "what the previous word was read from"),
        ("none", None, "the cell is told nothing of any look"),
    )
    for i, (name, second, remark) in enumerate(rows):
        y = 104 * i
        canvas.text(2, y + 12, name, anchor="start", bold=True)
        canvas.text(2, y + 86, remark, anchor="start", size=14, faint=True)
        canvas.text(98, y + 31, "*E* *y*_{t-1}", size=14)
        canvas.matrix(70, y + 44, (1, 3), cell=19)
        end = 127
        if second:
            label, cells = second
            canvas.matrix(end, y + 44, (1, cells), role="context", cell=19)
            canvas.text(end + 19 * cells / 2, y + 31, label, size=14, role="context")
            end += 19 * cells
        canvas.arrow((end + 4, y + 54), (236, y + 54), role="context" if second else "ink",
                     thick=2.5)  # fmt: skip
        canvas.box(238, y + 38, 68, 32, "cell", shade=0)
        canvas.text(272, y + 10, "old state", role="query", size=14)
        canvas.arrow((272, y + 20), (272, y + 37), role="query")
        canvas.arrow((308, y + 54), (344, y + 54), role="query")
        canvas.box(346, y + 38, 92, 32, "new state", role="query", size=14)
    return canvas


def one_recurrence(
    read: Sequence[str] = ("<s>", "une", "chemise"),
    written: Sequence[str] = ("une", "chemise", "rouge", "."),
) -> Canvas:
    """One chain of states and looks, and the names that the two orders give to each look.

    >>> one_recurrence(["<s>", "une"], ["une", "chemise", "rouge"]).height
    288
    """
    if len(written) != len(read) + 1:
        raise ValueError(f"{len(read)} words read make {len(read) + 1} looks, got {len(written)}")
    looks = len(written)
    early = [f"c{i + 1} for {word}" for i, word in enumerate(written)]
    late = ["not asked", *(f"c{i + 1} for {word}" for i, word in enumerate(written[:-1]))]
    canvas = Canvas(
        440,
        288,
        "A chain of states, each made from the one before it, the word that is read, and the look "
        "of the one before. Asked before the step, the looks are called "
        f"{', '.join(early)}; asked after the step, {', '.join(late)}: one name further on.",
    )
    pitch = 440 / looks
    for i in range(looks):
        x = pitch * (i + 0.5)
        if i:
            canvas.text(x, 12, f"*{read[i - 1]}*", size=14)
            canvas.arrow((x, 24), (x, 54))
            canvas.arrow((x - pitch + 31, 73), (x - 31, 73))
            canvas.arrow((x - pitch + 24, 130), (x - 24, 92), role="context", thick=3)
        canvas.box(x - 29, 56, 58, 34, f"*s*_{i} = *h*_{i}", role="query", size=14)
        canvas.arrow((x, 92), (x, 129), role="query", thick=3)
        canvas.box(x - 40, 131, 80, 32, f"att(*s*_{i})", role="context", size=14)
        for y, name in ((206, written), (270, ("", *written))):
            number = i + 1 if y == 206 else i
            shown = f"*c*_{number}: *{name[i]}*" if number else "none yet"
            canvas.text(x, y, shown, size=14, role="context" if number else "ink",
                        faint=not number)  # fmt: skip
    for y, when in ((184, "before"), (248, "after")):
        canvas.line((0, y - 13), (440, y - 13), faint=True)
        canvas.text(2, y, f"asked {when} the step, the look is called", anchor="start", size=14,
                    bold=True)  # fmt: skip
    return canvas


def parted_states() -> Canvas:
    """Input feeding under both orders: the states part as soon as what is fed holds a look.

    >>> parted_states().height
    300
    """
    canvas = Canvas(
        440,
        300,
        "Two chains of three states under input feeding. Above, asked before the step: the second "
        "new state is told of the first one and of the look of the initial state. Below, asked "
        "after the step: it is told of the first new state and of that state's own look. The "
        "initial and the first new states are equal, the second ones differ.",
    )
    centres = 52, 190, 388
    for letter, look, y, middle in (("s", 0, 52, 101), ("h", 1, 236, 187)):
        when = "before" if look == 0 else "after"
        inner = y + 17 if look == 0 else y - 17  # the side of the boxes that faces the other chain
        outer = 16 if look == 0 else 284
        canvas.text(2, outer, f"asked {when} the step", anchor="start", bold=True)
        for i, x in enumerate(centres):
            parted = i == 2
            canvas.box(x - 30, y - 17, 60, 34, f"*{letter}*_{i}", role="query",
                       shade=0.35 if parted else 0.14)  # fmt: skip
            if i:
                canvas.arrow((centres[i - 1] + 32, y), (x - 32, y))
        canvas.box(204, middle - 16, 152, 32, f"*{TILDE}*_1: *{letter}*_1, att(*{letter}*_{look})",
                   role="context", size=14)  # fmt: skip
        edge = middle - 16 if look == 0 else middle + 16
        if look == 0:
            canvas.arrow((74, inner), (201, middle - 6), role="query", thick=3)
        canvas.arrow((212, inner), (240, edge), role="query", thick=3 if look else 1.5)
        canvas.arrow((330, edge), (372, inner), role="context", thick=3)
    for x, words in zip(centres, ("equal", "equal", "differ"), strict=True):
        canvas.text(x, 144, words, bold=words == "differ", faint=words == "equal")
    return canvas


def dial_grid(
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, str]]]] = PANELS,
    columns: Sequence[str] = ("before", "after"),
) -> Canvas:
    """Shares from 0 to 1 under three dials: a panel, a row, a column; more colour is more.

    Each cell is a share and a short remark.

    >>> dial_grid().height
    100
    """
    rows = max(map(len, panels.values()))
    said = "; ".join(
        f"{panel}, {row}, {column}: {share:.2f} ({remark})"
        for panel, inside in panels.items()
        for row, cells in inside.items()
        for column, (share, remark) in zip(columns, cells, strict=True)
    )
    canvas = Canvas(440, 46 + 54 * rows, f"A grid of shaded cells. {said}.")
    left, gap = 66, 14
    wide = (438 - left + gap) / len(panels)
    cell = (wide - gap) / len(columns)
    for p, (panel, inside) in enumerate(panels.items()):
        x = left + p * wide
        canvas.text(x + (wide - gap) / 2, 12, panel, bold=True)
        for i, column in enumerate(columns):
            canvas.text(x + cell * (i + 0.5), 34, column, size=14)
        for j, (row, cells) in enumerate(inside.items()):
            y = 46 + 54 * j
            if p == 0:
                canvas.text(left - 8, y + 25, row, size=14, anchor="end")
            for i, (share, remark) in enumerate(cells):
                canvas.box(x + cell * i + 1, y, cell - 2, 50, role="value", shade=0.6 * share**2)
                canvas.text(x + cell * (i + 0.5), y + 16, f"{share:.2f}", bold=True)
                canvas.text(x + cell * (i + 0.5), y + 36, remark, size=14)
    return canvas


def score_pictures() -> Canvas:
    """Four scores as products of small vectors and matrices, with query and key in their colours.

    >>> score_pictures().width
    440
    """
    canvas = Canvas(
        440,
        412,
        "Dot: a query times a key of the same width. General: the query, a matrix W, the key, "
        "which may differ in width. Additive: a matrix W times the query plus a matrix U times the "
        "key, then tanh, then the vector v. Location: a matrix W with a row for each source "
        "position, times the query; no key.",
    )
    cell = 13

    def put(x, middle, rows, columns, letter, role="ink"):
        """A matrix around the middle line, its letter above; where it ends."""
        top = middle - rows * cell / 2
        canvas.matrix(x, top, (rows, columns), role=role, cell=cell)
        canvas.text(x + columns * cell / 2, top - 11, f"*{letter}*", role=role)
        return x + columns * cell + 7

    def say(x, middle, words, wide):
        canvas.text(x + wide / 2, middle, words, size=16)
        return x + wide + 7

    def result(x, middle, rows=1):
        x = say(x, middle, "=", 14)
        canvas.matrix(x, middle - rows * cell / 2, (rows, 1), cell=cell)
        return x + cell + 8

    left = 84
    for name, y in (("dot", 48), ("general", 146), ("additive", 246), ("location", 350)):
        canvas.text(2, y, name, anchor="start", bold=True)
    x = put(left, 48, 1, 4, "q^⊤", "query")
    result(put(x, 48, 4, 1, "k", "key"), 48)
    x = put(left, 146, 1, 3, "q^⊤", "query")
    x = put(x, 146, 3, 5, "W")
    result(put(x, 146, 5, 1, "k", "key"), 146)
    x = put(left, 246, 1, 4, "v^⊤")
    x = say(x, 246, "tanh (", 44)
    x = put(x, 246, 4, 3, "W")
    x = put(x, 246, 3, 1, "q", "query")
    x = say(x, 246, "+", 12)
    x = put(x, 246, 4, 5, "U")
    x = put(x, 246, 5, 1, "k", "key")
    x = say(x, 246, ")", 6)
    result(x, 246)
    x = put(left, 350, 5, 3, "W")
    x = put(x, 350, 3, 1, "q", "query")
    x = result(x, 350, 5)
    canvas.text(x + 6, 350, "a score for each position; no key", anchor="start", size=14,
                faint=True)  # fmt: skip
    return canvas
