r"""Which inputs does an output owe itself to? Instruments beside the attention weights.

A weight says how much of a value goes into an average. These functions ask other questions of the
same model, and their answers can be compared word by word, or key by key:

* how long is what each key adds (`value_norms`)?
* what of the input is in an average of averages, layer after layer (`rollout`)?
* how would the output move with the input (`gradient_times_input`, `integrated_gradients`; through
  layer normalizations, `norms_held`)?
* what is lost without a token (`leave_one_out`)?
* could other weights have given the same output (`free_directions`, `effective_weights`)?

`total_variation` and `jensen_shannon` say how far two distributions are apart.

None of them knows what is right. Each is a function of tensors, or of a function that the caller
hands in: from embedded tokens, or tokens, to the number that is to be explained.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from attnlib.captioning import CaptionDecoder
from attnlib.multihead import MultiHeadAttention
from attnlib.seq2seq import RecurrentDecoder

PARTS = ("readout", "cell")

# How far apart? -------------------------------------------------------------------------------


def total_variation(p: Tensor, q: Tensor) -> Tensor:
    r"""Total variation distance :math:`\frac12 \sum_i |p_i - q_i|`, between 0 and 1.

    Of two distributions (..., N), such as rows of weights or what a model predicts: (...). It is
    the share of p that has to be moved to make it q. (Jain and Wallace 2019, section 3, compare
    predictions by it.)

    Raises
    ------
    ValueError
        If the last axes differ in size.

    Examples
    --------
    >>> total_variation(torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.25, 0.5, 0.25]))
    tensor(0.2500)
    """
    _same_size(p, q)
    return (p - q).abs().sum(-1) / 2


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    r"""Jensen-Shannon divergence in nats, between 0 and ln 2 (Lin 1991; Jain and Wallace 2019).

    .. math:: \tfrac12 \mathrm{KL}(p \| m) + \tfrac12 \mathrm{KL}(q \| m), \qquad m = (p + q) / 2

    Of two distributions (..., N): (...). Jain and Wallace compare rows of weights by it.

    Raises
    ------
    ValueError
        If the last axes differ in size.

    Examples
    --------
    >>> left, right = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    >>> jensen_shannon(left, right), jensen_shannon(left, left)
    (tensor(0.6931), tensor(0.))
    """
    _same_size(p, q)
    m = (p + q) / 2
    return (_kl(p, m) + _kl(q, m)).clamp_min(0) / 2  # rounding may step below 0


# How long is what each key adds? --------------------------------------------------------------


def value_norms(weights: Tensor, transformed: Tensor) -> Tensor:
    r"""Weights times the lengths of the transformed values (Kobayashi et al. 2020, section 2).

    .. math:: y_t = \sum_s a_{ts} f(x_s), \qquad \| a_{ts} f(x_s) \|

    A key with a large weight whose vector is short adds little. The norms are no shares: rows do
    not sum to 1, and what two keys add may cancel.

    Parameters
    ----------
    weights : Tensor of shape (..., T, S)
    transformed : Tensor of shape (..., S, D)
        :math:`f(x_s)`, what key s would add with a weight of 1: `head_values` gives it for a
        `MultiHeadAttention`, `context_values` for a recurrent decoder.

    Returns
    -------
    Tensor of shape (..., T, S)

    Raises
    ------
    ValueError
        If the numbers of keys differ.

    Examples
    --------
    >>> weights = torch.tensor([[0.75, 0.25]])
    >>> value_norms(weights, torch.tensor([[0.0, 1.0], [6.0, 8.0]]))
    tensor([[0.7500, 2.5000]])
    """
    _same_keys(weights, transformed)
    return weights * transformed.norm(dim=-1).unsqueeze(-2)


def heads_together(weights: Tensor, transformed: Tensor) -> Tensor:
    r"""As `value_norms`, of what all heads add together: :math:`\|\sum_h a^h_{ts} f^h(x_s)\|`.

    From (..., H, T, S) and (..., H, S, D) to (..., T, S).

    >>> weights, opposite = torch.ones(2, 1, 1), torch.tensor([[[3.0, 4.0]], [[-3.0, -4.0]]])
    >>> heads_together(weights, opposite), value_norms(weights, opposite).sum(0)
    (tensor([[0.]]), tensor([[10.]]))
    """
    _same_keys(weights, transformed)
    return torch.einsum("...hts,...hsd->...tsd", weights, transformed).norm(dim=-1)


def head_values(attention: MultiHeadAttention, values: Tensor) -> Tensor:
    r"""What each position would add in each head: :math:`f^h(x) = x W^V_h W^O_h`.

    Kobayashi et al. (2020, section 2) have a bias beside :math:`W^V`; our projections have none.

    Parameters
    ----------
    attention : MultiHeadAttention
    values : Tensor of shape (B, S, D)
        Its input, or that of its values if keys and values differ.

    Returns
    -------
    Tensor of shape (B, H, S, D)
        Averaged with a head's weights and summed over the heads, it is the attention's output.

    Examples
    --------
    >>> attention, x = MultiHeadAttention(width=8, heads=2), torch.randn(1, 5, 8)
    >>> contexts, weights = attention(x, x, x)
    >>> summed = (weights @ head_values(attention, x)).sum(1)
    >>> torch.allclose(summed, contexts, atol=1e-6)
    True
    """
    return per_head(attention, attention.prepare(values, values).values)


def per_head(attention: MultiHeadAttention, projected: Tensor) -> Tensor:
    """`head_values` of values that were projected before, as a `KeyValue` has them.

    From (B, H, S, D / H) to (B, H, S, D): a decoder keeps only these of its source.
    """
    columns = attention.W_O.weight.unflatten(1, (attention.heads, -1))  # (D, H, D / H)
    return torch.einsum("bhsk,dhk->bhsd", projected, columns)


def context_values(
    decoder: RecurrentDecoder | CaptionDecoder, annotations: Tensor, part: str = "readout"
) -> Tensor:
    r"""What each annotation would add to a recurrent decoder, were all the weight on it.

    An attention of one head hands its average on as it is, so the matrix that corresponds to
    :math:`W^V W^O` of Kobayashi et al. (2020) is the one that the decoder applies to the context,
    and there are two:

    * ``readout``: the columns of :math:`W_c` that meet the context (`seq2seq`, before the tanh), or
      :math:`L_o L_z` (`captioning`, before the gate, which scales a whole row);
    * ``cell``: the columns of the cell's input matrix that meet the context, its gates one below
      the other; only where the context is fed to the cell.

    Parameters
    ----------
    decoder : RecurrentDecoder or CaptionDecoder
    annotations : Tensor of shape (B, S, D)
    part : str
        One of ``readout`` and ``cell``.

    Returns
    -------
    Tensor of shape (B, S, E) or (B, S, G)
        G is 3 H for a GRU, 4 H for an LSTM.

    Raises
    ------
    ValueError
        If the part is unknown, or the decoder feeds no context to its cell.
    """
    if part not in PARTS:
        raise ValueError(f"unknown part {part!r}: one of {', '.join(PARTS)}")
    D = annotations.shape[-1]
    if part == "cell":
        if decoder.feeding != "context":
            raise ValueError(
                f"this decoder's feeding is {decoder.feeding!r}: its cell sees no context"
            )
        matrix = decoder.cell.weight_ih[:, -D:]  # the input is [word; context]
    elif isinstance(decoder, CaptionDecoder):
        matrix = decoder.L_o.weight @ decoder.L_z.weight
    else:
        hidden = decoder.cell.hidden_size
        matrix = decoder.W_c.weight[:, hidden : hidden + D]  # it reads [state; context; word]
    return annotations @ matrix.T


# What of the input is left, layer after layer? ------------------------------------------------


def rollout(layers: Sequence[Tensor], residual: float = 0.5) -> Tensor:
    r"""Attention rollout (Abnar and Zuidema 2020, section 3, eq. 1).

    .. math:: \tilde A_l = \frac{(1 - r) A_l + r I}{\text{row sum}}, \qquad R_l = \tilde A_l R_{l-1}

    As if a layer were half the average that its attention takes and half what was there before,
    the residual connection, and nothing else: feed-forward layers and the lengths of vectors are
    left out.

    Parameters
    ----------
    layers : sequence of Tensors of shape (..., S, S)
        Weights of each layer, the first one first, the heads averaged.
    residual : float
        r, the share of the residual connection, between 0 and 1; the paper has a half.

    Returns
    -------
    Tensor of shape (..., S, S)
        How much of each input is in each position at the end; rows sum to 1.

    Raises
    ------
    ValueError
        If there is no layer, one is not square, or the share is none.

    Examples
    --------
    >>> first, second = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
    >>> rollout([first]), rollout([first, second])
    (tensor([[1.0000, 0.0000],
            [0.5000, 0.5000]]), tensor([[0.7500, 0.2500],
            [0.5000, 0.5000]]))
    """
    if not len(layers):
        raise ValueError("there is no layer: give the weights of one or more")
    if not 0 <= residual <= 1:
        raise ValueError(f"residual must be between 0 and 1, got {residual}")
    reached = None
    for weights in layers:
        if weights.dim() < 2 or weights.shape[-1] != weights.shape[-2]:
            raise ValueError(
                f"the weights of a layer must be (..., S, S), got {tuple(weights.shape)}"
            )
        same = torch.eye(weights.shape[-1], dtype=weights.dtype, device=weights.device)
        mixed = (1 - residual) * weights + residual * same
        mixed = mixed / mixed.sum(-1, keepdim=True)
        reached = mixed if reached is None else mixed @ reached
    assert reached is not None
    return reached


def joint_layers(encoder: Tensor, decoder: Tensor, cross: Tensor) -> list[Tensor]:
    """An encoder-decoder as layers of one graph, for `rollout`: T target and S source positions.

    First the encoder's layers, in which target positions stay as they are, then each decoder block
    as two: its self-attention, and its cross-attention to the source as the encoder left it.

    Parameters
    ----------
    encoder, decoder, cross : Tensors of shape (..., L, S, S), (..., L, T, T), (..., L, T, S)
        As `transformer.AttentionMaps` has them, the heads averaged.

    Returns
    -------
    list of 3 L Tensors of shape (..., T + S, T + S)
        Rows and columns are the target positions, then those of the source.
    """
    T, S = cross.shape[-2:]
    leave = torch.eye(T + S, dtype=cross.dtype, device=cross.device)
    leave = leave.expand(*cross.shape[:-3], T + S, T + S)

    def put(weights: Tensor, rows: slice, columns: slice) -> Tensor:
        whole = leave.clone()
        whole[..., rows, :] = 0
        whole[..., rows, columns] = weights
        return whole

    target, source = slice(0, T), slice(T, T + S)
    layers = [put(weights, source, source) for weights in encoder.unbind(-3)]
    for to_self, to_source in zip(decoder.unbind(-3), cross.unbind(-3), strict=True):
        layers += [put(to_self, target, target), put(to_source, target, source)]
    return layers


# How would the output move with the input? ----------------------------------------------------


def gradient_times_input(function: Callable[[Tensor], Tensor], embedded: Tensor) -> Tensor:
    r"""Gradient times input, :math:`\sum_d x_{sd}\, \partial y / \partial x_{sd}`.

    (Denil et al. 2014; for words and attention Jain and Wallace 2019, algorithm 1, who take its
    size.) To first order it is what y would lose if the vector of token s were scaled down to zero.
    What is held fixed, say the weights, is for `function` to detach.

    Parameters
    ----------
    function : callable
        From embedded tokens (B, S, D) to the outputs (B,) that are to be explained, each a function
        of its own row alone.
    embedded : Tensor of shape (B, S, D)

    Returns
    -------
    Tensor of shape (B, S)
        Signed.

    Raises
    ------
    ValueError
        If `function` gives something else than one number a row.

    Examples
    --------
    >>> x = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    >>> gradient_times_input(lambda x: x[:, 0].sum(-1) - 2 * x[:, 1, 0], x)
    tensor([[ 3., -6.]])
    """
    return (embedded.detach() * _gradient(function, embedded)).sum(-1)


@contextmanager
def norms_held(model: nn.Module) -> Iterator[None]:
    r"""Inside, no gradient flows through the divisors of a model's layer normalizations.

    (Ali et al. 2022, on LayerNorm.) Twice the input of a normalization gives the same output, so by
    Euler's theorem gradient times input, summed over what is normalized, is 0 (but for epsilon).
    With the divisor held the sum is the output, less its bias. Outputs stay as they are.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.LayerNorm)]
    for norm in norms:
        norm.forward = partial(_normed, norm)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


def _normed(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    axes = tuple(range(-len(norm.normalized_shape), 0))
    apart = x - x.mean(axes, keepdim=True)
    spread = (apart.square().mean(axes, keepdim=True) + norm.eps).sqrt().detach()
    found = apart / spread * (1 if norm.weight is None else norm.weight)
    return found + (0 if norm.bias is None else norm.bias)


def integrated_gradients(
    function: Callable[[Tensor], Tensor],
    embedded: Tensor,
    baseline: Tensor | None = None,
    steps: int = 50,
) -> Tensor:
    r"""Integrated gradients (Sundararajan et al. 2017, eq. 1 and 3), by the midpoint rule.

    .. math:: \sum_d (x_{sd} - x'_{sd}) \int_0^1
              \frac{\partial y}{\partial x_{sd}} (x' + \alpha (x - x'))\, d\alpha

    A row sums to :math:`y(x) - y(x')`, up to the error of the rule (completeness).

    Arguments as of `gradient_times_input`; `baseline` is x', zeros unless given, of a shape that
    fits `embedded`.

    >>> x = torch.tensor([[[1.0], [2.0]]])
    >>> integrated_gradients(lambda x: (x**2).sum((1, 2)), x)
    tensor([[1., 4.]])
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    x = embedded.detach()
    start = torch.zeros_like(x) if baseline is None else baseline.detach()
    way = x - start
    slopes = [_gradient(function, start + (k + 0.5) / steps * way) for k in range(steps)]
    return (way * torch.stack(slopes).mean(0)).sum(-1)


# What is lost without it? ---------------------------------------------------------------------


def leave_one_out(
    function: Callable[[list[list[int]]], Tensor],
    tokens: Sequence[int],
    parts: Sequence[int | None] | None = None,
    instead: int | None = None,
) -> Tensor:
    r"""What the output loses without each part of the input, :math:`y(x) - y(x_{-s})`.

    (Erasure, Li et al. 2016, section 3; Jain and Wallace 2019, algorithm 1, take its size.)

    Parameters
    ----------
    function : callable
        From N sequences of ids, which may differ in length, to N outputs (N, ...).
    tokens : sequence of int
        Ids of one input.
    parts : sequence of int or None, optional
        Of each token the part that it belongs to, from 0, such as the word of each subword
        (`data.tokenizer.word_indices`); None for one that stays. Left out: each is a part.
    instead : int, optional
        The id that stands in for each erased token; without it the tokens are deleted, and what
        follows moves up.

    Returns
    -------
    Tensor of shape (parts, ...)
        Positive where the output is less without the part.

    Raises
    ------
    ValueError
        If `parts` does not fit the tokens.

    Examples
    --------
    >>> total = lambda sequences: torch.tensor([float(sum(each)) for each in sequences])
    >>> leave_one_out(total, [5, 1, 2], parts=[0, 0, 1]), leave_one_out(total, [5, 1], instead=3)
    (tensor([6., 2.]), tensor([ 2., -2.]))
    """
    tokens = list(tokens)
    parts = list(range(len(tokens))) if parts is None else list(parts)
    number = len({part for part in parts if part is not None})
    if len(parts) != len(tokens) or not {*parts} <= {None, *range(number)}:
        raise ValueError(
            f"parts must number the {len(tokens)} tokens' parts from 0 without gaps, got {parts}"
        )
    without = []
    for erased in range(number):
        pairs = zip(tokens, parts, strict=True)
        kept = [instead if part == erased else token for token, part in pairs]
        without.append([token for token in kept if token is not None])
    outputs = function([tokens, *without])
    return outputs[0] - outputs[1:]


# Could other weights have given the same? -----------------------------------------------------


def free_directions(transformed: Tensor, tolerance: float | None = None) -> Tensor:
    r"""Directions in which weights can move, their sum kept, without any change of the output.

    The left null space of [T, 1], where T are the transformed values (Brunner et al. 2020, section
    3, whose null space of T alone lets the sum change): if :math:`n^\top [T, 1] = 0`, then
    :math:`(a + n)^\top T = a^\top T`. There are such directions wherever S > D + 1, D the width of
    a head, and then weights are not identifiable from the output. Whether a + n has no negative
    weight is another question.

    Parameters
    ----------
    transformed : Tensor of shape (S, D)
        :math:`f(x_s)`, or what a head averages: where `W_O` is of full rank the two have the same
        null space.
    tolerance : float, optional
        Singular values up to this share of the largest count as zero; rounding's share, S or D
        times the precision of the type, unless given.

    Returns
    -------
    Tensor of shape (k, S)
        An orthonormal basis, one direction a row; k is 0 where the weights are identifiable.

    Examples
    --------
    >>> free_directions(torch.tensor([[0.0], [1.0], [2.0]])).abs()  # the middle is the mean
    tensor([[0.4082, 0.8165, 0.4082]])
    >>> free_directions(torch.eye(3)).shape
    torch.Size([0, 3])
    """
    _check_values(transformed)
    scale = transformed.abs().max().clamp_min(torch.finfo(transformed.dtype).tiny)
    return _left_null_space(
        torch.cat([transformed / scale, torch.ones_like(transformed[:, :1])], 1), tolerance
    )


def effective_weights(
    weights: Tensor, transformed: Tensor, tolerance: float | None = None
) -> Tensor:
    r"""Effective attention (Brunner et al. 2020, section 3): the part of the weights that counts.

    .. math:: A^\perp = A - \mathrm{proj}_{N(T^\top)} A, \qquad A^\perp T = A T

    From weights (T, S) and transformed values (S, D), with the tolerance of `free_directions`, to
    (T, S): the shortest rows that give the same output. They may be negative, and need not sum
    to 1.

    >>> values = torch.tensor([[1.0], [1.0]])  # which of the two has the weight does not matter
    >>> effective_weights(torch.tensor([[1.0, 0.0]]), values)
    tensor([[0.5000, 0.5000]])
    """
    _check_values(transformed)
    _same_keys(weights, transformed)
    free = _left_null_space(transformed, tolerance)
    return weights - weights @ free.T @ free


# Helpers --------------------------------------------------------------------------------------


def _kl(p: Tensor, m: Tensor) -> Tensor:
    """KL(p || m), m > 0 where p is: without NaN where p is 0, in its gradient neither."""
    some = p > 0
    logs = torch.where(some, p, 1).log() - torch.where(some, m, 1).log()
    return torch.where(some, p * logs, 0).sum(-1)


def _gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The gradient (B, S, D) of each row's own output."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        output = function(x)
        if output.shape != x.shape[:1]:
            raise ValueError(
                f"the function must give one number a row, ({len(x)},), got {tuple(output.shape)}"
            )
        return torch.autograd.grad(output.sum(), x)[0]


def _left_null_space(matrix: Tensor, tolerance: float | None) -> Tensor:
    """An orthonormal basis (k, S) of the rows n with n @ matrix = 0, of a matrix (S, D)."""
    U, sizes, _ = torch.linalg.svd(matrix, full_matrices=True)
    if tolerance is None:
        tolerance = max(matrix.shape) * torch.finfo(matrix.dtype).eps
    rank = int((sizes > tolerance * sizes[0]).sum())
    return U[:, rank:].T


def _check_values(transformed: Tensor) -> None:
    if transformed.dim() != 2 or not transformed.numel():
        raise ValueError(f"transformed values must be (S, D), got {tuple(transformed.shape)}")


def _same_size(p: Tensor, q: Tensor) -> None:
    if p.shape[-1:] != q.shape[-1:]:
        raise ValueError(
            f"the distributions must be over as many things, got {tuple(p.shape)} and "
            f"{tuple(q.shape)}"
        )


def _same_keys(weights: Tensor, transformed: Tensor) -> None:
    if weights.shape[-1] != transformed.shape[-2]:
        raise ValueError(
            f"weights {tuple(weights.shape)} are of {weights.shape[-1]} keys, transformed values "
            f"{tuple(transformed.shape)} of {transformed.shape[-2]}"
        )
