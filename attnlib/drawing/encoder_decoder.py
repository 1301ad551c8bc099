"""Drawings of the encoder-decoder: its steps one by one, its gates, and the gradient's way.

Throughout, the encoder is orange, the decoder blue and the vector between them pink. `reader` and
`writer` put the two rows on any canvas, so that other drawings can have the same look.
"""

import textwrap
from collections.abc import Sequence
from itertools import pairwise

from attnlib.drawing.canvas import WIDEST, Canvas

SOURCE = ("a", "red", "shirt", "</s>")
TARGET = ("une", "chemise", "rouge", "</s>")
LONG = (
    "A man in a red shirt rides a white horse while two women in blue dresses"
    " and a small boy with a yellow hat watch him."
)
LOST = (
    "Un homme en T-shirt rouge joue à une voiture tandis qu'une femme en"
    " T-shirt jaune et blanche avec un petit enfant en arrière-plan."
)
START, BOX, STEP, LEFT = "<s>", 62, 96, 56


def centre(i: int) -> float:
    """The middle of column i in a drawing of states."""
    return LEFT + BOX / 2 + STEP * i


def half(word: str) -> float:
    """About half of a word's width, in type of 15 units."""
    return sum(13 if letter in "mw" else 4 if letter in "ijl" else 8.4 for letter in word) / 2


def reader(canvas: Canvas, words: Sequence[str], top: float = 12, letter: str = "h") -> Canvas:
    """The encoder's row: words at `top`, and below each the hidden state after it, left to right.

    The states are boxes 36 high whose tops are 32 below `top`.
    """
    y = top + 32
    for i, word in enumerate(words):
        canvas.text(centre(i), top, word)
        canvas.arrow((centre(i), top + 11), (centre(i), y - 1))
        canvas.box(centre(i) - BOX / 2, y, BOX, 36, f"*{letter}*_{i}", role="key")
    for i, _ in pairwise(range(len(words))):
        canvas.arrow((centre(i) + BOX / 2, y + 18), (centre(i + 1) - BOX / 2 - 1, y + 18))
    return canvas


def writer(
    canvas: Canvas,
    read: Sequence[str],
    written: Sequence[str],
    top: float,
    fed: bool = False,
    dashed: bool = False,
) -> Canvas:
    """The decoder's row: the words it reads at `top`, its states, and the words it writes below.

    The states are boxes 36 high whose tops are 32 below `top`. `fed` draws a line from each word
    that is written to the next one that is read.
    """
    y = top + 32
    for i, (word, out) in enumerate(zip(read, written, strict=True)):
        canvas.text(centre(i), top, word)
        canvas.arrow((centre(i), top + 11), (centre(i), y - 1))
        canvas.box(centre(i) - BOX / 2, y, BOX, 36, f"*s*_{i}", role="query")
        canvas.arrow((centre(i), y + 36), (centre(i), y + 59))
        canvas.text(centre(i), y + 70, out, bold=True)
    for i, _ in pairwise(range(len(read))):
        canvas.arrow((centre(i) + BOX / 2, y + 18), (centre(i + 1) - BOX / 2 - 1, y + 18))
        if fed:
            between = centre(i) + STEP / 2
            start, end = centre(i) + half(written[i]) + 5, centre(i + 1) - half(read[i + 1]) - 4
            canvas.arrow(
                (min(start, between), y + 70),
                (between, y + 70),
                (between, top),
                (max(end, between + 9), top),
                role="query",
                dashed=dashed,
            )
    return canvas


def one_arrow(source: str = LONG, target: str = LOST, width: int = 8) -> Canvas:
    """What was read, what was written, and the one arrow between encoder and decoder.

    Parameters
    ----------
    source, target : str
        The sentence, and its translation.
    width : int
        Cells of the vector that is drawn on the arrow.
    """
    above, below = (textwrap.wrap(text, 52) for text in (source, target))
    y = 22 + 22 * len(above) + 24
    canvas = Canvas(
        WIDEST,
        y + 94 + 22 * len(below),
        f"An encoder reads: {source} One arrow, which carries a single vector, leads from the"
        f" encoder to a decoder. The decoder writes: {target}",
    )
    for i, line in enumerate(above):
        canvas.text(16, 18 + 22 * i, line, anchor="start")
    canvas.arrow((72, y - 30), (72, y - 2))
    canvas.box(12, y, 120, 56, ["encoder", "reads"], role="key")
    canvas.box(WIDEST - 132, y, 120, 56, ["decoder", "writes"], role="query")
    cell = 12
    start = (WIDEST - cell * width) / 2
    canvas.arrow((132, y + 28), (start - 4, y + 28), role="context", thick=3)
    canvas.vector(start, y + 22, width, role="context", cell=cell, upright=False)
    canvas.arrow(
        (start + cell * width + 4, y + 28), (WIDEST - 134, y + 28), role="context", thick=3
    )
    canvas.text(WIDEST / 2, y + 50, "one vector", role="context", bold=True)
    canvas.arrow((WIDEST - 72, y + 56), (WIDEST - 72, y + 84))
    for i, line in enumerate(below):
        canvas.text(16, y + 102 + 22 * i, line, anchor="start")
    return canvas


def halving(
    words: Sequence[str] = ("a", "red", "shirt"),
    states: Sequence[Sequence[float]] = ((1, 0, 0), (0.5, 1, 0), (0.25, 0.5, 1)),
) -> Canvas:
    """A vector with one cell for each word of a vocabulary, halved before a word is added.

    Parameters
    ----------
    words : the words read, which are the vocabulary too
    states : the vector after each of them
    """
    told = "; ".join(
        f"after {word}: {', '.join(f'{x:g}' for x in state)}"
        for word, state in zip(words, states, strict=True)
    )
    high = 34
    canvas = Canvas(
        WIDEST,
        60 + high * len(states[0]),
        f"The vector after each word. {told}. Each step halves all cells and adds 1 to its own.",
    )
    step = (WIDEST - 100) / len(words)
    for row, word in enumerate(words):
        canvas.text(52, 48 + high * (row + 0.5), word, anchor="end")
    for i, (word, state) in enumerate(zip(words, states, strict=True)):
        x = 66 + step * i
        canvas.text(x + 30, 14, f"after *{word}*")
        canvas.matrix(
            x,
            48,
            [[value] for value in state],
            role="context",
            cell=(60, high),
            written=True,
            digits=2,
        )
        if i:
            middle = 48 + high * len(state) / 2
            canvas.arrow((x - step + 62, middle), (x - 3, middle))
            canvas.text(x - (step - 60) / 2, middle - 15, "× ½")
            canvas.text(x - (step - 60) / 2, middle + 15, "+ 1")
    return canvas


def encoder_steps(source: Sequence[str] = SOURCE) -> Canvas:
    """Step one: the encoder reads, and each word makes a new hidden state of the one before it."""
    canvas = Canvas(
        WIDEST,
        136,
        f"The words {', '.join(source)} in a row. Under each a hidden state, h 0 to"
        f" h {len(source) - 1}; arrows lead from each word and from each state to the next state.",
    )
    canvas.text(8, 62, "*h*_{−1}", anchor="start", faint=True)
    canvas.arrow((38, 62), (LEFT - 1, 62), faint=True)
    reader(canvas, source)
    last = centre(len(source) - 1)
    canvas.arrow((last, 80), (last, 104), role="context", thick=3)
    canvas.text(last, 118, "*c*", role="context", bold=True)
    return canvas


def same_vector(sentences: Sequence[str] = ("a red shirt", LONG), width: int = 8) -> Canvas:
    """Step two: sentences of any length leave the encoder as vectors of one width."""
    lines = [textwrap.wrap(sentence, 19) for sentence in sentences]
    heights = [max(2, len(each)) * 20 + 24 for each in lines]
    canvas = Canvas(
        WIDEST,
        sum(heights) + 16,
        f"{len(sentences)} sentences of different lengths go into one encoder. Each leaves it as a"
        f" vector of the same {width} cells, which goes into one decoder.",
    )
    cell, left = 9, 274
    y: float = 14
    canvas.box(178, y, 70, sum(heights), "encoder", role="key")
    canvas.box(WIDEST - 70, y, 68, sum(heights), "decoder", role="query")
    for each, height in zip(lines, heights, strict=True):
        middle = y + height / 2
        for i, line in enumerate(each):
            at = middle + 20 * (i - (len(each) - 1) / 2)
            canvas.text(4, at, line, anchor="start", size=14)
        canvas.arrow((156, middle), (176, middle))
        canvas.arrow((250, middle), (left - 4, middle), role="context", thick=3)
        canvas.vector(left, middle - cell / 2, width, role="context", cell=cell, upright=False)
        canvas.text(left + cell * width / 2, middle - 18, "*c*", role="context", bold=True)
        end = left + cell * width
        canvas.arrow((end + 3, middle), (WIDEST - 72, middle), role="context", thick=3)
        y += height
    return canvas


def unrolled(source: Sequence[str] = SOURCE, target: Sequence[str] = TARGET) -> Canvas:
    """Step three: the whole encoder-decoder; each word that is written is read at the next step."""
    if len(source) > 4 or len(target) > 4:
        raise ValueError("there is room for four words on either side")
    canvas = Canvas(
        WIDEST,
        268,
        f"Above, the encoder reads {' '.join(source)}. Its last state, c, is handed down to the"
        f" decoder, which begins with a start token and writes {' '.join(target)}. A dashed line"
        " leads from each word it writes to the next word it reads.",
    )
    reader(canvas, source)
    last = centre(len(source) - 1)
    canvas.text(last - 60, 106, "*c*", role="context", bold=True)
    canvas.arrow(
        (last, 80), (last, 120), (22, 120), (22, 196), (LEFT - 2, 196), role="context", thick=3
    )
    read = (START, *target[:-1])
    writer(canvas, read, target, top=146, fed=True, dashed=True)
    return canvas


def teacher_forcing(
    target: Sequence[str] = ("une", "chemise", "rouge"),
    own: Sequence[str] = ("un", "homme", "rouge"),
) -> Canvas:
    """Step four: in training the decoder reads the true words, in use its own.

    Parameters
    ----------
    target : the human translation
    own : what the model would write, as many words
    """
    canvas = Canvas(
        WIDEST,
        348,
        f"Two rows of decoder states. In training the decoder reads the start token and"
        f" {' '.join(target[:-1])}, whatever it writes. In translation it reads what it wrote:"
        f" {' '.join(own[:-1])}.",
    )
    canvas.text(8, 14, "training: it reads the true words", anchor="start", bold=True)
    writer(canvas, (START, *target[:-1]), (own[0], *target[1:]), top=46)
    canvas.text(8, 192, "translating: it reads its own words", anchor="start", bold=True)
    writer(canvas, (START, *own[:-1]), own, top=224, fed=True, dashed=True)
    canvas.text(centre(3) - 8, 46, "true", faint=True)
    canvas.text(centre(3) - 8, 148, "written", faint=True)
    canvas.text(centre(3) - 8, 224, "its own", faint=True)
    canvas.text(centre(3) - 8, 326, "written", faint=True)
    return canvas


def gru() -> Canvas:
    """A gated recurrent unit: how much of the old state stays, how much is new."""
    canvas = Canvas(
        WIDEST,
        274,
        "A gated recurrent unit. The old state runs along the top: it is multiplied by the update"
        " gate z, then the candidate times one minus z is added, which gives the new state. The"
        " reset gate r leads into the candidate, which sees the old state only through it.",
    )
    top = 40
    canvas.text(24, top, "*h*_{s−1}")
    canvas.arrow((48, top), (124, top), thick=3, role="key")
    canvas.circle(138, top, 13, "×")
    canvas.arrow((152, top), (300, top), thick=3, role="key")
    canvas.circle(314, top, 13, "+")
    canvas.arrow((328, top), (398, top), thick=3, role="key")
    canvas.text(416, top, "*h*_s")
    canvas.box(78, 92, 120, 40, "update gate *z*_s")
    canvas.arrow((138, 92), (138, top + 15))
    canvas.circle(314, 112, 13, "×")
    canvas.arrow((198, 112), (299, 112))
    canvas.text(248, 96, "1 − *z*_s")
    canvas.arrow((314, 98), (314, top + 15))
    canvas.box(254, 166, 120, 40, "candidate *h̃*_s")
    canvas.arrow((314, 166), (314, 127))
    canvas.box(78, 166, 120, 40, "reset gate *r*_s")
    canvas.arrow((198, 186), (252, 186))
    canvas.text(WIDEST / 2, 234, "*x*_s and *h*_{s−1} enter all three boxes,", faint=True)
    canvas.text(WIDEST / 2, 256, "but the candidate sees *h*_{s−1} only through *r*_s", faint=True)
    return canvas


def lstm(step: str = "s") -> Canvas:
    """A long short-term memory: a line of memory that gates erase, fill and show.

    Parameters
    ----------
    step : the letter of the position: s in a source, t in a target
    """
    canvas = Canvas(
        WIDEST,
        236,
        "A long short-term memory. The memory m runs along the top: it is multiplied by the forget"
        " gate, then the candidate times the input gate is added. The new memory, through a tanh"
        " and times the output gate, is the new state h.",
    )
    top, low = 30, 142
    canvas.text(8, top, f"*m*_{{{step}−1}}", anchor="start")
    canvas.arrow((52, top), (76, top), thick=3, role="key")
    canvas.circle(90, top, 13, "×")
    canvas.arrow((104, top), (204, top), thick=3, role="key")
    canvas.circle(218, top, 13, "+")
    canvas.arrow((232, top), (404, top), thick=3, role="key")
    canvas.text(422, top, f"*m*_{step}")
    for x, name, letter in ((28, "forget", f"*f*_{step}"), (136, "input", f"*i*_{step}")):
        canvas.box(x, low, 92, 50, [f"{name} gate", letter])
    canvas.box(240, low, 92, 50, ["candidate", f"*m̃*_{step}"])
    canvas.box(344, low, 92, 50, ["output gate", f"*o*_{step}"])
    canvas.arrow((76, low), (89, top + 15))
    canvas.circle(218, 90, 13, "×")
    canvas.arrow((182, low), (209, 101))
    canvas.arrow((278, low), (229, 99))
    canvas.arrow((218, 76), (218, top + 15))
    canvas.circle(366, 90, 13, "×")
    canvas.arrow((366, top), (366, 75))
    canvas.text(344, 56, "tanh")
    canvas.arrow((372, low), (367, 105))
    canvas.arrow((380, 90), (404, 90))
    canvas.text(420, 90, f"*h*_{step}")
    canvas.text(
        WIDEST / 2, 218, f"*x*_{step} and *h*_{{{step}−1}} enter all four boxes", faint=True
    )
    return canvas


def gradient_paths(words: int = 4, kept: float = 0.7) -> Canvas:
    """The shortest way of the last word's gradient to the first, without attention and with it.

    The decoder gets the context vector at every step, so without attention the short way leads
    straight up to it, and then back through the encoder, drawn for one that reads one way.

    Parameters
    ----------
    words : source words, and as many target words; at most 4
    kept : how much thinner the line is drawn after each step
    """
    if not 2 <= words <= 4:
        raise ValueError(f"there is room for 2 to 4 words, got {words}")
    canvas = Canvas(
        WIDEST,
        436,
        f"Two drawings of {words} encoder and {words} decoder states. Without attention, the"
        " gradient of the last target word goes from the last decoder state to the vector c, and"
        f" back through every encoder state: {words} steps to the first word, the line thinner"
        " at each. With attention, one arrow leads from the last decoder state straight to each"
        " encoder state.",
    )
    for attention, top in ((False, 36), (True, 254)):
        name = "with attention: one step" if attention else "without attention: step by step"
        canvas.text(8, top - 20, name, anchor="start", bold=True)
        upper, lower = top, top + 112
        for i in range(words):
            canvas.box(centre(i) - BOX / 2, upper, BOX, 34, f"*h*_{i}", role="key")
            canvas.box(centre(i) - BOX / 2, lower, BOX, 34, f"*s*_{i}", role="query")
        end = centre(words - 1)
        canvas.arrow((end, lower + 60), (end, lower + 36), role="context", thick=6)
        canvas.text(end - 12, lower + 54, "loss of the last word", anchor="end")
        if attention:
            for i in range(words):
                canvas.arrow(
                    (end - 6 * (words - 1 - i), lower - 2),
                    (centre(i), upper + 36),
                    role="context",
                    thick=4,
                )
            continue
        thick = 6.0 * kept
        canvas.arrow((end, lower - 1), (end, upper + 36), role="context", thick=thick)
        canvas.text(end - 16, top + 76, "*c*", role="context", bold=True)
        for i in range(words - 1, 0, -1):
            thick *= kept
            canvas.arrow(
                (centre(i) - BOX / 2 - 1, upper + 17),
                (centre(i - 1) + BOX / 2 + 1, upper + 17),
                role="context",
                thick=max(thick, 0.8),
            )
    return canvas
