"""What does local-p do with its centre? The shipped model, forced through the captions.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/finger.py

It gives ``en-fr-luong`` the references of Multi30k's test set, token by token, and notes the centre
p_t and what the weights of the step sum to; by what kind of token is due: the first of a word, a
further one of the same word, or a mark of punctuation. It writes ``finger.json`` beside this file.
"""

import datetime
import json
import math
from pathlib import Path

import torch

from attnlib import pretrained
from attnlib.data.batches import collate
from attnlib.data.corpora import multi30k
from attnlib.metrics import WORD_START
from attnlib.training import hardware
from attnlib.windows import Predictive

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/finger.py"
MODEL, TEST = "en-fr-luong", "test_2016_flickr"
KINDS = ("first of a word", "further in a word", "punctuation")


def kind(token: str) -> str:
    """What is due: one of `KINDS`."""
    if not any(map(str.isalnum, token)):
        return KINDS[2]
    return KINDS[0] if token.startswith(WORD_START) else KINDS[1]


def steps(model: pretrained.Pretrained) -> list[dict]:
    """Every step of every reference: kind of token, centre, sum and strongest key."""
    window, found = model.model.decoder.attention.window, []
    centres: list[float] = []

    def recording(queries, lengths, start):
        centre = Predictive.centre(window, queries, lengths, start)
        centres.extend(centre.flatten().tolist())
        return centre

    window.centre = recording
    try:
        for source, target in multi30k(TEST):
            pair = model.tokenizer.encode(source), model.tokenizer.encode(target)
            batch = collate([pair])
            centres.clear()
            with torch.no_grad():
                _, weights = model.model(batch.source, batch.source_lengths, batch.target_in)
            for token, centre, row in zip(
                model.tokenizer.tokens(pair[1]), centres, weights[0].tolist(), strict=False
            ):
                strongest = max(range(len(row)), key=row.__getitem__)
                found.append({"kind": kind(token), "sum": sum(row), "gap": abs(centre - strongest)})
    finally:
        del window.centre
    return found


def main() -> None:
    """Measure, and write the file."""
    torch.set_num_threads(1)
    model = pretrained.load(MODEL)
    found, rows = steps(model), []
    for name in KINDS:
        of_kind = [step for step in found if step["kind"] == name]
        sums = [step["sum"] for step in of_kind]
        mean = sum(sums) / len(sums)
        deviation = math.sqrt(sum((x - mean) ** 2 for x in sums) / (len(sums) - 1))
        rows.append(
            {
                "what": name,
                "tokens": len(sums),
                "sum": round(mean, 4),
                "error": round(deviation / math.sqrt(len(sums)), 4),
                "under_half": round(sum(x < 0.5 for x in sums) / len(sums), 4),
                "gap": round(sum(step["gap"] for step in of_kind) / len(sums), 3),
            }
        )
        print(rows[-1])
    content = {
        "command": COMMAND,
        "hardware": hardware(),
        "date": datetime.date.today().isoformat(),
        "model": MODEL,
        "sha256": model.card["sha256"][pretrained.MODEL],
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
