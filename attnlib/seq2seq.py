r"""The recurrent encoder-decoder, with its timing and feeding dials.

The encoder reads the source both ways into *annotations*; the decoder writes the target one token a
step. Two dials say how it meets the attention, and neither says anything of the score:

* **timing**: ``before``, the state :math:`s_{t-1}` asks and the context helps to make :math:`s_t`
  (Bahdanau et al. 2015); ``after``, the new state :math:`h_t` asks (Luong et al. 2015);
* **feeding**: what the cell sees beside the previous word: the ``context`` (this step's when the
  timing is before, the last step's when it is after), the last attentional vector (``input``
  feeding, Luong et al. 2015, section 3.3), or ``none``.

Without a score the context is fixed: the encoder's summary, given at ``every_step`` (Cho et al.
2014) or as the ``first_state`` alone (Sutskever et al. 2014).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from attnlib import scores, selection, windows
from attnlib.attention import Attention
from attnlib.autoregressive import AutoregressiveModel, check_source, embedding_table
from attnlib.masks import padding_mask

TIMINGS = ("before", "after")
FEEDINGS = ("context", "input", "none")
FIXED = ("every_step", "first_state")


class RecurrentMemory(NamedTuple):
    """What the decoder knows of a source batch; computed once a sentence, or an image."""

    annotations: Tensor  # (B, S, D), keys and values; D is 2H for sentences
    prepared: Tensor  # the keys, prepared for the score
    mask: Tensor  # (B, S), True at real positions
    summary: Tensor  # (B, D), the encoder's two final states, or an image's mean annotation
    draws: Tensor | None = None  # (B, T), what chance decides at each step (`selection.Hard`)


class RecurrentState(NamedTuple):
    """What the decoder carries from step to step."""

    hidden: Tensor  # (B, H)
    fed: Tensor  # (B, F), what feeding passes on; F may be 0
    position: Tensor  # (B,), the number of steps taken


class RecurrentEncoder(nn.Module):
    """Bidirectional GRU over embedded tokens (Bahdanau et al. 2015, section 3.2).

    Sequences are packed: the backward half starts at each sentence's own last token, and both final
    states are read there, so padding changes nothing.
    """

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.rnn = nn.GRU(width, hidden, bidirectional=True, batch_first=True)

    def forward(self, embedded: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Read embedded tokens (B, S, E): annotations (B, S, 2H) and summary (B, 2H)."""
        packed = pack_padded_sequence(
            embedded, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        annotations, final = self.rnn(packed)
        annotations, _ = pad_packed_sequence(
            annotations, batch_first=True, total_length=embedded.shape[1]
        )
        return annotations, torch.cat([final[0], final[1]], -1)


class RecurrentDecoder(nn.Module):
    r"""A GRU that may attend, before or after each step.

    The attentional vector of a step,
    :math:`\tilde h_t = \tanh(W_c [h_t; c_t; E y_{t-1}])`, is Luong's (2015, eq. 5) with the
    previous word added, as in Bahdanau's deep output (2015, A.2.2), whose maxout it replaces: one
    readout for all settings of the dials, so that a comparison changes the dial and nothing else.

    Parameters
    ----------
    width : int
        Width E of the embeddings, and of the attentional vector.
    hidden : int
        Width H of the state.
    annotation_dim : int
        Width of the annotations.
    attention : Attention or None
        None for a fixed context.
    timing, feeding, fixed : str
        The dials: see the module's docstring. `fixed` matters only without attention.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        annotation_dim: int,
        attention: Attention | None,
        timing: str = "before",
        feeding: str = "context",
        fixed: str = "every_step",
        output_dropout: float = 0.0,
    ):
        super().__init__()
        known = (
            ("timing", timing, TIMINGS),
            ("feeding", feeding, FEEDINGS),
            ("fixed", fixed, FIXED),
        )
        for dial, setting, settings in known:
            if setting not in settings:
                raise ValueError(f"unknown {dial} {setting!r}: one of {', '.join(settings)}")
        self.attention, self.timing, self.feeding, self.fixed = attention, timing, feeding, fixed
        self.fed_dim = {"context": annotation_dim, "input": width, "none": 0}[feeding]
        self.first = nn.Linear(annotation_dim, hidden)
        self.cell = nn.GRUCell(width + self.fed_dim, hidden)
        self.W_c = nn.Linear(hidden + annotation_dim + width, width)
        self.dropout = nn.Dropout(output_dropout)

    def start(self, memory: RecurrentMemory) -> RecurrentState:
        """The state before the first step, tanh of the projected summary (A.2.2); nothing fed."""
        hidden = self.first(memory.summary).tanh()
        fed = hidden.new_zeros(hidden.shape[0], self.fed_dim)
        return RecurrentState(
            hidden, fed, torch.zeros(len(hidden), dtype=torch.long, device=hidden.device)
        )

    def attend(
        self, query: Tensor, memory: RecurrentMemory, position: int
    ) -> tuple[Tensor, Tensor]:
        """Ask once: context (B, 2H) of a query (B, H), and weights (B, S), zero if it is fixed."""
        if self.attention is None:
            context = memory.summary
            if self.fixed == "first_state":
                context = torch.zeros_like(context)
            return context, torch.zeros_like(memory.mask, dtype=context.dtype)
        contexts, weights = self.attention(
            query.unsqueeze(1),
            memory.annotations,
            memory.annotations,
            memory.mask.unsqueeze(1),
            memory.prepared,
            position,
            None if memory.draws is None else memory.draws[:, position : position + 1],
        )
        return contexts.squeeze(1), weights.squeeze(1)

    def advance(
        self, embedded: Tensor, state: RecurrentState, memory: RecurrentMemory, position: int
    ) -> tuple[Tensor, Tensor, RecurrentState]:
        """One step on the previous word's embedding (B, E).

        Returns the readout's input [h_t; c_t; E y] (B, H + 2H + E), the weights (B, S) and the new
        state; its `fed` is filled in by `feed`, when feeding wants the attentional vector.
        """
        if self.timing == "before":
            context, weights = self.attend(state.hidden, memory, position)
            fed = context if self.feeding == "context" else state.fed
            hidden = self.cell(torch.cat([embedded, fed], -1), state.hidden)
        else:
            hidden = self.cell(torch.cat([embedded, state.fed], -1), state.hidden)
            context, weights = self.attend(hidden, memory, position)
        seen = torch.cat([hidden, context, embedded], -1)
        fed = context if self.feeding == "context" else state.fed
        return seen, weights, RecurrentState(hidden, fed, state.position + 1)

    def attentional(self, seen: Tensor) -> Tensor:
        """The attentional vector (..., E) of the readout's input."""
        return self.W_c(seen).tanh()

    def step(
        self, embedded: Tensor, state: RecurrentState, memory: RecurrentMemory
    ) -> tuple[Tensor, Tensor, RecurrentState]:
        """One step of free running: attentional vector (B, E), weights (B, S), new state."""
        seen, weights, state = self.advance(embedded, state, memory, int(state.position[0]))
        vector = self.attentional(seen)
        if self.feeding == "input":
            state = state._replace(fed=vector)
        return self.dropout(vector), weights, state

    def forward(self, embedded: Tensor, memory: RecurrentMemory) -> tuple[Tensor, Tensor]:
        """All steps on given words (B, T, E): attentional vectors (B, T, E), weights (B, T, S).

        Only what depends on the step before stays in the loop: the readout of all steps is one
        matrix product, unless input feeding needs each at once.
        """
        state = self.start(memory)
        rows, weights = [], []
        for t, word in enumerate(embedded.unbind(1)):
            seen, a, state = self.advance(word, state, memory, t)
            if self.feeding == "input":
                seen = self.attentional(seen)
                state = state._replace(fed=seen)
            rows.append(seen)
            weights.append(a)
        vectors = torch.stack(rows, 1)
        if self.feeding != "input":
            vectors = self.attentional(vectors)
        return self.dropout(vectors), torch.stack(weights, 1)


class Translator(AutoregressiveModel):
    r"""Encoder and decoder over one vocabulary, with one tied embedding.

    Source, target and output layer share the matrix E (Press and Wolf 2017):
    :math:`p(y_t) = \mathrm{softmax}(E \tilde h_t + b)`.

    Parameters
    ----------
    vocab_size : int
    width : int
        Width of the embeddings.
    hidden : int
        Width of each direction of the encoder, and of the decoder's state unless
        `decoder_hidden` is given.
    score : str or None
        A name of `attnlib.scores.SCORES`, or None for a fixed context.
    window, selection : str
        Names of `attnlib.windows.WINDOWS` and `attnlib.selection.SELECTIONS`.
    timing, feeding, fixed : str
        See `RecurrentDecoder`.
    score_hidden : int
        Width A of the additive and concat scores; `hidden` unless given.
    max_source : int
        Longest source the location score knows.
    reach : int
        D of the monotonic and predictive windows: keys to either side of their centre.
    expectation : float
        Share of the sentences for which the hard selection trains on the average.
    temperature, final_temperature : float
        Of the Gumbel selection, at the start and at the end of training.
    dropout : float
        On embeddings.
    output_dropout : float
        On annotations and on the attentional vector.
    pad : int
        Id of padding.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> model = Translator(vocab_size=9, width=4, hidden=5, score="dot", timing="after",
    ...                    decoder_hidden=10)
    >>> source, lengths = torch.tensor([[5, 6, 2]]), torch.tensor([3])
    >>> logits, weights = model(source, lengths, target_in=torch.tensor([[1, 7]]))
    >>> logits.shape, weights.shape
    (torch.Size([1, 2, 9]), torch.Size([1, 2, 3]))
    """

    def __init__(
        self,
        vocab_size: int,
        width: int = 256,
        hidden: int = 256,
        score: str | None = "additive",
        window: str = "everywhere",
        selection: str = "soft",
        timing: str = "before",
        feeding: str = "context",
        fixed: str = "every_step",
        decoder_hidden: int | None = None,
        score_hidden: int | None = None,
        max_source: int = 200,
        reach: int = 10,
        expectation: float = 0.5,
        temperature: float = 1.0,
        final_temperature: float = 0.5,
        dropout: float = 0.0,
        output_dropout: float = 0.0,
        pad: int = 0,
    ):
        super().__init__()
        decoder_hidden = hidden if decoder_hidden is None else decoder_hidden
        attention = make_attention(
            score,
            window,
            selection,
            decoder_hidden,
            2 * hidden,
            score_hidden or hidden,
            max_source,
            reach,
            expectation,
            temperature,
            final_temperature,
        )
        self.embedding = embedding_table(vocab_size, width, pad)
        self.encoder = RecurrentEncoder(width, hidden)
        self.decoder = RecurrentDecoder(
            width, decoder_hidden, 2 * hidden, attention, timing, feeding, fixed, output_dropout
        )
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.dropout = nn.Dropout(dropout)
        self.annotation_dropout = nn.Dropout(output_dropout)

    def encode(
        self, source: Tensor, lengths: Tensor, draws: Tensor | None = None
    ) -> RecurrentMemory:
        """Read source ids (B, S) of the given lengths (B,), and prepare the keys once.

        `draws` (B, T) decide what a selection that chooses takes at each of T steps; without them
        it takes the key of most weight.

        Raises
        ------
        ValueError
            If a sentence is empty: it has no annotation and no final state.
        """
        check_source(source, lengths)
        embedded = self.dropout(self.embedding(source))
        annotations, summary = self.encoder(embedded, lengths)
        annotations = self.annotation_dropout(annotations)
        attention = self.decoder.attention
        prepared = annotations if attention is None else attention.score.prepare(annotations)
        mask = padding_mask(lengths.to(source.device), source.shape[1])
        return RecurrentMemory(annotations, prepared, mask, summary, draws)


def make_attention(
    score: str | None,
    window: str,
    selected: str,
    query_dim: int,
    key_dim: int,
    score_hidden: int,
    max_source: int,
    reach: int,
    expectation: float,
    temperature: float,
    final_temperature: float,
) -> Attention | None:
    """Build an `Attention` from the names of its dials; None for no score."""
    if score is None:
        return None
    return Attention(
        scores.make(score, query_dim, key_dim, score_hidden, max_source),
        windows.make(window, query_dim, score_hidden, reach),
        selection.make(selected, expectation, temperature, final_temperature),
    )
