"""The five dials' tiny example: one sentence pair and a decoder three numbers wide.

The decoder is `attnlib.seq2seq.RecurrentDecoder`; only its numbers are given, in `example_numbers`,
rounded to two decimals. `fit` found them by gradient descent: all settings share keys, embeddings
and scores, and each timing has a recurrence of its own (a state that asks before the step must know
other things than one that asks after it). Biases are zero; the first state is tanh of the summary.
"""

import itertools
import math
import random
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import one_hot

from attnlib.attention import Attention
from attnlib.explore.example_numbers import NUMBERS
from attnlib.selection import Soft, StraightThroughGumbel
from attnlib.seq2seq import FEEDINGS, TIMINGS, RecurrentDecoder, RecurrentMemory
from attnlib.settings import SCORES, make_score, make_window
from attnlib.windows import Everywhere, Monotonic, Predictive

SOURCE = ["a", "red", "shirt", "."]
TARGET = ["une", "chemise", "rouge", "."]
GOLD = [0, 2, 1, 3]  # the source word that each target word translates
WIDTH = 3
REACH = 1  # D of the local windows, in source positions

RECURRENCE = {
    "summary": (WIDTH,),
    "cell_previous": (3 * WIDTH, WIDTH),  # of a GRU: rows of its gates r and z, and of n
    "cell_context": (3 * WIDTH, WIDTH),
    "cell_input": (3 * WIDTH, WIDTH),
    "cell_state": (3 * WIDTH, WIDTH),
    "readout": (WIDTH, 3 * WIDTH),  # W_c, on [h_t; c_t; y_{t-1}]
}
SHAPES = {
    "keys": (len(SOURCE), WIDTH),  # and values
    "previous": (len(TARGET), WIDTH),  # embeddings of <s>, une, chemise, rouge
    **{f"{timing}_{name}": shape for timing in TIMINGS for name, shape in RECURRENCE.items()},
    "cosine_beta": (),
    "general_W": (WIDTH, WIDTH),
    "additive_W": (WIDTH, WIDTH),
    "additive_U": (WIDTH, WIDTH),
    "additive_v": (WIDTH,),
    "concat_W": (WIDTH, 2 * WIDTH),
    "concat_v": (WIDTH,),
    "location_W": (len(SOURCE), WIDTH),
    "centre_W": (WIDTH, WIDTH),  # W_p and v_p of the predictive window
    "centre_v": (WIDTH,),
}


class Uncut(Predictive):
    """The Gaussian without the cut at D, under which every key has a gradient; for `fit`."""

    def forward(self, *arguments, **more):
        """As the library's, but every key is allowed."""
        return None, super().forward(*arguments, **more)[1]


class GivenNoise(StraightThroughGumbel):
    """Straight-through Gumbel on the way forward, its noise (B, T, S) handed in as the draws."""

    def choose(self, weights, draws):
        """The key (B, T) that comes out largest; weights and noise may also be without B."""
        return self.relax(weights, draws).argmax(-1)

    def forward(
        self, weights: Tensor, values: Tensor, draws: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The values of the chosen keys, and the weights as they were: the probabilities."""
        if draws is None:
            raise ValueError("the noise has to be given, as draws (B, T, S)")
        taken = one_hot(self.choose(weights, draws), weights.shape[-1])
        return taken.to(weights.dtype) @ values, weights


def uniform(seed: int, step: int) -> float:
    """A number in [0, 1) that Python and a browser compute alike (mulberry32 of seed and step)."""
    low = 0xFFFFFFFF
    a = (seed * 7919 + step * 104729 + 0x6D2B79F5) & low
    t = ((a ^ (a >> 15)) * (a | 1)) & low
    t ^= (t + (t ^ (t >> 7)) * (t | 61)) & low
    return (t ^ (t >> 14)) / (low + 1)


def gumbel(seed: int, step: int) -> float:
    """Gumbel noise -log(-log u); half a unit of u's last place keeps it from 0."""
    return -math.log(-math.log(uniform(seed, step) + 2**-33))


class TinyModel(nn.Module):
    """The decoder at one setting of the dials, on the example's sentence pair.

    `draws`, where given, decide what is chosen: (T,) for a hard selection, (T, S) for `GivenNoise`.

    >>> TinyModel("additive").forward(tensors()).shape
    torch.Size([4, 4])
    """

    def __init__(
        self,
        score,
        window="everywhere",
        selection=None,
        timing="before",
        feeding="context",
        draws=None,
    ):
        super().__init__()
        self.name, self.timing, self.feeding, self.draws = score, timing, feeding, draws
        self.score = make_score(score, WIDTH, WIDTH, hidden_dim=WIDTH, max_source=len(SOURCE))
        if isinstance(window, str):
            window = make_window(window, query_dim=WIDTH, hidden_dim=WIDTH, reach=REACH)
        if isinstance(selection, GivenNoise):
            window.near = lambda *_: None  # noise for all keys: none may be left out
        attention = Attention(self.score, window, selection or Soft())
        self.decoder = RecurrentDecoder(
            WIDTH,
            WIDTH,
            annotation_dim=WIDTH,
            attention=attention,
            timing=timing,
            feeding=feeding,
        )

    def forward(self, numbers: dict[str, Tensor]) -> Tensor:
        """Weights (T, S), with the example's numbers for parameters."""
        return functional_call(_Run(self.decoder), self.settings_of(numbers), (self, numbers))

    def settings_of(self, numbers: dict[str, Tensor]) -> dict[str, Tensor]:
        """The decoder's parameters by their torch names."""

        def own(name):
            return numbers[f"{self.timing}_{name}"]

        fed = [] if self.feeding == "none" else [own(f"cell_{self.feeding}")]
        given = {
            "cell.weight_ih": torch.cat([own("cell_previous"), *fed], 1),
            "cell.weight_hh": own("cell_state"),
            "first.weight": torch.eye(WIDTH, dtype=numbers["keys"].dtype),
            "W_c.weight": own("readout"),
            "attention.score.beta": numbers["cosine_beta"],
            "attention.window.W.weight": numbers["centre_W"],
            "attention.window.v.weight": numbers["centre_v"].unsqueeze(0),
        }
        for part in {"W", "U", "v"} & {name.removeprefix(f"{self.name}_") for name in numbers}:
            value = numbers[f"{self.name}_{part}"]
            given[f"attention.score.{part}.weight"] = value.unsqueeze(0) if part == "v" else value
        return {
            f"decoder.{name}": given.get(name, torch.zeros_like(old, dtype=numbers["keys"].dtype))
            for name, old in self.decoder.named_parameters()
        }


class _Run(nn.Module):
    """Preparing the keys and decoding as one call, as functional_call wants it."""

    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, example, numbers):
        keys = numbers["keys"].unsqueeze(0)
        memory = RecurrentMemory(
            keys,
            self.decoder.attention.score.prepare(keys),
            torch.ones(keys.shape[:2], dtype=torch.bool),
            numbers[f"{example.timing}_summary"].unsqueeze(0),
            None if example.draws is None else example.draws.unsqueeze(0),
        )
        return self.decoder(numbers["previous"].unsqueeze(0), memory)[1][0]


def tensors(numbers: Mapping[str, Any] = NUMBERS) -> dict[str, Tensor]:
    """The example's numbers, or others of the same shapes, in float64."""
    return {name: torch.tensor(numbers[name], dtype=torch.float64) for name in NUMBERS}


def fit(steps: int = 1000, seed: int = 3) -> dict[str, list]:
    """Find numbers with which the settings align the pair; a few minutes on one core.

    Every step takes seven settings at random, and asks each row for 0.91 on the right word and for
    0.03 on the others. The predictive window is not cut off meanwhile: a key outside it has no
    gradient.
    """
    torch.manual_seed(seed)
    random.seed(seed)
    numbers = {name: 0.8 * torch.randn(shape) for name, shape in SHAPES.items()}
    numbers["cosine_beta"] = torch.tensor(4.0)
    for value in numbers.values():
        value.requires_grad_()
    settings = itertools.product(
        SCORES,
        (Everywhere(), Monotonic(REACH), Uncut(WIDTH, WIDTH, REACH)),
        TIMINGS,
        FEEDINGS,
    )
    examples = [TinyModel(score, window, None, *rest) for score, window, *rest in settings]
    wanted = torch.full((len(TARGET), len(SOURCE)), 0.03)
    wanted[range(len(TARGET)), GOLD] = 0.91
    optimizer = torch.optim.Adam(numbers.values(), lr=0.03)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.001 + 0.03 * (1 - step / steps)
        squares = ((value**2).sum() for value in numbers.values())
        loss = 2e-4 * sum(squares, torch.zeros(()))
        for example in random.sample(examples, 7):
            loss = loss - (wanted * (example(numbers) + 1e-3).log()).sum(1).mean() / 7
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {
        name: torch.round(value.detach().double(), decimals=2).tolist()
        for name, value in numbers.items()
    }
