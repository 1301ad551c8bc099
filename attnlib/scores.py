r"""The score dial: how well does a key match the query?

Every score has two halves. `prepare` does what depends on the keys alone, once a sentence;
`compare` does the rest, once a query. ``score(queries, keys)`` is the two together. A score knows
nothing of softmax, masks or recurrence, and returns numbers in nats. One that asks where attention
was a step ago is handed those weights: `follow` puts them into the prepared keys.

Shapes: queries (B, T, D_q), keys (B, S, D_k), scores (B, T, S); A is the hidden width.
"""

import math

import torch
from torch import Tensor, nn

NEVER = -1e4  # nats: no floating point number tells its exponential from 0


class Score(nn.Module):
    """What all scores share: shape checks, and the two halves put together.

    A score of your own is a subclass that defines ``_compare(queries, prepared)``, and
    ``_prepare(keys)`` if a part of the work depends on the keys alone.

    Attributes
    ----------
    query_dim, key_dim : int or None
        Widths of queries and keys. None: any width; where both are None, the same for both.
    by_content : bool
        Whether a key's score is the same wherever in the list it stands.
    reads_previous : bool
        Whether the score needs the weights of the step before; see `follow`.

    Examples
    --------
    A score of one's own, the squared distance:

    >>> class DistanceScore(Score):
    ...     def _compare(self, queries, prepared):
    ...         return -torch.cdist(queries, prepared).square()
    >>> DistanceScore()(torch.zeros(1, 1, 2), torch.tensor([[[3.0, 4.0], [0.0, 1.0]]]))
    tensor([[[-25.,  -1.]]])
    """

    query_dim: int | None = None
    key_dim: int | None = None
    by_content: bool = True
    reads_previous: bool = False

    def prepare(self, keys: Tensor) -> Tensor:
        """What depends on the keys (B, S, D_k) alone; the result is passed to `compare`."""
        self._check("keys", keys, self.key_dim)
        return self._prepare(keys)

    def follow(self, prepared: Tensor, previous: Tensor) -> Tensor:
        """Prepared keys that know the weights (B, S) of the step before; most do not ask."""
        return prepared

    def compare(self, queries: Tensor, prepared: Tensor) -> Tensor:
        """Score queries (B, T, D_q) against prepared keys: (B, T, S)."""
        self._check("queries", queries, self.query_dim)
        if queries.shape[0] != prepared.shape[0]:
            raise ValueError(f"{queries.shape[0]} batches of queries, {prepared.shape[0]} of keys")
        return self._compare(queries, prepared)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Score queries (B, T, D_q) against keys (B, S, D_k): (B, T, S)."""
        return self.compare(queries, self.prepare(keys))

    def _prepare(self, keys: Tensor) -> Tensor:
        return keys

    def _compare(self, queries: Tensor, prepared: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} must define _compare")

    @staticmethod
    def _check(name: str, tensor: Tensor, width: int | None) -> None:
        if tensor.dim() != 3:
            raise ValueError(f"{name} must have shape (B, positions, D), got {tuple(tensor.shape)}")
        if width is not None and tensor.shape[-1] != width:
            raise ValueError(f"{name} must be {width} wide, got {tensor.shape[-1]}")


class DotScore(Score):
    r"""Dot score :math:`q_t^\top k_s` (Luong et al. 2015, section 3.1, "dot")."""

    def _compare(self, queries: Tensor, prepared: Tensor) -> Tensor:
        self._check("queries", queries, prepared.shape[-1])
        return queries @ prepared.transpose(1, 2)


class ScaledDotScore(DotScore):
    r"""Scaled dot score :math:`q_t^\top k_s / \sqrt{D}` (Vaswani et al. 2017, eq. 1)."""

    def _compare(self, queries: Tensor, prepared: Tensor) -> Tensor:
        return super()._compare(queries, prepared) / math.sqrt(prepared.shape[-1])


class CosineScore(Score):
    r"""Cosine score :math:`\beta \cos(q_t, k_s)` (Graves et al. 2014, eq. 5 and 6).

    `sharpness` is :math:`\beta`, which the Neural Turing Machine's controller emits at every step;
    here it is one learned number. A vector of length zero has cosine 0 with everything.
    """

    def __init__(self, sharpness: float = 1.0):
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(float(sharpness)))

    def _prepare(self, keys: Tensor) -> Tensor:
        return nn.functional.normalize(keys, dim=-1)

    def _compare(self, queries: Tensor, prepared: Tensor) -> Tensor:
        self._check("queries", queries, prepared.shape[-1])
        return self.beta * nn.functional.normalize(queries, dim=-1) @ prepared.transpose(1, 2)


class RectifiedCosineScore(CosineScore):
    r"""Score :math:`\ln \max(0, \cos(q_t, k_s))` of pixels alike (Wang et al. 2020, section 3.3).

    Their pixel correlation module has no softmax: it rectifies the cosines and divides each row by
    its sum. A softmax of logarithms does just that,

    .. math:: \frac{\exp(\ln c_s)}{\sum_{s'} \exp(\ln c_{s'})} = \frac{c_s}{\sum_{s'} c_{s'}},
              \qquad c_s = \max(0, \cos(q_t, k_s)),

    so it is a score of ours under the softmax that all share. A key at a right angle to the query,
    or beyond, has no weight. Where all are, the weights are equal (theirs are zeros); a query that
    is among its own keys is never there.

    Examples
    --------
    >>> keys = torch.tensor([[[3.0, 4.0], [2.0, 0.0], [-1.0, 5.0]]])
    >>> RectifiedCosineScore()(keys[:, 1:2], keys).softmax(-1)
    tensor([[[0.3750, 0.6250, 0.0000]]])
    """

    def __init__(self):
        super().__init__()
        self.beta.requires_grad_(False)  # a factor of all cosines leaves the shares as they are

    def _compare(self, queries: Tensor, prepared: Tensor) -> Tensor:
        cosines = super()._compare(queries, prepared)
        alike = cosines > 0
        return cosines.where(alike, 1.0).log().masked_fill(~alike, NEVER)


class GeneralScore(Score):
    r"""General score :math:`q_t^\top W k_s` (Luong et al. 2015, section 3.1, "general")."""

    def __init__(self, query_dim: int, key_dim: int):
        super().__init__()
        self.query_dim, self.key_dim = query_dim, key_dim
        self.W = nn.Linear(key_dim, query_dim, bias=False)

    def _prepare(self, keys: Tensor) -> Tensor:
        return self.W(keys)  # (B, S, D_q)

    def _compare(self, queries: Tensor, prepared: Tensor) -> Tensor:
        return queries @ prepared.transpose(1, 2)


class AdditiveScore(Score):
    r"""Additive score (Bahdanau et al. 2015, A.1.2).

    .. math:: e_{ts} = v^\top \tanh(W q_t + U k_s)
    """

    def __init__(self, query_dim: int, key_dim: int, hidden_dim: int):
        super().__init__()
        self.query_dim, self.key_dim = query_dim, key_dim
        self.W = nn.Linear(query_dim, hidden_dim, bias=False)
        self.U = nn.Linear(key_dim, hidden_dim, bias=False)
        self.v = nn.Linear(hidden_dim, 1, bias=False)

    def _prepare(self, keys: Tensor) -> Tensor:
        return self.U(keys)  # (B, S, A)

    def _compare(self, queries: Tensor, prepared: Tensor) -> Tensor:
        asked = self.W(queries).unsqueeze(2)  # (B, T, 1, A)
        hidden = asked + prepared.unsqueeze(1)  # (B, T, S, A)
        return self.v(hidden.tanh()).squeeze(-1)  # (B, T, S)


class LocationAwareScore(AdditiveScore):
    r"""Additive score that sees where attention was a step ago (Chorowski et al. 2015, 2.2).

    .. math:: e_{ts} = v^\top \tanh(W q_t + U k_s + V f_{ts} + b), \qquad f_t = F * a_{t-1}

    F convolves the weights :math:`a_{t-1}` of the step before: each key has C numbers that say how
    much attention was on it and on its neighbours, and the score can learn to move on from there.
    (The paper writes w, W, V, U, b, F for our v, W, U, V, b, F.) Before the first step the weights
    are zeros.

    Parameters
    ----------
    query_dim, key_dim, hidden_dim : int
        As in `AdditiveScore`.
    filters : int
        C. The paper has 10.
    reach : int
        A filter sees so many keys to either side, and is 2 reach + 1 wide. The paper has 100, of
        frames of 10 ms.

    Raises
    ------
    ValueError
        If there is no filter, or `reach` is negative.
    """

    by_content = False
    reads_previous = True

    def __init__(
        self, query_dim: int, key_dim: int, hidden_dim: int, filters: int = 10, reach: int = 10
    ):
        super().__init__(query_dim, key_dim, hidden_dim)
        if filters < 1 or reach < 0:
            raise ValueError(f"need filters >= 1 and reach >= 0, got {filters} and {reach}")
        self.F = nn.Conv1d(1, filters, 2 * reach + 1, padding=reach, bias=False)
        self.V = nn.Linear(filters, hidden_dim)  # its bias is b

    def follow(self, prepared: Tensor, previous: Tensor) -> Tensor:
        """Add V f + b to prepared keys (B, S, A); f is made of the last step's weights (B, S)."""
        f = self.F(previous.unsqueeze(1)).transpose(1, 2)  # (B, S, C)
        return prepared + self.V(f)


class ConcatScore(Score):
    r"""Concat score :math:`v^\top \tanh(W [q_t; k_s])` (Luong et al. 2015, section 3.1, "concat").

    One matrix over the concatenation is two matrices side by side, so this is `AdditiveScore` under
    another name. With ``tanh=False`` the query adds the same number to every score of its row, and
    the softmax cancels it: the weights cannot depend on the query.
    """

    def __init__(self, query_dim: int, key_dim: int, hidden_dim: int, tanh: bool = True):
        super().__init__()
        self.query_dim, self.key_dim = query_dim, key_dim
        self.W = nn.Linear(query_dim + key_dim, hidden_dim, bias=False)
        self.v = nn.Linear(hidden_dim, 1, bias=False)
        self.tanh = tanh

    def _prepare(self, keys: Tensor) -> Tensor:
        return keys @ self.W.weight[:, self.query_dim :].T  # (B, S, A)

    def _compare(self, queries: Tensor, prepared: Tensor) -> Tensor:
        from_query = queries @ self.W.weight[:, : self.query_dim].T  # (B, T, A)
        hidden = from_query.unsqueeze(2) + prepared.unsqueeze(1)  # (B, T, S, A)
        return self.v(hidden.tanh() if self.tanh else hidden).squeeze(-1)


class LocationScore(Score):
    r"""Location score: row s of :math:`W q_t` (Luong et al. 2015, eq. 8); it never sees the keys.

    The paper writes :math:`a_t = \mathrm{softmax}(W_a h_t)`, which needs a longest source: W has
    one row a position, and a longer sentence is refused.
    """

    by_content = False

    def __init__(self, query_dim: int, max_source: int):
        super().__init__()
        self.query_dim, self.max_source = query_dim, max_source
        self.W = nn.Linear(query_dim, max_source, bias=False)

    def _compare(self, queries: Tensor, prepared: Tensor) -> Tensor:
        positions = prepared.shape[1]
        if positions > self.max_source:
            raise ValueError(
                f"the location score knows {self.max_source} source positions, got {positions}"
            )
        return self.W(queries)[..., :positions]
