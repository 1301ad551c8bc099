"""What the mistakes of several assignments need."""

import numpy as np

ROUGH = (
    "nearly right, but not as exact as a formula is: differences of a number, or single precision, "
    "lose digits here"
)


def soft(scores, axis=-1, lower=None):
    """Weights that sum to 1 along an axis; of hidden keys the scores are minus infinity.

    What is subtracted from the scores is the largest of each row, or what `lower` makes of all.
    """
    with np.errstate(all="ignore"):
        less = scores.max(axis, keepdims=True) if lower is None else lower(scores)
        exps = np.exp(scores - less)
        return exps / exps.sum(axis, keepdims=True)
