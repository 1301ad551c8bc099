r"""Without attention: other matrices in its place, and the task that tells them apart.

All heads of an attention do :math:`y = M v`: M says how much of the value at s comes to t. In an
attention M depends on what is read; here it does not, and the values v and what is done with y
afterwards stay as they are:

* `PlaceTable`: M is learned, one number a pair of places, one matrix a head (the Random
  Synthesizer of Tay et al. 2021, without its softmax; MLP-Mixer, Tolstikhin et al. 2021, mixes
  places by such matrices too, with a nonlinearity between two of them);
* `Taps`: M depends on s - t alone, and is 0 beyond a few words: a depthwise convolution, another
  one in each channel;
* `States`: M depends on s - t alone, and fades: a diagonal state-space layer (S4D, Gu, Gupta et al.
  2022), which is a linear recurrence and a convolution at once;
* `Sum`: nothing about M is learned: every word comes to every place, all equally.

`encoder` puts one in the place of the self-attention of every block of a `LanguageModel`; what it
saves in parameters goes to the feed-forward layers. Filling blanks in captions (`filling`) hardly
needs more. `recall` does: which value stood beside this key?
"""

from math import pi

import torch
from torch import Tensor, nn

from attnlib.beyond.filling import MASK
from attnlib.multihead import KeyValue
from attnlib.transformer import LanguageModel
from attnlib.windows import Everywhere


class FixedMixing(nn.Module):
    r"""In the place of `multihead.MultiHeadAttention` in a block: :math:`W_O M W_V x`.

    A subclass defines `matrix`. As attention does, it leaves out what a mask hides: those columns
    of M are 0.

    Parameters
    ----------
    width : int
        D.
    groups : int
        Number of matrices, one for each D / groups channels; `heads` of an attention.
    """

    def __init__(self, width: int, groups: int):
        super().__init__()
        self.heads = groups
        self.W_V, self.W_O = (nn.Linear(width, width, bias=False) for _ in range(2))
        for projection in (self.W_V, self.W_O):
            nn.init.xavier_uniform_(projection.weight)

    def matrix(self, T: int) -> Tensor:
        """M for sentences of T words: (groups, T, T)."""
        raise TypeError(f"{type(self).__name__} must define matrix")

    def prepare(self, keys: Tensor, values: Tensor, start: int = 0) -> KeyValue:
        """Project values (B, S, D) once; there are no keys."""
        v = self.W_V(values).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return KeyValue(v, v)

    def attend(
        self,
        queries: Tensor,
        prepared: KeyValue,
        mask: Tensor | None = None,
        start: int = 0,
        need_weights: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """What comes to every place (B, T, D), and M (B, groups, T, T), whatever is asked."""
        v = prepared.values  # (B, G, T, D / G)
        M = self.matrix(v.shape[2])
        if mask is not None:
            v = v * mask.transpose(1, 2).unsqueeze(1)  # the mask is (B, 1, T)
        y = torch.einsum("gts,bgsd->bgtd", M, v)
        weights = None
        if need_weights:
            weights = M.expand(len(v), -1, -1, -1)
            weights = weights if mask is None else weights * mask.unsqueeze(1)
        return self.W_O(y.transpose(1, 2).flatten(2)), weights


class PlaceTable(FixedMixing):
    """One number for each pair of places, up to the longest sentence; one matrix a head."""

    def __init__(self, width: int, longest: int, heads: int = 4):
        super().__init__(width, heads)
        self.M = nn.Parameter(torch.randn(heads, longest, longest) * longest**-0.5)

    def matrix(self, T: int) -> Tensor:
        """The upper left corner: (heads, T, T)."""
        longest = self.M.shape[1]
        if longest < T:
            raise ValueError(f"the table has {longest} places, got a sentence of {T}")
        return self.M[:, :T, :T]


class Taps(FixedMixing):
    """A depthwise convolution: each channel has a number for each distance up to `reach`."""

    def __init__(self, width: int, reach: int = 3):
        super().__init__(width, width)
        self.taps = nn.Parameter(torch.randn(width, 2 * reach + 1) * (2 * reach + 1) ** -0.5)

    def matrix(self, T: int) -> Tensor:
        """The taps along the diagonals: (D, T, T)."""
        return along_diagonals(self.taps, T)


class States(FixedMixing):
    r"""A diagonal state-space layer in both directions (S4D-Lin, Gu, Gupta et al. 2022).

    Each channel has N complex states that turn and fade, and each word is added to all of them:

    .. math:: h_t = e^{\Delta A} \odot h_{t-1} + \bar B v_t, \qquad y_t = 2\, \mathrm{Re}\, C h_t,
              \qquad \bar B = (e^{\Delta A} - 1) / A

    Unrolled, :math:`y_t = \sum_{l \ge 0} K_l v_{t-l}` with :math:`K_l = 2\,\mathrm{Re} \sum_n C_n
    \bar B_n e^{l \Delta A_n}`. A second C reads from right to left. At first
    :math:`A_n = -1/2 + i \pi n`, and :math:`\Delta` is drawn between 0.01 and 1, evenly in its
    logarithm (the paper: from 0.001 to 0.1, for sequences of a thousand places and more).
    """

    def __init__(self, width: int, states: int = 8):
        super().__init__(width, width)
        self.log_step = nn.Parameter(torch.empty(width, 1).uniform_(-4.6, 0.0))
        self.log_decay = nn.Parameter(torch.full((width, states), 0.5).log())
        self.turn = nn.Parameter(pi * torch.arange(states).repeat(width, 1).float())
        self.C = nn.Parameter(torch.randn(2, width, states, 2) * 0.5**0.5)  # real, imaginary

    def kernels(self, T: int) -> Tensor:
        """K of both directions for T distances: (2, D, T)."""
        A = torch.complex(-self.log_decay.exp(), self.turn)  # (D, N)
        step = A * self.log_step.exp()
        B = (step.exp() - 1) / A
        powers = (step.unsqueeze(-1) * torch.arange(T)).exp()  # (D, N, T)
        return 2 * torch.einsum("kdn,dnt->kdt", torch.view_as_complex(self.C) * B, powers).real

    def matrix(self, T: int) -> Tensor:
        """The kernels along the diagonals, the first one below, the second above: (D, T, T)."""
        left, right = self.kernels(T)
        middle = left[:, :1] + right[:, :1]
        return along_diagonals(torch.cat([left[:, 1:].flip(-1), middle, right[:, 1:]], 1), T)


class Sum(FixedMixing):
    """The same number everywhere: each place has the sum of all words, and cannot tell whose."""

    share: Tensor

    def __init__(self, width: int, longest: int):
        super().__init__(width, 1)
        share = torch.tensor(longest**-0.5)  # as large as those of a table at first
        self.register_buffer("share", share, persistent=False)

    def matrix(self, T: int) -> Tensor:
        """One matrix for all channels: (1, T, T)."""
        return self.share.expand(1, T, T)


def along_diagonals(taps: Tensor, T: int) -> Tensor:
    """Matrices (C, T, T) whose entry at t, s is tap s - t of (C, 2 R + 1), the middle one tap 0.

    >>> along_diagonals(torch.tensor([[1.0, 2.0, 3.0]]), 3)
    tensor([[[2., 3., 0.],
             [1., 2., 3.],
             [0., 1., 2.]]])
    """
    reach = taps.shape[1] // 2
    way = torch.arange(T) - torch.arange(T).unsqueeze(1)  # s - t
    return taps[:, (way + reach).clamp(0, 2 * reach)] * (way.abs() <= reach)


MIXINGS = ("attention", "table", "taps", "states", "sum")


def encoder(
    mixing: str,
    vocab_size: int,
    width: int = 96,
    layers: int = 2,
    heads: int = 4,
    feed_forward: int = 192,
    longest: int = 40,
    reach: int = 3,
    dropout: float = 0.1,
) -> LanguageModel:
    """An encoder that fills blanks, with attention or something else in its place.

    The feed-forward layers are made wider by what the something saves, so that all have the same
    number of parameters, up to half a hidden unit.

    Raises
    ------
    ValueError
        If `mixing` is none of `MIXINGS`, or has so many parameters that none are left.

    Examples
    --------
    >>> sizes = [sum(p.numel() for p in encoder(m, 100).parameters()) for m in MIXINGS]
    >>> max(sizes) / min(sizes) < 1.005
    True
    """
    if mixing not in MIXINGS:
        raise ValueError(f"unknown mixing {mixing!r}: one of {', '.join(MIXINGS)}")
    made: dict = {
        "table": lambda: PlaceTable(width, longest, heads),
        "taps": lambda: Taps(width, reach),
        "states": lambda: States(width),
        "sum": lambda: Sum(width, longest),
    }
    wider = feed_forward
    if mixing != "attention":
        saved = 4 * width**2 - sum(p.numel() for p in made[mixing]().parameters())
        wider += round(saved / (2 * width + 1))  # a hidden unit has 2 D weights and a bias
    if wider < 1:
        raise ValueError(f"{mixing} alone has more parameters than a block: make it wider")
    model = LanguageModel(
        vocab_size,
        width,
        layers=layers,
        heads=heads,
        feed_forward=wider,
        window=Everywhere,
        dropout=dropout,
    )
    if mixing != "attention":
        for block in model.stack.blocks:
            block.register_module("self_attention", made[mixing]())
    return model


# Recall ---------------------------------------------------------------------------------------

KEYS, VALUES = 32, 16  # kinds of keys and of values
RECALL_WORDS = MASK + 1 + KEYS + VALUES + KEYS * VALUES  # the size of the vocabulary


def recall(pairs: int, number: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Some pairs of a key and a value, then each of the keys again: which value was with it?

    Multi-query associative recall (Arora et al. 2023), with each pair in one word, so that a single
    attention can do it: "red-7 blue-2 green-9 blue-? red-? green-?". Which value is with a key is
    drawn anew for each sequence; no value comes twice in it, so who knows the values but not which,
    is right once in `pairs`.

    Parameters
    ----------
    pairs : int
        At most `VALUES`.
    number : int
        N.
    generator : torch.Generator

    Returns
    -------
    ids : Tensor of shape (N, 2 pairs)
        From MASK + 1 on the `KEYS` words that ask, then the `VALUES` that are answers, then those
        that tell, each value with the first key, and so on.
    answers : Tensor of shape (N, pairs)
        To the second half of the words.
    """
    if not 1 <= pairs <= VALUES:
        raise ValueError(f"pairs must be from 1 to {VALUES}, got {pairs}")
    keys, values, again = (
        torch.rand(number, kinds, generator=generator).argsort(1)[:, :pairs]
        for kinds in (KEYS, VALUES, pairs)
    )
    told = MASK + 1 + KEYS + VALUES + VALUES * keys + values
    asked = MASK + 1 + keys.gather(1, again)
    return torch.cat([told, asked], 1), MASK + 1 + KEYS + values.gather(1, again)
