"""Drawings of the transformer (chapter 09): the model, its norms and its training."""

from collections.abc import Sequence

from attnlib.drawing.canvas import Canvas

TRUNK = 3.0  # how thick the residual stream is drawn


def transformer_model(layers: int = 4) -> Canvas:
    """The whole model, pre-norm: encoder and decoder, with their blocks `layers` times."""
    canvas = Canvas(
        440,
        566,
        "Two vertical lines from words at the bottom to the output at the top. On the left the "
        f"encoder, whose block is repeated {layers} times: layer norm and self-attention, added "
        "back to the line; layer norm and feed-forward, added back. Then a last layer norm. On "
        f"the right the decoder, whose block is repeated {layers} times: layer norm and masked "
        "self-attention; layer norm and cross-attention; layer norm and feed-forward, each added "
        "back. Keys and values of the cross-attention come from the encoder's output. Above the "
        "decoder a layer norm, the embedding matrix with a softmax, and the next word.",
    )
    sides = (
        (30, 62, "source words", "encoder", ("self-attention", "feed-forward")),
        (
            410,
            248,
            "target words so far",
            "decoder",
            ("masked self-attn.", "cross-attention", "feed-forward"),
        ),
    )
    for trunk, left, words, name, parts in sides:
        right = trunk > 200
        edge, out = (left + 130, -1) if right else (left, 1)  # where a part faces the trunk
        middle, top = left + 65, 466 - 100 * len(parts) - 22
        canvas.text(332 if right else 108, 554, words, faint=True)
        canvas.box(236 if right else 12, top, 192, 472 - top, dashed=True, shade=0.04)
        canvas.text(middle, top + 15, f"{name} block × {layers}", bold=True)
        pluses = [460 - 100 * k - 64 for k in range(len(parts))]
        _trunk(canvas, trunk, 504, top - 27, [(y + 10, y - 10) for y in pluses])
        canvas.box(236 if right else 12, 504, 192, 34, "embedding + position")
        canvas.line((trunk, top - 27), (edge - 8 * out, top - 27), thick=TRUNK, faint=True)
        canvas.arrow((edge - 12 * out, top - 27), (edge, top - 27))
        canvas.box(left, top - 40, 130, 26, "layer norm", shade=0.08)
        for k, part in enumerate(parts):
            base = 460 - 100 * k
            canvas.arrow((trunk, base - 17), (edge, base - 17))
            canvas.box(left, base - 30, 130, 26, "layer norm", shade=0.08)
            if part == "feed-forward":
                canvas.arrow((middle, base - 30), (middle, base - 46))
            else:
                roles = ("query",) if part == "cross-attention" else ("query", "key", "value")
                for i, role in enumerate(roles):
                    x = middle + 24 * (i - (len(roles) - 1) / 2)
                    canvas.arrow((x, base - 30), (x, base - 46), role=role)
            attends = part != "feed-forward"
            canvas.box(left, base - 82, 130, 36, part, role="query" if attends else "ink")
            role = "context" if attends else "ink"
            canvas.arrow((edge, base - 64), (trunk + 11 * out, base - 64), role=role)
            canvas.circle(trunk, base - 64, 10, "+", role=role, shade=0.0)
    # the encoder's output, to every cross-attention
    canvas.text(127, 194, "annotations *h*")
    canvas.arrow((192, 211), (223, 211), (223, 288), (248, 288), role="key")
    canvas.arrow((192, 223), (213, 223), (213, 304), (248, 304), role="value")
    canvas.arrow((313, 104), (313, 92))
    canvas.box(248, 56, 130, 36, "× *E*, softmax")
    canvas.arrow((313, 56), (313, 40))
    return canvas.text(313, 26, "next word", bold=True)


def norms() -> Canvas:
    """Pre-norm and post-norm, two sublayers of each."""
    canvas = Canvas(
        440,
        330,
        "Two vertical lines side by side. On the left, pre-norm: the line runs unbroken from "
        "bottom to top, and each side road has a layer norm, then a sublayer f, then a plus on "
        "the line. On the right, post-norm: each side road has only f, and a layer norm stands "
        "on the line itself above each plus.",
    )
    for left, name in ((0, "pre-norm"), (236, "post-norm")):
        pre, trunk = name == "pre-norm", left + 40
        canvas.text(left + 104, 16, name, bold=True)
        gaps = []
        canvas.text(trunk, 318, "*x*")
        for base in (296, 166):
            if pre:
                canvas.arrow((trunk, base - 17), (left + 84, base - 17))
                canvas.box(left + 84, base - 31, 110, 28, "layer norm", role="key")
                canvas.arrow((left + 139, base - 31), (left + 139, base - 55))
                canvas.box(left + 84, base - 83, 110, 28, "*f*")
                plus = base - 69
            else:
                canvas.arrow(
                    (trunk, base - 3), (left + 139, base - 3), (left + 139, base - 26), thick=1.5
                )
                canvas.box(left + 84, base - 54, 110, 28, "*f*")
                plus = base - 40
            canvas.arrow((left + 84, plus), (trunk + 11, plus))
            canvas.circle(trunk, plus, 10, "+", shade=0.0)
            gaps.append((plus + 10, plus - 10))
            if not pre:
                canvas.box(left - 10, base - 106, 100, 28, "layer norm", role="key")
                gaps.append((base - 78, base - 106))
        _trunk(canvas, trunk, 306, 52, gaps)
        canvas.arrow((trunk, 52), (trunk, 34), thick=TRUNK, faint=True)
    return canvas


def masked_training(
    given: Sequence[str] = ("<s>", "Un", "homme", "rit"),
    due: Sequence[str] = ("Un", "homme", "rit", "</s>"),
) -> Canvas:
    """The decoder's rows in training: what each may see, and what it must say.

    Parameters
    ----------
    given, due : sequences of as many words
        What the decoder is given, and what it must say in each row.
    """
    if len(given) != len(due):
        raise ValueError(f"{len(given)} words given, {len(due)} due")
    T = len(given)
    cell, left, top = 60, 78, 60
    canvas = Canvas(
        440,
        top + 34 * T + 36,
        f"A matrix with a row and a column for each of {', '.join(given)}. Row t is shaded up to "
        "column t and crossed out behind it. From each row an arrow leads to the word that is "
        f"due: {', '.join(due)}.",
    )
    canvas.text(left + cell * T / 2, 16, "may look at", faint=True)
    canvas.text(left - 10, top - 14, "given", faint=True, anchor="end")
    canvas.text(left + cell * T + 40, top - 14, "must say", faint=True, anchor="start")
    hidden = [[s > t for s in range(T)] for t in range(T)]
    canvas.matrix(left, top, (T, T), role="key", cell=(cell, 34), hidden=hidden)
    for t in range(T):
        y = top + 34 * t + 17
        canvas.text(left + cell * (t + 0.5), top - 14, given[t])
        canvas.text(left - 10, y, given[t], anchor="end", role="query")
        canvas.arrow((left + cell * T + 6, y), (left + cell * T + 34, y), role="context")
        canvas.text(left + cell * T + 40, y, due[t], anchor="start", bold=True)
    return canvas.text(left + cell * T / 2, top + 34 * T + 20, f"one pass, {T} losses", faint=True)


def _trunk(canvas: Canvas, x: float, low: float, high: float, gaps) -> None:
    """A thick line upwards that leaves out the gaps, from (lower end, upper end)."""
    for start, end in sorted(gaps, reverse=True):
        canvas.line((x, low), (x, start), thick=TRUNK, faint=True)
        low = end
    canvas.line((x, low), (x, high), thick=TRUNK, faint=True)
