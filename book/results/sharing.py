"""Is it the long path that makes one vector slow to fill, or that letters share it? Chapter 01.

Run from the root of the repository, on one thread, about twenty minutes::

    OMP_NUM_THREADS=1 python book/results/sharing.py

The model, the optimizer and the batch are those that the reader builds in the chapter
(sec-01-own): an encoder-decoder that reads one way and gets the vector as its first state. Every
source has 12 letters. It writes the first k of them, or the last k. In a copy of the first k, each
letter waits for 12 ticks between being read and being written, whatever k is: k changes how many
letters share the vector, and nothing else about the path. In a copy of the last k, each letter
waits for k ticks. With k = 12 the two are one task. The learning rate falls to zero within each
budget, so a run is never the beginning of a longer one.

Of each run: the share of letters that greedy decoding gets right, and of whole copies. ``start``
says of 8 untrained models how the gradient of the first written letter's loss is shared out among
the 12 source letters.

It writes ``sharing.json`` beside itself after every run, and skips the runs already there.
"""

from pathlib import Path

import torch
from _record import begin, record
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

RESULTS = Path(__file__).with_name("sharing.json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/sharing.py"
SYMBOLS, START, END = 10, 10, 11
LENGTH, BATCH, LR, CLIP = 12, 128, 0.01, 1.0
TESTED = 500
TASKS = [("first", 1), ("last", 1), ("first", 4), ("last", 4), ("first", 8), ("last", 8)]
TASKS += [("all", LENGTH)]
PLAN = [  # (updates, tasks, how many seeds)
    (100, TASKS, 5),
    (400, TASKS, 5),
    (1600, TASKS[4:], 3),  # those that 400 updates leave unfinished
]
UNTRAINED_SEEDS = tuple(range(1, 9))


class EncoderDecoder(nn.Module):
    """The model of the chapter, line by line."""

    def __init__(self, words: int = SYMBOLS + 2, width: int = 32, hidden: int = 64):
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.encoder = nn.GRU(width, hidden, batch_first=True)
        self.decoder = nn.GRU(width, hidden, batch_first=True)
        self.scores = nn.Linear(hidden, words)

    def embedded(self, source: Tensor, read: Tensor) -> Tensor:
        """Scores (B, T, V) of an embedded source (B, S, E) and the words to read (B, T)."""
        _, c = self.encoder(source)
        states, _ = self.decoder(self.embedding(read), c)
        return self.scores(states)

    def forward(self, source: Tensor, read: Tensor) -> Tensor:
        """Scores (B, T, V) of a source (B, S) and the words to read (B, T)."""
        return self.embedded(self.embedding(source), read)


def batch(which: str, k: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sources (B, 13), targets and words to read (B, k + 1): the first, or the last, k letters."""
    letters = torch.randint(SYMBOLS, (count, LENGTH))
    written = letters[:, LENGTH - k :] if which == "last" else letters[:, :k]
    column = torch.ones(count, 1, dtype=torch.long)
    source, target = (torch.cat([x, END * column], 1) for x in (letters, written))
    return source, target, torch.cat([START * column, written], 1)


def train(which: str, k: int, updates: int, seed: int) -> EncoderDecoder:
    """A trained model."""
    torch.manual_seed(seed)
    model = EncoderDecoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    for update in range(updates):
        optimizer.param_groups[0]["lr"] = LR * (1 - update / updates)
        source, target, read = batch(which, k, BATCH)
        loss = cross_entropy(model(source, read).transpose(1, 2), target)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
    return model


@torch.no_grad()
def right(model: nn.Module, which: str, k: int) -> dict[str, float]:
    """Shares of letters, and of whole copies with their end token, that greedy decoding gets."""
    source, target, read = batch(which, k, TESTED)
    read = read[:, :1]
    for _ in range(k + 1):
        read = torch.cat([read, model(source, read)[:, -1:].argmax(-1)], 1)
    same = read[:, 1:] == target
    letters, whole = same[:, :k].double().mean(), same.all(1).double().mean()
    return {"letters": round(letters.item(), 4), "exact": round(whole.item(), 4)}


def start(seed: int) -> list[float]:
    """How the gradient of the first written letter's loss is shared out, before training."""
    torch.manual_seed(seed)
    model = EncoderDecoder()
    source, target, read = batch("first", 1, TESTED)
    given = model.embedding(source).detach().requires_grad_()
    loss = cross_entropy(model.embedded(given, read)[:, 0], target[:, 0])
    (gradient,) = torch.autograd.grad(loss, given)
    norms = gradient[:, :LENGTH].norm(dim=-1)
    mean = (norms / norms.sum(1, keepdim=True)).mean(0)
    return [float(f"{x:.3g}") for x in mean.tolist()]


def main() -> None:
    """Do what is left of the runs."""
    arguments, results = begin(__doc__, RESULTS, {"runs": []})
    results |= {"length": LENGTH, "tested": TESTED}
    results["start"] = [{"seed": seed, "gradient": start(seed)} for seed in UNTRAINED_SEEDS]
    done = {(r["which"], r["k"], r["updates"], r["seed"]) for r in results["runs"]}
    for updates, tasks, seeds in PLAN:
        for seed in arguments.seeds[:seeds]:
            for which, k in tasks:
                if (which, k, updates, seed) in done:
                    continue
                model = train(which, k, updates, seed)
                run = {"which": which, "k": k, "updates": updates, "seed": seed}
                results["runs"].append(run | right(model, which, k))
                record(arguments.out, COMMAND, results, one_a_line="runs", grows=True)
                print(*results["runs"][-1].values(), flush=True)


if __name__ == "__main__":
    main()
