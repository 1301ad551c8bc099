"""Where does stray weight go? Two shipped models, forced through sentences that people aligned.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/stray.py

``hansards-bahdanau`` looks everywhere. It is forced through the 447 gold sentences of the Hansards,
and the weight of every target word that has a link is shared out: on the words it is linked to
(sure or possible), on </s>, on punctuation that it is not linked to, on other words within reach of
the diagonal (at most D = 10 subwords from it), and on words farther off. The last part is what a
window like local-m would forbid. So the rows of weights are also cut to that window, without
training anything, and the alignment error is counted again. For comparison, the same shares of
weights that are even, as they nearly are before training.

The captions have no links. There ``en-fr-bahdanau``, which looks everywhere, and ``en-fr-luong``,
which has a predicted window, are compared: the weight that falls on </s> and on punctuation while a
word is due.

Intervals: 95 % by bootstrap over sentences. It needs the Hansards and Multi30k, and writes
``stray.json`` beside this file.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from _record import record

from attnlib import metrics, pretrained, storage
from attnlib.data import hansards
from attnlib.data.corpora import multi30k
from attnlib.data.tokenizer import word_indices
from attnlib.metrics.intervals import with_interval

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/stray.py"
DEBATES, CAPTIONS = "hansards-bahdanau", ("en-fr-bahdanau", "en-fr-luong")
REACH, RESAMPLES = 10, 1000
PLACES = ("linked words", "</s>", "punctuation", "other words, within D", "other words, beyond D")


def spelled(token: str) -> bool:
    """Whether a token has a letter or a digit in it."""
    return any(map(str.isalnum, token))


def shared_out(found: pretrained.Translation, links: set[tuple[int, int]]) -> np.ndarray:
    """Weight of each target subword that has a link on each of `PLACES`: (rows, 5)."""
    source = word_indices(found.source_tokens)
    target = word_indices(found.target_tokens)
    rows = []
    for t, word in enumerate(target):
        linked = {s for link, s in links if link == word}
        if word is None or not linked:
            continue
        row = np.zeros(len(PLACES))
        centre = min(t, len(source) - 1)  # as local-m has it
        for s, (token, its) in enumerate(zip(found.source_tokens, source, strict=True)):
            if its is None:
                place = 1
            elif its in linked:
                place = 0
            elif not spelled(token):
                place = 2
            else:
                place = 3 if abs(s - centre) <= REACH else 4
            row[place] += found.weights[t, s]
        rows.append(row)
    return np.array(rows).reshape(-1, len(PLACES))


def within_reach(weights: np.ndarray) -> np.ndarray:
    """Rows of weights with what lies beyond the reach of local-m set to zero."""
    T, S = weights.shape
    centre = np.minimum(np.arange(T), S - 1)
    return weights * (abs(np.arange(S) - centre[:, None]) <= REACH)


def mean_rows(sentences: list[np.ndarray]) -> list[list[float]]:
    """The mean of all rows of all sentences, column by column, with an interval over sentences."""
    found = []
    for column in range(sentences[0].shape[1]):
        counts = np.array([[rows[:, column].sum(), len(rows)] for rows in sentences])
        value = metrics.Estimate(float(_ratio(counts.sum(0))), "mean of rows")
        found.append(_rounded(with_interval(value, counts, _ratio, RESAMPLES, seed=0)))
    return found


def debates() -> dict:
    """The weights of the model that looks everywhere, on the gold sentences."""
    gold, model = hansards.gold("test"), pretrained.load(DEBATES)
    sides = [[" ".join(words) for words in side] for side in (gold.source, gold.target)]
    found = model.align(*sides)
    even = [replace(x, weights=np.full_like(x.weights, 1 / x.weights.shape[1])) for x in found]
    shares, of_even = (
        dict(zip(PLACES, mean_rows([shared_out(x, set(links)) for x, links in pairs]), strict=True))
        for pairs in (zip(found, gold.possible), zip(even, gold.possible))
    )
    error = {}
    for name, change in (("everywhere", np.asarray), ("within D", within_reach)):
        links = [
            metrics.alignment_from_weights(
                change(x.weights), word_indices(x.source_tokens), word_indices(x.target_tokens)
            )
            for x in found
        ]
        rate = metrics.alignment_error_rate(links, gold.sure, gold.possible, resamples=RESAMPLES)
        error[name] = _rounded(rate)
    return {
        "model": DEBATES,
        "sha256": model.card["sha256"][storage.MODEL],
        "weight": shares,
        "even_weight": of_even,
        "error": error,
    }


def captions(name: str) -> dict:
    """Weight on </s> and on punctuation while a word is due, and what all weights sum to."""
    model, pairs = pretrained.load(name), list(multi30k("test_2016_flickr"))
    found = model.align(*map(list, zip(*pairs, strict=True)))
    sentences = []
    for each in found:
        word_due = np.array([spelled(token) for token in each.target_tokens])
        marks = np.array([not spelled(token) for token in each.source_tokens[:-1]] + [False])
        weights = each.weights[word_due]
        parts = weights[:, -1], weights[:, marks].sum(-1), weights.sum(-1)
        sentences.append(np.stack(parts, -1))
    on_end, on_marks, total = mean_rows(sentences)
    return {
        "model": name,
        "sha256": model.card["sha256"][storage.MODEL],
        "</s>": on_end,
        "punctuation": on_marks,
        "sum": total,
    }


def main() -> None:
    """Measure, and write the file."""
    torch.set_num_threads(1)
    content = {"reach": REACH, "debates": debates(), "captions": list(map(captions, CAPTIONS))}
    print(content)
    record(RESULTS, COMMAND, content)


def _ratio(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / np.maximum(sums[..., 1], 1)


def _rounded(estimate: metrics.Estimate) -> list[float]:
    """The value and the two ends of its interval."""
    return [round(float(x), 4) for x in (estimate.value, *estimate.interval)]


if __name__ == "__main__":
    main()
