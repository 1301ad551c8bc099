"""Attention: a score, a window and a selection, put together; and many heads of it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from attnlib.masks import check_mask, masked_softmax
from attnlib.scores import ScaledDotScore
from attnlib.selection import Soft
from attnlib.windows import Causal, Everywhere, Local, Near


class Attention(nn.Module):
    r"""Average the values, weighted by how well each key matches the query.

    .. math:: e_{ts} = \mathrm{score}(q_t, k_s), \qquad a_t = \mathrm{softmax}(e_t), \qquad
              c_t = \sum_s a_{ts} v_s

    (Bahdanau et al. 2015, eq. 5 and 6, whose keys and values are both the annotations
    :math:`h_s`.) Nothing is kept on the module: the weights come back with the contexts.

    Parameters
    ----------
    score : Score
        How well a key matches a query.
    window : nn.Module, optional
        Which keys may be looked at; `Everywhere` unless given.
    selection : nn.Module, optional
        An average (`Soft`, unless given) or a choice.

    Examples
    --------
    >>> from attnlib.scores import DotScore
    >>> keys = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> values = torch.tensor([[[10.0], [20.0]]])
    >>> contexts, weights = Attention(DotScore())(torch.tensor([[[2.0, 0.0]]]), keys, values)
    >>> contexts, weights
    (tensor([[[11.1920]]]), tensor([[[0.8808, 0.1192]]]))
    """

    def __init__(
        self, score: nn.Module, window: nn.Module | None = None, selection: nn.Module | None = None
    ):
        super().__init__()
        self.score = score
        self.window = Everywhere() if window is None else window
        self.selection = Soft() if selection is None else selection

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        mask: Tensor | None = None,
        prepared: Tensor | None = None,
        start: int = 0,
        draws: Tensor | None = None,
        need_weights: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from every query to every key.

        Parameters
        ----------
        queries : Tensor of shape (B, T, D_q)
        keys : Tensor of shape (B, S, D_k)
        values : Tensor of shape (B, S, D_v)
        mask : boolean Tensor of shape (B, T, S) or (B, 1, S), optional
            True where the query may attend to the key.
        prepared : Tensor, optional
            ``score.prepare(keys)``, when it was computed before: once a sentence is enough.
        start : int
            Position of the first query, for windows that depend on it.
        draws : Tensor of shape (B, T), optional
            What chance decides, for a selection that chooses; see `selection`.
        need_weights : bool
            Without them a local window holds nothing of the size of (T, S).

        Returns
        -------
        contexts : Tensor of shape (B, T, D_v)
        weights : Tensor of shape (B, T, S), or None where they are not needed
            Rows sum to 1, or to less where the window multiplies them (`windows.Predictive`); a row
            that may attend to nothing is all zeros, and so is its context.

        Raises
        ------
        ValueError
            If a shape does not fit.
        TypeError
            If the mask is not boolean.
        """
        if values.dim() != 3 or values.shape[:2] != keys.shape[:2]:
            raise ValueError(
                f"values must be (B, S, D_v) with the keys' (B, S) = {tuple(keys.shape[:2])}, "
                f"got {tuple(values.shape)}"
            )
        if mask is not None:
            check_mask(mask, *queries.shape[:2], keys.shape[1])
        if prepared is None:
            prepared = self.score.prepare(keys)
        if isinstance(self.window, Local) and self.score.by_content:
            near = self.window.near(queries, mask, keys.shape[1], start)
            if near is not None:  # the same on a few keys of many
                return self._attend_near(queries, prepared, values, mask, near, draws, need_weights)
        scores = self.score.compare(queries, prepared)  # (B, T, S)
        allowed, factor = self.window(queries, mask, keys.shape[1], start)
        if allowed is not None:
            mask = allowed if mask is None else mask & allowed
        weights = masked_softmax(scores, mask)
        if factor is not None:
            weights = weights * factor.to(weights.dtype)
        contexts, weights = self.selection(weights, values, draws)
        return contexts, weights if need_weights else None

    def _attend_near(self, queries, prepared, values, mask, near: Near, draws, need_weights):
        """The same, on the W keys of each query's window only: each query is a batch of its own."""
        B, T, _ = queries.shape
        S, positions = values.shape[1], near.positions.expand(B, T, -1)
        rows = torch.arange(B, device=queries.device)[:, None, None]
        allowed = near.allowed.expand(positions.shape)
        if mask is not None:
            allowed = mask.expand(B, T, S).gather(-1, positions) & allowed
        scores = self.score.compare(
            queries.flatten(0, 1).unsqueeze(1), prepared[rows, positions].flatten(0, 1)
        )  # (B T, 1, W)
        weights = masked_softmax(scores, allowed.flatten(0, 1).unsqueeze(1))
        if near.factor is not None:
            factor = near.factor.to(weights.dtype).expand(positions.shape)
            weights = weights * factor.flatten(0, 1).unsqueeze(1)
        if draws is not None:
            draws = draws.flatten().unsqueeze(1)
        contexts, weights = self.selection(weights, values[rows, positions].flatten(0, 1), draws)
        if not need_weights:
            return contexts.view(B, T, -1), None
        weights = weights.view(positions.shape)
        whole = weights.new_zeros(B, T, S).scatter(-1, positions, weights)
        return contexts.view(B, T, -1), whole


class Heads(NamedTuple):
    """Keys and values as the heads see them: projected once, and kept as a cache."""

    keys: Tensor  # (B, H, S, D / H)
    values: Tensor  # (B, H, S, D / H)


class MultiHeadAttention(nn.Module):
    r"""H attentions side by side, each in a projection of its own (Vaswani et al. 2017, 3.2.2).

    .. math:: \mathrm{head}_h = \mathrm{Attention}(Q W^Q_h, K W^K_h, V W^V_h), \qquad
              \mathrm{MultiHead} = [\mathrm{head}_1; \ldots; \mathrm{head}_H] W^O

    A head is an `Attention` whose score is scaled dot and whose selection is soft; its window is a
    dial as everywhere. The H matrices of a kind are one matrix (D, D), whose rows h D/H to
    (h + 1) D/H are head h's. As in the paper no projection has a bias, which
    `torch.nn.MultiheadAttention` has unless told: so a query that may see nothing gets zeros.

    Where the weights are not needed they are never held: PyTorch's fused kernel does the same sums
    a tile at a time, and a local window touches its own keys only.

    Parameters
    ----------
    width : int
        D, of queries, keys, values and what comes out.
    heads : int
        H.
    window : nn.Module, optional
        Which keys each head may look at; `Everywhere` unless given. A `windows.Predictive` sees the
        queries of a head, which are D / H wide; the heads share its parameters.
    turn : callable, optional
        What is done to the queries and the keys of all heads (B, H, positions, D / H), the first of
        which is at position `start`, before they meet: ``turn(heads, start)``, see
        `transformer.Rotary`.

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
        window: nn.Module | None = None,
        turn: Callable[[Tensor, int], Tensor] | None = None,
    ):
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"width must be divisible by heads, got {width} and {heads}")
        self.width, self.heads, self.turn = width, heads, turn
        self.W_Q, self.W_K, self.W_V, self.W_O = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )
        for projection in (self.W_Q, self.W_K, self.W_V, self.W_O):
            nn.init.xavier_uniform_(projection.weight)
        self.attention = Attention(ScaledDotScore(), window)

    def prepare(self, keys: Tensor, values: Tensor, start: int = 0) -> Heads:
        """Project keys and values (B, S, D), the first of them at position `start`, once."""
        if values.shape != keys.shape:
            raise ValueError(
                f"keys and values must have one shape, got {tuple(keys.shape)} and "
                f"{tuple(values.shape)}"
            )
        return Heads(
            self._turned(self._split("keys", self.W_K, keys), start),
            self._split("values", self.W_V, values),
        )

    def attend(
        self,
        queries: Tensor,
        prepared: Heads,
        mask: Tensor | None = None,
        start: int = 0,
        need_weights: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from queries (B, T, D) to prepared keys and values; `forward` says the rest."""
        q = self._turned(self._split("queries", self.W_Q, queries), start)  # (B, H, T, D / H)
        keys, values = prepared
        if len(q) != len(keys):
            raise ValueError(f"{len(q)} batches of queries, {len(keys)} of keys")
        if mask is not None:
            check_mask(mask, *queries.shape[:2], keys.shape[2])
        window = self.attention.window
        if need_weights or isinstance(window, Local):
            contexts, weights = self._each(q, keys, values, mask, start, need_weights)
        else:
            whole = isinstance(window, Causal) and mask is None and start == 0
            if not whole:
                allowed, _ = window(queries, mask, keys.shape[2], start)
                if allowed is not None:
                    mask = allowed.unsqueeze(0) if mask is None else mask & allowed
            contexts, weights = fused(q, keys, values, mask, causal=whole), None
        return self.W_O(contexts.transpose(1, 2).flatten(2)), weights

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
            True where the query may attend to the key, in all heads alike.
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
        prepared = self.prepare(keys, values)
        return self.attend(queries, prepared, mask, start, need_weights)

    def _each(self, queries, keys, values, mask, start, need_weights):
        """Every head of every sentence by `Attention`, as a batch of B H."""
        if mask is not None:
            mask = mask.repeat_interleave(self.heads, 0)
        flat = (x.flatten(0, 1) for x in (queries, keys, values))
        contexts, weights = self.attention(*flat, mask, start=start, need_weights=need_weights)
        contexts = contexts.unflatten(0, queries.shape[:2])
        return contexts, None if weights is None else weights.unflatten(0, queries.shape[:2])

    def _split(self, name: str, projection: nn.Linear, x: Tensor) -> Tensor:
        """The heads' own projections (B, H, positions, D / H) of (B, positions, D)."""
        if x.dim() != 3 or x.shape[-1] != self.width:
            raise ValueError(
                f"{name} must have shape (B, positions, {self.width}), got {tuple(x.shape)}"
            )
        return projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _turned(self, heads: Tensor, start: int) -> Tensor:
        return heads if self.turn is None else self.turn(heads, start)


def fused(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """Scaled dot-product attention by PyTorch's kernels, which never hold the weights.

    A row that may attend to nothing gives zeros; left to themselves some kernels give NaN there.

    Parameters
    ----------
    queries : Tensor of shape (B, H, T, D)
    keys, values : Tensors of shape (B, H, S, D)
    mask : boolean Tensor of shape (B or 1, T or 1, S), optional
        True where the query may attend to the key.
    causal : bool
        In place of a mask: query t sees the keys up to t.

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
