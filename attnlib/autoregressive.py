"""What all models of the book share: a tied embedding, and decoding one word after another.

A recurrent translator, a captioner and a transformer differ in their encoders, in the state that
their decoders carry from step to step and in what they attend to. `training` and `decoding` rely
only on what is declared here.
"""

import abc
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from torch import Tensor, nn

from attnlib.attention import Attention
from attnlib.linear import linear

Memory = TypeVar("Memory", bound=tuple)  # what a decoder knows of the source
State = TypeVar("State", bound=tuple)  # what it carries from step to step
Memory_contra = TypeVar("Memory_contra", bound=tuple, contravariant=True)


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
        return linear(vector, self.embedding.weight, self.bias)


class Decoder(Protocol[Memory_contra, State]):
    """What a model's decoder has; the decoders themselves are modules."""

    @property
    def attention(self) -> Attention | None:
        """The attention whose weights come back, if there is one."""

    def start(self, memory: Memory_contra) -> State:
        """The state before the first step."""

    def step(
        self, embedded: Tensor, state: State, memory: Memory_contra
    ) -> tuple[Tensor, Tensor, State]:
        """One step on words (B, E): output vectors (B, E), weights (B, S), the new state."""

    def __call__(self, embedded: Tensor, memory: Memory_contra) -> tuple[Tensor, Tensor]:
        """All steps on given words (B, T, E): vectors (B, T, E), weights (B, T, S)."""


class AutoregressiveModel(TiedOutput, abc.ABC, Generic[Memory, State]):
    """A model that writes a target word by word, each given the words before it and a source.

    A subclass makes the attributes and defines `encode`. What the decoder knows of the source (the
    memory) and what it carries from step to step (the state) are named tuples of its own.

    Attributes
    ----------
    embedding, bias
        See `TiedOutput`.
    decoder : nn.Module
        A module that is a `Decoder`: it has ``start``, ``step`` and ``forward``, and an attribute
        ``attention``.
    dropout : nn.Module
        On the embedded target words.
    shares_memory : bool
        Whether `step` on B words takes a memory of fewer sentences, B / k, and lets k words after
        one another share each: a beam's. If not, `decoding.beam_search` repeats the memory.
    """

    decoder: Decoder[Memory, State]
    dropout: nn.Module
    shares_memory: ClassVar[bool] = False

    _renamed: ClassVar[dict[str, str]] = {}  # parameters' earlier names, or parts of them

    def load_state_dict(self, state_dict: Mapping[str, Any], *args, **kwargs):
        """As `torch.nn.Module.load_state_dict`; parameters may bear their earlier names."""
        state_dict = dict(state_dict)
        for before, now in self._renamed.items():
            state_dict = {key.replace(before, now): value for key, value in state_dict.items()}
        return super().load_state_dict(state_dict, *args, **kwargs)

    @abc.abstractmethod
    def encode(self, source: Tensor, lengths: Tensor, draws: Tensor | None = None) -> Memory:
        """Encode a source batch of the given lengths (B,): the memory.

        `draws` (B, T) are the random numbers by which a hard selection chooses at each of T steps;
        see `selection.Hard`.
        """

    def start(self, memory: Memory) -> State:
        """The decoder's state before the first step."""
        return self.decoder.start(memory)

    def step(self, token: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, State]:
        """One step after `token` (B,): logits (B, V), weights (B, S), the new state."""
        vector, weights, state = self.decoder.step(self.embedding(token), state, memory)
        return self.output(vector), weights, state

    def hidden_forward(
        self, source: Tensor, lengths: Tensor, target_in: Tensor, draws: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Teacher forcing up to the output vectors (B, T, E), and the weights (B, T, S)."""
        vectors, weights = self.decode(self.encode(source, lengths, draws), target_in)
        assert weights is not None  # they were asked for
        return vectors, weights

    def decode(
        self, memory: Memory, target_in: Tensor, need_weights: bool = True
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
