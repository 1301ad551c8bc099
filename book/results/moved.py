"""What the figure of moved weights shows: sentences, read with and without context (chapter 10).

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/moved.py

Two small classifiers (`attnlib.evidence`) are trained on the task ``negated``, with the settings of
``debate.py`` and one seed, in a few seconds. Of the shortest test sentences, three whose "not"
turns the opinion and three whose "not" stands elsewhere are stored: each model's weights, and the
logit that each word would give alone.
"""

from pathlib import Path

import torch
from _record import record

from attnlib import evidence
from attnlib.explore.moved_weights import readings_of

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/moved.py"
NAMES = {"recurrent": "with context", "token-wise": "without context"}
TASK, SEED, UPDATES, RATE, WIDTH, EACH = "negated", 1, 300, 0.01, 16, 3


def main() -> None:
    """Train both, read the sentences, write the file."""
    torch.set_num_threads(1)
    train, test = (evidence.sentences(TASK, split) for split in ("train", "test"))
    words = evidence.vocabulary(train)
    texts, models, accuracy = evidence.encode(train, words), {}, {}
    for encoder, name in NAMES.items():
        torch.manual_seed(SEED)
        model = evidence.AttentionClassifier(len(words), encoder, width=WIDTH, hidden=WIDTH)
        models[name] = evidence.fit(model, texts, UPDATES, RATE, seed=SEED).eval()
        asked = evidence.encode(test, words)
        with torch.no_grad():
            found = evidence.accuracy(models[name](asked).logits, asked.labels)
        accuracy[name] = round(found, 4)
    shortest = sorted(test, key=lambda one: len(one.words))
    chosen = [
        one
        for turned in (2, 1)  # words that decide: "not" and the opinion, or the opinion alone
        for one in [each for each in shortest if len(each.evidence) == turned][:EACH]
    ]
    with torch.no_grad():
        sentences = readings_of(models, chosen, words)
    for each in sentences:
        for reading in each["readings"].values():
            for name in ("weights", "alone"):
                reading[name] = [round(number, 4) for number in reading[name]]
    content = {"task": TASK, "seed": SEED, "accuracy": accuracy, "sentences": sentences}
    record(RESULTS, COMMAND, content)


if __name__ == "__main__":
    main()
