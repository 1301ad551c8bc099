"""When a run learns how fast, and which of its weights are averaged."""

import math

from attnlib.training.config import RunConfig

SCHEDULES = ("cosine", "inverse_sqrt")


def learning_rate(update: int, config: RunConfig) -> float:
    """Linear warm-up, then one of `SCHEDULES`.

    ``cosine``: half a cosine down to zero (Loshchilov and Hutter 2017, eq. 5). ``inverse_sqrt``: as
    one over the root of the updates (Vaswani et al. 2017, eq. 3, with `lr` for its peak).

    >>> config = RunConfig("any", lr=1.0, warmup=100, schedule="inverse_sqrt")
    >>> [learning_rate(update, config) for update in (49, 99, 399)]
    [0.5, 1.0, 0.5]
    """
    if config.schedule not in SCHEDULES:
        raise ValueError(f"unknown schedule {config.schedule!r}: one of {', '.join(SCHEDULES)}")
    if update < config.warmup:
        return config.lr * (update + 1) / config.warmup
    if config.schedule == "inverse_sqrt":
        return config.lr * math.sqrt(max(1, config.warmup) / (update + 1))
    done = (update - config.warmup) / max(1, config.updates - config.warmup)
    return config.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def snapshots(config: RunConfig) -> set[int]:
    """The updates after which the weights join the average; the last update is one of them."""
    every = max(1, config.updates // 5 // max(1, config.average))
    return {config.updates - i * every for i in range(max(1, config.average))}
