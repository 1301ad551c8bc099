"""The selection dial: an average of the values, or a choice of one?"""

from torch import Tensor, nn


class Soft(nn.Module):
    r"""The average :math:`c_t = \sum_s a_{ts} v_s` (Bahdanau et al. 2015, eq. 5)."""

    def forward(self, weights: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Average values (B, S, D_v) by weights (B, T, S): contexts (B, T, D_v), weights."""
        return weights @ values, weights


SELECTIONS = {"soft": Soft}


def make(name: str) -> nn.Module:
    """Build a selection by its name; an unknown one is refused with the list of those known.

    >>> make("soft")
    Soft()
    """
    if name not in SELECTIONS:
        raise ValueError(f"unknown selection {name!r}: one of {', '.join(SELECTIONS)}")
    return SELECTIONS[name]()
