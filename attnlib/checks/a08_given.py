"""Assignment 8, many heads, no future: what answers are given, and may call (chapter 8)."""

import functools
from collections.abc import Callable

import numpy as np

from attnlib.checks.compare import as_arrays, holds
from attnlib.checks.reach import ask


def in_pieces(made: Callable) -> Callable:
    """A reader's class as a function of X (B, T, D) and how many words each call gets."""

    @functools.wraps(made, updated=())
    def answer(X, pieces, W_Q, W_K, W_V, W_O, H):
        writer, start, found = ask(made, W_Q, W_K, W_V, W_O, H), 0, []
        for n in pieces:
            found.append(np.asarray(as_arrays(ask(writer, X[:, start : start + n]))))
            start += n
        return np.concatenate(found, axis=1)

    return answer


class Counted(np.ndarray):
    """A matrix that notes how many vectors it and its parts multiply, and is no more than that.

    A part that has half of its numbers, and multiplies a vector, counts a half.
    """

    seen: list
    whole: tuple

    def __array_finalize__(self, source):
        self.seen = getattr(source, "seen", [])
        self.whole = getattr(source, "whole", self.shape)

    def _note(self, others):
        rows, columns = self.whole
        share = self.size / (rows * columns)
        self.seen.extend(x.size / rows * share for x in others if not isinstance(x, Counted))

    def __array_ufunc__(self, ufunc, method, *inputs, **named):
        if ufunc is np.matmul:
            self._note(map(np.asanyarray, inputs))
        return getattr(ufunc, method)(*_free(inputs), **named)

    def __array_function__(self, function, types, arguments, named):
        if function in (np.dot, np.einsum, np.tensordot):
            self._note(x for x in arguments if isinstance(x, np.ndarray))
        return function(*_free(arguments), **named)


def _free(x):
    """Without the counting, in tuples and lists too."""
    if isinstance(x, tuple | list):
        return type(x)(map(_free, x))
    return np.asarray(x) if isinstance(x, Counted) else x


def strict(inner):
    def layer(X):
        holds(np.ndim(X) == 3, "the layer wants a batch (B, T, D), of one sentence too")
        return inner(np.array(as_arrays(X), dtype=float))

    return layer
