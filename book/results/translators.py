"""One table of the shipped English-French models, the transformer among them.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/translators.py

It puts together, for every model whose name begins with ``en-fr``:

* from its card: three BLEUs and chrF (test_2016_flickr, beam 5), parameters, training seconds, and
  what it was trained on;
* sentences/s, greedy and beam 5: all models take turns on the same test sentences, in batches as
  `pretrained` makes them; the best of several rounds. The seconds are the processor's, of one
  thread, so that what else a machine is busy with counts little;
* the alignment error of its attention, in forced decoding of the references, against silver links
  (`sweep.silver`); and against people's links on the Hansards, which none of these models was
  trained on. Of a transformer there is an error for the mean of each layer's heads and for each
  head: the layer and the head are chosen on the validation captions, and marked on the test ones;
* BLEU by length, beam 5: `translation_length`, from its own file where that has these weights;
* how many points of BLEU the best model is ahead of each other one, on the same sentences, with the
  interval of a paired bootstrap.

What ``translators.json`` holds of the same weights is not measured again, except the speeds: they
are measured of all models together, and again when one of them has changed. ``--only NAME``
measures one model; others that have nothing yet are left out. One model takes some ten minutes.

Intervals: 95 % by bootstrap over sentences.
"""

import argparse
import importlib.metadata
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import sweep
import torch
import translation_length
from _record import record

from attnlib import evaluation, metrics, pretrained, storage
from attnlib.data import hansards
from attnlib.data.corpora import Corpus, multi30k

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/translators.py"
PREFIX, TEST = "en-fr", "test_2016_flickr"
METRICS = ("bleu", "bleu_lc_tok", "bleu_lc", "chrf")
BEAM, TIMED, ROUNDS, RESAMPLES = 5, 200, 3, 1000
PACKAGES = ("attnlib", "torch", "numpy", "tokenizers", "sacrebleu")


def from_card(card: dict) -> dict:
    """What was measured when the model was trained."""
    keys = {name: f"{TEST}.{name}" for name in METRICS}
    return {
        **{name: card["metrics"][key] for name, key in keys.items()},
        "parameters": card["parameters"],
        "training_seconds": card["seconds"],
        "trained_on": card["hardware"],
        "signatures": {name: card["signatures"][key] for name, key in keys.items()},
    }


def speeds(models: dict[str, pretrained.Pretrained]) -> dict:
    """Sentences a second of processor time, all models in turns, the best of the rounds."""
    sentences = multi30k(TEST).source[:TIMED]
    best = {name: {"greedy": 0.0, f"beam {BEAM}": 0.0} for name in models}
    for _ in range(ROUNDS):
        for kind, beam in (("greedy", 1), (f"beam {BEAM}", BEAM)):
            for name, model in models.items():
                start = time.process_time()
                model.translate(sentences, beam)
                rate = round(len(sentences) / (time.process_time() - start), 1)
                best[name][kind] = max(best[name][kind], rate)
    return best


def ahead(models: dict[str, pretrained.Pretrained], best: str) -> dict:
    """BLEU of the best model less that of each other one, beam 5, on the same test captions."""
    test = multi30k(TEST)
    found = {
        name: [each.text for each in model.translate(test.source, BEAM)]
        for name, model in models.items()
    }
    return {
        name: _rounded(
            metrics.bleu_difference(found[best], texts, test.target, resamples=RESAMPLES)
        )
        for name, texts in found.items()
        if name != best
    }


def silver() -> dict[str, hansards.Gold]:
    """The captions with links on which two Models 1 agree (sure) or that either draws."""
    parts = {"val": multi30k("val"), TEST: multi30k(TEST)}
    sure, possible = sweep.silver(
        multi30k("train"), [pair for part in parts.values() for pair in part]
    )
    found, start = {}, 0
    for name, part in parts.items():
        links = [map(frozenset, each[start : start + len(part)]) for each in (sure, possible)]
        found[name] = hansards.Gold(*_words(part), *map(tuple, links))
        start += len(part)
    return found


def alignment(model: pretrained.Pretrained, links: dict[str, hansards.Gold]) -> dict | None:
    """Alignment errors on the test captions and on the Hansards; None without attention."""
    if model.card["model"].get("score", 1) is None:
        return None
    gold = {TEST: links[TEST], "hansards": hansards.gold("test")}
    if model.card.get("architecture") != "transformer":
        return {
            what: _rounded(evaluation.alignment_error(model, each, resamples=RESAMPLES))
            for what, each in gold.items()
        }
    on_val = errors(model, links["val"])
    on = {what: errors(model, each, RESAMPLES) for what, each in gold.items()}
    means = [where for where in on_val if where.endswith("mean of its heads")]
    layer = min(means, key=lambda where: on_val[where]["value"])
    head = min(set(on_val) - set(means), key=lambda where: on_val[where]["value"])
    return {
        **{what: found[layer] | {"where": layer} for what, found in on.items()},
        "best_head": {what: found[head] | {"where": head} for what, found in on.items()},
        "every": {"val": on_val, **on},
    }


def errors(
    model: pretrained.Pretrained, gold: hansards.Gold, resamples: int = 0
) -> dict[str, dict]:
    """A transformer's alignment errors: of the mean of each layer's heads, and of each head."""
    sides = ([" ".join(words) for words in side] for side in (gold.source, gold.target))
    drawn: dict[str, list] = {}
    for looks in model.attention_maps(*sides):
        words = metrics.word_indices(looks.source_tokens), metrics.word_indices(looks.target_tokens)
        for where, weights in _places(looks.cross):
            links = metrics.alignment_from_weights(weights, *words)
            drawn.setdefault(where, []).append(links)
    return {
        where: _rounded(
            metrics.alignment_error_rate(each, gold.sure, gold.possible, resamples=resamples)
        )
        for where, each in drawn.items()
    }


def _places(cross: np.ndarray):
    """Weights (T, S) by where they are from, of weights (L, H, T, S)."""
    for layer, heads in enumerate(cross, start=1):
        yield f"layer {layer}, mean of its heads", heads.mean(0)
        for head, weights in enumerate(heads, start=1):
            yield f"layer {layer}, head {head}", weights


def by_length(model: pretrained.Pretrained) -> dict:
    """BLEU by length, measured if it has not been."""
    known = json.loads(translation_length.RESULTS.read_text())["models"].get(model.name, {})
    if known.get("sha256") == _checksum(model.card):
        return {key: known[key] for key in ("beam", "joined", "words")}
    found = translation_length.measure(model, BEAM, translation_length.RESAMPLES)
    return {"beam": BEAM} | found


def main() -> None:
    """Measure what is missing, and write the file after each part."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="NAME", help="measure this model")
    options = parser.parse_args()
    names = [name for name in pretrained.names() if name.startswith(PREFIX)]
    if options.only not in (None, *names):
        parser.error(f"{options.only} is none of {', '.join(names)}")
    torch.set_num_threads(1)
    cards = {name: pretrained.card(name) for name in names}
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"models": {}}
    entries = {
        name: results["models"].get(name, {})
        for name in names
        if options.only in (None, name) or name in results["models"]
    }
    for name, entry in entries.items():
        if entry.get("sha256") != _checksum(cards[name]):
            entry.clear()
            entry["sha256"] = _checksum(cards[name])
        entry["card"] = from_card(cards[name])
    results["models"] = entries
    models = {name: pretrained.load(name) for name in entries}
    checksums = {name: entry["sha256"] for name, entry in entries.items()}
    sizes = {name: cards[name]["parameters"] for name in entries}  # other weights are no faster
    if results.get("speeds", {}).get("parameters") != sizes:
        results["speeds"] = {"parameters": sizes, "rounds": ROUNDS, "sentences": TIMED}
        results["speeds"] |= {"per_second": speeds(models)}
        _write(results)
    best = max(entries, key=lambda name: entries[name]["card"]["bleu"])
    if results.get("ahead", {}).get("sha256") != checksums:
        results["ahead"] = {"sha256": checksums, "best": best, "bleu": ahead(models, best)}
        _write(results)
    links: dict[str, hansards.Gold] = {}
    parts: dict[str, Callable] = {"by_length": by_length}
    parts["alignment"] = lambda model: alignment(model, links)
    for name, entry in entries.items():
        if options.only not in (None, name):
            continue
        for part, measure in parts.items():
            if part not in entry:
                if part == "alignment" and not links:
                    links |= silver()
                entry[part] = measure(models[name])
                _write(results)
    if links:
        diagonal = [metrics.diagonal_alignment(len(y), len(x)) for x, y in _pairs(links[TEST])]
        gold = links[TEST]
        results["diagonal"] = _rounded(
            metrics.alignment_error_rate(diagonal, gold.sure, gold.possible, resamples=RESAMPLES)
        )
    _write(results)
    for row in results["rows"]:
        print(row)


def _write(results: dict) -> None:
    """The file as the chapters read it: `rows` has one line a model, the rest is in `models`."""
    rows = []
    for name, entry in results["models"].items():
        row = {"model": name} | entry["card"]
        del row["signatures"]
        row |= {f"{kind}_per_s": n for kind, n in results["speeds"]["per_second"][name].items()}
        aligned = entry.get("alignment") or {}
        row["alignment_error"] = aligned.get(TEST)
        row["alignment_error_best_head"] = aligned.get("best_head", {}).get(TEST)
        row["alignment_error_hansards"] = aligned.get("hansards")
        joined = entry.get("by_length", {}).get("joined", ())
        row["bleu_joined"] = {each["concatenated"]: each["value"] for each in joined}
        rows.append(row)
    results["versions"] = {name: importlib.metadata.version(name) for name in PACKAGES}
    results["versions"]["python"] = platform.python_version()
    results["rows"] = rows
    record(RESULTS, COMMAND, results, grows=True)


def _checksum(card: dict) -> str:
    return card["sha256"][storage.MODEL]


def _words(part: Corpus) -> tuple[tuple, tuple]:
    """Both sides of sentence pairs, split into words."""
    return tuple(tuple(tuple(x.split()) for x in side) for side in (part.source, part.target))


def _pairs(gold: hansards.Gold):
    return zip(gold.source, gold.target, strict=True)


def _rounded(score: metrics.Estimate) -> dict:
    """Its value, and where it has an interval the ends."""
    ends = dict(zip(("low", "high"), score.interval or (), strict=False))
    return {name: round(value, 4) for name, value in ({"value": score.value} | ends).items()}


if __name__ == "__main__":
    main()
