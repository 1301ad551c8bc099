"""Is it the window? Controls for the small models of ``hansards.py`` (chapter 05).

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/window_controls.py

The windows of chapter 05 are compared with Luong's global decoder, which has the general score and
input feeding and learns slowly, and with Bahdanau's, which differs in score, timing and feeding.
This trains what is missing: a global decoder with the dot score, and one with the general score
that is fed the context, with the size (to 8 %) and the budget of the others. Then more seeds, of
these and of the windows. A model takes a quarter of an hour of one core. What is in
``window_controls.json`` already is not trained again, so a stopped run goes on; a model that was
begun goes on too, in ``runs/``.

It needs the Hansards, and writes ``window_controls.json`` beside this file.
"""

import itertools
import json
from pathlib import Path

import hansards as small
import torch
from _record import record

from attnlib import evaluation, pretrained
from attnlib.data import hansards

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/window_controls.py"
SEEDS = (1, 2, 3)
MODELS = {
    "Luong, global, dot": small.LUONG.replace(score="dot", hidden=120, decoder_hidden=240),
    "Luong, global, context fed": small.LUONG.replace(feeding="context"),
    "Luong, local-m": small.SMALL_MODELS["Luong, local-m"],
    "Luong, global": small.SMALL_MODELS["Luong, global"],
}


def measure(name: str, seed: int) -> dict:
    """Train one model, or go on with it, and count its errors."""
    slug = name.lower().replace(", ", "-").replace(" ", "-")
    run = small.trained(MODELS[name].replace(name=f"control-{slug}-{seed}", seed=seed))
    model = pretrained.Pretrained(name, run.averaged_model(), run.data.tokenizer, {})
    gold = hansards.gold("test")
    error = evaluation.alignment_error(model, gold, resamples=small.RESAMPLES)
    return {
        "what": name,
        "seed": seed,
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "perplexity": small._perplexity(model, run.data),
    } | small._rounded(error)


def main() -> None:
    """Do what is left, and write the file after each model."""
    torch.set_num_threads(1)
    runs = json.loads(RESULTS.read_text(encoding="utf-8"))["runs"] if RESULTS.exists() else []
    done = {(run["what"], run["seed"]) for run in runs}
    for seed, name in itertools.product(SEEDS, MODELS):
        if (name, seed) in done:
            continue
        runs.append(measure(name, seed))
        print(runs[-1], flush=True)
        content = {"updates": small.SMALL.optimisation.updates, "runs": runs}
        record(RESULTS, COMMAND, content, one_a_line="runs", grows=True)


if __name__ == "__main__":
    main()
