"""A translator asked by several instruments what each word owes to each source word.

For `instruments.py`. Everything is a matrix (target words, source words) of one sentence pair,
which the model is made to write (teacher forcing). The words that the model was given before stay
as they are, whatever is erased. The end of the source, ``</s>``, is never erased; it belongs to no
word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from attnlib import attribution, metrics, pretrained
from attnlib.data.batches import collate, pad
from attnlib.data.tokenizer import EOS
from attnlib.decoding import select
from attnlib.masks import padding_mask
from attnlib.seq2seq import RecurrentMemory, Translator
from attnlib.transformer import Transformer, TransformerMemory

RESIDUAL = (0.8, 0.9)  # shares other than the paper's half
ROWS = 48  # erased sources that go through a model together


@dataclass(frozen=True)
class Asked:
    """A sentence pair as ids, and the word that each id belongs to (None: to none)."""

    source: list[int]  # S, </s> the last
    target: list[int]  # T, without </s>
    source_words: list[int | None]
    target_words: list[int | None]

    @property
    def size(self) -> tuple[int, int]:
        """Target words and source words."""
        return 1 + max(filter(None, self.target_words), default=0), 1 + max(
            filter(None, self.source_words), default=0
        )

    @property
    def given(self) -> Tensor:
        """What the decoder is given (1, T + 1)."""
        return collate([([], self.target)]).target_in

    @property
    def wanted(self) -> Tensor:
        """What it is to say (T,), without </s>."""
        return torch.tensor(self.target)


def asked(model: pretrained.Pretrained, source: str, target: str) -> Asked:
    """A pair as the model reads it."""
    ids = [model.ids(text, "a sentence", side) for side, text in enumerate((source, target))]
    words = [metrics.word_indices(model.tokenizer.tokens(each)) for each in ids]
    return Asked([*ids[0], EOS], ids[1], [*words[0], None], words[1])


def by_word(rows: Tensor, words: Sequence[int | None]) -> np.ndarray:
    """Sums over the subwords of each target word: from (T, ...) to (words, ...)."""
    index = torch.tensor([-1 if word is None else word for word in words])
    found = rows.new_zeros(int(index.max()) + 1, *rows.shape[1:])
    known = index >= 0
    return found.index_add(0, index[known], rows[known]).numpy()


# Erasing -----------------------------------------------------------------------------------------


def log_probabilities(vectors: Tensor, model, wanted: Tensor) -> Tensor:
    """Log-probabilities (N, T) of the wanted ids (T,) from output vectors (N, T or more, E)."""
    logs = model.output(vectors[:, : len(wanted)]).log_softmax(-1)
    return logs.gather(-1, wanted.expand(len(logs), -1).unsqueeze(-1))[..., 0]


@torch.no_grad()
def said(
    model, pair: Asked, sources: Sequence[Sequence[int]], wanted: Tensor | None = None
) -> Tensor:
    """Log-probability (N, T) of each target subword after each of N sources.

    Or of the `wanted` ones in their places, what was given before them staying as it is.
    """
    wanted, found = pair.wanted if wanted is None else wanted, []
    for start in range(0, len(sources), ROWS):
        ids, lengths = pad(sources[start : start + ROWS])
        vectors, _ = model.decode(model.encode(ids, lengths), pair.given.expand(len(ids), -1))
        found.append(log_probabilities(vectors, model, wanted))
    return torch.cat(found)


@torch.no_grad()
def likeliest(model, pair: Asked) -> np.ndarray:
    """Of each target word whether the model would have said it: each subword is the likeliest."""
    ids, lengths = pad([pair.source])
    vectors, _ = model.decode(model.encode(ids, lengths), pair.given)
    wrong = model.output(vectors[0, : len(pair.target)]).argmax(-1) != pair.wanted
    return by_word(wrong.float(), pair.target_words) == 0


def elsewhere(model, pair: Asked, other: Asked) -> np.ndarray:
    """What a word of another sentence loses in the place of each, if a source word is deleted.

    A control: whoever asks what a word owes to the source knows the word, and this one is wrong. A
    place of several subwords is asked for the one at its first; the words before it are the true
    ones.
    """
    T = len(pair.target)
    wanted = torch.tensor((other.target * T)[:T])

    function = partial(said, model, pair, wanted=wanted)
    lost = attribution.leave_one_out(function, pair.source, pair.source_words)
    first = [pair.target_words.index(word) for word in range(pair.size[0])]
    return lost.T[first].numpy()


def without(model, pair: Asked, instead: int | None = None) -> np.ndarray:
    """What each target word loses if a source word is deleted, or its subwords are this id."""
    function = partial(said, model, pair)
    lost = attribution.leave_one_out(function, pair.source, pair.source_words, instead)
    return by_word(lost.T, pair.target_words)


def shown(pair: Asked) -> Tensor:
    """Which subwords may be attended to (1 + source words, S): all, then all but one word's."""
    words = torch.tensor([-1 if word is None else word for word in pair.source_words])
    return torch.arange(-1, pair.size[1]).unsqueeze(1).ne(words) | words.lt(0)


@torch.no_grad()
def masked(model, pair: Asked) -> np.ndarray:
    """What each target word loses if no step may attend to a source word; the encoder reads it."""
    masks = shown(pair)
    ids = torch.tensor(pair.source).expand(len(masks), -1)
    memory = model.encode(ids, torch.full((len(masks),), len(pair.source)))
    vectors, _ = model.decode(memory._replace(mask=masks), pair.given.expand(len(masks), -1))
    logs = log_probabilities(vectors, model, pair.wanted)
    return by_word((logs[0] - logs[1:]).T, pair.target_words)


@torch.no_grad()
def masked_once(model, pair: Asked) -> np.ndarray:
    """The same, but only the step that writes the subword may not: it starts from the true state.

    For recurrent decoders. Of a word of several subwords each is written so, and losses are added.
    """
    masks = shown(pair)
    N, decoder = len(masks), model.decoder
    memory = model.encode(torch.tensor([pair.source]), torch.tensor([len(pair.source)]))
    memory = memory._replace(
        annotations=memory.annotations.expand(N, -1, -1),
        prepared=memory.prepared.expand(N, -1, -1),
        mask=masks,
        summary=memory.summary.expand(N, -1),
    )
    state, logs = decoder.start(memory), []
    for t, word in enumerate(model.embedding(pair.given)[0][: len(pair.target)]):
        seen, _, moved = decoder.advance(word.expand(N, -1), state, memory, t)
        vectors = decoder.attentional(seen)
        logs.append(model.output(vectors).log_softmax(-1)[:, pair.target[t]])
        if decoder.feeding == "input":
            moved = moved._replace(fed=vectors)
        # all go on from what nothing was hidden from
        state = select(moved, torch.zeros(len(moved.hidden), dtype=torch.long))
    lost = torch.stack([row[0] - row[1:] for row in logs])
    return by_word(lost, pair.target_words)


# Gradients ---------------------------------------------------------------------------------------


def encode_embedded(model, embedded: Tensor):
    """What `model.encode` gives of embedded tokens (B, S, D) without padding."""
    B, S = embedded.shape[:2]
    lengths = torch.full((B,), S)
    mask = padding_mask(lengths, S)
    if isinstance(model, Translator):
        annotations, summary = model.encoder(embedded, lengths)
        prepared = model.decoder.attention.score.prepare(annotations)
        return RecurrentMemory(annotations, prepared, mask, summary)
    assert isinstance(model, Transformer)
    annotations = model.encoder(embedded, mask.unsqueeze(1))[0]
    return TransformerMemory(annotations, model.decoder.prepare(annotations), mask)


def gradients(model, pair: Asked) -> np.ndarray:
    """Gradient times input of each target word's log-probability, summed over subwords; signed."""
    T, _ = pair.size
    rows = [word for word in pair.target_words if word is not None]
    places = [t for t, word in enumerate(pair.target_words) if word is not None]
    wanted = pair.wanted[places]

    def word_logs(embedded: Tensor) -> Tensor:
        """Row j gives the log-probability of word j."""
        vectors, _ = model.decode(encode_embedded(model, embedded), pair.given.expand(T, -1))
        logs = model.output(vectors[rows, places]).log_softmax(-1)
        chosen = logs.gather(-1, wanted.unsqueeze(-1))[:, 0]
        return chosen.new_zeros(T).index_add(0, torch.tensor(rows), chosen)

    embedded = model.embedding(torch.tensor(pair.source)).detach().expand(T, -1, -1)
    found = attribution.gradient_times_input(word_logs, embedded.clone())
    return by_word(found.T, pair.source_words).T


# Weights -----------------------------------------------------------------------------------------


def between_words(weights: Tensor, pair: Asked, fed: bool = False) -> np.ndarray:
    """From weights or norms (T + 1, S) of subwords to words: by the word that a row writes.

    Or by the word that it is `fed`. Sums over a source word, means over a target word
    (`metrics.word_weights`).
    """
    T = len(pair.target)
    rows = weights[1 : T + 1] if fed else weights[:T]
    return metrics.word_weights(rows, pair.source_words, pair.target_words)


@torch.no_grad()
def recurrent_weights(model: Translator, pair: Asked) -> dict[str, np.ndarray]:
    """Raw weights, and weights times norms of what a context adds in each part of the decoder."""
    memory = model.encode(torch.tensor([pair.source]), torch.tensor([len(pair.source)]))
    weights = model.decode(memory, pair.given)[1]
    found = {"weights": weights[0]}
    parts = attribution.PARTS if model.decoder.feeding == "context" else ("readout",)
    for part in parts:
        values = attribution.context_values(model.decoder, memory.annotations, part)
        found[f"norms, {part}"] = attribution.value_norms(weights, values)[0]
    words = {name: between_words(rows, pair) for name, rows in found.items()}
    return words | {f"{name}, word fed": between_words(x, pair, True) for name, x in found.items()}


@torch.no_grad()
def transformer_weights(model: Transformer, pair: Asked) -> dict[str, np.ndarray]:
    """Of each block the cross-attention's mean over heads and its norms; means; rollout."""
    source, lengths = torch.tensor([pair.source]), torch.tensor([len(pair.source)])
    maps = model.attention_maps(source, lengths, pair.given)
    memory = model.encode(source, lengths)
    found, norms = {}, []
    for block, (cross, prepared) in enumerate(
        zip(model.decoder.stack.blocks, memory.prepared, strict=True)
    ):
        weights = maps.cross[:, block]  # (1, H, T, S)
        values = attribution.per_head(cross.cross_attention, prepared.values)
        norms.append(attribution.heads_together(weights, values)[0])
        found[f"weights, block {block + 1}"] = weights[0].mean(0)
    found["weights, mean of blocks"] = maps.cross[0].mean((0, 1))
    found |= {f"norms, block {i + 1}": rows for i, rows in enumerate(norms)}
    found["norms, mean of blocks"] = torch.stack(norms).mean(0)
    layers = [each.mean(2) for each in maps]  # (1, L, ., .)
    T = maps.cross.shape[-2]
    joint = attribution.joint_layers(*layers)
    found["rollout"] = attribution.rollout(joint)[0, :T, T:]
    for share in RESIDUAL:
        found[f"rollout, residual {share:g}"] = attribution.rollout(joint, share)[0, :T, T:]
    encoder = attribution.rollout(list(layers[0].unbind(1)))[0]
    found["rollout of the encoder, then mean weights"] = maps.cross[0].mean((0, 1)) @ encoder
    return {name: between_words(rows, pair) for name, rows in found.items()}


# Comparing ---------------------------------------------------------------------------------------


def kendall(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of each row of one matrix with that of the other; NaN where one is constant.

    >>> kendall(np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 3.0, 2.0]])).round(4)
    array([0.3333])
    """
    a, b = (np.sign(x[:, :, None] - x[:, None, :]) for x in (first, second))
    with np.errstate(invalid="ignore"):
        return (a * b).sum((1, 2)) / np.sqrt((a**2).sum((1, 2)) * (b**2).sum((1, 2)))
