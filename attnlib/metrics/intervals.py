"""A measured number and how sure of it we are.

Intervals are 95 %. Which one depends on what differs from one measurement to the next:

- few training seeds, or few pairs of words: `mean_interval`, by Student's t;
- many sentences or pictures of one test set: `bootstrap_interval`, which draws them again;
- two models on the same seeds or sentences: `paired_interval`, of their differences;
- a proportion, so many hits in so many independent trials: `wilson_interval`.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

LEVEL = 0.95  # of every interval


@dataclass(frozen=True)
class Estimate:
    """A measured number, how it was measured, and perhaps its 95 % interval (low, high).

    In place of a number there may be an array of them, as `heads.measure` has one of all heads; the
    ends of the interval are then arrays of its shape.

    >>> bleu = Estimate(59.023, "nrefs:1", (57.9, 60.2))
    >>> f"{bleu:.1f}", float(bleu)
    ('59.0 [57.9, 60.2]', 59.023)
    """

    value: float | np.ndarray
    signature: str
    interval: tuple[float | np.ndarray, float | np.ndarray] | None = None

    def __float__(self):
        return self.value

    def __format__(self, spec: str):
        value = format(self.value, spec)
        if self.interval is None:
            return value
        low, high = (format(end, spec) for end in self.interval)
        return f"{value} [{low}, {high}]"


def wilson_interval(hits: float, trials: float) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927); sound also where all or none were hits.

    Neither need be whole: `trials` may be an effective number.

    >>> "{:.3f} {:.3f}".format(*wilson_interval(10, 10))
    '0.722 1.000'
    """
    if not 0 <= hits <= trials or trials == 0:
        raise ValueError(f"need 0 <= hits <= trials and a trial, got {hits} of {trials}")
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
    share = hits / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    spread = math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    spread *= z / (1 + z**2 / trials)
    low = 0.0 if hits == 0 else centre - spread  # exactly, whatever the rounding
    return low, 1.0 if hits == trials else centre + spread


def mean_interval(values: Iterable[float]) -> Estimate:
    """Mean over training seeds with its 95 % interval by Student's t (Student 1908).

    Raises
    ------
    ValueError
        If there are fewer than two values, or one is not finite.

    Examples
    --------
    >>> f"{mean_interval([60.1, 60.4, 59.9]):.2f}"
    '60.13 [59.51, 60.76]'
    """
    values = np.asarray(list(values), dtype=float)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"an interval needs at least two values, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"values must be finite, got {values.tolist()}")
    n = len(values)
    half = student_quantile(n - 1) * values.std(ddof=1) / math.sqrt(n)
    mean = float(values.mean())
    return Estimate(mean, f"mean|n:{n}|interval:student", (mean - half, mean + half))


def student_quantile(freedom: int) -> float:
    """How many standard errors a 95 % interval reaches to either side (Student 1908).

    For an error that was itself estimated from few numbers, with so many degrees of freedom.

    >>> round(student_quantile(4), 3)
    2.776
    """
    if freedom < 1:
        raise ValueError(f"need at least one degree of freedom, got {freedom}")
    probability, low, high = 0.5 + LEVEL / 2, 0.0, 1.0
    while _student_cdf(high, freedom) < probability:
        high *= 2
    for _ in range(100):  # by bisection
        middle = (low + high) / 2
        low, high = (middle, high) if _student_cdf(middle, freedom) < probability else (low, middle)
    return high


def paired_interval(first: Iterable[float], second: Iterable[float]) -> Estimate:
    """Mean of first minus second, pair by pair, with its 95 % interval by Student's t.

    The pairs are whatever both were measured on: seeds, sentences, words. What makes a pair hard
    for both cancels, so that the interval may leave zero out where the two separate ones overlap.

    Raises
    ------
    ValueError
        If the two are not as long as one another; as `mean_interval` otherwise.

    Examples
    --------
    >>> f"{paired_interval([60.1, 58.4, 62.0], [59.2, 57.3, 61.2]):.2f}"
    '0.93 [0.55, 1.31]'
    """
    first, second = as_lists(first=first, second=second)
    difference = mean_interval(np.subtract(first, second))
    return replace(difference, signature=f"difference|{difference.signature}")


def bootstrap_interval(
    totals: Iterable[float],
    counts: Iterable[float] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Mean over many units, such as sentences, with its percentile bootstrap interval (Efron 1979).

    With `counts` the sum of the totals is divided by the sum of the counts: an error a word, say,
    where a sentence is a unit and has a number of words. The same units are drawn for both.

    Parameters
    ----------
    totals, counts : sequences of float
        A number a unit each; counts are 1 unless given.
    resamples, seed : int
        How often the units are drawn, 1 or more.

    Raises
    ------
    ValueError
        If there are fewer than two units, a number is not finite, the counts do not match the
        totals or do not add up to more than 0, or `resamples` is less than 1.

    Examples
    --------
    >>> f"{bootstrap_interval([1, 0, 2, 1], [4, 5, 3, 8]):.2f}"
    '0.20 [0.04, 0.43]'
    """
    given = {"totals": totals} | ({} if counts is None else {"counts": counts})
    columns = [np.asarray(each, dtype=float) for each in as_lists(**given)]
    if counts is None:
        columns.append(np.ones_like(columns[0]))
    statistics = np.stack(columns, axis=1)
    if len(statistics) < 2:
        raise ValueError("an interval needs at least two units, got 1")
    if not np.isfinite(statistics).all() or statistics[:, 1].sum() <= 0:
        raise ValueError("totals and counts must be finite, and the counts add up to more than 0")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")

    def formula(sums):
        with np.errstate(invalid="ignore", divide="ignore"):  # only empty units were drawn
            return sums[:, 0] / sums[:, 1]

    value = float(formula(statistics.sum(axis=0, keepdims=True))[0])
    what = "mean" if counts is None else "ratio of sums"
    measured = Estimate(value, f"{what}|n:{len(statistics)}")
    return with_interval(measured, statistics, formula, resamples, seed)


def with_interval(
    estimate: Estimate,
    statistics: np.ndarray,
    formula: Callable[[np.ndarray], np.ndarray],
    resamples: int,
    seed: int,
) -> Estimate:
    """Percentile bootstrap (Efron 1979): how often each sentence is drawn, times its statistics."""
    if resamples < 0:
        raise ValueError(f"resamples must be 0 or more, got {resamples}")
    n = len(statistics)
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    values = formula(draws @ statistics)
    low, high = np.nanquantile(values, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    signature = f"{estimate.signature}|bootstrap:{resamples}|seed:{seed}"
    return Estimate(estimate.value, signature, (float(low), float(high)))


def _student_cdf(t: float, freedom: int) -> float:
    """Probability below t >= 0 (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for k in range(1 + odd, freedom, 2):  # terms in cos^(k - 1) of the angle
        total += term
        term *= k / (k + 1) * math.cos(angle) ** 2
    within = math.sin(angle) * total
    return 0.5 + ((angle + within) / math.pi if odd else within / 2)


def as_lists(**several: Iterable) -> list[list]:
    """Sequences that belong together as lists, whatever iterables they are.

    Raises
    ------
    TypeError
        If one is a string, which is a sequence of letters, or no iterable at all.
    ValueError
        If they are empty, or not as long as one another.

    Examples
    --------
    >>> as_lists(hypotheses=["a"], references=["a", "b"])
    Traceback (most recent call last):
    ValueError: need the same number of each, got 1 hypotheses, 2 references
    """
    for name, each in several.items():
        if isinstance(each, (str, bytes)) or not isinstance(each, Iterable):
            kind = type(each).__name__
            raise TypeError(f"{name} must be a list, one entry a sentence, got one {kind}")
    lists = {name: list(each) for name, each in several.items()}
    counts = {name: len(each) for name, each in lists.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise ValueError(f"need the same number of each, got {said}")
    if 0 in counts.values():
        raise ValueError(f"{' and '.join(counts)} are empty")
    return list(lists.values())
