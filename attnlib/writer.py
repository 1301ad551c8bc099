"""What all models of the book share: one embedding, one output layer, writing word by word.

A recurrent translator, a captioner and a transformer differ in what they carry from step to step
and in where they look. `training` and `decoding` know only what is here.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from attnlib.selection import Soft


def embedding_table(vocab_size: int, width: int, pad: int) -> nn.Embedding:
    """Vectors of a length of about 1, for words that are read and written; padding's is zero."""
    embedding = nn.Embedding(vocab_size, width, padding_idx=pad)
    nn.init.normal_(embedding.weight, std=width**-0.5)
    nn.init.zeros_(embedding.weight[pad].detach())
    return embedding


def check_source(source: Tensor, lengths: Tensor) -> None:
    """Refuse what is not a batch of ids (B, S) with their lengths (B,), none of them empty."""
    if source.dim() != 2 or lengths.shape != source.shape[:1]:
        raise ValueError(
            f"source must be (B, S) and lengths (B,), got {tuple(source.shape)} "
            f"and {tuple(lengths.shape)}"
        )
    if lengths.numel() and int(lengths.min()) < 1:
        raise ValueError("a source sentence is empty: end it with </s>, or leave it out")


class Tied(nn.Module):
    r"""The output layer is the embedding's matrix: :math:`p = \mathrm{softmax}(E h + b)`.

    So a word has one vector, whether it is read or written (Press and Wolf 2017). Its class makes
    ``embedding`` and ``bias``.
    """

    def output(self, vector: Tensor) -> Tensor:
        """Logits (..., V) of output vectors (..., E)."""
        return nn.functional.linear(vector, self.embedding.weight, self.bias)


class Writer(Tied):
    """What every model that writes word by word shares, whatever its source is.

    Its class also makes ``dropout`` and ``decoder``, and has ``encode``. What it carries, a memory
    of the source and a state from step to step, are named tuples of its own.
    """

    _renamed: ClassVar[dict[str, str]] = {}  # parameters' earlier names, or parts of them

    def load_state_dict(self, state_dict: Mapping[str, Tensor], *args, **kwargs):
        """As `torch.nn.Module.load_state_dict`; parameters may bear their earlier names."""
        state_dict = dict(state_dict)
        for before, now in self._renamed.items():
            state_dict = {key.replace(before, now): value for key, value in state_dict.items()}
        return super().load_state_dict(state_dict, *args, **kwargs)

    def start(self, memory: tuple) -> tuple:
        """The decoder's state before the first step."""
        return self.decoder.start(memory)

    def step(self, token: Tensor, state: tuple, memory: tuple) -> tuple[Tensor, Tensor, tuple]:
        """One step after `token` (B,): logits (B, V), weights (B, S), the new state."""
        vector, weights, state = self.decoder.step(self.embedding(token), state, memory)
        return self.output(vector), weights, state

    def hidden_forward(
        self, source: Tensor, lengths: Tensor, target_in: Tensor, draws: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Teacher forcing up to the output vectors (B, T, E), and the weights (B, T, S)."""
        return self.decode(self.encode(source, lengths, draws), target_in)

    def decode(
        self, memory: tuple, target_in: Tensor, need_weights: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """Teacher forcing on what was encoded: output vectors (B, T, E), weights (B, T, S).

        Who needs no weights says so: a recurrent decoder has them anyway, another may save time.
        """
        return self.decoder(self.dropout(self.embedding(target_in)), memory)

    def forward(
        self, source: Tensor, lengths: Tensor, target_in: Tensor, draws: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Teacher forcing: logits (B, T, V) and weights (B, T, S), given the words before each.

        `draws` (B, T) are those of `encode`.
        """
        vectors, weights = self.hidden_forward(source, lengths, target_in, draws)
        return self.output(vectors), weights


class Sampled(nn.Module):
    """A translator that chooses by chance at test time, each key as often as its weight says.

    A translator with a hard or Gumbel selection looks at the key of most weight when it
    translates. This one samples, as in training (Xu et al. 2015, section 4.1), and takes its place
    in `decoding.greedy`, `decoding.beam_search` and `pretrained.Pretrained`. What a sentence needs
    is drawn when it is encoded: the length of the others in its batch changes nothing, and the
    beginnings that a beam search compares share their draws. The model should be in evaluation
    mode.

    Parameters
    ----------
    model : seq2seq.Translator or captioning.Captioner
    generator : torch.Generator, optional
        On the CPU, wherever the model is; torch's own unless given. The same seed draws the same.
    steps : int
        Most steps of one sentence, </s> counted.

    Raises
    ------
    ValueError
        If the model has nothing to choose; when it steps on after `steps`.

    Examples
    --------
    >>> from attnlib.decoding import greedy
    >>> from attnlib.seq2seq import Translator
    >>> _ = torch.manual_seed(0)
    >>> model = Translator(vocab_size=9, width=4, hidden=5, selection="hard").eval()
    >>> source, lengths = torch.tensor([[5, 6, 2]]), torch.tensor([3])
    >>> def once(seed):
    ...     sampled = Sampled(model, torch.Generator().manual_seed(seed))
    ...     return greedy(sampled, source, lengths, max_length=4)[0].logprob
    >>> once(seed=1) == once(seed=1), once(seed=1) == once(seed=2)
    (True, False)
    """

    def __init__(self, model: Writer, generator: torch.Generator | None = None, steps: int = 500):
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

    def step(self, token: Tensor, state: tuple, memory: tuple) -> tuple[Tensor, Tensor, tuple]:
        """One step after `token` (B,): logits (B, V), weights (B, S), the new state."""
        if int(state.position[0]) >= self.steps:
            raise ValueError(f"there are draws for {self.steps} steps only: ask for more of them")
        return self.model.step(token, state, memory)

    def forward(self, source: Tensor, lengths: Tensor, target_in: Tensor) -> tuple[Tensor, Tensor]:
        """Teacher forcing: logits (B, T, V) and weights (B, T, S), given the words before each."""
        return self.model(source, lengths, target_in, self._draw(source, target_in.shape[1]))

    def _draw(self, source: Tensor, steps: int) -> Tensor:
        return torch.rand(len(source), steps, generator=self.generator).to(source.device)
