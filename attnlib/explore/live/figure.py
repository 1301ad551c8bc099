"""What the figures with a model in the page share in Python."""

import json
from collections.abc import Sequence

import traitlets as tr

from attnlib.explore.figure import Figure, FigureError
from attnlib.explore.live.bundle import bundle


def several(sentences: Sequence[str]) -> list[str]:
    """The sentences, if there is one at least."""
    if isinstance(sentences, str) or not sentences:
        raise FigureError("sentences must be a list of at least one str")
    return list(sentences)


class LiveFigure(Figure):
    """A figure whose models run in the page.

    What it shows first was computed before, and is stored. The reader's press of a button fetches
    the models: a page of the book has them beside it, a notebook's kernel sends them.
    """

    files = tr.Dict(read_only=True).tag(sync=True)

    def __init__(self, names: Sequence[str], **kwargs):
        found = {name: bundle(name) for name in names}
        self.set_trait(
            "files",
            {name: {"bytes": len(b.weights), "parts": b.parts} for name, b in found.items()},
        )
        super().__init__(**kwargs)
        self.on_msg(self._send_model)

    def _send_model(self, _, message, __):
        name = message.get("model")
        if name in self.files:
            found = bundle(name)
            about = found.about | {"tokenizer": json.loads(found.subwords)}
            self.send({"model": name, "about": about}, [found.weights])
