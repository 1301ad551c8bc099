"""Assignment 3, Bahdanau's step by hand (chapters 2 and 3): cases that grow, properties.

The loops here say what is right, and are slow and plain on purpose; nothing else may call them.
Shapes: B sentences, S source words, A the hidden width of the score; queries (B, D_q), annotations
(B, S, D_k), W (A, D_q), U (A, D_k), v (A,).
"""

import copy
from collections.abc import Callable, Iterator

import numpy as np

from attnlib.checks.a03_given import strict, with_weights
from attnlib.checks.a03_likely import (
    BATCH,
    SCORE,
    STEP,
    afterwards,
    altered,
    gru,
    ignoring,
    over_sentences,
)
from attnlib.checks.compare import as_arrays, blamed_on, holds, meet
from attnlib.checks.reach import ask

__all__ = ["BATCH", "SCORE", "STEP", "with_weights"]  # the notebook's, from the files beside

THREE = np.array([[-1.0, 1.0], [2.0, -1.0], [2.0, 0.0]])  # a, red, shirt


# --- what is right ---


def scores_loops(q, h, W, U, v):
    """v . tanh(W q + U h_s) for one query (D_q,) and annotations (S, D_k): (S,)."""
    scores = np.zeros(len(h))
    for s in range(len(h)):
        for a in range(len(v)):
            asked = sum(W[a, i] * q[i] for i in range(len(q)))
            offered = sum(U[a, i] * h[s, i] for i in range(h.shape[1]))
            scores[s] += v[a] * np.tanh(asked + offered)
    return scores


def batch_loops(q, h, W, U, v):
    """The same for queries (B, D_q) and annotations (B, S, D_k), each with its own: (B, S)."""
    return np.array([scores_loops(q[b], h[b], W, U, v) for b in range(len(q))])


def step_loops(y, s, h, mask, W, U, v, gates):
    """One step of Bahdanau's decoder: contexts (B, D), weights (B, S), new states (B, H).

    y (B, E) are embedded previous words, s (B, H) the old states, h (B, S, D) annotations and mask
    (B, S) where there is a word; `gates` holds the GRU's (3H, E + D), (3H, H), (3H,) and (3H,).
    """
    contexts, weights, states = np.zeros((len(h), h.shape[2])), np.zeros(h.shape[:2]), []
    for b in range(len(h)):
        e = scores_loops(s[b], h[b], W, U, v)
        words = [j for j in range(len(e)) if mask[b, j]]
        highest = max(e[j] for j in words)
        total = sum(np.exp(e[j] - highest) for j in words)
        for j in words:
            weights[b, j] = np.exp(e[j] - highest) / total
            contexts[b] += weights[b, j] * h[b, j]
        states.append(gru(np.concatenate([y[b], contexts[b]]), s[b], gates))
    return contexts, weights, np.array(states)


# --- cases, from small to large ---


def _layer(rng, D_q: int, D_k: int, A: int) -> dict:
    return {
        "W": rng.normal(size=(A, D_q)),
        "U": rng.normal(size=(A, D_k)),
        "v": rng.normal(size=A),
    }


def score_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's three words, another v, W and U that differ, then widths that differ."""
    rng = np.random.default_rng(seed)
    q, eye = np.array([1.0, 1.0]), np.eye(2)
    yield {"q": q, "h": THREE, "W": eye, "U": eye, "v": np.array([1.0, 1.0])}
    yield {"q": q, "h": THREE, "W": eye, "U": eye, "v": np.array([1.0, 0.0])}
    W, U = np.array([[1.0, -1.0], [0.5, 0.0]]), np.array([[0.0, 1.0], [1.0, 2.0]])
    yield {"q": np.array([1.0, 0.0]), "h": THREE[1:], "W": W, "U": U, "v": np.array([1.0, -2.0])}
    sizes = [(2, 2, 3, 1), (3, 2, 2, 3), (2, 3, 4, 2), (1, 4, 3, 5)]
    for D_q, D_k, A, S in [*sizes, *([(1, 1, 1, 1), (6, 5, 7, 9), (3, 8, 2, 12)] if large else [])]:
        yield {
            "q": rng.normal(size=D_q),
            "h": rng.normal(size=(S, D_k)),
            **_layer(rng, D_q, D_k, A),
        }


def batch_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's three words as a batch of one, as many sentences as words, then any sizes."""
    rng = np.random.default_rng(seed)
    eye = np.eye(2)
    yield {"q": np.ones((1, 2)), "h": THREE[None], "W": eye, "U": eye, "v": np.ones(2)}
    sizes = [(2, 2, 2, 2, 2), (2, 3, 2, 2, 3), (3, 1, 2, 4, 3), (1, 4, 3, 2, 1)]
    for B, S, D_q, D_k, A in [*sizes, *([(1, 1, 1, 1, 1), (4, 6, 5, 3, 7)] if large else [])]:
        yield {
            "q": rng.normal(size=(B, D_q)),
            "h": rng.normal(size=(B, S, D_k)),
            **_layer(rng, D_q, D_k, A),
        }


def step_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's three words with one padding behind, then batches; last, loud scores.

    The very last have numbers in the millions in the padding, and there the largest score, or
    scores of the words far below zero.
    """
    rng = np.random.default_rng(seed)
    yield _pencil(np.array([[*THREE, [0.0, 0.0]]]), np.array([[True, True, True, False]]))
    yield _batch(rng, lengths=(2, 1), widths=(2, 2, 2, 2))
    yield _batch(rng, lengths=(1, 3), widths=(3, 3, 3, 3))
    yield _batch(rng, lengths=(2, 4, 1), widths=(2, 3, 4, 5))
    loud = _batch(rng, lengths=(3, 2), widths=(1, 2, 2, 3))
    yield loud | {"v": 1000 * loud["v"]}
    millions = np.array([[*THREE, [3e6, 3e6]]])
    louder = _pencil(millions, np.array([[True, True, True, False]]))
    yield louder | {"v": np.full(2, 5000.0)}
    yield louder | {"v": np.full(2, -5000.0)}
    if large:
        yield _batch(rng, lengths=(1,), widths=(1, 1, 1, 1))
        yield _batch(rng, lengths=(7, 2, 5, 1), widths=(4, 5, 6, 3))


def _pencil(h, mask) -> dict:
    """W, U and v of the chapter's pencil; gates at one half, the candidate the tanh of c."""
    eye, W_x = np.eye(2), np.zeros((6, 4))
    W_x[4, 2] = W_x[5, 3] = 1.0
    gates = W_x, np.zeros((6, 2)), np.zeros(6), np.zeros(6)
    y = np.array([[0.5, -0.5]])
    return {
        "y": y,
        "s": np.ones((1, 2)),
        "h": h,
        "mask": mask,
        "W": eye,
        "U": eye,
        "v": np.ones(2),
        "gates": gates,
    }


def _batch(rng, lengths, widths) -> dict:
    """A padded batch; what stands in the padding is no zero, so that who reads it is found."""
    (E, H, D, A), B, S = widths, len(lengths), max(lengths)
    gates = tuple(
        rng.normal(size=shape) for shape in ((3 * H, E + D), (3 * H, H), (3 * H,), (3 * H,))
    )
    return {
        "y": rng.normal(size=(B, E)),
        "s": rng.normal(size=(B, H)),
        "h": rng.normal(size=(B, S, D)),
        "mask": np.arange(S) < np.array(lengths)[:, None],
        **_layer(rng, H, D, A),
        "gates": gates,
    }


# --- the class of task 2 ---


def check_start(made: Callable, seed: int) -> None:
    """Refuse a class whose first weights are not as asked: names, shapes, signs, sizes.

    W (A, D_q), U (A, D_k), v (A,), each number uniform between -1 / sqrt(n) and 1 / sqrt(n), where
    n is how many numbers the matrix takes in.
    """
    D_q, D_k, A = 4, 9, 400
    score, again, other = (_made(made, D_q, D_k, A, s) for s in (seed, seed, seed + 1))
    for name, shape in (("W", (A, D_q)), ("U", (A, D_k)), ("v", (A,))):
        holds(
            hasattr(score, name), f"keep the weights as self.W, self.U and self.v: no self.{name}"
        )
        x = np.asarray(as_arrays(getattr(score, name)))
        holds(x.shape == shape, f"self.{name} has shape {x.shape} instead of {shape}")
        holds(np.ptp(x) > 0, f"all numbers of self.{name} start alike, and would learn alike")
        holds(
            x.min() < 0,
            f"self.{name} has no negative number: a draw must fall on either side of 0. "
            "Where v has none, no hidden number can lower a score",
        )
        n = shape[-1]
        bound = 1 / np.sqrt(n)
        holds(
            np.abs(x).max() <= bound,
            f"self.{name} takes in {n} numbers, so it is drawn between -1/sqrt({n}) and "
            f"1/sqrt({n}); yours has {np.abs(x).max():.3f}",
        )
        holds(
            min(x.max(), -x.min()) > 0.8 * bound,
            f"self.{name} takes in {n} numbers, so its draws reach nearly to -1/sqrt({n}) and "
            f"1/sqrt({n}); yours lie between {x.min():.3f} and {x.max():.3f}",
        )
        different, inner = len(np.unique(x)), np.mean(np.abs(x) < bound / 2)
        holds(
            different > 0.9 * x.size,
            f"self.{name} has {x.size} numbers and only {different} different ones: draw each "
            "number on its own, from all between the bounds",
        )
        holds(
            bool(abs(inner - 0.5) < 0.1),
            f"{inner:.0%} of self.{name} lie in the inner half between the bounds; where each "
            "number is as likely as any other, about 50% do",
        )
        holds(
            bool(abs(np.mean(np.diff(x.ravel()) > 0) - 0.5) < 0.1),
            f"the numbers of self.{name} stand in order; leave them as they were drawn",
        )
        holds(
            np.array_equal(x, getattr(again, name)) and not np.array_equal(x, getattr(other, name)),
            f"draw self.{name} with the rng that is passed: one seed, one set of weights",
        )
    same = _made(made, 3, 3, 5, seed)
    holds(
        not np.array_equal(same.W, same.U),
        "where query and annotation have the same width, W and U are the same numbers: "
        "each needs its own draws",
    )


def _made(made, D_q, D_k, A, seed):
    with blamed_on(made.__name__, given=f"({D_q}, {D_k}, {A}, rng)"):
        return ask(made, D_q, D_k, A, np.random.default_rng(seed))


# --- the reader's own test: does a batch give what its sentences give one by one? ---


def _after(change):
    """A right step whose outputs are changed, given the size of the batch and of the padding."""

    def step(y, s, h, mask, W, U, v, gates):
        c, a, new = altered()(y, s, h, mask, W, U, v, gates)
        return change(c, a, new, h, mask, s)

    return step


def _blurred(row, amount=0.1):
    """The state of one sentence takes something from the others'."""

    def change(c, a, new, h, mask, s):
        new = new.copy()
        if len(s) > 1:
            new[row] += amount
        return c, a, new

    return _after(change)


def _cancels(c, a, new, h, mask, s):
    new = new.copy()
    if len(s) > 1:
        new[:, 0] += 0.1
        new[:, 1] -= 0.1
    return c, a, new


def _all_weights(c, a, new, h, mask, s):
    """The weights that come back fall short, in proportion to the padding."""
    return c, a * mask.mean(-1, keepdims=True), new


def _rounded(c, a, new, h, mask, s):
    """Right, but for the rounding that another order of sums brings."""
    tiny = 1e-12 * len(s)
    return c + tiny, a + tiny * mask, new - tiny


def _dot_step(y, s, h, mask, W, U, v, gates):
    """A right step that is not Bahdanau's: the score is a dot product, and the state a sum."""
    e = (h[..., :1] * s[:, None, :1]).sum(-1)
    a = ignoring(np.where(mask, e, -np.inf), mask)
    c = np.einsum("bs,bsd->bd", a, h)
    return c, a, s + y.sum(-1, keepdims=True) + c.sum(-1, keepdims=True)


def _two_paddings(c, a, new, h, mask, s):
    """Where there are two paddings, their weights are a little more and a little less than 0."""
    behind = np.cumsum(~mask, axis=1) * ~mask
    two = behind.max(1, keepdims=True) >= 2
    return c, a + 0.1 * two * ((behind == 1) * 1.0 - (behind == 2)), new


ALL_THREE = "compare all three outputs"
EACH = "look at every sentence"
BOTH = (
    (step_loops, True, "a step that is right",
     "its words have the same weights in the batch; behind them the batch has zeros, and the "
     "sentence alone has nothing"),
    (_after(_rounded), True, "a step that is right, but for rounding in the twelfth digit",
     "compare with a tolerance, for instance 1e-6"),
    (_dot_step, True, "a step that is right, and is not Bahdanau's",
     "compare the step with itself, on the batch and on each sentence"),
    (altered(weigh=ignoring), False, "a step that forgets the mask",
     "does a sentence that stands alone still carry its padding?"),
    (altered(weigh=afterwards), False, "a step that sets weights to 0 after the softmax", ""),
    (altered(weigh=over_sentences), False, "a step whose softmax runs over the sentences", ""),
    (_after(lambda c, a, new, h, mask, s: (c * mask.mean(-1, keepdims=True), a, new)), False,
     "a step whose contexts shrink with the padding, though weights and states are right",
     ALL_THREE),
    (_after(_all_weights), False,
     "a step whose weights shrink with the padding, though contexts and states are right",
     ALL_THREE),
    (_blurred(slice(None)), False,
     "a step whose states depend on the batch, though contexts and weights are right",
     ALL_THREE),
    (_blurred(-1), False, "a step that is wrong for the last sentence only", EACH),
    (_blurred(0), False, "a step that is wrong for the first sentence only", EACH),
    (_after(_cancels), False, "a step that is too high in one place and too low in another",
     "compare number by number: in sums and means errors cancel"),
    (_blurred(1, amount=1e-3), False, "a step that is off by some thousandths",
     "rounding is far smaller than that; mind your tolerance"),
    (_after(lambda c, a, new, h, mask, s: (c, a + 0.1 * ~mask, new)), False,
     "a step that puts weights on the padding, though all else is right",
     "which weights of the batch have you not looked at?"),
    (_after(_two_paddings), False, "a step whose weights on two paddings cancel in their sum",
     "on the padding each weight is 0"),
)  # fmt: skip


def finds_broken(answer: Callable, seed: int, large: bool = False) -> None:
    """Give a reader's test steps that are right and steps that are not, and see what it says.

    The test is a function of a step and its arguments, y (B, E), s (B, H), h (B, S, D), mask
    (B, S), W, U, v and gates, and returns whether the batch gives what its sentences give alone.
    """
    rng, name = np.random.default_rng(seed), getattr(answer, "__name__", "your test")
    sizes: list[tuple] = [((1, 3, 2), (2, 3, 4, 3))]
    if large:
        sizes += [((5, 2, 4, 1), (3, 2, 3, 4)), ((2, 2, 6), (4, 4, 4, 4))]
    for lengths, widths in sizes:
        case = _batch(rng, lengths, widths)
        meet(
            name,
            BOTH,
            lambda step, case=case: ask(answer, strict(step), *copy.deepcopy(case).values()),
            lambda said, what: f"{name} {'passes' if said else 'refuses'} {what}",
            rng,
        )
