"""When a run learns how fast, and which of its weights are averaged."""

import math

from attnlib.training.config import Optimisation

SCHEDULES = ("cosine", "inverse_sqrt")


def learning_rate(update: int, how: Optimisation) -> float:
    """Linear warm-up, then one of `SCHEDULES`.

    ``cosine``: half a cosine down to zero (Loshchilov and Hutter 2017, eq. 5). ``inverse_sqrt``: as
    one over the root of the updates (Vaswani et al. 2017, eq. 3, with `lr` for its peak).

    >>> how = Optimisation(lr=1.0, warmup=100, schedule="inverse_sqrt")
    >>> [learning_rate(update, how) for update in (49, 99, 399)]
    [0.5, 1.0, 0.5]
    """
    if how.schedule not in SCHEDULES:
        raise ValueError(f"unknown schedule {how.schedule!r}: one of {', '.join(SCHEDULES)}")
    if update < how.warmup:
        return how.lr * (update + 1) / how.warmup
    if how.schedule == "inverse_sqrt":
        return how.lr * math.sqrt(max(1, how.warmup) / (update + 1))
    done = (update - how.warmup) / max(1, how.updates - how.warmup)
    return how.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def snapshots(how: Optimisation) -> set[int]:
    """The updates after which the weights join the average; the last update is one of them."""
    every = max(1, how.updates // 5 // max(1, how.average))
    return {how.updates - i * every for i in range(max(1, how.average))}
