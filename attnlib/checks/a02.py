"""Assignment 2, a softmax that can say nothing: cases that grow, and the likely mistakes.

The loops here say what is right, and are slow and plain on purpose; nothing else may call them.
"""

from collections.abc import Iterator

import numpy as np

from attnlib.checks.common import soft
from attnlib.checks.compare import Likely

SHAPES = [(1, 1), (1, 2), (2, 3), (2, 2, 4), (3, 1, 5)]


# --- what is right ---


def softmax_loops(scores):
    """exp(e_s) over their sum, row by row."""
    return masked_loops(scores, np.ones(np.shape(scores), dtype=bool))


def masked_loops(scores, mask):
    """The same over the keys that may be seen; zeros in a row where there are none."""
    weights = np.zeros(scores.shape)
    for row in np.ndindex(scores.shape[:-1]):
        seen = [s for s in range(scores.shape[-1]) if mask[(*row, s)]]
        if seen:
            highest = max(scores[(*row, s)] for s in seen)
            total = sum(np.exp(scores[(*row, s)] - highest) for s in seen)
            for s in seen:
                weights[(*row, s)] = np.exp(scores[(*row, s)] - highest) / total
    return weights


def attend_loops(queries, keys, values, mask):
    """Contexts (T, D_v) and weights (T, S) of a lookup with the dot score."""
    scores = np.array([[sum(q * k) for k in keys] for q in queries])
    weights = masked_loops(scores, mask)
    contexts = np.zeros((len(queries), values.shape[1]))
    for t in range(len(queries)):
        for s in range(len(keys)):
            contexts[t] += weights[t, s] * values[s]
    return contexts, weights


# --- cases, from small to large ---


def softmax_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's three scores, also as whole numbers; large ones, far apart; random shapes."""
    rng = np.random.default_rng(seed)
    yield {"scores": np.array([0.0, 1.0, 2.0])}
    yield {"scores": np.array([0, 1, 2])}
    yield {"scores": np.array([1000.0, 1001.0, 1002.0])}
    yield {"scores": np.array([-1000.0, -1001.0, -1002.0])}
    yield {"scores": np.array([0.0, 2000.0])}
    yield {"scores": np.array([[0.0, 1.0], [1000.0, 1001.0]])}
    for shape in SHAPES:
        yield {"scores": rng.normal(size=shape)}
    if large:
        yield {"scores": rng.normal(size=(4, 6)) * 300}
        yield {"scores": rng.normal(size=(2, 2, 2, 3))}


def masked_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """One hidden key, several, a row of nothing, scores of all sizes, random masks."""
    rng = np.random.default_rng(seed)
    yield {"scores": np.array([[0.0, 1.0, 2.0]]), "mask": np.array([[True, True, False]])}
    yield {"scores": np.array([[0.0, 1.0, 2.0]]), "mask": np.array([[True, True, True]])}
    yield {"scores": np.array([[0.0, 1.0]]), "mask": np.array([[False, False]])}
    yield {"scores": np.array([[900.0, 899.0]]), "mask": np.array([[True, True]])}
    yield {"scores": np.array([[0.0, 2000.0]]), "mask": np.array([[True, True]])}
    yield {"scores": np.array([[-900.0, 3.0]]), "mask": np.array([[True, False]])}
    yield {"scores": np.array([[-900.0, 3.0], [900.0, 3.0]]), "mask": np.eye(2, dtype=bool)}
    yield {"scores": np.array([[-1e12, 0.0]]), "mask": np.array([[True, False]])}
    for shape in SHAPES[2:]:
        yield {"scores": rng.normal(size=shape), "mask": rng.random(shape) < 0.6}
    if large:
        for spread in (1, 100):
            scores, mask = rng.normal(size=(5, 4, 7)) * spread, rng.random((5, 4, 7)) < 0.5
            mask[0, 1] = False
            yield {"scores": scores, "mask": mask}


def attend_cases(seed: int) -> Iterator[dict]:
    """The chapter's three words, more queries, keys and widths, a row of nothing, large scores."""
    rng = np.random.default_rng(seed)
    words = np.array([[-1.0, 1], [2, -1], [2, 0]])
    yield {
        "queries": np.array([[1.0, 1]]),
        "keys": words,
        "values": words,
        "mask": np.ones((1, 3), dtype=bool),
    }
    for T, S, D, D_v in [(1, 2, 3, 2), (2, 3, 2, 4), (3, 5, 4, 1), (4, 4, 4, 4)]:
        yield {
            "queries": rng.normal(size=(T, D)),
            "keys": rng.normal(size=(S, D)),
            "values": rng.normal(size=(S, D_v)),
            "mask": rng.random((T, S)) < 0.7,
        }
    mask = np.array([[True, True, True], [False, False, False]])
    yield {"queries": np.ones((2, 2)), "keys": words, "values": words, "mask": mask}
    loud = {"queries": np.array([[30.0]]), "keys": np.array([[30.0], [31.0]]), "values": np.eye(2)}
    yield loud | {"mask": np.ones((1, 2), dtype=bool)}


# --- what many do instead ---


def _over(axis):
    def answer(scores, mask=None):
        exps = np.exp(scores - scores.max(axis=axis, keepdims=True))
        return exps / exps.sum(axis=axis, keepdims=True)

    return answer


def _overflows(scores, mask=None):
    with np.errstate(all="ignore"):
        exps = np.exp(scores) if mask is None else np.exp(scores) * mask
        return exps / exps.sum(axis=-1, keepdims=True)


def _afterwards(scores, mask):
    return _over(-1)(scores) * mask


def _inverted(scores, mask):
    return masked_loops(scores, ~mask)


def _filled(amount):
    return lambda scores, mask: _over(-1)(np.where(mask, scores, amount))


def _added(amount):
    return lambda scores, mask: _over(-1)(scores + np.where(mask, 0.0, amount))


def _zeroed(scores, mask):
    return _over(-1)(np.where(mask, scores, 0.0))


def _highest_of_all(scores, mask):
    with np.errstate(all="ignore"):
        exps = np.exp(scores - scores.max(axis=-1, keepdims=True)) * mask
        total = exps.sum(axis=-1, keepdims=True)
        return np.where(total > 0, exps / total, 0.0)


def _minus_infinity(scores, mask):
    with np.errstate(all="ignore"):
        return _over(-1)(np.where(mask, scores, -np.inf))


def _largest_of_array(scores, mask=None):
    """One number is subtracted in all rows, the largest that may be seen."""
    seen = np.ones(np.shape(scores), dtype=bool) if mask is None else mask
    with np.errstate(all="ignore"):
        kept = np.where(seen, scores, -np.inf)
        exps = np.where(seen, np.exp(kept - kept.max()), 0.0)
        return exps / exps.sum(axis=-1, keepdims=True)


def _emptied_rows(answer):
    """The same with zeros for NaN."""

    def without_nan(scores, mask):
        with np.errstate(all="ignore"):
            return np.nan_to_num(answer(scores, mask))

    return without_nan


def _zeroed_after(answer):
    return lambda scores, mask: np.where(mask, answer(scores, mask), 0.0)


def _zeroed_where_all_hidden(answer):
    return lambda scores, mask: np.where(mask.any(-1, keepdims=True), answer(scores, mask), 0.0)


def _turned_and_zeroed(scores, mask):
    return _over(-1)(np.where(mask, -1e30, scores)) * mask


def _clipped(bound):
    return lambda scores, mask=None: _overflows(np.clip(scores, -bound, bound), mask)


def _whole(scores):
    return _over(-1)(scores).astype(scores.dtype)


def _mean_of_row(scores, mask=None):
    """The mean of what may be seen is subtracted."""
    seen = np.ones(np.shape(scores), dtype=bool) if mask is None else mask
    with np.errstate(all="ignore"):
        mean = np.where(seen, scores, 0).sum(-1, keepdims=True) / seen.sum(-1, keepdims=True)
        return soft(np.where(seen, scores, -np.inf), lower=lambda kept: mean)


def _middle_of_row(scores):
    return soft(scores, lower=lambda e: (e.max(-1, keepdims=True) + e.min(-1, keepdims=True)) / 2)


def _hidden_as_zero(scores, mask):
    """The largest that is subtracted is that of the scores times the mask."""
    with np.errstate(all="ignore"):
        kept = np.where(mask, scores, -np.inf)
        return np.nan_to_num(soft(kept, lower=lambda e: (scores * mask).max(-1, keepdims=True)))


def _nothing_shares_out(scores, mask):
    return masked_loops(scores, mask | ~mask.any(axis=-1, keepdims=True))


def _overflows_to_zero(scores, mask):
    with np.errstate(all="ignore"):
        exps = np.exp(scores) * mask
        return np.nan_to_num(exps / exps.sum(axis=-1, keepdims=True))


MEAN = (
    "not the largest score of a row is subtracted but its mean or middle, and a score far above "
    "that still overflows"
)
OWN_LARGEST = (
    "the largest score of the whole array is subtracted, and a row far below it is then 0 divided "
    "by 0: each row has a largest of its own"
)
LOWER = (
    "a hidden key gets a fixed low score, and here the others score lower still: what hides must "
    "be lower than any score"
)
SOFTMAX = [
    Likely(_over(0), "your rows sum to 1 along the first axis; they should along the last"),
    Likely(_over(None), "all weights together sum to 1; each row should"),
    Likely(_overflows, "exp of a large score overflows; what may be subtracted from all scores?"),
    Likely(
        _whole,
        "whole numbers come back: an array made like the scores cuts every weight off to 0 or 1",
    ),
    Likely(_mean_of_row, MEAN),
    Likely(_middle_of_row, MEAN),
    Likely(
        _clipped(50),
        "scores are cut off at a bound; subtract from them, so that no difference is lost",
    ),
    Likely(_largest_of_array, OWN_LARGEST),
    Likely(lambda scores: np.exp(scores), "the exponentials are not divided by their sum"),
]
MASKED = [
    Likely(
        _afterwards, "weights are set to 0 after the softmax; the others then sum to less than 1"
    ),
    Likely(_inverted, "the mask is read the wrong way round; true means may be looked at"),
    Likely(_turned_and_zeroed, "the mask is read the wrong way round, and then the right way"),
    Likely(_minus_infinity, "a row of which all is hidden is 0 divided by 0; it should be zeros"),
    Likely(_filled(-1e9), "a row of which all is hidden is an even average; it should be zeros"),
    Likely(_filled(-1e6), "a row of which all is hidden is an even average; it should be zeros"),
    Likely(
        _filled(-1e4), "a hidden key must have a weight of exactly 0, and none if all are hidden"
    ),
    Likely(_added(-1e9), "a row of which all is hidden is softmaxed as if it were not"),
    Likely(_nothing_shares_out, "a row of which all is hidden is softmaxed as if it were not"),
    Likely(_overflows_to_zero, "where exp overflows your row becomes zeros"),
    Likely(
        lambda scores, mask: np.where(
            mask.any(-1, keepdims=True), _filled(-300.0)(scores, mask), 0.0
        ),
        "a hidden key must have a weight of exactly 0, however small the others' scores are",
    ),
    *(
        Likely(change(_filled(amount)), LOWER)
        for amount in (-1e3, -1e4, -1e5, -1e6, -1e7, -1e8, -1e9, -1e10)
        for change in (_zeroed_after, _zeroed_where_all_hidden)
    ),
    Likely(_zeroed, "a score of 0 is a score like others; a hidden key still gets a weight"),
    Likely(_highest_of_all, "the largest score that is subtracted may be a hidden one"),
    Likely(_overflows, "exp of a large score overflows"),
    Likely(_mean_of_row, MEAN),
    Likely(_zeroed_where_all_hidden(_mean_of_row), MEAN),
    Likely(
        _hidden_as_zero,
        "the largest score that is subtracted may be a hidden one, which counts as 0 in it",
    ),
    Likely(_largest_of_array, OWN_LARGEST),
    Likely(_emptied_rows(_largest_of_array), OWN_LARGEST),
    Likely(lambda scores, mask: _over(-1)(scores), "the mask is not used"),
]


def _lookup(score=None, over=masked_loops, mix=None):
    def answer(queries, keys, values, mask):
        scores = queries @ keys.T if score is None else score(queries, keys)
        weights = over(scores, mask)
        return (weights @ values if mix is None else mix(weights, values)), weights

    return answer


def _keys_averaged(queries, keys, values, mask):
    weights = masked_loops(queries @ keys.T, mask)
    return weights @ keys, weights


ATTEND = [
    Likely(
        _lookup(lambda q, k: q @ k.T / np.sqrt(q.shape[-1])),
        "the scores are divided by the root of the width; this task asks for the plain dot product",
    ),
    Likely(_lookup(over=lambda e, mask: _over(-1)(e)), "the mask is not used"),
    Likely(_lookup(over=_afterwards), "the mask acts after the softmax"),
    Likely(_keys_averaged, "the context averages the keys; it should average the values"),
    Likely(
        lambda queries, keys, values, mask: _lookup()(queries, keys, values, mask)[::-1],
        "contexts come first, weights second",
    ),
    *(
        Likely(
            _lookup(over=answer),
            "a query that may see nothing gets an average all the same, or no number; your "
            "masked_softmax makes zeros of that row",
        )
        for answer in (_filled(-1e9), _added(-1e9), _minus_infinity)
    ),
    *(
        Likely(_lookup(over=answer), "exp of a large score overflows: use your masked_softmax")
        for answer in (_overflows_to_zero, _zeroed_where_all_hidden(_overflows))
    ),
    *(
        Likely(
            _lookup(over=_emptied_rows(_clipped(bound))),
            "scores are cut off at a bound, and are then all alike: use your masked_softmax",
        )
        for bound in (10, 20, 30, 50, 100, 500)
    ),
    Likely(
        _lookup(over=lambda e, mask: masked_loops(e.T, mask.T).T),
        "your weights sum to 1 over the queries; each query shares out 1 over the keys",
    ),
]
