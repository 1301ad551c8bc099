"""Captions word by word: where a captioner looked for each word, and whether that was right."""

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import traitlets as tr

from attnlib.data.grammar import Grammar, Thing
from attnlib.data.tokenizer import SPECIALS
from attnlib.explore.figure import Figure, FigureError, index, one_of, rounded, text_of
from attnlib.metrics import captions, pointing
from attnlib.metrics.pointing import Record
from attnlib.pretrained import Pretrained

VIEWS = ("weights", "thing", "picture")
TRUE_CAPTIONS = 200  # of a picture, in which to look for the one that a false caption is closest to


@dataclass(frozen=True, eq=False)
class Captioned:
    """A picture, its caption with where the model looked, and what is false about it.

    `captioned` makes them from a model; `image` is uint8 (H, W, 3), `title` says what is in it, for
    people who do not see it.
    """

    image: np.ndarray
    record: Record
    wrong: tuple[str, ...] = ()
    title: str = "A picture"


class CaptionSteps(Figure):
    """Captions word by word over their pictures, marked right or wrong (after Xu et al. 2015).

    For the chosen word: its weights over the grid; the things that it names and the cells that lie
    on them; whether its most attended cell is one of those (`pointing.hits`, by the rule ``half``),
    the share of its attention inside them (`pointing.inside`), and both for uniform attention. For
    the caption: whether it is true, and what is false.

    Parameters
    ----------
    items : sequence of Captioned
        What there is to choose from, one or more.
    scene, word : int
        What is chosen first: an index into `items`, and into the words of its caption.
    view : "weights", "thing" or "picture"
        What is drawn over the picture.

    Raises
    ------
    FigureError
        (a ValueError) when an image and its record do not fit, or a caption has no words.

    Examples
    --------
    >>> masks = np.array([[[True, True, False, False]] * 2])
    >>> weights = [[0.5, 0.5], [0.75, 0.25]]
    >>> record = Record.of(["a", "dot"], [set(), {0}], weights, masks, (1, 2), true=True)
    >>> figure = CaptionSteps([Captioned(np.zeros((2, 4, 3), np.uint8), record, title="A dot")])
    >>> figure
    CaptionSteps(1 picture, 'a dot', true)
    >>> numbers = figure.numbers(1)
    >>> numbers["most"], numbers["largest"], numbers["hit"], numbers["inside"]
    ([0], 0.75, 1.0, 0.75)
    >>> numbers["uniform_hit"], numbers["uniform_inside"]
    (0.5, 0.5)
    """

    module = "caption_steps"
    state_names = ("scenes", "scene", "word", "view")

    scenes: tr.List[Any] = tr.List(read_only=True).tag(sync=True)
    scene = tr.Int(0).tag(sync=True)
    word = tr.Int(0).tag(sync=True)
    view = tr.Unicode("weights").tag(sync=True)

    def __init__(self, items: Sequence[Captioned], scene=0, word=0, view="weights"):
        items = list(items)
        if not items:
            raise FigureError("items must hold at least one captioned picture")
        self.set_trait("scenes", [plain(each, f"items[{i}]") for i, each in enumerate(items)])
        super().__init__(scene=scene, word=word, view=view)

    @tr.validate("scene")
    def _check_scene(self, proposal):
        return index("scene", proposal.value, len(self.scenes))

    @tr.validate("word")
    def _check_word(self, proposal):
        index("scene", self.scene, len(self.scenes))  # it may come with the word
        return index("word", proposal.value, len(self.scenes[self.scene]["words"]))

    @tr.validate("view")
    def _check_view(self, proposal):
        return one_of("view", proposal.value, VIEWS)

    def numbers(self, word: int | None = None) -> dict:
        """The numbers shown of one word of the chosen caption; the chosen word unless given.

        ``things`` it names; ``most``, the cells that share the most attention, and ``largest``,
        their weight; ``hit`` and ``inside``, and ``uniform_hit`` and ``uniform_inside`` of uniform
        attention: None where the word names nothing.
        """
        shown = self.scenes[self.scene]
        word = min(self.word, len(shown["words"]) - 1) if word is None else word
        most = shown["most"][word]
        return {
            "things": shown["things"][word],
            "most": most,
            "largest": shown["weights"][word][most[0]] / 1000 if most else 0.0,
            **{name: shown[name][word] for name in MARKS},
        }

    def means(self) -> dict:
        """``hit`` and ``inside`` over the naming words of the chosen caption; None without any."""
        shown = self.scenes[self.scene]
        return {name: mean(shown[name]) for name in ("hit", "inside")}

    def table(self):
        shown = self.scenes[self.scene]
        rows = []
        for t, word in enumerate(shown["words"]):
            numbers = self.numbers(t)
            cells = "; ".join(place(cell, shown["grid"]) for cell in numbers["most"][:4])
            more = len(numbers["most"]) - 4
            rows.append(
                [
                    word,
                    str(len(numbers["things"])),
                    (cells or "none") + (f" and {more} more" if more > 0 else ""),
                    f"{numbers['largest']:.3f}",
                    *(say(numbers[name]) for name in MARKS),
                ]
            )
        caption = f"{shown['title']}. {' '.join(shown['words'])}: {verdict(shown)}"
        head = ["", "things named", "most attended cell", "its weight", "share of hits"]
        head += ["attention inside", "hits of uniform attention", "inside of uniform attention"]
        return caption, head, rows

    def __repr__(self):
        shown, count = self.scenes[self.scene], len(self.scenes)
        text = " ".join(shown["words"])
        true = {True: "true", False: "false", None: "not checked"}[shown["true"]]
        return f"CaptionSteps({count} picture{'s' * (count > 1)}, {text!r}, {true})"


MARKS = ("hit", "inside", "uniform_hit", "uniform_inside")


def captioned(
    pretrained: Pretrained, samples: Sequence, grammar: Grammar, beam: int = 5
) -> list[Captioned]:
    """What a captioner says of generated pictures, and where it looks, for `CaptionSteps`.

    The words of a true caption name what `Grammar.link` says; those of a false one what the true
    caption names that differs from it in one word (`captions.closest`), if there is one. As in the
    text of a caption, an ``<unk>`` that the model writes is left out.

    Parameters
    ----------
    pretrained : Pretrained
        A captioner with attention.
    samples : sequence of data.scenes.Sample
        Or of `data.mosaics`: with ``image``, ``masks`` and ``things``.
    grammar : data.grammar.Grammar
        That of their captions.
    beam : int
        As in `Pretrained.caption`.

    Raises
    ------
    ValueError
        As `Pretrained.caption`, and if the model has no attention.
    """
    items = []
    found = pretrained.caption([sample.image for sample in samples], beam)
    for sample, caption in zip(samples, found, strict=True):
        checked = grammar.check(caption.text, sample.things)
        words = caption.text.split()
        link = grammar.link(caption.text, sample.things)
        if link is None:
            true = grammar.captions(sample.things, random.Random(0), TRUE_CAPTIONS)
            link = captions.closest(words, true)
        kept = [t for t, token in enumerate(caption.tokens) if token not in SPECIALS]
        record = Record.of(
            words,
            link.things if link else [()] * len(words),
            caption.weights[kept],
            sample.masks,
            pretrained.grid,
            [caption.tokens[t] for t in kept],
            checked.true,
        )
        items.append(Captioned(sample.image, record, checked.wrong, described(sample.things)))
    return items


def described(things: Sequence[Thing]) -> str:
    """Things in words, as a title.

    >>> described([Thing("ring", 9, 9, colour="red", size="small"), Thing("star", 40, 40)])
    'Small red ring, star'
    """
    words = (" ".join(filter(None, (t.size, t.texture, t.colour, t.noun))) for t in things)
    return ", ".join(words).capitalize()


def plain(item: Captioned, name: str) -> dict:
    """What the page is told of one picture."""
    if not isinstance(item, Captioned):
        raise FigureError(f"{name} must be Captioned, got {type(item).__name__}")
    record, image = item.record, np.asarray(item.image)
    size = record.masks.shape[1:]
    if image.dtype != np.uint8 or image.shape != (*size, 3):
        raise FigureError(
            f"{name}: the image must be uint8 of shape {(*size, 3)}, as the masks are, "
            f"got {image.dtype} of {image.shape}"
        )
    if not record.words:
        raise FigureError(f"{name}: the caption has no words")
    if item.wrong and record.true is not False:
        raise FigureError(f"{name}: {item.wrong[0]!r} is wrong of a caption that is not false")
    uniform = pointing.uniform(record)
    on = pointing.cells_on(record.masks, record.grid).reshape(len(record.masks), -1)
    return {
        "title": item.title,
        "image": png(image),
        "size": list(size),
        "grid": list(record.grid),
        "words": list(record.words),
        "things": [sorted(named) for named in record.things],
        "true": record.true,
        "wrong": list(item.wrong),
        "masks": [runs(mask) for mask in record.masks],
        "on": [np.flatnonzero(cells).tolist() for cells in on],
        "weights": [[round(1000 * float(a)) for a in row] for row in record.weights],
        "most": [
            np.flatnonzero(pointing.most_attended(row)).tolist() if row.any() else []
            for row in record.weights
        ],
        "hit": rounded(pointing.hits(record)),
        "inside": rounded(pointing.inside(record)),
        "uniform_hit": rounded(pointing.hits(uniform)),
        "uniform_inside": rounded(pointing.inside(uniform)),
    }


def png(image: np.ndarray) -> str:
    """An image (H, W, 3) of bytes as a data URI."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png", optimize=True)
    return "data:image/png;base64," + text_of(buffer.getvalue())


def runs(mask: np.ndarray) -> list[int]:
    """How many pixels of a mask are off, then on, then off and so on, row by row.

    >>> runs(np.array([[False, True], [True, False]])), runs(np.array([[True, False]]))
    ([1, 2, 1], [0, 1, 1])
    """
    flat = np.concatenate([[False], mask.ravel()])
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(ends, prepend=0, append=mask.size).tolist()


def place(cell: int, grid: Sequence[int]) -> str:
    """Where a cell is, for people: rows and columns counted from 1.

    >>> place(9, (8, 8))
    'row 2, column 2'
    """
    row, column = divmod(cell, grid[1])
    return f"row {row + 1}, column {column + 1}"


def mean(values: Sequence[float | None]) -> float | None:
    """Of those that are numbers."""
    known = [value for value in values if value is not None]
    return rounded(sum(known) / len(known)) if known else None


def say(mark: float | None) -> str:
    """A mark with three decimals, or that there is none."""
    return "names nothing" if mark is None else f"{mark:.3f}"


def verdict(shown: dict) -> str:
    """Whether a caption is true, and what is false."""
    if shown["true"] is None:
        return "not checked"
    return "true" if shown["true"] else "; ".join(["false", *shown["wrong"]])
