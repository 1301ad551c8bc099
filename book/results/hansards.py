"""Is attention an alignment? Measured on links that people drew, in the Canadian parliament.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/hansards.py

It forces ``hansards-bahdanau`` through the 447 gold sentences, links every target word to the
source word with most of its attention, and counts the errors beside those of IBM Model 1 trained on
the same pairs, of the diagonal and of chance; then it takes the attention apart. Model 1 cannot
tell two occurrences of a word apart: it links to the one nearer to the diagonal (one row has the
leftmost, for comparison). ``--links`` measures only this much, in two minutes, and keeps the rest.

Then five small models, a third of its size and with the same budget each: Bahdanau's decoder, the
same without attention, and Luong's with its three windows. It trains them first (an hour of one
core; resumable, in ``runs/``), counts their errors, and translates held-out debates of up to 40
words, by length: none of the models has seen a sentence of more than 20. One more, local-m with the
size and budget of ``hansards-bahdanau`` (another half hour), is only aligned.

Intervals: 95 % by bootstrap over sentences. It needs the Hansards, and writes ``hansards.json``
beside this file.
"""

import argparse
import itertools
import json
import math
from pathlib import Path

import numpy as np
import torch
from _record import record

from attnlib import evaluation, ibm1, metrics, pretrained, storage
from attnlib.data import hansards
from attnlib.training import (
    HANSARDS,
    QUEUE,
    Run,
    RunConfig,
    TextData,
    bf16_products,
    validation_loss,
)

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/hansards.py"
MODEL = "hansards-bahdanau"
RESAMPLES, ROUNDS = 1000, 4
EDGES = (1, 11, 16, 21, 31)  # words of the English sentence
LONGEST, A_LENGTH, STEP = 40, 150, 10  # words, sentences a length, words between two lengths
SMALL = HANSARDS.replace(
    vocab_size=4000, width=160, hidden=160, updates=2000, tokens=2000, lr=2e-3,
    warmup=150, dropout=0.1, output_dropout=0.1, average=5, validate_every=500,
)  # fmt: skip
LUONG = SMALL.replace(score="general", timing="after", feeding="input")
SMALL_MODELS = {  # the same size to 8 %
    "Bahdanau": SMALL,
    "no attention": SMALL.replace(score=None, hidden=172),
    "Luong, global": LUONG,
    "Luong, local-m": LUONG.replace(window="monotonic"),
    "Luong, local-p": LUONG.replace(window="predictive"),
}
LARGE = {"large: Luong, local-m": QUEUE["hansards-luong-monotonic"]}


def small(name: str, data: TextData | None = None) -> Run:
    """A small model's run, trained if it has not been."""
    slug = "small-hansards-" + name.lower().replace(", ", "-").replace(" ", "-")
    return trained(SMALL_MODELS[name].replace(name=slug), data)


def trained(config: RunConfig, data: TextData | None = None) -> Run:
    """A run, finished if it has not been."""
    run = Run(config, Path("runs") / config.name, data, "cpu")
    with bf16_products():
        run.run()
    return run


def by_length(models: dict[str, pretrained.Pretrained]) -> list[dict]:
    """BLEU, greedy, of held-out debates by the length of their English side."""
    rows, debates = [], list(hansards.corpus("val", LONGEST))
    for low in range(1, LONGEST, STEP):
        some = [(x, y) for x, y in debates if low <= len(x.split()) < low + STEP][:A_LENGTH]
        source, target = (list(side) for side in zip(*some, strict=True))
        for name, model in models.items():
            found = [each.text for each in model.translate(source, 1)]
            score = metrics.bleu(found, target, resamples=RESAMPLES)
            row = {"what": name, "words_from": low, "words_below": low + STEP}
            rows.append(row | {"sentences": len(some)} | _rounded(score, 2))
            print(rows[-1], flush=True)
    return rows


def strongest(weights: np.ndarray) -> set[tuple[int, int]]:
    """Each target word's most attended source word."""
    return metrics.alignment_from_weights(weights)


def word_weights(found: list[pretrained.Translation]) -> list[np.ndarray]:
    """Weights between words, as `evaluation.alignment_error` has them."""
    return [
        metrics.word_weights(
            each.weights,
            metrics.word_indices(each.source_tokens),
            metrics.word_indices(each.target_tokens),
        )
        for each in found
    ]


def competing(weights: np.ndarray) -> np.ndarray:
    """Weights over the sum that their source word gets from all target words.

    A word that everybody looks at a little, say the full stop, is nobody's in particular.
    """
    return weights / (weights.sum(axis=0, keepdims=True) + 1e-3)


def without_null(model: ibm1.Model1, source: list[str], target: list[str]) -> set:
    """Links of a Model 1 that may not answer NULL, of equal words the nearer one."""
    shares, found = model.shares(source, target)[:, 1:], set()
    for t, row in enumerate(shares):
        best = np.flatnonzero(row == row.max())
        far = np.abs((best + 0.5) / len(source) - (t + 0.5) / len(target))
        found.add((t, int(best[far.argmin()])))
    return found


def main() -> None:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--links", action="store_true", help="keep what the small models got")
    only_links = parser.parse_args().links
    torch.set_num_threads(1)
    gold, model = hansards.gold("test"), pretrained.load(MODEL)
    sides = [[" ".join(words) for words in side] for side in (gold.source, gold.target)]
    found = model.align(*sides)
    between = word_weights(found)
    sizes = [weights.shape for weights in between]
    pairs = [(x.split(), y.split()) for x, y in hansards.corpus("train")]
    forwards = ibm1.train(pairs, ROUNDS)
    backwards = ibm1.train([(y, x) for x, y in pairs], ROUNDS)
    words = list(zip(gold.source, gold.target, strict=True))
    there = [forwards.links(x, y, nearest=True) for x, y in words]
    back = [{(t, s) for s, t in backwards.links(y, x, nearest=True)} for x, y in words]
    agreed = [ibm1.both_ways(forwards, backwards, x, y, nearest=True)[0] for x, y in words]
    attended = [strongest(weights) for weights in between]
    predicted = {
        "attention": attended,
        "attention, one row early": [{(t - 1, s) for t, s in links if t} for links in attended],
        "attention, one row late": [
            {(t + 1, s) for t, s in links if t + 1 < T}
            for links, (T, _) in zip(attended, sizes, strict=True)
        ],
        "attention, source words compete": [strongest(competing(w)) for w in between],
        "attention, </s> as NULL": [
            {(t, int(row.argmax())) for t, row in enumerate(w) if row.max() >= 1 - row.sum()}
            for w in between
        ],
        "IBM Model 1": there,
        "IBM Model 1, leftmost of equal words": [forwards.links(x, y) for x, y in words],
        "IBM Model 1, without NULL": [without_null(forwards, x, y) for x, y in words],
        "IBM Model 1, French to English": back,
        "IBM Model 1, both agree": agreed,
        "diagonal": [metrics.diagonal_alignment(*size) for size in sizes],
    }
    rows = [
        {"what": what} | _score(links, gold, range(len(gold))) for what, links in predicted.items()
    ]
    uniform = [metrics.uniform_weights(*size) for size in sizes]
    chance = metrics.expected_error_rate(uniform, gold.sure, gold.possible, resamples=RESAMPLES)
    rows.append({"what": "uniform"} | _rounded(chance))
    if only_links:
        rest = json.loads(RESULTS.read_text(encoding="utf-8"))
    else:
        rest = trained_here(model, gold, sides)
    lengths = []
    for low, below in itertools.pairwise(EDGES):
        chosen = [i for i, x in enumerate(gold.source) if low <= len(x) < below]
        row = {"words_from": low, "words_below": below, "sentences": len(chosen), "intervals": {}}
        for what in ("attention", "IBM Model 1", "diagonal"):
            score = _score(predicted[what], gold, chosen)
            row[what] = score["value"]
            row["intervals"][what] = [score["low"], score["high"]]
        sides_of = predicted["attention"], predicted["diagonal"], gold.sure, gold.possible
        apart = metrics.alignment_error_difference(
            *([side[i] for i in chosen] for side in sides_of), resamples=RESAMPLES
        )
        row["attention minus diagonal"] = _rounded(apart)
        lengths.append(row)
    content = {
        "model": MODEL,
        "bleu": model.card["metrics"]["hansards_val.bleu"],
        "sha256": model.card["sha256"][storage.MODEL],
        "sentences": len(gold),
        "sure_links": sum(map(len, gold.sure)),
        "links": sum(map(len, gold.possible)),  # a sure link is possible too
        "training_pairs": len(pairs),
        "weight_on_end": round(float(np.mean([w.weights[:, -1].mean() for w in found])), 4),
        "rows": rows,
        "by_length": lengths,
        "small": rest["small"],
        "large": rest["large"],
        "small_updates": SMALL.optimisation.updates,
        "bleu_by_length": rest["bleu_by_length"],
    }
    record(RESULTS, COMMAND, content)
    for row in rows:
        print(f"{row['what']:32} {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]")
    for row in lengths:
        print(row)


def trained_here(model: pretrained.Pretrained, gold, sides) -> dict:
    """What the models that are trained first get: alignment error, perplexity, BLEU by length."""
    smalls: list[dict] = []
    large: list[dict] = []
    models, data = {MODEL: model}, None
    for name in SMALL_MODELS:
        run = small(name, data)
        data = run.data
        models[name] = pretrained.Pretrained(name, run.averaged_model(), data.tokenizer, {})
        row = {
            "what": f"small: {name}",
            "parameters": sum(p.numel() for p in run.model.parameters()),
            "perplexity": _perplexity(models[name], data),
        }
        if SMALL_MODELS[name].model.attention is not None:
            row |= _rounded(evaluation.alignment_error(models[name], gold, resamples=RESAMPLES))
        print(row, flush=True)
        smalls.append(row)
    for name, config in LARGE.items():
        run = trained(config)
        aligned = pretrained.Pretrained(name, run.averaged_model(), run.data.tokenizer, {})
        looked = word_weights(aligned.align(*sides))
        links = [strongest(weights) for weights in looked]
        row = {"what": name, "perplexity": _perplexity(aligned, run.data)}
        large.append(row | _score(links, gold, range(len(gold))))
        links = [strongest(competing(weights)) for weights in looked]
        row = {"what": f"{name}, source words compete"}
        large.append(row | _score(links, gold, range(len(gold))))
        print(*large[-2:], sep="\n", flush=True)
    return {"small": smalls, "large": large, "bleu_by_length": by_length(models)}


def _score(links, gold, chosen) -> dict:
    parts = ([side[i] for i in chosen] for side in (links, gold.sure, gold.possible))
    return _rounded(metrics.alignment_error_rate(*parts, resamples=RESAMPLES))


def _perplexity(model: pretrained.Pretrained, data: TextData) -> float:
    return round(math.exp(validation_loss(model.model, data.val)), 2)


def _rounded(score: metrics.Estimate, digits: int = 4) -> dict:
    low, high = score.interval
    parts = {"value": score.value, "low": low, "high": high}
    return {name: round(value, digits) for name, value in parts.items()}


if __name__ == "__main__":
    main()
