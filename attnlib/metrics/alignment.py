"""How good is an alignment, and how sharp?

An alignment is a set of links (target position, source position), both from 0.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from attnlib.metrics.intervals import Estimate, as_lists, with_interval

Links = Iterable[tuple[int, int]]


def alignment_error_rate(
    predicted: Iterable[Links],
    sure: Iterable[Links],
    possible: Iterable[Links],
    *,
    resamples: int = 0,
    seed: int = 0,
) -> Estimate:
    r"""Alignment error rate (Och and Ney 2003, eq. 20), 0 (best) to 1, over all sentences.

    .. math:: 1 - \frac{|A \cap S| + |A \cap P|}{|A| + |S|}, \qquad S \subseteq P

    A sure link that is missed costs, and so does a predicted link that is not even possible; a
    possible link may be predicted or not.

    Parameters
    ----------
    predicted, sure, possible : sequences of sets of (target position, source position)
        One set a sentence. Sure links count as possible whether they are repeated there or not.
        With one gold alignment (the toy tasks) pass it as both.
    resamples, seed : int
        As in `bleu`: an interval by resampling sentences.

    Raises
    ------
    ValueError
        If the numbers of sentences differ, there are none, an element is not a set of pairs, or
        there is neither a predicted nor a sure link.

    Examples
    --------
    Two of three predicted links are sure, the third is not possible; one sure link is missed:

    >>> sure = [{(0, 0), (1, 2), (2, 1)}]
    >>> f"{alignment_error_rate([{(0, 0), (1, 2), (2, 2)}], sure, sure):.3f}"
    '0.333'
    """
    counts = _counts(predicted, sure, possible)
    return _error_rate(counts, "alignment error rate", resamples, seed)


def alignment_error_difference(
    first: Iterable[Links],
    second: Iterable[Links],
    sure: Iterable[Links],
    possible: Iterable[Links],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Alignment error rate of `first` minus that of `second`, with its paired bootstrap interval.

    Both are scored on the same resampled sentences, as in `bleu_difference`: two intervals that
    overlap, or just do not, say little about the difference.

    Parameters
    ----------
    first, second, sure, possible : sequences of sets of (target position, source position)
        As in `alignment_error_rate`, all four in the same order.
    resamples, seed : int
        At least one resample.

    Raises
    ------
    ValueError
        As in `alignment_error_rate`.

    Examples
    --------
    >>> sure = [{(0, 0), (1, 1)}, {(0, 0)}]
    >>> worse = [{(0, 1), (1, 1)}, {(0, 0)}]
    >>> f"{alignment_error_difference(worse, sure, sure, sure).value:.3f}"
    '0.333'
    """
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    left, right = (np.array(_counts(each, sure, possible), float) for each in (first, second))
    for each in (left, right):
        if not each[:, 1].sum():
            raise ValueError("there is neither a predicted nor a sure link")
    value = _rate(left.sum(axis=0)) - _rate(right.sum(axis=0))

    def formula(sums):
        return _rate(sums[..., :2]) - _rate(sums[..., 2:])

    estimate = Estimate(float(value), "difference|alignment error rate")
    both = np.concatenate([left, right], axis=1)
    return with_interval(estimate, both, formula, resamples, seed)


def expected_error_rate(
    weights: Iterable,
    sure: Iterable[Links],
    possible: Iterable[Links],
    *,
    resamples: int = 0,
    seed: int = 0,
) -> Estimate:
    """The alignment error rate to expect if each target word draws its link from its weights.

    Exact, not sampled: each of the counts of `alignment_error_rate` is a sum of probabilities.
    With `uniform_weights` it is the baseline of knowing nothing.

    Parameters
    ----------
    weights : sequence of arrays of shape (T, S)
        One a sentence; each row sums to 1, or to 0 for a word that draws no link.
    sure, possible, resamples, seed
        As in `alignment_error_rate`.

    Raises
    ------
    ValueError
        As in `alignment_error_rate`; also if a row sums to something else, or a link is outside
        the weights.

    Examples
    --------
    >>> sure = [{(0, 0), (1, 1)}]
    >>> expected_error_rate([uniform_weights(2, 2)], sure, sure).value
    0.5
    """
    weights, sure, possible = as_lists(weights=weights, sure=sure, possible=possible)
    counts = []
    for w, s, p in zip(weights, _sets("sure", sure), _sets("possible", possible)):
        w = _matrix(w)
        mass = w.sum(axis=1)
        if not np.all(np.isclose(mass, 1, atol=1e-4) | (mass == 0)):
            raise ValueError("each row of weights must sum to 1 or be all zeros")
        hits = sum(w[_inside(link, w)] for link in s) + sum(w[_inside(link, w)] for link in s | p)
        counts.append((hits, mass.sum() + len(s)))
    return _error_rate(counts, "alignment error rate, expected", resamples, seed)


def word_weights(
    weights,
    source_words: Sequence[int | None] | None = None,
    target_words: Sequence[int | None] | None = None,
) -> np.ndarray:
    """Weights between words from weights between subwords.

    The weights of a source word are the sum over its subwords (a word is looked at if any part of
    it is), those of a target word the mean over its subwords. What belongs to no word is left out,
    so a row sums to less than 1 where attention went to a special.

    Parameters
    ----------
    weights : array of shape (T, S)
        Rows are target subwords.
    source_words, target_words : sequences of int or None
        The word of each subword, from 0; None for a special: `data.tokenizer.word_indices` gives
        them. Left out: each position is a word of its own.

    Returns
    -------
    array of shape (target words, source words)

    Raises
    ------
    ValueError
        If weights are not a finite matrix of numbers that are not negative, the words do not fit
        its shape, or a word has no subword.

    Examples
    --------
    >>> word_weights([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]], [0, 0, None], [0, 0])
    array([[0.375]])
    """
    weights = _matrix(weights)
    T, S = weights.shape
    source = _membership("source_words", source_words, S)  # (source words, S)
    target = _membership("target_words", target_words, T)  # (target words, T)
    return (target / target.sum(axis=1, keepdims=True)) @ weights @ source.T


def alignment_from_weights(
    weights,
    source_words: Sequence[int | None] | None = None,
    target_words: Sequence[int | None] | None = None,
) -> set[tuple[int, int]]:
    """Link each target word to the source word with most of its attention.

    Arguments and errors as in `word_weights`. Ties go to the first word; a target word whose
    attention is all on specials gets no link.

    >>> sorted(alignment_from_weights([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]], [0, 1, None]))
    [(0, 1), (1, 0)]
    """
    words = word_weights(weights, source_words, target_words)
    if words.shape[1] == 0:
        return set()
    return {(t, int(row.argmax())) for t, row in enumerate(words) if row.max() > 0}


def diagonal_alignment(T: int, S: int) -> set[tuple[int, int]]:
    """Link every target word to the source word at the same relative position.

    With positions from 1, target word t goes to the source word at t S / T, rounded (halves to the
    even number, as Python does) and at least 1. On the 447 gold sentences of the Hansards,
    English to French, this has an alignment error rate of 0.536.

    >>> sorted(diagonal_alignment(4, 2))
    [(0, 0), (1, 0), (2, 1), (3, 1)]
    """
    if T < 0 or S < 1:
        raise ValueError(f"need T >= 0 and S >= 1, got T={T} and S={S}")
    return {(t, max(1, round((t + 1) * S / T)) - 1) for t in range(T)}


def uniform_weights(T: int, S: int) -> np.ndarray:
    """Weights (T, S) of attention that knows nothing: 1/S everywhere.

    >>> uniform_weights(1, 4)
    array([[0.25, 0.25, 0.25, 0.25]])
    """
    if T < 0 or S < 1:
        raise ValueError(f"need T >= 0 and S >= 1, got T={T} and S={S}")
    return np.full((T, S), 1 / S)


def share_on_gold(weights, alignment: Links) -> float:
    """Mean share of attention on the gold links, over the target words that have a gold link.

    Parameters
    ----------
    weights : array of shape (T, S)
    alignment : set of (target position, source position)

    Returns
    -------
    float
        0 to 1; with `uniform_weights` the mean number of links a word over S.

    Raises
    ------
    ValueError
        If there is no link, one is outside the weights, or weights are not a finite matrix of
        numbers that are not negative.

    Examples
    --------
    >>> share_on_gold([[0.75, 0.25], [0.5, 0.5]], {(0, 0), (1, 0), (1, 1)})
    0.875
    """
    weights = _matrix(weights)
    links = _sets("alignment", [alignment])[0]
    if not links:
        raise ValueError("alignment holds no link")
    mass = sum(weights[_inside(link, weights)] for link in links)
    return float(mass / len({t for t, _ in links}))


def entropy(weights) -> np.ndarray:
    r"""Entropy :math:`-\sum_s p_s \ln p_s` of each row, in nats; p are shares of the row's sum.

    Parameters
    ----------
    weights : array of shape (..., S)
        A row need not sum to 1: a window may multiply it, or words may be left out.

    Returns
    -------
    array of shape (...)
        0 for attention on one key (and for a row of zeros) to ln S for uniform attention.

    Raises
    ------
    ValueError
        If a weight is negative or not finite.

    Examples
    --------
    >>> entropy([[1.0, 0.0], [0.5, 0.5], [0.2, 0.2]]).round(4)
    array([0. , 0.6931, 0.6931])
    """
    weights = _array(weights)
    total = weights.sum(axis=-1, keepdims=True)
    shares = weights / np.where(total > 0, total, 1)
    logs = np.log(np.where(shares > 0, shares, 1))  # 0 log 0 = 0
    return np.abs((shares * logs).sum(axis=-1))  # abs: 0, not -0


def _counts(predicted, sure, possible) -> list[tuple[int, int]]:
    """Of each sentence how often its links are sure or possible, and how many there are of both."""
    predicted, sure, possible = as_lists(predicted=predicted, sure=sure, possible=possible)
    return [
        (len(a & s) + len(a & (s | p)), len(a) + len(s))
        for a, s, p in zip(
            _sets("predicted", predicted), _sets("sure", sure), _sets("possible", possible)
        )
    ]


def _rate(sums: np.ndarray) -> np.ndarray:
    """1 - hits / links, of sums (..., 2)."""
    return 1 - sums[..., 0] / np.maximum(sums[..., 1], 1)


def _error_rate(counts, signature: str, resamples: int, seed: int) -> Estimate:
    """1 - hits / links, with its interval; `counts` has (hits, links) of each sentence."""
    counts = np.array(counts, dtype=float)
    hits, links = counts.sum(axis=0)
    if links == 0:
        raise ValueError("there is neither a predicted nor a sure link")
    estimate = Estimate(float(1 - hits / links), signature)
    if not resamples:
        return estimate
    return with_interval(estimate, counts, _rate, resamples, seed)


def _array(weights) -> np.ndarray:
    """Weights as floats; tensors are detached."""
    if hasattr(weights, "detach"):
        weights = weights.detach().cpu().double().numpy()
    weights = np.asarray(weights, dtype=float)
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("weights must be finite and not negative")
    return weights


def _matrix(weights) -> np.ndarray:
    weights = _array(weights)
    if weights.ndim != 2:
        raise ValueError(f"weights must have shape (T, S), got {weights.shape}")
    return weights


def _inside(link: tuple[int, int], weights: np.ndarray) -> tuple[int, int]:
    t, s = link
    if not (0 <= t < weights.shape[0] and 0 <= s < weights.shape[1]):
        raise ValueError(f"link {link} is outside weights of shape {weights.shape}")
    return link


def _sets(name: str, alignments: Sequence[Links]) -> list[set[tuple[int, int]]]:
    try:
        return [{(int(t), int(s)) for t, s in links} for links in alignments]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold pairs of positions, one set a sentence") from error


def _membership(name: str, words: Sequence[int | None] | None, size: int) -> np.ndarray:
    """Zeros and ones, (words, size): which word each position belongs to."""
    words = list(range(size)) if words is None else list(words)
    if len(words) != size:
        raise ValueError(f"{name} has {len(words)} entries for {size} positions of the weights")
    known = sorted({word for word in words if word is not None})
    if known != list(range(len(known))):
        raise ValueError(f"{name} must number words from 0 without gaps, got {known}")
    member = np.zeros((len(known), size))
    for position, word in enumerate(words):
        if word is not None:
            member[word, position] = 1
    return member
