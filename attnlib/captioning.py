r"""Show, attend and tell: a caption from an image, word by word (Xu et al. 2015).

An **image encoder** (`vision`) turns an image into a grid of annotation vectors, one for each cell.
The decoder, an LSTM, attends to them through the same `Attention` with which a translator attends
to words. To the rest of the library the `Captioner` is a translator whose source is an image:
`decoding` and training serve both.

Shapes: images (B, 3, H, W), red, green and blue in [0, 1]; annotations (B, S, D), the cells row by
row from the top left.
"""

import contextlib
from typing import NamedTuple

import torch
from torch import Tensor, nn

from attnlib.attention import Attention
from attnlib.autoregressive import AutoregressiveModel, embedding_table
from attnlib.seq2seq import TIMINGS, RecurrentMemory, check_sizes
from attnlib.vision import Tiled, check_images

FEEDINGS = ("context", "none")
RARE = -2.0  # where the detector's logits begin: most words are not in a caption
RANGE_SLACK = 1e-3  # resizing may step over 1 by a rounding


class CaptionState(NamedTuple):
    """What the decoder carries from step to step."""

    hidden: Tensor  # (B, H)
    cell: Tensor  # (B, H), the LSTM's memory
    fed: Tensor  # (B, D) or (B, 0), the context that the next step is fed, if it asks after it
    position: Tensor  # (B,), the number of steps taken


class CaptionDecoder(nn.Module):
    r"""The LSTM that attends to the image and writes (Xu et al. 2015, section 3.1.2).

    .. math:: \hat z_t = \beta_t \sum_s a_{ts} \bar h_s, \qquad \beta_t = \sigma(f_\beta(h_{t-1}))
    .. math:: h_t = \mathrm{LSTM}([E y_{t-1}; \hat z_t], h_{t-1}), \qquad
              p(y_t) \propto \exp(L_o (E y_{t-1} + L_h h_t + L_z \hat z_t))

    The state before the step asks (timing "before"), and the gate :math:`\beta_t`, one number of
    section 4.2.1, says how much of the context the step gets; :math:`\bar h_s` is an annotation.
    The first state and memory come from the mean annotation, each through a layer with tanh. In the
    deep output (eq. 7) the paper's :math:`L_o` is a matrix a word wide; ours is the tied embedding
    times a square matrix, so without that matrix the last word would always speak for itself.

    Parameters
    ----------
    width : int
        Width E of the embeddings.
    hidden : int
        Width H of the state.
    annotation_dim : int
        Width D of the annotations.
    attention : Attention or None
        None: the context is the mean annotation at every step.
    gate : bool
        Without it :math:`\beta_t` is 1.
    timing : str
        ``before``, the paper's: the query is the state that has not read the previous word yet.
        ``after``: the query is the new state, and the LSTM is fed the context of the step before
        (Luong et al. 2015).
    feeding : str
        ``context``, as above, or ``none``: the LSTM is fed the words alone, so a context can only
        influence the word of its own step.
    output_dropout : float
        On the sum in the deep output.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        *,
        annotation_dim: int,
        attention: Attention | None,
        gate: bool = True,
        timing: str = "before",
        feeding: str = "context",
        output_dropout: float = 0.0,
    ):
        super().__init__()
        for dial, setting, settings in (
            ("timing", timing, TIMINGS),
            ("feeding", feeding, FEEDINGS),
        ):
            if setting not in settings:
                raise ValueError(f"unknown {dial} {setting!r}: one of {', '.join(settings)}")
        if attention is not None:
            check_sizes(attention, state=hidden, annotations=annotation_dim)
        self.attention, self.timing, self.feeding = attention, timing, feeding
        self.init_h = nn.Linear(annotation_dim, hidden)
        self.init_c = nn.Linear(annotation_dim, hidden)
        self.f_beta = nn.Linear(hidden, 1) if gate else None
        self.fed_dim = {"context": annotation_dim, "none": 0}[feeding]
        self.cell = nn.LSTMCell(width + self.fed_dim, hidden)
        self.L_h = nn.Linear(hidden, width, bias=False)
        self.L_z = nn.Linear(annotation_dim, width, bias=False)
        self.L_o = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(output_dropout)

    def start(self, memory: RecurrentMemory) -> CaptionState:
        """CaptionState and memory before the first step, of the mean annotation."""
        hidden, cell = self.init_h(memory.summary).tanh(), self.init_c(memory.summary).tanh()
        fed = hidden.new_zeros(len(hidden), self.fed_dim)
        position = torch.zeros(len(hidden), dtype=torch.long, device=hidden.device)
        return CaptionState(hidden, cell, fed, position)

    def beta(self, hidden: Tensor) -> Tensor:
        """The gate (B, 1) that a state (B, H) opens: between 0 and 1, or 1 without a gate."""
        if self.f_beta is None:
            return torch.ones_like(hidden[:, :1])
        return self.f_beta(hidden).sigmoid()

    def attend(
        self, hidden: Tensor, memory: RecurrentMemory, position: int
    ) -> tuple[Tensor, Tensor]:
        """Attend once: context z (B, D), and weights (B, S), which are zero without attention."""
        if self.attention is None:
            context = memory.summary
            weights = torch.zeros_like(memory.mask, dtype=context.dtype)
        else:
            contexts, weights = self.attention(
                hidden.unsqueeze(1),
                memory.annotations,
                memory.annotations,
                memory.mask.unsqueeze(1),
                memory.prepared,
                position,
                None if memory.draws is None else memory.draws[:, position : position + 1],
            )
            context, weights = contexts.squeeze(1), weights.squeeze(1)
        return self.beta(hidden) * context, weights

    def advance(
        self, embedded: Tensor, state: CaptionState, memory: RecurrentMemory, position: int
    ) -> tuple[Tensor, Tensor, CaptionState]:
        """One step on the previous word (B, E): context z (B, D), weights (B, S), new state."""
        fed = state.fed
        if self.timing == "before":
            z, weights = self.attend(state.hidden, memory, position)
            fed = z[:, : self.fed_dim]  # all of it, or nothing
        hidden, cell = self.cell(torch.cat([embedded, fed], -1), (state.hidden, state.cell))
        if self.timing == "after":
            z, weights = self.attend(hidden, memory, position)
        return z, weights, CaptionState(hidden, cell, z[:, : self.fed_dim], state.position + 1)

    def deep_output(self, embedded: Tensor, hidden: Tensor, z: Tensor) -> Tensor:
        """What the tied embedding turns into logits (..., E), of eq. 7."""
        return self.L_o(self.dropout(embedded + self.L_h(hidden) + self.L_z(z)))

    def step(
        self, embedded: Tensor, state: CaptionState, memory: RecurrentMemory
    ) -> tuple[Tensor, Tensor, CaptionState]:
        """One step of free running: output vector (B, E), weights (B, S), new state."""
        z, weights, state = self.advance(embedded, state, memory, int(state.position[0]))
        return self.deep_output(embedded, state.hidden, z), weights, state

    def forward(self, embedded: Tensor, memory: RecurrentMemory) -> tuple[Tensor, Tensor]:
        """All steps on given words (B, T, E): output vectors (B, T, E), weights (B, T, S).

        Only what depends on the step before stays in the loop: the deep output of all steps is one
        matrix product.
        """
        state = self.start(memory)
        hidden, contexts, weights = [], [], []
        for t, word in enumerate(embedded.unbind(1)):
            z, a, state = self.advance(word, state, memory, t)
            hidden.append(state.hidden)
            contexts.append(z)
            weights.append(a)
        vectors = self.deep_output(embedded, torch.stack(hidden, 1), torch.stack(contexts, 1))
        return vectors, torch.stack(weights, 1)


class Captioner(AutoregressiveModel[RecurrentMemory, CaptionState]):
    r"""Image encoder and decoder: the whole of Show, Attend and Tell (Xu et al. 2015, section 3).

    It has the methods of `seq2seq.Translator`, with images for a source; `lengths` are the numbers
    of cells, the same for all images of a batch. Encoder and attention are handed in: the queries
    are the decoder's states (`hidden` wide), keys and values the annotations.

    Parameters
    ----------
    vocab_size : int
    width : int
        Width E of the embeddings.
    encoder : nn.Module
        Turns images (B, 3, H, W) into annotations (B, S, D): `vision.ImageEncoder`,
        `vision.Backbone`, or a module of your own.
    attention : Attention or None
        None: the mean annotation at each step.
    hidden : int
        Width H of the decoder's state.
    annotation_dim : int, optional
        Width D of the annotations, if the encoder has no attribute ``annotation_dim``.
    gate, timing, feeding
        See `CaptionDecoder`.
    detector : bool
        Whether to have the layer of `detect`, which helps to train an encoder from scratch.
    dropout : float
        On embeddings.
    output_dropout : float
        On annotations and in the deep output.
    word_dropout : float
        Share of the previous words that the decoder does not see in training, whole words at a
        time (Iyyer et al. 2015, section 3.2; Bowman et al. 2016, section 3.1): a decoder that
        cannot rely on the previous word has to attend to the image.
    pad : int
        Id of padding.

    Raises
    ------
    ValueError
        If nothing or two things say how wide the annotations are, a setting is unknown, or the
        attention does not fit the widths.

    Attributes
    ----------
    encoder_bf16 : bool
        Whether the encoder computes in bf16 while the model is training: on a CPU that has the
        instructions for it more than twice as fast. False unless set.

    Examples
    --------
    >>> from attnlib.scores import AdditiveScore
    >>> from attnlib.vision import ImageEncoder
    >>> _ = torch.manual_seed(0)
    >>> model = Captioner(
    ...     vocab_size=9,
    ...     width=4,
    ...     hidden=5,
    ...     encoder=ImageEncoder(annotation_dim=6),
    ...     attention=Attention(AdditiveScore(query_dim=5, key_dim=6, hidden_dim=5)),
    ... )
    >>> images, lengths = torch.rand(1, 3, 64, 64), torch.tensor([64])
    >>> logits, weights = model(images, lengths, target_in=torch.tensor([[1, 7]]))
    >>> logits.shape, weights.shape
    (torch.Size([1, 2, 9]), torch.Size([1, 2, 64]))

    An encoder of one's own, here of four cells:

    >>> class Quarters(nn.Module):
    ...     annotation_dim = 3
    ...     def forward(self, images):
    ...         return nn.functional.adaptive_avg_pool2d(images, 2).flatten(2).transpose(1, 2)
    >>> attention = Attention(AdditiveScore(5, 3, 5))
    >>> model = Captioner(vocab_size=9, width=4, hidden=5, encoder=Quarters(), attention=attention)
    >>> model(images, torch.tensor([4]), torch.tensor([[1, 7]]))[1].shape
    torch.Size([1, 2, 4])
    """

    decoder: CaptionDecoder
    _renamed = {"eye.": "encoder."}

    def __init__(
        self,
        vocab_size: int,
        width: int = 128,
        *,
        encoder: nn.Module,
        attention: Attention | None,
        hidden: int = 192,
        annotation_dim: int | None = None,
        gate: bool = True,
        timing: str = "before",
        feeding: str = "context",
        detector: bool = False,
        dropout: float = 0.0,
        output_dropout: float = 0.0,
        word_dropout: float = 0.0,
        pad: int = 0,
    ):
        super().__init__()
        known = getattr(encoder, "annotation_dim", annotation_dim)
        if known is None:
            raise ValueError("how wide are the encoder's annotations? give annotation_dim")
        if annotation_dim not in (None, known):
            raise ValueError(f"annotation_dim is {annotation_dim}, but the encoder says {known}")
        self.annotation_dim = known
        self.embedding = embedding_table(vocab_size, width, pad)
        self.encoder = encoder
        self.decoder = CaptionDecoder(
            width,
            hidden,
            annotation_dim=known,
            attention=attention,
            gate=gate,
            timing=timing,
            feeding=feeding,
            output_dropout=output_dropout,
        )
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.detector = nn.Linear(known, vocab_size) if detector else None
        if self.detector is not None:
            nn.init.constant_(self.detector.bias, RARE)
        self.encoder_bf16 = False
        self.dropout = nn.Sequential(nn.Dropout1d(word_dropout), nn.Dropout(dropout))
        self.annotation_dropout = nn.Dropout(output_dropout)

    def encode(
        self, images: Tensor, lengths: Tensor, draws: Tensor | None = None
    ) -> RecurrentMemory:
        """Encode images (B, 3, H, W), and prepare the keys once.

        Parameters
        ----------
        images : Tensor of shape (B, 3, H, W)
            Red, green and blue in [0, 1], in any floating point type. Or features (B, S, D) that
            were kept, of a `vision.Tiled`.
        lengths : Tensor of shape (B,)
            The number of cells of each image: the same for all.
        draws : Tensor of shape (B, T), optional
            As for `seq2seq.Translator.encode`.

        Raises
        ------
        ValueError
            If a shape or a number does not fit, or values lie outside of [0, 1].
        TypeError
            If the images are not of a floating point type.
        """
        annotations = self._annotations(images)
        B, D = len(images), self.annotation_dim
        if annotations.dim() != 3 or annotations.shape[::2] != (B, D):
            raise ValueError(
                f"the encoder must give annotations (B, S, D) with B = {B} and D = {D}, got "
                f"{tuple(annotations.shape)}; a map (B, D, h, w) fits after "
                ".flatten(2).transpose(1, 2)"
            )
        cells = annotations.shape[1]
        if lengths.shape != (B,) or not bool((lengths == cells).all()):
            raise ValueError(
                f"lengths must be (B,), each the {cells} cells of an image: got {lengths.tolist()} "
                f"for {B} images"
            )
        summary = annotations.mean(1)
        annotations = self.annotation_dropout(annotations)
        attention = self.decoder.attention
        prepared = annotations if attention is None else attention.score.prepare(annotations)
        mask = torch.ones(B, cells, dtype=torch.bool, device=images.device)
        return RecurrentMemory(annotations, prepared, mask, summary, draws)

    def _annotations(self, images: Tensor) -> Tensor:
        """What the encoder gives of images, or of features that it gave before."""
        if images.dim() == 3 and isinstance(self.encoder, Tiled):
            return self.encoder.annotate(images.to(self.bias.dtype))
        check_images(images)
        low, high = images.aminmax() if images.numel() else (0, 1)
        if low < -RANGE_SLACK or high > 1 + RANGE_SLACK:
            raise ValueError(f"images must be in [0, 1], got values from {low:.4g} to {high:.4g}")
        fast: contextlib.AbstractContextManager = contextlib.nullcontext()
        if self.encoder_bf16 and self.training:
            fast = torch.autocast(images.device.type, torch.bfloat16)
        with fast:
            return self.encoder(images.to(self.bias.dtype)).to(self.bias.dtype)

    def detect(self, annotations: Tensor) -> Tensor:
        """Which words a caption may have: logits (B, V), each that of the cell that is surest."""
        if self.detector is None:
            raise ValueError("this captioner has no detector: it was made with detector=False")
        return self.detector(annotations).amax(1)
