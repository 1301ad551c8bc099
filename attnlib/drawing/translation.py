"""Drawings of the translator that looks back: who asks whom, and what is searched and counted."""

from collections.abc import Collection, Sequence

from attnlib.drawing.canvas import Canvas

Link = tuple[int, int]  # (target position, source position)
Candidate = tuple[str, float, int, bool]  # word, probability so far, parent, whether it is kept
WORDS = ("a", "red", "shirt")
STEPS = ("embed", "score", "softmax", "context", "new state", "readout")


def asking(
    words: Sequence[str] = WORDS,
    scores: Sequence[float] = (0.964, 0.995, 1.757),
    weights: Sequence[float] = (0.236, 0.243, 0.521),
) -> Canvas:
    """One look of a decoder: the state asks every annotation, and the weights mix the answers.

    >>> asking(["a", "red", "shirt"], [1, 1, 2], [0.2, 0.2, 0.6]).height
    306
    """
    shares = ", ".join(f"{word} {a:.2f}" for word, a in zip(words, weights, strict=True))
    canvas = Canvas(
        440,
        306,
        f"The decoder's old state, at the top, is the query. It asks the annotations of "
        f"{', '.join(words)}, which are the keys, and each gets a score. The weights, {shares}, "
        f"mix the annotations, now the values, into the context at the bottom.",
    )
    pitch = 440 / len(words)
    canvas.text(8, 27, "query", anchor="start", role="query", bold=True)
    canvas.text(8, 279, "context", anchor="start", role="context", bold=True)
    for i, (word, e, a) in enumerate(zip(words, scores, weights, strict=True)):
        x = pitch * (i + 0.5)
        near = 220 + (i - (len(words) - 1) / 2) * 40
        slope = (x - near) / 78
        side, shift = ("end", -18) if x < 215 else ("start", 18 if x > 225 else 12)
        canvas.arrow((near, 48), (x, 126), role="query")
        canvas.text(near + slope * 44 + shift, 92, f"*e* = {e:.3f}", anchor=side, size=14)
        canvas.box(x - 50, 128, 100, 50, [f"*h*_{i}", f"*{word}*"], role="key")
        canvas.arrow((x, 180), (near, 258), role="value", thick=1 + 6 * a)
        canvas.text(x - slope * 34 + shift, 214, f"*a* = {a:.3f}", anchor=side, size=14)
    canvas.box(150, 8, 140, 38, "old state *s*_{t-1}", role="query")
    canvas.box(150, 260, 140, 38, "*c*_t", role="context")
    return canvas


def six_steps(words: Sequence[str] = WORDS, previous: str = "une", start: int = 0) -> Canvas:
    """Bahdanau's decoder in six panels, each with the parts that its step uses and makes.

    The words are those of the source from position `start` on.

    >>> six_steps(["a", "red", "shirt"]).height
    592
    """
    canvas = Canvas(
        440,
        592,
        f"Six panels, one for each step of the decoder. Step 1 turns the word before, {previous}, "
        f"into its embedding. Step 2: the old state is compared with the annotations of "
        f"{', '.join(words)}, and each gets a score. Step 3: the softmax turns the scores into "
        "weights. Step 4: the weights mix the annotations into the context. Step 5: embedding, old "
        "state and context make the new state. Step 6: new state, context and embedding make the "
        "probabilities of the next word.",
    )
    canvas.line((220, 4), (220, 588), faint=True)
    for y in (232, 426):
        canvas.line((4, y), (436, y), faint=True)
    for number, name in enumerate(STEPS):
        x, y = 232 * (number % 2), (0, 242, 436)[number // 2]
        canvas.text(x + 2, y + 13, f"{number + 1}  {name}", anchor="start", bold=True, size=17)
    places = [(36 + 68 * i, f"{{t{start + i}}}") for i in range(len(words))]

    def box(x, y, text, role="ink", width=72, height=34):
        canvas.box(x - width / 2, y - height / 2, width, height, text, role=role, size=17)

    # 1: embed
    box(104, 62, f"*{previous}*", width=90)
    canvas.arrow((104, 82), (104, 154), thick=2)
    canvas.text(116, 116, "row of *E*", anchor="start", size=16)
    box(104, 174, "*E* *y*_{t-1}", width=90)
    # 2: score
    box(232 + 104, 50, "*s*_{t-1}", "query")
    for (x, t), word, i in zip(places, words, range(start, start + len(words)), strict=True):
        canvas.arrow((232 + 104 + (x - 104) * 0.35, 69), (232 + x, 106), role="query", thick=2)
        box(232 + x, 134, [f"*h*_{i}", f"*{word}*"], "key", 60, 50)
        canvas.arrow((232 + x, 161), (232 + x, 186), thick=2)
        box(232 + x, 205, f"*e*_{t}", width=60)
    # 3: softmax
    for x, t in places:
        box(x, 294, f"*e*_{t}", width=60)
        canvas.arrow((x, 313), (x, 333), thick=2)
        canvas.arrow((x, 365), (x, 385), thick=2)
        box(x, 403, f"*a*_{t}", width=60, height=32)
    box(104, 349, "softmax", width=196, height=30)
    # 4: context
    for (x, t), i in zip(places, range(start, start + len(words)), strict=True):
        near = 104 + (x - 104) * 0.35
        box(232 + x, 294, f"*h*_{i}", "value", 60)
        canvas.arrow((232 + x, 313), (232 + near, 381), role="value", thick=2)
        middle = 232 + (x + near) / 2
        side, shift = ("end", -10) if x < 100 else ("start", 8)
        canvas.text(middle + shift, 346, f"*a*_{t}", anchor=side, size=16)
    box(232 + 104, 400, "*c*_t", "context")
    # 5 and 6: new state, readout
    for x, parts, made in (
        (0, (("*E* *y*_{t-1}", "ink"), ("*s*_{t-1}", "query"), ("*c*_t", "context")), "*s*_t"),
        (232, (("*E* *y*_{t-1}", "ink"), ("*s*_t", "query"), ("*c*_t", "context")), "*p*(*y*_t)"),
    ):
        for row, (text, role) in enumerate(parts):
            y = 484 + 44 * row
            box(x + 42, y, text, role, 80)
            canvas.arrow((x + 84, y), (x + 124, 528 + 9 * (row - 1)), role=role, thick=2)
        box(x + 164, 528, made, "query" if x == 0 else "ink", 76, 38)
    return canvas


def two_readers(words: Sequence[str] = (*WORDS, "."), marked: int = 1) -> Canvas:
    """A recurrent network that reads forwards and one that reads backwards, and what each has read.

    >>> two_readers(["a", "red", "shirt"], marked=1).height
    232
    """
    marked %= len(words)
    canvas = Canvas(
        440,
        232,
        f"Above the words {', '.join(words)} one network reads from left to right, below them "
        f"another from right to left. A frame around both states at {words[marked]} marks its "
        f"annotation: the upper one has read {' '.join(words[: marked + 1])}, the lower one "
        f"{' '.join(words[marked:])}.",
    )
    pitch = 440 / len(words)
    wide = pitch - 30
    for i, word in enumerate(words):
        x = pitch * (i + 0.5)
        if i == marked:
            canvas.box(x - wide / 2 - 9, 26, wide + 18, 198, role="key", shade=0.06, dashed=True)
            canvas.text(x, 12, f"annotation *h*_{i}", role="key", bold=True)
        canvas.box(x - wide / 2, 36, wide, 42, _read(words[: i + 1]), role="key", size=14)
        canvas.box(x - wide / 2, 172, wide, 42, _read(words[i:]), role="key", size=14)
        canvas.arrow((x, 112), (x, 81)).arrow((x, 138), (x, 169))
        canvas.text(x, 125, f"*{word}*", bold=True)
        if i:
            canvas.arrow((x - pitch + wide / 2 + 2, 57), (x - wide / 2 - 2, 57))
            canvas.arrow((x - wide / 2 - 2, 193), (x - pitch + wide / 2 + 2, 193))
    return canvas


def _read(words: Sequence[str]) -> list[str]:
    """What has been read, in two lines if it is long."""
    text = " ".join(words)
    if len(text) <= 13:
        return [text]
    cut = text.rindex(" ", 0, 14)
    return [text[:cut], text[cut + 1 :]]


def padded_batch(sentences: Sequence[Sequence[str]] = (WORDS, ("dogs",))) -> Canvas:
    """Sentences of unequal length as a rectangle, and the mask that says which words are real.

    >>> padded_batch([["a", "red", "shirt"], ["dogs"]]).width
    440
    """
    longest = max(map(len, sentences))
    rows = len(sentences)
    canvas = Canvas(
        440,
        76 + 64 * rows,
        f"A batch of {rows} sentences as a rectangle of {longest} columns; the ends of the shorter "
        "ones are filled with padding. Below it the mask: true at each word, false at padding.",
    )
    wide, high = 440 / longest, 30
    below = 62 + rows * high
    canvas.text(3, 11, "source ids", anchor="start", bold=True)
    canvas.text(3, below - 12, "mask", anchor="start", bold=True)
    for i, sentence in enumerate(sentences):
        for j in range(longest):
            x, real = j * wide + 2, j < len(sentence)
            canvas.box(x, 24 + i * high, wide - 4, 26, sentence[j] if real else "pad", size=14,
                       role="key" if real else "ink", shade=0.14 if real else 0,
                       dashed=not real)  # fmt: skip
            canvas.box(x, below + 2 + i * high, wide - 4, 26, "true" if real else "false", size=14,
                       role="key" if real else "ink", shade=0.5 if real else 0,
                       dashed=not real)  # fmt: skip
    return canvas


def beam(
    beginning: tuple[str, float] = ("porte", 0.6),
    steps: Sequence[Sequence[Candidate]] = (
        (("un", 0.3, 0, True), ("une", 0.25, 0, True), ("la", 0.01, 0, False)),
        (("chemise", 0.2, 1, True), ("pull", 0.1, 0, True), ("polo", 0.05, 0, False)),
    ),
) -> Canvas:
    """A beam search, a column for each step: every candidate with an arrow from its parent.

    A candidate is its word, the probability of the sentence so far, the row of its parent among the
    candidates of the step before, and whether it is kept.

    >>> first = [("un", 0.24, 0, True), ("du", 0.22, 0, False)]
    >>> beam(("utilise", 0.83), [first, [("pull", 0.1, 0, True)]]).width
    440
    """
    rows = max(map(len, steps))
    told = "; then ".join(
        ", ".join(
            f"{word} {p:.2f} ({'kept' if kept else 'dropped'})" for word, p, _, kept in candidates
        )
        for candidates in steps
    )
    canvas = Canvas(
        440,
        28 + 62 * rows,
        f"A beam search after {beginning[0]}, {beginning[1]:.2f}. The candidates: {told}.",
    )
    columns = [[beginning[0]], *([word for word, *_ in step] for step in steps)]
    widths = [8 * max(3, *map(len, words)) + 14 for words in columns]
    gap = (438 - sum(widths)) / max(1, len(steps))
    left = 0.0
    middle = 28 + 62 * rows / 2 - 10
    canvas.box(1, middle - 22, widths[0] - 2, 44, [beginning[0], f"{beginning[1]:.2f}"], size=14)
    parents: list[tuple[float, float]] = [(widths[0], middle)]
    for number, (candidates, before, wide) in enumerate(
        zip(steps, widths, widths[1:], strict=False), 1
    ):
        left += before + gap
        canvas.text(left + wide / 2, 10, f"step {number}", size=14, faint=True)
        places: list[tuple[float, float]] = []
        for row, (word, p, parent, kept) in enumerate(candidates):
            y = 28 + 62 * row + 22 + 31 * (rows - len(candidates))
            x0, y0 = parents[parent]
            canvas.arrow((x0 + 2, y0), (left - 2, y), thick=2 if kept else 1, faint=not kept)
            canvas.box(left, y - 22, wide, 44, [word, f"{p:.2f}"], size=14, bold=kept,
                       shade=0.16 if kept else 0, dashed=not kept)  # fmt: skip
            places.append((left + wide, y))
        parents = places
    return canvas


def links(
    source: Sequence[str] = WORDS,
    target: Sequence[str] = ("une", "chemise", "rouge"),
    sure: Collection[Link] = ((1, 2), (2, 1)),
    possible: Collection[Link] = ((0, 0),),
    found: Collection[Link] = ((0, 0), (1, 2)),
) -> Canvas:
    """An alignment as a table: sure and possible links, and those that a model found.

    >>> links(["a", "dog"], ["un", "chien"], {(0, 0), (1, 1)}, set(), {(0, 0)}).width
    440
    """

    def said(those):
        return ", ".join(f"{target[t]} to {source[s]}" for t, s in sorted(those)) or "none"

    top, left, cell = 34, 74, 44
    canvas = Canvas(
        440,
        top + cell * len(target) + 8,
        f"A table with a row for each target word and a column for each source word. Sure links: "
        f"{said(sure)}. Possible links: {said(possible)}. Found by the model: {said(found)}.",
    )
    for s, word in enumerate(source):
        canvas.text(left + cell * (s + 0.5), 16, word, size=14)
    for t, word in enumerate(target):
        canvas.text(left - 8, top + cell * (t + 0.5), word, anchor="end", size=14)
        for s in range(len(source)):
            x, y = left + cell * s, top + cell * t
            _link(canvas, x, y, cell, (t, s) in sure, (t, s) in possible, (t, s) in found)
    x = left + cell * len(source) + 18
    for i, (name, kinds) in enumerate(
        [("sure", (1, 0, 0)), ("possible", (0, 1, 0)), ("found", (0, 0, 1))]
    ):
        _link(canvas, x, top + 48 * i, 40, *kinds)
        canvas.text(x + 50, top + 48 * i + 20, name, anchor="start")
    return canvas


def _link(canvas, x, y, side, sure, possible, found):
    """One cell of an alignment's table."""
    canvas.box(x + 3, y + 3, side - 6, side - 6, shade=0.3 if sure else 0.0,
               dashed=possible and not sure, role="value" if sure or possible else "ink"
               )  # fmt: skip
    if found:
        canvas.circle(x + side / 2, y + side / 2, side / 5, role="query", shade=0.9)


def shares(
    source: Sequence[str] = ("a", "dog"),
    target: Sequence[str] = ("un", "chien"),
    rounds: Sequence[tuple[str, Sequence[Sequence[float]]]] = (
        ("round 1", ((0.5, 0.5), (0.5, 0.5))),
        ("round 2", ((0.7, 0.3), (0.3, 0.7))),
    ),
) -> Canvas:
    """How Model 1 shares out each target word among the source words, round by round.

    Each round is its name and its shares (T, S); a share is the thickness of a line.

    >>> even = [[0.5, 0.5], [0.5, 0.5]]
    >>> shares(["a", "dog"], ["un", "chien"], [("round 1", even)]).height
    186
    """
    last_name, last = rounds[-1]
    told = "; ".join(
        f"{f}: " + ", ".join(f"{e} {p:.2f}" for e, p in zip(source, row, strict=True))
        for f, row in zip(target, last, strict=True)
    )
    canvas = Canvas(
        440,
        186,
        f"Lines between source and target words, as thick as the shares of the target words, for "
        f"{len(rounds)} rounds. In {last_name}: {told}.",
    )
    wide = 440 / len(rounds)
    for r, (name, table) in enumerate(rounds):
        x = wide * r
        canvas.text(x + wide / 2, 12, name, bold=True)
        above, below = ((wide - 6) / len(row) for row in (source, target))
        tops = [x + 3 + above * (s + 0.5) for s in range(len(source))]
        ends = [x + 3 + below * (t + 0.5) for t in range(len(target))]
        for t, row in enumerate(table):
            for s, p in enumerate(row):
                canvas.line((tops[s], 66), (ends[t], 152), thick=0.4 + 9 * p, faint=p < 0.25)
        for top, word in zip(tops, source, strict=True):
            canvas.box(top - above / 2 + 2, 36, above - 4, 30, word, role="key", size=14)
        for end, word in zip(ends, target, strict=True):
            canvas.box(end - below / 2 + 2, 152, below - 4, 30, word, role="query", size=14)
    return canvas
