"""What a layer costs by the length of its sentence: attention three ways, and a recurrence.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/attention_cost.py

One layer of the shipped transformer's width reads one sentence of T random vectors, forwards and
backwards, on one thread: self-attention that holds its weights (``naive``), the same sums by
PyTorch's fused kernel (``fused``), within 10 words to either side (``windowed``), and a GRU
(``recurrent``).

Time is the processor's (`time.process_time`: waiting for a turn on a busy machine does not count,
and with one thread nothing else is left out), and of all rounds the best counts, which is the one
that was disturbed least. A round goes through all lengths, so that an hour of trouble hits all
alike; what is in ``attention_cost.json`` from the same hardware counts as rounds before. Memory is
what the forward pass holds for the gradient, parameters included. A quarter of an hour.
"""

import json
import sys
import time
from pathlib import Path

import torch
from _record import record
from torch import nn

from attnlib import windows
from attnlib.multihead import MultiHeadAttention
from attnlib.training import QUEUE, hardware

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/attention_cost.py"
SIZE = QUEUE["en-fr-transformer"].model
CONFIG = {"width": SIZE.width, "heads": SIZE.heads, "reach": 10, "dtype": "float32"}
LENGTHS = tuple(2**i for i in range(4, 13))  # 16 to 4,096
ROUNDS, SHORT = 25, 0.05  # seconds a short sentence is read again and again, each round


def layers() -> dict:
    """The four kinds, each a function of (1, T, D)."""
    torch.manual_seed(0)
    width, heads = CONFIG["width"], CONFIG["heads"]
    whole = MultiHeadAttention(width, heads)
    near = MultiHeadAttention(width, heads, windows.Monotonic(CONFIG["reach"]))
    near.load_state_dict(whole.state_dict())
    gru = nn.GRU(width, width, batch_first=True)
    return {
        "naive": lambda x: whole(x, x, x)[0],
        "fused": lambda x: whole(x, x, x, need_weights=False)[0],
        "windowed": lambda x: near(x, x, x, need_weights=False)[0],
        "recurrent": lambda x: gru(x)[0],
    }


def sentence(T: int) -> torch.Tensor:
    """T vectors, whose gradient is wanted too."""
    return torch.randn(1, T, CONFIG["width"], requires_grad=True)


def seconds(layer, x: torch.Tensor) -> float:
    """Of a processor, for forwards and backwards: the best of as many as fit into `SHORT`."""
    best, spent = float("inf"), 0.0
    while spent < SHORT:
        start = time.process_time()
        layer(x).sum().backward()
        once = time.process_time() - start
        best, spent = min(best, once), spent + once
    return best


def write(best: dict, held: dict, rounds: int) -> None:
    """Store what was found so far."""
    rows = [
        {"kind": kind, "T": T, "seconds": float(f"{once:.4g}"), "bytes": held[kind, T]}
        for (kind, T), once in sorted(best.items())
    ]
    record(RESULTS, COMMAND, {"config": CONFIG, "rounds": rounds, "rows": rows})


def main() -> None:
    """All lengths, round after round."""
    sys.path.append(str(ROOT / "tests" / "benchmarks"))
    from test_speed import bytes_held  # counted as in `make bench`

    torch.set_num_threads(1)
    kinds, before, best = layers(), 0, {}
    if RESULTS.exists():
        known = json.loads(RESULTS.read_text(encoding="utf-8"))
        if (known["hardware"], known["config"]) == (hardware(), CONFIG):
            before = known["rounds"]
            best = {(row["kind"], row["T"]): row["seconds"] for row in known["rows"]}
    held = {
        (kind, T): bytes_held(lambda layer=layer, T=T: layer(sentence(T)))
        for kind, layer in kinds.items()
        for T in LENGTHS
    }
    for done in range(1, ROUNDS + 1):
        for T in LENGTHS:
            x = sentence(T)
            for kind, layer in kinds.items():
                best[kind, T] = min(best.get((kind, T), float("inf")), seconds(layer, x))
        write(best, held, before + done)
        print(done, *(f"{kind} {best[kind, LENGTHS[-1]]:.3f}" for kind in kinds), flush=True)


if __name__ == "__main__":
    main()
