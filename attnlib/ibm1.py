"""Word alignment by counting: IBM Model 1 (Brown et al. 1993), what attention is measured against.

Every word of the target was produced by one word of the source, or by an invisible NULL, all
positions equally likely, with a probability t(f | e) that is learnt from sentence pairs alone.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from attnlib.data.cleaning import listed

Words = Sequence[str]


@dataclass(frozen=True)
class Model1:
    """The table t(f | e) of a trained Model 1; `train` makes it."""

    table: dict[tuple[str | None, str], float]  # (source word, or None for NULL; target word)

    def shares(self, source: Words, target: Words) -> np.ndarray:
        """Posterior of the source word of each target word, NULL in the first column.

        Returns
        -------
        array of shape (T, 1 + S)
            Rows sum to 1: t(f | e) over its sum. A word never met with any of these gets the even
            spread.
        """
        source, target = listed("source", source), listed("target", target)
        found = [[self.table.get((e, f), 0.0) for e in (None, *source)] for f in target]
        scores = np.array(found, dtype=float).reshape(len(target), 1 + len(source))
        total = scores.sum(axis=1, keepdims=True)
        even = np.full_like(scores, 1 / scores.shape[1])
        return np.divide(scores, total, out=even, where=total > 0)

    def links(self, source: Words, target: Words, nearest: bool = False) -> set[tuple[int, int]]:
        """(target position, source position): each target word's best source word.

        No link where NULL is best or the word was never met with any of these. Equal words are
        equally good wherever they stand: the first is taken or, with `nearest`, the one whose
        relative position is nearest to the target word's.
        """
        source, target = listed("source", source), listed("target", target)
        S, T = len(source), len(target)
        found = set()
        for t, (f, row) in enumerate(zip(target, self.shares(source, target), strict=True)):
            best = np.flatnonzero(row == row.max()) - 1  # NULL is -1
            if best[0] >= 0 and any((e, f) in self.table for e in source):
                far = np.abs((best + 0.5) / S - (t + 0.5) / T)
                found.add((t, int(best[far.argmin() if nearest else 0])))
        return found


def train(pairs: Iterable[tuple[Words, Words]], rounds: int = 5) -> Model1:
    r"""Fit t(f | e) to sentence pairs by expectation maximisation, from an even table.

    .. math::
        a_{ts} = \frac{t(f_t \mid e_s)}{\sum_i t(f_t \mid e_i)}, \qquad
        t(f \mid e) = \frac{\sum a_{ts} [f_t = f, e_s = e]}{\sum a_{ts} [e_s = e]}

    (Brown et al. 1993, section 4.2; the sums run over all pairs of sentences.) The likelihood never
    falls, and has one maximum as far as the shares go, so the start does not matter.

    Parameters
    ----------
    pairs : iterable of (source words, target words)
        Lists of words; `words` splits a sentence.
    rounds : int
        Steps of E and M.

    Raises
    ------
    TypeError
        If a side is one string, whose letters would pass for words.
    ValueError
        If no pair has a target word, or `rounds` is not positive.

    Examples
    --------
    *Haus* meets *house* in both pairs, so *the* is left with *das*:

    >>> pairs = [(["the", "house"], ["das", "Haus"]), (["a", "house"], ["ein", "Haus"])]
    >>> table = train(pairs, rounds=20).table
    >>> print(f"{table['the', 'das']:.2f} {table['the', 'Haus']:.2f}")
    1.00 0.00
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    pairs = [(listed("source words", e), listed("target words", f)) for e, f in pairs]
    if not any(target for _, target in pairs):
        raise ValueError("there is no target word to learn from")
    e_ids: dict[str | None, int] = {None: 0}
    f_ids: dict[str, int] = {}
    cells, first = [], 0
    for source, target in pairs:
        e = np.array([0, *(e_ids.setdefault(word, len(e_ids)) for word in source)])
        f = np.array([f_ids.setdefault(word, len(f_ids)) for word in target], dtype=int)
        rows = np.arange(first, first + len(f))
        cells.append((np.repeat(rows, len(e)), np.tile(e, len(f)), np.repeat(f, len(e))))
        first += len(f)
    # Every meeting of a target word with a source word; `entry` is its place in the table.
    rows, e, f = (np.concatenate(parts) for parts in zip(*cells, strict=True))
    keys, entry = np.unique(e * len(f_ids) + f, return_inverse=True)
    e_of, f_of = np.divmod(keys, len(f_ids))
    t = np.ones(len(keys))
    for _ in range(rounds):
        share = t[entry] / np.bincount(rows, t[entry])[rows]
        count = np.bincount(entry, share)
        t = count / np.bincount(e_of, count)[e_of]
    e_words, f_words = list(e_ids), list(f_ids)
    return Model1(
        {
            (e_words[i], f_words[j]): p
            for i, j, p in zip(e_of.tolist(), f_of.tolist(), t.tolist(), strict=True)
        }
    )


def both_ways(
    forwards: Model1, backwards: Model1, source, target, nearest: bool = False
) -> tuple[set, set]:
    """Links (target, source) on which two models agree, and those that either of them draws.

    Parameters
    ----------
    forwards, backwards : Model1
        Trained on pairs, and on the same pairs turned round.
    source, target : sequences of str
        The words of one sentence pair.
    nearest : bool
        How each decides between equal words, as in `Model1.links`.

    Examples
    --------
    *House* is found both ways; *das* might as well have come from nowhere:

    >>> pairs = [(["the", "house"], ["das", "Haus"]), (["the"], ["das"])]
    >>> there, back = train(pairs, rounds=5), train([(y, x) for x, y in pairs], rounds=5)
    >>> sorted(both_ways(there, back, *pairs[0])[0])
    [(1, 1)]
    """
    there = forwards.links(source, target, nearest)
    back = {(t, s) for s, t in backwards.links(target, source, nearest)}
    return there & back, there | back


def words(sentence: str) -> list[str]:
    """The words between blanks, without capitals and without the marks around them.

    >>> words("Two dogs, one «cat» !")
    ['two', 'dogs', 'one', 'cat', '!']
    """
    return [re.sub(r"^\W+|\W+$", "", word).lower() or word for word in sentence.split()]
