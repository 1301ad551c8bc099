"""Assignment 9, because of this word: what answers are given, and may call (chapter 10)."""

import json
from pathlib import Path

import numpy as np

from attnlib.checks.compare import holds

TAKEN_OUT = Path(__file__).with_name("a09_taken_out.json")  # made by book/results/taken_out.py


class Reader:
    """A classifier that can be read: each token says a number, and later ones say it louder.

    A token after a `no` counts with the other sign. Called with N sentences, lists of tokens, it
    returns N numbers, and it notes what it was asked.
    """

    def __init__(self, says, no: int):
        self.says, self.no = np.asarray(says, dtype=float), no
        self.asked: list[tuple[int, ...]] = []

    def __call__(self, sentences):
        """The outputs (N,) of N sentences."""
        return np.array([self._read(sentence) for sentence in sentences])

    def _read(self, sentence) -> float:
        holds(
            np.ndim(sentence) == 1,
            "the function wants a list of sentences, and each is a list of tokens",
        )
        tokens = []
        for token in sentence:
            holds(
                isinstance(token, int | np.integer) and bool(0 <= token < len(self.says)),
                f"the function was given {token!r}, and knows the tokens 0 to "
                f"{len(self.says) - 1}: what is taken out leaves no hole",
            )
            tokens.append(int(token))
        self.asked.append(tuple(tokens))
        total, sign = 0.0, 1.0
        for place, token in enumerate(tokens):
            total += sign * (1 + place / 8) * float(self.says[token])
            sign = -1.0 if token == self.no else 1.0
        return total

    def __array__(self, dtype=None, copy=None):
        """What it is made of: for the comparison of arguments."""
        return np.array([*self.says, self.no], dtype=dtype)

    def __repr__(self):
        shown = ", ".join(f"{x:.4g}" for x in self.says)
        return (
            f"a function: tokens 0, 1, ... say {shown}, an eighth more with each place; "
            f"what follows token {self.no} counts with the other sign"
        )


def taken_out(text: str) -> dict[str, tuple[np.ndarray, ...]]:
    """Weights and losses (target words, source words) of 25 sentence pairs of a real translator.

    `text` is "captions" or "debates".
    """
    pairs = json.loads(TAKEN_OUT.read_text(encoding="utf-8"))["pairs"]
    pairs = [pair for pair in pairs if pair["text"] == text]
    return {what: tuple(np.array(pair[what]) for pair in pairs) for what in ("weights", "lost")}


def drawn(weights, resamples: int, seed: int) -> dict:
    """For each target word another source word than the most attended; and sentences drawn anew."""
    rng = np.random.default_rng(seed)
    others = []
    for rows in weights:
        most = rows.argmax(1)
        others.append((most + rng.integers(1, rows.shape[1], size=len(rows))) % rows.shape[1])
    draws = rng.integers(len(weights), size=(resamples, len(weights)))
    return {"others": tuple(others), "draws": draws}
