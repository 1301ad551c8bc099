r"""Speech to text: a score that sees where attention was a step ago (Chorowski et al. 2015).

Someone reads out digits (`data.spoken`), and a model writes them down. It is the translator of
chapter 3 with another encoder: positions of sound come in, not words. What changes is one dial, the
score. By content alone, the third "seven" of "seven seven seven" sounds like the first, so the
decoder has to count; a score that sees the weights of the step before can move on from there
(`scores.LocationAwareScore`). `windows.Following` narrows the search to where attention was.
"""

import random
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from attnlib.attention import Attention
from attnlib.autoregressive import AutoregressiveModel, embedding_table
from attnlib.beyond.teaching import teach
from attnlib.data import spoken
from attnlib.data.spoken import WORDS, Clip, Sounds
from attnlib.decoding import greedy
from attnlib.masks import padding_mask
from attnlib.scores import AdditiveScore, LocationAwareScore, Score
from attnlib.seq2seq import RecurrentDecoder, RecurrentEncoder, RecurrentMemory, RecurrentState
from attnlib.windows import Window

SCORES = ("content", "location-aware")
REACH = 25  # positions of 40 ms: one second to either side, as in the paper


class Listener(AutoregressiveModel[RecurrentMemory, RecurrentState]):
    r"""Recurrent encoder and decoder from sound to words.

    The encoder is a linear layer and a tanh of each position, then a bidirectional GRU; the decoder
    is Bahdanau's (`seq2seq.RecurrentDecoder`: ask before the step, the context goes into the cell).

    Parameters
    ----------
    attention : Attention or None
        Queries are states (`hidden` wide), keys and values annotations (2 x `hidden` wide). None: a
        fixed context.
    features : int
        Width of a position of sound.
    width, hidden : int
        Of the words' embeddings; of each direction of the encoder, and of the decoder's state.
    dropout : float
        On what the encoder reads, on the annotations and on the output vectors.
    """

    decoder: RecurrentDecoder

    def __init__(
        self,
        attention: Attention | None,
        features: int = spoken.STACK * spoken.BANDS,
        width: int = 32,
        hidden: int = 64,
        dropout: float = 0.2,
    ):
        super().__init__()
        self.embedding = embedding_table(len(WORDS), width, WORDS.pad)
        self.bias = nn.Parameter(torch.zeros(len(WORDS)))
        self.ear = nn.Linear(features, hidden)
        self.encoder = RecurrentEncoder(hidden, hidden)
        self.decoder = RecurrentDecoder(
            width,
            hidden,
            annotation_dim=2 * hidden,
            attention=attention,
            output_dropout=dropout,
        )
        self.dropout = nn.Dropout(dropout)

    def encode(
        self, source: Tensor, lengths: Tensor, draws: Tensor | None = None
    ) -> RecurrentMemory:
        """Listen to positions of sound (B, S, D) of the given lengths (B,).

        Raises
        ------
        ValueError
            If the shapes do not fit, or a string is empty.
        """
        if source.dim() != 3 or source.shape[-1] != self.ear.in_features:
            raise ValueError(
                f"sounds must be (B, S, {self.ear.in_features}), got {tuple(source.shape)}"
            )
        if lengths.shape != source.shape[:1] or (lengths.numel() and int(lengths.min()) < 1):
            raise ValueError(f"lengths must be (B,) and at least 1, got {lengths.tolist()}")
        heard = self.dropout(self.ear(source).tanh())
        annotations, summary = self.encoder(heard, lengths)
        annotations = self.dropout(annotations)
        attention = self.decoder.attention
        prepared = annotations if attention is None else attention.score.prepare(annotations)
        mask = padding_mask(lengths, source.shape[1])
        return RecurrentMemory(annotations, prepared, mask, summary, draws)


def listener(
    score: str, seed: int, hidden: int = 64, window: Window | None = None, reach: int = REACH
) -> Listener:
    """A new model whose score is by ``content`` (`AdditiveScore`) or ``location-aware``.

    The two have the same sizes, but for what the second adds: filters that see `reach` positions to
    either side. From a digit to the next are some 14 positions, at most 30: filters that end before
    see nothing of where attention was.

    Raises
    ------
    ValueError
        If the score is unknown.
    """
    if score not in SCORES:
        raise ValueError(f"unknown score {score!r}: one of {', '.join(SCORES)}")
    torch.manual_seed(seed)
    made: Score = AdditiveScore(hidden, 2 * hidden, hidden)
    if score == "location-aware":
        made = LocationAwareScore(hidden, 2 * hidden, hidden, reach=reach)
    return Listener(Attention(made, window), hidden=hidden)


def fit(
    model: Listener,
    clips: Sequence[Clip],
    updates: int,
    seed: int,
    lr: float = 0.002,
    batch: int = 32,
    lengths: tuple[int, int] = (3, 6),
) -> Listener:
    """Train on strings of so many digits, new ones at every update; the model comes back."""
    rng = random.Random(seed)

    def draw():
        sounds = spoken.collate(spoken.strings(rng, clips, batch, *lengths))
        return sounds.heard, sounds.lengths, sounds.target_in, sounds.target_out

    return teach(model, draw, updates, lr, seed)


# What came of it ------------------------------------------------------------------------------


def edits(said: Sequence, written: Sequence) -> int:
    """Fewest insertions, deletions and substitutions from one to the other (Levenshtein 1966).

    >>> edits("seven", "eleven")
    2
    """
    row = list(range(len(written) + 1))
    for i, one in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(written, 1):
            changed = before + (one != other)
            before, row[j] = row[j], min(changed, row[j] + 1, row[j - 1] + 1)
    return row[-1]


def write_down(model: Listener, sounds: Sounds) -> list[list[str]]:
    """What the model writes for each string, greedily; at most twice the digits that were said."""
    found = greedy(model, sounds.heard, sounds.lengths, 2 * sounds.inside.shape[1])
    return [WORDS.decode(one.ids) for one in found]


def error_rate(model: Listener, sounds: Sounds) -> dict[str, float]:
    """Errors in what the model writes.

    Returns
    -------
    dict
        ``errors``: edits over the digits that were said; may exceed 1. ``wrong``: share of strings
        with an error. ``length``: mean of digits written less digits said.
    """
    said = [WORDS.decode(row) for row in sounds.target_out.tolist()]
    written = write_down(model, sounds)
    each = [edits(a, b) for a, b in zip(said, written, strict=True)]
    return {
        "errors": sum(each) / sum(map(len, said)),
        "wrong": sum(n > 0 for n in each) / len(each),
        "length": sum(len(b) - len(a) for a, b in zip(said, written)) / len(each),
    }


def alignment(weights: Tensor, sounds: Sounds) -> dict[str, float]:
    """How well weights (N, T or T + 1, S) find the recording of each digit.

    Returns
    -------
    dict
        ``inside``: mean share of a digit's weight that lies within its recording's borders;
        ``missed``: share of digits whose largest weight lies outside.
    """
    inside = sounds.inside
    weights = weights[:, : inside.shape[1]]
    real = sounds.target_out[:, : inside.shape[1]]
    real = (real != WORDS.pad) & (real != WORDS.eos)  # (N, T)
    share = (weights * inside).sum(-1)[real]
    hit = inside.gather(-1, weights.argmax(-1, keepdim=True)).squeeze(-1)[real]
    return {"inside": float(share.detach().mean()), "missed": float((~hit).double().mean())}
