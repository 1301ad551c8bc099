"""Positions: sinusoidal vectors or rotary turns, and what the dot product of two knows."""

import math

import torch
import traitlets as tr
from torch import Tensor

from attnlib.explore.example import uniform
from attnlib.explore.figure import Figure, FigureError, numbers, one_of, within
from attnlib.explore.local_windows import whole
from attnlib.positions import BASE, Rotary, Sinusoidal

KINDS = ("sinusoidal", "rotary")
WIDEST, LONGEST, LARGEST = 64, 256, 1e6  # of the width, the positions, the base
FAR = 1000  # positions: farther than any that is drawn


class PositionsFigure(Figure):
    r"""Two positions as clocks with D/2 hands, and their dot product over their difference.

    ``sinusoidal`` (Vaswani et al. 2017, section 3.5): a position's vector is a sine and a cosine of
    each frequency :math:`\theta_i = base^{-2i/D}`, the tip of a hand. ``rotary`` (Su et al. 2021,
    eq. 34): a query and a key, here two vectors made up once and for all, are turned by their
    positions, each pair of numbers by :math:`t \theta_i`. Either way the dot product is a sum over
    the hands of the cosine of the angle between them. So it depends on the difference of the two
    positions alone: sign included for ``rotary``, by the distance alone for ``sinusoidal``.

    Parameters
    ----------
    kind : "sinusoidal" or "rotary"
    width : int
        D, even, from 2 to 64: of a model, or for rotary of a head.
    base : float from 1 to 1 000 000
        Of the wavelengths, which grow from :math:`2 \pi` to nearly base times that.
    longest : int
        How many positions are drawn, 2 to 256.
    query, key : int
        The two positions, from 0.

    Raises
    ------
    FigureError
        (a ValueError) when these do not fit together.

    Examples
    --------
    >>> figure = PositionsFigure(query=20, key=26)
    >>> figure
    PositionsFigure(sinusoidal, D = 16, base 10000: positions 20 and 26, dot product 6.445)
    >>> [(q, k, round(score, 3)) for q, k, score in figure.shifted]
    [(0, 6, 6.445), (57, 63, 6.445), (1020, 1026, 6.445)]
    >>> [round(length, 2) for length in figure.wavelengths[:3]]
    [6.28, 19.87, 62.83]
    """

    module = "positions"
    state_names = ("kind", "width", "base", "longest", "query", "key")

    kind = tr.Unicode("sinusoidal").tag(sync=True)
    width = tr.Int(16).tag(sync=True)
    base = tr.Float(BASE).tag(sync=True)
    longest = tr.Int(64, read_only=True).tag(sync=True)
    query = tr.Int(20).tag(sync=True)
    key = tr.Int(26).tag(sync=True)

    def __init__(self, kind="sinusoidal", width=16, base=BASE, longest=64, query=20, key=26):
        longest = whole(longest, "longest")
        if not 2 <= longest <= LONGEST:
            raise FigureError(f"longest must be from 2 to {LONGEST} positions, got {longest}")
        self.set_trait("longest", longest)
        super().__init__(
            kind=kind,
            width=whole(width, "width"),
            base=numbers("base", base),
            query=whole(query, "query"),
            key=whole(key, "key"),
        )

    @tr.validate("kind")
    def _check_kind(self, proposal):
        return one_of("kind", proposal.value, KINDS)

    @tr.validate("width")
    def _check_width(self, proposal):
        if not 2 <= proposal.value <= WIDEST or proposal.value % 2:
            raise FigureError(
                f"width must be an even number from 2 to {WIDEST}, got {proposal.value}"
            )
        return proposal.value

    @tr.validate("base")
    def _check_base(self, proposal):
        return within("base", proposal.value, 1, LARGEST)

    @tr.validate("query", "key")
    def _check_position(self, proposal):
        return within(proposal.trait.name, proposal.value, 0, self.longest - 1)

    def _vectors(self, which: str, start: int, T: int = 1) -> Tensor:
        """The vectors (T, D) of a "query" or "key" at the positions from `start` on."""
        if self.kind == "sinusoidal":
            exact = torch.empty(0, dtype=torch.float64)
            return Sinusoidal(self.width, self.base).table(T, start, exact)
        vector = torch.tensor(made_up(which, self.width), dtype=torch.float64)
        return Rotary(self.width, self.base).rotate(vector.expand(T, -1), start)

    def vector(self, which: str, position: int) -> list[float]:
        """The numbers (D,) of a "query" or a "key" at a position: x and y of each hand's tip."""
        return self._vectors(which, position)[0].tolist()

    @property
    def rows(self) -> list[list[float]]:
        """The heat map (longest, D): each position's vector, or the key turned to it."""
        return self._vectors("key", 0, self.longest).tolist()

    def score(self, query: int | None = None, key: int | None = None) -> float:
        """The dot product of the vectors at two positions; at the chosen ones unless given."""
        query, key = self.query if query is None else query, self.key if key is None else key
        return float(self._vectors("query", query)[0] @ self._vectors("key", key)[0])

    @property
    def curve(self) -> list[float]:
        """The dot product (longest,) of the query where it is with a key at every position."""
        keys = self._vectors("key", 0, self.longest)
        return (keys @ self._vectors("query", self.query)[0]).tolist()

    @property
    def shifted(self) -> list[tuple[int, int, float]]:
        """Pairs with the same difference of positions, and their dot products.

        The two moved to the first position that is drawn, to the last, and far beyond it.
        """
        first, last = sorted((self.query, self.key))
        moves = -first, self.longest - 1 - last, FAR
        pairs = [(self.query + by, self.key + by) for by in moves]
        return [(query, key, self.score(query, key)) for query, key in pairs]

    @property
    def wavelengths(self) -> list[float]:
        """How many positions each hand (D/2,) takes to go round once."""
        step = Sinusoidal(self.width, self.base).table(1, 1, torch.empty(0, dtype=torch.float64))
        sines, cosines = step.view(-1, 2).T
        return (2 * math.pi / torch.atan2(sines, cosines)).tolist()

    def table(self):
        query, key = (
            torch.tensor(self.vector(which, position)).view(-1, 2)
            for which, position in (("query", self.query), ("key", self.key))
        )
        rows = [
            [f"{i}", f"{length:.1f}", say(q), say(k), f"{float(q @ k) + 0.0:.3f}"]
            for i, (length, q, k) in enumerate(zip(self.wavelengths, query, key, strict=True))
        ]
        head = ["hand", "wavelength", f"at {self.query}", f"at {self.key}", "product"]
        return f"Hands at two positions, {self._setting()}", head, rows

    def _setting(self) -> str:
        return (
            f"{self.kind}, D = {self.width}, base {self.base:g}: positions {self.query} and "
            f"{self.key}, dot product {self.score() + 0.0:.3f}"
        )

    def __repr__(self):
        return f"PositionsFigure({self._setting()})"


def made_up(which: str, width: int) -> list[float]:
    """A query or key (D,) of hands of length 1; those of the key lie near those of the query."""
    hands = []
    for i in range(width // 2):
        angle = 2 * math.pi * uniform(0, i)
        if which == "key":
            angle += 2 * uniform(1, i) - 1  # radians
        hands += [math.cos(angle), math.sin(angle)]
    return hands


def say(hand: Tensor) -> str:
    """A hand's tip."""
    return ", ".join(f"{x + 0.0:.3f}" for x in hand.tolist())
