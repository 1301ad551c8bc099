"""Type a sentence: the shipped models translate it in the page, word by word."""

from collections.abc import Mapping, Sequence
from typing import Any

import traitlets as tr

from attnlib.explore.figure import FigureError, index, one_of
from attnlib.explore.live.figure import LiveFigure, several
from attnlib.explore.live.stored import answers
from attnlib.explore.rows import plural


class LiveTranslator(LiveFigure):
    """Several models translate what the reader types, and show where they look as they write.

    Until the models are fetched, the reader chooses among `sentences`. What is stored of these
    comes from the numbers that the page's models have (`live.bundle.rounded`), by greedy search, so
    that fetching them changes nothing.

    Parameters
    ----------
    sentences : list of str
        What the reader can choose before the models are there.
    models : dict
        From a model's name among `live.bundle.MODELS`, or the folder of one of your own (in a
        notebook: a page of the book has not its numbers), to what the reader sees it called.
    languages : two names, of the source and of the target
    sentence : int
        What is chosen first: an index into `sentences`.
    model : str, optional
        The name of one of the models; the first unless given.
    word : int
        An index into its target tokens.

    Raises
    ------
    FigureError
        (a ValueError) when a model is not known, or there is nothing to choose.

    Examples
    --------
    >>> figure = LiveTranslator(["A red shirt."], {"en-fr-transformer": "transformer"})
    >>> figure
    LiveTranslator(1 sentence, transformer: 'Un T-shirt rouge.')
    >>> figure.step(0)["likely"][0][0]
    '▁Un'
    """

    module = "live_translator"
    state_names = ("files", "names", "answers", "languages", "sentence", "model", "word")

    names: tr.List[Any] = tr.List(read_only=True).tag(sync=True)  # [name, what it is called]
    answers: tr.List[Any] = tr.List(read_only=True).tag(sync=True)
    languages: tr.List[Any] = tr.List().tag(sync=True)
    sentence = tr.Int(0).tag(sync=True)
    model = tr.Unicode().tag(sync=True)
    word = tr.Int(0).tag(sync=True)

    def __init__(
        self,
        sentences: Sequence[str],
        models: Mapping[str, str],
        languages=("English", "French"),
        sentence=0,
        model=None,
        word=0,
    ):
        sentences = several(sentences)
        if not models:
            raise FigureError("models must name at least one model")
        self.set_trait("names", [list(pair) for pair in models.items()])
        each = {name: answers(name, sentences) for name in models}
        self.set_trait(
            "answers",
            [
                {"text": text, "models": {name: each[name][i] for name in models}}
                for i, text in enumerate(sentences)
            ],
        )
        super().__init__(
            list(models),
            languages=list(languages),
            sentence=sentence,
            model=next(iter(models)) if model is None else model,
            word=word,
        )

    @tr.validate("sentence")
    def _check_sentence(self, proposal):
        return index("sentence", proposal.value, len(self.answers))

    @tr.validate("model")
    def _check_model(self, proposal):
        return one_of("model", proposal.value, [name for name, _ in self.names])

    def _answer(self) -> dict:
        return self.answers[self.sentence]["models"][self.model]

    def step(self, word: int | None = None) -> dict:
        """What is shown of a step of the chosen model."""
        return self._answer()["steps"][self.word if word is None else word]

    def table(self):
        rows = []
        for name, called in self.names:
            answer = self.answers[self.sentence]["models"][name]
            rows.append([called, answer["text"], f"{answer['score']:.2f}"])
        head = ["model", "translation", "score, nats"]
        return f"“{self.answers[self.sentence]['text']}”, translated", head, rows

    def __repr__(self):
        sentences = plural(len(self.answers), "sentence")
        called = dict(self.names)[self.model]
        return f"LiveTranslator({sentences}, {called}: {self._answer()['text']!r})"
