"""Which of two words came first? One layer of self-attention, at lengths it never saw.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/who_is_first.py

The model and the task are those of chapter 08: words of which one is *man* and one is *horse*,
contexts averaged, one linear layer on top; trained on sentences of eight words and marked on
sentences of 8 to 64, each with its twin in which the two words are exchanged. Five seeds for each
way of saying the order. It writes ``who_is_first.json`` beside this file.
"""

import argparse
from pathlib import Path

import torch
from _record import record
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from attnlib import windows
from attnlib.multihead import MultiHeadAttention
from attnlib.positions import Learned, Positions, Rotary, Sinusoidal

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/who_is_first.py"
SEEDS, LENGTHS = (0, 1, 2, 3, 4), (8, 16, 32, 64)
TRAINED, UPDATES, TESTED = 8, 200, 1000
POSITIONS = {
    "none": Positions,
    "sinusoidal": lambda: Sinusoidal(width=16),
    "learned": lambda: Learned(width=16, max_length=max(LENGTHS)),
    "rotary": lambda: Rotary(width=8),
}
WINDOWS = {"everywhere": windows.Everywhere, "causal": windows.Causal}
SETTINGS = [*((name, "everywhere") for name in POSITIONS), ("none", "causal")]


class WhoIsFirst(nn.Module):
    """One layer of self-attention, averaged, and one answer."""

    def __init__(self, positions: str, window: str, width=16, heads=2, words=12):
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.positions = POSITIONS[positions]()
        self.attention = MultiHeadAttention(width, heads, WINDOWS[window](), self.positions.rotate)
        self.answer = nn.Linear(width, 1)

    def forward(self, words):
        """The logit of "word 0 came before word 1" for each sentence (B, T)."""
        x = self.positions(self.embedding(words))
        contexts, _ = self.attention(x, x, x, need_weights=False)
        return self.answer(contexts.mean(1)).squeeze(-1)


def sentences(number: int, T: int, generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Words (number, T), and whether word 0 comes before word 1."""
    words = torch.randint(2, 12, (number, T), generator=generator)
    places = torch.rand(number, T, generator=generator).argsort(1)[:, :2]
    words.scatter_(1, places, torch.tensor([0, 1]).expand(number, 2))
    return words, places[:, 0] < places[:, 1]


def learn(positions: str, window: str, seed: int, updates: int = UPDATES) -> WhoIsFirst:
    """A model trained on sentences of `TRAINED` words."""
    torch.manual_seed(seed)
    model, generator = WhoIsFirst(positions, window), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(updates):
        words, first = sentences(64, TRAINED, generator)
        loss = binary_cross_entropy_with_logits(model(words), first.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def right(model: nn.Module, T: int, tested: int = TESTED) -> float:
    """The share of sentences and their twins of which the answer is right."""
    words, first = sentences(tested, T, torch.Generator().manual_seed(99))
    twins = torch.where(words < 2, 1 - words, words)
    with torch.no_grad():
        found = torch.cat([(model(words) > 0) == first, (model(twins) > 0) != first])
    return float(found.float().mean())


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--updates", type=int, default=UPDATES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for positions, window in SETTINGS:
        for seed in SEEDS:
            model = learn(positions, window, seed, options.updates)
            share = {str(T): round(right(model, T), 4) for T in LENGTHS}
            rows.append({"positions": positions, "window": window, "seed": seed, "right": share})
            print(rows[-1], flush=True)
    content = {
        "updates": options.updates, "trained_on": TRAINED, "tested": TESTED, "rows": rows,
    }  # fmt: skip
    record(RESULTS, COMMAND, content, one_a_line="rows")


if __name__ == "__main__":
    main()
