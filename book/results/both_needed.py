"""Where two keys are needed at once, what can an average and a choice know? (chapter 06)

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/both_needed.py

The third case beside those of ``soft_hard.py``, with its model, its budget and its seeds: of four
words two are marked, a colour and a thing, such as *red* and *shirt*, and both are asked for. A
minute of one core. It writes ``both_needed.json`` beside this file: what `choosing.marks` says of
2,000 new questions. Both marked words say one and the same answer, so its `fits` counts it twice;
here it is halved.
"""

from pathlib import Path

import numpy as np
import soft_hard
import torch
from _record import record

from attnlib import choosing

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/both_needed.py"
MARKS = ("right", "fits", "nll")


def both(number: int, seed: int, words: int = 4, kinds: int = 6) -> choosing.Task:
    """Two marked words of four, a colour and a thing: name both.

    A value is one word, of `kinds` colours and as many things. A key is the value and the mark.
    """
    rng = np.random.default_rng(seed)
    named = rng.integers(kinds, size=(number, words))
    is_thing = rng.integers(2, size=(number, words))
    order = rng.permuted(np.tile(np.arange(words), (number, 1)), axis=1)
    rows = np.arange(number)
    colour, thing = order[:, 0], order[:, 1]
    is_thing[rows, colour], is_thing[rows, thing] = 0, 1
    gold = np.zeros((number, words, 1))
    gold[rows, colour] = gold[rows, thing] = 1
    values = torch.tensor(np.eye(2 * kinds)[named + kinds * is_thing]).float()
    labels = torch.tensor(np.stack([named[rows, colour], named[rows, thing]], -1))
    return choosing.Task(
        torch.ones(number, 1, 1),
        torch.cat([values, torch.tensor(gold).float()], -1),
        values,
        torch.tensor(gold[..., 0] > 0),
        labels[:, None].expand(-1, words, -1),
        labels,
        (kinds, kinds),
    )


def run(how: str, seed: int, train: choosing.Task, test: choosing.Task) -> dict:
    """Train one model; its marks at the end."""
    torch.manual_seed(seed)
    chooser = choosing.Chooser(train, how)
    choosing.fit(chooser, train, soft_hard.UPDATES["either"], seed=seed)
    end = choosing.marks(chooser, test)
    end["fits"] /= 2
    return {"how": how, "seed": seed, "end": {name: round(end[name], 4) for name in MARKS}}


def main() -> None:
    """Train all, and write the file."""
    torch.set_num_threads(1)
    train, test = both(soft_hard.TRAINED, seed=1), both(soft_hard.TESTED, seed=2)
    runs = []
    for how in choosing.HOW:
        runs += [run(how, seed, train, test) for seed in soft_hard.SEEDS]
        print(how, [each["end"] for each in runs[-len(soft_hard.SEEDS) :]], flush=True)
    content = {"seeds": soft_hard.SEEDS, "tested": soft_hard.TESTED, "runs": runs}
    record(RESULTS, COMMAND, content, one_a_line="runs")


if __name__ == "__main__":
    main()
