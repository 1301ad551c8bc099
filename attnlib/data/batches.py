"""Pairs of id sequences, made into padded batches of similar length."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

from attnlib.data.tokenizer import BOS, EOS, PAD

Pair = tuple[Sequence[int], Sequence[int]]


@dataclass(frozen=True)
class Batch:
    """One padded batch. `target_in` starts with <s>; `target_out` and `source` end with </s>."""

    source: Tensor  # (B, S)
    source_lengths: Tensor  # (B,)
    target_in: Tensor  # (B, T)
    target_out: Tensor  # (B, T)
    target_lengths: Tensor  # (B,)

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device."""
        held = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v.to(device) for k, v in held.items() if v is not None})

    @property
    def target_tokens(self) -> int:
        """Number of target tokens to predict, </s> included, padding not."""
        return int(self.target_lengths.sum())


def pad(sequences: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Pad id sequences to one length: ids (B, S) and lengths (B,).

    >>> pad([[5, 6, 2], [7, 2]])
    (tensor([[5, 6, 2],
            [7, 2, 0]]), tensor([3, 2]))
    """
    lengths = torch.tensor([len(ids) for ids in sequences], dtype=torch.long)
    padded = torch.full((len(sequences), max(map(len, sequences), default=0)), PAD)
    for row, ids in zip(padded, sequences, strict=True):
        row[: len(ids)] = torch.as_tensor(ids, dtype=torch.long)
    return padded, lengths


def collate(pairs: Sequence[Pair]) -> Batch:
    """Make one batch of pairs of ids (without specials)."""
    source, source_lengths = pad([[*x, EOS] for x, _ in pairs])
    target_in, target_lengths = pad([[BOS, *y] for _, y in pairs])
    target_out, _ = pad([[*y, EOS] for _, y in pairs])
    return Batch(source, source_lengths, target_in, target_out, target_lengths)


def by_tokens(pairs: Sequence[Pair], tokens: int, rng: random.Random) -> Iterator[list[int]]:
    """Yield, in random order, lists of indices of pairs of similar length.

    Each list holds at most `tokens` target positions, padding included (one pair at least). Equal
    lengths are shuffled among themselves, so batches differ from epoch to epoch.

    Raises
    ------
    ValueError
        If `tokens` is not positive.
    """
    if tokens <= 0:
        raise ValueError(f"tokens must be positive, got {tokens}")
    order = list(range(len(pairs)))
    rng.shuffle(order)
    order.sort(key=lambda i: (len(pairs[i][1]), len(pairs[i][0])))
    batches: list[list[int]] = []
    batch: list[int] = []
    for i in order:
        if batch and (len(batch) + 1) * (len(pairs[i][1]) + 1) > tokens:
            batches.append(batch)
            batch = []
        batch.append(i)
    if batch:
        batches.append(batch)
    rng.shuffle(batches)
    yield from batches
