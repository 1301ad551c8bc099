"""Luong's questions on real captions: score by window by timing, at one size and one budget.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/sweep.py

The sweep of the training queue (``sweep-...``), reduced to what one core does in two hours: a fifth
of its updates, on a model a fifth of its size. ``--full`` runs the queue's own, for a GPU. It
trains what ``sweep.json`` does not hold yet, so a stopped run goes on; at the end it times all the
settings side by side.

Measured on Multi30k's test set: cased BLEU, greedy; perplexity a subword, every subword predicted
from the gold ones before it; and an alignment error. Nobody has linked these captions by hand, so
silver links stand in: of two IBM Models 1, one a direction, those on which they agree are sure, and
those of either possible.
"""

import argparse
import dataclasses
import json
import math
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from _record import record

from attnlib import ibm1, metrics, pretrained
from attnlib.data.corpora import multi30k
from attnlib.training import (
    QUEUE,
    Run,
    RunConfig,
    TextData,
    bf16_products,
    prepare,
    validation_loss,
)

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/sweep.py"
TEST = "test_2016_flickr"
ROUNDS = 4  # of IBM Model 1
REDUCED = {
    "vocab_size": 1500, "width": 96, "hidden": 96, "decoder_hidden": 192, "dropout": 0.1,
    "output_dropout": 0.1, "updates": 600, "tokens": 1400, "lr": 3e-3, "warmup": 100, "average": 5,
    "validate_every": 600,
}  # fmt: skip
TESTED = 500  # of the test set's 1,000 captions
DIALS = ("score", "window", "reach", "timing", "feeding", "seed")
TIMED, REPEATS = 4, 5  # updates timed at a stretch, and how often


def configs(full: bool) -> list[RunConfig]:
    """The sweep of the queue, one seed after the other."""
    runs = [config for name, config in QUEUE.items() if name.startswith("sweep-")]
    changed = runs if full else [config.replace(**REDUCED) for config in runs]
    return sorted(changed, key=lambda config: config.seed)


def setting(config: RunConfig) -> dict:
    """The dials of a run, and its seed."""
    dials = vars(config.model.attention) | vars(config.model) | {"seed": config.seed}
    return {dial: dials[dial] for dial in DIALS}


def silver(train: Iterable[tuple[str, str]], test: Iterable[tuple[str, str]]) -> tuple[list, list]:
    """Links of test sentences on which two Models 1 agree, and those that either draws."""
    pairs = [(ibm1.words(x), ibm1.words(y)) for x, y in train]
    forwards = ibm1.train(pairs, ROUNDS)
    backwards = ibm1.train([(y, x) for x, y in pairs], ROUNDS)
    found = [ibm1.both_ways(forwards, backwards, ibm1.words(x), ibm1.words(y)) for x, y in test]
    return [sure for sure, _ in found], [possible for _, possible in found]


def measure(config: RunConfig, data: TextData, links: tuple[list, list], keep: bool) -> dict:
    """Train one setting, and mark it on the test sentences."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path("runs") / config.name if keep else Path(scratch)
        run = Run(config, folder, data, quiet=True)
        with bf16_products():
            run.run(checkpoint_seconds=60 if keep else math.inf)
    test, tokenizer = multi30k(TEST)[:TESTED], data.tokenizer
    model = pretrained.Pretrained(config.name, run.averaged_model(), tokenizer, {})
    found = [each.text for each in model.translate(test.source, 1)]
    drawn = [
        metrics.alignment_from_weights(
            each.weights,
            metrics.word_indices(each.source_tokens),
            metrics.word_indices(each.target_tokens),
        )
        for each in model.align(test.source, test.target)
    ]
    gold = [(tokenizer.encode(x), tokenizer.encode(y)) for x, y in test]
    return setting(config) | {
        "parameters": sum(p.numel() for p in model.model.parameters()),
        "bleu": round(metrics.bleu(found, test.target).value, 2),
        "perplexity": round(math.exp(validation_loss(model.model, gold)), 3),
        "error": round(metrics.alignment_error_rate(drawn, *links).value, 4),
    }


def speeds(data: TextData, chosen: list[RunConfig]) -> list[dict]:
    """Training tokens/s of each setting, all taking turns on the same sentences: the median."""
    rates = {config: [] for config in chosen}
    small = dataclasses.replace(data, val=data.val[:1])
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(REPEATS):
            for config in chosen:
                timed = config.replace(updates=TIMED, seed=1)
                folder = tempfile.mkdtemp(dir=scratch)
                run = Run(timed, folder, small, quiet=True)
                start = time.perf_counter()
                with bf16_products():
                    run.run(checkpoint_seconds=math.inf)
                rates[config].append(run.progress.tokens / (time.perf_counter() - start))
    return [
        {dial: value for dial, value in setting(config).items() if dial != "seed"}
        | {"tokens_per_s": round(statistics.median(rate))}
        for config, rate in rates.items()
    ]


def main() -> None:
    """Do what is left, and write the file after each run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="the queue's own sizes and updates")
    parser.add_argument("--limit", type=int, help="train at most so many, and do not time them")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = configs(options.full)
    scale = {
        "updates": chosen[0].optimisation.updates,
        "tokens": chosen[0].optimisation.tokens,
        "hidden": chosen[0].model.hidden,
        "sentences": TESTED,
    }
    content = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if content.get("scale") != scale:
        content = {"scale": scale, "runs": []}
    data, links = prepare(chosen[0]), silver(multi30k("train"), multi30k(TEST)[:TESTED])
    done = {tuple(run[dial] for dial in DIALS) for run in content["runs"]}
    left = [c for c in chosen if tuple(setting(c).values()) not in done]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for config in left[: options.limit]:
        content["runs"].append(measure(config, data, links, options.full))
        print(content["runs"][-1], flush=True)
        record(RESULTS, COMMAND, content, device, grows=True)
    if options.limit is None:
        content["speeds"] = speeds(data, [config for config in chosen if config.seed == 1])
        record(RESULTS, COMMAND, content, device, grows=True)


if __name__ == "__main__":
    main()
