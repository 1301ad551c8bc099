"""Is attention an alignment? Measured on links that people drew, in the Canadian parliament.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/hansards.py

It forces ``hansards-bahdanau`` through the 447 gold sentences, links every target word to the
source word with most of its attention, and counts the errors beside those of IBM Model 1 trained on
the same pairs, of the diagonal and of chance; then it takes the attention apart. Intervals: 95 % by
bootstrap over sentences. It needs the Hansards, and writes ``hansards.json`` beside this file.
"""

import datetime
import itertools
import json
from pathlib import Path

import numpy as np
import torch

from attnlib import ibm1, metrics, pretrained
from attnlib.data import hansards
from attnlib.training import hardware

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/hansards.py"
MODEL = "hansards-bahdanau"
RESAMPLES, ROUNDS = 1000, 4
EDGES = (1, 11, 16, 21, 31)  # words of the English sentence


def strongest(weights: np.ndarray) -> set[tuple[int, int]]:
    """Each target word's most attended source word."""
    return metrics.alignment_from_weights(weights)


def competing(weights: np.ndarray) -> np.ndarray:
    """Weights over the sum that their source word gets from all target words.

    A word that everybody looks at a little, say the full stop, is nobody's in particular.
    """
    return weights / (weights.sum(axis=0, keepdims=True) + 1e-3)


def main() -> None:
    """Measure, and write the file."""
    torch.set_num_threads(1)
    gold, model = hansards.gold("test"), pretrained.load(MODEL)
    sides = ([" ".join(words) for words in side] for side in (gold.source, gold.target))
    found = model.align(*sides)
    between = [
        metrics.word_weights(
            each.weights,
            metrics.word_indices(each.source_tokens),
            metrics.word_indices(each.target_tokens),
        )
        for each in found
    ]
    sizes = [weights.shape for weights in between]
    pairs = [(x.split(), y.split()) for x, y in hansards.corpus("train")]
    forwards = ibm1.train(pairs, ROUNDS)
    backwards = ibm1.train([(y, x) for x, y in pairs], ROUNDS)
    words = list(zip(gold.source, gold.target, strict=True))
    there = [forwards.links(x, y) for x, y in words]
    back = [{(t, s) for s, t in backwards.links(y, x)} for x, y in words]
    agreed = [ibm1.both_ways(forwards, backwards, x, y)[0] for x, y in words]
    attended = [strongest(weights) for weights in between]
    predicted = {
        "attention": attended,
        "attention, one row early": [{(t - 1, s) for t, s in links if t} for links in attended],
        "attention, one row late": [
            {(t + 1, s) for t, s in links if t + 1 < T}
            for links, (T, _) in zip(attended, sizes, strict=True)
        ],
        "attention, source words compete": [strongest(competing(w)) for w in between],
        "IBM Model 1": there,
        "IBM Model 1, French to English": back,
        "IBM Model 1, both agree": agreed,
        "diagonal": [metrics.diagonal_alignment(*size) for size in sizes],
    }
    rows = [
        {"what": what} | _score(links, gold, range(len(gold))) for what, links in predicted.items()
    ]
    uniform = [metrics.uniform_weights(*size) for size in sizes]
    chance = metrics.expected_error_rate(uniform, gold.sure, gold.possible, RESAMPLES)
    rows.append({"what": "uniform"} | _rounded(chance))
    lengths = []
    for low, below in itertools.pairwise(EDGES):
        chosen = [i for i, x in enumerate(gold.source) if low <= len(x) < below]
        row = {"words_from": low, "words_below": below, "sentences": len(chosen)}
        for what in ("attention", "IBM Model 1", "diagonal"):
            row[what] = _score(predicted[what], gold, chosen)["value"]
        lengths.append(row)
    content = {
        "command": COMMAND,
        "hardware": hardware(),
        "date": datetime.date.today().isoformat(),
        "model": MODEL,
        "bleu": model.card["metrics"]["hansards_val.bleu"],
        "sha256": model.card["sha256"][pretrained.MODEL],
        "sentences": len(gold),
        "training_pairs": len(pairs),
        "weight_on_end": round(float(np.mean([w.weights[:, -1].mean() for w in found])), 4),
        "rows": rows,
        "by_length": lengths,
    }
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        print(f"{row['what']:32} {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]")
    for row in lengths:
        print(row)


def _score(links, gold, chosen) -> dict:
    parts = ([side[i] for i in chosen] for side in (links, gold.sure, gold.possible))
    return _rounded(metrics.alignment_error_rate(*parts, RESAMPLES))


def _rounded(score: metrics.Score) -> dict:
    low, high = score.interval
    return {"value": round(score.value, 4), "low": round(low, 4), "high": round(high, 4)}


if __name__ == "__main__":
    main()
