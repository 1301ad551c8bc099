"""Alignment of a chosen sentence: which source words each target word looked at."""

from typing import Any

import traitlets as tr

from attnlib.data.tokenizer import WORD_START
from attnlib.explore.figure import Figure, FigureError, numbers, rounded
from attnlib.metrics import entropy


class AlignmentFigure(Figure):
    """Attention weights of one or several sentence pairs, a row to a target word.

    Parameters
    ----------
    sentences : list
        Of translations (anything with `source_tokens`, `target_tokens` and `weights`, such as
        `attnlib.pretrained` gives) or of triples (source tokens, target tokens, weights). Weights
        have shape (T, S), target by source; a row sums to at most 1. Subwords are shown without
        the mark of a word's start; a piece that continues a word gets a dot before it.
    languages : two names, of the source and of the target
    sentence, word : int
        What is chosen first: an index into `sentences`, and into its target tokens.

    Raises
    ------
    FigureError
        (a ValueError) when weights and tokens do not fit, or weights are no weights.

    Examples
    --------
    >>> weights = [[0.9, 0.1, 0.0], [0.2, 0.1, 0.7], [0.0, 0.8, 0.2]]
    >>> figure = AlignmentFigure([("a red shirt".split(), "une chemise rouge".split(), weights)])
    >>> figure
    AlignmentFigure(1 sentence, English to French)
    >>> figure.numbers(1)
    {'best': 'shirt', 'largest': 0.7, 'entropy': 0.8018}
    """

    module = "alignment"
    state_names = ("sentences", "languages", "sentence", "word")

    sentences: tr.List[Any] = tr.List().tag(sync=True)
    languages: tr.List[Any] = tr.List().tag(sync=True)
    sentence = tr.Int(0).tag(sync=True)
    word = tr.Int(0).tag(sync=True)

    def __init__(self, sentences, languages=("English", "French"), sentence=0, word=0):
        if not sentences:
            raise FigureError("sentences must hold at least one sentence")
        names = [f"sentences[{i}]" for i in range(len(sentences))]
        pairs = [
            check(plain(each, name), name) for each, name in zip(sentences, names, strict=True)
        ]
        super().__init__(sentences=pairs, languages=list(languages), sentence=sentence, word=word)

    @tr.validate("sentences")
    def _check_sentences(self, proposal):
        return [check(each, f"sentences[{i}]") for i, each in enumerate(proposal.value)]

    @tr.validate("languages")
    def _check_languages(self, proposal):
        return two_names(proposal.value)

    @tr.validate("sentence")
    def _check_sentence(self, proposal):
        if not 0 <= proposal.value < len(self.sentences):
            raise FigureError(f"sentence {proposal.value} of {len(self.sentences)}")
        return proposal.value

    @tr.validate("word")
    def _check_word(self, proposal):
        if not 0 <= self.sentence < len(self.sentences):
            raise FigureError(f"sentence {self.sentence} of {len(self.sentences)}")
        target = self.sentences[self.sentence]["target"]
        if not 0 <= proposal.value < len(target):
            raise FigureError(f"word {proposal.value} of {len(target)} target words")
        return proposal.value

    def numbers(self, word: int | None = None) -> dict:
        """The numbers beside the heat map for one target word; the chosen one unless given."""
        shown = self.sentences[self.sentence]
        word = min(self.word, len(shown["target"]) - 1) if word is None else word
        return row_numbers(shown["weights"][word], shown["source"])

    def means(self) -> dict:
        """Means over the chosen sentence's rows: mass on the argmax, and entropy in nats."""
        return row_means(self.sentences[self.sentence]["weights"])

    def table(self):
        shown = self.sentences[self.sentence]
        source, target = self.languages
        rows = [
            [token, *(f"{a:.3f}" for a in row)]
            for token, row in zip(shown["target"], shown["weights"], strict=True)
        ]
        caption = f"Attention weights: {target} words down, {source} words across"
        return caption, ["", *shown["source"]], rows

    def __repr__(self):
        count = len(self.sentences)
        pair = " to ".join(self.languages)
        return f"AlignmentFigure({count} sentence{'s' * (count > 1)}, {pair})"


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


def check_rows(name: str, weights: list[list[float]]) -> None:
    """Weights are 0 or more, and a row of them sums to at most 1."""
    for t, row in enumerate(weights):
        if min(row) < 0 or sum(row) > 1 + 5e-3:
            raise FigureError(
                f"{name}: row {t} must be 0 or more and sum to at most 1, "
                f"got least {min(row):g} and sum {sum(row):g}"
            )


def two_names(languages) -> list[str]:
    """The languages, if they are two names."""
    if len(languages) != 2 or not all(isinstance(each, str) for each in languages):
        raise FigureError(f"languages must be two names, got {languages!r}")
    return languages


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
