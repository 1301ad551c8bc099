"""Local-m on two grammars, verbs last and verbs in their place (chapter 05).

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/verb_place.py

trains a dot score in Luong's recipe with local-m (D = 2) on sentences of the small grammar, with
the size and the budget of ``dials.py``, and marks it on new sentences of the same kind: those all
of whose links are within reach of the window, and those with a longer one. *Everywhere* is trained
on both grammars too, for comparison. What is in ``verb_place.json`` already is not trained again,
so a stopped run goes on. Half a minute of one core a run.
"""

import itertools
import json
import random
import tempfile
from pathlib import Path

import alignment
import dials
import torch
from _record import record

from attnlib.data import toy
from attnlib.data.batches import collate
from attnlib.decoding import greedy
from attnlib.training import Run, TextData

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/verb_place.py"
SEEDS, REACH, TESTED = (1, 2, 3), 2, 1000
PLAN = tuple(itertools.product(("monotonic", "everywhere"), (True, False)))  # window, verbs last


def phrases(rng: random.Random, number: int, last: bool, split: str) -> list[toy.Example]:
    """Sentences without modifiers, their verbs last or in place."""
    return toy.phrases(rng, number, deepest=alignment.DEEPEST, verb_final=last, split=split)


def trained(window: str, last: bool, seed: int) -> Run:
    """As `alignment.trained`, on either grammar."""
    reach = REACH if window == "monotonic" else 0
    setting = dict(zip(dials.DIALS, ("dot", window, reach, "soft", "after", "input")))
    config = alignment.config("dot", seed).replace(name=f"{window}-{last}", **setting)
    vocabulary, rng = toy.vocabulary("phrases"), random.Random(f"verb place {seed}")
    train, val = (
        vocabulary.pairs(phrases(rng, number, last, split))
        for split, number in (("train", alignment.SENTENCES), ("val", 100))
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Run(config, folder, TextData(vocabulary, train, val), "cpu", quiet=True)
        run.run(checkpoint_seconds=1e9)
        return run


def longest(example: toy.Example) -> int:
    """The longest |s - t| of its links."""
    return max(abs(s - t) for t, s in example.alignment)


def right(model, examples: list[toy.Example]) -> list[bool]:
    """Which sentences it translates right to the last word."""
    vocabulary = toy.vocabulary("phrases")
    batch = collate(vocabulary.pairs(examples))
    found = greedy(model, batch.source, batch.source_lengths)
    said = [tuple(vocabulary.decode(each.ids)) for each in found]
    return [words == tuple(x.target) for words, x in zip(said, examples, strict=True)]


def measure(window: str, last: bool, seed: int, examples: list[toy.Example]) -> dict:
    """Train once, and mark the sentences within reach of local-m apart from the others."""
    marked = right(trained(window, last, seed).averaged_model(), examples)
    near = [ok for ok, x in zip(marked, examples, strict=True) if longest(x) <= REACH]
    far = [ok for ok, x in zip(marked, examples, strict=True) if longest(x) > REACH]
    return {
        "window": window,
        "verb_final": last,
        "seed": seed,
        "within_reach": round(sum(near) / len(near), 4),
        "beyond_reach": round(sum(far) / len(far), 4),
        "all": round(sum(marked) / len(marked), 4),
    }


def main() -> None:
    """Do what is left, and write the file after each run."""
    torch.set_num_threads(1)
    tests = {
        last: phrases(random.Random("verb place"), TESTED, last, "test") for last in (True, False)
    }
    share = {
        "last" if last else "in place": sum(longest(x) > REACH for x in test) / TESTED
        for last, test in tests.items()
    }
    runs = json.loads(RESULTS.read_text(encoding="utf-8"))["runs"] if RESULTS.exists() else []
    done = {(run["window"], run["verb_final"], run["seed"]) for run in runs}
    for seed, (window, last) in itertools.product(SEEDS, PLAN):
        if (window, last, seed) in done:
            continue
        runs.append(measure(window, last, seed, tests[last]))
        print(runs[-1], flush=True)
        content = {"reach": REACH, "tested": TESTED, "beyond_reach": share, "runs": runs}
        record(RESULTS, COMMAND, content, one_a_line="runs", grows=True)


if __name__ == "__main__":
    main()
