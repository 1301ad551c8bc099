"""Attention: a score, a window and a selection, put together."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from attnlib.masks import check_mask, masked_softmax
from attnlib.scores import Score
from attnlib.selection import Soft
from attnlib.windows import Everywhere, Near, Restriction, Window


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
    window : Window, optional
        Which keys may be attended to; `Everywhere` unless given.
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
        self,
        score: Score,
        window: Window | None = None,
        selection: nn.Module | None = None,
    ):
        super().__init__()
        window = Everywhere() if window is None else window
        for name, part, base in (("score", score, Score), ("window", window, Window)):
            if not isinstance(part, base):
                raise TypeError(
                    f"the {name} must be of a subclass of {base.__name__}, got {part!r}"
                )
        self.score, self.window = score, window
        self.selection = Soft() if selection is None else selection

    @property
    def reads_previous(self) -> bool:
        """Whether the weights of the step before are needed, by the score or by the window."""
        return self.score.reads_previous or self.window.reads_previous

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
        previous: Tensor | None = None,
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
            Random numbers that decide, for a selection that chooses; see `selection`.
        need_weights : bool
            Whether the weights come back; without them a local window needs no (T, S) of memory.
        previous : Tensor of shape (B, S), optional
            The weights of the step before, zeros if there was none; only for a score or a window
            with ``reads_previous``, which T queries at one step then share.

        Returns
        -------
        contexts : Tensor of shape (B, T, D_v)
        weights : Tensor of shape (B, T, S), or None where they are not needed
            Rows sum to 1, or to less where the window multiplies them (`windows.Predictive`); a row
            that may attend to nothing is all zeros, and so is its context.

        Raises
        ------
        ValueError
            If a shape does not fit, or the previous weights are missing where they are read.
        TypeError
            If the mask is not boolean.
        """
        if values.dim() != 3 or values.shape[:2] != keys.shape[:2]:
            raise ValueError(
                f"values must be (B, S, D_v) with the keys' (B, S) = {tuple(keys.shape[:2])}, "
                f"got {tuple(values.shape)}"
            )
        if mask is not None:
            check_mask(mask, len(queries), queries.shape[1], keys.shape[1])
        if prepared is None:
            prepared = self.score.prepare(keys)
        window: Callable[..., Restriction] = self.window
        if self.reads_previous:
            if previous is None or previous.shape != keys.shape[:2]:
                raise ValueError(
                    f"this attention reads the weights (B, S) = {tuple(keys.shape[:2])} of the "
                    "step before, zeros at the first step, and got "
                    f"{None if previous is None else tuple(previous.shape)}"
                )
            prepared = self.score.follow(prepared, previous)
            if self.window.reads_previous:
                window = partial(self.window, previous=previous)
        near = None
        if self.score.by_content:
            near = self.window.near(queries, mask, keys.shape[1], start)
        if near is not None:  # an optimisation: the same sums, on a few keys of many
            return self._attend_near(queries, prepared, values, mask, near, draws, need_weights)
        scores = self.score.compare(queries, prepared)  # (B, T, S)
        allowed, factor = window(queries, mask, keys.shape[1], start)
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
