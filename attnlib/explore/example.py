"""The five dials' tiny example: one sentence pair and a decoder three numbers wide.

The decoder is `attnlib.seq2seq.Decoder` itself; only its numbers are given, in `example_numbers`,
rounded to two decimals. `fit` found them by gradient descent: all settings share keys, embeddings
and scores, and each timing has a recurrence of its own (a state that asks before the step must know
other things than one that asks after it). Biases are zero; the first state is tanh of the summary.
"""

import itertools
import random

import torch
from torch import Tensor, nn
from torch.func import functional_call

from attnlib import scores
from attnlib.attention import Attention
from attnlib.explore.example_numbers import NUMBERS
from attnlib.selection import Soft
from attnlib.seq2seq import FEEDINGS, TIMINGS, Decoder, Memory
from attnlib.windows import Causal, Everywhere

SOURCE = ["a", "red", "shirt", "."]
TARGET = ["une", "chemise", "rouge", "."]
GOLD = [0, 2, 1, 3]  # the source word that each target word translates
WIDTH = 3
HALF_WIDTH = 1.0  # D of the local windows, in source positions

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


class Monotonic(nn.Module):
    """Local-m: the keys within D of p_t = t (Luong et al. 2015, section 3.2)."""

    def forward(self, queries: Tensor, mask: Tensor | None, keys: int, start: int = 0):
        """Hide the keys further than D from the query's own position."""
        centre = torch.arange(start, start + queries.shape[1]).unsqueeze(1)
        return ((torch.arange(keys) - centre).abs() <= HALF_WIDTH).unsqueeze(0), None


class Predictive(nn.Module):
    r"""Local-p: near :math:`p_t = S\sigma(v_p^\top \tanh(W_p h_t))` (Luong et al. 2015, eq. 9)."""

    def __init__(self, cut: bool = True):
        super().__init__()
        self.W = nn.Linear(WIDTH, WIDTH, bias=False)
        self.v = nn.Linear(WIDTH, 1, bias=False)
        self.cut = cut

    def forward(self, queries: Tensor, mask: Tensor | None, keys: int, start: int = 0):
        """Hide the keys further than D from p_t, weigh the others by a Gaussian (eq. 10)."""
        centre = keys * self.v(self.W(queries).tanh()).sigmoid()  # (B, T, 1)
        distance = torch.arange(keys) - centre  # (B, T, S)
        factor = torch.exp(-(distance**2) / (2 * (HALF_WIDTH / 2) ** 2))
        return distance.abs() <= HALF_WIDTH if self.cut else None, factor


class Hard(nn.Module):
    """The value of one key, drawn by its weight (Xu et al. 2015, section 4.1)."""

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed
        self.chosen: list[int] = []  # a step at a time

    def forward(self, weights: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Draw for the one query of this step; the weights come back as they were."""
        choice = pick(weights[0, 0].tolist(), uniform(self.seed, len(self.chosen)))
        self.chosen.append(choice)
        return values[:, choice : choice + 1], weights


WINDOWS = {
    "everywhere": Everywhere,
    "causal": Causal,
    "local_m": Monotonic,
    "local_p": Predictive,
}


def pick(weights: list[float], draw: float) -> int:
    """The key that a number in [0, 1) falls on, when the keys share that stretch by their weights.

    >>> pick([0.2, 0.0, 0.6], 0.1), pick([0.2, 0.0, 0.6], 0.9)
    (0, 2)
    """
    mark, reached, last = draw * sum(weights), 0.0, 0
    for s, a in enumerate(weights):
        if a > 0:
            reached, last = reached + a, s
            if mark < reached:
                break
    return last


def uniform(seed: int, step: int) -> float:
    """A number in [0, 1) that Python and a browser compute alike (mulberry32 of seed and step)."""
    low = 0xFFFFFFFF
    a = (seed * 7919 + step * 104729 + 0x6D2B79F5) & low
    t = ((a ^ (a >> 15)) * (a | 1)) & low
    t ^= (t + (t ^ (t >> 7)) * (t | 61)) & low
    return (t ^ (t >> 14)) / (low + 1)


class Example(nn.Module):
    """The decoder at one setting of the dials, on the example's sentence pair.

    >>> Example("additive").forward(tensors()).shape
    torch.Size([4, 4])
    """

    def __init__(
        self, score, window="everywhere", selection=None, timing="before", feeding="context"
    ):
        super().__init__()
        self.name, self.timing, self.feeding = score, timing, feeding
        self.score = scores.make(score, WIDTH, WIDTH, WIDTH, len(SOURCE))
        window = WINDOWS[window]() if isinstance(window, str) else window
        attention = Attention(self.score, window, selection or Soft())
        self.decoder = Decoder(WIDTH, WIDTH, WIDTH, attention, timing, feeding)

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
        memory = Memory(
            keys,
            self.decoder.attention.score.prepare(keys),
            torch.ones(keys.shape[:2], dtype=torch.bool),
            numbers[f"{example.timing}_summary"].unsqueeze(0),
        )
        return self.decoder(numbers["previous"].unsqueeze(0), memory)[1][0]


def tensors() -> dict[str, Tensor]:
    """The example's numbers in float64."""
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in NUMBERS.items()}


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
        scores.SCORES, (Everywhere(), Monotonic(), Predictive(cut=False)), TIMINGS, FEEDINGS
    )
    examples = [Example(score, window, None, *rest) for score, window, *rest in settings]
    wanted = torch.full((len(TARGET), len(SOURCE)), 0.03)
    wanted[range(len(TARGET)), GOLD] = 0.91
    optimizer = torch.optim.Adam(numbers.values(), lr=0.03)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.001 + 0.03 * (1 - step / steps)
        loss = 2e-4 * sum((value**2).sum() for value in numbers.values())
        for example in random.sample(examples, 7):
            loss = loss - (wanted * (example(numbers) + 1e-3).log()).sum(1).mean() / 7
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {
        name: torch.round(value.detach().double(), decimals=2).tolist()
        for name, value in numbers.items()
    }
