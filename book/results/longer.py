"""Is it the budget? General and additive with input feeding, trained for longer (chapter 04).

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/longer.py

trains two settings of ``dials.py`` with two and four times its updates. The learning rate falls
along half a cosine that ends at the last update, so a longer run also learns at a high rate for
longer: the budget and the schedule change together. What is in ``longer.json`` already is not
trained again, so a stopped run goes on. A run of 600 updates takes half a minute of one core.
"""

import itertools
import json
from pathlib import Path

import alignment
import dials
import torch
from _record import record

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/longer.py"
SEEDS, SCORES, UPDATES = (1, 2, 3), ("general", "additive"), (1200, 2400)


def measure(score: str, updates: int, seed: int, examples) -> dict:
    """A setting of the dials, trained for so many updates."""
    setting = dict(zip(dials.DIALS, (score, "everywhere", 0, "soft", "after", "input")))
    base = alignment.config(score, seed)
    config = base.replace(name=f"{score}-{updates}", updates=updates, **setting)
    return {"updates": updates} | dials.marks(alignment.trained(config), setting, seed, examples)


def main() -> None:
    """Do what is left, and write the file after each run."""
    torch.set_num_threads(1)
    examples = alignment.held_out()
    runs = json.loads(RESULTS.read_text(encoding="utf-8"))["runs"] if RESULTS.exists() else []
    done = {(run["score"], run["updates"], run["seed"]) for run in runs}
    for updates, seed, score in itertools.product(UPDATES, SEEDS, SCORES):
        if (score, updates, seed) in done:
            continue
        runs.append(measure(score, updates, seed, examples))
        print(runs[-1], flush=True)
        content = {"seeds": SEEDS, "updates": UPDATES, "runs": runs}
        record(RESULTS, COMMAND, content, one_a_line="runs", grows=True)


if __name__ == "__main__":
    main()
