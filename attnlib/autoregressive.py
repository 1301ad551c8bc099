"""What all models of the book share: a tied embedding, and decoding one word after another.

A recurrent translator, a captioner and a transformer differ in their encoders, in the state that
their decoders carry from step to step and in what they attend to. `training` and `decoding` rely
only on what is declared here.
"""

import abc
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn


def embedding_table(vocab_size: int, width: int, pad: int) -> nn.Embedding:
    """An embedding (V, E) whose vectors have a length of about 1; that of padding is zero."""
    embedding = nn.Embedding(vocab_size, width, padding_idx=pad)
    nn.init.normal_(embedding.weight, std=width**-0.5)
    nn.init.zeros_(embedding.weight[pad].detach())
    return embedding


def check_source(source: Tensor, lengths: Tensor) -> None:
    """Refuse anything but a batch of ids (B, S) with their lengths (B,), none of them 0."""
    if source.dim() != 2 or lengths.shape != source.shape[:1]:
        raise ValueError(
            f"source must be (B, S) and lengths (B,), got {tuple(source.shape)} "
            f"and {tuple(lengths.shape)}"
        )
    if lengths.numel() and int(lengths.min()) < 1:
        raise ValueError("a source sentence is empty: end it with </s>, or leave it out")


class TiedOutput(nn.Module):
    r"""An output layer that shares the embedding's matrix, :math:`p = \mathrm{softmax}(E h + b)`.

    So a word has one vector, whether it is read or written (weight tying, Press and Wolf 2017).

    Attributes
    ----------
    embedding : nn.Embedding
        E, of shape (V, E).
    bias : nn.Parameter
        b, of shape (V,).
    """

    embedding: nn.Embedding
    bias: nn.Parameter

    def output(self, vector: Tensor) -> Tensor:
        """Logits (..., V) of output vectors (..., E)."""
        return nn.functional.linear(vector, self.embedding.weight, self.bias)


class AutoregressiveModel(TiedOutput, abc.ABC):
    """A model that writes a target word by word, each given the words before it and a source.

    A subclass makes the attributes and defines `encode`. What the decoder knows of the source (the
    memory) and what it carries from step to step (the state) are named tuples of its own.

    Attributes
    ----------
    embedding, bias
        See `TiedOutput`.
    decoder : nn.Module
        Has ``start(memory)``, ``step(embedded, state, memory)`` and ``forward(embedded, memory)``,
        and an attribute ``attention``: the `Attention` whose weights come back, or None.
    dropout : nn.Module
        On the embedded target words.
    """

    decoder: nn.Module
    dropout: nn.Module

    _renamed: ClassVar[dict[str, str]] = {}  # parameters' earlier names, or parts of them

    def load_state_dict(self, state_dict: Mapping[str, Tensor], *args, **kwargs):
        """As `torch.nn.Module.load_state_dict`; parameters may bear their earlier names."""
        state_dict = dict(state_dict)
        for before, now in self._renamed.items():
            state_dict = {key.replace(before, now): value for key, value in state_dict.items()}
        return super().load_state_dict(state_dict, *args, **kwargs)

    @abc.abstractmethod
    def encode(self, source: Tensor, lengths: Tensor, draws: Tensor | None = None) -> tuple:
        """Encode a source batch of the given lengths (B,): the memory.

        `draws` (B, T) are the random numbers by which a hard selection chooses at each of T steps;
        see `selection.Hard`.
        """

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

        With `need_weights` False a transformer saves time, and None comes back for the weights; a
        recurrent decoder has them anyway.
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
