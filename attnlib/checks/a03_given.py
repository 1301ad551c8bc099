"""Assignment 3, Bahdanau's step by hand: what answers are given, and may call (chapter 3)."""

import functools
from collections.abc import Callable

import numpy as np

from attnlib.checks.compare import holds
from attnlib.checks.reach import ask


def with_weights(made: Callable) -> Callable:
    """A reader's class as a function of q (B, D_q), h (B, S, D_k) and the weights: (B, S)."""

    @functools.wraps(made, updated=())
    def answer(q, h, W, U, v):
        score = ask(made, q.shape[-1], h.shape[-1], len(v), np.random.default_rng(0))
        score.W, score.U, score.v = W, U, v
        return ask(score, q, h)

    return answer


def strict(inner):
    """A step that says what is wrong with the shapes it gets."""

    def step(y, s, h, mask, W, U, v, gates):
        holds(
            y.ndim == s.ndim == mask.ndim == 2 and h.ndim == 3,
            "a sentence alone is a batch of one: it keeps its first axis",
        )
        holds(
            len({len(y), len(s), len(h), len(mask)}) == 1,
            "word, state, annotations and mask must be those of the same sentences",
        )
        holds(
            mask.shape == h.shape[:2],
            f"annotations {h.shape} and a mask {mask.shape} do not fit: cut both alike",
        )
        return inner(y, s, h, mask, W, U, v, gates)

    return step
