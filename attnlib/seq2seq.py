r"""The recurrent encoder-decoder, with its timing and feeding dials.

The encoder reads the source both ways into *annotations*; the decoder writes the target one token a
step. Two dials say how the decoder uses attention, whatever the score:

* **timing**: ``before``, the state :math:`s_{t-1}` asks and the context helps to make :math:`s_t`
  (Bahdanau et al. 2015); ``after``, the new state :math:`h_t` asks (Luong et al. 2015);
* **feeding**: what the cell sees beside the previous word: the ``context`` (this step's when the
  timing is before, the last step's when it is after), the last attentional vector (``input``
  feeding, Luong et al. 2015, section 3.3), or ``none``.

Without attention the context is fixed: the encoder's summary, given at ``every_step`` (Cho et al.
2014) or as the ``first_state`` alone (Sutskever et al. 2014).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

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
    draws: Tensor | None = None  # (B, T), random numbers for each step (`selection.Hard`)


class RecurrentState(NamedTuple):
    """What the decoder carries from step to step."""

    hidden: Tensor  # (B, H)
    fed: Tensor  # (B, F), what feeding passes on; F may be 0
    position: Tensor  # (B,), the number of steps taken
    weights: Tensor | None = None  # (B, S), of the step before, where the attention reads them


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
    output_dropout : float
        On the attentional vector.

    Raises
    ------
    ValueError
        If a setting is unknown, or the attention does not fit the widths.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        *,
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
        if attention is not None:
            check_sizes(attention, state=hidden, annotations=annotation_dim)
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
        position = torch.zeros(len(hidden), dtype=torch.long, device=hidden.device)
        weights = None
        if self.attention is not None and self.attention.reads_previous:
            weights = torch.zeros_like(memory.mask, dtype=hidden.dtype)
        return RecurrentState(hidden, fed, position, weights)

    def attend(
        self,
        query: Tensor,
        memory: RecurrentMemory,
        position: int,
        previous: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Ask once: context (B, 2H) of a query (B, H), and weights (B, S), zero if it is fixed.

        `previous` (B, S) are the weights of the step before, for an attention that reads them.
        """
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
            previous=previous,
        )
        return contexts.squeeze(1), weights.squeeze(1)

    def advance(
        self,
        embedded: Tensor,
        state: RecurrentState,
        memory: RecurrentMemory,
        position: int,
    ) -> tuple[Tensor, Tensor, RecurrentState]:
        """One step on the previous word's embedding (B, E).

        Returns the readout's input [h_t; c_t; E y] (B, H + 2H + E), the weights
        (B, S) and the new state. With feeding "input" the caller puts the
        attentional vector into the state's `fed`.
        """
        previous = () if state.weights is None else (state.weights,)
        if self.timing == "before":
            context, weights = self.attend(state.hidden, memory, position, *previous)
            fed = context if self.feeding == "context" else state.fed
            hidden = self.cell(torch.cat([embedded, fed], -1), state.hidden)
        else:
            given = torch.cat([embedded, state.fed], -1)
            hidden = self.cell(given, state.hidden)
            context, weights = self.attend(hidden, memory, position, *previous)
        seen = torch.cat([hidden, context, embedded], -1)
        fed = context if self.feeding == "context" else state.fed
        kept = weights if previous else None
        return seen, weights, RecurrentState(hidden, fed, state.position + 1, kept)

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


def check_sizes(attention: Attention, state: int, annotations: int) -> None:
    """Refuse an attention that does not fit a decoder's state and the annotations.

    Parameters
    ----------
    attention : Attention
    state, annotations : int
        Their widths: a state asks (D_q), annotations are the keys (D_k).

    Raises
    ------
    ValueError

    Examples
    --------
    >>> from attnlib.scores import GeneralScore
    >>> check_sizes(Attention(GeneralScore(query_dim=8, key_dim=32)), state=16, annotations=32)
    Traceback (most recent call last):
    ValueError: the score compares queries that are 8 wide, but this decoder's state is 16 wide
    """
    score, window = attention.score, attention.window
    for part, name, width, what, actual in (
        ("score compares", "queries", score.query_dim, "decoder's state is", state),
        ("score compares", "keys", score.key_dim, "model's annotations are", annotations),
        ("window reads", "queries", window.query_dim, "decoder's state is", state),
    ):
        if width not in (None, actual):
            raise ValueError(
                f"the {part} {name} that are {width} wide, but this {what} {actual} wide"
            )
    if score.query_dim is score.key_dim is None and state != annotations:
        raise ValueError(
            f"{type(score).__name__} needs queries and keys of equal width, but this decoder's "
            f"state is {state} wide and the annotations are {annotations}"
        )


class Translator(AutoregressiveModel[RecurrentMemory, RecurrentState]):
    r"""Recurrent encoder and decoder over one vocabulary, with one tied embedding.

    Source, target and output layer share the matrix E (Press and Wolf 2017):
    :math:`p(y_t) = \mathrm{softmax}(E \tilde h_t + b)`. The attention is handed in: its queries are
    the decoder's states (`decoder_hidden` wide), its keys and values the annotations (2 x `hidden`
    wide).

    Parameters
    ----------
    vocab_size : int
    width : int
        Width E of the embeddings.
    hidden : int
        Width of each direction of the encoder, and of the decoder's state unless
        `decoder_hidden` is given.
    decoder_hidden : int, optional
        Width of the decoder's state.
    attention : Attention or None
        None: a fixed context, the encoder's summary.
    timing, feeding, fixed : str
        See `RecurrentDecoder`.
    dropout : float
        On embeddings.
    output_dropout : float
        On annotations and on the attentional vector.
    pad : int
        Id of padding.

    Raises
    ------
    ValueError
        If a setting is unknown, or the attention does not fit the widths.

    Examples
    --------
    Bahdanau et al. (2015): the additive score, asked before the step.

    >>> from attnlib.scores import AdditiveScore, GeneralScore
    >>> _ = torch.manual_seed(0)
    >>> model = Translator(
    ...     vocab_size=9,
    ...     width=4,
    ...     hidden=5,
    ...     attention=Attention(AdditiveScore(query_dim=5, key_dim=10, hidden_dim=5)),
    ... )
    >>> source, lengths = torch.tensor([[5, 6, 2]]), torch.tensor([3])
    >>> logits, weights = model(source, lengths, target_in=torch.tensor([[1, 7]]))
    >>> logits.shape, weights.shape
    (torch.Size([1, 2, 9]), torch.Size([1, 2, 3]))

    Luong et al. (2015), local-p: the general score in a predictive window, asked after the step,
    with input feeding.

    >>> from attnlib.windows import Predictive
    >>> model = Translator(
    ...     vocab_size=9,
    ...     width=4,
    ...     hidden=5,
    ...     attention=Attention(GeneralScore(5, 10), Predictive(query_dim=5, hidden_dim=5)),
    ...     timing="after",
    ...     feeding="input",
    ... )
    """

    decoder: RecurrentDecoder

    def __init__(
        self,
        vocab_size: int,
        width: int = 256,
        *,
        attention: Attention | None,
        hidden: int = 256,
        decoder_hidden: int | None = None,
        timing: str = "before",
        feeding: str = "context",
        fixed: str = "every_step",
        dropout: float = 0.0,
        output_dropout: float = 0.0,
        pad: int = 0,
    ):
        super().__init__()
        decoder_hidden = hidden if decoder_hidden is None else decoder_hidden
        self.embedding = embedding_table(vocab_size, width, pad)
        self.encoder = RecurrentEncoder(width, hidden)
        self.decoder = RecurrentDecoder(
            width,
            decoder_hidden,
            annotation_dim=2 * hidden,
            attention=attention,
            timing=timing,
            feeding=feeding,
            fixed=fixed,
            output_dropout=output_dropout,
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
