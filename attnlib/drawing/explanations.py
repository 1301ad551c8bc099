"""Drawings of what is asked of a model about one of its answers."""

from collections.abc import Sequence

from attnlib.drawing.canvas import Canvas

QUESTIONS = (
    "weight: how thick is its arrow?",
    "length: how long is what arrives by it?",
    "rollout: what has come through all the layers?",
    "gradient times input: the slope, back at the word",
    "leaving out: read it again without the word",
)


def instruments(
    words: Sequence[str] = ("not", "lovely", "."), weights: Sequence[float] = (0.1, 0.8, 0.1)
) -> Canvas:
    """Where five instruments are applied between three words and the answer.

    >>> instruments().height
    456
    """
    if len(words) != 3 or len(weights) != 3:
        raise ValueError(f"three words and three weights, got {len(words)} and {len(weights)}")
    canvas = Canvas(
        440,
        456,
        f"From the words {', '.join(words)} arrows lead up to their states, also to the "
        "neighbours'; from the states to an average, the thicker the more weight; from there to "
        "the answer y. Five numbers stand where an instrument is applied: 1 at the arrow with most "
        "weight, 2 where it arrives, 3 at a path from the words to the average, 4 at a path from "
        "the answer back to the words, 5 at a word that is crossed out.",
    )
    places = (110, 220, 330)
    for s, (x, word, a) in enumerate(zip(places, words, weights, strict=True)):
        for other in places:
            if other != x:
                ends = (x, 258), (other + (12 if other < x else -12), 204)
                canvas.arrow(*ends, role="key", dashed=True, faint=True)
        canvas.arrow((x, 258), (x, 204), role="key")
        canvas.box(x - 38, 258, 76, 34, word, role="key", bold=True)
        canvas.arrow((x, 168), (220 + (x - 220) * 0.2, 118), role="value", thick=1 + 6 * a)
        canvas.box(x - 32, 170, 64, 34, f"*h*_{s + 1}", role="value")
    canvas.arrow((220, 82), (220, 46))
    canvas.circle(220, 100, 18, "*c*", role="context")
    canvas.box(180, 10, 80, 36, "*y*", role="query")
    canvas.arrow((30, 275), (30, 100), (200, 100), role="value", dashed=True)
    canvas.line((30, 275), (70, 275), role="value", dashed=True)
    canvas.arrow(
        (262, 28), (410, 28), (410, 310), (220, 310), (220, 294), role="query", dashed=True
    )
    canvas.line((76, 262), (144, 288), thick=2).line((76, 288), (144, 262), thick=2)
    marks = ((199, 152), (258, 98), (14, 150), (426, 150), (160, 282))
    for number, ((x, y), question) in enumerate(zip(marks, QUESTIONS), start=1):
        for at in ((x, y), (24, 310 + 26 * number)):
            canvas.circle(*at, 10, str(number), size=14, shade=0.0)
        canvas.text(44, 310 + 26 * number, question, anchor="start", size=15)
    return canvas
