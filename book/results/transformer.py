"""The habits of training a transformer, each left off once: what does it cost (chapter 09)?

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/transformer.py

trains small transformers on Multi30k, English to French, alike but for one setting: without label
smoothing; without the warm-up of the learning rate; with the norm after each sublayer instead of
before it, with a warm-up and without. ``no average`` is the base itself with the weights of its
last update instead of the mean of its last snapshots.

Measured on Multi30k's val split: the cross-entropy in nats a subword on gold prefixes, without
smoothing; cased BLEU, greedy, with a 95 % interval by bootstrap over the sentences. Seeds
differ too: ``seeds`` holds what each gave. It trains what ``transformer.json`` does not hold yet,
so a stopped run goes on, one seed after another; ``--seeds`` and ``--only`` name some of them.
"""

import argparse
import csv
import dataclasses
import json
import statistics
import tempfile
from pathlib import Path

import torch
from _record import record

from attnlib import metrics, pretrained
from attnlib.data.corpora import multi30k
from attnlib.training import (
    TRANSFORMER,
    Run,
    RunConfig,
    TextData,
    prepare,
    validation_loss,
)

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/transformer.py"
SEEDS = (1, 2, 3)
BASE = TRANSFORMER.replace(
    name="base", vocab_size=4000, layers=2, dropout=0.1, updates=1600, lr=3e-3,
    warmup=300, validate_every=100,
)  # fmt: skip
LEFT_OFF = {
    "base": {},
    "no smoothing": {"label_smoothing": 0.0},
    "no warm-up": {"warmup": 0},
    "post-norm": {"norm": "after"},
    "post-norm, no warm-up": {"norm": "after", "warmup": 0},
}
NO_AVERAGE = "no average"


def trained(config: RunConfig, data: TextData) -> tuple[Run, list[list[float]]]:
    """One run, and its validation loss by update."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(config, folder, data, "cpu", quiet=True)
        run.run(checkpoint_seconds=1e9)
        with (Path(folder) / "log.csv").open(newline="") as file:
            curve = [[int(row["update"]), float(row["val_loss"])] for row in csv.DictReader(file)]
        return run, curve


def measure(model: torch.nn.Module, data: TextData) -> dict:
    """BLEU and loss of one model on the val split."""
    val = multi30k("val")
    writer = pretrained.Pretrained("small", model.eval(), data.tokenizer, {})
    hypotheses = [translation.text for translation in writer.translate(val.source, beam=1)]
    score = metrics.bleu(hypotheses, val.target, resamples=300)
    low, high = score.interval
    loss = validation_loss(model, data.val)
    return {
        "bleu": round(score.value, 2),
        "low": round(low, 2),
        "high": round(high, 2),
        "val_loss": round(loss, 4),
    }


def summed_up(seeds: dict[str, dict]) -> dict:
    """Means over the seeds; the interval is that of the first seed's sentences."""
    first = seeds[min(seeds)]
    mean = {
        key: statistics.mean(row[key] for row in seeds.values()) for key in ("bleu", "val_loss")
    }
    return {
        "bleu": {"value": round(mean["bleu"], 2), "low": first["low"], "high": first["high"]},
        "val_loss": round(mean["val_loss"], 4),
        "curve": first.get("curve"),
        "seeds": seeds,
    }


def main() -> None:
    """Train and measure what is missing, and write the file after each run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="*", default=list(SEEDS))
    parser.add_argument("--only", nargs="*", default=list(LEFT_OFF), help="some of the settings")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {"runs": {}}
    data = prepare(BASE)
    found = {name: run["seeds"] for name, run in results["runs"].items()}
    for seed in options.seeds:
        for name in options.only:
            changes = LEFT_OFF[name]
            if str(seed) in found.get(name, {}):
                continue
            run, curve = trained(BASE.replace(seed=seed, **changes), data)
            row = measure(run.averaged_model(), data)
            found.setdefault(name, {})[str(seed)] = row | {"curve": curve}
            if name == BASE.name:
                found.setdefault(NO_AVERAGE, {})[str(seed)] = measure(run.model, data)
            results = {
                "metric": "cased detokenised BLEU of val, greedy",
                "parameters": sum(p.numel() for p in run.model.parameters()),
                "config": dataclasses.asdict(BASE),
                "runs": {name: summed_up(seeds) for name, seeds in found.items()},
            }
            record(RESULTS, COMMAND, results, grows=True)


if __name__ == "__main__":
    main()
