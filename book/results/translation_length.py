"""How long a sentence can a translator carry? BLEU by length, with and without attention.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/translation_length.py

It translates Multi30k's test set with the two shipped English-French models, and with three seeds
of a small pair of models that it trains first (resumable, in ``runs/``). The test sentences are
short (mean 12 words), so it also joins 2, 3 and 4 of them into one source, as they stand: a length
that neither model saw in training, and full stops inside, which they hardly saw (``full_stop.py``
joins the same sentences without). What is already in ``translation_length.json`` is not measured
again.

Intervals: for a shipped model, 95 % by bootstrap over the test sentences; for the small ones, 95 %
by Student's t over the three seeds.
"""

import argparse
import json
import math
from functools import partial
from pathlib import Path

import torch
from _record import record

from attnlib import metrics, pretrained, storage
from attnlib.data.corpora import multi30k
from attnlib.training import FIRST_PART, Run, RunConfig, TextData, bf16_products, prepare

RESULTS = Path(__file__).with_name("translation_length.json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/translation_length.py"
JOINED = (1, 2, 3, 4)  # sentences to a source
EDGES = (0, 9, 12, 15, 18, math.inf)  # words of a single source sentence
RESAMPLES = 300
SEEDS = (1, 2, 3)

SMALL = FIRST_PART.replace(
    vocab_size=4000, width=128, hidden=128, updates=500, tokens=2400, lr=3e-3,
    warmup=100, dropout=0.1, output_dropout=0.1, validate_every=250,
)  # fmt: skip
SMALL_MODELS = {  # the same size to 1 %: 1.06 million parameters
    "small-attention": SMALL,
    "small-fixed": SMALL.replace(score=None, hidden=136),
}


def joined(count: int) -> tuple[list[str], list[str]]:
    """The test set with `count` consecutive pairs joined to one, each pair used once."""
    test = multi30k("test_2016_flickr")
    starts = range(0, len(test) - count + 1, count)
    source, target = (
        [" ".join(side[i : i + count]) for i in starts] for side in (test.source, test.target)
    )
    return source, target


def small(name: str, seed: int, data: TextData) -> pretrained.Pretrained:
    """A small model, trained if it has not been."""
    config: RunConfig = SMALL_MODELS[name].replace(name=f"{name}-seed{seed}", seed=seed)
    run = Run(config, Path("runs") / config.name, data, device="cpu")
    with bf16_products():
        run.run()
    return pretrained.Pretrained(config.name, run.averaged_model(), data.tokenizer, {})


def measure(model: pretrained.Pretrained, beam: int, resamples: int) -> dict:
    """BLEU by number of joined sentences and, for single ones, by length in words."""
    bleu = partial(metrics.bleu, resamples=resamples)
    found = {"joined": [], "words": []}
    for count in JOINED:
        source, target = joined(count)
        hypotheses = [translation.text for translation in model.translate(source, beam)]
        lengths = [len(sentence.split()) for sentence in source]
        row = {"concatenated": count, "mean_source_words": round(sum(lengths) / len(lengths), 1)}
        found["joined"].append(row | _score(bleu(hypotheses, target)))
        if count == 1:
            for bucket in metrics.by_length(bleu, lengths, hypotheses, target, EDGES):
                low, high = bucket.low, bucket.high if math.isfinite(bucket.high) else None
                row = {"words_from": low, "words_below": high, "sentences": bucket.sentences}
                found["words"].append(row | _score(bucket.score))
    return found


def _score(score: metrics.Estimate) -> dict:
    low, high = score.interval or (None, None)
    rounded = [None if value is None else round(value, 2) for value in (score.value, low, high)]
    return dict(zip(("value", "low", "high"), rounded, strict=True))


def over_seeds(runs: list[dict], key: str) -> list[dict]:
    """The mean of each row over seeds, its t-interval and the single values."""
    rows = []
    for same in zip(*(run[key] for run in runs), strict=True):
        values = [row["value"] for row in same]
        rows.append(same[0] | _score(metrics.mean_interval(values)) | {"seeds": values})
    return rows


def main() -> None:
    """Measure what is not in the results file yet, and write it after each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small-only", action="store_true", help="leave the shipped models out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"models": {}}
    results["metric"] = "cased detokenised BLEU"
    models = results["models"]
    data = prepare(SMALL)
    for name in SMALL_MODELS:
        runs = models.setdefault(name, {"beam": 1, "runs": {}})["runs"]
        for seed in SEEDS:
            if str(seed) not in runs:
                runs[str(seed)] = measure(small(name, seed, data), 1, 0)
                _write(results)
    for name in () if options.small_only else ("en-fr-bahdanau", "en-fr-fixed"):
        model = pretrained.load(name)
        checksum = model.card["sha256"][storage.MODEL]
        if models.get(name, {}).get("sha256") != checksum:
            found = measure(model, 5, RESAMPLES)
            models[name] = {"beam": 5, "sha256": checksum} | found
            _write(results)


def _write(results: dict) -> None:
    """The file as the chapters read it: `rows` holds one number each, with its interval."""
    rows = []
    for name, entry in results["models"].items():
        runs = list(entry.get("runs", {}).values())
        if runs and len(runs) < len(SEEDS):
            continue
        for key in ("joined", "words"):
            for row in over_seeds(runs, key) if runs else entry[key]:
                rows.append({"model": name, "metric": "bleu"} | row)
    results["rows"] = rows
    record(RESULTS, COMMAND, results)


if __name__ == "__main__":
    main()
