"""What the figures of attention over sentences share: the choice of a sentence, rows of weights."""

from typing import Any

import traitlets as tr

from attnlib.data.tokenizer import WORD_START
from attnlib.explore.figure import Figure, FigureError, index, numbers, rounded
from attnlib.metrics import entropy


class SentencesFigure(Figure):
    """A figure of one or several sentences, of which one is chosen, and a word of it."""

    sentences: tr.List[Any] = tr.List(read_only=True).tag(sync=True)
    languages: tr.List[Any] = tr.List().tag(sync=True)
    sentence = tr.Int(0).tag(sync=True)
    word = tr.Int(0).tag(sync=True)

    @property
    def query_words(self) -> list[str]:
        """The words of which one is chosen: each has a row of weights."""
        raise TypeError(f"{type(self).__name__} must define query_words")

    @tr.validate("languages")
    def _check_languages(self, proposal):
        if len(proposal.value) != 2 or not all(isinstance(each, str) for each in proposal.value):
            raise FigureError(f"languages must be two names, got {proposal.value!r}")
        return proposal.value

    @tr.validate("sentence")
    def _check_sentence(self, proposal):
        return index("sentence", proposal.value, len(self.sentences))

    @tr.validate("word")
    def _check_word(self, proposal):
        index("sentence", self.sentence, len(self.sentences))  # it may come with the word
        return index("word", proposal.value, len(self.query_words))

    def _chosen_word(self, word: int | None) -> int:
        return min(self.word, len(self.query_words) - 1) if word is None else word


def plural(count: int, what: str) -> str:
    """How many there are, in words."""
    return f"{count} {what}{'s' * (count > 1)}"


def plain(sentence, name: str) -> dict:
    """A translation or a triple as plain lists, rounded, its subwords made readable."""
    if isinstance(sentence, dict):
        return sentence
    if hasattr(sentence, "source_tokens"):
        sentence = (sentence.source_tokens, sentence.target_tokens, sentence.weights)
    try:
        source, target, weights = sentence
    except (TypeError, ValueError):
        raise FigureError(
            f"{name} must be a translation or a triple (source, target, weights), "
            f"got {type(sentence).__name__}"
        ) from None
    source, target = list(source), list(target)
    if getattr(weights, "shape", None) not in (None, (len(target), len(source))):
        raise FigureError(
            f"{name}: weights {tuple(weights.shape)} for {len(target)} target and "
            f"{len(source)} source tokens"
        )
    return {"source": readable(source), "target": readable(target), "weights": weights}


def check(sentence: dict, name: str) -> dict:
    """The sentence, if its weights are weights of its tokens."""
    source, target = sentence["source"], sentence["target"]
    if not source or not target:
        raise FigureError(f"{name} has {len(source)} source and {len(target)} target tokens")
    weights = numbers(f"{name}: weights", sentence["weights"], len(target), len(source))
    check_rows(f"{name}: weights", weights)
    return {"source": source, "target": target, "weights": rounded(weights)}


def check_rows(name: str, weights: list[list[float]], slack: float = 5e-3) -> None:
    """Weights are 0 or more, and a row sums to at most 1, with `slack` for their rounding."""
    for t, row in enumerate(weights):
        if min(row) < 0 or sum(row) > 1 + slack:
            raise FigureError(
                f"{name}: row {t} must be 0 or more and sum to at most 1, "
                f"got least {min(row):g} and sum {sum(row):g}"
            )


def models_of(things: list[dict], what: str) -> list[str]:
    """The names of the models whose ``readings`` each thing has; it must be the same for all."""
    names = list(things[0]["readings"])
    for i, each in enumerate(things):
        if list(each["readings"]) != names:
            raise FigureError(
                f"{what} {i} has readings of {', '.join(each['readings'])}, "
                f"{what} 0 of {', '.join(names)}"
            )
    return names


def row_numbers(row: list[float], names: list[str]) -> dict:
    """What one row of weights says: its most attended key, that weight, its entropy in nats."""
    best = max(range(len(row)), key=row.__getitem__)
    return {
        "best": names[best] if row[best] > 0 else None,
        "largest": rounded(row[best]),
        "entropy": rounded(float(entropy(row))),
    }


def row_means(rows: list[list[float]]) -> dict:
    """Means over the rows that attend to anything: mass on the argmax, and entropy in nats."""
    rows = [row for row in rows if max(row) > 0]
    count = max(len(rows), 1)
    return {
        "share": rounded(sum(max(row) for row in rows) / count),
        "entropy": rounded(float(entropy(rows).sum()) / count),
    }


def readable(tokens: list[str]) -> list[str]:
    """Subwords for people: no mark where a word starts, a dot where a piece continues one.

    >>> readable(["▁a", "▁ski", "ing", "▁trip", ".", "</s>"])
    ['a', 'ski', '·ing', 'trip', '.', '</s>']
    """
    if not any(token.startswith(WORD_START) for token in tokens):
        return [str(token) for token in tokens]
    shown = []
    for token in tokens:
        bare = token.removeprefix(WORD_START)
        continues = bare == token and bare[:1].isalnum()
        shown.append(f"·{bare}" if continues else bare or WORD_START)
    return shown
