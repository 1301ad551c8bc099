"""Two exercises of chapter 02: a network that multiplies, and how much a lookup holds.

Run from the root of the repository, on one thread, under a minute::

    OMP_NUM_THREADS=1 python book/results/lookups.py

*multiply* (ex-02-mlp): a network with one hidden layer of ReLUs on trial 2 of the chapter, whose
phrases are made here as they are there, and then on the same phrases shuffled (trial 3). *capacity*
(ex-02-capacity): S random unit keys, each looked up with itself; the share that find themselves
with more than half of the weight. It writes ``lookups.json`` beside itself.
"""

import argparse
import math
from pathlib import Path

import torch
from _record import record
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/lookups.py"
SEEDS = tuple(range(5))
UNITS = (8, 12, 16, 24, 64)
PHRASES, STEPS, RATE = 2000, 2000, 0.01
DETERMINER, STAYS, MOVES, NOUN = range(4)
LOOKUPS = ((8, 1 / 8), (8, 1 / 32), (64, 1 / 4), (64, 1 / 5), (64, 1 / 8))  # width, temperature
KEYS = (64, 128, 1024)


def phrases(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """English phrases (n, 3, 8) and their names in French order (n, 3, 4): two of three move."""
    moves = torch.rand(count, 1, generator=generator) < 2 / 3
    names = torch.randn(count, 3, 4, generator=generator)
    kinds = torch.tensor([[DETERMINER, STAYS, NOUN], [DETERMINER, MOVES, NOUN]])
    kinds = kinds[moves.long().squeeze(1)]
    order = torch.where(moves, torch.tensor([0, 2, 1]), torch.tensor([0, 1, 2]))
    spelt = torch.cat([one_hot(kinds, 4).float(), names], dim=-1)
    return spelt, names[torch.arange(count)[:, None], order]


def right(answer: Tensor, source: Tensor, target: Tensor) -> float:
    """Share of phrases whose three nearest names are all right."""
    nearest = torch.cdist(answer, source[..., 4:]).argmin(-1)
    named = source[..., 4:][torch.arange(len(source))[:, None], nearest]
    return float((named == target).flatten(1).all(1).double().mean())


def network(units: int) -> nn.Sequential:
    """24 numbers of a phrase, one hidden layer, 12 numbers of an answer."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(24, units),
        nn.ReLU(),
        nn.Linear(units, 12),
        nn.Unflatten(1, (3, 4)),
    )


def multiply(units: int, seed: int, steps: int = STEPS) -> tuple[float, float]:
    """Trials 2 and 3 of one network."""
    generator = torch.Generator().manual_seed(seed)
    source, target = phrases(PHRASES, generator)
    test, wanted = phrases(PHRASES, generator)
    torch.manual_seed(seed)
    net = network(units)
    optimiser = torch.optim.Adam(net.parameters(), lr=RATE)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        loss = (net(source) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rate.step()
    shuffled = torch.rand(PHRASES, 3, generator=generator).argsort(1)
    shuffled = test[torch.arange(PHRASES)[:, None], shuffled]
    with torch.no_grad():
        return right(net(test), test, wanted), right(net(shuffled), shuffled, wanted)


def found(width: int, tau: float, keys: int, seed: int) -> float:
    """Share of `keys` random unit keys with more than half of their own weight."""
    torch.manual_seed(seed)
    k = normalize(torch.randn(keys, width, dtype=torch.float64), dim=1)
    return float(((k @ k.T / tau).softmax(1).diagonal() > 0.5).double().mean())


def main() -> None:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results: dict = {"seeds": SEEDS, "multiply": [], "capacity": []}
    for width, tau in LOOKUPS:
        row = {"width": width, "one_over_tau": round(1 / tau)}
        row["estimate"] = round(math.exp(1 / tau - 1 / (2 * width * tau**2)), 1)
        row["found"] = {S: [round(found(width, tau, S, s), 4) for s in SEEDS] for S in KEYS}
        results["capacity"].append(row)
    for units in UNITS:
        outcomes = [multiply(units, seed) for seed in SEEDS]
        row = {"units": units, "parameters": sum(p.numel() for p in network(units).parameters())}
        trials = zip(("trial_2", "trial_3"), zip(*outcomes, strict=True), strict=True)
        row |= {name: [round(x, 4) for x in shares] for name, shares in trials}
        results["multiply"].append(row)
        record(arguments.out, COMMAND, results)
        print(row, flush=True)


if __name__ == "__main__":
    main()
