r"""A score of one's own in place of a named one: minus a squared distance (exercise of chapter 04).

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/own_score.py

trains :math:`-\lVert W q - k \rVert^2` on the small grammar, in Bahdanau's recipe and in Luong's,
with the size and the budget of ``dials.py``. What is in ``own_score.json`` already is not trained
again, so a stopped run goes on. Half a minute of one core a run.
"""

import itertools
import json
from pathlib import Path

import alignment
import dials
import torch
from _record import record

from attnlib import scores
from attnlib.attention import Attention
from attnlib.seq2seq import Translator
from attnlib.training import RunConfig

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/own_score.py"
SEEDS = (1, 2, 3, 4, 5)


class DistanceScore(scores.Score):
    """The score of the exercise; the term that is the same for all keys is left out."""

    def __init__(self, query_dim: int, key_dim: int):
        super().__init__()
        self.query_dim, self.key_dim = query_dim, key_dim
        self.W = torch.nn.Linear(query_dim, key_dim, bias=False)

    def _prepare(self, keys):
        return torch.cat([2 * keys, -keys.square().sum(-1, keepdim=True)], -1)

    def _compare(self, queries, prepared):
        moved = self.W(queries)
        return torch.cat([moved, torch.ones_like(moved[..., :1])], -1) @ prepared.transpose(1, 2)


class WithDistance(RunConfig):
    """A run whose model has that score."""

    def build(self, vocab_size):
        sizes = self.model
        return Translator(
            vocab_size,
            sizes.width,
            hidden=sizes.hidden,
            decoder_hidden=sizes.decoder_hidden,
            attention=Attention(DistanceScore(sizes.decoder_hidden, 2 * sizes.hidden)),
            timing=sizes.timing,
            feeding=sizes.feeding,
        )


def measure(timing: str, feeding: str, seed: int, examples) -> dict:
    """One run in one recipe; its score has no name, so it goes by the name of another."""
    setting = dict(zip(dials.DIALS, ("additive", "everywhere", 0, "soft", timing, feeding)))
    base = alignment.config("additive", seed).replace(**setting)
    run = alignment.trained(WithDistance(**vars(base)))
    return dials.marks(run, setting | {"score": "distance"}, seed, examples)


def main() -> None:
    """Do what is left, and write the file after each run."""
    torch.set_num_threads(1)
    examples = alignment.held_out()
    runs = json.loads(RESULTS.read_text(encoding="utf-8"))["runs"] if RESULTS.exists() else []
    done = {(run["timing"], run["feeding"], run["seed"]) for run in runs}
    for seed, recipe in itertools.product(SEEDS, dials.RECIPES):
        if (*recipe, seed) in done:
            continue
        runs.append(measure(*recipe, seed, examples))
        print(runs[-1], flush=True)
        record(RESULTS, COMMAND, {"runs": runs}, one_a_line="runs", grows=True)


if __name__ == "__main__":
    main()
