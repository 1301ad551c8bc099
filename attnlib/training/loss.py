"""What training minimises: the cross-entropy of the words, and what may be added to it.

A model knows nothing of this. What is added reaches the gradient alone, and only while the model
is training; the value of the loss stays the cross-entropy.
"""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from attnlib.autoregressive import AutoregressiveModel
from attnlib.captioning import Captioner
from attnlib.data.batches import Batch, Pair
from attnlib.data.tokenizer import PAD
from attnlib.selection import Hard
from attnlib.training.inputs import in_batches

COVERAGE_TARGETS = ("one", "steps/cells")


class SmoothedCrossEntropy(torch.autograd.Function):
    r"""The output layer and its loss, a few rows at a time, with the gradient computed on the way.

    Of :math:`z = E h + b` and the smoothed target :math:`q` the loss is
    :math:`\log \sum_v e^{z_v} - \sum_v q_v z_v` and its gradient for z softmax(z) - q. Doing both
    while z is still in the processor's cache saves more than half of the layer's time on a CPU, and
    no (N, V) tensor is ever held (as in Wijmans et al. 2025).

    With `r_drop` the vectors are of two passes, row n of the first beside row n of the second, and
    the gradient is also that of :math:`\alpha / 2` times the mean of the two Kullback-Leibler
    divergences between them (Liang et al. 2021, eq. 1 to 3, divided by two: two passes count as one
    batch). The value stays the cross-entropy.
    """

    ROWS = 128  # fastest of 32 to 512 for a vocabulary of 8000; they differ by a quarter

    @staticmethod
    def forward(ctx, vectors, table, bias, wanted, smoothing, r_drop=0.0):
        """Sum over vectors (N, E) against a table (V, E), a bias (V,) and gold ids (N,).

        With `r_drop` vectors are (2, N, E), and the sum is the mean of the two.
        """
        rows, spread = SmoothedCrossEntropy.ROWS, smoothing / len(table)
        total = vectors.new_zeros((), dtype=torch.promote_types(vectors.dtype, torch.float32))
        for_vectors, for_table, for_bias = (torch.zeros_like(x) for x in (vectors, table, bias))
        chunks = (vectors.split(rows, -2), wanted.split(rows), for_vectors.split(rows, -2))
        for h, gold, for_h in zip(*chunks, strict=True):
            z = nn.functional.linear(h, table, bias).to(total.dtype)  # (rows, V), twice
            gold = gold.unsqueeze(1).expand(*z.shape[:-1], 1)
            normaliser = z.logsumexp(-1, keepdim=True)
            total += (normaliser - (1 - smoothing) * z.gather(-1, gold)).sum()
            total -= spread * z.sum()
            apart = _divergence_gradient(z - normaliser) if r_drop else None
            for_z = z.sub_(normaliser).exp_().sub_(spread)
            for_z.scatter_add_(-1, gold, torch.full_like(normaliser, smoothing - 1))
            if apart is not None:
                for_z += r_drop * apart
            for_h.copy_(for_z.to(table.dtype) @ table)
            flat = for_z.to(h.dtype).flatten(0, -2)
            for_table += flat.T @ h.flatten(0, -2)
            for_bias += flat.sum(0)
        ctx.share = 0.5 if r_drop else 1.0
        ctx.save_for_backward(for_vectors, for_table, for_bias)
        return ctx.share * total

    @staticmethod
    def backward(ctx, grad):
        """What `forward` found, times the gradient of the sum."""
        grad = ctx.share * grad
        return (*(grad * found for found in ctx.saved_tensors), None, None, None)


def _divergence_gradient(log_p: Tensor) -> Tensor:
    r"""The gradient, for the logits of both, of half the sum of both KL divergences.

    Of log-probabilities (2, N, V); for the first of the two
    :math:`\frac{1}{2} (p (\log p - \log q - KL(p, q)) + p - q)`.
    """
    p, difference = log_p.exp(), log_p - log_p.flip(0)
    weighted = p * difference
    return 0.5 * (weighted - p * weighted.sum(-1, keepdim=True) + p - p.flip(0))


class Objective(nn.Module):
    r"""The summed label-smoothed cross-entropy of a batch, in nats (Szegedy et al. 2016, sec. 7).

    The output layer sees real positions only: padding costs nothing.

    While a model with `selection.Hard` is training, two terms are added whose gradient is that of
    Xu et al. (2015, eq. 12), for the weights learn nothing through a choice:

    .. math:: -\lambda_r \sum_t (r_t - b\, n_t) \log a_{t\tilde s} - \lambda_e \sum_t H[a_t],
              \qquad r_t = \sum_{t' \ge t} \log p(y_{t'})

    A choice is rewarded for the :math:`n_t` words from its own on (it cannot change those before;
    the paper takes the whole sentence), less a baseline b a word, the moving average of log p. The
    value that comes back is still the cross-entropy.

    Three more terms may be added, sums over the captions as the cross-entropy is one. They too are
    in the gradient alone, and only in training.

    Parameters
    ----------
    model : Translator, Transformer or Captioner
    label_smoothing : float
        The share of the target that is spread over the vocabulary.
    reward, entropy : float
        :math:`\lambda_r` and :math:`\lambda_e`.
    baseline_decay : float
        How much of itself b keeps at each batch: the paper has 0.9 (section 4.1).
    doubly_stochastic : float
        Weight of `doubly_stochastic_loss`; the paper's :math:`\lambda`.
    coverage_target : str
        ``one`` or ``steps/cells``.
    word_detection : float
        Weight of `word_detection_loss`; it needs a captioner with a detector.
    supervised_attention : float
        Weight of `supervised_attention_loss`; it needs batches with `places`.
    r_drop : float
        :math:`\alpha`, the weight of R-Drop (Liang et al. 2021): in training each batch goes
        through the model twice, with two draws of dropout, and what the two predict shall agree. An
        update takes twice as long.

    Raises
    ------
    ValueError
        If `baseline_decay` is not in [0, 1); when called, if it needs `places` and there are none.
    TypeError
        When called, if `word_detection` is asked of a model that is no captioner.
    """

    def __init__(
        self,
        model: AutoregressiveModel,
        label_smoothing: float = 0.0,
        reward: float = 1.0,
        entropy: float = 0.0,
        baseline_decay: float = 0.9,
        doubly_stochastic: float = 0.0,
        coverage_target: str = "one",
        word_detection: float = 0.0,
        supervised_attention: float = 0.0,
        r_drop: float = 0.0,
    ):
        super().__init__()
        if not 0 <= baseline_decay < 1:
            raise ValueError(f"baseline_decay must be at least 0, below 1, got {baseline_decay}")
        self.model, self.label_smoothing = model, label_smoothing
        self.reward, self.entropy, self.baseline_decay = reward, entropy, baseline_decay
        self.doubly_stochastic, self.coverage_target = doubly_stochastic, coverage_target
        self.word_detection, self.supervised_attention = word_detection, supervised_attention
        self.r_drop = r_drop

    def forward(
        self,
        source: Tensor,
        lengths: Tensor,
        given: Tensor,
        wanted: Tensor,
        places: Tensor | None = None,
    ) -> Tensor:
        """Sum over the tokens `wanted` (B, T), each predicted from those `given` before it."""
        twice = self.model.training and self.r_drop > 0
        if twice:
            source, given, wanted = (torch.cat([x, x]) for x in (source, given, wanted))
            lengths = torch.cat([lengths, lengths])
            places = places if places is None else torch.cat([places, places])
        attention = self.model.decoder.attention
        selection = None if attention is None else attention.selection
        hard = selection if self.model.training and isinstance(selection, Hard) else None
        draws = None
        if hard is not None:
            draws = hard.draw(self.model.bias.new_empty(len(given)), given.shape[1])
        memory = self.model.encode(source, lengths, draws)
        need_weights = draws is not None or bool(
            self.doubly_stochastic or self.supervised_attention
        )
        vectors, weights = self.model.decode(memory, given, need_weights)
        real = wanted != PAD
        table, bias = self.model.embedding.weight, self.model.bias
        found, gold = vectors[real], wanted[real]
        if twice:
            found, gold = found.unflatten(0, (2, -1)), gold[: len(gold) // 2]
        training = self.model.training
        loss = SmoothedCrossEntropy.apply(
            found,
            table,
            bias,
            gold,
            self.label_smoothing,
            self.r_drop if training else 0.0,
        )
        if not training:
            return loss
        for term in self._added(hard, memory, vectors, weights, draws, wanted, places):
            term = term / 2 if twice else term
            loss = loss + (term - term.detach())  # a gradient, and no value
        return loss

    def _added(
        self, hard: Hard | None, memory, vectors, weights, draws, wanted, places
    ) -> Iterator[Tensor]:
        """The terms beside the cross-entropy."""
        if hard is not None:
            yield self._score_function(hard, vectors, weights, draws, wanted)
        if self.doubly_stochastic:
            term = doubly_stochastic_loss(weights, wanted != PAD, self.coverage_target)
            yield self.doubly_stochastic * term
        if self.word_detection:
            if not isinstance(self.model, Captioner):
                kind = type(self.model).__name__
                raise TypeError(f"word_detection is for a captioner, got {kind}")
            logits = self.model.detect(memory.annotations)
            yield self.word_detection * word_detection_loss(logits, wanted, PAD)
        if self.supervised_attention:
            if places is None:
                raise ValueError("supervised_attention needs batches with places")
            yield self.supervised_attention * supervised_attention_loss(weights, places)

    def _score_function(self, selection: Hard, vectors, weights, draws, wanted) -> Tensor:
        """The two terms of the weights; only their gradient matters."""
        real = (wanted != PAD).to(weights.dtype)
        with torch.no_grad():
            logits = self.model.output(vectors).log_softmax(-1)
            log_p = logits.gather(-1, wanted.unsqueeze(-1)).squeeze(-1) * real
            to_go = log_p.flip(1).cumsum(1).flip(1)  # (B, T)
            left = real.flip(1).cumsum(1).flip(1)
            advantage = to_go - selection.baseline * left
            selection.update_baseline(log_p.sum() / real.sum(), self.baseline_decay)
        chosen = (advantage * selection.log_prob(weights, draws) * real).sum()
        spread = -torch.special.xlogy(weights, weights).sum(-1)
        return -self.reward * chosen - self.entropy * (spread * real).sum()


def doubly_stochastic_loss(weights: Tensor, real: Tensor, target: str = "one") -> Tensor:
    r"""Doubly stochastic attention: every cell should be attended to (Xu et al. 2015, eq. 14).

    .. math:: \sum_s \Big(\kappa - \sum_t a_{ts}\Big)^2

    summed over the images. The paper's results are with :math:`\kappa = 1`, which T steps with
    weights that sum to 1 cannot reach on more than T cells; one widely copied program has
    :math:`\kappa = T / S`, the mean. **To learning they are the same**: expanded, the sum is
    :math:`S \kappa^2 - 2 \kappa T + \sum_s (\sum_t a_{ts})^2`, and as long as every step's weights
    sum to 1 only the last term can change. The two differ in value, and under a window whose
    weights sum to less than 1 (`windows.Predictive`).

    Parameters
    ----------
    weights : Tensor of shape (B, T, S)
    real : boolean Tensor of shape (B, T)
        True at the real steps of each caption; padding is left out.
    target : str
        :math:`\kappa`: ``one``, or ``steps/cells``.

    Returns
    -------
    Tensor, a scalar

    Raises
    ------
    ValueError
        If a shape does not fit, or the target is unknown.
    TypeError
        If `real` is not boolean.

    Examples
    --------
    >>> weights = torch.tensor([[[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.3, 0.3, 0.4]]])
    >>> real = torch.tensor([[True, True, False]])  # the steps sum to 1.5, 0.5 and 0
    >>> doubly_stochastic_loss(weights, real), doubly_stochastic_loss(weights, real, "steps/cells")
    (tensor(1.5000), tensor(1.1667))
    """
    if target not in COVERAGE_TARGETS:
        raise ValueError(f"unknown target {target!r}: one of {', '.join(COVERAGE_TARGETS)}")
    if weights.dim() != 3 or real.shape != weights.shape[:2]:
        raise ValueError(
            f"weights must be (B, T, S) and real (B, T), got {tuple(weights.shape)} and "
            f"{tuple(real.shape)}"
        )
    if real.dtype != torch.bool:
        raise TypeError(f"real must be boolean (True = a real step), got {real.dtype}")
    looked = weights.masked_fill(~real.unsqueeze(-1), 0.0).sum(1)  # (B, S)
    wanted: Tensor | float = 1.0
    if target == "steps/cells":
        wanted = real.sum(1, keepdim=True).to(weights.dtype) / weights.shape[-1]
    return (wanted - looked).square().sum()


def word_detection_loss(logits: Tensor, wanted: Tensor, pad: int = 0) -> Tensor:
    r"""Word detection: does some cell of the image show each word of the caption? In nats.

    This is multiple-instance learning (Fang et al. 2015, section 3, whose "noisy or" over the cells
    is a maximum here): the caption says which words an image shows, but neither their masks nor
    their places. Xu et al. (2015) begin with an encoder that was trained to name the things in a
    million photographs. Ours begins with random weights, and a loss that reaches it only through
    attention that is random too teaches it slowly. So each word is also looked for in every cell by
    itself, and counts as detected if one cell is sure.

    Parameters
    ----------
    logits : Tensor of shape (B, V)
        Of `Captioner.detect`.
    wanted : Tensor of shape (B, T)
        The words of each caption, with padding.
    pad : int
        Id of padding.

    Returns
    -------
    Tensor, a scalar
        The binary cross-entropy, summed over words and captions.

    Examples
    --------
    >>> logits, wanted = torch.tensor([[0.0, 9.0, -9.0]]), torch.tensor([[1, 1, 0]])
    >>> word_detection_loss(logits, wanted).round(decimals=4)
    tensor(0.6934)
    """
    there = torch.zeros_like(logits).scatter_(1, wanted, 1.0)
    there[:, pad] = 0.0
    return nn.functional.binary_cross_entropy_with_logits(logits, there, reduction="sum")


def supervised_attention_loss(weights: Tensor, places: Tensor) -> Tensor:
    r"""Supervised attention: its cross-entropy to where the words are (Liu et al. 2017, sec. 3.2).

    .. math:: -\sum_t \sum_s \frac{m_{ts}}{\sum_j m_{tj}} \log a_{ts}

    in nats, summed over the words that name something. A model that is trained with it is given
    more than captions, the places of the things: it is an upper bound for a model that is not.

    Parameters
    ----------
    weights : Tensor of shape (B, T, S)
        Attention with which each word was written.
    places : Tensor of shape (B, T, S)
        m, the share of each cell that is covered by what the word names, zeros where it names
        nothing: those of `data.images.ImageBatch`.

    Returns
    -------
    Tensor, a scalar

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> weights = torch.tensor([[[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]]])
    >>> places = torch.tensor([[[0.0, 0.4, 0.4], [0.0, 0.0, 0.0]]])
    >>> supervised_attention_loss(weights, places)  # log 4
    tensor(1.3863)
    """
    if places.shape != weights.shape:
        raise ValueError(
            f"places must be as the weights, {tuple(weights.shape)}, got {tuple(places.shape)}"
        )
    wanted = places / places.sum(-1, keepdim=True).clamp_min(torch.finfo(places.dtype).tiny)
    tiny = torch.finfo(weights.dtype).tiny  # else 0 log 0 has no gradient
    return -(wanted * weights.clamp_min(tiny).log()).sum()


def validation_loss(model: AutoregressiveModel, pairs: Sequence[Pair], tokens: int = 4000) -> float:
    """`mean_loss` over pairs of ids."""
    return mean_loss(model, in_batches(pairs, tokens))


def mean_loss(model: AutoregressiveModel, batches: Iterable[Batch]) -> float:
    """Teacher-forced cross-entropy on gold prefixes, without smoothing, in nats a token."""
    objective = Objective(model)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    total = count = 0.0
    with torch.no_grad():
        for batch in batches:
            batch = batch.to(device)
            total += float(
                objective(batch.source, batch.source_lengths, batch.target_in, batch.target_out)
            )
            count += batch.target_tokens
    model.train(was_training)
    return total / count
