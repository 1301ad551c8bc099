"""Turn the dials one by one: score, window, selection, timing and feeding on the small grammar.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/dials.py

It trains every setting three times on the grammar of `attnlib.data.toy.phrases`, whose translations
reorder and whose links are known, all with the size and the budget of ``alignment.py``. The twelve
settings of timing and feeding are then trained with `MORE_SEEDS` as well, one seed of all after the
other. What is in ``dials.json`` already is not trained again, so a stopped run goes on. An hour of
one core for the three seeds, and five minutes for each further one.
"""

import itertools
import json
import math
from pathlib import Path

import alignment
import torch
from _record import record

from attnlib import metrics
from attnlib.data import toy
from attnlib.data.batches import collate
from attnlib.decoding import greedy
from attnlib.training import Run, validation_loss

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/dials.py"
SEEDS, MORE_SEEDS = (1, 2, 3), (4, 5, 6, 7, 8, 9, 10)
DIALS = ("score", "window", "reach", "selection", "timing", "feeding")
# The reach is D: windows of five words, or nine, on sentences of three to ten.
WINDOWS = (("everywhere", 0), ("monotonic", 2), ("predictive", 2), ("predictive", 4))
RECIPES = (("before", "context"), ("after", "input"))  # Bahdanau's and Luong's


def settings() -> list[dict]:
    """Scores by windows under both recipes; timing by feeding; the two choices."""
    rows = [
        (score, *window, "soft", *recipe)
        for score, window, recipe in itertools.product(
            ("dot", "general", "additive", "location"), WINDOWS, RECIPES
        )
    ]
    rows += [
        (score, *WINDOWS[0], "soft", timing, feeding)
        for score, timing, feeding in itertools.product(
            ("general", "additive"), ("before", "after"), ("context", "input", "none")
        )
        if (timing, feeding) not in RECIPES
    ]
    rows += [("additive", *WINDOWS[0], choice, *RECIPES[0]) for choice in ("hard", "gumbel")]
    return [dict(zip(DIALS, row, strict=True)) for row in rows]


def taken_apart() -> list[dict]:
    """Timing by feeding, for the score that changes most and for one that does not: twelve."""
    return [
        setting
        for setting in settings()
        if setting["score"] in ("general", "additive")
        and (setting["window"], setting["selection"]) == ("everywhere", "soft")
    ]


def trained(setting: dict, seed: int) -> Run:
    """Train one setting with the size and the budget of ``alignment.py``."""
    base = alignment.config(setting["score"], seed)
    config = base.replace(name="-".join(map(str, setting.values())), **setting)
    return alignment.trained(config)


def measure(setting: dict, seed: int, examples: list[toy.Example]) -> dict:
    """Train one setting, and mark it on the test sentences."""
    return marks(trained(setting, seed), setting, seed, examples)


def marks(run: Run, setting: dict, seed: int, examples: list[toy.Example]) -> dict:
    """What a trained run makes of the test sentences."""
    model, vocabulary = run.averaged_model(), toy.vocabulary("phrases")
    pairs = vocabulary.pairs(examples)
    batch = collate(pairs)
    written = greedy(model, batch.source, batch.source_lengths)
    words = [vocabulary.decode(hypothesis.ids) for hypothesis in written]
    gold = [set(example.alignment) for example in examples]
    weights = alignment.attention(model, examples)
    found = [alignment.links(each) for each in weights]
    on_gold = [metrics.share_on_gold(w, links) for w, links in zip(weights, gold, strict=True)]
    exact = metrics.exact_match(words, [example.target for example in examples])
    error = metrics.alignment_error_rate(found, gold, gold)
    return setting | {
        "seed": seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "exact": round(exact.value, 4),
        "perplexity": round(math.exp(validation_loss(model, pairs)), 4),
        "error": round(error.value, 4),
        "share_on_gold": round(sum(on_gold) / len(on_gold), 4),
        "tokens_per_s": round(run.progress.tokens / run.progress.seconds),
    }


def main() -> None:
    """Do what is left, and write the file after each run."""
    torch.set_num_threads(1)
    examples = alignment.held_out()
    runs = json.loads(RESULTS.read_text(encoding="utf-8"))["runs"] if RESULTS.exists() else []
    done = {(*(run[dial] for dial in DIALS), run["seed"]) for run in runs}
    plan = [
        *itertools.product(SEEDS, settings()),
        *itertools.product(MORE_SEEDS, taken_apart()),
    ]
    for seed, setting in plan:
        if (*setting.values(), seed) in done:
            continue
        runs.append(measure(setting, seed, examples))
        print(runs[-1], flush=True)
        content = {
            "seeds": SEEDS,
            "updates": alignment.config(None, 1).optimisation.updates,
            "sentences": alignment.SENTENCES,
            "tested": alignment.TESTED,
            "runs": runs,
        }
        record(RESULTS, COMMAND, content, grows=True)


if __name__ == "__main__":
    main()
