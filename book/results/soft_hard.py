"""Soft against hard where the right choice is known: learning curves over seeds (chapter 06).

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/soft_hard.py

It trains the little model of `attnlib.choosing` in five ways on three tasks, five times each, and
on needles among 4, 12 and 36 keys; ten minutes of one idle core. It writes ``soft_hard.json``
beside this file: what `choosing.marks` says of 2,000 new questions, along the way and at the end.
"""

from functools import partial
from pathlib import Path

import torch
from _record import record

from attnlib import choosing

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/soft_hard.py"
SEEDS = (1, 2, 3, 4, 5)
TRAINED, TESTED, POINTS = 20_000, 2_000, 20
UPDATES = {"needles": 600, "glimpses": 6_000, "either": 600}
KEYS = (4, 12, 36)


def tasks(name: str, **sizes) -> tuple[choosing.Task, choosing.Task]:
    """Questions to train on and others to test on, the same for all seeds."""
    make = partial(choosing.TASKS[name], **sizes)
    if name == "glimpses":
        return make(TRAINED, seed=1), make(TESTED, seed=2, train=False)
    return make(TRAINED, seed=1), make(TESTED, seed=2)


def curve(train: choosing.Task, test: choosing.Task, how: str, updates: int, seed: int) -> list:
    """The marks along the way."""
    torch.manual_seed(seed)
    chooser = choosing.Chooser(train, how)
    watch = partial(choosing.marks, task=test)
    seen = choosing.fit(chooser, train, updates, seed=seed, every=updates // POINTS, watch=watch)
    return [{name: round(value, 4) for name, value in each.items()} for each in seen]


def main() -> None:
    """Train all, and write the file."""
    torch.set_num_threads(1)
    plan = [(name, {}) for name in choosing.TASKS]
    plan += [("needles", {"keys": keys}) for keys in KEYS if keys != 12]
    runs = []
    for name, sizes in plan:
        train, test = tasks(name, **sizes)
        updates = UPDATES[name] * (3 if sizes.get("keys") == max(KEYS) else 1)
        for how in choosing.HOW:
            for seed in SEEDS:
                seen = curve(train, test, how, updates, seed)
                runs.append(
                    {
                        "task": name,
                        "keys": train.keys.shape[1],
                        "how": how,
                        "seed": seed,
                        "updates": updates,
                        "curve": [round(each["right"], 3) for each in seen],
                        "end": seen[-1],
                    }
                )
            print(
                name, sizes, how, [run["end"]["right"] for run in runs[-len(SEEDS) :]], flush=True
            )
    content = {
        "trained": TRAINED,
        "tested": TESTED,
        "seeds": SEEDS,
        "runs": runs,
    }
    record(RESULTS, COMMAND, content, one_a_line="runs")


if __name__ == "__main__":
    main()
