r"""Greedy and beam search over a step function.

Both need of a model only three methods; whatever it carries from step to step may be any nesting of
tuples, named tuples, lists and dicts of tensors, batch first (a recurrent state, a transformer's
cache)::

    memory = model.encode(source, lengths)                      # (B, S), (B,)
    state = model.start(memory)
    logits, weights, state = model.step(token, state, memory)   # (B,) -> (B, V), (B, S)

A source is ids (B, S), or images (B, 3, H, W) whose lengths are their numbers of cells. The model
should be in evaluation mode. If it has an attribute ``shares_memory`` that is true, `beam_search`
gives it the memory of b sentences with ``b * k`` tokens, those of one sentence side by side (k is 1
at the first step, then the beam); the memory is repeated otherwise. Sentences that are done leave
the batch, so no step is spent on them. After `max_length` tokens the end </s> is forced and pays
its probability: every hypothesis is a whole sentence, and its `logprob` is the model's for that
sentence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attnlib.autoregressive import AutoregressiveModel
from attnlib.selection import Soft

NO_FLOAT64 = ("mps",)  # devices on which log-probabilities are summed in float32
ALPHA = 0.6  # of the length penalty; Wu et al. found 0.6 to 0.7 best
RUN = 64  # probabilities of which the largest is found first, see `_top`
CHUNK = 50  # rows whose probabilities are made and read at once, while they are in the cache


@dataclass(frozen=True)
class Hypothesis:
    """One decoded sentence."""

    ids: list[int]  # without <s> and </s>
    score: float  # what ranks it: logprob over the length penalty
    logprob: float  # natural logarithm of its probability, </s> included
    weights: np.ndarray  # (T, S), a row a token of `ids`, a column a real source position


def length_penalty(length: Tensor | float, alpha: float) -> Tensor | float:
    r"""The divisor of a log-probability (Wu et al. 2016, eq. 14, without coverage).

    .. math:: lp(Y) = \left(\frac{5 + |Y|}{5 + 1}\right)^\alpha

    :math:`|Y|` counts </s>. With `alpha` 0 the most probable sentence wins: often too short.

    >>> length_penalty(1, alpha=0.6), length_penalty(7, alpha=1.0)
    (1.0, 2.0)
    """
    return ((5 + length) / 6) ** alpha


def select(state, index: Tensor):
    """Rows `index` of every tensor in a nested state; what is not a tensor stays as it is.

    >>> cache = {"keys": torch.tensor([[1.0], [2.0]]), "layers": (torch.tensor([3, 4]), None)}
    >>> select(cache, torch.tensor([1, 1]))
    {'keys': tensor([[2.],
            [2.]]), 'layers': (tensor([4, 4]), None)}
    """
    if isinstance(state, Tensor):
        return state.index_select(0, index) if state.dim() else state
    if isinstance(state, dict):
        return {key: select(value, index) for key, value in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*(select(value, index) for value in state))
    if isinstance(state, (tuple, list)):
        return type(state)(select(value, index) for value in state)
    return state


@torch.no_grad()
def greedy(
    model,
    source: Tensor,
    lengths: Tensor,
    max_length: int | Sequence[int] = 100,
    bos: int = 1,
    eos: int = 2,
    alpha: float = ALPHA,
) -> list[Hypothesis]:
    """Take the most probable token at every step; of equal ones, the lowest id.

    Parameters
    ----------
    model : object with encode, start and step
        See the module's docstring.
    source : Tensor of shape (B, S) or (B, 3, H, W)
        Source ids, padded, or images; B may be 0.
    lengths : Tensor of shape (B,)
        Their real lengths, or numbers of cells.
    max_length : int, or one a sentence
        Most tokens to write, </s> not counted.
    bos, eos : int
        Ids of <s> and </s>.
    alpha : float
        Length penalty of the reported `score`; it changes no choice here.

    Returns
    -------
    list of B Hypothesis

    Raises
    ------
    ValueError
        If the shapes do not fit, or a `max_length` is negative.

    Examples
    --------
    >>> class Copy:  # always the source token at this position
    ...     def encode(self, source, lengths): return source
    ...     def start(self, memory): return torch.zeros(len(memory), dtype=torch.long)
    ...     def step(self, token, position, memory):
    ...         one_hot = torch.nn.functional.one_hot
    ...         word = memory.gather(1, position.unsqueeze(1)).squeeze(1)
    ...         return 9.0 * one_hot(word, 8), one_hot(position, memory.shape[1]), position + 1
    >>> best, = greedy(Copy(), torch.tensor([[5, 6, 2]]), torch.tensor([3]))
    >>> best.ids, best.weights.tolist(), round(best.logprob, 4)
    ([5, 6], [[1, 0, 0], [0, 1, 0]], -0.0026)
    """
    limit = _limits(source, lengths, max_length)
    if not len(source):
        return []
    memory = model.encode(source, lengths)
    state = model.start(memory)
    logprob = torch.zeros(len(source), dtype=_widest(source.device), device=source.device)
    token = torch.full_like(limit, bos)
    active = torch.arange(len(source), device=source.device)  # sentences still being written
    tokens, rows = [], []
    for t in range(int(limit.max()) + 1):
        logits, weights, state = model.step(token, state, memory)
        logp = _log_softmax(logits)  # (B, V)
        token = _top(logp, 1)[1].squeeze(1).where(limit[active] > t, eos)  # (B,)
        logprob[active] += logp.gather(1, token.unsqueeze(1)).squeeze(1)
        tokens.append(_scatter(token, active, len(source)))
        rows.append(_scatter(weights, active, len(source)))
        alive = (token != eos).nonzero().squeeze(1)
        if not len(alive):
            break
        if len(alive) < len(active):
            active, token = active[alive], token[alive]
            state, memory = select(state, alive), select(memory, alive)
    ids = torch.stack(tokens, 1).tolist()
    weights = _numpy(torch.stack(rows, 1))  # (B, T, S)
    found = []
    for b, (written, total) in enumerate(zip(ids, logprob.tolist())):
        T = written.index(eos)
        score = total / length_penalty(T + 1, alpha)
        found.append(Hypothesis(written[:T], score, total, weights[b, :T, : int(lengths[b])]))
    return found


@torch.no_grad()
def beam_search(
    model,
    source: Tensor,
    lengths: Tensor,
    max_length: int | Sequence[int] = 100,
    bos: int = 1,
    eos: int = 2,
    beam: int = 5,
    alpha: float = ALPHA,
) -> list[list[Hypothesis]]:
    r"""Keep the `beam` most probable beginnings of each sentence (Sutskever et al. 2014, sec. 3.2).

    At a step every beginning is continued by every token. Of all these, one that ends is finished
    if it is among the `beam` most probable; the `beam` most probable that do not end go on. A
    sentence is done when `beam` hypotheses have finished, or at its `max_length`. The finished are
    ranked by :math:`\log p(Y) / lp(Y)`, see `length_penalty`, and at most `beam` are returned.

    A beam of 1 equals `greedy`; a beam as wide as there are sentences is exhaustive. Equal
    probabilities go to the earlier beginning, then the lowest id (but which of more than `beam`
    equal continuations of one beginning are kept is ``torch.topk``'s choice).

    Parameters
    ----------
    model, source, lengths, max_length, bos, eos
        As for `greedy`.
    beam : int
        At least 1.
    alpha : float
        Length penalty.

    Returns
    -------
    list of B lists of Hypothesis
        The best first.

    Raises
    ------
    ValueError
        If the shapes do not fit, or `beam` or `max_length` is too small.
    RuntimeError
        If the model gives no sentence a probability, as one with NaN weights does.

    Examples
    --------
    >>> class Coin:  # heads, tails or the end, whatever came before
    ...     logits = torch.tensor([0.5, 0.2, 0.3]).log()
    ...     def encode(self, source, lengths): return source
    ...     def start(self, memory): return None
    ...     def step(self, token, state, memory):
    ...         return self.logits.expand(len(token), 3), memory.float(), None
    >>> nbest, = beam_search(Coin(), torch.tensor([[7]]), torch.tensor([1]), 2, bos=9, eos=0,
    ...                      beam=3, alpha=0.0)
    >>> [(best.ids, round(2.718281828 ** best.logprob, 3)) for best in nbest]
    [([], 0.5), ([2], 0.15), ([1], 0.1)]
    """
    if beam < 1:
        raise ValueError(f"beam must be at least 1, got {beam}")
    limit = _limits(source, lengths, max_length)
    B, device = len(source), source.device
    if not B:
        return []
    active = torch.arange(B, device=device)  # (b,) sentences still searched
    rows = active  # one beginning each; `beam`, side by side, after the first step
    memory = model.encode(source, lengths)
    state = model.start(memory)
    shared = getattr(model, "shares_memory", False)  # one copy a sentence, or one a row
    token = torch.full_like(rows, bos)
    total = torch.zeros(B, 1, dtype=_widest(device), device=device)
    finished = torch.zeros(B, dtype=torch.long, device=device)  # hypotheses a sentence
    steps, ends = [], []
    for t in range(int(limit.max()) + 1):
        logits, weights, state = model.step(token, state, memory)
        steps.append((token, rows, weights))  # rows: where each came from, a step ago

        best, word, end = _likeliest(logits, min(beam, logits.shape[-1] - 1), eos)
        width, words = total.shape[1], best.shape[1]  # beginnings a sentence, words a beginning
        best.masked_fill_((limit[active] <= t).repeat_interleave(width).unsqueeze(1), -torch.inf)
        word, order = torch.cat([word, torch.full_like(token, eos).unsqueeze(1)], 1).sort(1)
        step = torch.cat([best, end.unsqueeze(1)], 1).gather(1, order)  # (b * width, k + 1)

        sums = (total.view(-1, 1) + step).view(len(active), -1)  # (b, width * (k + 1))
        sums, place = sums.sort(dim=1, descending=True, stable=True)
        first = torch.arange(0, len(token), width, device=device)  # rows of the sentences
        row = place // step.shape[1] + first.unsqueeze(1)
        word = word.view(len(active), -1).gather(1, place)

        over = (word == eos)[:, :beam] & sums[:, :beam].isfinite()
        ends.append((t, active.unsqueeze(1).expand_as(over)[over], row[:, :beam][over],
                     sums[:, :beam][over]))  # fmt: skip
        finished[active] += over.sum(1)
        alive = ((finished[active] < beam) & (limit[active] > t)).nonzero().squeeze(1)
        if not len(alive):
            break
        order = (word == eos).int().argsort(dim=1, stable=True)  # words first, in order
        go_on = order[alive, : min(beam, width * words)]
        total, rows, token = (x[alive].gather(1, go_on) for x in (sums, row, word))
        rows, token = rows.view(-1), token.view(-1)
        state = select(state, rows)
        if len(alive) < len(active) or (go_on.shape[1] > width and not shared):
            active, memory = active[alive], select(memory, alive if shared else rows)
    return _collect(steps, ends, lengths.tolist(), beam, alpha)


class Sampled(nn.Module):
    """A model whose attention samples at test time: each key as often as its weight says.

    At test time a model with a hard or Gumbel selection attends to the key of largest weight. This
    one samples, as in training (Xu et al. 2015, section 4.1), and takes the model's place in
    `greedy`, `beam_search` and `pretrained.Pretrained`. All random numbers of a sentence are drawn
    when it is encoded: the length of the others in its batch changes nothing, and the hypotheses
    that a beam search compares share their draws. The model should be in evaluation mode.

    Parameters
    ----------
    model : seq2seq.Translator or captioning.Captioner
    generator : torch.Generator, optional
        On the CPU, wherever the model is; torch's default unless given.
    steps : int
        The most steps of one sentence, </s> counted.

    Raises
    ------
    ValueError
        If the model makes no choices; when it is asked for more than `steps` steps.

    Examples
    --------
    >>> from attnlib.attention import Attention
    >>> from attnlib.scores import AdditiveScore
    >>> from attnlib.selection import Hard
    >>> from attnlib.seq2seq import Translator
    >>> _ = torch.manual_seed(0)
    >>> attention = Attention(AdditiveScore(5, 10, 5), selection=Hard())
    >>> model = Translator(vocab_size=9, width=4, hidden=5, attention=attention).eval()
    >>> source, lengths = torch.tensor([[5, 6, 2]]), torch.tensor([3])
    >>> def once(seed):
    ...     sampled = Sampled(model, torch.Generator().manual_seed(seed))
    ...     return greedy(sampled, source, lengths, max_length=4)[0].logprob
    >>> once(seed=1) == once(seed=1), once(seed=1) == once(seed=2)
    (True, False)
    """

    def __init__(
        self,
        model: AutoregressiveModel,
        generator: torch.Generator | None = None,
        steps: int = 500,
    ):
        super().__init__()
        attention = model.decoder.attention
        if attention is None or isinstance(attention.selection, Soft):
            kind = "has a fixed context" if attention is None else "averages (selection soft)"
            raise ValueError(f"the model {kind}: there is nothing to sample")
        self.model, self.generator, self.steps = model, generator, steps

    def encode(self, source: Tensor, lengths: Tensor) -> tuple:
        """As the model's own, with draws for all `steps` of each sentence."""
        return self.model.encode(source, lengths, self._draw(source, self.steps))

    def start(self, memory: tuple) -> tuple:
        """The decoder's state before the first step."""
        return self.model.start(memory)

    def step(self, token: Tensor, state: Any, memory: tuple) -> tuple[Tensor, Tensor, tuple]:
        """One step after `token` (B,): logits (B, V), weights (B, S), the new state."""
        if int(state.position[0]) >= self.steps:
            raise ValueError(f"there are draws for {self.steps} steps only: ask for more of them")
        return self.model.step(token, state, memory)

    def forward(self, source: Tensor, lengths: Tensor, target_in: Tensor) -> tuple[Tensor, Tensor]:
        """Teacher forcing: logits (B, T, V) and weights (B, T, S), given the words before each."""
        return self.model(source, lengths, target_in, self._draw(source, target_in.shape[1]))

    def _draw(self, source: Tensor, steps: int) -> Tensor:
        return torch.rand(len(source), steps, generator=self.generator).to(source.device)


class Ensemble(nn.Module):
    """Several models of one vocabulary as one: the mean of their probabilities.

    It takes a model's place in `greedy`, `beam_search` and `pretrained.Pretrained`. The weights are
    those of the first. The models should be in evaluation mode.

    Raises
    ------
    ValueError
        If there is no model.
    """

    def __init__(self, models: Sequence[AutoregressiveModel]):
        super().__init__()
        if not models:
            raise ValueError("an ensemble needs a model")
        self.models = nn.ModuleList(models)
        self._each: tuple[Any, ...] = tuple(models)
        self.shares_memory = all(getattr(model, "shares_memory", False) for model in models)

    def encode(self, source: Tensor, lengths: Tensor) -> tuple:
        """What each has read of the sources."""
        return tuple(model.encode(source, lengths) for model in self._each)

    def start(self, memory: tuple) -> tuple:
        """The state of each before the first step."""
        return tuple(model.start(its) for model, its in zip(self._each, memory, strict=True))

    def step(self, token: Tensor, state: tuple, memory: tuple) -> tuple[Tensor, Tensor, tuple]:
        """One step after `token` (B,): the logarithm of the mean (B, V), weights, new states."""
        logits, weights, after = zip(
            *(
                model.step(token, old, its)
                for model, old, its in zip(self._each, state, memory, strict=True)
            ),
            strict=True,
        )
        mean = torch.stack([_log_softmax(each) for each in logits]).logsumexp(0)
        return mean - math.log(len(logits)), weights[0], after


def _collect(steps, ends, lengths, beam, alpha) -> list[list[Hypothesis]]:
    """Follow each finished hypothesis back to its beginning, and rank those of a sentence."""
    tokens = [token.tolist() for token, _, _ in steps]
    before = [rows.tolist() for _, rows, _ in steps]
    weights = [_numpy(w) for _, _, w in steps]
    found: list[list[tuple[float, float, int, int]]] = [[] for _ in lengths]
    for t, sentences, rows, totals in ends:
        for b, row, total in zip(sentences.tolist(), rows.tolist(), totals.tolist()):
            found[b].append((total / length_penalty(t + 1, alpha), total, t, row))
    ranked: list[list[Hypothesis]] = []
    for b, hypotheses in enumerate(found):
        if not hypotheses:
            raise RuntimeError(f"the model gives no sentence a probability (source row {b})")
        hypotheses.sort(key=lambda found: -found[0])
        ranked.append([])
        for score, total, t, row in hypotheses[:beam]:
            ids, attended = [], []
            for s in range(t, 0, -1):  # the row at step s wrote the token that step s reads
                ids.append(tokens[s][row])
                row = before[s][row]
                attended.append(weights[s - 1][row, : lengths[b]])
            rows = np.array(attended[::-1]).reshape(t, lengths[b])
            ranked[-1].append(Hypothesis(ids[::-1], score, total, rows))
    return ranked


def _limits(source: Tensor, lengths: Tensor, max_length) -> Tensor:
    """`max_length` as one number a sentence (B,)."""
    if source.dim() not in (2, 3, 4) or lengths.shape != source.shape[:1]:
        raise ValueError(
            f"source must be ids (B, S), images (B, 3, H, W) or their features (B, S, D), and "
            f"lengths (B,), got {tuple(source.shape)} and {tuple(lengths.shape)}"
        )
    limit = torch.as_tensor(max_length, dtype=torch.long, device=source.device)
    if limit.dim() and limit.shape != lengths.shape:
        raise ValueError(f"max_length must be one number or {len(source)}, got {len(limit)}")
    if limit.numel() and int(limit.min()) < 0:
        raise ValueError(f"max_length must not be negative, got {int(limit.min())}")
    return limit.expand(len(source)).contiguous()


def _widest(device: torch.device) -> torch.dtype:
    """In what the log-probabilities of a sentence are summed."""
    return torch.float32 if device.type in NO_FLOAT64 else torch.float64


def _likeliest(logits: Tensor, k: int, eos: int) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities and ids (R, k) of the best tokens but </s>, and that of </s> (R,)."""
    found = []
    for some in logits.split(CHUNK):
        logp = _log_softmax(some)
        end = logp[:, eos].clone()
        logp[:, eos] = -torch.inf
        found.append((*_top(logp, k), end))
    best, word, end = (torch.cat(each) for each in zip(*found, strict=True))
    return best, word, end


def _top(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row of (R, V) and where; of one only, the first of equals.

    A CPU goes slowly through a long row, but fast through runs of `RUN` values for the largest of
    each. The k runs whose largest values are largest hold the k largest values of all.
    """
    if not values.is_cpu or values.shape[1] < 4 * k * RUN:
        return _largest(values, k)
    places = torch.arange(values.shape[1])
    runs, rest = places.split([len(places) // RUN * RUN, len(places) % RUN])
    _, which = _largest(values[:, : len(runs)].unflatten(1, (-1, RUN)).amax(2), k)
    some = torch.cat([runs.view(-1, RUN)[which].flatten(1), rest.expand(len(values), -1)], 1)
    best, at = _largest(values.gather(1, some), k)
    return best, some.gather(1, at)


def _largest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    return values.max(1, keepdim=True) if k == 1 else values.topk(k, 1)


def _log_softmax(logits: Tensor) -> Tensor:
    """In float32 at least, whatever the model computes in."""
    return logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))


def _scatter(values: Tensor, rows: Tensor, size: int) -> Tensor:
    """`values` at `rows` of a tensor with `size` rows, zeros elsewhere."""
    return values.new_zeros(size, *values.shape[1:]).index_copy_(0, rows, values)


def _numpy(values: Tensor) -> np.ndarray:
    """As an array; bfloat16, which NumPy lacks, as float32."""
    return (values.float() if values.dtype == torch.bfloat16 else values).cpu().numpy()
