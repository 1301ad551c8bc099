"""One sentence through several models: their translations side by side, and where each looked."""

from collections.abc import Mapping

import traitlets as tr

from attnlib.explore.figure import FigureError, one_of
from attnlib.explore.rows import SentencesFigure, check, plain, plural, row_means, row_numbers


class ModelsFigure(SentencesFigure):
    """Translations of a sentence by several models, and the attention weights of a chosen one.

    Parameters
    ----------
    source : str, or list of (source, translations)
        The sentence; a list of them, each with its translations, lets the reader choose.
    translations : dict
        From a model's name to its translation, as `Pretrained.translate` gives:
        `text`, `source_tokens` (S), `target_tokens` (T) and `weights` (T, S), as in
        `AlignmentFigure`. Weights that are all zero say that the model has no attention.
    languages : two names, of the source and of the target
    sentence : int
        What is chosen first: an index into the sentences.
    model : str, optional
        The name of one of the models; the first unless given.
    word : int
        An index into its target tokens.

    Raises
    ------
    FigureError
        (a ValueError) when weights and tokens do not fit, or the sentences have different models.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> tokens = {"source_tokens": ["▁red", "</s>"], "target_tokens": ["▁rouge"]}
    >>> fixed = SimpleNamespace(text="rouge", weights=[[0.0, 0.0]], **tokens)
    >>> attending = SimpleNamespace(text="rouge", weights=[[0.9, 0.1]], **tokens)
    >>> figure = ModelsFigure("red", {"fixed": fixed, "Bahdanau": attending})
    >>> figure
    ModelsFigure(1 sentence, 2 models, English to French: fixed, 'rouge')
    >>> figure.attends
    False
    >>> figure.model = "Bahdanau"
    >>> figure.numbers(0)
    {'best': 'red', 'largest': 0.9, 'entropy': 0.3251}
    """

    module = "models"
    state_names = ("sentences", "languages", "sentence", "model", "word")

    model = tr.Unicode().tag(sync=True)

    def __init__(
        self,
        source,
        translations=None,
        languages=("English", "French"),
        sentence=0,
        model=None,
        word=0,
    ):
        pairs = (
            [(source, translations)] if isinstance(source, str) else paired(source, translations)
        )
        shown = [told(text, its, f"sentences[{i}]") for i, (text, its) in enumerate(pairs)]
        names = [[each["name"] for each in one["models"]] for one in shown]
        for i, these in enumerate(names):
            if these != names[0]:
                raise FigureError(
                    f"sentences[{i}] has translations by {', '.join(these)}, sentences[0] by "
                    f"{', '.join(names[0])}: all must have the same, in the same order"
                )
        self.set_trait("sentences", shown)
        super().__init__(
            languages=list(languages),
            sentence=sentence,
            model=names[0][0] if model is None else model,
            word=word,
        )

    @property
    def query_words(self) -> list[str]:
        return self._chosen()["target"]

    @tr.validate("model")
    def _check_model(self, proposal):
        return one_of("model", proposal.value, self._models())

    @tr.validate("word")
    def _check_word(self, proposal):
        one_of("model", self.model, self._models())  # it may come with the word
        return super()._check_word(proposal)

    def _models(self) -> list[str]:
        return [each["name"] for each in self.sentences[0]["models"]]

    def _chosen(self) -> dict:
        models = self.sentences[self.sentence]["models"]
        return next(each for each in models if each["name"] == self.model)

    @property
    def attends(self) -> bool:
        """Whether the chosen model looked at anything: one with a fixed context does not."""
        return attends(self._chosen())

    def numbers(self, word: int | None = None) -> dict:
        """The numbers shown of one target word of the chosen model; the chosen one unless given."""
        shown = self._chosen()
        return row_numbers(shown["weights"][self._chosen_word(word)], shown["source"])

    def means(self) -> dict:
        """Means over the chosen weights' rows: mass on the argmax, and entropy in nats."""
        return row_means(self._chosen()["weights"])

    def table(self):
        rows = []
        for each in self.sentences[self.sentence]["models"]:
            means = row_means(each["weights"]) if attends(each) else {}
            share, entropy = (
                f"{means[name]:.3f}" if means else "no attention" for name in ("share", "entropy")
            )
            rows.append([each["name"], each["text"], share, entropy])
        head = ["model", "translation", "mean of the largest weights", "mean entropy, nats"]
        return f"“{self.sentences[self.sentence]['text']}”, translated", head, rows

    def __repr__(self):
        sentences = plural(len(self.sentences), "sentence")
        models = plural(len(self.sentences[0]["models"]), "model")
        text = f"{self.model}, {self._chosen()['text']!r}"
        return f"ModelsFigure({sentences}, {models}, {' to '.join(self.languages)}: {text})"


def paired(sentences, translations) -> list[tuple]:
    """A list of sentences, each with its translations."""
    if translations is not None:
        raise FigureError("a list of (source, translations) comes alone: pass no translations")
    pairs = list(sentences)
    if not pairs:
        raise FigureError("there must be at least one sentence")
    for i, pair in enumerate(pairs):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise FigureError(f"sentences[{i}] must be (source, translations), got {pair!r}")
    return pairs


def told(source, translations, name: str) -> dict:
    """What the page is told of one sentence."""
    if not isinstance(source, str):
        raise FigureError(f"{name}: the source must be a string, got {source!r}")
    if not isinstance(translations, Mapping) or not translations:
        raise FigureError(
            f"{name}: translations must be a dictionary from a model's name to its translation, "
            f"got {translations!r}"
        )
    models = []
    for model, translation in translations.items():
        where = f"{name}, {model}"
        if not hasattr(translation, "text"):
            raise FigureError(f"{where} must be a translation, got {type(translation).__name__}")
        shown = check(plain(translation, where), where)
        models.append({"name": str(model), "text": str(translation.text), **shown})
    return {"text": source, "models": models}


def attends(shown: dict) -> bool:
    """Whether any weight is above zero."""
    return any(map(any, shown["weights"]))
