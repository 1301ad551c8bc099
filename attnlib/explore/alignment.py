"""Alignment of a chosen sentence: which source words each target word looked at."""

from typing import Any

import traitlets as tr

from attnlib.explore.figure import FigureError
from attnlib.explore.rows import SentencesFigure, check, plain, plural, row_means, row_numbers


class AlignmentFigure(SentencesFigure):
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

    @property
    def query_words(self) -> list[str]:
        return self.sentences[self.sentence]["target"]

    def numbers(self, word: int | None = None) -> dict:
        """The numbers beside the heat map for one target word; the chosen one unless given."""
        shown = self.sentences[self.sentence]
        return row_numbers(shown["weights"][self._chosen_word(word)], shown["source"])

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
        pair = " to ".join(self.languages)
        return f"AlignmentFigure({plural(len(self.sentences), 'sentence')}, {pair})"
