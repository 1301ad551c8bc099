"""The sums of a multi-head attention, beside what common mistakes make of them."""

import math

import torch
from torch import Tensor, nn

from attnlib.checks.called import Projections
from attnlib.checks.subject import B, Finding, S, Subject, T, short, tried
from attnlib.masks import causal_mask


def heads_and_scale(asked: Subject, positions: bool, scale: float | None) -> list[Finding]:
    """The sums themselves where the matrices can be read; else the scale, from the weights."""
    if positions:
        reason = "not asked: scores depend on positions"
        return [Finding("heads", None, reason), Finding("scale", None, reason)]
    if asked.known.projections is not None:
        try:
            return _against_the_sums(asked, asked.known.projections, scale)
        except (RuntimeError, ValueError) as error:
            reason = f"not asked: {short(error)}"
            return [Finding("heads", None, reason), Finding("scale", None, reason)]
    heads = Finding("heads", None, "not asked: it has no projections, or none that can be read")
    return [heads, tried("scale", lambda: _scale_from_weights(asked, scale))]


def _scales(head: int, width: int, heads: int) -> dict[str, float]:
    """Numbers that scores are multiplied by, right or wrong, and how they are called."""
    return {
        "1 / sqrt(D of a head)": head**-0.5,
        "1 (no scale)": 1.0,
        "1 / sqrt(number of heads)": heads**-0.5,
        "1 / sqrt(D of all heads)": width**-0.5,
        "1 / D of a head": 1 / head,
        "1 / D of all heads": 1 / width,
        "sqrt(D of a head)": head**0.5,
    }


def _scale_from_weights(asked: Subject, scale: float | None) -> Finding:
    """How many times the dot product a score is: values that are 1 or 0 show the weights."""
    check = "scale"
    width = asked.widths[1]
    apart = not asked.one and not asked.two and asked.known.free
    if not apart or asked.widths[0] != width or asked.widths[2] < S:
        return Finding(check, None, "not asked: the queries and keys that it compares are not seen")
    queries, keys, _ = asked.inputs
    ones = torch.eye(S, asked.widths[2], dtype=asked.dtype).expand(B, -1, -1)
    weights = asked.run(asked.way, (queries, keys, ones))[0][:, -1:, :S].detach()  # (B, 1, S)
    products = (queries[:, -1:] @ keys.transpose(1, 2)).double()
    scores = weights.double().log()
    scores, products = (x - x.mean(-1, keepdim=True) for x in (scores, products))
    times = float((scores * products).sum() / products.square().sum())
    rest = float((scores - times * products).abs().max())
    near = 1e-6 if asked.dtype == torch.float64 else 1e-3
    if not rest <= near:  # NaN too
        return Finding(check, None, "not asked: the weights are not those of a dot product")
    wanted = width**-0.5 if scale is None else scale
    seen = f"scores are {times:.4g} times the dot product of {width} numbers"
    candidates = _scales(width, width, 1).items()
    named = [name for name, x in candidates if math.isclose(x, times, rel_tol=near)]
    means = f"{wanted:.4g} is expected{', this is ' + named[0] if named else ''}"
    return Finding(check, math.isclose(times, wanted, rel_tol=near), seen, means)


def _split(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _split_by_view(x: Tensor, heads: int) -> Tensor:
    return x.reshape(len(x), heads, x.shape[1], -1)


def _join(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def _join_by_view(x: Tensor) -> Tensor:
    return x.reshape(len(x), x.shape[2], -1)


def _join_batch_by_view(x: Tensor) -> Tensor:
    return x.transpose(0, 1).reshape(len(x), x.shape[2], -1)


CUTS = {
    "": (_split, _join),
    "the heads are joined by a view, without a permutation first": (_split, _join_by_view),
    "the heads, which come first, are joined by a view alone": (_split, _join_batch_by_view),
    "the heads are split by a view, without a permutation": (_split_by_view, _join_by_view),
    "the heads are split by a view, and joined as if they were not": (_split_by_view, _join),
}


def _sums_of(inputs, projections: Projections, mask, scale: float, cut="", over=-1) -> Tensor:
    """Multi-head attention (Vaswani et al. 2017, section 3.2.2), a head at a time."""
    (matrices, biases, heads), (split, join) = projections, CUTS[cut]
    q, k, v = (
        split(nn.functional.linear(x, W, b), heads)
        for x, W, b in zip(inputs, matrices[:3], biases[:3], strict=True)
    )
    of_heads = []
    for h in range(heads):
        scores = scale * q[:, h] @ k[:, h].transpose(1, 2)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        of_heads.append(scores.softmax(over) @ v[:, h])
    joined = join(torch.stack(of_heads, 1))
    return nn.functional.linear(joined, matrices[3], biases[3])


def _against_the_sums(asked: Subject, projections: Projections, scale) -> list[Finding]:
    """The output beside the sums; where it differs, beside what common mistakes give."""
    width = projections.matrices[0].shape[0]
    head = width // projections.heads
    mask = causal_mask(T, S).expand(B, T, S) if asked.causal else None
    inputs = asked.given(asked.inputs)
    wanted = head**-0.5 if scale is None else scale
    scales = {"what is expected": wanted} | _scales(head, width, projections.heads)

    def off(times, cut="", over=-1):
        sums = _sums_of(inputs, projections, mask, times, cut, over)
        return float((asked.output - sums).detach().abs().max())

    first = off(wanted)
    seen = f"from the sums of each head it differs by {first:.2g}"
    for cut in CUTS:
        for name, times in scales.items():
            if not off(times, cut) <= asked.near * asked.large:
                continue
            said = f"scores are {times:.4g} times the dot product of {head} numbers"
            if head == projections.heads and times == wanted:
                said += f"; 1 / sqrt(number of heads) would be the same, with {head} heads"
            means = f"{wanted:.4g} is expected, this is {name}"
            heads = Finding("heads", not cut, seen, cut)
            return [heads, Finding("scale", math.isclose(times, wanted), said, means)]
    means = "it is no dot product of what is projected, or its heads are cut in another way"
    if off(wanted, over=-2) <= asked.near * asked.large:
        means = "the softmax is over the queries"
    scale_of = Finding("scale", None, "not asked: its scores are not those of its projections")
    return [Finding("heads", False, seen, means), scale_of]
