"""What does local-p do with its centre? The shipped model, forced through the captions.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/finger.py

It gives ``en-fr-luong`` the references of Multi30k's test set, token by token, and notes the centre
p_t and what the weights of the step sum to; by what kind of token is due: the first of a word, a
further one of the same word, or a mark of punctuation. To see whether a small sum is meant, it does
the same once more with the weights divided by their sum, as an average has them, and compares the
loss. It writes ``finger.json`` beside this file.
"""

import math
from pathlib import Path

import torch
from _record import record
from torch.nn.functional import cross_entropy

from attnlib import pretrained, storage
from attnlib.data.batches import collate
from attnlib.data.corpora import multi30k
from attnlib.data.tokenizer import WORD_START
from attnlib.selection import Soft
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


class Divided(Soft):
    """The average by weights that are made to sum to 1."""

    def forward(self, weights, values, draws=None):
        return super().forward(weights / weights.sum(-1, keepdim=True), values)


def steps(model: pretrained.Pretrained) -> list[dict]:
    """Every step of every reference: kind of token, sum, loss, distance of centre and best key."""
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
                logits, weights = model.model(batch.source, batch.source_lengths, batch.target_in)
            loss = cross_entropy(logits[0], batch.target_out[0], reduction="none").tolist()
            for token, centre, row, nats in zip(
                model.tokenizer.tokens(pair[1]), centres, weights[0].tolist(), loss, strict=False
            ):
                gap = abs(centre - max(range(len(row)), key=row.__getitem__))
                found.append({"kind": kind(token), "sum": sum(row), "gap": gap, "loss": nats})
    finally:
        del window.centre
    return found


def main() -> None:
    """Measure, and write the file."""
    torch.set_num_threads(1)
    model = pretrained.load(MODEL)
    attention, rows = model.model.decoder.attention, []
    found = steps(model)
    attention.selection = Divided()
    divided = steps(model)
    pairs = list(zip(found, divided, strict=True))
    for name in KINDS:
        of_kind = [step for step in found if step["kind"] == name]
        losses = [(a["loss"], b["loss"]) for a, b in pairs if a["kind"] == name]
        small = [(a["loss"], b["loss"]) for a, b in pairs if a["kind"] == name and a["sum"] < 0.5]
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
                "loss": _means(losses),
                "loss_where_under_half": _means(small),
            }
        )
        print(rows[-1])
    content = {
        "model": MODEL,
        "sha256": model.card["sha256"][storage.MODEL],
        "rows": rows,
    }
    record(RESULTS, COMMAND, content)


def _means(pairs: list[tuple[float, float]]) -> dict:
    """Mean loss in nats, as trained and with the weights divided."""
    trained, divided = (round(sum(x) / len(pairs), 4) for x in zip(*pairs, strict=True))
    return {"as trained": trained, "divided": divided}


if __name__ == "__main__":
    main()
