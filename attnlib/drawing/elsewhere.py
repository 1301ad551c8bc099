"""Drawings of attention outside translation: a story asked in hops, a parse, a pointer."""

from collections.abc import Sequence

from attnlib.drawing.canvas import WIDEST, Canvas

STORY = (
    "the coin is in the box",
    "mary took the box",
    "john went to the attic",
    "mary went to the garden",
    "john took the lamp",
)


def hops(
    sentences: Sequence[str] = STORY,
    question: str = "where is the coin",
    facts: Sequence[int] = (0, 1, 3),
    known: Sequence[str] = ("box", "mary", "garden"),
) -> Canvas:
    """A story, a question under it, and the sentences that the hops should find, one by one.

    Parameters
    ----------
    sentences : sequence of str
    question : str
    facts : sequence of int
        Which sentence each hop should find.
    known : sequence of str
        What is known after each hop.

    Raises
    ------
    ValueError
        If there are not as many `known` as `facts`, or there is no such sentence.

    Examples
    --------
    >>> hops().height
    282
    """
    if len(facts) != len(known):
        raise ValueError(f"{len(facts)} facts need as many words known, got {len(known)}")
    if facts and not 0 <= min(facts) <= max(facts) < len(sentences):
        raise ValueError(f"facts must be among {len(sentences)} sentences, got {list(facts)}")
    finds = "; ".join(
        f"hop {hop} goes from there to {sentences[fact]!r} and knows {word}"
        for hop, (fact, word) in enumerate(zip(facts, known), start=1)
    )
    height = 40 * len(sentences) + 82
    canvas = Canvas(
        WIDEST,
        height,
        f"A story of {len(sentences)} sentences, and the question {question!r} below; {finds}.",
    )
    bottom = height - 42
    for i, sentence in enumerate(sentences):
        canvas.box(36, 10 + 40 * i, 226, 32, sentence, role="key", shade=0.24 if i in facts else 0)
    canvas.box(36, bottom, 226, 32, question, role="query", bold=True)
    at = bottom + 16
    for hop, (fact, word) in enumerate(zip(facts, known), start=1):
        y, column = 26 + 40 * fact, 258 + 30 * hop
        canvas.arrow((264, at - 5), (column, at - 5), (column, y + 5), (264, y + 5), role="query")
        canvas.circle(18, y, 12, str(hop), role="query")
        canvas.text(372, y, word, anchor="start", role="value", bold=True)
        at = y
    return canvas


def arcs(
    words: Sequence[str] = ("the", "dog", "chased", "a", "cat"),
    heads: Sequence[int] = (1, 2, -1, 4, 2),
    relations: Sequence[str] = ("det", "nsubj", "root", "det", "obj"),
) -> Canvas:
    """A sentence with an arc from each word's head to the word, and the relation's name on it.

    Parameters
    ----------
    words, relations : sequences of str
    heads : sequence of int
        The place of each word's head, -1 for the root.

    Raises
    ------
    ValueError
        If there are not as many of each, or no word is the root.

    Examples
    --------
    >>> arcs(["dogs", "bark"], [1, -1], ["nsubj", "root"])
    Canvas(440 x 126: An arc to dogs from bark, named nsubj; bark is the root.)
    """
    if not len(words) == len(heads) == len(relations):
        raise ValueError(
            f"{len(words)} words, {len(heads)} heads and {len(relations)} relations: "
            "as many of each are needed"
        )
    if -1 not in heads:
        raise ValueError("no word is the root: its head is -1")
    root = words[heads.index(-1)]
    said = ", ".join(
        f"to {word} from {words[head]}, named {relation}"
        for word, head, relation in zip(words, heads, relations)
        if head >= 0
    )
    step = WIDEST / len(words)
    reach = max(abs(i - head) for i, head in enumerate(heads) if head >= 0)
    ground = 34 + 30 * reach + 24
    canvas = Canvas(WIDEST, ground + 38, f"An arc {said}; {root} is the root.")
    places = [step * (i + 0.5) for i in range(len(words))]
    for i, (head, relation) in enumerate(zip(heads, relations)):
        x = places[i]
        if head < 0:
            canvas.arrow((x, 14), (x, ground), role="query")
            canvas.text(x + 8, 20, relation, anchor="start", size=14)
            continue
        top = ground - 30 * abs(i - head) - 6
        inset = 10 if head > i else -10
        canvas.arrow(
            (places[head] - inset, ground),
            (places[head] - inset, top),
            (x, top),
            (x, ground),
            role="key",
        )
        canvas.text((x + places[head]) / 2, top - 10, relation, size=14)
    for x, word in zip(places, words):
        canvas.text(x, ground + 18, word, size=17, bold=True)
    return canvas


def pointers(
    things: Sequence[float] = (30, 10, 50, 20), order: Sequence[int] = (1, 3, 0, 2)
) -> Canvas:
    """A list of things, and a decoder under it that points to one of them at each step.

    Parameters
    ----------
    things : sequence of numbers
    order : sequence of int
        Where each step points.

    Raises
    ------
    ValueError
        If a step points to where there is nothing.

    Examples
    --------
    >>> print(pointers([30, 10], [1, 0]).alt)
    The things 30, 10 in a row; below them step 1 points to 10, step 2 to 30.
    """
    if not order or not 0 <= min(order) <= max(order) < len(things):
        raise ValueError(f"each step points to one of {len(things)} things, got {list(order)}")
    named = ", ".join(f"{thing:g}" for thing in things)
    steps = ", step ".join(
        f"{i} {'points ' if i == 1 else ''}to {things[at]:g}" for i, at in enumerate(order, start=1)
    )
    canvas = Canvas(WIDEST, 190, f"The things {named} in a row; below them step {steps}.")
    above = [WIDEST * (i + 0.5) / len(things) for i in range(len(things))]
    below = [WIDEST * (i + 0.5) / len(order) for i in range(len(order))]
    for x, thing in zip(above, things):
        canvas.box(x - 27, 12, 54, 36, f"{thing:g}", role="key", size=17, bold=True)
    for i, (x, at) in enumerate(zip(below, order), start=1):
        if i < len(order):
            canvas.arrow((x + 28, 160), (below[i] - 28, 160), faint=True)
        canvas.arrow((x, 142), (above[at], 52), role="query", thick=2.5)
        canvas.box(x - 27, 142, 54, 36, f"*d*_{i}", role="query")
    return canvas
