"""Does the shipped transformer read by place? The same captions at other places (chapter 09).

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/places.py

``en-fr-transformer`` adds a vector P_t to the word at place t. Here it translates short captions of
Multi30k's val split, greedily, and the places are moved on: the words of the source, of the target
or of both stand at k, k + 1, ... in place of 0, 1, ... Nothing else changes: no word, no order, no
distance between two words of a side. The captions have at most `LONGEST` subwords, so that no word
of theirs reaches a place that no training caption has; ``training`` counts how many have it.

As a control the words are *pushed* as far, but to no place. P_(t+k) - P_t has the same length for
all t, in every pair of a sine and a cosine; so every pair is pushed by a vector of that length in a
random direction, the same for all words of a side. What a push does says how much a model minds
that its words are not where they were; what a move does beyond it has to do with places. There are
`DIRECTIONS` pushes for each side, and each caption gets one.

``en-fr-bahdanau``, which knows no places, translates the same captions once, for comparison.

Of each cell: BLEU, the BLEU lost against no move, the number of words over that of the reference's,
and for a move how much more it loses than the push (``beyond``). Intervals: 95 % by bootstrap over
captions, paired where two scores are compared. It writes ``places.json`` beside this file.
"""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from _record import record
from full_stop import _rounded as rounded

from attnlib import metrics, pretrained, storage
from attnlib.data.corpora import multi30k
from attnlib.positions import Positions, Sinusoidal

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/places.py"
MODEL, OTHER = "en-fr-transformer", "en-fr-bahdanau"
SIDES = {"source": (1, 0), "target": (0, 1), "both": (1, 1)}
STEPS = (5, 10, 20)
LONGEST, DIRECTIONS, SEED, RESAMPLES = 15, 20, 0, 1000


class Moved(Positions):
    """Each word k places further on."""

    def __init__(self, inner: Positions, k: int):
        super().__init__()
        self.inner, self.k = inner, k

    def forward(self, embedded, start=0):
        return self.inner(embedded, start + self.k)


class Pushed(Positions):
    """Each word at its place, and all pushed by one vector (D,)."""

    def __init__(self, inner: Positions, push: torch.Tensor):
        super().__init__()
        self.inner, self.push = inner, push

    def forward(self, embedded, start=0):
        return self.inner(embedded, start) + self.push


def push(width: int, k: int, rng: np.random.Generator) -> torch.Tensor:
    """As far as k places, pair by pair, in random directions.

    Examples
    --------
    >>> table = Sinusoidal(8).table(16)
    >>> moved = (table[9:] - table[:-9]).unflatten(1, (4, 2)).norm(dim=-1)
    >>> found = push(8, 9, np.random.default_rng(0)).unflatten(0, (4, 2)).norm(dim=-1)
    >>> bool(torch.allclose(moved, found.expand(7, 4), atol=1e-5))
    True
    """
    first, last = Sinusoidal(width).table(k + 1)[[0, -1]]
    lengths = (last - first).unflatten(0, (-1, 2)).norm(dim=-1)
    angles = torch.tensor(rng.uniform(0, 2 * np.pi, len(lengths)), dtype=torch.float)
    return (lengths[:, None] * torch.stack([angles.cos(), angles.sin()], -1)).flatten()


@contextmanager
def places(model: torch.nn.Module, source: Positions, target: Positions):
    """The model with other positions, and afterwards with its own again."""
    stacks = model.encoder, model.decoder.stack
    own = [stack.positions for stack in stacks]
    for stack, other in zip(stacks, (source, target), strict=True):
        stack.positions = other
    try:
        yield
    finally:
        for stack, its in zip(stacks, own, strict=True):
            stack.positions = its


def short(model: pretrained.Pretrained, pairs) -> list[tuple[str, str]]:
    """The captions of at most `LONGEST` subwords in either language, </s> included."""
    encode = model.tokenizer.encode
    return [pair for pair in pairs if max(len(encode(text)) for text in pair) < LONGEST]


def trained_on(model: pretrained.Pretrained) -> dict:
    """Of the training captions, the share that has a token at the last place of a moved one."""
    train = multi30k("train")
    sides = {"source": train.source, "target": train.target}
    lengths = {
        side: np.array([len(model.tokenizer.encode(x)) + 1 for x in some])
        for side, some in sides.items()
    }
    return {
        side: {
            "longest": int(some.max()),
            "reach": {k: round(float((some >= LONGEST + k).mean()), 4) for k in (0, *STEPS)},
        }
        for side, some in lengths.items()
    }


def moved(model: pretrained.Pretrained, source: list[str], by: tuple[int, int]) -> list[str]:
    """Translations with the places of source and target moved on."""
    own = model.model.encoder.positions, model.model.decoder.stack.positions
    with places(model.model, *(Moved(each, k) for each, k in zip(own, by, strict=True))):
        return [each.text for each in model.translate(source, beam=1)]


def pushed(model: pretrained.Pretrained, source: list[str], by: tuple[int, int]) -> list[str]:
    """Translations with the words of source and target pushed as far."""
    own = model.model.encoder.positions, model.model.decoder.stack.positions
    width, said = model.model.encoder.width, [""] * len(source)
    for number in range(DIRECTIONS):
        pushes = (
            push(width, k, np.random.default_rng((SEED, number, side))) for side, k in enumerate(by)
        )
        rows = range(number, len(source), DIRECTIONS)
        others = (Pushed(each, one) for each, one in zip(own, pushes, strict=True))
        with places(model.model, *others):
            for i, each in zip(rows, model.translate([source[i] for i in rows], 1), strict=True):
                said[i] = each.text
    return said


def measure(model: pretrained.Pretrained, source: list[str], target: list[str]) -> list[dict]:
    """A row for each side and step, and one for no move."""

    def score(said: list[str], usual: list[str]) -> dict:
        words = [sum(len(each.split()) for each in side) for side in (said, target)]
        return {
            **rounded(metrics.bleu(said, target, resamples=RESAMPLES)),
            "lost": rounded(metrics.bleu_difference(usual, said, target, resamples=RESAMPLES)),
            "length": round(words[0] / words[1], 3),
        }

    usual = moved(model, source, (0, 0))
    rows = [{"side": None, "step": 0, "moved": score(usual, usual)}]
    for side, which in SIDES.items():
        for k in STEPS:
            by = which[0] * k, which[1] * k
            said = {how.__name__: how(model, source, by) for how in (moved, pushed)}
            row = {"side": side, "step": k}
            row |= {name: score(each, usual) for name, each in said.items()}
            more = metrics.bleu_difference(
                said["pushed"], said["moved"], target, resamples=RESAMPLES
            )
            rows.append(row | {"beyond": rounded(more)})
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measure, and write the file."""
    torch.set_num_threads(1)
    models = {name: pretrained.load(name) for name in (MODEL, OTHER)}
    pairs = short(models[MODEL], multi30k("val"))
    source, target = (list(side) for side in zip(*pairs, strict=True))
    other = [each.text for each in models[OTHER].translate(source, beam=1)]
    content = {
        "model": MODEL,
        "metric": "cased detokenised BLEU",
        "beam": 1,
        "sha256": {name: each.card["sha256"][storage.MODEL] for name, each in models.items()},
        "captions": len(pairs),
        "longest": LONGEST,
        "training": trained_on(models[MODEL]),
        "rows": measure(models[MODEL], source, target),
        OTHER: rounded(metrics.bleu(other, target, resamples=RESAMPLES)),
    }
    record(RESULTS, COMMAND, content)


if __name__ == "__main__":
    main()
