"""Pointer networks: sort numbers and fence points in, on lists as long as in training and longer.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/pointing.py

`attnlib.beyond.pointing` on `attnlib.data.points`; trained on 20,000 lists of 5 to 10 things. The
kinds of rows:

* ``trained``: one a task, reader, way of saying and seed. How good the answers are by length; the
  same where nothing may be pointed to twice; the share of right places by step, given the right
  ones before; whether the order in which a list stands matters; and of numbers, lists of ten that
  lie as close together as those of twenty do;
* ``untrained``: the same networks as they begin, 8 seeds.

What is in ``pointing.json`` already is not measured again, so a stopped run goes on. Half an hour
of one core; a training takes 50 seconds.
"""

import random
from functools import cache
from pathlib import Path

import torch
from _record import begin, record

from attnlib.beyond import pointing
from attnlib.data import points
from attnlib.explore.figure import rounded

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/pointing.py"
TASKS = {"numbers": points.numbers, "hulls": points.hulls}
TRAINED, TESTED = 20000, 500  # lists
LENGTHS = (5, 6, 7, 8, 9, 10, 12, 15, 20)
ONCE = (10, 20)  # lengths where twice is forbidden, and that are asked step by step
UPDATES = 3000
UNTRAINED = 8  # seeds
SHUFFLES, SHUFFLED = 5, 10  # orders of each list; things in it
MODELS = [("recurrent", "pointer"), ("set", "pointer"), ("recurrent", "word")]


@cache
def train(task: str) -> points.Lists:
    """What is learned from."""
    return TASKS[task](random.Random(f"{task} train"), TRAINED)


@cache
def test(task: str, length: int) -> points.Lists:
    """Lists of one length."""
    return TASKS[task](random.Random(f"{task} test"), TESTED, length, length, "test")


@cache
def close(length: int = 10, largest: int = 50) -> points.Lists:
    """Ten numbers of 1 to 50: as close together as twenty of 1 to 100."""
    rng = random.Random("close")
    drawn = torch.tensor([rng.sample(range(1, largest + 1), length) for _ in range(TESTED)])
    lengths = torch.full((TESTED,), length)
    return points.Lists(drawn.unsqueeze(-1) / points.LARGEST, lengths, drawn.argsort(1), lengths)


def new(task: str, reader: str, says: str, seed: int) -> pointing.PointerNetwork:
    """A network as it begins."""
    torch.manual_seed(seed)
    return pointing.PointerNetwork(1 if task == "numbers" else 2, reader=reader, says=says)


@torch.no_grad()
def by_step(model: pointing.PointerNetwork, lists: points.Lists) -> list[list[float]]:
    """At each step: how many lists have it, and the share right, given what comes before."""
    right = model(lists).log_p.argmax(-1) == lists.targets
    return [
        [int(has.sum()), float(hit[has].double().mean())]
        for hit, has in zip(right.unbind(1), lists.asked.unbind(1))
    ]


def orders(model: pointing.PointerNetwork, task: str) -> dict[str, float]:
    """Each list in several orders: how often all answers name the same things in the same order."""
    lists, generator = test(task, SHUFFLED), torch.Generator().manual_seed(0)
    closing = task == "hulls"
    named, exact = [], []
    for _ in range(SHUFFLES):
        other = lists.shuffled(generator)
        places, _ = model.point(other, SHUFFLED + closing)
        there = places.clamp(max=SHUFFLED - 1).unsqueeze(-1).expand(-1, -1, other.things.shape[-1])
        things = other.things.gather(1, there)  # (N, T, F)
        if closing:  # what is said after the end does not count
            again = (places[:, 1:] == places[:, :1]).int().cumsum(1).cumsum(1) > 1
            things[:, 1:][again] = 0.0
        named.append(things)
        exact.append(pointing.marks(model, other, closing)["exact"])
    same = torch.stack([(each == named[0]).flatten(1).all(1) for each in named]).all(0)
    return {"same": float(same.double().mean()), "exact": sum(exact) / len(exact)}


def of_model(task: str, reader: str, says: str, seed: int) -> dict:
    """Train one, and ask it everything."""
    model = pointing.fit(new(task, reader, says, seed), train(task), UPDATES, seed=seed)
    closing = task == "hulls"
    found = {"test": {n: pointing.marks(model, test(task, n), closing) for n in LENGTHS}}
    found["train"] = pointing.marks(model, train(task)[torch.arange(TESTED)], closing)
    found["by step"] = {n: by_step(model, test(task, n)) for n in ONCE}
    found["orders"] = orders(model, task)
    if says == "pointer":
        found["once"] = {n: pointing.marks(model, test(task, n), closing, True) for n in ONCE}
    if task == "numbers":
        found["close together"] = pointing.marks(model, close())
    return found


def of_untrained(task: str, reader: str, says: str, seed: int) -> dict:
    """The same before it learned anything."""
    model, closing = new(task, reader, says, seed), task == "hulls"
    return {"test": {n: pointing.marks(model, test(task, n), closing) for n in (5, 10, 20)}}


def main() -> None:
    """Do what is left, and write the file as it goes."""
    options, results = begin(__doc__, RESULTS, {"runs": []})
    runs = results["runs"]
    for kind, seeds, measure in (
        ("untrained", range(1, UNTRAINED + 1), of_untrained),
        ("trained", options.seeds, of_model),
    ):
        for seed in seeds:
            for task in TASKS:
                for reader, says in MODELS:
                    said = {"task": task, "reader": reader, "says": says, "seed": seed}
                    if any({"kind": kind, **said}.items() <= run.items() for run in runs):
                        continue
                    runs.append({"kind": kind, **said, **rounded(measure(**said), 4)})
                    record(options.out, COMMAND, {"runs": runs}, one_a_line="runs")
                    if kind == "trained":
                        marks = runs[-1]["test"]
                        print(said, {n: each["exact"] for n, each in marks.items()}, flush=True)


if __name__ == "__main__":
    main()
