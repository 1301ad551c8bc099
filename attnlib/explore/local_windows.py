"""Local windows: everywhere, local-m or local-p at one decoder step; move p_t, turn D."""

import operator
from typing import Any

import torch
import traitlets as tr

from attnlib.attention import Attention
from attnlib.explore.figure import Figure, FigureError, numbers, one_of, within
from attnlib.masks import masked_softmax
from attnlib.scores import DotScore
from attnlib.windows import Everywhere, Local, Monotonic, Predictive

NAMES = {"everywhere": "everywhere", "monotonic": "local-m", "predictive": "local-p"}
MOST = 24  # source words that a phone has room for

# "un jeune homme porte une longue chemise blanche en coton .": the noun comes before two of its
# three adjectives. The scores are made up.
SOURCE = ["a", "young", "man", "wears", "a", "long", "white", "cotton", "shirt", "."]
SCORES = [-1.2, -0.6, 0.9, 0.8, -0.4, 0.5, 1.6, 2.0, 3.4, -1.0]
GOLD, WORD, STEP = 8, "chemise", 6


class Placed(Predictive):
    """A predictive window that stands where it is told to: nothing predicts its centre."""

    def __init__(self, position: torch.Tensor, reach: int):
        Local.__init__(self, reach)  # without Predictive's layers, which would draw random numbers
        self.position = position

    def centre(self, queries, lengths, start):
        """The given position, as (B, T) = (1, 1)."""
        return self.position.view(1, 1)


class LocalWindows(Figure):
    r"""Move a window over a source sentence at one step of a decoder (Luong et al. 2015, 3.2).

    `everywhere` compares all S keys. `monotonic` (local-m) looks D keys to either side of
    :math:`p_t = t`; `predictive` (local-p) to either side of a real number :math:`p_t`, and a
    Gaussian with :math:`\sigma = D / 2` multiplies its weights (eq. 10), which then sum to less
    than 1. Here the reader says where :math:`p_t` is, not a network.

    Parameters
    ----------
    source : 2 to 24 words
    scores : as many numbers
        The score :math:`e_s` of every word at this step, in nats.
    gold : int
        Position of the word that it is right to look at. The three go together; without them the
        figure shows a sentence of ten words.
    word : str, optional
        The target word that the step writes.
    window : "everywhere", "monotonic" or "predictive"
    centre : float from 0 to S, optional
        :math:`p_t`. Local-m stands at the nearest whole number, S - 1 at most. Unless given S / 2,
        where eq. 9 stands as long as it has learnt nothing (in the example 6, the step's own t).
    reach : int from 1 to S
        D.

    Raises
    ------
    FigureError
        (a ValueError) when these do not fit together.

    Examples
    --------
    >>> figure = LocalWindows()
    >>> figure
    LocalWindows(local-p, p_t = 6.0, D = 2: 5 of 10 keys, 0.091 on 'shirt')
    >>> round(figure.total, 3), round(figure.pull, 3)
    (0.327, 2.0)
    >>> LocalWindows(window="monotonic", reach=1)
    LocalWindows(local-m, p_t = 6, D = 1: 3 of 10 keys, 0.000 on 'shirt')
    """

    module = "local_windows"
    state_names = ("source", "scores", "gold", "word", "window", "centre", "reach")

    source: tr.List[Any] = tr.List(read_only=True).tag(sync=True)
    scores: tr.List[Any] = tr.List(read_only=True).tag(sync=True)
    gold = tr.Int(read_only=True).tag(sync=True)
    word = tr.Unicode(read_only=True).tag(sync=True)
    window = tr.Unicode("predictive").tag(sync=True)
    centre = tr.Float(0.0).tag(sync=True)
    reach = tr.Int(2).tag(sync=True)

    def __init__(
        self,
        source=None,
        scores=None,
        gold=None,
        word=None,
        window="predictive",
        centre=None,
        reach=2,
    ):
        given = {"source": source, "scores": scores, "gold": gold}
        missing = [name for name, value in given.items() if value is None]
        if len(missing) == len(given):
            source, scores, gold = SOURCE, SCORES, GOLD
            word = WORD if word is None else word
            centre = STEP if centre is None else centre
        elif missing:
            raise FigureError(f"source, scores and gold go together: no {' and no '.join(missing)}")
        for name, value in checked(source, scores, gold).items():
            self.set_trait(name, value)
        self.set_trait("word", "" if word is None else str(word))
        if centre is None:
            centre = len(self.source) / 2
        super().__init__(window=window, centre=numbers("centre", centre), reach=whole(reach))

    @tr.validate("window")
    def _check_window(self, proposal):
        return one_of("window", proposal.value, NAMES)

    @tr.validate("centre")
    def _check_centre(self, proposal):
        return within("centre", proposal.value, 0, len(self.source))

    @tr.validate("reach")
    def _check_reach(self, proposal):
        return within("reach", proposal.value, 1, len(self.source))

    def _stand(self, position: torch.Tensor | None = None) -> tuple:
        """The window, and what it is called with: a query, no mask, S and the first step."""
        query, S = torch.ones(1, 1, 1, dtype=torch.float64), len(self.source)
        if self.window == "everywhere":
            return Everywhere(), (query, None, S, 0)
        if self.window == "monotonic":
            return Monotonic(self.reach), (query, None, S, int(self.centre + 0.5))
        if position is None:
            position = torch.tensor(self.centre, dtype=torch.float64)
        return Placed(position, self.reach), (query, None, S, 0)

    def _attend(self, position: torch.Tensor | None = None) -> torch.Tensor:
        """Weights (S,) of a query of 1 whose keys, of width 1, are their own scores."""
        window, (query, _, S, start) = self._stand(position)
        keys = torch.tensor(self.scores, dtype=torch.float64).view(1, S, 1)
        return Attention(DotScore(), window)(query, keys, keys, start=start)[1][0, 0]

    @property
    def position(self) -> float | None:
        """Where the window stands, p_t; None everywhere."""
        window, (query, _, S, start) = self._stand()
        if self.window == "everywhere":
            return None
        return window.centre(query, torch.tensor([S]), start).item()

    @property
    def allowed(self) -> list[bool]:
        """Which keys lie in the window (S,)."""
        window, arguments = self._stand()
        allowed, _ = window(*arguments)
        return [True] * len(self.source) if allowed is None else allowed[0, 0].tolist()

    @property
    def factor(self) -> list[float] | None:
        """The Gaussian of eq. 10, which multiplies the weight of every key (S,); None for none."""
        window, arguments = self._stand()
        _, factor = window(*arguments)
        return None if factor is None else factor[0, 0].tolist()

    @property
    def global_weights(self) -> list[float]:
        """The softmax over all keys (S,), whatever the window."""
        return masked_softmax(torch.tensor(self.scores, dtype=torch.float64)).tolist()

    @property
    def window_weights(self) -> list[float]:
        """The softmax over the keys in the window (S,), before anything multiplies it."""
        scores = torch.tensor(self.scores, dtype=torch.float64)
        return masked_softmax(scores, torch.tensor(self.allowed)).tolist()

    @property
    def weights(self) -> list[float]:
        """The weight of every key (S,)."""
        return self._attend().tolist()

    @property
    def compared(self) -> int:
        """How many of the S keys are compared with the query."""
        return sum(self.allowed)

    @property
    def total(self) -> float:
        """The sum of the weights: less than 1 for local-p, which does not divide again."""
        return sum(self.weights)

    @property
    def pull(self) -> float | None:
        r"""The derivative of the log weight on the right word with respect to :math:`p_t`.

        :math:`4 (s^* - p_t) / D^2` by eq. 10; here it comes from autograd. None where there is
        none: the right word is not in the window, or nothing predicts :math:`p_t`.
        """
        if self.window != "predictive" or not self.allowed[self.gold]:
            return None
        position = torch.tensor(self.centre, dtype=torch.float64, requires_grad=True)
        self._attend(position)[self.gold].log().backward()
        assert position.grad is not None
        return position.grad.item()

    def table(self):
        columns = ["", "score", "softmax, all keys", "softmax, window", "Gaussian", "weight"]
        factor = [1.0] * len(self.source) if self.factor is None else self.factor
        parts = self.scores, self.global_weights, self.window_weights, factor, self.weights
        rows = [
            [f"{s} {word}", *(f"{x:.3f}" for x in each)]
            for s, (word, *each) in enumerate(zip(self.source, *parts, strict=True))
        ]
        return f"Weights at one step, {self._setting()}", columns, rows

    def _setting(self) -> str:
        right = f"{self.weights[self.gold]:.3f} on {self.source[self.gold]!r}"
        keys = f"{self.compared} of {len(self.source)} keys, {right}"
        if self.window == "everywhere":
            return f"everywhere: {keys}"
        place = f"{self.position:.{1 if self.window == 'predictive' else 0}f}"
        return f"{NAMES[self.window]}, p_t = {place}, D = {self.reach}: {keys}"

    def __repr__(self):
        return f"LocalWindows({self._setting()})"


def checked(source, scores, gold) -> dict:
    """The sentence, its scores and its right word, if they fit together."""
    if isinstance(source, str):
        raise FigureError(f"source must be a list of words, got the string {source!r}")
    source = [str(word) for word in source]
    if not 2 <= len(source) <= MOST:
        raise FigureError(f"source must have 2 to {MOST} words, got {len(source)}")
    if not hasattr(scores, "__len__") or len(scores) != len(source):
        raise FigureError(f"{len(source)} words need as many scores, got {scores!r}")
    scores = numbers("scores", scores, len(source))
    gold = whole(gold, "gold")
    if not 0 <= gold < len(source):
        raise FigureError(f"gold must be from 0 to {len(source) - 1}, got {gold}")
    return {"source": source, "scores": scores, "gold": gold}


def whole(value, name: str = "reach") -> int:
    """The value, if it is a whole number."""
    try:
        return operator.index(value)
    except TypeError:
        raise FigureError(f"{name} must be a whole number, got {value!r}") from None
