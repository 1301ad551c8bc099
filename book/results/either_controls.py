"""Why hard attention collapses, and why soft mixes pairs: controls on *either* (chapter 06).

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/either_controls.py

It trains the little model of `attnlib.choosing` with one thing taken away at a time, with the
budgets of ``soft_hard.py`` unless said otherwise; minutes of one core.

* `collapse`: the goal of hard attention by one draw; by all choices enumerated; enumerated, and
  averaged over both labels, so that nothing is left to chance but the batches; and with the weights
  held even, where only the reader learns. `balance` is the weight of the heavier right key over
  that of both, along the way; `own` and `other` are the losses of the choice of most weight for the
  label of the object chosen and of the other, in nats; `bound` is the loss that hard is trained on,
  over both labels and all keys; `colours` and `shapes` are how often each is that of the heavier
  object, where it is that of one of the two.
* `frozen`: the same with a reader that does not learn. It gives a half to what it sees and a tenth
  to each other, for colour and for shape, so both objects earn the same.
* `reading`: soft attention as it is, with both right objects side by side in place of an average,
  and with their even average; each with two outputs that do not see each other, and with one
  output for each pair. A wider reader, trained longer.
* `alone`: several draws, each rewarded by itself, with the mean of the others as baseline.

What is in ``either_controls.json`` already is not trained again, so a stopped run goes on.
"""

import dataclasses
import json
import math
from functools import partial
from pathlib import Path

import learning_rules
import soft_hard
import torch
from _record import record
from torch import Tensor

from attnlib import choosing

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/either_controls.py"
SEEDS = (1, 2, 3, 4)
LONGER = 5  # times the updates, for the readers
HIDDEN = 128  # of the readers: 36 outputs want more than 32


class Listed(choosing.Chooser):
    """The goal of hard attention, mean log p by the weights, without any draw.

    Parameters
    ----------
    task : Task
        For its sizes.
    both : bool
        Whether each question counts with both labels, so that no coin is tossed.
    even : bool
        Whether the weights are held even on the right keys.
    """

    def __init__(self, task: choosing.Task, both: bool = False, even: bool = False):
        super().__init__(task, "hard")
        self.both, self.even = both, even

    def weights(self, task: choosing.Task) -> Tensor:
        """The weights (N, S)."""
        if self.even:
            return task.gold / task.gold.sum(-1, keepdim=True)
        return self.attention.score(task.queries, task.keys)[:, 0].softmax(-1)

    def rewards(self, task: choosing.Task, labels: Tensor) -> Tensor:
        """Log p of labels (N, L) by each key, (N, S)."""
        labels = labels.unsqueeze(1).expand(-1, task.values.shape[1], -1)
        return self.log_p(self.read(task.values), labels)

    def loss(self, task: choosing.Task) -> Tensor:
        """The mean of minus the goal, in nats."""
        some = task.says[task.gold].view(len(task), 2, -1) if self.both else task.labels[:, None]
        rewards = torch.stack([self.rewards(task, each) for each in some.unbind(1)]).mean(0)
        return -(self.weights(task) * rewards).sum(-1).mean()


class Alone(learning_rules.Several):
    """As many draws, each rewarded by itself, with the mean reward of the others as baseline."""

    def loss(self, task: choosing.Task) -> Tensor:
        """The mean cross-entropy of a draw; its gradient has what the choices add to it."""
        weights = self.attention.score(task.queries, task.keys)[:, 0].softmax(-1)
        drawn = weights.detach().multinomial(self.draws, replacement=True)
        rows = torch.arange(len(task)).unsqueeze(1)
        labels = task.labels.unsqueeze(1).expand(-1, self.draws, -1)
        log_p = self.log_p(self.read(task.values[rows, drawn]), labels)
        reward = log_p.detach()
        reward = (reward - reward.mean(1, keepdim=True)) * self.draws / (self.draws - 1)
        chosen = (reward * weights.gather(1, drawn).log()).mean(1)
        return -(log_p.mean(1) + chosen - chosen.detach()).mean()


COLLAPSE = {
    "one draw": lambda task: choosing.Chooser(task, "hard"),
    "enumerated": Listed,
    "enumerated, both labels": lambda task: Listed(task, both=True),
    "held even": lambda task: Listed(task, both=True, even=True),
    "marginal": lambda task: choosing.Chooser(task, "marginal"),
}


def freeze(model: choosing.Chooser) -> choosing.Chooser:
    """The reader of the text: a half for what it sees, and a tenth for each of five others."""

    def read(contexts: Tensor) -> list[Tensor]:
        sizes = model.classes
        return [
            torch.where(x > 0.5, math.log(0.5), math.log(0.5 / (k - 1)))
            for x, k in zip(contexts.split(sizes, -1), sizes, strict=True)
        ]

    model.read = read
    return model


@torch.no_grad()
def look(model: choosing.Chooser, task: choosing.Task) -> dict:
    """What the choice looks like: see the top of the file."""
    weights = model.attention.score(task.queries, task.keys)[:, 0].softmax(-1)
    if getattr(model, "even", False):
        weights = task.gold / 2.0
    both = task.says[task.gold].view(len(task), 2, -1)  # (N, 2, L)
    on = weights[task.gold].view(-1, 2)
    on = on / on.sum(-1, keepdim=True)
    rewards = torch.stack([Listed.rewards(model, task, each) for each in both.unbind(1)])
    own = rewards[:, task.gold].view(2, -1, 2)  # label, question, key
    first = on.argmax(-1)
    rows = torch.arange(len(task))
    wins = []
    for said, kinds in zip(both.unbind(-1), task.classes, strict=True):
        won = torch.bincount(said[rows, first], minlength=kinds)
        wins.append(won / torch.bincount(said.flatten(), minlength=kinds))
    colours, shapes = ([round(float(x), 3) for x in some] for some in wins)
    return {
        "balance": round(float(on.amax(-1).mean()), 4),
        "own": round(float(-own[first, rows, first].mean()), 4),
        "other": round(float(-own[1 - first, rows, first].mean()), 4),
        "bound": round(float(-(weights * rewards.mean(0)).sum(-1).mean()), 4),
        "colours": colours,
        "shapes": shapes,
    }


def trained(model: choosing.Chooser, parts: tuple, updates: int, seed: int) -> dict:
    """Train once; the marks at the end, and on *either* how it chooses, along the way."""
    train, test = parts
    two = len(test.classes) == 2 and test.gold.sum() == 2 * len(test)
    every = updates // soft_hard.POINTS
    seen = choosing.fit(
        model, train, updates, seed=seed, every=every, watch=partial(look, task=test) if two else id
    )
    found = seen[-1] | {"balance": [each["balance"] for each in seen]} if two else {}
    marks = choosing.marks(model, test)
    return found | {"end": {key: round(value, 4) for key, value in marks.items()}}


def paired(task: choosing.Task) -> choosing.Task:
    """One answer for each pair of colour and shape, in place of two answers."""
    k = task.classes[1]
    join = {
        x: getattr(task, x)[..., :1] * k + getattr(task, x)[..., 1:] for x in ("says", "labels")
    }
    return dataclasses.replace(task, classes=(task.classes[0] * k,), **join)


def beside(task: choosing.Task) -> choosing.Task:
    """Every value is both right objects, one beside the other: nothing is mixed."""
    both = task.values[task.gold].view(len(task), 1, -1)
    return dataclasses.replace(task, values=both.expand(-1, task.values.shape[1], -1))


def evenly(task: choosing.Task) -> choosing.Task:
    """Every value is the even average of both right objects."""
    mean = task.values[task.gold].view(len(task), 2, -1).mean(1, keepdim=True)
    return dataclasses.replace(task, values=mean.expand_as(task.values))


READING = {
    "average, two outputs": lambda task: task,
    "side by side, two outputs": beside,
    "even average, two outputs": evenly,
    "average, an output a pair": paired,
    "side by side, an output a pair": lambda task: paired(beside(task)),
    "even average, an output a pair": lambda task: paired(evenly(task)),
}


def run(kind: str, name: str, seed: int, parts: tuple) -> dict:
    """Train one model of a kind of control."""
    task = name.split(", ")[0] if kind == "alone" else "either"
    updates = soft_hard.UPDATES[task] * (LONGER if kind == "reading" else 1)
    torch.manual_seed(seed)
    if kind == "reading":
        parts = tuple(map(READING[name], parts))
        model = choosing.Chooser(parts[0], "soft", hidden=HIDDEN)
    elif kind == "alone":
        model = Alone(parts[0], int(name.split(", ")[1].split()[0]))
    else:
        model = COLLAPSE[name](parts[0])
        model = freeze(model) if kind == "frozen" else model
    found = trained(model, parts, updates, seed)
    if kind == "reading":
        found = {"balance": round(learning_rules.balance(model, parts[1]), 4), "end": found["end"]}
    return {"kind": kind, "name": name, "seed": seed, "updates": updates, **found}


def plan() -> list[tuple[str, str]]:
    """Kind and name of every control."""
    return [
        *(("collapse", name) for name in COLLAPSE),
        *(("frozen", name) for name in list(COLLAPSE)[:3]),
        *(("reading", name) for name in READING),
        *(("alone", name) for name in ("either, 8 draws", "glimpses, 4 draws")),
    ]


def main() -> None:
    """Do what is left, and write the file after each control."""
    torch.set_num_threads(1)
    runs = json.loads(RESULTS.read_text(encoding="utf-8"))["runs"] if RESULTS.exists() else []
    done = {(each["kind"], each["name"], each["seed"]) for each in runs}
    parts = {}
    for kind, name in plan():
        left = [seed for seed in SEEDS if (kind, name, seed) not in done]
        task = "glimpses" if "glimpses" in name else "either"
        if left and task not in parts:
            parts[task] = soft_hard.tasks(task)
        for seed in left:
            runs.append(run(kind, name, seed, parts[task]))
            print(kind, name, runs[-1], flush=True)
        if left:
            content = {"seeds": SEEDS, "tested": soft_hard.TESTED, "runs": runs}
            record(RESULTS, COMMAND, content, one_a_line="runs", grows=True)


if __name__ == "__main__":
    main()
