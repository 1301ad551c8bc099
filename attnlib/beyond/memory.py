r"""Attention as a memory: addressing by content and by place, and questions in several hops.

The first half has the addressing of the Neural Turing Machine (Graves et al. 2014, section 3.3), a
few functions without anything to learn. A memory (B, S, D) has S rows; weights (B, S) say where a
head reads or writes. `by_content` is attention with the score `CosineScore` and a temperature; what
comes after it is new: weights that depend on the weights of the step before.

The second half is the end-to-end memory network (Sukhbaatar et al. 2015): one attention, asked
several times, whose answer is added to the question before it is asked again. It learns from
`attnlib.data.stories`, where the sentences that each hop should find are known.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding

from attnlib.attention import Attention
from attnlib.data.stories import KINDS, Questions
from attnlib.masks import masked_softmax
from attnlib.positions import Learned, Positions
from attnlib.scores import CosineScore, DotScore

EMBEDDINGS = ("apart", "shared")
SPREAD = 0.1  # standard deviation of all parameters at first (Sukhbaatar et al. 2015, section 4.2)
Number = float | Tensor  # one for all, or one a row of the batch, (B,)


# Addressing -----------------------------------------------------------------------------------


def by_content(key: Tensor, memory: Tensor, sharpness: Number) -> Tensor:
    r"""Attend to the rows that point where the key points (Graves et al. 2014, eq. 5 and 6).

    .. math:: w^c(i) = \mathrm{softmax}_i\, \beta \cos(k, M(i))

    Parameters
    ----------
    key : Tensor of shape (B, D)
    memory : Tensor of shape (B, S, D)
    sharpness : float, or Tensor of shape (B,)
        :math:`\beta`, the inverse of a temperature; the controller emits it at every step.

    Returns
    -------
    Tensor of shape (B, S)

    Examples
    --------
    The cosines are 1, 0 and -1, and exp of them by log 2 is 2, 1 and 1/2, sevenths in all:

    >>> memory = torch.tensor([[[1.0, 0.0], [0.0, 3.0], [-2.0, 0.0]]])
    >>> by_content(torch.tensor([[1.0, 0.0]]), memory, torch.tensor(2.0).log()) * 7
    tensor([[4., 2., 1.]])
    """
    score = CosineScore().requires_grad_(False)  # its own sharpness is 1 and is not learned
    return masked_softmax(_each(sharpness) * score(key.unsqueeze(1), memory)[:, 0])


def interpolate(content: Tensor, before: Tensor, gate: Number) -> Tensor:
    r"""Between these weights and those of the step before (Graves et al. 2014, eq. 7).

    :math:`g\, w^c + (1 - g)\, w_{t-1}`: with `gate` 1 the content decides, with 0 the head stays
    where it was, whatever it was asked for. Weights are (B, S).

    >>> interpolate(torch.tensor([[0.75, 0.25]]), torch.tensor([[0.0, 1.0]]), gate=0.5)
    tensor([[0.3750, 0.6250]])
    """
    gate = _each(gate)
    return gate * content + (1 - gate) * before


def shift(weights: Tensor, shifts: Tensor) -> Tensor:
    r"""Move the weights along, round the circle (Graves et al. 2014, eq. 8).

    .. math:: \tilde w(i) = \sum_j w(j)\, s(i - j \bmod S)

    Parameters
    ----------
    weights : Tensor of shape (B, S)
    shifts : Tensor of shape (B, 2R + 1)
        :math:`s`, the shares that move by -R, …, 0, …, R places; they sum to 1.

    Raises
    ------
    ValueError
        If the number of shifts is even: there is no middle that stays.

    Examples
    --------
    >>> shift(torch.tensor([[0.5, 0.5, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0]]))
    tensor([[0.0000, 0.5000, 0.5000, 0.0000]])
    """
    places = shifts.shape[-1]
    if places % 2 == 0:
        raise ValueError(f"shifts must be an odd number, from -R to R, got {places}")
    by = range(-(places // 2), places // 2 + 1)
    moved = [share.unsqueeze(-1) * weights.roll(n, -1) for n, share in zip(by, shifts.unbind(-1))]
    return torch.stack(moved).sum(0)


def sharpen(weights: Tensor, power: Number) -> Tensor:
    r"""Undo the blur that a shift leaves (Graves et al. 2014, eq. 9).

    :math:`w(i)^\gamma / \sum_j w(j)^\gamma`, of weights (B, S) with :math:`\gamma \ge 1`: a
    temperature again, for these are the softmax of :math:`\gamma \log w`.

    >>> sharpen(torch.tensor([[0.1, 0.8, 0.1]]), power=2.0)
    tensor([[0.0152, 0.9697, 0.0152]])
    """
    raised = weights ** _each(power)
    return raised / raised.sum(-1, keepdim=True)


def read(memory: Tensor, weights: Tensor) -> Tensor:
    """The average row (B, D) of a memory (B, S, D) (Graves et al. 2014, eq. 2): a context."""
    return (weights.unsqueeze(1) @ memory).squeeze(1)


def write(memory: Tensor, weights: Tensor, erase: Tensor, add: Tensor) -> Tensor:
    r"""Erase, then add, as much as the weight says (Graves et al. 2014, eq. 3 and 4).

    .. math:: M_t(i) = M_{t-1}(i) \odot (1 - w(i)\, e) + w(i)\, a

    Parameters
    ----------
    memory : Tensor of shape (B, S, D)
    weights : Tensor of shape (B, S)
    erase, add : Tensors of shape (B, D)
        `erase` from 0 to 1: which of a row's numbers go.

    Returns
    -------
    Tensor of shape (B, S, D)
        The new memory; the old one is as it was.

    Examples
    --------
    >>> memory, weights = torch.tensor([[[4.0, 4.0], [8.0, 8.0]]]), torch.tensor([[1.0, 0.5]])
    >>> write(memory, weights, erase=torch.tensor([[1.0, 0.0]]), add=torch.tensor([[0.0, 2.0]]))
    tensor([[[0., 6.],
             [4., 9.]]])
    """
    each = weights.unsqueeze(-1)  # (B, S, 1)
    return memory * (1 - each * erase.unsqueeze(1)) + each * add.unsqueeze(1)


def _each(number: Number) -> Number:
    """One number a row as a column, (B, 1), to multiply weights (B, S) with."""
    return number.unsqueeze(-1) if isinstance(number, Tensor) and number.dim() else number


# Questions in several hops --------------------------------------------------------------------


class Answers(NamedTuple):
    """What a memory network made of N questions."""

    logits: Tensor  # (N, V), of the answer
    weights: Tensor  # (N, K, S): where each of K hops looked, the last sentence first


class MemoryNetwork(nn.Module):
    r"""Ask a memory of sentences K times (Sukhbaatar et al. 2015, section 2).

    .. math:: p_i = \mathrm{softmax}_i\, u^\top m_i, \qquad o = \sum_i p_i c_i, \qquad
              u \leftarrow u + o

    A hop is the attention of chapter 2 with a dot score: keys m and values c are the sentences,
    each embedded twice. After the last hop :math:`W u` are the logits of the answer. Embeddings are
    tied from hop to hop as in the paper ("adjacent", section 2.2): the values of a hop are the keys
    of the next, the question is embedded as the first keys are, and W is the last values'.

    Parameters
    ----------
    vocab_size : int
    width : int
        D, of everything.
    hops : int
        K.
    embeddings : "apart" or "shared"
        K + 1 matrices, or one for all: then a sentence's value is its key.
    ordered : bool
        Whether a sentence tells the order of its words (the paper's position encoding, section
        4.1); otherwise it is a bag of words.
    timed : bool
        Whether it tells when it was said: a learned vector a place, counted from the end, is added
        to key and value (section 4.1, temporal encoding).
    longest : int
        The number of such places; a longer story is refused.

    Raises
    ------
    ValueError
        If `hops` is not positive or `embeddings` is unknown; when called, if a story is longer than
        `longest` (with `timed`).
    """

    def __init__(
        self,
        vocab_size: int,
        width: int = 32,
        hops: int = 3,
        embeddings: str = "apart",
        ordered: bool = True,
        timed: bool = True,
        longest: int = 40,
    ):
        super().__init__()
        if hops < 1:
            raise ValueError(f"hops must be at least 1, got {hops}")
        if embeddings not in EMBEDDINGS:
            raise ValueError(f"unknown embeddings {embeddings!r}: one of {', '.join(EMBEDDINGS)}")
        number = hops + 1 if embeddings == "apart" else 1
        self.hops, self.ordered = hops, ordered
        self.words = nn.ParameterList(torch.empty(vocab_size, width) for _ in range(number))
        self.times = nn.ModuleList(
            Learned(width, longest) if timed else Positions() for _ in range(number)
        )
        self.attention = Attention(DotScore())
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=SPREAD)

    def forward(self, asked: Questions, linear: bool = False) -> Answers:
        """Answer questions.

        Parameters
        ----------
        asked : Questions
            Of N stories.
        linear : bool
            Without the softmax: a hop's weights are its scores (section 4.2, "linear start").
        """
        mask = asked.mask.unsqueeze(1)
        placed = self.placed(asked.sentences)
        memories = [  # of each pair of tables one, (N, S, D)
            time((placed * embedding(asked.sentences, word)).sum(-2))
            for word, time in zip(self.words, self.times, strict=True)
        ]
        question = self.placed(asked.questions) * embedding(asked.questions, self.words[0])
        u, found = question.sum(-2).unsqueeze(1), []  # (N, 1, D)
        for hop in range(self.hops):
            keys, values = memories[hop % len(memories)], memories[(hop + 1) % len(memories)]
            if linear:
                weights = self.attention.score(u, keys).masked_fill(~mask, 0.0)
                o = weights @ values
            else:
                o, weights = self.attention(u, keys, values, mask)
            u = u + o
            found.append(weights)
        return Answers(u[:, 0] @ self.words[-1].T, torch.cat(found, 1))

    def placed(self, ids: Tensor) -> Tensor:
        r"""What each number of each word vector is multiplied by: (…, J, D) of ids (…, J).

        :math:`(1 - j/J) - (k/D)(1 - 2j/J)` for word j of J and dimension k of D, both from 1
        (section 4.1): the first words are heard in the low dimensions, the last in the high ones.
        All 1 where words are not `ordered`; 0 where there is no word.
        """
        real = (ids > 0).unsqueeze(-1).to(self.words[0])  # (…, J, 1)
        if not self.ordered:
            return real
        J, D = ids.shape[-1], self.words[0].shape[-1]
        words = torch.arange(1, J + 1).to(real).unsqueeze(-1)
        share = words / real.sum(-2, keepdim=True).clamp(min=1)  # j/J
        depth = torch.arange(1, D + 1).to(real) / D  # k/D
        return real * (1 - share - depth * (1 - 2 * share))


def fit(
    model: MemoryNetwork,
    asked: Questions,
    updates: int = 9000,
    linear: int = 3000,
    lr: float = 0.005,
    batch: int = 64,
    seed: int = 0,
) -> MemoryNetwork:
    """Train with Adam, its rate falling to zero in a line; the model comes back.

    Parameters
    ----------
    linear : int
        The number of updates at first without the softmax, the paper's remedy against poor local
        minima (section 4.2): three hops find their facts sooner with it.
    """
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, updates)
    for update in range(updates):
        some = asked[torch.randint(len(asked), (batch,), generator=generator)]
        loss = cross_entropy(model(some, linear=update < linear).logits, some.answers)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        falling.step()
    return model


def pointing(weights: Tensor, facts: Tensor) -> Tensor:
    """How often a hop looks most at each fact: (K, 3), NaN where no question has such a fact.

    Parameters
    ----------
    weights : Tensor of shape (N, K, S)
    facts : Tensor of shape (N, 3)
        Places of the sentences, -1 for none: `stories.Questions.facts`.

    Examples
    --------
    >>> weights = torch.tensor([[[0.1, 0.9], [0.8, 0.2]], [[0.6, 0.4], [0.7, 0.3]]])
    >>> pointing(weights, torch.tensor([[1, 0, -1], [1, 0, -1]]))
    tensor([[0.5000, 0.5000,    nan],
            [0.0000, 1.0000,    nan]])
    """
    hit = weights.argmax(-1).unsqueeze(2) == facts.unsqueeze(1)  # (N, K, 3)
    return hit.sum(0) / (facts >= 0).sum(0)


@torch.no_grad()
def marks(model: MemoryNetwork, asked: Questions) -> dict[int, dict]:
    """By the number of facts: the share of ``right`` answers, and ``pointing`` as nested lists."""
    answered, kinds = model(asked), (asked.facts >= 0).sum(1)
    right = answered.logits.argmax(-1) == asked.answers
    found = {}
    for kind in KINDS:
        rows = kinds == kind
        if rows.any():
            shares = pointing(answered.weights[rows], asked.facts[rows])[:, :kind]
            found[kind] = {
                "right": float(right[rows].double().mean()),
                "pointing": shares.tolist(),
            }
    return found
