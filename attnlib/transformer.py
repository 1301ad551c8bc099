r"""The transformer: attention, and nothing recurrent (Vaswani et al. 2017).

A stack of blocks reads the source, and another, causal and with cross-attention, writes the target.
Two dials are new:

* **positions**: attention does not depend on the order of its keys, so the order is encoded; see
  `positions`;
* **norm**: ``before`` each sublayer (pre-norm) or ``after`` it (post-norm, the paper's); see
  `block`.

`Transformer` is an `autoregressive.AutoregressiveModel`, as the recurrent translator is:
`training`, `decoding` and `pretrained` serve both. `LanguageModel` is one stack of the same blocks.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from attnlib.attention import Attention
from attnlib.autoregressive import (
    AutoregressiveModel,
    TiedOutput,
    check_source,
    embedding_table,
)
from attnlib.block import Block
from attnlib.masks import padding_mask
from attnlib.multihead import KeyValue, MultiHeadAttention
from attnlib.positions import Positions, Sinusoidal
from attnlib.windows import Causal, Everywhere, Window


class Stack(nn.Module):
    r"""Words with their positions, through L blocks.

    The embeddings come in scaled by :math:`\sqrt D` (section 3.4), and are dropped out with their
    positions (5.4). Where the norm is before each sublayer, one more follows the last block.

    Parameters
    ----------
    layers : int
        L, at least 1.
    width, heads, hidden : int
        D, H, and the width of the feed-forward layers.
    window : callable
        Makes the `Window` of each block's self-attention: a class such as `windows.Causal`, or
        another function without arguments.
    positions : Positions
        The position encoding of the words.
    norm : str
        One of `block.NORMS`.
    dropout : float
    cross_attention : bool
        Whether the blocks attend to a source.

    Raises
    ------
    ValueError
        If a setting is unknown, or a number does not fit.
    """

    blocks: Sequence[Block]  # in an nn.ModuleList

    def __init__(
        self,
        layers: int,
        width: int,
        *,
        heads: int,
        hidden: int,
        window: Callable[[], Window],
        positions: Positions,
        norm: str = "before",
        dropout: float = 0.0,
        cross_attention: bool = False,
    ):
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        if heads < 1 or width % heads:
            raise ValueError(f"width must be divisible by heads, got {width} and {heads}")
        self.width = width
        self.positions = positions
        self.dropout = nn.Dropout(dropout)
        blocks = nn.ModuleList(
            Block(
                width,
                heads,
                hidden,
                window=window(),
                rotate=positions.rotate,
                norm=norm,
                dropout=dropout,
                cross_attention=cross_attention,
            )
            for _ in range(layers)
        )
        self.blocks = cast("Sequence[Block]", blocks)
        self.norm = nn.LayerNorm(width) if norm == "before" else nn.Identity()

    def forward(
        self,
        embedded: Tensor,
        mask: Tensor | None = None,
        caches: tuple[KeyValue, ...] | None = None,
        sources: tuple[KeyValue, ...] | None = None,
        source_mask: Tensor | None = None,
        weights_of: Collection[int] = (),
    ) -> tuple[Tensor, list[Tensor], list[Tensor], tuple[KeyValue, ...]]:
        """Read embedded words.

        Parameters
        ----------
        embedded : Tensor of shape (B, T, D)
        mask : boolean Tensor of shape (B, 1 or T, S), optional
        caches : tuple of L KeyValue, optional
            Keys and values of the words before these.
        sources : tuple of L KeyValue
            Keys and values of the source, if the blocks have cross-attention.
        source_mask : boolean Tensor of shape (B, 1, S), optional
        weights_of : collection of int
            The numbers of the blocks whose weights are asked for.

        Returns
        -------
        vectors : Tensor of shape (B, T, D)
        self_weights, cross_weights : lists of Tensors of shape (B, H, T, S)
            Weights of the self-attention and of the cross-attention, one tensor for each block in
            `weights_of`.
        caches : tuple of L KeyValue
            With these words.
        """
        start = 0 if caches is None else caches[0].keys.shape[2]
        x = self.dropout(self.positions(self.width**0.5 * embedded, start))
        self_weights, cross_weights, kept = [], [], []
        for i, block in enumerate(self.blocks):
            x, of_self, of_source, cache = block(
                x,
                mask,
                cache=None if caches is None else caches[i],
                source=None if sources is None else sources[i],
                source_mask=source_mask,
                need_weights=i in weights_of,
            )
            kept.append(cache)
            if i in weights_of:
                self_weights.append(of_self)
                cross_weights.append(of_source)
        return self.norm(x), self_weights, cross_weights, tuple(kept)

    def empty(self, like: Tensor, B: int) -> tuple[KeyValue, ...]:
        """The caches of B sentences before their first word, in the type and place of `like`."""
        heads = self.blocks[0].self_attention.heads
        nothing = like.new_zeros(B, heads, 0, self.width // heads)
        return tuple(KeyValue(nothing, nothing) for _ in self.blocks)


class TransformerMemory(NamedTuple):
    """What the decoder knows of a source batch; computed once a sentence."""

    annotations: Tensor  # (B, S, D)
    prepared: tuple[KeyValue, ...]  # the keys and values of each of the decoder's blocks
    mask: Tensor  # (B, S), True at real positions


class TransformerState(NamedTuple):
    """What the decoder carries from step to step."""

    caches: tuple[KeyValue, ...]  # keys and values of the words so far, of each block


class AttentionMaps(NamedTuple):
    """The attention weights of every head of every block; L blocks, H heads."""

    encoder: Tensor  # (B, L, H, S, S)
    decoder: Tensor  # (B, L, H, T, T)
    cross: Tensor  # (B, L, H, T, S)


class TransformerDecoder(nn.Module):
    """A causal stack that attends to the source.

    The weights that come back are those of the last block's cross-attention, the mean of its heads;
    `Transformer.attention_maps` gives all.
    """

    def __init__(self, stack: Stack):
        super().__init__()
        self.stack = stack

    @property
    def attention(self) -> Attention:
        """The attention whose weights come back."""
        return self._cross_attentions()[-1].attention

    def prepare(self, annotations: Tensor) -> tuple[KeyValue, ...]:
        """Keys and values of annotations (B, S, D) for each block, once a sentence."""
        every = (each.prepare(annotations, annotations) for each in self._cross_attentions())
        # each head's rows side by side, once: not at every step that asks for weights
        return tuple(KeyValue(*(x.contiguous() for x in prepared)) for prepared in every)

    def start(self, memory: TransformerMemory) -> TransformerState:
        """Nothing in the caches."""
        return TransformerState(self.stack.empty(memory.prepared[0].keys, len(memory.mask)))

    def step(
        self, embedded: Tensor, state: TransformerState, memory: TransformerMemory
    ) -> tuple[Tensor, Tensor, TransformerState]:
        """One step of free running on words (B, D): vectors (B, D), weights (B, S), new state.

        The memory is of B sentences, or of B / k where k words after one another continue
        different beginnings of the same sentence.
        """
        B, cached = len(embedded), len(state.caches[0].keys)
        if cached != B or B % max(1, len(memory.mask)):
            raise ValueError(
                f"{B} words, a cache of {cached} sentences and a memory of {len(memory.mask)}: "
                "begin a new batch with start, or take rows of both with decoding.select"
            )
        vectors, weights, caches = self._run(embedded.unsqueeze(1), memory, state.caches, True)
        return vectors.squeeze(1), weights.squeeze(1), TransformerState(caches)

    def forward(
        self, embedded: Tensor, memory: TransformerMemory, need_weights: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """All steps on given words (B, T, D): vectors (B, T, D), weights (B, T, S)."""
        vectors, weights, _ = self._run(embedded, memory, None, need_weights)
        return vectors, weights

    def _cross_attentions(self) -> list[MultiHeadAttention]:
        every = (block.cross_attention for block in self.stack.blocks)
        return [each for each in every if each is not None]

    def _run(self, embedded, memory, caches, need_weights):
        last = [len(self.stack.blocks) - 1] if need_weights else []
        vectors, _, weights, caches = self.stack(
            embedded, None, caches, memory.prepared, memory.mask.unsqueeze(1), last
        )
        return vectors, weights[0].mean(1) if need_weights else None, caches


class Transformer(AutoregressiveModel[TransformerMemory, TransformerState]):
    r"""Encoder and decoder of nothing but attention, with one tied embedding (Vaswani et al. 2017).

    Source, target and output layer share the matrix E (section 3.4; Press and Wolf 2017):
    :math:`p(y_t) = \mathrm{softmax}(E h_t + b)`. To `decoding`, `training` and `pretrained` it is
    as `seq2seq.Translator`; what it carries from step to step are keys and values.

    Parameters
    ----------
    vocab_size : int
    width : int
        D.
    layers : int
        Blocks of the encoder, and as many of the decoder.
    heads : int
        H; each is D / H wide.
    feed_forward : int
        Hidden width of the feed-forward layers; the paper has 4 D.
    positions : callable, optional
        Makes the position encoding of the source and that of the target, each a `Positions`:
        ``partial(Rotary, width // heads)``, say. Sinusoidal unless given.
    norm : str
        ``before`` each sublayer (pre-norm) or ``after`` it (post-norm, the paper's).
    window : callable
        Makes the `Window` of each encoder block's self-attention: `windows.Everywhere` unless
        given, or ``partial(Monotonic, reach=5)``, say.
    dropout : float
        On the embeddings with their positions, and on what each sublayer adds (section 5.4).
    pad : int
        Id of padding.

    Raises
    ------
    ValueError
        If a setting is unknown (the known ones are listed), or a width cannot be divided.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> model = Transformer(vocab_size=9, width=8, layers=2, heads=2, feed_forward=16)
    >>> source, lengths = torch.tensor([[5, 6, 2]]), torch.tensor([3])
    >>> logits, weights = model(source, lengths, target_in=torch.tensor([[1, 7]]))
    >>> logits.shape, weights.shape
    (torch.Size([1, 2, 9]), torch.Size([1, 2, 3]))
    >>> model.attention_maps(source, lengths, torch.tensor([[1, 7]])).cross.shape
    torch.Size([1, 2, 2, 2, 3])
    """

    shares_memory = True
    decoder: TransformerDecoder
    _renamed = {
        ".around_self.norm.": ".norm_self.",
        ".around_cross.norm.": ".norm_cross.",
        ".around_feed_forward.norm.": ".norm_feed_forward.",
    }

    def __init__(
        self,
        vocab_size: int,
        width: int = 256,
        *,
        layers: int = 4,
        heads: int = 4,
        feed_forward: int = 256,
        positions: Callable[[], Positions] | None = None,
        norm: str = "before",
        window: Callable[[], Window] = Everywhere,
        dropout: float = 0.0,
        pad: int = 0,
    ):
        super().__init__()
        stack = partial(
            Stack,
            layers,
            width,
            heads=heads,
            hidden=feed_forward,
            norm=norm,
            dropout=dropout,
        )
        make_positions = positions or partial(Sinusoidal, width)
        self.embedding = embedding_table(vocab_size, width, pad)
        self.encoder = stack(window=window, positions=make_positions())
        self.decoder = TransformerDecoder(
            stack(window=Causal, positions=make_positions(), cross_attention=True)
        )
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def encode(
        self, source: Tensor, lengths: Tensor, draws: Tensor | None = None
    ) -> TransformerMemory:
        """Read source ids (B, S) of the given lengths (B,), and project keys and values once.

        Raises
        ------
        ValueError
            If a shape does not fit or a sentence is empty; if there are `draws`, since the
            selection is soft.
        """
        if draws is not None:
            raise ValueError("a transformer's selection is soft: it has no use for draws")
        return self._encode(source, lengths)[0]

    def decode(
        self, memory: TransformerMemory, target_in: Tensor, need_weights: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """Teacher forcing on what was encoded: output vectors (B, T, D), weights (B, T, S).

        Where no weights are needed, None comes back for them and all attention is fused.
        """
        return self.decoder(self.embedding(target_in), memory, need_weights)

    def attention_maps(self, source: Tensor, lengths: Tensor, target_in: Tensor) -> AttentionMaps:
        """The weights of all heads of all blocks, given the words before each (teacher forcing)."""
        every = range(len(self.encoder.blocks))
        memory, encoder = self._encode(source, lengths, every)
        _, decoder, cross, _ = self.decoder.stack(
            self.embedding(target_in),
            sources=memory.prepared,
            source_mask=memory.mask.unsqueeze(1),
            weights_of=every,
        )
        return AttentionMaps(*(torch.stack(weights, 1) for weights in (encoder, decoder, cross)))

    def _encode(self, source, lengths, weights_of=()) -> tuple[TransformerMemory, list[Tensor]]:
        check_source(source, lengths)
        mask = padding_mask(lengths.to(source.device), source.shape[1])
        embedded = self.embedding(source)
        annotations, weights, _, _ = self.encoder(
            embedded, mask.unsqueeze(1), weights_of=weights_of
        )
        return TransformerMemory(annotations, self.decoder.prepare(annotations), mask), weights


class LanguageModel(TiedOutput):
    r"""One stack that writes on from what was written, :math:`p(y_t | y_{<t})`.

    The decoder of a transformer without a source (Liu et al. 2018, section 4.2.2); with the window
    `Everywhere` it is an encoder that can fill in words from both sides (Devlin et al. 2019).

    Parameters
    ----------
    vocab_size, width, layers, heads, feed_forward, positions, norm, dropout, pad
        As for `Transformer`.
    window : callable
        Makes the `Window` of each block's self-attention: `windows.Causal` unless given.

    Raises
    ------
    ValueError
        If a setting is unknown, or a width cannot be divided.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> model = LanguageModel(vocab_size=9, width=8, layers=2, heads=2, feed_forward=16).eval()
    >>> words = torch.tensor([[1, 5, 7]])
    >>> logits = model(words)
    >>> logits.shape
    torch.Size([1, 3, 9])
    >>> state = model.start(1)
    >>> for t in range(3):
    ...     step, state = model.step(words[:, t], state)
    >>> torch.allclose(step, logits[:, 2], atol=1e-6)
    True
    """

    def __init__(
        self,
        vocab_size: int,
        width: int = 256,
        *,
        layers: int = 4,
        heads: int = 4,
        feed_forward: int = 256,
        positions: Callable[[], Positions] | None = None,
        norm: str = "before",
        window: Callable[[], Window] = Causal,
        dropout: float = 0.0,
        pad: int = 0,
    ):
        super().__init__()
        self.embedding = embedding_table(vocab_size, width, pad)
        self.stack = Stack(
            layers,
            width,
            heads=heads,
            hidden=feed_forward,
            window=window,
            positions=positions() if positions else Sinusoidal(width),
            norm=norm,
            dropout=dropout,
        )
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def start(self, B: int) -> TransformerState:
        """The state of B sentences before their first word."""
        return TransformerState(self.stack.empty(self.bias, B))

    def step(self, token: Tensor, state: TransformerState) -> tuple[Tensor, TransformerState]:
        """One step after `token` (B,): logits (B, V) and the new state.

        Raises
        ------
        ValueError
            If the state is of another batch, or the window not causal.
        """
        window = self.stack.blocks[0].self_attention.attention.window
        if not window.is_causal:
            raise ValueError(f"the window is {window}: only a causal model goes step by step")
        cached = len(state.caches[0].keys)
        if len(token) != cached:
            raise ValueError(
                f"{len(token)} words, but a cache of {cached} sentences: begin a new batch with "
                "start, or take rows of it with decoding.select"
            )
        vectors, _, _, caches = self.stack(self.embedding(token).unsqueeze(1), caches=state.caches)
        return self.output(vectors.squeeze(1)), TransformerState(caches)

    def forward(self, words: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (B, T, V) of ids (B, T), each for the word after it, or for itself if not causal.

        `lengths` (B,) are needed where padding could be attended to; a causal model has no need of
        them.
        """
        return self.output(self.hidden_forward(words, lengths))

    def hidden_forward(self, words: Tensor, lengths: Tensor | None = None) -> Tensor:
        """As `forward`, up to the output vectors (B, T, D): logits of a few places cost less."""
        return self._read(words, lengths)[0]

    def attention_maps(self, words: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The weights of all heads of all blocks: (B, L, H, T, T)."""
        return torch.stack(self._read(words, lengths, range(len(self.stack.blocks)))[1], 1)

    def _read(self, words, lengths, weights_of=()):
        mask = None
        if lengths is not None:
            mask = padding_mask(lengths.to(words.device), words.shape[1]).unsqueeze(1)
        return self.stack(self.embedding(words), mask, weights_of=weights_of)
