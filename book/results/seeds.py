"""The translators of the queue, seed by seed: what holds for more than one model?

Run from the root of the repository, after ``python -m attnlib.training --queue gpu``::

    OMP_NUM_THREADS=1 python book/results/seeds.py

For each finished model in ``runs/`` (or ``--folder``) that translates Multi30k: the loss on val and
the BLEU scores of its card, and BLEU as in ``translation_length.py``: of one to four test sentences
joined into one source as they stand, with the full stops inside (``full_stop.py`` tells what these
cost), and of single ones by their length. What ``seeds.json`` holds already is not measured again.
"""

import argparse
import json
from pathlib import Path

import torch
import translation_length
from _record import record

from attnlib import pretrained
from attnlib.training import RunConfig, recipes

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/seeds.py"
BEAM = 5


def name_of(config: RunConfig) -> str:
    """The name of the run in the library with these settings, whatever it was called before."""
    return next(
        (
            known.name
            for known in recipes.QUEUE.values()
            if known.replace(name=config.name) == config
        ),
        config.name,
    )


def measure(folder: Path) -> dict:
    """What a finished model scores, and where and with which settings it was trained."""
    model = pretrained.read(folder)
    card = model.card
    scores = {name.rpartition(".")[2]: value for name, value in card["metrics"].items()}
    found = translation_length.measure(model, BEAM, 0)
    return {
        "model": name_of(RunConfig.from_dict(card["config"])),
        "seed": card["seed"],
        "parameters": card["parameters"],
        "trained_on": card["hardware"],
        "seconds": card["seconds"],
        **{name: scores[name] for name in ("loss", "bleu", "bleu_lc_tok")},
        "joined": {str(row["concatenated"]): row["value"] for row in found["joined"]},
        "words": {str(row["words_from"]): row["value"] for row in found["words"]},
    }


def main() -> None:
    """Measure what is missing, and write the file after each model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("runs"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = json.loads(RESULTS.read_text("utf-8"))["rows"] if RESULTS.exists() else []
    for card in sorted(options.folder.glob("*/model/card.json")):
        about = json.loads(card.read_text("utf-8"))
        config = RunConfig.from_dict(about["config"])
        known = name_of(config) in {row["model"] for row in rows}
        if config.data.corpus != "multi30k" or known or about["unmeasured"]:
            continue
        rows.append(measure(card.parent))
        print(rows[-1], flush=True)
        rows.sort(key=lambda row: row["model"])
        content = {"beam": BEAM, "metric": "cased detokenised BLEU", "rows": rows}
        record(RESULTS, COMMAND, content, one_a_line="rows", grows=True)


if __name__ == "__main__":
    main()
