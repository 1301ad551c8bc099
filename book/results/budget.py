"""What a model, and what each ingredient of its recipe, gives at one budget, over seeds.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/budget.py

``models``: the fixed context, Bahdanau's attention, Luong's (looking everywhere, and through its
window) and the transformer, all of one size (to 3 %), on the same English-French pairs, with the
same updates of the same batches at the same rate. Dropout is that of each one's recipe. ``half the
rate``: the same at half the rate, one seed, since one model may not bear a rate that suits another.
``ingredients``: the same transformer with one thing changed: products in float32 (the others have
them in bf16), more dropout, words cut anew each epoch (BPE-dropout), R-Drop (with half of the
updates, since each is two passes), a moving average of the weights in place of ten snapshots, and
half of the subwords.

Each run takes some 10 to 20 minutes of one core; the script goes on where it was stopped, and
``--seeds`` picks. Marked are the loss on val, and cased BLEU of val and of test_2016_flickr, greedy
and with beam 5. (Most of what is stored was computed on an AMD processor whose widest instructions
MKL was made to use, which changes the order of sums.)
"""

import contextlib
import tempfile
from pathlib import Path

from _record import begin, record

from attnlib import metrics, pretrained
from attnlib.data.corpora import multi30k
from attnlib.training import QUEUE, Run, RunConfig, bf16_products, validation_loss

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/budget.py"
SETS = {"val": "val", "test": "test_2016_flickr"}
BUDGET = {"updates": 3000, "tokens": 2000, "lr": 2e-3, "warmup": 300, "validate_every": 500}
TRANSFORMER = QUEUE["en-fr-transformer"].replace(**BUDGET)
BAHDANAU = QUEUE["en-fr-bahdanau-first"].replace(width=128, **BUDGET)
LUONG = QUEUE["en-fr-luong"].replace(width=128, **BUDGET)
MODELS = {
    "fixed context": BAHDANAU.replace(score=None, hidden=234),
    "Bahdanau": BAHDANAU.replace(hidden=219),
    "Luong": LUONG.replace(hidden=244, window="everywhere"),
    "Luong, local-p": LUONG.replace(hidden=244),
    "transformer": TRANSFORMER,
}
INGREDIENTS = {
    "products in float32": TRANSFORMER,
    "dropout 0.3": TRANSFORMER.replace(dropout=0.3),
    "BPE-dropout 0.1": TRANSFORMER.replace(bpe_dropout=0.1),
    "R-Drop 2, half of the updates": TRANSFORMER.replace(r_drop=2.0, updates=1500, warmup=150),
    "moving average 0.999": TRANSFORMER.replace(ema=0.999),
    "4,000 subwords": TRANSFORMER.replace(vocab_size=4000),
}
HALF = {name: config.replace(lr=BUDGET["lr"] / 2) for name, config in MODELS.items()}
GROUPS = {"models": MODELS, "half the rate": HALF, "ingredients": INGREDIENTS}
SEEDS = {"models": 3, "half the rate": 1, "ingredients": 2}


def measure(what: str, config: RunConfig, seed: int) -> dict:
    """Train one model with one seed, and mark it."""
    config = config.replace(name=f"budget-{what}-{seed}".replace(" ", "-"), seed=seed)
    exact = what == "products in float32"
    with tempfile.TemporaryDirectory() as scratch:
        run = Run(config, Path(scratch), quiet=True, device="cpu")
        with contextlib.nullcontext() if exact else bf16_products():
            run.run(checkpoint_seconds=1e9)
    model = pretrained.Pretrained(what, run.averaged_model(), run.data.tokenizer, {})
    row = {
        "what": what,
        "seed": seed,
        "parameters": sum(p.numel() for p in model.model.parameters()),
        "loss": round(validation_loss(model.model, run.data.val), 4),
    }
    for name, split in SETS.items():
        pairs = multi30k(split)
        for how, beam in (("greedy", 1), ("beam", 5)):
            found = [each.text for each in model.translate(pairs.source, beam)]
            row[f"{name}_{how}"] = round(metrics.bleu(found, pairs.target).value, 2)
    return row


def main() -> None:
    """Do what is left, and write the file after each run."""
    options, content = begin(__doc__, RESULTS, {group: [] for group in GROUPS})
    content["budget"] = BUDGET
    left = [
        (group, what, config, seed)
        for group, variants in GROUPS.items()
        for seed in options.seeds[: SEEDS[group]]
        for what, config in variants.items()
    ]
    for group, what, config, seed in left:
        if (what, seed) not in {(row["what"], row["seed"]) for row in content[group]}:
            content[group].append(measure(what, config, seed))
            record(options.out, COMMAND, content, grows=True)
            print(content[group][-1], flush=True)


if __name__ == "__main__":
    main()
