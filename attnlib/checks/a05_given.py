"""Assignment 5, windows: what answers are given, and may call (chapter 5)."""

import functools
from collections.abc import Callable

import torch

from attnlib.checks.compare import CheckError
from attnlib.checks.reach import ask

CUT = "rounding, comparing, detach, item and a way through NumPy all cut it"


def slopes_of(answer: Callable, *learned: str) -> Callable:
    """A function that returns the slopes of what an answer returns, by the arguments named.

    It is called as the answer is, with `shares` of the answer's shape besides: the slopes are those
    of the sum of all that is returned, each times its share.
    """

    @functools.wraps(answer, updated=())
    def slopes(shares, **arguments):
        leaves = {name: arguments[name].clone().requires_grad_() for name in learned}
        out = ask(answer, **(arguments | leaves))
        if not isinstance(out, torch.Tensor) or not out.requires_grad:
            raise CheckError(f"no gradient reaches {' or '.join(learned)}: {CUT}")
        found = torch.autograd.grad((out * shares).sum(), list(leaves.values()), allow_unused=True)
        for name, slope in zip(learned, found, strict=True):
            if slope is None:
                raise CheckError(f"no gradient reaches {name}: {CUT}")
            if not slope.isfinite().all():
                raise CheckError(
                    f"the gradient of {name} is not a number, though the values are right: what is "
                    "hidden must be hidden before the exponential, too"
                )
        return found

    slopes.__name__ = f"the gradient through {getattr(answer, '__name__', 'the answer')}"
    return slopes
