"""How much of the answer is in how spread the weights are, no word read (chapter 10).

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/spread.py

The classifiers of ``debate.py`` on the task ``negated``, five seeds, with and without context, and
eight networks with context that were never trained. Of each sentence only one number is kept, the
entropy of its weights, and one threshold on it, chosen on the training sentences, guesses the
answer of the test sentences. Of the five with context and of one never trained the threshold and
the entropies of some test sentences are kept, for a picture; so are, for each answer, the word that
has the largest weight most often, and how often (``top``), and the share of sentences where it lies
on a word that decides or on its neighbour (``near``), with that of a word at random (``chance``). A
minute of one core.
"""

from collections import Counter
from pathlib import Path

import torch
from _record import begin, record
from debate import UNTRAINED, new, read, texts, trained
from torch import Tensor
from torch.nn.functional import max_pool1d

from attnlib import evidence
from attnlib.explore.figure import rounded

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/spread.py"
TASK = "negated"
SHOWN = 30  # sentences of each answer whose entropies are kept
ANSWERS = ("not pleased", "pleased")


def entropy(weights: Tensor) -> Tensor:
    """Of rows of weights (N, S), in nats (N,)."""
    return -torch.xlogy(weights, weights).sum(-1)


def best_threshold(scores: Tensor, labels: Tensor) -> tuple[float, bool]:
    """Where to cut, and whether those above are called 1, for the most right answers (N,)."""
    ordered, order = scores.sort()
    ones = labels.bool()[order]
    below = torch.cat([torch.zeros(1), ones.cumsum(0).float()])  # ones among the first k
    rank = torch.arange(len(scores) + 1)
    right = (rank - below) + (below[-1] - below)  # those above are called 1
    turned = len(scores) - right
    above = bool(right.max() >= turned.max())
    k = int((right if above else turned).argmax())
    ends = torch.cat([ordered[:1] - 1, ordered, ordered[-1:] + 1])
    return float((ends[k] + ends[k + 1]) / 2), above


def guessed(model, show: bool) -> dict:
    """The share of test sentences whose answer the threshold gives, and what to draw it from."""
    its = {split: read(model, which) for split, which in texts(TASK)[1].items()}
    spread = {split: entropy(reading.weights) for split, reading in its.items()}
    labels = {split: which.labels for split, which in texts(TASK)[1].items()}
    cut, above = best_threshold(spread["train"], labels["train"])
    said = (spread["test"] > cut) == above
    found = {"right": float((said == labels["test"].bool()).float().mean())}
    if show:
        of = {name: spread["test"][labels["test"] == i][:SHOWN] for i, name in enumerate(ANSWERS)}
        found |= {"cut": cut, "entropies": {name: each.tolist() for name, each in of.items()}}
        found |= looks(its["test"].weights, texts(TASK)[1]["test"])
    return rounded(found, 4)


def looks(weights: Tensor, which: evidence.Texts) -> dict:
    """The commonest most attended word of each answer, and how near to the evidence it lies."""
    first = weights.argmax(1)
    said = [one.words[at] for one, at in zip(evidence.sentences(TASK, "test"), first.tolist())]
    top = {}
    for label, name in enumerate(ANSWERS):
        rows = [word for word, its in zip(said, which.labels.tolist()) if its == label]
        ((word, count),) = Counter(rows).most_common(1)
        top[name] = [word, count / len(rows)]
    decides = which.evidence.double().unsqueeze(1)
    wide = max_pool1d(decides, 3, stride=1, padding=1)[:, 0] * which.mask  # with neighbours
    near = wide.gather(1, first.unsqueeze(1)).mean()
    chance = (wide.sum(1) / which.lengths).mean()
    return {"top": top, "near": float(near), "chance": float(chance)}


def main() -> None:
    """Train, or go on, and write the file."""
    options, content = begin(__doc__, RESULTS, {"runs": []})
    torch.set_num_threads(1)
    kinds = [("trained", encoder, seed) for encoder in ("recurrent", "token-wise")
             for seed in options.seeds]  # fmt: skip
    kinds += [("untrained", "recurrent", seed) for seed in range(1, UNTRAINED + 1)]
    done = {(row["kind"], row["encoder"], row["seed"]) for row in content["runs"]}
    for kind, encoder, seed in kinds:
        if (kind, encoder, seed) not in done:
            make = trained if kind == "trained" else new
            show = encoder == "recurrent" and (kind == "trained" or seed == 1)
            found = guessed(make(TASK, encoder, "learned", seed).eval(), show)
            content["runs"].append({"kind": kind, "encoder": encoder, "seed": seed, **found})
            record(options.out, COMMAND, content, one_a_line="runs")


if __name__ == "__main__":
    main()
