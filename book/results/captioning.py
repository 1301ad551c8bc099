"""Show, attend and tell with one part changed at a time, on scenes: what the parts are good for.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/captioning.py

Each variant is `scenes-soft` of the training queue with an eighth of its updates, and is
marked on the same test scenes as `attnlib.pretrained.caption_scores` does. Pointing is also marked
on captions of the data, which every model is made to write: they are the same for all, whatever a
model would have said itself. The script trains what ``captioning.json`` does not hold yet, so a
stopped run goes on; a run takes some ten minutes of one core. ``--seeds`` and ``--only`` name what
to train: ``--seeds 2 3 --only soft "asked after" "no attention" "no gate"`` are two more of each of
the four main rows.
"""

import argparse
import json
import math
import tempfile
from pathlib import Path

import torch
from _record import record

from attnlib import evaluation, pretrained
from attnlib.captioning import CaptionDecoder
from attnlib.metrics import pointing
from attnlib.training import QUEUE, Run, RunConfig, bf16_products

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/captioning.py"
BASE = QUEUE["scenes-soft"].replace(timing="before", updates=3000, warmup=300, average=5)
VARIANTS = {
    "soft": {},
    "no attention": {"score": None},
    "no gate": {"gate": False},
    "asked after": {"timing": "after"},
    "nothing fed": {"feeding": "none"},
    "doubly stochastic": {"doubly_stochastic": 1.0},
    "hard": {"selection": "hard"},
    "gumbel": {"selection": "gumbel"},
    "wide field": {"field": "far"},
    "narrow field": {"field": "narrow"},
    "no detector": {"word_detection": 0.0},
    "asked after, no detector": {"timing": "after", "word_detection": 0.0},
    "asked after, words hidden": {"timing": "after", "word_dropout": 0.3},
    "asked after, told where": {"timing": "after", "supervised_attention": 1.0},
    "asked after, word once": {"timing": "after"},  # and the output below
}
WORD_ONCE = "asked after, word once"
TESTED = 1000  # scenes
REFERENCE = 300  # of them for the captions of the data


def word_once(decoder: CaptionDecoder, embedded, hidden, z):
    """The deep output without the last word, which has gone into the state already."""
    return decoder.L_o(decoder.dropout(decoder.L_h(hidden) + decoder.L_z(z)))


def measure(name: str, config: RunConfig) -> dict:
    """Train one variant with one seed, and mark it."""
    with tempfile.TemporaryDirectory() as scratch:
        run = Run(config, Path(scratch), quiet=True)
        with bf16_products():
            run.run(checkpoint_seconds=math.inf)
    arguments = config.arguments(len(run.data.tokenizer))
    card = {"architecture": "captioner", "pictures": config.data.corpus, "model": arguments}
    model = pretrained.Pretrained(name, run.averaged_model(), run.data.tokenizer, card)
    scores = evaluation.caption_scores(model, number=TESTED).scores
    found = {
        key: [round(score.value, 4), *(round(float(x), 4) for x in score.interval or ())]
        for key, score in scores.items()
    }
    if config.model.attention is not None:
        given = forced(model, run.data.val, REFERENCE)
        found["given_pointing_game"] = round(pointing.pointing_game(given).value, 4)
        found["given_attention_inside"] = round(pointing.mass_inside(given).value, 4)
    return {
        "name": name,
        "seed": config.seed,
        "changed": VARIANTS[name],
        "parameters": sum(p.numel() for p in model.model.parameters()),
        "seconds": round(run.progress.seconds),
        **found,
    }


def forced(model: pretrained.Pretrained, pictures, number: int) -> list[pointing.Record]:
    """Where a model looks while it is made to write the first captions of a collection."""
    samples = [pictures.sample(i) for i in range(number)]
    given = [sample.captions[0] for sample in samples]
    looked = model.force_decode([sample.image for sample in samples], [each.text for each in given])
    return [
        pointing.Record.of(c.words, c.things, x.weights, s.masks, model.grid, x.tokens, True)
        for s, c, x in zip(samples, given, looked, strict=True)
    ]


def main() -> None:
    """Do what is left, and write the file after each variant."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), help="some of the variants")
    parser.add_argument("--seeds", type=int, nargs="*", default=[BASE.seed])
    options = parser.parse_args()
    torch.set_num_threads(1)
    how = BASE.optimisation
    scale = {"updates": how.updates, "images": how.images, "tested": TESTED}
    content = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if content.get("scale") != scale:
        content = {"scale": scale, "runs": []}
    for seed in options.seeds:
        for name in options.only:
            if (name, seed) in {(run["name"], run["seed"]) for run in content["runs"]}:
                continue
            deep_output = CaptionDecoder.deep_output
            if name == WORD_ONCE:
                CaptionDecoder.deep_output = word_once
            found = measure(name, BASE.replace(name=name, seed=seed, **VARIANTS[name]))
            CaptionDecoder.deep_output = deep_output
            content["runs"].append(found)
            print(found, flush=True)
            record(
                RESULTS,
                COMMAND,
                content,
                "cuda" if torch.cuda.is_available() else "cpu",
                grows=True,
            )


if __name__ == "__main__":
    main()
