"""Copying letters: a transformer and a recurrent model of one size, beyond the length of training.

    OMP_NUM_THREADS=1 python book/results/copying.py

trains five small models of each kind at two budgets and writes ``copying.json`` beside this file:
the share of unseen sequences that come out right to the last letter, by length (chapter 09). With
the small budget the longest sequences of training are not learned yet, with the large one they
are. It trains what the file does not hold yet, so a stopped run goes on.
"""

import json
import random
import tempfile
from pathlib import Path

import torch
from _record import record

from attnlib import metrics
from attnlib.data import toy
from attnlib.data.batches import collate
from attnlib.decoding import greedy
from attnlib.training import Run, RunConfig, TextData

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/copying.py"
SEEDS, LENGTHS = (1, 2, 3, 4, 5), (2, 3, 4, 5, 6, 7, 8)
SYMBOLS, LONGEST, TESTED = 10, 6, 100
BUDGETS = (240, 1200)  # updates
SHARED = {
    "corpus": "copy",
    "dropout": 0.0,
    "label_smoothing": 0.0,
    "average": 1,
    "tokens": 300,
    "warmup": 30,
    "validate_every": 10_000,
    "width": 32,
    "lr": 0.01,
}
OWN = {
    "transformer": {"layers": 1, "heads": 4, "feed_forward": 64, "beta2": 0.98},
    "recurrent": {"hidden": 20, "decoder_hidden": 28, "output_dropout": 0.0},
}


def copier(network: str, seed: int, updates: int = BUDGETS[0]):
    """A small model, trained to repeat 1 to 6 letters."""
    kind = {"recurrent": "translator"}.get(network, network)
    settings = SHARED | OWN[network] | {"updates": updates}
    config = RunConfig.of("copy", architecture=kind, seed=seed, **settings)
    letters = toy.vocabulary("copy", symbols=SYMBOLS)
    rng = random.Random(f"chapter 09 {seed}")
    pairs = letters.pairs(toy.copy(rng, 4000, symbols=SYMBOLS, longest=LONGEST))
    with tempfile.TemporaryDirectory() as folder:
        run = Run(config, folder, TextData(letters, pairs, pairs[:10]), "cpu", quiet=True)
        run.run(checkpoint_seconds=1e9)
        return run.averaged_model()


def copied(model, length: int) -> float:
    """The share of unseen sequences of one length that come out right to the last letter."""
    split = "test" if length > 2 else "all"  # of two letters there are too few to hold any back
    sizes = {"symbols": SYMBOLS, "shortest": length, "longest": length, "split": split}
    some = toy.copy(random.Random(length), TESTED, **sizes)
    letters = toy.vocabulary("copy", symbols=SYMBOLS)
    batch = collate(letters.pairs(some))
    said = [letters.decode(h.ids) for h in greedy(model, batch.source, batch.source_lengths)]
    return metrics.exact_match(said, [example.target for example in some]).value


def main() -> None:
    """Train and measure what is missing, and write the file after each model."""
    torch.set_num_threads(1)
    known = json.loads(RESULTS.read_text("utf-8"))["rows"] if RESULTS.exists() else []
    done = {(row.get("updates", BUDGETS[0]), row["network"], row["seed"]): row for row in known}
    rows = []
    for updates in BUDGETS:
        for seed in SEEDS:
            for network in OWN:
                row = done.get((updates, network, seed))
                if row is None:
                    model = copier(network, seed, updates)
                    row = {
                        "network": network,
                        "seed": seed,
                        "parameters": sum(p.numel() for p in model.parameters()),
                        "exact": {str(length): copied(model, length) for length in LENGTHS},
                    }
                    print(updates, row, flush=True)
                rows.append({"updates": updates} | row)
                record(RESULTS, COMMAND, {"tested": TESTED, "rows": rows}, one_a_line="rows")


if __name__ == "__main__":
    main()
