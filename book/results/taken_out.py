"""What assignment 9 measures its claim on: weights, and what words lose without each source word.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/taken_out.py

Two translators are made to write the people's translations of the first twenty-five test sentences
with three to ten words on both sides: ``en-fr-bahdanau`` captions, ``hansards-bahdanau`` debates.
Stored are, for each pair, the weights (target words, source words), and what each target word loses
in nats if a source word is deleted, as in `instruments.py`. No word is stored. It takes half a
minute, needs Multi30k and the Hansards, and writes the file that the assignment reads,
``attnlib/checks/a09_taken_out.json``.
"""

from pathlib import Path

import torch
from _erasure import asked, recurrent_weights, without
from _record import record

from attnlib import pretrained, storage
from attnlib.data import hansards
from attnlib.data.corpora import multi30k

RESULTS = Path(__file__).parents[2] / "attnlib" / "checks" / "a09_taken_out.json"
COMMAND = "OMP_NUM_THREADS=1 python book/results/taken_out.py"
PAIRS, LEAST, MOST = 25, 3, 10  # words on either side


def debates() -> list[tuple[str, str]]:
    """The test sentences that have gold links, as they are written."""
    gold = hansards.gold("test")
    return [(" ".join(x), " ".join(y)) for x, y in zip(gold.source, gold.target, strict=True)]


def measured(name: str, text: str, texts: list[tuple[str, str]]) -> tuple[dict, list[dict]]:
    """The model, and weights and losses of the first pairs that are short enough."""
    model, kept = pretrained.load(name), []
    for source, target in texts:
        pair = asked(model, source, target)
        if min(pair.size) >= LEAST and max(pair.size) <= MOST and len(kept) < PAIRS:
            weights = recurrent_weights(model.model, pair)["weights"]
            both = {"weights": weights, "lost": without(model.model, pair)}
            rows = {what: x.astype(float).round(3).tolist() for what, x in both.items()}
            kept.append({"text": text} | rows)
    return {"model": name, "sha256": model.card["sha256"][storage.MODEL]}, kept


def main() -> None:
    """Ask both translators, and write the file."""
    torch.set_num_threads(1)
    texts = {
        "captions": ("en-fr-bahdanau", list(multi30k("test_2016_flickr"))),
        "debates": ("hansards-bahdanau", debates()),
    }
    models, pairs = {}, []
    for text, (name, both) in texts.items():
        models[text], kept = measured(name, text, both)
        pairs += kept
        print(text, len(kept), "pairs,", sum(len(pair["lost"]) for pair in kept), "words")
    record(RESULTS, COMMAND, {"models": models, "pairs": pairs}, one_a_line="pairs")


if __name__ == "__main__":
    main()
