"""What several assignments need: a softmax for their mistakes, and what an answer must not call."""

import sys

import numpy as np


def soft(scores, axis=-1):
    """Weights that sum to 1 along an axis; of hidden keys the scores are minus infinity."""
    with np.errstate(all="ignore"):
        exps = np.exp(scores - scores.max(axis, keepdims=True))
        return exps / exps.sum(axis, keepdims=True)


def ready_made(assignment: str, *names: str) -> list[str]:
    """Modules that do an assignment's work: those of its mistakes, and of the library the named.

    Of the library only modules that have been imported: no answer can call another without
    importing it, and with PyTorch to import one for this would take seconds.

    Examples
    --------
    >>> ready_made("a06", "no.such.module")
    ['attnlib.checks.a06_likely', 'attnlib.checks.common']
    """
    full = [f"attnlib.{name}" for name in names]
    own = [f"attnlib.checks.{assignment}_likely", "attnlib.checks.common"]
    return own + [name for name in full if name in sys.modules]
