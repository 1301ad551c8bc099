"""What hard attention is trained with, aid by aid, and several draws instead of one (chapter 06).

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/learning_rules.py

It trains the little model of `attnlib.choosing` by every combination of the three aids of Xu et al.
(2015, section 4.1): the moving baseline, the entropy of the weights, and the average instead of the
choice for half of the questions; and by several draws that are rewarded together. The tasks and
budgets are those of ``soft_hard.py``. `balance` is the weight of the heavier right key over
that of all right keys: of two that are equally right, a half is fair. What is in
``learning_rules.json`` already is not trained again, so a stopped run goes on.
"""

import itertools
import json
import math
from functools import partial
from pathlib import Path

import soft_hard
import torch
from _record import record

from attnlib import choosing

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/learning_rules.py"
SEEDS = soft_hard.SEEDS
ENTROPY = 0.3  # nats of reward for a nat of entropy; the best of 0.01, 0.1, 0.3 for another seed
HALF = 0.5
AIDS = ("baseline", "entropy", "half")
RULES = tuple(
    " + ".join(aids) or "none"
    for number in range(len(AIDS) + 1)
    for aids in itertools.combinations(AIDS, number)
)
DRAWS = (2, 4, 8)


class Several(choosing.Chooser):
    r"""K keys drawn for a question and rewarded together, by the mean of what they make of it.

    The reward is :math:`L = \log \frac1K \sum_k p(y \mid \tilde s_k)`, and the baseline of each
    draw is the same of the other K - 1, which do not depend on it (the idea of Mnih and Rezende
    2016, whose baseline differs a little).
    """

    def __init__(self, task: choosing.Task, draws: int):
        super().__init__(task, "hard")
        self.draws = draws

    def loss(self, task: choosing.Task) -> torch.Tensor:
        """The mean of -L, in nats; its gradient has what the choices add to it."""
        weights = self.attention.score(task.queries, task.keys)[:, 0].softmax(-1)  # (N, S)
        drawn = weights.detach().multinomial(self.draws, replacement=True)  # (N, K)
        rows = torch.arange(len(task)).unsqueeze(1)
        labels = task.labels.unsqueeze(1).expand(-1, self.draws, -1)
        log_p = self.log_p(self.read(task.values[rows, drawn]), labels)  # (N, K)
        together = log_p.logsumexp(1) - math.log(self.draws)
        itself = torch.eye(self.draws, dtype=torch.bool)
        others = log_p.unsqueeze(1).masked_fill(itself, -math.inf).logsumexp(2)
        reward = (together.unsqueeze(1) - others + math.log(self.draws - 1)).detach()
        chosen = (reward * weights.gather(1, drawn).log()).sum(1)
        return -(together + chosen - chosen.detach()).mean()


def chooser(task: choosing.Task, rule: str) -> choosing.Chooser:
    """The model that learns by a rule: aids, a number of draws, or one of `choosing.HOW`."""
    if rule in choosing.HOW:
        return choosing.Chooser(task, rule)
    if rule.endswith(" draws"):
        return Several(task, int(rule.split()[0]))
    return choosing.Chooser(
        task,
        "hard" if "baseline" in rule else "no baseline",
        expectation=HALF if "half" in rule else 0.0,
        entropy=ENTROPY if "entropy" in rule else 0.0,
    )


@torch.no_grad()
def balance(model: choosing.Chooser, task: choosing.Task) -> float:
    """Weight of the heavier right key over that of all right keys, the mean of the questions."""
    weights = model.attention.score(task.queries, task.keys)[:, 0].softmax(-1) * task.gold
    return float((weights.amax(-1) / weights.sum(-1)).mean())


def plan() -> list[tuple[str, int, str]]:
    """Task, updates and rule of every run.

    On *either* the other ways to choose as well; on *glimpses*, whose runs are ten times as long,
    what ``soft_hard.json`` does not have already.
    """
    several = tuple(f"{draws} draws" for draws in DRAWS)
    rules = {
        "either": (*RULES, *several, "soft", "gumbel", "marginal"),
        "needles": (*RULES, *several),
        "glimpses": ("4 draws", "baseline + half", "baseline + entropy", RULES[-1]),
    }
    return [(name, soft_hard.UPDATES[name], rule) for name, some in rules.items() for rule in some]


def run(name: str, updates: int, rule: str, seed: int, parts: tuple) -> dict:
    """Train once, and mark it along the way and at the end."""
    train, test = parts
    torch.manual_seed(seed)
    model = chooser(train, rule)
    watch = partial(choosing.marks, task=test)
    every = updates // soft_hard.POINTS
    seen = choosing.fit(model, train, updates, seed=seed, every=every, watch=watch)
    return {
        "task": name,
        "rule": rule,
        "seed": seed,
        "updates": updates,
        "curve": [round(each["right"], 3) for each in seen],
        "end": {key: round(value, 4) for key, value in seen[-1].items()},
        "balance": round(balance(model, test), 4),
    }


def main() -> None:
    """Do what is left, and write the file after each seed of a rule."""
    torch.set_num_threads(1)
    runs = json.loads(RESULTS.read_text(encoding="utf-8"))["runs"] if RESULTS.exists() else []
    done = {(each["task"], each["rule"], each["seed"]) for each in runs}
    parts = {}
    for name, updates, rule in plan():
        left = [seed for seed in SEEDS if (name, rule, seed) not in done]
        if not left:
            continue
        if name not in parts:
            parts[name] = soft_hard.tasks(name)
        runs += [run(name, updates, rule, seed, parts[name]) for seed in left]
        end = [each["end"] for each in runs[-len(left) :]]
        print(name, rule, *([each[key] for each in end] for key in ("right", "nll")), flush=True)
        content = {
            "seeds": SEEDS,
            "entropy": ENTROPY,
            "expectation": HALF,
            "tested": soft_hard.TESTED,
            "runs": runs,
        }
        record(RESULTS, COMMAND, content, one_a_line="runs", grows=True)


if __name__ == "__main__":
    main()
