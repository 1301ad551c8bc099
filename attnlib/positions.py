"""The positions dial: how a transformer knows the order of its words.

Attention does not depend on the order of its keys, so the order has to be encoded. `Sinusoidal` and
`Learned` add a vector to each word; `Rotary` rotates queries and keys; `Positions` itself encodes
nothing, to see what is lost.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

BASE = 10000.0  # of the wavelengths: from 2 pi to BASE times that


class Positions(nn.Module):
    """What all position encodings share; by itself it encodes nothing (``none``).

    Attributes
    ----------
    rotate : callable or None
        What a rotary encoding does to the queries and keys of every head; see
        `multihead.MultiHeadAttention`.
    """

    rotate: Callable[[Tensor, int], Tensor] | None = None

    def forward(self, embedded: Tensor, start: int = 0) -> Tensor:
        """Encode the positions of embedded words (B, T, D), the first of them at `start`."""
        return embedded


class Sinusoidal(Positions):
    r"""Sinusoidal position encoding, added to the words (Vaswani et al. 2017, section 3.5).

    A sine and a cosine of each of D/2 frequencies:

    .. math:: P_{t, 2i} = \sin(t / 10000^{2i/D}), \qquad P_{t, 2i+1} = \cos(t / 10000^{2i/D})

    A pair is like the hand of a clock. So the dot product of two encodings depends on the distance
    of the positions alone, and moving by k positions is the same linear map (a rotation of each
    hand) wherever one starts.

    Parameters
    ----------
    width : int
        D, even.
    base : float
        Of the wavelengths: from :math:`2 \pi` to nearly base times that.

    Raises
    ------
    ValueError
        If `width` is odd.

    Examples
    --------
    >>> Sinusoidal(4).table(2).round(decimals=4)
    tensor([[0.0000, 1.0000, 0.0000, 1.0000],
            [0.8415, 0.5403, 0.0100, 1.0000]])
    """

    def __init__(self, width: int, base: float = BASE):
        super().__init__()
        self.width = _even(width, "sinusoidal positions need an even width")
        self.base = base

    def table(self, T: int, start: int = 0, like: Tensor | None = None) -> Tensor:
        """The vectors (T, D) of the positions from `start` on, in the type and place of `like`."""
        like = torch.empty(0) if like is None else like
        angles = _angles(T, start, self.width, self.base, like)
        return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)

    def forward(self, embedded: Tensor, start: int = 0) -> Tensor:
        """Add the positions to embedded words (B, T, D)."""
        table = self.table(embedded.shape[1], start, embedded)
        return embedded + table.to(embedded.dtype)


class Learned(Positions):
    """Learned position embeddings, added to the words (Gehring et al. 2017, section 3.1).

    Parameters
    ----------
    width : int
    max_length : int
        Number of positions that have a vector.

    Raises
    ------
    ValueError
        When called with a longer sentence: its last positions have no vector.
    """

    def __init__(self, width: int, max_length: int):
        super().__init__()
        self.P = nn.Parameter(torch.randn(max_length, width) * width**-0.5)

    def forward(self, embedded: Tensor, start: int = 0) -> Tensor:
        """Add the positions to embedded words (B, T, D)."""
        end = start + embedded.shape[1]
        if end > len(self.P):
            raise ValueError(
                f"there are {len(self.P)} learned positions, got {end}: make the model with a "
                "larger max_length, or with sinusoidal or rotary positions"
            )
        return embedded + self.P[start:end]


class Rotary(Positions):
    r"""Rotary position encoding of queries and keys (Su et al. 2021, RoFormer, eq. 13 and 34).

    Each pair of a head's numbers is rotated by the angle :math:`t \theta_i`, where
    :math:`\theta_i = 10000^{-2i/d}` and d is the head's width. The dot product of two rotated
    vectors depends on the difference of their angles alone: a score depends on how far the key is
    from the query, and on which side, not on where they are. Words and values are left unchanged.

    Parameters
    ----------
    width : int
        Width d of a head, even.
    base : float
        As in `Sinusoidal`.

    Raises
    ------
    ValueError
        If `width` is odd.

    Examples
    --------
    >>> Rotary(2).rotate(torch.tensor([[1.0, 0.0], [1.0, 0.0]])).round(decimals=4)
    tensor([[1.0000, 0.0000],
            [0.5403, 0.8415]])
    """

    def __init__(self, width: int, base: float = BASE):
        super().__init__()
        self.width = _even(width, "rotary positions need heads of even width")
        self.base = base

    def rotate(self, heads: Tensor, start: int = 0) -> Tensor:
        """Rotate vectors (..., T, d), the first of them at position `start`."""
        angles = _angles(heads.shape[-2], start, self.width, self.base, heads)
        x, y = heads.unflatten(-1, (-1, 2)).unbind(-1)
        cos, sin = angles.cos(), angles.sin()
        return torch.stack([x * cos - y * sin, x * sin + y * cos], -1).flatten(-2).to(heads.dtype)


def _even(width: int, what: str) -> int:
    if width % 2:
        raise ValueError(f"{what}, got {width}")
    return width


def _angles(T: int, start: int, width: int, base: float, like: Tensor) -> Tensor:
    """Position by frequency (T, width / 2), in float32 at least: bfloat16 rounds above 256."""
    dtype, device = torch.promote_types(like.dtype, torch.float32), like.device
    frequencies = base ** (-torch.arange(0, width, 2, dtype=dtype, device=device) / width)
    positions = start + torch.arange(T, dtype=dtype, device=device)
    return positions.unsqueeze(-1) * frequencies
