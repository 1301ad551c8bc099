"""Assignment 5, windows: what is right, and cases that grow (chapter 5).

The loops here say what is right, and are slow and plain on purpose; nothing else may call them.
Local-m is in NumPy, one sentence at a time: scores (T, S). Local-p is in PyTorch, a padded batch at
a time: scores (B, T, S), centres (B, T), lengths (B,). Positions count from 0.
"""

from collections.abc import Iterator

import numpy as np
import torch

from attnlib.checks.a05_given import slopes_of

__all__ = ["slopes_of"]  # the notebook's, from the file beside

SHIRT = np.array([0.0, 2.0, 0.0, 0.0, 1.0, 3.0])  # a woman in a red shirt


# --- what is right ---


def local_m_loops(scores, D):
    """Weights (T, S) of a window that moves on by one word a step (Luong et al. 2015, 3.2)."""
    weights = np.zeros(scores.shape)
    T, S = scores.shape
    for t in range(T):
        weights[t] = row_loops(scores[t], min(t, S - 1), D)
    return weights


def row_loops(scores, centre, D):
    """One row (S,): a softmax over the words within D of the centre, zero elsewhere."""
    row = np.zeros(len(scores))
    inside = [s for s in range(len(scores)) if abs(s - centre) <= D]
    highest = max(scores[s] for s in inside)
    total = sum(np.exp(scores[s] - highest) for s in inside)
    for s in inside:
        row[s] = np.exp(scores[s] - highest) / total
    return row


def centres_loops(queries, lengths, W_p, v_p):
    """Where the windows stand (B, T): S logistic(v_p . tanh(W_p q)) (Luong et al. 2015, eq. 9)."""
    centres = np.zeros(queries.shape[:2])
    for b, t in np.ndindex(centres.shape):
        x = sum(v_p * np.tanh(W_p @ queries[b, t]))
        centres[b, t] = lengths[b] / (1 + np.exp(-x))
    return centres


def local_p_loops(scores, centres, lengths, D):
    """Weights (B, T, S): a softmax over the window, times a Gaussian (Luong et al., eq. 10)."""
    weights = np.zeros(scores.shape)
    for b, t in np.ndindex(centres.shape):
        p, S = centres[b, t], lengths[b]
        row = row_loops(scores[b, t, :S], p, D)
        for s in range(S):
            weights[b, t, s] = row[s] * np.exp(-((s - p) ** 2) / (2 * (D / 2) ** 2))
    return weights


def pull_loops(query, length, W_p, v_p, key, D):
    """The slopes of log a_s by W_p (A, D_q) and v_p (A,), for the key s; zeros beyond reach."""
    hidden = np.tanh(W_p @ query)
    logistic = 1 / (1 + np.exp(-sum(v_p * hidden)))
    p = length * logistic
    by_x = 4 * (key - p) / D**2 * p * (1 - logistic) if abs(key - p) <= D else 0.0
    by_W, by_v = np.zeros(W_p.shape), np.zeros(v_p.shape)
    for i in range(len(v_p)):
        by_v[i] = by_x * hidden[i]
        for j in range(len(query)):
            by_W[i, j] = by_x * v_p[i] * (1 - hidden[i] ** 2) * query[j]
    return by_W, by_v


# --- what the gradients of answers in PyTorch should be ---


def centres_slopes_loops(queries, lengths, W_p, v_p, shares):
    """The same by the chain rule: by queries (B, T, D_q), W_p (A, D_q) and v_p (A,)."""
    by_q, by_W, by_v = np.zeros(queries.shape), np.zeros(W_p.shape), np.zeros(v_p.shape)
    for b, t in np.ndindex(queries.shape[:2]):
        hidden = np.tanh(W_p @ queries[b, t])
        logistic = 1 / (1 + np.exp(-(v_p @ hidden)))
        by_x = shares[b, t] * lengths[b] * logistic * (1 - logistic)
        by_sum = by_x * v_p * (1 - hidden**2)
        by_q[b, t] = W_p.T @ by_sum
        by_W += np.outer(by_sum, queries[b, t])
        by_v += by_x * hidden
    return by_q, by_W, by_v


def weights_slopes_loops(scores, centres, lengths, D, shares):
    """The same by the chain rule: by scores (B, T, S) and centres (B, T)."""
    by_e, by_p = np.zeros(scores.shape), np.zeros(centres.shape)
    weights = local_p_loops(scores, centres, lengths, D)
    for b, t in np.ndindex(centres.shape):
        S, p = lengths[b], centres[b, t]
        soft = row_loops(scores[b, t, :S], p, D)
        pulls = shares[b, t] * weights[b, t]
        by_e[b, t] = pulls
        by_e[b, t, :S] -= soft * pulls.sum()
        by_p[b, t] = sum(pulls * 4 * (np.arange(len(pulls)) - p) / D**2)
    return by_e, by_p


# --- cases, from small to large ---


def local_m_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's six words, six target words for four, scores of all sizes, random ones."""
    rng = np.random.default_rng(seed)
    yield {"scores": np.tile(SHIRT, (6, 1)), "D": 1}
    yield {"scores": np.zeros((6, 4)), "D": 1}
    yield {"scores": np.array([[900.0, 901.0, 0.0, 0.0]]), "D": 1}
    yield {"scores": np.array([[0.0, 1.0, 0.0, 2000.0]]), "D": 1}
    yield {"scores": np.array([[0.0, 1.0, 0.0], [5000.0, 5001.0, 5000.0]]), "D": 1}
    yield {"scores": np.array([[-20000.0, -20001.0, 0.0]]), "D": 1}
    yield {"scores": np.array([[0.0, 20000.0]]), "D": 1}
    yield {"scores": rng.normal(size=(3, 1)), "D": 2}
    shapes = [(3, 7, 2), (7, 3, 2), (4, 4, 5), (9, 6, 3)]
    for T, S, D in [*shapes, (20, 30, 10), (30, 11, 4)] if large else shapes:
        yield {"scores": rng.normal(size=(T, S)), "D": D}


def _double(*values) -> torch.Tensor:
    return torch.tensor(np.array(values), dtype=torch.float64)


def _share(p: float, S: int) -> float:
    """What v_p must be for the window to stand at p, where the hidden number is 1/2."""
    return 2 * float(np.log(p / (S - p)))


HALF = float(np.arctanh(0.5))


def centres_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's 4.2 of 6, a padded batch, then random ones."""
    rng = np.random.default_rng(seed)
    W_p, v_p = _double([HALF]), _double(_share(4.2, 6))
    yield {
        "queries": _double([[1.0], [-1.0]]),
        "lengths": torch.tensor([6]),
        "W_p": W_p,
        "v_p": v_p,
    }
    yield {
        "queries": _double([[1.0], [0.5]], [[1.0], [0.5]]),
        "lengths": torch.tensor([6, 3]),
        "W_p": W_p,
        "v_p": v_p,
    }
    shapes = [(1, 2, 2, 2), (2, 3, 4, 3), (3, 1, 2, 5)]
    for B, T, D_q, A in [*shapes, (5, 6, 7, 8)] if large else shapes:
        yield {
            "queries": torch.tensor(rng.normal(size=(B, T, D_q))),
            "lengths": torch.tensor(rng.integers(1, 60 if large else 12, size=B)),
            "W_p": torch.tensor(rng.normal(size=(A, D_q))),
            "v_p": torch.tensor(rng.normal(size=A) * 2),
        }
    if large:  # close to the first word, and to the last
        for p in (1e-4, 6 - 1e-4):
            v_p = _double(_share(p, 6))
            yield {
                "queries": _double([[1.0]]),
                "lengths": torch.tensor([6]),
                "W_p": W_p,
                "v_p": v_p,
            }


def local_p_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's windows, both edges, padding, scores of all sizes, then random ones."""
    rng = np.random.default_rng(seed)
    for p, D in [(4.2, 2), (3.0, 2), (4.2, 4), (0.3, 2), (5.9, 1)]:
        yield {
            "scores": _double([SHIRT]),
            "centres": _double([p]),
            "lengths": torch.tensor([6]),
            "D": D,
        }
    yield {
        "scores": _double([SHIRT], [SHIRT]),
        "centres": _double([4.2], [2.1]),
        "lengths": torch.tensor([6, 3]),
        "D": 2,
    }
    of_all_sizes = [
        [[900.0, 901.0, 0.0, 0.0]],
        [[0.0, 1.0, 0.0, 2000.0]],
        [[0.0, 1.0, 0.0, 0.0], [5000.0, 5001.0, 0.0, 0.0]],
        [[-20000.0, -20001.0, 0.0, 0.0]],
        [[0.0, 20000.0, 0.0, 0.0]],
        [[-300000.0, -300001.0, 0.0, 0.0]],
    ]
    for rows in of_all_sizes:
        yield {
            "scores": _double(rows),
            "centres": _double([0.4] * len(rows)),
            "lengths": torch.tensor([4]),
            "D": 1,
        }
    shapes = [(1, 3, 5, 1), (2, 2, 4, 3), (3, 4, 7, 2)]
    for B, T, S, D in [*shapes, (4, 9, 30, 5), (2, 2, 9, 10)] if large else shapes:
        yield _batch(rng, B, T, S, D)


def _batch(rng, B, T, S, D) -> dict:
    lengths = rng.integers(1, S + 1, size=B)
    lengths[0] = S
    return {
        "scores": torch.tensor(rng.normal(size=(B, T, S)) * 2),
        "centres": torch.tensor(lengths[:, None] * rng.random((B, T))),
        "lengths": torch.tensor(lengths),
        "D": D,
    }


def centres_slopes_cases(seed: int) -> Iterator[dict]:
    """The cases of the centres, each with random shares of the slope."""
    rng = np.random.default_rng(seed)
    for case in centres_cases(seed):
        yield case | {"shares": torch.tensor(rng.normal(size=case["queries"].shape[:2]))}


def weights_slopes_cases(seed: int) -> Iterator[dict]:
    """One window of the chapter, a loud word out of reach, and random batches."""
    rng = np.random.default_rng(seed)
    yield {
        "scores": _double([SHIRT]),
        "centres": _double([4.2]),
        "lengths": torch.tensor([6]),
        "D": 2,
        "shares": _double([[0.0, 0, 0, 0, 0, 1]]),
    }
    yield {
        "scores": _double([[0.0, 1.0, 0.0, 2000.0]]),
        "centres": _double([0.4]),
        "lengths": torch.tensor([4]),
        "D": 1,
        "shares": _double([[1.0, 0, 0, 0]]),
    }
    for B, T, S, D in [(1, 2, 5, 2), (3, 2, 6, 3)]:
        case = _batch(rng, B, T, S, D)
        yield case | {"shares": torch.tensor(rng.normal(size=(B, T, S)))}


def pull_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's pulls on shirt: 1.8 at 3.2, none at 1.2, 0.95 with D = 4; then random ones.

    In some of them the query has large numbers and W_p small ones.
    """
    rng = np.random.default_rng(seed)
    for p, D in [(3.2, 2), (1.2, 2), (1.2, 4)]:
        W_p, v_p = np.array([[HALF]]), np.array([_share(p, 6)])
        yield {"query": np.ones(1), "length": 6, "W_p": W_p, "v_p": v_p, "key": 5, "D": D}
    shapes = [(2, 2, 5), (3, 2, 7), (1, 4, 4)]
    for D_q, A, S in [*shapes, (5, 7, 30), (4, 3, 12)] if large else shapes:
        query, W_p, v_p = (rng.normal(size=shape) for shape in (D_q, (A, D_q), A))
        case = {"query": query, "length": S, "W_p": W_p, "v_p": v_p}
        yield case | {"key": S - 1, "D": S - 1}
        for scale in (1e4, 1e7):  # the same centre, other slopes
            other = {"W_p": W_p / scale, "query": query * scale}
            yield case | {"key": S - 1, "D": S - 1} | other
        yield case | {"key": 0, "D": 3}
