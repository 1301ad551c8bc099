r"""Other weights, the same prediction: how far can the weights of a sentence be moved?

`search` is the adversary of Jain and Wallace (2019, section 4.2.2), gradient descent from several
starts. Where the readout is linear, as in `evidence.AttentionClassifier`, no search is needed:
`furthest` finds the best weights there are. Both leave the model and its states as they are;
`adversarial_loss` trains another *model* to predict the same with other weights (Wiegreffe and
Pinter 2019, section 4), and `erased` asks how many words have to go until the decision flips
(Serrano and Smith 2019, section 5).

Weights are (N, S), zero at padding; a `Reading` is that of an `evidence.AttentionClassifier`.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import kl_div

from attnlib.attribution import jensen_shannon, total_variation
from attnlib.evidence import AttentionClassifier, Reading
from attnlib.masks import masked_softmax

SLACK = 0.01  # change of the prediction that costs the search nothing
PUSH = 500.0  # what a change beyond it costs
SPREAD = 3.0  # of the starts, in nats


class Adversary(NamedTuple):
    """For each of N sentences the weights found, and how far they are from the model's own."""

    weights: Tensor  # (N, S)
    divergence: Tensor  # (N,), Jensen-Shannon of the weights, at most log 2
    change: Tensor  # (N,), total variation of the two predictions: that of p(label 1)


def probabilities(logits: Tensor) -> Tensor:
    """Both labels' probabilities (..., 2)."""
    return torch.stack([(-logits).sigmoid(), logits.sigmoid()], -1)


def search(
    model: AttentionClassifier,
    reading: Reading,
    mask: Tensor,
    epsilon: float = 0.05,
    starts: int = 5,
    steps: int = 500,
    lr: float = 0.01,
    seed: int = 0,
) -> Adversary:
    r"""Look for other weights that predict the same, by gradient descent.

    From each of the `starts`, log-weights drawn around uniform ones, Adam goes down

    .. math:: -\mathrm{JSD}(a, \tilde a) + 500 \max(0, |\hat y - \tilde y| - 0.01)

    and of all the weights on its ways whose prediction differs by at most `epsilon`, those are kept
    that are furthest from the model's own (Jain and Wallace 2019, eq. 5 to 7). Departures: the
    paper's loss also drives the starts apart from each other, and only the last step of each way
    counts. Where nothing was found the model's own weights come back, with divergence 0.

    Parameters
    ----------
    reading : Reading
        The model's own, of N sentences.
    mask : boolean Tensor of shape (N, S)
        True at words.
    """
    generator = torch.Generator().manual_seed(seed)
    states, own = reading.states.detach(), reading.weights.detach()
    before = probabilities(reading.logits.detach())
    drawn = torch.randn(starts, *mask.shape, generator=generator).to(own.dtype)
    log_weights = (SPREAD * drawn).requires_grad_()
    optimiser = torch.optim.Adam([log_weights], lr=lr, amsgrad=True)
    best = Adversary(own.clone(), own.new_zeros(len(own)), own.new_zeros(len(own)))
    for step in range(steps + 1):
        weights = masked_softmax(log_weights, mask)  # (starts, N, S)
        divergence = jensen_shannon(own.expand_as(weights), weights)
        change = total_variation(before, probabilities(model.decide(states, weights)))
        best = _better(best, weights.detach(), divergence.detach(), change.detach(), epsilon)
        if step < steps:
            loss = (PUSH * (change - SLACK).relu() - divergence).sum()
            (log_weights.grad,) = torch.autograd.grad(loss, [log_weights])  # the model has none
            optimiser.step()
    return best


def _better(best: Adversary, weights, divergence, change, epsilon: float) -> Adversary:
    """Of what was found so far and what each start has now, (starts, N, …), the furthest."""
    ranked = divergence.masked_fill(change > epsilon, -1.0)
    top, which = ranked.max(0)
    rows = torch.arange(len(which))
    new = top > best.divergence
    return Adversary(
        torch.where(new.unsqueeze(-1), weights[which, rows], best.weights),
        torch.where(new, top, best.divergence),
        torch.where(new, change[which, rows], best.change),
    )


def furthest(
    alone: Tensor, own: Tensor, mask: Tensor, epsilon: float = 0.05, scale: str = "probability"
) -> Adversary:
    r"""The weights furthest from the model's own that change the prediction by at most `epsilon`.

    The logit is :math:`\sum_t \tilde a_t l_t`, with :math:`l_t` the logit that word t would give
    alone, so the weights allowed are the part of a simplex between two parallel planes. The
    divergence is convex in :math:`\tilde a` and is greatest at a corner of that part; each corner
    has at most two weights that are not zero. All pairs of words are tried: no search, no starts.

    Parameters
    ----------
    alone : Tensor of shape (N, S)
        :math:`l_t`, from `evidence.AttentionClassifier.alone`.
    own : Tensor of shape (N, S)
        The model's own weights.
    mask : boolean Tensor of shape (N, S)
    epsilon : float
    scale : "probability" or "logit"
        Of what `epsilon` is the largest change. Near 0 and 1 the probability hardly moves where the
        logit does; a change of 4 epsilon of the logit is never more than epsilon of the other.

    Raises
    ------
    ValueError
        If `epsilon` is negative, or a probability above 1; or `scale` is unknown.

    Examples
    --------
    Two words say the same, a third the opposite; the weight goes from the first to the second:

    >>> alone, own = torch.tensor([[2.0, 2.0, -2.0]]), torch.tensor([[0.9, 0.1, 0.0]])
    >>> found = furthest(alone, own, torch.ones(1, 3, dtype=torch.bool))
    >>> found.weights, round(float(found.divergence), 3)
    (tensor([[0.0000, 0.8978, 0.1022]]), 0.531)
    """
    if scale not in ("probability", "logit"):
        raise ValueError(f"unknown scale {scale!r}: one of probability, logit")
    if not 0 <= epsilon <= (1 if scale == "probability" else math.inf):
        raise ValueError(f"epsilon must be from 0, a probability to 1, got {epsilon}")
    N, S = own.shape
    logits = (own * alone).sum(-1)
    if scale == "logit":
        low, high = logits - epsilon, logits + epsilon
    else:
        p = logits.sigmoid()
        low, high = (torch.logit((p + side).clamp(0, 1)) for side in (-epsilon, epsilon))
    first, second = alone.unsqueeze(2), alone.unsqueeze(1)  # (N, S, 1), (N, 1, S)
    gap = first - second
    ends = torch.stack([(edge[:, None, None] - second) / gap for edge in (low, high)])
    ends = torch.where(gap == 0, ends.new_tensor([0.0, 1.0])[:, None, None, None], ends)
    shares = torch.stack([ends.amin(0).clamp(min=0), ends.amax(0).clamp(max=1)])  # (2, N, S, S)
    allowed = (shares[0] <= shares[1]) & mask.unsqueeze(2) & mask.unsqueeze(1)
    allowed &= (gap != 0) | _between(alone, low, high).unsqueeze(1)
    a = own.unsqueeze(2), own.unsqueeze(1)
    rest = (1 - a[0] - a[1]).clamp(min=0) * math.log(2)
    divergence = (rest + _part(a[0], shares) + _part(a[1], 1 - shares)) / 2
    same = torch.eye(S, dtype=torch.bool)  # one word with all the weight: a pair with itself
    single = ((1 - own) * math.log(2) + _part(own, torch.ones_like(own))) / 2
    divergence = torch.where(same, single.unsqueeze(2), divergence)
    allowed = torch.where(same, (_between(alone, low, high) & mask).unsqueeze(2), allowed)
    flat = divergence.masked_fill(~allowed, -1.0).movedim(0, 1).reshape(N, -1)  # (N, 2 S S)
    top, which = flat.max(-1)
    rows = torch.arange(N)
    share = torch.where(same, 1.0, shares).movedim(0, 1).reshape(N, -1)[rows, which]
    i, j = which % (S * S) // S, which % S
    weights = torch.zeros_like(own)
    weights[rows, j] = 1 - share
    weights[rows, i] += share
    found = top >= 0
    weights = torch.where(found.unsqueeze(-1), weights, own)
    change = ((weights * alone).sum(-1).sigmoid() - logits.sigmoid()).abs()
    return Adversary(weights, top.clamp(min=0), change)


def _between(alone: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The words (N, S) whose logit alone lies within, or outside by rounding only."""
    room = 16 * torch.finfo(alone.dtype).eps * (1 + alone.abs().amax(1, keepdim=True))
    return (low.unsqueeze(1) - room <= alone) & (alone <= high.unsqueeze(1) + room)


def _part(a: Tensor, b: Tensor) -> Tensor:
    """What one word adds to twice the divergence of weights a and b."""
    middle = (a + b) / 2
    one, other = (torch.xlogy(x, x / middle).nan_to_num() for x in (a, b))
    return one + other


def adversarial_loss(
    base: Reading, strength: float, base_first: bool = False
) -> Callable[[Reading, Tensor], Tensor]:
    r"""The loss of a model that shall predict as `base` does, with other weights.

    .. math:: \mathrm{TVD}(\hat y_a, \hat y_b) - \lambda\, \mathrm{KL}(\alpha_a \,\Vert\, \alpha_b)

    (Wiegreffe and Pinter 2019, section 4), a the model in training and b the base, averaged over
    the batch. Mind the order: ``torch.nn.functional.kl_div`` takes the *logarithm* of the second
    distribution first, so that ``kl_div(q.log(), p)`` is :math:`\mathrm{KL}(p \Vert q)`. The two
    orders ask for different things: :math:`\mathrm{KL}(\alpha_a \Vert \alpha_b)` pays for weight
    where the base has next to none, the other for taking weight away from where the base has it.

    Parameters
    ----------
    base : Reading
        Of all the sentences that are trained on; the rows that `evidence.fit` passes are of these.
    strength : float
        :math:`\lambda`.
    base_first : bool
        The other order, :math:`\mathrm{KL}(\alpha_b \Vert \alpha_a)`.

    Returns
    -------
    callable
        For `evidence.fit`.
    """
    logits, weights = base.logits.detach(), base.weights.detach()
    floor = torch.finfo(weights.dtype).tiny

    def loss(reading: Reading, rows: Tensor) -> Tensor:
        theirs = weights[rows, : reading.weights.shape[1]]
        change = total_variation(probabilities(reading.logits), probabilities(logits[rows]))
        p, q = (theirs, reading.weights) if base_first else (reading.weights, theirs)
        apart = kl_div(q.clamp(min=floor).log(), p, reduction="none").sum(-1)  # KL(p || q)
        return (change - strength * apart).mean()

    return loss


def erased(alone: Tensor, weights: Tensor, mask: Tensor, ranking: Tensor) -> Tensor:
    """The share of the words that is erased, best-ranked first, when the decision flips.

    A word is erased by setting its weight to zero and dividing by the sum of the others (Serrano
    and Smith 2019, section 3.1).

    Parameters
    ----------
    alone, weights, mask : Tensors of shape (N, S)
        As in `furthest`.
    ranking : Tensor of shape (N, S)
        The word with the largest number goes first.

    Returns
    -------
    Tensor of shape (N,)
        From 1 / S to 1; 1 where no decision is left but the same one to the last word.

    Examples
    --------
    >>> alone, weights = torch.tensor([[3.0, 1.0, -1.0]]), torch.tensor([[0.2, 0.5, 0.3]])
    >>> mask = torch.ones(1, 3, dtype=torch.bool)
    >>> erased(alone, weights, mask, weights), erased(alone, weights, mask, weights * alone)
    (tensor([1.]), tensor([0.6667]))
    """
    order = ranking.masked_fill(~mask, -math.inf).argsort(dim=-1, descending=True, stable=True)
    parts = (weights * alone).masked_fill(~mask, 0).gather(-1, order)  # (N, S)
    left = parts.sum(-1, keepdim=True) - parts.cumsum(-1)  # after 1, 2, … words are gone
    decided = parts.sum(-1, keepdim=True) > 0
    lengths = mask.sum(-1, keepdim=True)
    gone = torch.arange(1, mask.shape[1] + 1)
    flipped = ((left > 0) != decided) & (gone < lengths)
    first = torch.where(flipped, gone, lengths).amin(-1)
    return first / lengths[:, 0]
