"""Heads of a transformer: what every head of every block looks at, in a sentence and its output."""

from typing import Any

import traitlets as tr

from attnlib.explore.figure import FigureError, index, numbers, one_of
from attnlib.explore.rows import (
    SentencesFigure,
    check_rows,
    plural,
    readable,
    row_means,
    row_numbers,
)

KINDS = ("encoder", "decoder", "cross")
BEGINNING = "<s>"  # what the decoder is given first


class HeadsFigure(SentencesFigure):
    """The attention of a transformer, block by block and head by head (Vaswani et al. 2017, 3.2.2).

    Three kinds: the encoder's words look at each other, the decoder's words at those given to it so
    far, and the decoder's words at the source. A row of the decoder is the query that predicts a
    target word; its keys are the words given, which lie one place behind: the first is ``<s>``.
    The arguments count from 0; blocks and heads are shown counted from 1, as in the text.

    Parameters
    ----------
    sentences : list
        Of objects as `Pretrained.attention_maps` gives: `source_tokens` (S),
        `target_tokens` (T), and weights `encoder` (L, H, S, S), `decoder` (L, H, T, T) and `cross`
        (L, H, T, S), with the same L and H everywhere. A row sums to at most 1, and the decoder's
        do not look ahead. Subwords are shown as in `AlignmentFigure`, weights in thousandths.
    languages : two names, of the source and of the target
    sentence : int
        What is chosen first: an index into `sentences`.
    kind : "encoder", "decoder" or "cross"
    layer : int
        The block.
    head : int, optional
        The mean of the block's heads unless given.
    word : int
        An index into the queries: source words of the encoder, target words of the others.

    Raises
    ------
    FigureError
        (a ValueError) when weights and tokens do not fit, or weights are no weights.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> looks = SimpleNamespace(
    ...     source_tokens=["▁red", "</s>"],
    ...     target_tokens=["▁rouge"],
    ...     encoder=[[[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.0, 1.0]]]],
    ...     decoder=[[[[1.0]], [[1.0]]]],
    ...     cross=[[[[0.7, 0.3]], [[0.2, 0.8]]]],
    ... )
    >>> figure = HeadsFigure([looks], kind="cross", head=1)
    >>> figure
    HeadsFigure(1 sentence, English to French; cross, block 1 of 1, head 2 of 2)
    >>> figure.numbers(0)
    {'best': '</s>', 'largest': 0.8, 'entropy': 0.5004}
    >>> figure.head = None
    >>> figure.weights
    [[0.45, 0.55]]
    """

    module = "heads"
    state_names = ("sentences", "languages", "sentence", "kind", "layer", "head", "word")

    kind = tr.Unicode("encoder").tag(sync=True)
    layer = tr.Int(0).tag(sync=True)
    head = tr.Int(None, allow_none=True).tag(sync=True)

    def __init__(
        self,
        sentences,
        languages=("English", "French"),
        sentence=0,
        kind="encoder",
        layer=0,
        head=None,
        word=0,
    ):
        shown = [plain(each, f"sentences[{i}]") for i, each in enumerate(sentences)]
        if not shown:
            raise FigureError("sentences must hold at least one sentence")
        for i, each in enumerate(shown):
            if size(each) != size(shown[0]):
                raise FigureError(
                    f"sentences[{i}] has {grid(each)} heads, sentences[0] {grid(shown[0])}: all "
                    "must come from one model"
                )
        self.set_trait("sentences", shown)
        super().__init__(
            languages=list(languages),
            sentence=sentence,
            kind=kind,
            layer=layer,
            head=head,
            word=word,
        )

    @tr.validate("kind")
    def _check_kind(self, proposal):
        return one_of("kind", proposal.value, KINDS)

    @tr.validate("layer")
    def _check_layer(self, proposal):
        layers, _ = size(self.sentences[0])
        return index("layer", proposal.value, layers)

    @tr.validate("head")
    def _check_head(self, proposal):
        _, heads = size(self.sentences[0])
        if proposal.value is None:
            return None
        return index("head", proposal.value, heads, "; None for their mean")

    @tr.validate("word")
    def _check_word(self, proposal):
        one_of("kind", self.kind, KINDS)  # it may come with the word
        return super()._check_word(proposal)

    @property
    def query_words(self) -> list[str]:
        """The words that ask: one a row of the weights."""
        return self.sentences[self.sentence]["source" if self.kind == "encoder" else "target"]

    @property
    def key_words(self) -> list[str]:
        """The words that are looked at: one a column of the weights."""
        if self.kind == "decoder":
            return [BEGINNING, *self.query_words[:-1]]
        return self.sentences[self.sentence]["source"]

    @property
    def weights(self) -> list[list[float]]:
        """The chosen weights (Q, K), as stored: of one head, or the mean over the block's heads."""
        heads = self.sentences[self.sentence][self.kind][self.layer]
        heads = heads if self.head is None else [heads[self.head]]
        return [
            [sum(a) / (1000 * len(heads)) for a in zip(*rows, strict=True)]
            for rows in zip(*heads, strict=True)
        ]

    def numbers(self, word: int | None = None) -> dict:
        """The numbers shown of one query; the chosen one unless given."""
        return row_numbers(self.weights[self._chosen_word(word)], self.key_words)

    def means(self) -> dict:
        """Means over the chosen weights' rows: mass on the argmax, and entropy in nats."""
        return row_means(self.weights)

    def table(self):
        rows = [
            [query, *(f"{a:.3f}" for a in row)]
            for query, row in zip(self.query_words, self.weights, strict=True)
        ]
        return f"Attention weights, {self._setting()}: queries down", ["", *self.key_words], rows

    def _setting(self) -> str:
        layers, heads = size(self.sentences[0])
        head = f"mean of {heads} heads" if self.head is None else f"head {self.head + 1} of {heads}"
        return f"{self.kind}, block {self.layer + 1} of {layers}, {head}"

    def __repr__(self):
        sentences, pair = plural(len(self.sentences), "sentence"), " to ".join(self.languages)
        return f"HeadsFigure({sentences}, {pair}; {self._setting()})"


def size(shown: dict) -> tuple[int, int]:
    """The number of layers, and of the heads of each."""
    return len(shown["encoder"]), len(shown["encoder"][0])


def grid(shown: dict) -> str:
    """The layers and heads, for people."""
    return "{} x {}".format(*size(shown))


def plain(looks, name: str) -> dict:
    """What the page is told of one sentence: words, and weights in thousandths."""
    missing = [
        each for each in ("source_tokens", "target_tokens", *KINDS) if not hasattr(looks, each)
    ]
    if missing:
        raise FigureError(
            f"{name}, {type(looks).__name__}, has no {missing[0]}: see Pretrained.attention_maps"
        )
    source, target = readable(list(looks.source_tokens)), readable(list(looks.target_tokens))
    S, T = len(source), len(target)
    if not S or not T:
        raise FigureError(f"{name} has {S} source and {T} target tokens")
    shown: dict[str, Any] = {"source": source, "target": target}
    for kind, (Q, K) in zip(KINDS, ((S, S), (T, T), (T, S)), strict=True):
        where = f"{name}: {kind}"
        weights = numbers(where, getattr(looks, kind), None, None, Q, K)
        for layer, heads in enumerate(weights):
            if len(heads) != len(weights[0]):
                raise FigureError(
                    f"{where}[{layer}] has {len(heads)} heads, {where}[0] {len(weights[0])}"
                )
            for head, rows in enumerate(heads):
                check_rows(f"{where}[{layer}][{head}]", rows)
                if kind == "decoder" and any(any(row[t + 1 :]) for t, row in enumerate(rows)):
                    raise FigureError(
                        f"{where}[{layer}][{head}] looks ahead: no weight above the diagonal"
                    )
        shown[kind] = [
            [[[round(1000 * a) for a in row] for row in rows] for rows in heads]
            for heads in weights
        ]
        if size({"encoder": shown[kind]}) != size(shown):
            raise FigureError(
                f"{where} has {grid({'encoder': weights})} heads, the encoder {grid(shown)}"
            )
    return shown
