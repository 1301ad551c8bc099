"""Soft against hard: an average beside a choice, and the estimate of the choice's gradient."""

from typing import Any

import torch
import traitlets as tr
from torch import Tensor

from attnlib.explore.example import uniform
from attnlib.explore.figure import Figure, FigureError, numbers, rounded, within
from attnlib.masks import masked_softmax
from attnlib.selection import Hard, Soft

REACH = 5.0  # of scores, values and the target
MOST = 10_000  # samples


def case(name: str, note: str, scores: list, values: list, target: float) -> dict:
    """A problem to choose from the menu."""
    return {"name": name, "note": note, "scores": scores, "values": values, "target": target}


CASES = {
    "one right": case(
        "One key is right",
        "The value of k3 is the target, and the nearer a value, the better. Average and choice "
        "want the same keys: their gradients have the same signs.",
        [0.5, 0.0, 0.5, 0.0],
        [-1.0, 0.0, 1.0, 2.0],
        2.0,
    ),
    "two wrong": case(
        "Two wrong keys average to the target",
        "No value is the target, yet the average hits it: no loss is left, no gradient, nothing to "
        "learn. Whoever has to choose one key is wrong every time.",
        [1.0, 1.0, 0.0, 0.0],
        [-2.0, 2.0, -3.0, 3.0],
        0.0,
    ),
    "far": case(
        "Every reward is far from zero",
        "All keys are far from the target, and none much farther than another. Without a baseline "
        "the size of the rewards, about −8, drowns their differences.",
        [0.3, 0.0, 0.3, 0.0],
        [-0.5, -0.2, 0.2, 0.5],
        4.0,
    ),
}


class SoftHard(Figure):
    r"""An average of the values against a choice of one (Xu et al. 2015, sections 4.1 and 4.2).

    One query has scores :math:`e_s` with S keys, each key one number :math:`v_s` for a value. A
    context c earns the reward :math:`r(c) = -(c - y)^2 / 2`. Soft selection takes the average of
    the values; hard selection draws a key by its weight and learns from the score function,

    .. math:: \frac{\partial E[r]}{\partial e_s} \approx \frac{1}{n} \sum_i
              (r_i - b) (1[s_i = s] - a_s),

    with the baseline b = 0 or b = E[r]. The latter is exact here, where all rewards can be listed;
    the paper's moving average of past rewards is a noisy stand-in for it.

    The sums on the page are closed formulas; here the same numbers come from `selection.Hard`,
    `selection.Soft` and autograd.

    Parameters
    ----------
    case : "one right", "two wrong" or "far"
        The problem, where `scores`, `values` and `target` do not say otherwise.
    scores, values : 2 to 6 numbers between -5 and 5, one a key
        Rounded to 4 decimals, as a page stores them: both draw the same samples.
    target : float between -5 and 5
    samples : int
        How many choices have been drawn, 0 to 10 000.
    key : int
        The key whose score's gradient is drawn.
    baseline : bool
        Whether the expected reward is taken off every reward.
    seed : int
        Which draws.

    Raises
    ------
    FigureError
        (a ValueError) when these do not fit together.

    Examples
    --------
    >>> figure = SoftHard("two wrong", samples=1000)
    >>> figure
    SoftHard(two wrong, 4 keys, 1000 samples, baseline off)
    >>> figure.soft_reward, rounded(figure.soft_gradient)  # nothing to learn
    (0.0, [0.0, 0.0, 0.0, 0.0])
    >>> round(figure.hard_reward, 3), rounded(figure.exact)
    (-2.672, [0.2458, 0.2458, -0.2458, -0.2458])
    >>> figure.counts(), rounded(figure.estimate())
    ([364, 373, 140, 123], [0.2434, 0.2254, -0.2726, -0.1961])
    >>> rounded(figure.variance(baseline=False)), rounded(figure.variance(baseline=True))
    ([1.4512, 1.4512, 2.0817, 2.0817], [0.1482, 0.1482, 0.2902, 0.2902])
    """

    module = "soft_hard"
    state_names = ("scores", "values", "target", "samples", "key", "baseline", "seed", "cases")

    scores: tr.List[Any] = tr.List().tag(sync=True)
    values: tr.List[Any] = tr.List().tag(sync=True)
    target = tr.Float().tag(sync=True)
    samples = tr.Int(0).tag(sync=True)
    key = tr.Int(0).tag(sync=True)
    baseline = tr.Bool(False).tag(sync=True)
    seed = tr.Int(0).tag(sync=True)
    cases: tr.List[Any] = tr.List(read_only=True).tag(sync=True)

    def __init__(
        self,
        case="one right",
        scores=None,
        values=None,
        target=None,
        samples=0,
        key=0,
        baseline=False,
        seed=0,
    ):
        if case not in CASES:
            raise FigureError(f"unknown case {case!r}: one of {', '.join(CASES)}")
        chosen = CASES[case]
        self.set_trait("cases", list(CASES.values()))
        super().__init__(
            scores=in_reach("scores", chosen["scores"] if scores is None else scores, None),
            values=in_reach("values", chosen["values"] if values is None else values, None),
            target=in_reach("target", chosen["target"] if target is None else target),
            samples=samples,
            key=key,
            baseline=baseline,
            seed=seed,
        )

    @tr.validate("scores")
    def _check_scores(self, proposal):
        scores = in_reach("scores", proposal.value, None)
        if not 2 <= len(scores) <= 6:
            raise FigureError(f"scores must be those of 2 to 6 keys, got {len(scores)}")
        if self.values and len(scores) != len(self.values):
            raise FigureError(f"{len(scores)} scores for {len(self.values)} values")
        return scores

    @tr.validate("values")
    def _check_values(self, proposal):
        values = in_reach("values", proposal.value, None)
        if len(values) != len(self.scores):
            raise FigureError(f"{len(self.scores)} scores for {len(values)} values")
        return values

    @tr.validate("target")
    def _check_target(self, proposal):
        return in_reach("target", proposal.value)

    @tr.validate("samples")
    def _check_samples(self, proposal):
        return within("samples", proposal.value, 0, MOST)

    @tr.validate("key")
    def _check_key(self, proposal):
        return within("key", proposal.value, 0, len(self.scores) - 1)

    @tr.validate("seed")
    def _check_seed(self, proposal):
        return within("seed", proposal.value, 0, 9999)

    # --- the problem

    @property
    def case(self) -> str | None:
        """The name of the case at hand; None where the numbers are the reader's own."""
        own = {"scores": self.scores, "values": self.values, "target": self.target}
        return next((name for name, each in CASES.items() if each == each | own), None)

    def _leaf(self) -> Tensor:
        return torch.tensor(self.scores, dtype=torch.float64, requires_grad=True)

    def _values(self) -> Tensor:
        return torch.tensor(self.values, dtype=torch.float64).view(1, -1, 1)

    def _average(self, scores: Tensor) -> Tensor:
        return Soft()(softmax(scores), self._values())[0]

    def _reward(self, contexts: Tensor) -> Tensor:
        return -((contexts.squeeze(-1) - self.target) ** 2) / 2

    def _draws(self, n: int | None) -> Tensor:
        n = self.samples if n is None else n
        if not 1 <= n <= MOST:
            raise FigureError(f"n must be 1 to {MOST} samples, got {n}")
        return torch.tensor([[uniform(self.seed, i) for i in range(n)]], dtype=torch.float64)

    @property
    def weights(self) -> list[float]:
        """The weight of every key (S,)."""
        return softmax(self._leaf()).flatten().tolist()

    @property
    def rewards(self) -> list[float]:
        """What each key's value earns (S,)."""
        return self._reward(self._values()).flatten().tolist()

    @property
    def context(self) -> float:
        """The average of the values."""
        return self._average(self._leaf()).item()

    @property
    def soft_reward(self) -> float:
        """What the average of the values earns."""
        return self._reward(self._average(self._leaf())).item() + 0.0

    @property
    def hard_reward(self) -> float:
        """What a choice earns on average."""
        return sum(a * r for a, r in zip(self.weights, self.rewards, strict=True))

    # --- gradients for the scores

    @property
    def soft_gradient(self) -> list[float]:
        """That of the reward of the average (S,), by autograd."""
        scores = self._leaf()
        return gradient(self._reward(self._average(scores)), scores)

    @property
    def exact(self) -> list[float]:
        """That of the expected reward of a choice (S,): every choice listed, by autograd."""
        scores = self._leaf()
        return gradient(softmax(scores).flatten() @ self._reward(self._values()).flatten(), scores)

    def counts(self, n: int | None = None) -> list[int]:
        """How many of the first n samples chose each key (S,); n is `samples` unless given."""
        chosen = Hard().choose(softmax(self._leaf()), self._draws(n))
        return torch.bincount(chosen.flatten(), minlength=len(self.scores)).tolist()

    def estimate(self, n: int | None = None) -> list[float]:
        """The score function's estimate of `exact` (S,) from the first n samples, by autograd."""
        return self._estimate(self._draws(n), self.baseline)

    def _estimate(self, draws: Tensor, baseline: bool) -> list[float]:
        scores, hard = self._leaf(), Hard()
        weights = softmax(scores).expand(1, draws.shape[1], -1)
        contexts, _ = hard(weights, self._values(), draws)
        advantage = self._reward(contexts).detach() - baseline * self.hard_reward
        return gradient((advantage * hard.log_prob(weights, draws)).mean(), scores)

    def variance(self, baseline: bool | None = None) -> list[float]:
        """Of the estimate from one sample (S,), over every choice; `baseline` as set unless given.

        Each choice is had from a draw in the middle of its key's stretch of [0, 1).
        """
        baseline = self.baseline if baseline is None else baseline
        weights = torch.tensor(self.weights, dtype=torch.float64)
        middles = weights.cumsum(0) - weights / 2
        each = weights.new_tensor([self._estimate(m.view(1, 1), baseline) for m in middles])
        return (weights @ (each - weights @ each) ** 2).tolist()

    # --- as text

    def table(self):
        nothing = not self.samples
        counts = ["0"] * len(self.scores) if nothing else map(str, self.counts())
        estimates = ["none yet"] * len(self.scores) if nothing else map(short, self.estimate())
        columns = [
            [f"k{s}" for s in range(len(self.scores))],
            map(short, self.scores),
            map(short, self.weights),
            counts,
            map(short, self.values),
            map(short, self.rewards),
            map(short, self.exact),
            estimates,
            map(short, self.soft_gradient),
        ]
        title = CASES[self.case]["name"] if self.case else "Soft against hard"
        caption = (
            f"{title}: target {self.target:g}; a choice earns {short(self.hard_reward)} on "
            f"average, the average {short(self.soft_reward)}; {self._setting()}"
        )
        head = ["", "score", "weight", "drawn", "value", "reward"]
        head += ["gradient of the choice", "its estimate", "gradient of the average"]
        return caption, head, [list(row) for row in zip(*columns, strict=True)]

    def _setting(self) -> str:
        return f"{self.samples} samples, baseline {'on' if self.baseline else 'off'}"

    def __repr__(self):
        name = self.case or f"target {self.target:g}"
        return f"SoftHard({name}, {len(self.scores)} keys, {self._setting()})"


def softmax(scores: Tensor) -> Tensor:
    """Weights (1, 1, S) of scores (S,)."""
    return masked_softmax(scores[None, None])


def gradient(value: Tensor, scores: Tensor) -> list[float]:
    """Of one number, for the scores (S,)."""
    return torch.autograd.grad(value.sum(), scores)[0].tolist()


def in_reach(name: str, value, *shape: int | None):
    """Numbers from -5 to 5, rounded as a page stores them."""
    checked = rounded(numbers(name, value, *shape))
    if any(abs(x) > REACH for x in (checked if shape else [checked])):
        raise FigureError(f"{name} must lie between -{REACH:g} and {REACH:g}, got {checked}")
    return checked


def short(x: float) -> str:
    """A number with three decimals, and no negative zero."""
    return f"{rounded(x, 3):.3f}"
