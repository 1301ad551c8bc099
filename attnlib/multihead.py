"""Multi-head attention: many attentions side by side, each in projections of its own."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from attnlib.attention import Attention
from attnlib.linear import Linear
from attnlib.masks import check_mask
from attnlib.scores import ScaledDotScore
from attnlib.windows import Window


class KeyValue(NamedTuple):
    """Keys and values of every head, projected once: the cache of keys and values (KV cache)."""

    keys: Tensor  # (B, H, S, D / H)
    values: Tensor  # (B, H, S, D / H)

    def extended(self, new: "KeyValue") -> "KeyValue":
        """These positions, and those of `new` after them."""
        return KeyValue(
            torch.cat([self.keys, new.keys], 2), torch.cat([self.values, new.values], 2)
        )


class MultiHeadAttention(nn.Module):
    r"""Multi-head attention (Vaswani et al. 2017, section 3.2.2).

    .. math:: \mathrm{head}_h = \mathrm{Attention}(Q W^Q_h, K W^K_h, V W^V_h), \qquad
              \mathrm{MultiHead} = [\mathrm{head}_1; \ldots; \mathrm{head}_H] W^O

    A head is an `Attention` with the scaled dot score and the soft selection; its window is a dial,
    as in every attention. The H matrices of a kind are one matrix (D, D), of which rows h D/H to
    (h + 1) D/H belong to head h. As in the paper, no projection has a bias (those of
    `torch.nn.MultiheadAttention` do by default), so a query that may attend to nothing gets zeros.

    If the weights are not asked for, they are never held in memory: PyTorch's fused kernels compute
    the same sums tile by tile, and a local window touches its own keys only.

    Parameters
    ----------
    width : int
        D, of queries, keys, values and the output.
    heads : int
        H.
    window : Window, optional
        Which keys each head may attend to; `Everywhere` unless given. All heads share it: one that
        reads the queries (`windows.Predictive`) is given those of each head, which are D / H wide.
    rotate : callable, optional
        Rotary position encoding: ``rotate(x, start)`` is applied to the queries and to the keys of
        all heads (B, H, positions, D / H), the first of them at position `start`; see
        `positions.Rotary`.

    Raises
    ------
    ValueError
        If `width` is not divisible by `heads`; when called, if a shape does not fit.
    TypeError
        When called with a mask that is not boolean.

    Examples
    --------
    >>> attention = MultiHeadAttention(width=8, heads=2)
    >>> x = torch.randn(3, 5, 8)
    >>> contexts, weights = attention(x, x, x)
    >>> contexts.shape, weights.shape
    (torch.Size([3, 5, 8]), torch.Size([3, 2, 5, 5]))
    >>> fused, nothing = attention(x, x, x, need_weights=False)
    >>> torch.allclose(fused, contexts, atol=1e-6), nothing
    (True, None)
    """

    def __init__(
        self,
        width: int,
        heads: int,
        window: Window | None = None,
        rotate: Callable[[Tensor, int], Tensor] | None = None,
    ):
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"width must be divisible by heads, got {width} and {heads}")
        self.width, self.heads, self.rotate = width, heads, rotate
        self.W_Q, self.W_K, self.W_V, self.W_O = (
            Linear(width, width, bias=False) for _ in range(4)
        )
        for projection in (self.W_Q, self.W_K, self.W_V, self.W_O):
            nn.init.xavier_uniform_(projection.weight)
        self.attention = Attention(ScaledDotScore(), window)

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        mask: Tensor | None = None,
        start: int = 0,
        need_weights: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from every query to every key, in every head.

        Parameters
        ----------
        queries : Tensor of shape (B, T, D)
        keys, values : Tensors of shape (B, S, D)
            The keys' positions count from 0.
        mask : boolean Tensor of shape (B, T, S) or (B, 1, S), optional
            True where the query may attend to the key, the same in all heads.
        start : int
            Position of the first query.
        need_weights : bool
            Whether the weights come back as well.

        Returns
        -------
        contexts : Tensor of shape (B, T, D)
        weights : Tensor of shape (B, H, T, S), or None where they are not needed
            A row that may attend to nothing is all zeros, and so is its context.
        """
        return self.attend(queries, self.prepare(keys, values), mask, start, need_weights)

    def prepare(self, keys: Tensor, values: Tensor, start: int = 0) -> KeyValue:
        """Project keys and values (B, S, D), the first of them at position `start`, once."""
        if values.shape != keys.shape:
            raise ValueError(
                f"keys and values must have one shape, got {tuple(keys.shape)} and "
                f"{tuple(values.shape)}"
            )
        return KeyValue(
            self._rotated(self._split("keys", self.W_K, keys), start),
            self._split("values", self.W_V, values),
        )

    def attend(
        self,
        queries: Tensor,
        prepared: KeyValue,
        mask: Tensor | None = None,
        start: int = 0,
        need_weights: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """As `forward`, on keys and values that `prepare` has projected."""
        # 1. project the queries, as the keys and values have been
        q = self._rotated(self._split("queries", self.W_Q, queries), start)  # (B, H, T, D / H)
        k, v = prepared  # (B, H, S, D / H)
        if len(q) != len(k):
            raise ValueError(f"{len(q)} batches of queries, {len(k)} of keys")
        if mask is not None:
            check_mask(mask, len(queries), queries.shape[1], k.shape[2])
        # 2. attend in every head
        if self.attention.window.is_mask and not need_weights:
            contexts, weights = self._fused(q, k, v, queries, mask, start), None
        else:
            contexts, weights = self._every_head(q, k, v, mask, start, need_weights)
        # 3. concatenate the heads, and project
        return self.W_O(contexts.transpose(1, 2).flatten(2)), weights

    def _every_head(self, q, k, v, mask, start, need_weights):
        """Every head of every sentence by `Attention`, as a batch of B H: it gives weights."""
        if mask is not None:
            mask = mask.repeat_interleave(self.heads, 0)
        flat = (x.flatten(0, 1) for x in (q, k, v))
        contexts, weights = self.attention(*flat, mask, start=start, need_weights=need_weights)
        contexts = contexts.unflatten(0, q.shape[:2])
        return contexts, None if weights is None else weights.unflatten(0, q.shape[:2])

    def _fused(self, q, k, v, queries, mask, start):
        """The same by a fused kernel, where the window is a mask: without weights."""
        window = self.attention.window
        if window.is_causal and mask is None and start == 0:
            return fused(q, k, v, causal=True)
        allowed, _ = window(queries, mask, k.shape[2], start)
        if allowed is not None:
            shape = torch.broadcast_shapes(allowed.shape, (1, 1, k.shape[2]))
            mask = allowed.expand(shape) if mask is None else mask & allowed
        return fused(q, k, v, mask)

    def _split(self, name: str, projection: nn.Linear, x: Tensor) -> Tensor:
        """Project (B, positions, D), and split into heads (B, H, positions, D / H)."""
        if x.dim() != 3 or x.shape[-1] != self.width:
            raise ValueError(
                f"{name} must have shape (B, positions, {self.width}), got {tuple(x.shape)}"
            )
        return projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _rotated(self, x: Tensor, start: int) -> Tensor:
        return x if self.rotate is None else self.rotate(x, start)


def fused(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """Scaled dot-product attention by PyTorch's fused kernels, which never hold the weights.

    A row that may attend to nothing gives zeros; some kernels by themselves give NaN there.

    Parameters
    ----------
    queries : Tensor of shape (B, H, T, D)
    keys, values : Tensors of shape (B, H, S, D)
    mask : boolean Tensor of shape (B or 1, T or 1, S), optional
        True where the query may attend to the key.
    causal : bool
        In place of a mask: query t may attend to the keys up to t.

    Returns
    -------
    Tensor of shape (B, H, T, D)
    """
    if mask is None:
        return scaled_dot_product_attention(queries, keys, values, is_causal=causal)
    some = mask.any(-1, keepdim=True).unsqueeze(1)  # (B, 1, T, 1)
    mask = mask.unsqueeze(1) | ~some
    contexts = scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
    return contexts.masked_fill(~some, 0.0)
