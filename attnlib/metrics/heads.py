r"""What does a head look at? The share of its weight by where the keys stand.

A *place* is a boolean array (Q, K): the keys that each query would look at if its head did only
that. So the share of a head's weight on the previous position, its own, the next, the first, or on
a mark such as ``</s>`` is one sum (after Clark et al. 2019, section 3, and Voita et al. 2019,
section 5.1), and any other place can be asked for in the same way.

Weights are as `pretrained.Pretrained.attention_maps` finds them, (L, H, Q, K) of each sentence.
Mind what a position is. In the encoder query and key count the same words. In the decoder's
self-attention row t is the query that predicts target word t, and key t the word it has just been
given: *same* is the last word written, *previous* the one before that, *first* the start token. In
cross-attention row t writes target word t, and *same* is source word t.
"""

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from attnlib.metrics.alignment import entropy
from attnlib.metrics.intervals import LEVEL, Estimate

OFFSETS = {"previous": -1, "same": 0, "next": 1}
PLACES = (*OFFSETS, "first", "separator")


def places(Q: int, K: int, separators: Collection[int] = ()) -> dict[str, np.ndarray]:
    """Which keys stand where, for each of Q queries; `PLACES` names them.

    Parameters
    ----------
    Q, K : int
        Queries and keys; both count from 0.
    separators : collection of int
        Keys that are marks and no words, such as ``</s>``.

    Returns
    -------
    dict of boolean arrays of shape (Q, K)
        A row without a True has no such key: the first query has no previous one.

    Raises
    ------
    ValueError
        If a separator is no key.

    Examples
    --------
    >>> places(3, 3, separators=[2])["previous"].astype(int)
    array([[0, 0, 0],
           [1, 0, 0],
           [0, 1, 0]])
    """
    outside = [key for key in separators if not 0 <= key < K]
    if outside:
        raise ValueError(f"separators must be keys, 0 to {K - 1}, got {outside[0]}")
    queries, keys = np.arange(Q)[:, None], np.arange(K)
    found = {name: keys - queries == offset for name, offset in OFFSETS.items()}
    found["first"] = np.broadcast_to(keys == 0, (Q, K))
    found["separator"] = np.broadcast_to(np.isin(keys, list(separators)), (Q, K))
    return found


def even(Q: int, K: int, causal: bool = False) -> np.ndarray:
    """Weights (Q, K) of a head that looks at all it may see alike: what to compare a share with.

    >>> even(2, 2, causal=True)
    array([[1. , 0. ],
           [0.5, 0.5]])
    """
    seen = np.tri(Q, K) if causal else np.ones((Q, K))
    return seen / seen.sum(axis=1, keepdims=True)


def share(weights, place) -> np.ndarray:
    """Mean weight on a place, over the queries for which there is one.

    Parameters
    ----------
    weights : array of shape (..., Q, K)
        Of one sentence (L, H, Q, K), or of a padded batch (B, L, H, Q, K).
    place : boolean array, broadcastable to `weights`
        As from `places`. In a padded batch both the query and the key must be real:
        ``place & real[:, None, None, :, None] & real[:, None, None, None, :]``.

    Returns
    -------
    array of shape (...)
        0 to 1; NaN where no query has such a key.

    Raises
    ------
    TypeError
        If `place` is not boolean.

    Examples
    --------
    The first query has no previous key; the other two put 0.5 and 0.25 on theirs:

    >>> weights = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]]
    >>> share(weights, places(3, 3)["previous"])
    array(0.375)
    """
    total, queries = _on(weights, place)
    counted = np.where(queries, queries, 1)
    return np.asarray(np.where(queries, total / counted, np.nan))


def measure(
    maps: Iterable[np.ndarray],
    marked: Iterable[Mapping[str, np.ndarray]],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """The share of each head's weight on each place, and its entropy, over many sentences.

    All queries count alike, whichever sentence they are in. The interval is the middle 95 % of
    bootstrap samples of the sentences, as in `metrics`.

    Parameters
    ----------
    maps : sequence of arrays of shape (L, H, Q, K)
        Attention maps, one a sentence, without padding.
    marked : sequence of dicts of boolean arrays (Q, K)
        The places of each sentence, under the same names.
    resamples, seed : int

    Returns
    -------
    dict of Estimate
        By the names of the places, value and interval of shape (L, H); ``entropy``, in nats, beside
        them. NaN where no sentence has
        such a place.

    Raises
    ------
    ValueError
        If there is no sentence, the numbers or the names differ, or `resamples` is not positive.

    Examples
    --------
    >>> maps = [np.ones((1, 1, 2, 2)) / 2, np.ones((1, 1, 4, 4)) / 4]
    >>> found = measure(maps, [places(2, 2), places(4, 4)])
    >>> found["same"].value.round(3), found["entropy"].value.round(3)
    (array([[0.333]]), array([[1.155]]))
    """
    maps, marked = list(maps), list(marked)
    if not maps or len(maps) != len(marked):
        raise ValueError(f"{len(maps)} sentences, places of {len(marked)}: need as many, and one")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    names = marked[0].keys()
    if any(each.keys() != names for each in marked):
        raise ValueError("the places of all sentences must have the same names")
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(maps), np.full(len(maps), 1 / len(maps)), size=resamples)
    found = {
        name: [_on(w, each[name]) for w, each in zip(maps, marked, strict=True)] for name in names
    }
    found["entropy"] = [
        (entropy(w).sum(-1), np.full(np.shape(w)[:2], np.shape(w)[2])) for w in maps
    ]
    said = f"share of weight|n:{len(maps)}|bootstrap:{resamples}|seed:{seed}"
    measured = {}
    for name, pairs in found.items():
        totals, queries = (np.array(each) for each in zip(*pairs, strict=True))
        measured[name] = _pooled(totals, queries, drawn, said)
    return measured


def roles(measured: Mapping[str, Estimate], least: float = 0.5) -> np.ndarray:
    """The place on which each head has at least so much of its weight, "" where there is none.

    Returns
    -------
    array of str of shape (L, H)
        Of several places the one with most.

    Examples
    --------
    >>> found = measure([np.eye(3)[None, None]], [places(3, 3)])
    >>> roles(found).tolist()
    [['same']]
    """
    names = [name for name in measured if name != "entropy"]
    values = np.nan_to_num(np.array([measured[name].value for name in names]))  # (places, L, H)
    best = values.argmax(axis=0)
    return np.where(values.max(axis=0) >= least, np.array(names)[best], "")


def _on(weights, place) -> tuple[np.ndarray, np.ndarray]:
    """The weight on a place summed over the queries that have one, and their number: both (...)."""
    weights, place = np.asarray(weights), np.asarray(place)
    if place.dtype != bool:
        raise TypeError(f"place must be boolean, got {place.dtype}")
    rows = np.broadcast_to(place.any(axis=-1), weights.shape[:-1])
    return np.where(place, weights, 0).sum(axis=(-2, -1)), rows.sum(axis=-1)


def _pooled(totals: np.ndarray, queries: np.ndarray, drawn: np.ndarray, signature: str) -> Estimate:
    """Sums (N, L, H) over numbers (N, L, H), with the interval over resampled sentences (R, N)."""
    with np.errstate(invalid="ignore"):  # 0 / 0: there is no such place
        sampled = np.tensordot(drawn, totals, 1) / np.tensordot(drawn, queries, 1)
        value = totals.sum(axis=0) / queries.sum(axis=0)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(sampled, [tail, 1 - tail], axis=0)
    return Estimate(value, signature, (low, high))
