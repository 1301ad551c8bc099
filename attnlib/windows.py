"""The window dial: which keys may be looked at?

A window answers for T queries, the first of them at target position `start`, and S keys of which
`mask` (B, 1 or T, S) says which are real. It returns two things, either of them None:

* ``allowed``, boolean, broadcastable to (B, T, S): joins the mask *before* the softmax;
* ``factor``, broadcastable to (B, T, S): multiplies the weights *after* it.
"""

from torch import Tensor, nn

from attnlib.masks import causal_mask

Window = tuple[Tensor | None, Tensor | None]


class Everywhere(nn.Module):
    """Global attention: every real key (Luong et al. 2015, section 3.1)."""

    def forward(self, queries: Tensor, mask: Tensor | None, keys: int, start: int = 0) -> Window:
        """Restrict nothing."""
        return None, None


class Causal(nn.Module):
    """The past and the present only: s <= t (Vaswani et al. 2017, section 3.2.3)."""

    def forward(self, queries: Tensor, mask: Tensor | None, keys: int, start: int = 0) -> Window:
        """Hide the keys that come after each query (B, T, D_q)."""
        return causal_mask(queries.shape[1], keys, start, queries.device), None


WINDOWS = {"everywhere": Everywhere, "causal": Causal}


def make(name: str) -> nn.Module:
    """Build a window by its name; an unknown one is refused with the list of those known.

    >>> make("everywhere")
    Everywhere()
    """
    if name not in WINDOWS:
        raise ValueError(f"unknown window {name!r}: one of {', '.join(WINDOWS)}")
    return WINDOWS[name]()
