r"""The selection dial: an average of the values, or a choice of one?

A selection takes weights (B, T, S) and values (B, S, D_v) and returns contexts (B, T, D_v) and the
weights. What chance decides is handed in: `draws` (B, T), one number for each query, in [0, 1). The
same draws give the same choice, so whoever made them can ask for its probability afterwards, and
nothing needs to be remembered in between. Without draws the key of most weight is chosen; to sample
at test time as well, see `decoding.Sampled`.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot


class Soft(nn.Module):
    r"""The average :math:`c_t = \sum_s a_{ts} v_s` (Bahdanau et al. 2015, eq. 5)."""

    def forward(
        self, weights: Tensor, values: Tensor, draws: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Average values (B, S, D_v) by weights (B, T, S): contexts (B, T, D_v), weights."""
        return weights @ values, weights


class Hard(nn.Module):
    r"""The value of one key, chosen with the probability of its weight (Xu et al. 2015, 4.1).

    The choice has no gradient. What the weights learn from it comes from the score function:
    :math:`\nabla E[r] = E[r \nabla \log a_{t\tilde s}]`, with `log_prob` of the choice; see
    `attnlib.training.Objective`. Without draws the key of most weight is taken.
    The weights come back as they were: they are the probabilities, not the choice. Where a window
    leaves them less than 1 (`windows.Predictive`), a choice is made among what is left as if it
    were the whole, and takes the value whole; an average keeps the weights as they are.

    Parameters
    ----------
    expectation : float
        The paper's trick: for this share of the sentences training uses the average instead of a
        choice. Xu et al. have 0.5.

    Raises
    ------
    ValueError
        If `expectation` is not between 0 and 1; when called, if there is not one draw a query.

    Examples
    --------
    >>> weights, values = torch.tensor([[[0.2, 0.8]]]), torch.tensor([[[10.0], [20.0]]])
    >>> [float(Hard()(weights, values, torch.tensor([[draw]]))[0]) for draw in (0.1, 0.3, -1.0)]
    [10.0, 20.0, 18.0]
    """

    baseline: Tensor  # log p a word, in nats; a scalar
    batches: Tensor  # how many it has seen; a scalar

    def __init__(self, expectation: float = 0.5):
        super().__init__()
        if not 0 <= expectation <= 1:
            raise ValueError(f"expectation is a share from 0 to 1, got {expectation}")
        self.expectation = expectation
        self.register_buffer("baseline", torch.tensor(0.0))
        self.register_buffer("batches", torch.tensor(0))

    def update_baseline(self, log_p: Tensor, decay: float) -> None:
        """Move the baseline towards the mean log p a word of a batch; the first batch sets it."""
        decay = decay if self.batches else 0.0
        self.baseline.mul_(decay).add_((1 - decay) * log_p.to(self.baseline.dtype))
        self.batches += 1

    def draw(self, queries: Tensor, steps: int) -> Tensor:
        """Draws for `steps` choices of each of B sentences (queries: any tensor (B, ...)).

        Those of the sentences that are to use the average are all -1.
        """
        draws = torch.rand(len(queries), steps, device=queries.device, dtype=queries.dtype)
        averaged = torch.rand(len(queries), 1, device=queries.device) < self.expectation
        return draws.masked_fill(averaged, -1.0)

    @staticmethod
    def choose(weights: Tensor, draws: Tensor) -> Tensor:
        """The key (B, T) on which each draw falls, when the keys share [0, 1) by their weights.

        Weights that sum to less than 1 are divided by their sum. In a row of zeros the choice means
        nothing; its context is zero all the same.
        """
        reached = weights.cumsum(-1)
        mark = (draws.clamp(min=0) * reached[..., -1]).unsqueeze(-1)
        choice = (reached <= mark).sum(-1)  # as many keys end at or before the mark
        last = weights.shape[-1] - 1 - (weights > 0).flip(-1).int().argmax(-1)
        return torch.minimum(choice, last)  # a mark that rounding put beyond the last real key

    def log_prob(self, weights: Tensor, draws: Tensor) -> Tensor:
        """Log-probability (B, T) of the choices; 0 for an average and for a row of zeros."""
        chosen = weights.gather(-1, self.choose(weights, draws).unsqueeze(-1)).squeeze(-1)
        total = weights.sum(-1)
        meant = (draws >= 0) & (total > 0)
        ones = torch.ones_like(total)
        return torch.where(meant, chosen, ones).log() - torch.where(meant, total, ones).log()

    def forward(
        self, weights: Tensor, values: Tensor, draws: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Values of the chosen keys (B, T, D_v), or averages where a draw is negative; weights."""
        choice = _choice(weights, draws)
        taken = one_hot(choice, weights.shape[-1]).to(weights.dtype)
        taken = taken * (weights.sum(-1, keepdim=True) > 0)
        if draws is not None:
            taken = torch.where(draws.unsqueeze(-1) < 0, weights, taken)
        return taken @ values, weights


class StraightThroughGumbel(nn.Module):
    r"""One key on the way forward, a softmax on the way back (Jang et al. 2017).

    Gumbel noise :math:`g` on the log-weights makes the argmax a sample of them; the gradient is
    that of :math:`\mathrm{softmax}((\log a + g) / \tau)`, as if this had been used: biased, but far
    less noisy than the score function. The weights that come back are the sample, with that
    gradient. In evaluation mode there is no noise: the choice is made as by `Hard`, with draws
    (B, T) if there are any.

    Parameters
    ----------
    temperature, final_temperature : float
        :math:`\tau` at the start and at the end of training; `anneal` goes geometrically from the
        one to the other.

    Raises
    ------
    ValueError
        If a temperature is not positive; when called, if there is not one draw a query.
    """

    temperature: Tensor  # a scalar

    def __init__(self, temperature: float = 1.0, final_temperature: float = 0.5):
        super().__init__()
        for name, value in (("temperature", temperature), ("final_temperature", final_temperature)):
            if not value > 0:
                raise ValueError(f"{name} must be above 0, got {value}: use Hard for a choice")
        self.first, self.final = temperature, final_temperature
        self.register_buffer("temperature", torch.tensor(float(temperature)), persistent=False)

    def anneal(self, done: float) -> None:
        """Set the temperature for the share of training that is done, 0 to 1."""
        self.temperature.fill_(self.first ** (1 - done) * self.final**done)

    def relax(self, weights: Tensor, noise: Tensor) -> Tensor:
        r"""The choice that Gumbel noise (B, T, S) makes, softened: softmax((log a + g) / tau).

        Its largest entry is a sample of the weights; a key without weight gets none.
        """
        hidden = weights <= 0
        logits = weights.masked_fill(hidden, 1.0).log() + noise
        logits = logits.masked_fill(hidden, torch.finfo(weights.dtype).min)
        return (logits / self.temperature.to(logits.dtype)).softmax(-1)

    def forward(
        self, weights: Tensor, values: Tensor, draws: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The values of the chosen keys (B, T, D_v), and the choice (B, T, S), a 1 a row."""
        some = weights.sum(-1, keepdim=True) > 0
        if self.training:
            shares = self.relax(weights, -torch.empty_like(weights).exponential_().log())
            choice = shares.argmax(-1)
        else:
            shares, choice = weights, _choice(weights, draws)
        sample = one_hot(choice, weights.shape[-1]).to(weights.dtype)
        taken = (sample + shares - shares.detach()) * some
        return taken @ values, taken


def _choice(weights: Tensor, draws: Tensor | None) -> Tensor:
    """The key (B, T) that the draws say, or without them the one of most weight."""
    if draws is None:
        return weights.argmax(-1)
    if draws.shape != weights.shape[:-1]:
        raise ValueError(
            f"draws must be (B, T) = {tuple(weights.shape[:-1])}, one a query, got "
            f"{tuple(draws.shape)}"
        )
    return Hard.choose(weights, draws)
