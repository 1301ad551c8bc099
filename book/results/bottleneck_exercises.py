"""Two exercises of chapter 01, tried: do lags predict learning, and what defeats attention?

Run from the root of the repository, on one thread, about five minutes::

    OMP_NUM_THREADS=1 python book/results/bottleneck_exercises.py

*phrases* (ex-01-phrases): the one-way model of ``bottleneck.py``, with its budget, translates the
small grammar from SVO to SVO, from SVO to SOV and from SOV to SVO, with the source plain and
reversed. Of each run: the share of new sentences that are right to the last word, and the share in
which the right verb is written, wherever it stands.

*pairs* (ex-01-enough): target letter t says whether the number of pairs of equal letters at
distance t is odd. Of each run, by length: the share of target letters that are right, the correct
ones before them given. ``pairs_baseline`` is what always giving the commoner answer gets.

It writes ``bottleneck_exercises.json`` beside itself after every run, and skips the runs already
there.
"""

import dataclasses
import random
from pathlib import Path

import bottleneck
import torch
from _record import begin, record

from attnlib import metrics
from attnlib.data import toy
from attnlib.data.batches import collate, pad
from attnlib.data.tokenizer import EOS
from attnlib.decoding import greedy

RESULTS = Path(__file__).with_name("bottleneck_exercises.json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/bottleneck_exercises.py"
LANGUAGES = {  # verbs last in the made-up language, and whether it is the source
    "SVO to SVO": (False, False),
    "SVO to SOV": (True, False),
    "SOV to SVO": (True, True),
}
SOURCES = ("plain", "reversed")
WORDS = toy.vocabulary("phrases")
VERBS = {  # the English ones, one and many
    *("sees", "see", "follows", "follow", "wants", "want", "watches", "watch", "finds", "find"),
    *("carries", "carry", "paints", "paint", "sleeps", "sleep", "laughs", "laugh"),
    *("sings", "sing", "dances", "dance"),
}
TESTED = 500
SYMBOLS = 4  # letters of the task of equal pairs
PAIR_LENGTHS = (4, 8, 12)
PAIR_UPDATES = (800,)  # more to try


@dataclasses.dataclass(frozen=True)
class Sentence:
    """A source, its translation, and the target word that is its verb."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    verb: str


def sentences(pair: str, seed: int, split: str, count: int) -> list[Sentence]:
    """Sentences of a pair of languages, without modifiers: 3 to 10 words."""
    verb_final, out_of_it = LANGUAGES[pair]
    found = []
    rng = random.Random(f"phrases {pair} {split} {seed}")
    for each in toy.phrases(rng, count, deepest=0, verb_final=verb_final, split=split):
        ((t, s),) = [(t, s) for t, s in each.alignment if each.source[s] in VERBS]
        if out_of_it:
            found.append(Sentence(each.target, each.source, each.source[s]))
        else:
            found.append(Sentence(each.source, each.target, each.target[t]))
    return found


def ids(several: list[Sentence], source: str) -> list[tuple[list[int], list[int]]]:
    """Pairs of ids, the source arranged as it is given."""
    return [
        (bottleneck.arranged(WORDS.encode(x.source), source), WORDS.encode(x.target))
        for x in several
    ]


def marks(model, several: list[Sentence], source: str) -> dict[str, float]:
    """Shares of sentences right to the last word, and with the right verb somewhere."""
    read, lengths = pad([[*x, EOS] for x, _ in ids(several, source)])
    written = [WORDS.decode(each.ids) for each in greedy(model, read, lengths, max_length=20)]
    exact = metrics.exact_match(written, [x.target for x in several]).value
    verbs = sum(x.verb in words for words, x in zip(written, several, strict=True))
    return {"exact": round(exact, 4), "verb": round(verbs / len(several), 4)}


def pairs_of_equals(letters: tuple[str, ...]) -> tuple[str, ...]:
    """For each distance from 1: "b" if an odd number of pairs of letters that far apart are equal.

    >>> pairs_of_equals(("a", "a", "b", "a"))  # one pair, one pair, one pair
    ('b', 'b', 'b')
    """
    n = len(letters)
    counts = [sum(letters[s] == letters[s + t] for s in range(n - t)) for t in range(1, n)]
    return tuple("ab"[count % 2] for count in counts)


def equal_pairs(seed: int, split: str, count: int, lengths: tuple[int, int]) -> list:
    """Pairs of ids of the task of equal letters; sources of four letters."""
    rng = random.Random(f"equal pairs {split} {seed} {lengths}")
    letters = toy.vocabulary("copy", SYMBOLS)
    return [
        (letters.encode(x.source), letters.encode(pairs_of_equals(x.source)))
        for x in toy.copy(rng, count, SYMBOLS, *lengths, split)
    ]


def letters_right(model, several: list) -> float:
    """Share of target letters that are the model's first choice, those before them given."""
    batch = collate(several)
    with torch.no_grad():
        logits, _ = model(batch.source, batch.source_lengths, batch.target_in)
    wanted = batch.target_out[:, :-1]  # all are of one length; </s> is no letter
    return float((logits[:, :-1].argmax(-1) == wanted).double().mean())


def commoner(several: list) -> float:
    """Share of the commoner answer at each distance: what knowing nothing of the source gets."""
    target = torch.tensor([y for _, y in several])
    odd = (target == target.max()).double().mean(0)
    return float(torch.maximum(odd, 1 - odd).mean())


def main() -> None:
    """Do what is left of the runs."""
    arguments, results = begin(__doc__, RESULTS, {"phrases": [], "pairs": []})
    base = bottleneck.Budget()
    results |= {"updates": base.updates, "sentences": base.sequences, "tested": TESTED}

    def write(part: str, run: dict) -> None:
        results[part].append(run)
        record(arguments.out, COMMAND, results, grows=True)
        print(*run.values(), flush=True)

    done = {(run["pair"], run["source"], run["seed"]) for run in results["phrases"]}
    setting = bottleneck.SETTINGS["copy", "one way"]
    for seed in arguments.seeds:
        for pair in LANGUAGES:
            learn = sentences(pair, seed, "train", base.sequences)
            held_out = sentences(pair, 0, "test", TESTED)
            for source in SOURCES:
                if (pair, source, seed) in done:
                    continue
                torch.manual_seed(seed)
                model = bottleneck.make_model(setting, base, len(WORDS))
                loss = bottleneck.fit(model, ids(learn, source), base, seed)
                run = {"pair": pair, "source": source, "seed": seed, "train_loss": round(loss, 4)}
                write("phrases", run | marks(model, held_out, source))

    done = {(run["setting"], run["updates"], run["seed"]) for run in results["pairs"]}
    tests = {n: equal_pairs(0, "test", TESTED, (n, n)) for n in PAIR_LENGTHS}
    results["pairs_baseline"] = {n: round(commoner(test), 4) for n, test in tests.items()}
    for updates in PAIR_UPDATES:
        budget = dataclasses.replace(base.times(updates), symbols=SYMBOLS)
        for seed in arguments.seeds[:3]:
            learn = equal_pairs(seed, "train", budget.sequences, (2, budget.longest))
            for name in ("attention", "fixed"):
                if (name, updates, seed) in done:
                    continue
                torch.manual_seed(seed)
                model = bottleneck.make_model(bottleneck.SETTINGS["copy", name], budget)
                loss = bottleneck.fit(model, learn, budget, seed)
                run = {"setting": name, "updates": updates, "seed": seed}
                run |= {"train_loss": round(loss, 4)}
                right = {n: round(letters_right(model, test), 4) for n, test in tests.items()}
                write("pairs", run | {"right": right})


if __name__ == "__main__":
    main()
