"""Assignment 10, planted bugs: what the reader's tests are given, and may call (chapter 10b)."""

from collections.abc import Callable

import torch
from torch import Tensor

from attnlib.checks.compare import holds

MATRICES = ("W_Q", "W_K", "W_V", "W_O")


class StopsError(AssertionError):
    """An attention stops where it should answer: whatever test has called it, has found a bug."""


def _matrix(name: str) -> property:
    """One of the four, as an attribute that notes who asks for it."""

    def asked(self) -> Tensor:
        self._touched.append(name)
        return self._matrices[name]

    def exchanged(self, value: Tensor) -> None:
        holds(
            value is self._matrices[name],  # as after `attention.W_Q *= 2`
            f"another {name} in the place of the attention's own is not used: write into it, "
            f"with torch.no_grad(): attention.{name}.copy_(...)",
        )

    return property(asked, exchanged, doc=f"{name} (D, D), a Parameter.")


class UnknownAttention:
    """Multi-head attention, of which nothing is known but what it takes and gives.

    Parameters
    ----------
    forward : callable
        Takes what a call takes.
    matrices : sequence of four Parameters (D, D)
        W_Q, W_K, W_V, W_O, as those of `torch.nn.Linear`: q = x @ W_Q.T.
    heads : int
    touched : list of str, optional
        Gets the name of each matrix that is asked for.
    """

    def __init__(self, forward: Callable, matrices, heads: int, touched: list | None = None):
        self._matrices = dict(zip(MATRICES, matrices, strict=True))
        self.width, self.heads = self._matrices["W_Q"].shape[0], heads
        self.__forward = forward
        self._touched = [] if touched is None else touched

    W_Q, W_K, W_V, W_O = map(_matrix, MATRICES)

    def __call__(
        self,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        real: Tensor | None = None,
        causal: bool = False,
        need_weights: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """Contexts (B, T, D), and weights (B, H, T, S) or None."""
        for name, x in zip(("queries", "keys", "values"), (queries, keys, values), strict=True):
            holds(
                isinstance(x, Tensor) and x.dim() == 3 and x.shape[2] == self.width,
                f"an attention wants {name} (B, length, D), with D = attention.width",
            )
            holds(x.dtype == torch.float32, f"an attention wants {name} in single precision")
        (B, T, _), S = queries.shape, keys.shape[1]
        holds(
            len(keys) == len(values) == B and values.shape[1] == S,
            "queries, keys and values are of one batch, and keys and values of one length",
        )
        if real is not None:
            holds(
                isinstance(real, Tensor) and real.dtype == torch.bool and real.shape == (B, S),
                "real is boolean, (B, S), one row for each sentence of the batch",
            )
            seen = real[:, :1] if causal else real
            holds(
                bool(seen.any(1).all()),
                "here nobody promises what a query gets that may see no key: give each sentence "
                "a real word (a first one, where the attention is causal)",
            )
        holds(not causal or T == S, "where it is causal, there are as many queries as keys")
        try:
            return self.__forward(queries, keys, values, real, causal, need_weights)
        except Exception as error:
            raise StopsError(f"the attention stops with {type(error).__name__}: {error}") from error
