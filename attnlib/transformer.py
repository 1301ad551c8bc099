r"""The transformer: attention, and nothing recurrent (Vaswani et al. 2017).

Its parts: `multihead.MultiHeadAttention` with its window (everywhere in the encoder, causal in the
decoder), a feed-forward layer, and a residual connection with layer normalization around each. Two
dials are new:

* **positions**: attention does not depend on the order of its keys, so the order is encoded; see
  `positions`;
* **norm**: ``before`` each sublayer (pre-norm) or ``after`` it (post-norm, the paper's).

`Transformer` is a `writer.Writer` as the recurrent translator is: `training`, `decoding` and
`pretrained` serve both. `LanguageModel` is one stack of the same blocks.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

import torch
from torch import Tensor, nn

from attnlib import windows
from attnlib.attention import Attention
from attnlib.masks import padding_mask
from attnlib.multihead import KeyValue, MultiHeadAttention
from attnlib.positions import POSITIONS
from attnlib.writer import Tied, Writer, check_source, embedding_table

NORMS = ("before", "after")


class FeedForward(nn.Module):
    r"""The same two layers at each position, :math:`W_2 \max(0, W_1 x + b_1) + b_2` (eq. 2)."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.W_1, self.W_2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        for layer in (self.W_1, self.W_2):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """From (B, T, D) to (B, T, D)."""
        return self.W_2(self.W_1(x).relu())


class Residual(nn.Module):
    r"""The way around a sublayer f, with a layer norm before or after it.

    Before (pre-norm): :math:`x + f(\mathrm{norm}(x))`. What is carried on is never rescaled, and
    gradients reach the first block as they reach the last, so that training starts without a
    warm-up (Xiong et al. 2020, section 3). After (post-norm): :math:`\mathrm{norm}(x + f(x))`
    (Vaswani et al. 2017, section 3.1). Dropout is on what f adds (section 5.4).
    """

    def __init__(self, width: int, norm: str, dropout: float):
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"unknown norm {norm!r}: one of {', '.join(NORMS)}")
        self.before = norm == "before"
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)

    def enter(self, x: Tensor) -> Tensor:
        """What the sublayer sees of x."""
        return self.norm(x) if self.before else x

    def leave(self, x: Tensor, added: Tensor) -> Tensor:
        """x with what the sublayer adds."""
        x = x + self.dropout(added)
        return x if self.before else self.norm(x)


class Block(nn.Module):
    """Self-attention, in a decoder attention to the source, and a feed-forward layer (3.1).

    Parameters
    ----------
    width, heads, hidden : int
        D, H, and the width of the feed-forward layer.
    window : nn.Module
        Of the self-attention.
    rotate : callable or None
        See `MultiHeadAttention`.
    norm : str
        ``before`` or ``after``.
    dropout : float
    crossed : bool
        Whether it attends to a source.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        window: nn.Module,
        rotate: Callable[[Tensor, int], Tensor] | None,
        norm: str,
        dropout: float,
        crossed: bool,
    ):
        super().__init__()
        self.self_attention = MultiHeadAttention(width, heads, window, rotate)
        self.around_self = Residual(width, norm, dropout)
        self.cross_attention = MultiHeadAttention(width, heads) if crossed else None
        self.around_cross = Residual(width, norm, dropout) if crossed else None
        self.feed_forward = FeedForward(width, hidden)
        self.around_feed_forward = Residual(width, norm, dropout)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        cache: KeyValue | None,
        source: KeyValue | None,
        source_mask: Tensor | None,
        need_weights: bool,
    ) -> tuple[Tensor, Tensor | None, Tensor | None, KeyValue]:
        """From (B, T, D) to (B, T, D); the weights of both attentions; the cache with these T."""
        seen = self.around_self.enter(x)
        start = 0 if cache is None else cache.keys.shape[2]
        heads = self.self_attention.prepare(seen, seen, start)
        if cache is not None:
            heads = cache.extended(heads)
        added, looked = self.self_attention.attend(seen, heads, mask, start, need_weights)
        x = self.around_self.leave(x, added)
        crossed = None
        if self.cross_attention is not None:
            seen = self.around_cross.enter(x)
            added, crossed = self.cross_attention.attend(
                seen, source, source_mask, need_weights=need_weights
            )
            x = self.around_cross.leave(x, added)
        added = self.feed_forward(self.around_feed_forward.enter(x))
        return self.around_feed_forward.leave(x, added), looked, crossed, heads


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
    window, reach
        Of the self-attention: a name of `windows.WINDOWS`, and D of the local ones.
    positions : str
        A name of `POSITIONS`.
    max_length : int
        Learned positions.
    norm : str
        One of `NORMS`.
    dropout : float
    crossed : bool
        Whether the blocks attend to a source.

    Raises
    ------
    ValueError
        If a setting is unknown, or a number does not fit.
    """

    def __init__(
        self,
        layers: int,
        width: int,
        heads: int,
        hidden: int,
        window: str,
        reach: int,
        positions: str,
        max_length: int,
        norm: str,
        dropout: float,
        crossed: bool = False,
    ):
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        if heads < 1 or width % heads:
            raise ValueError(f"width must be divisible by heads, got {width} and {heads}")
        if positions not in POSITIONS:
            raise ValueError(f"unknown positions {positions!r}: one of {', '.join(POSITIONS)}")
        self.width = width
        self.positions = POSITIONS[positions](width, heads, max_length)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(
                width,
                heads,
                hidden,
                windows.make(window, width // heads, width // heads, reach),
                self.positions.rotate,
                norm,
                dropout,
                crossed,
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width) if norm == "before" else nn.Identity()

    def forward(
        self,
        embedded: Tensor,
        mask: Tensor | None = None,
        caches: tuple[KeyValue, ...] | None = None,
        sources: tuple[KeyValue, ...] | None = None,
        source_mask: Tensor | None = None,
        looked_at: Collection[int] = (),
    ) -> tuple[Tensor, list[Tensor], list[Tensor], tuple[KeyValue, ...]]:
        """Read embedded words.

        Parameters
        ----------
        embedded : Tensor of shape (B, T, D)
        mask : boolean Tensor of shape (B, 1 or T, S), optional
        caches : tuple of L KeyValue, optional
            Keys and values of the words before these.
        sources : tuple of L KeyValue
            Keys and values of the source, for blocks that are crossed.
        source_mask : boolean Tensor of shape (B, 1, S), optional
        looked_at : collection of int
            The blocks whose weights are wanted.

        Returns
        -------
        vectors : Tensor of shape (B, T, D)
        looked, crossed : lists of Tensors of shape (B, H, T, S)
            Weights of the self-attention and of that to the source, a tensor a block wanted.
        caches : tuple of L KeyValue
            With these words.
        """
        start = 0 if caches is None else caches[0].keys.shape[2]
        x = self.dropout(self.positions(self.width**0.5 * embedded, start))
        looked, crossed, kept = [], [], []
        for i, block in enumerate(self.blocks):
            cache = None if caches is None else caches[i]
            source = None if sources is None else sources[i]
            x, own, other, heads = block(x, mask, cache, source, source_mask, i in looked_at)
            kept.append(heads)
            if i in looked_at:
                looked.append(own)
                crossed.append(other)
        return self.norm(x), looked, crossed, tuple(kept)

    def empty(self, like: Tensor, B: int) -> tuple[KeyValue, ...]:
        """The caches of B sentences before their first word, in the type and place of `like`."""
        heads = self.blocks[0].self_attention.heads
        nothing = like.new_zeros(B, heads, 0, self.width // heads)
        return tuple(KeyValue(nothing, nothing) for _ in self.blocks)


class Memory(NamedTuple):
    """What the decoder knows of a source batch; computed once a sentence."""

    annotations: Tensor  # (B, S, D)
    prepared: tuple[KeyValue, ...]  # the keys and values of each of the decoder's blocks
    mask: Tensor  # (B, S), True at real positions


class State(NamedTuple):
    """What the decoder carries from step to step."""

    caches: tuple[KeyValue, ...]  # keys and values of the words so far, of each block


class Looks(NamedTuple):
    """Where every head of every block looked; L blocks, H heads."""

    encoder: Tensor  # (B, L, H, S, S)
    decoder: Tensor  # (B, L, H, T, T)
    cross: Tensor  # (B, L, H, T, S)


class Decoder(nn.Module):
    """A causal stack that attends to the source.

    The weights that come back are those of the last block's attention to the source, the mean of
    its heads; `Transformer.looks` gives all.
    """

    def __init__(self, stack: Stack):
        super().__init__()
        self.stack = stack

    @property
    def attention(self) -> Attention:
        """The attention whose weights come back."""
        return self.stack.blocks[-1].cross_attention.attention

    def prepare(self, annotations: Tensor) -> tuple[KeyValue, ...]:
        """Keys and values of annotations (B, S, D) for each block, once a sentence."""
        return tuple(
            block.cross_attention.prepare(annotations, annotations) for block in self.stack.blocks
        )

    def start(self, memory: Memory) -> State:
        """Nothing in the caches."""
        return State(self.stack.empty(memory.prepared[0].keys, len(memory.mask)))

    def step(self, embedded: Tensor, state: State, memory: Memory) -> tuple[Tensor, Tensor, State]:
        """One step of free running on words (B, D): vectors (B, D), weights (B, S), new state."""
        B, cached = len(embedded), len(state.caches[0].keys)
        if not B == cached == len(memory.mask):
            raise ValueError(
                f"{B} words, a cache of {cached} sentences and a memory of {len(memory.mask)}: "
                "begin a new batch with start, or take rows of both with decoding.select"
            )
        vectors, weights, caches = self._run(embedded.unsqueeze(1), memory, state.caches, True)
        return vectors.squeeze(1), weights.squeeze(1), State(caches)

    def forward(
        self, embedded: Tensor, memory: Memory, need_weights: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """All steps on given words (B, T, D): vectors (B, T, D), weights (B, T, S)."""
        vectors, weights, _ = self._run(embedded, memory, None, need_weights)
        return vectors, weights

    def _run(self, embedded, memory, caches, need_weights):
        last = [len(self.stack.blocks) - 1] if need_weights else []
        vectors, _, crossed, caches = self.stack(
            embedded, None, caches, memory.prepared, memory.mask.unsqueeze(1), last
        )
        return vectors, crossed[0].mean(1) if need_weights else None, caches


class Transformer(Writer):
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
    positions : str
        ``sinusoidal``, ``learned``, ``rotary`` or ``none``.
    norm : str
        ``before`` each sublayer (pre-norm) or ``after`` it (post-norm, the paper's).
    window : str
        Of the encoder's self-attention, a name of `windows.WINDOWS`.
    reach : int
        D of its local windows.
    dropout : float
        On the embeddings with their positions, and on what each sublayer adds (section 5.4).
    max_length : int
        Learned positions, of the source and of the target.
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
    >>> model.looks(source, lengths, torch.tensor([[1, 7]])).cross.shape
    torch.Size([1, 2, 2, 2, 3])
    """

    def __init__(
        self,
        vocab_size: int,
        width: int = 256,
        layers: int = 4,
        heads: int = 4,
        feed_forward: int = 256,
        positions: str = "sinusoidal",
        norm: str = "before",
        window: str = "everywhere",
        reach: int = 10,
        dropout: float = 0.0,
        max_length: int = 512,
        pad: int = 0,
    ):
        super().__init__()
        sizes = (layers, width, heads, feed_forward)
        rest = (reach, positions, max_length, norm, dropout)
        self.embedding = embedding_table(vocab_size, width, pad)
        self.encoder = Stack(*sizes, window, *rest)
        self.decoder = Decoder(Stack(*sizes, "causal", *rest, crossed=True))
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def encode(self, source: Tensor, lengths: Tensor, draws: Tensor | None = None) -> Memory:
        """Read source ids (B, S) of the given lengths (B,), and project keys and values once.

        Raises
        ------
        ValueError
            If a shape does not fit or a sentence is empty; if there are `draws`, for nothing here
            is left to chance.
        """
        if draws is not None:
            raise ValueError("a transformer averages: there is nothing that draws could decide")
        return self._encode(source, lengths)[0]

    def decode(
        self, memory: Memory, target_in: Tensor, need_weights: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """Teacher forcing on what was encoded: output vectors (B, T, D), weights (B, T, S).

        Where no weights are needed, None comes back for them and all attention is fused.
        """
        return self.decoder(self.embedding(target_in), memory, need_weights)

    def looks(self, source: Tensor, lengths: Tensor, target_in: Tensor) -> Looks:
        """Where all heads of all blocks look, given the words before each (teacher forcing)."""
        every = range(len(self.encoder.blocks))
        memory, looked = self._encode(source, lengths, every)
        _, own, crossed, _ = self.decoder.stack(
            self.embedding(target_in),
            sources=memory.prepared,
            source_mask=memory.mask.unsqueeze(1),
            looked_at=every,
        )
        return Looks(*(torch.stack(weights, 1) for weights in (looked, own, crossed)))

    def _encode(self, source, lengths, looked_at=()) -> tuple[Memory, list[Tensor]]:
        check_source(source, lengths)
        mask = padding_mask(lengths.to(source.device), source.shape[1])
        embedded = self.embedding(source)
        annotations, looked, _, _ = self.encoder(embedded, mask.unsqueeze(1), looked_at=looked_at)
        return Memory(annotations, self.decoder.prepare(annotations), mask), looked


class LanguageModel(Tied):
    r"""One stack that writes on from what was written, :math:`p(y_t | y_{<t})`.

    The decoder of a transformer without a source (Liu et al. 2018, section 4.2.2); with the window
    ``everywhere`` it is an encoder that can fill in words from both sides (Devlin et al. 2019).

    Parameters
    ----------
    vocab_size, width, layers, heads, feed_forward, positions, norm, dropout, max_length, pad
        As for `Transformer`.
    window, reach
        Of the self-attention; ``causal`` unless given.

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
        layers: int = 4,
        heads: int = 4,
        feed_forward: int = 256,
        positions: str = "sinusoidal",
        norm: str = "before",
        window: str = "causal",
        reach: int = 10,
        dropout: float = 0.0,
        max_length: int = 512,
        pad: int = 0,
    ):
        super().__init__()
        self.window = window
        self.embedding = embedding_table(vocab_size, width, pad)
        self.stack = Stack(
            layers,
            width,
            heads,
            feed_forward,
            window,
            reach,
            positions,
            max_length,
            norm,
            dropout,
        )
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def start(self, B: int) -> State:
        """The state of B sentences before their first word."""
        return State(self.stack.empty(self.bias, B))

    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """One step after `token` (B,): logits (B, V) and the new state.

        Raises
        ------
        ValueError
            If the state is of another batch, or the window not causal.
        """
        if self.window != "causal":
            raise ValueError(f"the window is {self.window}: only a causal model goes step by step")
        cached = len(state.caches[0].keys)
        if len(token) != cached:
            raise ValueError(
                f"{len(token)} words, but a cache of {cached} sentences: begin a new batch with "
                "start, or take rows of it with decoding.select"
            )
        vectors, _, _, caches = self.stack(self.embedding(token).unsqueeze(1), caches=state.caches)
        return self.output(vectors.squeeze(1)), State(caches)

    def forward(self, words: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (B, T, V) of ids (B, T), each for the word after it, or for itself if not causal.

        `lengths` (B,) are needed where padding could be looked at, and by a causal model are not.
        """
        return self.output(self._read(words, lengths)[0])

    def looks(self, words: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Where all heads of all blocks look: (B, L, H, T, T)."""
        return torch.stack(self._read(words, lengths, range(len(self.stack.blocks)))[1], 1)

    def _read(self, words, lengths, looked_at=()):
        mask = None
        if lengths is not None:
            mask = padding_mask(lengths.to(words.device), words.shape[1]).unsqueeze(1)
        return self.stack(self.embedding(words), mask, looked_at=looked_at)
