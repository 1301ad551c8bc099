"""Switch heads off: a transformer in the page translates without them."""

from collections.abc import Sequence
from typing import Any

import traitlets as tr

from attnlib.explore.figure import FigureError, index, rounded
from attnlib.explore.heads import KINDS
from attnlib.explore.live.bundle import in_the_page
from attnlib.explore.live.figure import LiveFigure, several
from attnlib.explore.live.stored import answers, without_one
from attnlib.explore.rows import plural

MODEL = "en-fr-transformer"
SHOWN = 2  # decimals of bits: fewer than a processor that rounds in its own way changes


def spoken(key: str) -> str:
    """A head's name as the figure shows it: from "cross 3 2" it makes "cross, block 4, head 3"."""
    kind, block, head = key.split()
    return f"{kind}, block {int(block) + 1}, head {int(head) + 1}"


class LiveHeads(LiveFigure):
    """A sentence, translated by a transformer of which the reader switches heads off.

    A head that is off reads nothing: its part of the concatenated context is zero. The stronger a
    head's colour, the more its loss costs: by how many bits the translation that all heads write
    becomes less likely. What becomes of the stored sentences when one single head is off was
    computed before; for more at a time, or a sentence of the reader's own, the model is fetched.

    Parameters
    ----------
    sentences : list of str
    sentence : int
        What is chosen first: an index into the sentences.
    off : list of str
        Heads that are off, each as "kind block head", counted from 0; the kind is ``encoder``,
        ``decoder`` or ``cross``.

    Raises
    ------
    FigureError
        (a ValueError) when there is no sentence, or no such head.

    Examples
    --------
    >>> figure = LiveHeads(["A dog runs."], off=["cross 1 3"])
    >>> figure
    LiveHeads(1 sentence, 1 of 48 heads off: 'Un chien court.')
    """

    module = "live_heads"
    state_names = ("files", "name", "layers", "heads", "answers", "sentence", "off")

    name = tr.Unicode(MODEL).tag(sync=True)
    layers = tr.Int().tag(sync=True)
    heads = tr.Int().tag(sync=True)
    answers: tr.List[Any] = tr.List(read_only=True).tag(sync=True)
    sentence = tr.Int(0).tag(sync=True)
    off: tr.List[Any] = tr.List().tag(sync=True)

    def __init__(self, sentences: Sequence[str], sentence=0, off=()):
        sentences = several(sentences)
        settings = in_the_page(MODEL).card["model"]
        every = [
            f"{kind} {block} {head}"
            for kind in KINDS
            for block in range(settings["layers"])
            for head in range(settings["heads"])
        ]
        self.set_trait(
            "answers",
            [
                {
                    "text": text,
                    "says": answer["text"],
                    "without": rounded(without_one(MODEL, text, every), SHOWN),
                }
                for text, answer in zip(sentences, answers(MODEL, sentences), strict=True)
            ],
        )
        self.every = every
        super().__init__(
            [MODEL],
            layers=settings["layers"],
            heads=settings["heads"],
            sentence=sentence,
            off=list(off),
        )

    @tr.validate("sentence")
    def _check_sentence(self, proposal):
        return index("sentence", proposal.value, len(self.answers))

    @tr.validate("off")
    def _check_off(self, proposal):
        for head in proposal.value:
            if head not in self.every:
                raise FigureError(f"no head is called {head!r}: see {self.every[0]!r}, say")
        return proposal.value

    def says(self) -> str | None:
        """The translation, if it was computed: with all heads, or all but one."""
        answer = self.answers[self.sentence]
        if not self.off:
            return answer["says"]
        return answer["without"][self.off[0]][0] if len(self.off) == 1 else None

    def table(self):
        answer = self.answers[self.sentence]
        changed = [
            [spoken(head), f"{cost:.2f}", text]
            for head, (text, cost) in answer["without"].items()
            if text != answer["says"]
        ]
        rows = [["none", "0.00", answer["says"]], *changed]
        caption = f"“{answer['text']}”, and the heads whose loss changes its translation"
        return caption, ["off", "bits lost", "translation"], rows

    def __repr__(self):
        sentences = plural(len(self.answers), "sentence")
        off = f"{len(self.off)} of {len(self.every)} heads off"
        return f"LiveHeads({sentences}, {off}: {self.says()!r})"
