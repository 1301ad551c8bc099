"""Move the attention of one step, and see what becomes of the next word."""

from collections.abc import Sequence
from typing import Any

import traitlets as tr

from attnlib.explore.figure import index
from attnlib.explore.live.figure import LiveFigure, several
from attnlib.explore.live.stored import alone, answers
from attnlib.explore.rows import plural

MODEL = "en-fr-bahdanau"


class LiveAttention(LiveFigure):
    """One step of a decoder: its weights on the source, and the words that it may write next.

    The reader looks at one source word alone, forbids words, or gives each its weight, and sees the
    chances of the next word change. What follows from all weight on one word was computed before
    for the step that is shown first; everything else needs the model, which is fetched.

    Parameters
    ----------
    sentences : list of str
    sentence : int
        What is chosen first: an index into the sentences.
    word : int
        The step: an index into the words of the model's own translation.

    Raises
    ------
    FigureError
        (a ValueError) when there is no sentence, or no such word.

    Examples
    --------
    >>> figure = LiveAttention(["A red shirt."], word=1)
    >>> figure
    LiveAttention(1 sentence, '▁T' of 'Un T-shirt rouge.')
    >>> [likely[0][0] for likely in figure.alone][1:3]  # on "red" alone, on "shirt" alone
    ['▁rouge', '▁T']
    """

    module = "live_attention"
    state_names = ("files", "name", "answers", "first", "alone", "sentence", "word")

    name = tr.Unicode(MODEL).tag(sync=True)
    answers: tr.List[Any] = tr.List(read_only=True).tag(sync=True)
    # of the step that is shown first, a word of a sentence: the likely words of each single look
    alone: tr.List[Any] = tr.List(read_only=True).tag(sync=True)  # (S, LIKELY)
    first: tr.List[Any] = tr.List(read_only=True).tag(sync=True)
    sentence = tr.Int(0).tag(sync=True)
    word = tr.Int(0).tag(sync=True)

    def __init__(self, sentences: Sequence[str], sentence=0, word=0):
        sentences = several(sentences)
        found = answers(MODEL, sentences)
        self.set_trait(
            "answers",
            [{"said": text, **answer} for text, answer in zip(sentences, found, strict=True)],
        )
        index("sentence", sentence, len(sentences))
        index("word", word, len(found[sentence]["steps"]))
        self.set_trait("alone", alone(MODEL, sentences[sentence], found[sentence], word))
        self.set_trait("first", [sentence, word])
        super().__init__([MODEL], sentence=sentence, word=word)

    @tr.validate("sentence")
    def _check_sentence(self, proposal):
        return index("sentence", proposal.value, len(self.answers))

    @tr.validate("word")
    def _check_word(self, proposal):
        return index("word", proposal.value, len(self.answers[self.sentence]["steps"]))

    def table(self):
        sentence, word = self.first
        answer = self.answers[sentence]
        step = answer["steps"][word]
        rows = [
            [piece["text"], f"{a:.3f}", likely[0][0], f"{likely[0][1]:.3f}"]
            for piece, a, likely in zip(answer["source"], step["weights"], self.alone, strict=True)
        ]
        caption = f"“{answer['said']}”: the step that writes {step['token']!r}"
        return caption, ["source", "weight", "likeliest, looking here alone", "its chance"], rows

    def __repr__(self):
        answer = self.answers[self.sentence]
        token = answer["steps"][self.word]["token"]
        sentences = plural(len(self.answers), "sentence")
        return f"LiveAttention({sentences}, {token!r} of {answer['text']!r})"
