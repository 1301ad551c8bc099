"""An attention with inputs of the shapes that it takes, and what its checks report."""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attnlib.checks.called import Called, Way
from attnlib.checks.compare import CheckError
from attnlib.masks import padding_mask

B, T, S = 3, 5, 5  # T = S, since some attend only within one sequence; all else differs
LENGTHS = (5, 3, 4)  # of the three sentences, where there is padding
WIDTH = 8
SHARED = "nothing", "keys and values", "all"  # what is one tensor to an attention
FAR = 10.0  # how far a perturbation goes: with weights that are not zero nobody misses it


@dataclass(frozen=True)
class Finding:
    """What one check saw: `passed` is None where it could not be asked."""

    check: str
    passed: bool | None
    seen: str
    means: str = ""

    def __str__(self):
        mark = {True: "passed", False: "FAILED", None: "-"}[self.passed]
        text = f"{self.seen}: {self.means}" if self.means and not self.passed else self.seen
        return textwrap.fill(f"{mark:8}{self.check:12}{text}", 100, subsequent_indent=" " * 20)


@dataclass(frozen=True)
class AttentionReport:
    """What all checks of an attention saw; true if none failed."""

    name: str
    how: str
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that failed."""
        return tuple(each.check for each in self.findings if each.passed is False)

    @property
    def unasked(self) -> tuple[str, ...]:
        """The names of the checks that could not be asked."""
        return tuple(each.check for each in self.findings if each.passed is None)

    def __bool__(self):
        return not self.failed

    def __str__(self):
        return "\n".join([f"{self.name}, called {self.how}", *map(str, self.findings)])

    def demand(self) -> "AttentionReport":
        """Return the report if nothing failed.

        Raises
        ------
        CheckError
            Otherwise, with the report as its message.
        """
        if not self:
            raise CheckError(str(self))
        return self


class Subject:
    """An attention, with inputs of the shapes that it takes."""

    def __init__(self, known: Called, width, causal: bool, shared: str, dtype: torch.dtype):
        if shared not in SHARED:
            raise ValueError(f"shared is one of {', '.join(map(repr, SHARED))}, got {shared!r}")
        self.known, self.causal = known, causal
        self.one, self.two = shared == "all", shared == "keys and values"
        # some take the softmax in single precision, whatever they are given
        self.dtype, self.near = dtype, 1e-6 if dtype == torch.float64 else 1e-4
        width = known.width or WIDTH if width is None else width
        self.widths = width if isinstance(width, tuple) else (width, width, width)
        self.random = torch.Generator().manual_seed(0)
        self.inputs = self.draw(), self.draw(1), self.draw(2)
        self.way, *self.others = known.ways
        try:
            output, weights = self.run(self.way, self.inputs)
        except (NotImplementedError, TypeError, RuntimeError, IndexError) as error:
            raise ValueError(
                f"{known.name}, called {known.how}, stops with {short(error)} on queries "
                f"{tuple(self.inputs[0].shape)}, keys and values {tuple(self.inputs[1].shape)}: "
                "give width= or call="
            ) from error
        self.output = output.detach()
        self.weights = None if weights is None else weights.detach()
        self.large = max(1.0, float(output.detach().abs().max()))
        self._the_right_way_round()

    def draw(self, which: int = 0, size: tuple[int, int] = (B, S)) -> Tensor:
        """Random queries (0), keys (1) or values (2)."""
        shape = (*size, self.widths[which])
        return torch.randn(shape, generator=self.random, dtype=torch.float64).to(self.dtype)

    def given(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values as the attention sees them: some may be one tensor to it."""
        queries, keys, values = inputs
        if self.one:
            return queries, queries, queries
        return queries, keys, keys if self.two else values

    def run(self, way: Way, inputs: Sequence[Tensor], mask: Tensor | None = None):
        """The output (B, T, D) and the weights or None; a ValueError if it is no such thing."""
        queries, keys, values = self.given(inputs)
        got = way(queries, keys, values, mask)
        output, weights = (*got, None)[:2] if isinstance(got, tuple | list) else (got, None)
        name, wanted = self.known.name, tuple(queries.shape[:2])
        if not isinstance(output, Tensor):
            raise ValueError(f"{name} gives a {type(output).__name__}; an attention gives a tensor")
        if output.dim() != 3 or output.shape[:2] != wanted:
            raise ValueError(
                f"{name} gives {tuple(output.shape)} for queries {tuple(queries.shape)}; an "
                f"attention gives one vector for each query, ({wanted[0]}, {wanted[1]}, D)"
            )
        return output, weights

    def changed(self, at: Tensor, which: Sequence[int] = (1, 2)) -> list[Tensor]:
        """The inputs, but that keys and values `at` (B, S) are others."""
        changed = list(self.inputs)
        for i in (0,) if self.one else which:
            changed[i] = torch.where(at.unsqueeze(-1), FAR * self.draw(i), changed[i])
        return changed

    def moved(self, way: Way, mask: Tensor | None, at: Tensor, which=(1, 2)) -> Tensor:
        """How far each output (B, T) moves when keys and values `at` (B, S) become others."""
        changed = self.changed(at, which)
        before, after = (self.run(way, each, mask)[0] for each in (self.inputs, changed))
        move = (after - before).abs().amax(-1).detach()
        return torch.where(at, torch.zeros_like(move), move) if self.one else move

    def still(self, move: Tensor) -> bool:
        """Whether nothing moved, but for the rounding of sums; a NaN moves."""
        return bool((move <= self.near * self.large).all())

    def _the_right_way_round(self) -> None:
        """Refuse a mask whose True hides: it is no bug, but nothing below would mean a thing."""
        mask = padding_mask(torch.tensor([2] * B), S).unsqueeze(1).expand(B, T, S)
        if self.causal or self.one:
            return
        try:
            hidden = self.moved(self.way, mask, ~mask[:, 0])
            shown = self.moved(self.way, mask, mask[:, 0])
        except Exception:  # a mask that it does not take: what needs it says so
            return
        if self.still(shown) and not self.still(hidden):
            raise ValueError(
                f"{self.known.name} attends to what its mask hides, and to nothing else: if True "
                "hides a key there, say so with call="
            )


def short(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".strip().split("\n")[0][:160]


def tried(check: str, ask: Callable[[], Finding]) -> Finding:
    """What a check finds; that it could not be asked, where the attention does not take that."""
    try:
        return ask()
    except NotImplementedError as error:
        return Finding(check, None, f"not asked: {error or 'it takes no such mask'}")
    except (RuntimeError, IndexError, TypeError, ValueError, AssertionError) as error:
        return Finding(check, None, f"not asked: it stops with {short(error)}")


def worst(asked: Subject, ask: Callable[[Way], tuple[bool, float]]) -> tuple[bool, float, str]:
    """The worst of all ways: whether it passed, its number, and which ways failed if some did."""
    seen = [(*ask(way), way.name) for way in asked.known.ways]
    failed = [each for each in seen if not each[0]]
    if not failed:
        return True, max(number for _, number, _ in seen), ""
    number = max((x for _, x, _ in failed), key=lambda x: math.inf if math.isnan(x) else x)
    right = [name for passed, _, name in seen if passed]
    where = f" ({'; '.join(name for *_, name in failed)}: but not {'; '.join(right)})"
    return False, number, where if right else ""
