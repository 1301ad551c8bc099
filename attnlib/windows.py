r"""The window dial: which keys may be attended to?

A window answers for T queries, the first of them at target position `start`, and S keys of which
`mask` (B, 1 or T, S) says which are real. It returns two things, either of them None:

* ``allowed``, boolean, broadcastable to (B, T, S): joins the mask *before* the softmax;
* ``factor``, broadcastable to (B, T, S): multiplies the weights *after* it.

A window of your own is a subclass of `Window` that defines `forward`; nothing else is needed. The
rest of `Window` is optimisation, and changes no result:

* ``is_mask`` and ``is_causal`` let a multi-head attention hand the window to PyTorch's fused
  kernels, where no weights are asked for;
* ``near`` lists the keys of a local window, so that attention need not touch the others: a step
  then costs O(D), however long the source is. Skip it when you read this file for the first time.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from attnlib.masks import causal_mask

Restriction = tuple[Tensor | None, Tensor | None]  # allowed, factor


class Near(NamedTuple):
    """The keys of a local window as a list; an optimisation, see `Window.near`."""

    positions: Tensor  # (B, T, W), the W = 2 reach + 1 keys to attend to; no key comes twice
    allowed: Tensor  # (B, T, W) bool
    factor: Tensor | None  # (B, T, W)


class Window(nn.Module):
    """What all windows share; a subclass defines `forward`.

    Attributes
    ----------
    is_mask : bool
        The window is a mask that the positions alone decide: it never gives a factor and does not
        read the queries, so one answer serves all heads, and a fused kernel can take it. The
        default, False, is always correct.
    is_causal : bool
        The window is exactly s <= t, for which fused kernels need no mask at all.
    query_dim : int or None
        Width of the queries, for a window that reads them; None: any.
    reads_previous : bool
        The window needs the weights (B, S) of the step before, a fifth argument of its `forward`.

    Examples
    --------
    A window of one's own, the keys at even positions:

    >>> class Even(Window):
    ...     def forward(self, queries, mask, keys, start=0):
    ...         return torch.arange(keys, device=queries.device) % 2 == 0, None
    >>> from attnlib.attention import Attention
    >>> from attnlib.scores import DotScore
    >>> keys = torch.zeros(1, 4, 2)
    >>> Attention(DotScore(), Even())(torch.zeros(1, 1, 2), keys, keys)[1]
    tensor([[[0.5000, 0.0000, 0.5000, 0.0000]]])
    """

    is_mask: bool = False
    is_causal: bool = False
    query_dim: int | None = None
    reads_previous: bool = False

    def forward(
        self, queries: Tensor, mask: Tensor | None, keys: int, start: int = 0
    ) -> Restriction:
        """What the window allows; see the module's docstring.

        Parameters
        ----------
        queries : Tensor of shape (B, T, D_q)
        mask : boolean Tensor of shape (B, T, S) or (B, 1, S), or None
            True at the keys that are real.
        keys : int
            S.
        start : int
            Position of the first query.

        Returns
        -------
        allowed : boolean Tensor that broadcasts to (B, T, S), or None
        factor : Tensor that broadcasts to (B, T, S), or None
        """
        raise TypeError(f"{type(self).__name__} must define forward")

    def near(self, queries: Tensor, mask: Tensor | None, keys: int, start: int = 0) -> Near | None:
        """An optimisation: the same restriction as a short list of keys; None: there is none."""
        return None


class Everywhere(Window):
    """Global attention: every real key (Luong et al. 2015, section 3.1)."""

    is_mask = True

    def forward(
        self, queries: Tensor, mask: Tensor | None, keys: int, start: int = 0
    ) -> Restriction:
        """Restrict nothing."""
        return None, None


class Causal(Window):
    """The past and the present only: s <= t (Vaswani et al. 2017, section 3.2.3)."""

    is_mask = is_causal = True

    def forward(
        self, queries: Tensor, mask: Tensor | None, keys: int, start: int = 0
    ) -> Restriction:
        """Hide the keys that come after each query (B, T, D_q)."""
        if start + 1 >= keys:
            return None, None  # no key does: a single step with a cache
        return causal_mask(queries.shape[1], keys, start, queries.device), None


class Local(Window):
    r"""What the two local windows share: a centre :math:`p_t`, and D keys to either side of it.

    Luong et al. (2015, section 3.2) attend to positions :math:`[p_t - D, p_t + D]`. What they leave
    open, and what we chose: positions count from 0; the softmax runs over the window alone, as if
    the other keys were not there; at the edges the window is cut off, not moved; where S appears
    it is the sentence's own length, without padding.
    """

    def __init__(self, reach: int):
        super().__init__()
        if reach != int(reach) or reach < 1:
            raise ValueError(f"the reach D must be a whole number of at least 1, got {reach}")
        self.reach = int(reach)

    def centre(self, queries: Tensor, lengths: Tensor, start: int) -> Tensor:
        """The centre p_t of each query: (B, T), or (B, 1) where it does not depend on B."""
        raise TypeError(f"{type(self).__name__} must define centre")

    def factor(self, distance: Tensor) -> Tensor | None:
        """What multiplies the weight of a key at s - p_t; None for nothing."""
        return None

    def forward(
        self, queries: Tensor, mask: Tensor | None, keys: int, start: int = 0
    ) -> Restriction:
        """Allow the keys within reach of the centre of each query (B, T, D_q)."""
        centre = self.centre(queries, _lengths(queries, mask, keys), start)
        distance = torch.arange(keys, device=queries.device) - centre.unsqueeze(-1)  # (B, T, S)
        return distance.abs() <= self.reach, self.factor(distance)

    def near(self, queries: Tensor, mask: Tensor | None, keys: int, start: int = 0) -> Near | None:
        """An optimisation: the same window as a list of its keys, or None if that is no shorter.

        Near an edge the list also holds keys beyond reach, which are not `allowed`, so that every
        query has equally many.
        """
        width = 2 * self.reach + 1
        if width >= keys:
            return None
        centre = self.centre(queries, _lengths(queries, mask, keys), start)
        first = (centre.detach() - self.reach).ceil().long().clamp(0, keys - width)
        positions = first.unsqueeze(-1) + torch.arange(width, device=queries.device)
        distance = positions - centre.unsqueeze(-1)
        return Near(positions, distance.abs() <= self.reach, self.factor(distance))


class Monotonic(Local):
    r"""Local-m: the window moves on by one key a step, :math:`p_t = t` (Luong et al. 2015, 3.2).

    Past the end of the source, where the paper's window would be empty, it stays at the last key.

    Parameters
    ----------
    reach : int
        D: keys to either side. The paper has 10.

    Raises
    ------
    ValueError
        If `reach` is not a positive whole number.

    Examples
    --------
    >>> allowed, factor = Monotonic(reach=1)(torch.zeros(1, 3, 2), mask=None, keys=5)
    >>> allowed.int()
    tensor([[[1, 1, 0, 0, 0],
             [1, 1, 1, 0, 0],
             [0, 1, 1, 1, 0]]], dtype=torch.int32)
    """

    def __init__(self, reach: int = 10):
        super().__init__(reach)

    def centre(self, queries: Tensor, lengths: Tensor, start: int) -> Tensor:
        """The target position, at most the last key's: (B, T)."""
        t = start + torch.arange(queries.shape[1], device=queries.device)
        return torch.minimum(t, (lengths - 1).clamp(min=0).unsqueeze(-1)).to(_exact(queries))


class Predictive(Local):
    r"""Local-p: the query predicts where the window is (Luong et al. 2015, eq. 9 and 10).

    .. math:: p_t = S\,\sigma(v^\top \tanh(W q_t)), \qquad
              a_{ts} = \mathrm{softmax}(e_t)_s \exp\left(-\frac{(s - p_t)^2}{2 (D/2)^2}\right)

    The centre is a real number from 0 to S, so it may come to stand up to one place behind the last
    key, whose position is S - 1. As in the paper the Gaussian comes after the softmax and nothing
    is divided again: the weights sum to less than 1, the less the farther the window's best keys
    are from its centre. Which keys lie in the window is not differentiable; :math:`p_t` learns
    through the Gaussian.

    Parameters
    ----------
    query_dim, hidden_dim : int
        Width of the queries, and of the layer that predicts the centre.
    reach : int
        D: keys to either side, and twice the standard deviation of the Gaussian.

    Raises
    ------
    ValueError
        If `reach` is not a positive whole number; when called, if a sentence is empty.
    """

    def __init__(self, query_dim: int, hidden_dim: int, reach: int = 10):
        super().__init__(reach)
        self.query_dim = query_dim
        self.W = nn.Linear(query_dim, hidden_dim, bias=False)
        self.v = nn.Linear(hidden_dim, 1, bias=False)

    def centre(self, queries: Tensor, lengths: Tensor, start: int) -> Tensor:
        """The predicted centres (B, T), from 0 to S (eq. 9)."""
        if lengths.numel() and int(lengths.min()) < 1:
            raise ValueError("a predictive window needs a key to stand on, and a sentence is empty")
        share = self.v(self.W(queries).tanh()).squeeze(-1).to(_exact(queries)).sigmoid()
        return lengths.unsqueeze(-1) * share

    def factor(self, distance: Tensor) -> Tensor:
        """The Gaussian of eq. 10."""
        return (-0.5 * (distance / (self.reach / 2)) ** 2).exp()


class Following(Window):
    r"""The window goes where attention was: around the median of the last step's weights.

    Chorowski et al. (2015, section 2.3) so keep the softmax over a long recording from spreading
    over frames that are far away. Before the first step, where all weights are zero, every key is
    allowed.

    Parameters
    ----------
    reach : int
        w: keys to either side.

    Raises
    ------
    ValueError
        If `reach` is less than 1; when called, if the weights of the step before are missing.

    Examples
    --------
    >>> previous = torch.tensor([[0.1, 0.0, 0.7, 0.2, 0.0], [0.0] * 5])
    >>> allowed, _ = Following(reach=1)(torch.zeros(2, 1, 4), None, keys=5, previous=previous)
    >>> allowed.int()
    tensor([[[0, 1, 1, 1, 0]],
    <BLANKLINE>
            [[1, 1, 1, 1, 1]]], dtype=torch.int32)
    """

    reads_previous = True

    def __init__(self, reach: int):
        super().__init__()
        if reach != int(reach) or reach < 1:
            raise ValueError(f"the reach w must be a whole number of at least 1, got {reach}")
        self.reach = int(reach)

    def forward(
        self,
        queries: Tensor,
        mask: Tensor | None,
        keys: int,
        start: int = 0,
        previous: Tensor | None = None,
    ) -> Restriction:
        """Allow the keys within reach of the median of the previous weights (B, S)."""
        if previous is None:
            raise ValueError("a following window needs the weights of the step before")
        reached = previous.cumsum(-1)
        median = (reached < reached[:, -1:] / 2).sum(-1, keepdim=True)  # (B, 1)
        distance = (torch.arange(keys, device=previous.device) - median).abs()
        return ((distance <= self.reach) | (reached[:, -1:] <= 0)).unsqueeze(1), None


def _exact(queries: Tensor) -> torch.dtype:
    """A type that holds a position: bfloat16 would round those above 256."""
    return torch.promote_types(queries.dtype, torch.float32)


def _lengths(queries: Tensor, mask: Tensor | None, keys: int) -> Tensor:
    """The number of keys of each sentence up to its last real one: (B,)."""
    if mask is None:
        return torch.full((queries.shape[0],), keys, device=queries.device)
    real = mask.any(1)  # (B, S): real for some query
    return (real * torch.arange(1, keys + 1, device=queries.device)).amax(-1)
