r"""A sentence to its parse: one fixed vector, attention, a transformer (chapter 11).

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/parsing.py

The parsers of `attnlib.beyond.parsing`, of one size and budget, on sentences of 2 to 12 words of
the English Web Treebank whose trees brackets can say; tested on its dev split (for what was tried
on the way) and on its test split. The kinds of rows:

* ``model``: one a kind, setting and seed: share of outputs that are well-formed and that fit the
  sentence, attachment scores with punctuation and without, by number of words; where attention
  looks while it is told the gold brackets (below). Settings: ``whole``, all the training sentences;
  ``quarter``, every fourth with the same updates; ``longer``, twice the updates;
* ``untrained``: where networks look that have learned nothing;
* ``baseline``: each word depends on the one before it, or behind it, or at the distance that is
  most frequent for the word in training; no bracket is written.

Where attention looks: for opening brackets, for ``x`` and for closing brackets, the share of tokens
whose largest weight is on the ``next`` word (the first that has no ``x`` yet), on the ``last`` that
has one, on the bracket's ``own`` word, on that word's ``head``; and ``share on``, the mean weights
there. Where two of them are one word both count; ``apart`` are the tokens at which next, own and
head are three. ``moved on``: after an ``x``, and after another token, how often the largest weight
goes to the right, stays, goes back. The control beside each: the weights of another sentence with
as many words (``swapped``).

What is in ``parsing.json`` already is not measured again, so a stopped run goes on. An hour of
one core.
"""

import random
import re
import time
from collections import Counter
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

from _record import begin, record
from torch import Tensor

from attnlib.beyond import parsing
from attnlib.data.treebank import Tree

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/parsing.py"
UPDATES = 1500
SEEDS = (1, 2, 3)
UNTRAINED = 8  # seeds
SETTINGS = {  # kinds, times the updates, every so-manieth training sentence
    "whole": (parsing.MODELS, 1, 1),
    "quarter": (parsing.MODELS, 1, 4),
    "longer": (parsing.MODELS, 2, 1),
}
KINDS = {"(": "opening", parsing.WORD: "x", parsing.CLOSE: "closing"}
LENGTHS = ((2, 4), (5, 8), (9, 12))  # words, both included


@cache
def data() -> tuple[dict[str, list[Tree]], parsing.Vocabulary]:
    """The splits, and the vocabulary of the training split."""
    found = {split: parsing.sentences(split) for split in ("train", "dev", "test")}
    return found, parsing.vocabulary(found["train"])


@cache
def trained(kind: str, setting: str, seed: int):
    """A model, and the seconds its training took."""
    splits, known = data()
    _, times, every = SETTINGS[setting]
    begun = time.process_time()
    model = parsing.parser(kind, len(known), seed)
    parsing.fit(model, splits["train"][::every], known, times * UPDATES, seed)
    return model, time.process_time() - begun


# Where attention looks ------------------------------------------------------------------------


def looks(trees: Sequence[Tree], weights: Sequence[Tensor]) -> dict:
    """Of weights (3N, N + 1) of each tree, told its brackets: where they are; see the docstring."""
    hits: Counter = Counter()
    shares: Counter = Counter()
    moves: dict[str, Counter] = {"after x": Counter(), "after others": Counter()}
    for tree, w in zip(trees, weights, strict=True):
        tokens, places = parsing.brackets(tree), parsing.places(tree)
        best = w.argmax(-1).tolist()
        for t, token in enumerate(tokens):
            kind = KINDS[token[0]]
            here = {name: places[name][t] for name in places}
            apart = len({here[name] for name in ("next", "own", "head")}) == 3
            groups = [kind, f"{kind}, apart"] if apart else [kind]
            for group in groups:
                hits[group, "tokens"] += 1
                for name, word in here.items():
                    hits[group, name] += best[t] == word
                    shares[group, name] += float(w[t, word])
            if t:
                after = "after x" if tokens[t - 1] == parsing.WORD else "after others"
                step = best[t] - best[t - 1]
                moves[after]["right" if step > 0 else "back" if step < 0 else "stays"] += 1
    found: dict = {}
    for (group, name), n in hits.items():
        if name != "tokens":
            row = found.setdefault(group, {"tokens": hits[group, "tokens"], "share on": {}})
            row[name] = n / row["tokens"]
            row["share on"][name] = shares[group, name] / row["tokens"]
    moved = {
        after: {way: n / sum(counts.values()) for way, n in sorted(counts.items())}
        for after, counts in moves.items()
    }
    return found | {"moved on": moved}


def swapped(trees: Sequence[Tree], weights: Sequence[Tensor], seed: int) -> list[Tensor]:
    """To each tree the weights of another with as many words, where there is one."""
    rng = random.Random(seed)
    by_length: dict[int, list[int]] = {}
    for i, tree in enumerate(trees):
        by_length.setdefault(len(tree.words), []).append(i)
    found = list(weights)
    for rows in by_length.values():
        turn = rng.randrange(1, len(rows)) if len(rows) > 1 else 0
        for at, i in enumerate(rows):
            found[i] = weights[rows[(at + turn) % len(rows)]]
    return found


def looking(model, trees: Sequence[Tree], seed: int) -> dict:
    """Where a model looks, and the control."""
    _, known = data()
    weights = parsing.attend(model, trees, known)
    return {"own": looks(trees, weights), "swapped": looks(trees, swapped(trees, weights, seed))}


# Rows -----------------------------------------------------------------------------------------


def without_punctuation(trees: Sequence[Tree], written: Sequence[Sequence[str]]) -> float:
    """Unlabelled attachment score of the words that are no punctuation."""
    right = words = 0
    for tree, tokens in zip(trees, written, strict=True):
        parsed = parsing.read(tokens)
        fits = parsed is not None and len(parsed.heads) == len(tree.words)
        for i, relation in enumerate(tree.relations):
            if relation != "punct":
                words += 1
                right += fits and parsed.heads[i] == tree.heads[i]
    return right / words


def of_model(kind: str, setting: str, seed: int) -> dict:
    """One training, and all its tests."""
    splits, known = data()
    model, seconds = trained(kind, setting, seed)
    row: dict = {"seconds": round(seconds)}
    row["parameters"] = sum(p.numel() for p in model.parameters())
    for split in ("dev", "test"):
        trees = splits[split]
        written = parsing.parse(model, [tree.words for tree in trees], known)
        found = parsing.scores(trees, written)
        found["uas, no punctuation"] = without_punctuation(trees, written)
        for low, high in LENGTHS:
            some = [i for i, tree in enumerate(trees) if low <= len(tree.words) <= high]
            part = parsing.scores([trees[i] for i in some], [written[i] for i in some])
            found[f"{low} to {high} words"] = {k: part[k] for k in ("well-formed", "fits", "uas")}
        row[split] = found
    if setting != "quarter" and kind != "fixed":
        row["looks"] = looking(model, splits["test"], seed)
    return row


def of_untrained(kind: str, seed: int) -> dict:
    """Where a network looks that has learned nothing."""
    splits, known = data()
    model = parsing.parser(kind, len(known), 100 + seed).eval()
    return {"looks": looking(model, splits["test"], seed)}


def of_baseline(name: str, _seed: int) -> dict:
    """Attachment by a rule that writes no brackets."""
    splits, _ = data()
    far: dict[str, Counter] = {}
    for tree in splits["train"]:
        for i, (word, head) in enumerate(zip(tree.words, tree.heads)):
            far.setdefault(word.lower(), Counter())[head - i if head >= 0 else 0] += 1
    most = {word: counts.most_common(1)[0][0] for word, counts in far.items()}
    row = {}
    for split in ("dev", "test"):
        right = words = 0
        for tree in splits[split]:
            for i, (word, head) in enumerate(zip(tree.words, tree.heads)):
                step = {"before": -1, "behind": 1}.get(name, most.get(word.lower(), 1))
                guess = i + step if step and 0 <= i + step < len(tree.words) else -1
                right += guess == head
                words += 1
        row[split] = {"uas": right / words}
    return row


def example(seed: int = 1) -> list[dict]:
    """A few short test sentences, with the weights of both models that attend."""
    splits, known = data()
    named = re.compile(r"[A-Z]|\d")  # people and places are left out
    chosen = [
        tree
        for tree in splits["test"]
        if 6 <= len(tree.words) <= 8 and not named.search(" ".join(tree.words)[1:])
    ][:24:8]
    found = []
    for tree in chosen:
        row: dict = {"words": tree.words, "brackets": " ".join(parsing.brackets(tree))}
        for kind in ("bahdanau", "transformer"):
            model, _ = trained(kind, "longer", seed)
            (weights,) = parsing.attend(model, [tree], known)
            row[kind] = {
                "written": " ".join(parsing.parse(model, [tree.words], known)[0]),
                "weights": [[round(float(a), 3) for a in line] for line in weights],
            }
        found.append(row)
    return found


def rounded(value, digits: int = 4):
    """Numbers rounded, in dictionaries too; None for what is no number."""
    if isinstance(value, dict):
        return {name: rounded(each, digits) for name, each in value.items()}
    if value != value:
        return None
    return round(value, digits) if isinstance(value, float) else value


def plan(seeds) -> list[tuple[dict, partial]]:
    """Every row: what it is, and how it is measured."""
    rows = []
    for name in ("before", "behind", "most frequent"):
        said = {"kind": "baseline", "name": name, "seed": 0}
        rows.append((said, partial(of_baseline, name, 0)))
    for seed in seeds:
        for setting, (kinds, _, _) in SETTINGS.items():
            for kind in kinds:
                said = {"kind": "model", "model": kind, "setting": setting, "seed": seed}
                rows.append((said, partial(of_model, kind, setting, seed)))
    for seed in range(1, UNTRAINED + 1):
        for kind in ("bahdanau", "transformer"):
            said = {"kind": "untrained", "model": kind, "seed": seed}
            rows.append((said, partial(of_untrained, kind, seed)))
    return rows


def main() -> None:
    """Do what is left, and write the file as it goes."""
    options, results = begin(__doc__, RESULTS, {"runs": [], "example": []})
    runs, shown = results["runs"], results["example"]
    for said, measure in plan([seed for seed in options.seeds if seed in SEEDS]):
        if any(said.items() <= run.items() for run in runs):
            continue
        runs.append(rounded(said | measure()))
        print(said, flush=True)
        record(options.out, COMMAND, {"runs": runs, "example": shown}, one_a_line="runs")
    if not shown:
        record(options.out, COMMAND, {"runs": runs, "example": example()}, one_a_line="runs")


if __name__ == "__main__":
    main()
