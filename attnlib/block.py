"""A block of a transformer: attention, and a feed-forward layer (Vaswani et al. 2017, section 3).

Around each of these sublayers is a residual connection with layer normalization. The **norm** dial
says where: ``before`` the sublayer (pre-norm) or ``after`` it (post-norm, the paper's).
"""

from collections.abc import Callable

from torch import Tensor, nn

from attnlib.linear import Linear
from attnlib.multihead import KeyValue, MultiHeadAttention
from attnlib.windows import Window

NORMS = ("before", "after")


class FeedForward(nn.Module):
    r"""The same two layers at each position, :math:`W_2 \max(0, W_1 x + b_1) + b_2` (eq. 2)."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.W_1, self.W_2 = Linear(width, hidden), Linear(hidden, width)
        for layer in (self.W_1, self.W_2):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """From (B, T, D) to (B, T, D)."""
        return self.W_2(self.W_1(x).relu())


class Block(nn.Module):
    r"""A transformer block: self-attention, cross-attention in a decoder, and feed-forward (3.1).

    Each of the three sublayers f has a residual connection and layer normalization. The norm dial
    says where:

    * ``before`` the sublayer (pre-norm): :math:`x + f(\mathrm{norm}(x))`. The residual stream is
      never rescaled, and gradients reach the first block as they reach the last, so that training
      starts without a warm-up (Xiong et al. 2020, section 3).
    * ``after`` the sum (post-norm, the paper's): :math:`\mathrm{norm}(x + f(x))`.

    Dropout is on what a sublayer adds (section 5.4).

    Parameters
    ----------
    width, heads, hidden : int
        D, H, and the width of the feed-forward layer.
    window : Window, optional
        Of the self-attention.
    rotate : callable, optional
        Rotary position encoding; see `MultiHeadAttention`.
    norm : str
        ``before`` or ``after``.
    dropout : float
    cross_attention : bool
        Whether the block attends to a source.

    Raises
    ------
    ValueError
        If `norm` is unknown, or `width` is not divisible by `heads`.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        *,
        window: Window | None = None,
        rotate: Callable[[Tensor, int], Tensor] | None = None,
        norm: str = "before",
        dropout: float = 0.0,
        cross_attention: bool = False,
    ):
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"unknown norm {norm!r}: one of {', '.join(NORMS)}")
        self.norm_first = norm == "before"
        self.self_attention = MultiHeadAttention(width, heads, window, rotate)
        self.norm_self = nn.LayerNorm(width)
        self.cross_attention = MultiHeadAttention(width, heads) if cross_attention else None
        self.norm_cross = nn.LayerNorm(width) if cross_attention else nn.Identity()
        self.feed_forward = FeedForward(width, hidden)
        self.norm_feed_forward = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        *,
        cache: KeyValue | None = None,
        source: KeyValue | None = None,
        source_mask: Tensor | None = None,
        need_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None, Tensor | None, KeyValue]:
        """From (B, T, D) to (B, T, D).

        Parameters
        ----------
        x : Tensor of shape (B, T, D)
        mask : boolean Tensor of shape (B, 1 or T, S), optional
            Of the self-attention.
        cache : KeyValue, optional
            Keys and values of the positions before these.
        source : KeyValue, optional
            Keys and values of the source, if the block has cross-attention; of B rows, or of B / k
            where k rows of x after one another have the same source.
        source_mask : boolean Tensor of shape (B, 1, S) or (B / k, 1, S), optional
        need_weights : bool
            Whether the weights come back; None comes back otherwise.

        Returns
        -------
        x : Tensor of shape (B, T, D)
        self_weights, cross_weights : Tensors of shape (B, H, T, S), or None
        cache : KeyValue
            With these T positions.
        """
        cross_weights = None
        if self.norm_first:  # pre-norm: x + f(norm(x))
            y, self_weights, cache = self._to_self(self.norm_self(x), mask, cache, need_weights)
            x = x + y
            if self.cross_attention is not None:
                y, cross_weights = self._to_source(
                    self.norm_cross(x), source, source_mask, need_weights
                )
                x = x + y
            x = x + self._feed(self.norm_feed_forward(x))
        else:  # post-norm: norm(x + f(x))
            y, self_weights, cache = self._to_self(x, mask, cache, need_weights)
            x = self.norm_self(x + y)
            if self.cross_attention is not None:
                y, cross_weights = self._to_source(x, source, source_mask, need_weights)
                x = self.norm_cross(x + y)
            x = self.norm_feed_forward(x + self._feed(x))
        return x, self_weights, cross_weights, cache

    def _to_self(self, x, mask, cache, need_weights):
        """Self-attention; the cache comes back with the keys and values of x."""
        start = 0 if cache is None else cache.keys.shape[2]
        new = self.self_attention.prepare(x, x, start)
        cache = new if cache is None else cache.extended(new)
        y, weights = self.self_attention.attend(x, cache, mask, start, need_weights)
        return self.dropout(y), weights, cache

    def _to_source(self, x, source, source_mask, need_weights):
        """Cross-attention; k rows of x that share a source are k queries to one copy of it."""
        assert self.cross_attention is not None
        B, T, D = x.shape
        k = max(1, B // max(1, len(source.keys)))
        y, weights = self.cross_attention.attend(
            x.reshape(B // k, k * T, D), source, source_mask, need_weights=need_weights
        )
        if weights is not None:  # (B / k, H, k T, S) to (B, H, T, S)
            weights = weights.unflatten(2, (k, T)).transpose(1, 2).flatten(0, 1)
        return self.dropout(y.reshape(B, T, D)), weights

    def _feed(self, x):
        return self.dropout(self.feed_forward(x))
