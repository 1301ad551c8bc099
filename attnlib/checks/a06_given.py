"""Assignment 6, choose one: what answers are given, and may call (chapter 6)."""

import functools
from collections.abc import Callable

import numpy as np

from attnlib.checks.compare import CheckError
from attnlib.checks.reach import ask


class Asked:
    """Rewards that note which keys they were asked for, and keep what they returned."""

    def __init__(self, of_keys):
        self.of_keys = np.asarray(of_keys, dtype=float)
        self.keys: list[int] = []
        self.returned: list[np.ndarray] = []

    def __call__(self, chosen):
        """The rewards of chosen keys, of any shape."""
        chosen = np.asarray(chosen)
        self.keys += [int(key) for key in chosen.ravel()]
        self.returned.append(self.of_keys[chosen])
        return self.returned[-1]

    def untouched(self) -> bool:
        """Whether what was returned is still what the keys earn."""
        earned = np.concatenate([np.zeros(0), *map(np.ravel, self.returned)])
        return np.array_equal(earned, self.of_keys[self.keys])


class Rewards:
    """What each key earns; called with the keys that were chosen, it says what they earned."""

    def __init__(self, of_keys):
        self.of_keys = np.asarray(of_keys, dtype=float)

    def __call__(self, chosen):
        """The rewards of chosen keys, of any shape."""
        return self.of_keys[np.asarray(chosen)]

    def __array__(self, dtype=None, copy=None):
        """What each key earns: for the comparison of arguments."""
        return np.array(self.of_keys, dtype=dtype)

    def __repr__(self):
        shown = ", ".join(f"{r:.4g}" for r in self.of_keys)
        return f"a function: the keys earn {shown}"


def value_and_slopes(answer: Callable) -> Callable:
    """A function that returns what a loss is, and its slopes by scores, log_p and b."""

    @functools.wraps(answer, updated=())
    def outcome(scores, chosen, log_p, b):
        import torch

        leaves = [x.clone().requires_grad_() for x in (scores, log_p, b)]
        loss = ask(answer, leaves[0], chosen, leaves[1], leaves[2])
        if not isinstance(loss, torch.Tensor) or loss.dim():
            raise CheckError(f"{name} should return one number, as a tensor of shape ()")
        if not loss.requires_grad:
            raise CheckError(
                f"{name} returns a number without a gradient: detach the reward, not everything"
            )
        slopes = torch.autograd.grad(loss, leaves, allow_unused=True)
        found = [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, slopes)]
        return (loss, *found)

    name = getattr(answer, "__name__", "the answer")
    outcome.__name__ = f"{name} (its value, and its slopes by scores, log_p and b)"
    return outcome
