"""Are captions true, and did their words fit what the model was looking at?

A caption can be true while its words were written looking elsewhere, and false although each word
was written looking at the right thing: `right_but_wrong` and `wrong_but_right` find such cases.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from attnlib.metrics.intervals import Estimate, wilson_interval
from attnlib.metrics.pointing import (
    Record,
    cells_on,
    coverage,
    hits,
    mass_on,
    mean_of_words,
    split_words,
    word_classes,
)


def by_group(
    metric: Callable[[Sequence], Estimate], items: Sequence, groups: Sequence[Any]
) -> dict:
    """A metric of the items of each group apart, the groups sorted; say by number of things.

    Raises
    ------
    ValueError
        If there is not one group an item, or no item.

    Examples
    --------
    >>> from types import SimpleNamespace as Verdict
    >>> verdicts = [Verdict(parses=True, true=True), Verdict(parses=True, true=False)]
    >>> {n: score.value for n, score in by_group(true_captions, verdicts, [3, 1]).items()}
    {1: 0.0, 3: 1.0}
    """
    items, groups = list(items), list(groups)
    if len(items) != len(groups) or not items:
        raise ValueError(f"need one group an item, got {len(groups)} for {len(items)}")
    return {
        group: metric([item for item, its in zip(items, groups) if its == group])
        for group in sorted(set(groups))
    }


# True captions --------------------------------------------------------------------------------


def true_captions(verdicts: Sequence) -> Estimate:
    """The share of captions that are true of their picture, with its Wilson interval.

    Parameters
    ----------
    verdicts : sequence of `data.grammar.Verdict`
        One caption a picture, as `Grammar.check` found it. What does not parse is not true.

    Raises
    ------
    ValueError
        If there is none.
    """
    return _proportion([verdict.parses and verdict.true for verdict in verdicts], "true captions")


def parsed_captions(verdicts: Sequence) -> Estimate:
    """The share of captions that the grammar can read, true or not; as `true_captions`."""
    return _proportion([verdict.parses for verdict in verdicts], "parsed captions")


def recognized(record: Record, nouns: Sequence[str], grammar) -> list[float]:
    """For each noun of a caption, true or not, whether it is that of the thing it was looking at.

    Looked at is the thing on which the most attended cell lies (rule ``half``), of several that
    which covers most of it; no thing, and the noun is wrong. A noun of two words looks where they
    do on average; a plural is its thing's noun. So recognition is marked apart from attention and
    from relations: whether a word fits where the model looks, wherever that is.

    Parameters
    ----------
    record : Record
        Its `things` are not read.
    nouns : sequence of str
        What each thing of the picture is.
    grammar : data.grammar.Grammar
        That of the caption.

    Raises
    ------
    GrammarError
        A ValueError, if the caption cannot be read.
    """
    statement = grammar.parse(" ".join(record.words))
    classes = word_classes(grammar, record.words)
    on = cells_on(record.masks, record.grid).reshape(len(record.masks), -1)
    shares = coverage(record.masks, record.grid).reshape(len(record.masks), -1) * on
    found = []
    for k, phrase in enumerate(statement.phrases):
        its = [t for t, of in enumerate(statement.names) if of == k and classes[t] == "noun"]
        cell = int(record.weights[its].mean(0).argmax())
        thing = int(shares[:, cell].argmax())
        found.append(float(shares[thing, cell] > 0 and nouns[thing] == phrase.noun))
    return found


def recognition(marks: Sequence[Sequence[float]]) -> Estimate:
    """The share of nouns that fit what the model was looking at, of the marks of `recognized`.

    Raises
    ------
    ValueError
        If there is no noun.
    """
    return mean_of_words(marks, "recognition|rule:half")


# Right and wrong apart ------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One find of `right_but_wrong` or `wrong_but_right`."""

    index: int  # of the record
    word: int  # the word of it that decides
    inside: float  # share of that word's attention on what it names
    other: float  # and on the other things


def right_but_wrong(
    records: Sequence[Record], rule: str = "half", tolerance: float = 0
) -> list[Case]:
    """True captions with a word that was written while looking elsewhere, the clearest first.

    The word of a caption that decides is the one that misses (`pointing.hits`) with the least
    attention on what it names, among equals with the most on other things. Captions are in that
    order too; then as they came.

    Raises
    ------
    ValueError
        If a record does not say whether its caption is true; as `pointing.cells_on`.
    """
    found = []
    for index, record in _judged(records, True):
        marks = enumerate(hits(record, rule, tolerance))
        missed = [_case(index, record, t) for t, hit in marks if hit == 0]
        if missed:
            found.append(min(missed, key=_off))
    return sorted(found, key=_off)


def wrong_but_right(
    records: Sequence[Record], rule: str = "half", tolerance: float = 0
) -> list[Case]:
    """False captions of which each naming word was written looking at the right thing.

    Somebody must say which things a false caption means: `closest` does. The word that decides is
    the one with the least attention on what it names; captions with the most such attention come
    first. Errors as in `right_but_wrong`.
    """
    found = []
    for index, record in _judged(records, False):
        marks = enumerate(hits(record, rule, tolerance))
        marked = {t: hit for t, hit in marks if hit is not None}
        if marked and all(hit == 1 for hit in marked.values()):
            found.append(min((_case(index, record, t) for t in marked), key=_off))
    return sorted(found, key=lambda case: -case.inside)


def closest(words: Sequence[str], captions: Sequence, most: int = 1):
    """The true caption that differs from a false one in the fewest words, to say what it means.

    "A red ring left of a blue square", where the ring is a circle, means what the true caption "a
    red circle left of a blue square" names, word by word.

    Parameters
    ----------
    words : sequence of str
        Of the false caption.
    captions : sequence of `data.grammar.Caption`
        True ones, of ``words`` and ``things``.
    most : int
        How many words may differ.

    Returns
    -------
    Caption or None
        None if no caption of as many words is that close, or equally close ones do not name the
        same things.

    Examples
    --------
    >>> from types import SimpleNamespace as Caption
    >>> true = [Caption(words=("a", "circle"), things=(set(), {0}))]
    >>> closest(["a", "ring"], true).things
    (set(), {0})
    """
    words, captions = split_words(words), list(captions)
    differing = [
        (sum(w != v for w, v in zip(words, caption.words, strict=True)), caption)
        for caption in captions
        if len(caption.words) == len(words)
    ]
    least = min((number for number, _ in differing), default=most + 1)
    if least > most:
        return None
    found = [caption for number, caption in differing if number == least]
    return found[0] if all(each.things == found[0].things for each in found) else None


# Helpers --------------------------------------------------------------------------------------


def _judged(records: Sequence[Record], true: bool) -> list[tuple[int, Record]]:
    """The records whose captions are true, or those whose captions are false."""
    records = list(records)
    for index, record in enumerate(records):
        if record.true is None:
            raise ValueError(f"record {index} does not say whether its caption is true")
    return [(index, record) for index, record in enumerate(records) if record.true == true]


def _case(index: int, record: Record, t: int) -> Case:
    named, row = record.things[t], record.weights[t]
    others = set(range(len(record.masks))) - named
    return Case(index, t, mass_on(record, named, row), mass_on(record, others, row))


def _off(case: Case) -> tuple[float, float]:
    return case.inside, -case.other


def _proportion(hit: Sequence[bool], signature: str) -> Estimate:
    if not hit:
        raise ValueError("there is no caption")
    n, number = len(hit), sum(map(bool, hit))
    return Estimate(number / n, f"{signature}|n:{n}|interval:wilson", wilson_interval(number, n))
