"""Is a weight an explanation? Instruments compared where the truth is known, for chapter 10.

Run from the root of the repository, a quarter of an hour of one core::

    OMP_NUM_THREADS=1 python book/results/instruments.py

``alignment``: ``hansards-bahdanau`` is made to write the 447 gold translations, and each instrument
of `attnlib.attribution` links every target word to the source word that it ranks first. Alignment
error rate, and the same less that of the raw weights, paired. Beside them from ``hansards.json``:
IBM Model 1, the diagonal, chance, and from ``given_the_word.json`` weights that are told the word;
as a control losses of words from elsewhere. ``untrained`` is the same of eight networks like it
that were never trained, on the first sentences.

``erased``: each word's log-probability, given the reference's words before it, less the same
without one source word: the most attended one, the second, each of the others (their mean), another
of like frequency, the neighbours of the most attended one, the gold-linked ones (sure links; their
mean), others of like frequency as those, and their neighbours. A word is erased in four ways:
``masked once`` (the step that writes the word may not attend to it), ``masked`` (no step may),
``deleted`` (from the source) and ``unknown`` (each subword becomes <unk>). By whether the most
attended word is linked, and by its weight; ``own`` are the words that the model would have said
itself.

``captions``: the same question without gold links, for three translators of captions: how much is
lost when the word that each instrument ranks first is deleted, and Kendall's tau of its ranks with
those of the losses; as a control, with the losses of another word of the same sentence.

``pictures``: ``scenes-soft``, cells of the picture blanked by what would be there without any
thing; see `_blanked.py`. ``same_output``: other weights that give the same output; see
`_same_output.py`. ``--parts`` measures some of these again, and keeps the rest.

Log-probabilities in nats. Intervals: 95 % by bootstrap over sentences (pictures), differences
paired; of networks never trained by Student's t over seeds. It needs the Hansards and Multi30k, and
writes ``instruments.json`` beside this file. ``--number`` takes only the first so many sentences,
and writes nothing.
"""

import argparse
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import _blanked
import _same_output
import hansards as measured
import numpy as np
import torch
from _erasure import (
    Asked,
    asked,
    elsewhere,
    gradients,
    kendall,
    likeliest,
    masked,
    masked_once,
    recurrent_weights,
    said,
    transformer_weights,
    without,
)
from _record import record

from attnlib import metrics, pretrained, storage
from attnlib.attribution import norms_held
from attnlib.data import hansards
from attnlib.data.corpora import multi30k
from attnlib.data.tokenizer import UNK

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/instruments.py"
MODEL, CAPTIONER = "hansards-bahdanau", "scenes-soft"
TRANSLATORS = ("en-fr-bahdanau", "en-fr-luong", "en-fr-transformer")
RESAMPLES, SEEDS = 1000, range(8)
CAPTIONS, SCENES, FEW, FEW_SCENES = 300, 300, 60, 40
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.01)  # edges of groups by the largest weight
LENGTHS = (8, 16, 24, 32, 33, 34, 36, 40, 48, 64, 80)  # subwords, </s> counted
SLACKS, SOURCES, QUERIES = (0.0, 0.01), 10, 2
ERASURES: dict[str, Callable] = {
    "masked once": masked_once,
    "masked": masked,
    "deleted": without,
    "unknown": lambda model, pair: without(model, pair, UNK),
}
BY_WEIGHT = ("masked once", "deleted")  # also by the size of the weight
Matrices = list[dict[str, np.ndarray]]  # of each sentence, by instrument: (target, source words)


def rounded(score: metrics.Estimate, digits: int = 4) -> list[float]:
    """Value, low and high."""
    return [round(float(x), digits) for x in (score.value, *score.interval)]


def mean(values: Sequence[Sequence[float]]) -> list[float]:
    """Mean over words, given sentence by sentence; its interval over sentences."""
    score = metrics.bootstrap_interval(
        [float(np.sum(x)) for x in values], [len(x) for x in values], resamples=RESAMPLES
    )
    return rounded(score)


# Instruments as aligners -------------------------------------------------------------------------


def ask(model, pair: Asked, erasures=ERASURES) -> dict[str, np.ndarray]:
    """What every instrument says of one sentence."""
    weigh = recurrent_weights if hasattr(model.decoder, "cell") else transformer_weights
    found = weigh(model, pair)
    signed = gradients(model, pair)
    found |= {"gradient times input": np.abs(signed), "gradient times input, signed": signed}
    if weigh is transformer_weights:
        with norms_held(model):
            found["gradient times input, norms held"] = gradients(model, pair)
    return found | {f"leave one out, {how}": erase(model, pair) for how, erase in erasures.items()}


def ranked_first(matrix: np.ndarray) -> set[tuple[int, int]]:
    """Each target word linked to the source word with the largest entry."""
    return {(t, int(row.argmax())) for t, row in enumerate(matrix)}


def aligners(found: Matrices, wrong: list[np.ndarray], gold, number: int) -> list[dict]:
    """Alignment error of every instrument, and the same less that of the raw weights.

    `wrong` are the losses of words from elsewhere: leave-one-out is told the word, and attention is
    asked before it is known.
    """
    links = {name: [ranked_first(each[name]) for each in found] for name in found[0]}
    links["weights, source words compete"] = [
        ranked_first(measured.competing(each["weights"])) for each in found
    ]
    once = "leave one out, deleted"
    links["leave one out, deleted, source words compete"] = [
        ranked_first(measured.competing(each[once].clip(0))) for each in found
    ]
    links["leave one out, deleted, a word from elsewhere"] = list(map(ranked_first, wrong))
    sure, possible = gold.sure[:number], gold.possible[:number]
    rows = []
    for name, its in links.items():
        error = metrics.alignment_error_rate(its, sure, possible, resamples=RESAMPLES)
        row = {"what": name, "error": rounded(error)}
        if name != "weights":
            apart = metrics.alignment_error_difference(
                its, links["weights"], sure, possible, resamples=RESAMPLES
            )
            row["less_weights"] = rounded(apart)
        rows.append(row)
    return rows


def beside() -> list[dict]:
    """What was measured before on the same sentences."""
    rows = [
        row
        for path in (measured.RESULTS, measured.RESULTS.with_name("given_the_word.json"))
        for row in json.loads(path.read_text(encoding="utf-8"))["rows"]
    ]
    wanted = ("IBM Model 1, both agree", "IBM Model 1", "diagonal", "uniform")
    by_name = {row["what"]: row for row in rows}
    return [
        {"what": what, "error": [by_name[what][end] for end in ("value", "low", "high")]}
        for what in (*wanted, "weights, given the word", "weights, given a word from elsewhere")
    ]


def untrained(model: pretrained.Pretrained, pairs: Sequence[Asked], gold) -> list[dict]:
    """Alignment error of networks never trained, one a seed."""
    some = ("weights", "norms, readout", "gradient times input", "leave one out, deleted")
    errors: dict[str, list[float]] = {name: [] for name in some}
    sides = gold.sure[: len(pairs)], gold.possible[: len(pairs)]
    for seed in SEEDS:
        torch.manual_seed(seed)
        network = pretrained.build("translator", model.card["model"]).eval()
        found = [ask(network, pair, {"deleted": without}) for pair in pairs]
        for name in some:
            links = [ranked_first(each[name]) for each in found]
            errors[name].append(metrics.alignment_error_rate(links, *sides).value)
    return [
        {"what": name, "error": rounded(metrics.mean_interval(its))} for name, its in errors.items()
    ]


# Erasing one word --------------------------------------------------------------------------------


def per_word(
    weights: np.ndarray, sure, possible, log_frequency: np.ndarray
) -> list[dict[str, list[int]]]:
    """For each target word the source words to erase, by kind; of several the mean counts.

    One "as frequent" is the word whose frequency in the training text is nearest, among those that
    are neither linked to the target word nor attended to most; of equal ones the first.
    """
    rows = []
    for t, row in enumerate(weights):
        S, order = len(row), np.argsort(-row, kind="stable")
        top = int(order[0])
        gold = sorted(s for u, s in sure if u == t)
        linked = {s for u, s in (*sure, *possible) if u == t}
        free = [s for s in range(S) if s != top and s not in linked]
        near = {s + step for s in gold for step in (-1, 1)}
        rows.append(
            {
                "most attended": [top],
                "second": [int(order[1])] if S > 1 else [],
                "another": [s for s in range(S) if s != top],
                "another, as frequent": sorted(
                    free, key=lambda s: abs(log_frequency[s] - log_frequency[top])
                )[:1],
                "beside the most attended": [s for s in (top - 1, top + 1) if s in free],
                "gold": gold,
                "another, as frequent as gold": sorted(
                    {
                        min(free, key=lambda s: abs(log_frequency[s] - log_frequency[g]))
                        for g in gold
                        if free
                    }
                ),
                "beside gold": sorted(s for s in near if 0 <= s < S and s not in linked),
            }
        )
    return rows


def linked(top: int, t: int, sure, possible) -> str:
    """What people say of the link from target word t to its most attended source word."""
    if (t, top) in sure:
        return "sure"
    if (t, top) in possible:
        return "possible"
    return "not linked, another is" if any(u == t for u, _ in sure) else "not linked, none is"


def words_of(found: Matrices, gold, log_frequencies, own) -> list[dict]:
    """One record for each target word: what each erasure of each kind of word costs."""
    rows = []
    for i, each in enumerate(found):
        sides = gold.sure[i], gold.possible[i]
        chosen = per_word(each["weights"], *sides, log_frequencies[i])
        for t, kinds in enumerate(chosen):
            top = kinds["most attended"][0]
            row = {"sentence": i, "link": linked(top, t, *sides), "lost": {}, "worst": {}}
            row["weight"], row["own"] = float(each["weights"][t, top]), bool(own[i][t])
            for how in ERASURES:
                lost = each[f"leave one out, {how}"][t]
                row["lost"][how] = {
                    kind: float(lost[some].mean()) for kind, some in kinds.items() if some
                }
                row["lost"][how]["worst"] = float(lost.max())
                row["worst"][how] = bool(lost.argmax() == top)
            rows.append(row)
    return rows


def over(rows: Sequence[dict], value: Callable[[dict], float | None]) -> list[float] | None:
    """Mean of a value over words that have it, its interval over sentences; None for too few."""
    of_sentence: dict[int, list[float]] = {}
    for row in rows:
        x = value(row)
        if x is not None:
            of_sentence.setdefault(row["sentence"], []).append(x)
    return mean(list(of_sentence.values())) if len(of_sentence) > 1 else None


def erased(rows: Sequence[dict], how: str) -> dict:
    """What erasing costs in one group of words, and differences of kinds on the same words."""
    kinds = [*dict.fromkeys(kind for row in rows for kind in row["lost"][how])]

    def less(first: str, second: str):
        def value(row):
            lost = row["lost"][how]
            return lost[first] - lost[second] if first in lost and second in lost else None

        return value

    return {
        "words": len(rows),
        "sentences": len({row["sentence"] for row in rows}),
        "mean": {kind: over(rows, lambda row, k=kind: row["lost"][how].get(k)) for kind in kinds},
        "most attended less": {
            kind: over(rows, less("most attended", kind))
            for kind in kinds
            if kind != "most attended"
        },
        "gold less beside gold": over(rows, less("gold", "beside gold")),
        "gold less another, as frequent as gold": over(
            rows, less("gold", "another, as frequent as gold")
        ),
        "most attended is worst": over(rows, lambda row: float(row["worst"][how])),
    }


def groups(rows: Sequence[dict]) -> dict[str, list[dict]]:
    """All words; by the gold link of the most attended word; by its weight; by both.

    ``own`` are the words that the model would have said itself, being the likeliest of all.
    """
    found = {"all": list(rows), "own": [row for row in rows if row["own"]]}
    links = ("sure", "possible", "not linked, another is", "not linked, none is")
    for link in links:
        found[link] = [row for row in rows if row["link"] == link]
        found[f"own, {link}"] = [row for row in found[link] if row["own"]]
    for low, high in itertools.pairwise(WEIGHTS):
        some = [row for row in rows if low <= row["weight"] < high]
        found[f"weight from {low:g}"] = some
        for link in (links[0], links[2]):
            both = [row for row in some if row["link"] == link]
            found[f"weight from {low:g}, {link}"] = both
            found[f"own, weight from {low:g}, {link}"] = [row for row in both if row["own"]]
    return {name: its for name, its in found.items() if len({row["sentence"] for row in its}) > 1}


# Instruments against erasure ---------------------------------------------------------------------


def against_erasure(found: Matrices, how: str = "deleted") -> list[dict]:
    """Of each instrument what its first word costs when it is erased, and its tau with the losses.

    As a control the losses of the word half a sentence further; of sentences of two words or more
    on each side. ``less_weights`` is the cost less that of the weights that come with a
    translation: of a transformer those of its last block, the heads averaged.
    """
    truth = f"leave one out, {how}"
    usable = [each for each in found if min(each[truth].shape) > 1]
    blocks = [name for name in usable[0] if name.startswith("weights, block")]
    raw = blocks[-1] if blocks else "weights"  # those that a translation comes with
    cost, rows = {}, []
    for name in usable[0]:
        cost[name] = [
            each[truth][range(len(each[name])), each[name].argmax(1)].tolist() for each in usable
        ]
    cost["a word at random"] = [each[truth].mean(1).tolist() for each in usable]
    for name, its in cost.items():
        row = {"what": name, "lost": mean(its)}
        apart = [(np.array(x) - y).tolist() for x, y in zip(its, cost[raw], strict=True)]
        row["less_weights"] = None if name == raw else mean(apart)
        if name in usable[0]:
            same, other = [], []
            for each in usable:
                moved = np.roll(each[truth], max(1, len(each[truth]) // 2), axis=0)
                for held, against in ((same, each[truth]), (other, moved)):
                    tau = kendall(each[name], against)
                    held.append(tau[np.isfinite(tau)].tolist())
            row |= {"tau": mean(same), "tau_of_another_word": mean(other)}
            first = [(each[name].argmax(1) == each[truth].argmax(1)).tolist() for each in usable]
            row["first_is_worst"] = mean(first)
        rows.append(row)
    return rows


def of_captions(name: str, number: int) -> dict:
    """A translator of captions: every instrument against erasure."""
    model, test = pretrained.load(name), multi30k("test_2016_flickr")[:number]
    pairs = [asked(model, x, y) for x, y in test]
    erasures = {how: ERASURES[how] for how in ("deleted", "masked")}
    found = [ask(model.model, pair, erasures) for pair in pairs]
    print(name, len(found), flush=True)
    return {
        "sha256": model.card["sha256"][storage.MODEL],
        "sentences": len(found),
        "target_words": sum(pair.size[0] for pair in pairs),
        "source_words": sum(pair.size[1] for pair in pairs),
        "deleted": against_erasure(found),
        "masked": against_erasure(found, "masked"),
    }


# Pictures ----------------------------------------------------------------------------------------


def middle(rows: Sequence[dict], what: str) -> float | None:
    """The median of a loss; None if no row has it."""
    lost = [row[what] for row in rows if what in row]
    return round(float(np.median(lost)), 4) if lost else None


def nearly_nothing(rows: Sequence[dict], what: str) -> float | None:
    """The share of rows that lose less than `_blanked.SMALL`."""
    lost = np.array([row[what] for row in rows if what in row])
    return round(float((lost < _blanked.SMALL).mean()), 4) if len(lost) else None


def of_pictures(number: int, few: int) -> dict:
    """What blanking a cell costs, and every instrument as a pointer, for nouns."""
    model = pretrained.load(CAPTIONER)
    looked = _blanked.looks(model, number)
    rows = [{"sentence": row.pop("scene"), **row} for row in _blanked.effects(looked)]
    kinds = [*dict.fromkeys(k.removeprefix("changed, ") for row in rows for k in row if "," in k)]
    parts = {"all": rows}
    for where in _blanked.WHERE:
        parts[where] = [row for row in rows if row["where"] == where]
        parts[f"right, {where}"] = [row for row in parts[where] if row["right"]]
    effects = {}
    for name, some in parts.items():
        right = [row for row in some if row["right"]]
        effects[name] = {
            "nouns": len(some),
            "lost": {k: over(some, lambda row, k=k: row.get(k)) for k in [*kinds, "whole thing"]},
            "attended less": {
                k: over(some, lambda row, k=k: row["attended"] - row[k] if k in row else None)
                for k in kinds
                if k != "attended"
            },
            "median": {k: middle(some, k) for k in kinds},
            "nearly nothing": {k: nearly_nothing(some, k) for k in kinds},
            "nouns_right": len(right),
            "changed": {k: over(right, lambda row, k=k: row.get(f"changed, {k}")) for k in kinds},
        }
    marks, costs = _blanked.marks(looked), _blanked.first_cells(looked)
    several = [each for each in looked if sum(map(bool, each.record.things)) > 1]
    own, swapped = _blanked.marks(several), _blanked.marks(several, swapped=True)
    taus, pointers = _blanked.agreement(looked), []
    for name, its in marks.items():
        pointer = {"what": name, "pointing": mean(its)}
        apart = [(np.subtract(x, y)).tolist() for x, y in zip(its, marks["weights"], strict=True)]
        pointer["less_weights"] = None if name == "weights" else mean(apart)
        pointer["several_nouns"] = mean(own[name])
        pointer["several_nouns, map of another"] = mean(swapped[name])
        if name in costs:
            pointer["lost"] = mean(costs[name])
            pointer["tau"] = mean(taus[name]["same"])
            pointer["tau_of_another_noun"] = mean(taus[name]["another"])
        pointers.append(pointer)
    never: dict[str, list[float]] = {}
    for seed in SEEDS:
        drawn = _blanked.marks(_blanked.looks(_blanked.untrained(model, seed), few))
        for name, its in drawn.items():
            never.setdefault(name, []).append(float(np.mean(np.concatenate(its))))
    chance = ("uniform", "centre")
    return {
        "model": CAPTIONER,
        "sha256": model.card["sha256"][storage.MODEL],
        "scenes": len(looked),
        "effects": effects,
        "pointing": pointers,
        "untrained_scenes": few,
        "untrained": [
            {"what": name, "pointing": rounded(metrics.mean_interval(its))}
            for name, its in never.items()
            if name not in chance
        ],
    }


# Other weights, the same output ------------------------------------------------------------------


def of_same_output(number: int) -> dict:
    """How far the weights of the transformer's last block can move, by length of the source."""
    model, test = pretrained.load("en-fr-transformer"), multi30k("test_2016_flickr")
    sides = list(test.source), list(test.target)
    rows = _same_output.measure(model, *sides, LENGTHS, number, QUERIES, SLACKS)
    for row in rows:
        for slack in SLACKS:
            part = row[f"slack {slack:g}"]
            for name, its in part.items():
                part[name] = rounded(metrics.bootstrap_interval([np.mean(x) for x in its]))
    lengths = [len(model.ids(text, "a caption")) + 1 for text in test.source]
    other = pretrained.load("en-fr-bahdanau")
    return {
        "model": model.name,
        "head_width": model.card["model"]["width"] // model.card["model"]["heads"],
        "captions_longer_than_a_head_is_wide": round(float(np.mean(np.array(lengths) > 33)), 4),
        "longest_caption": max(lengths),
        "starts": _same_output.STARTS,
        "rows": rows,
        other.name: _same_output.recurrent_rank(other, sides[0], LENGTHS[-1], number),
    }


def on_debates(number: int, few: int) -> dict:
    """Everything that has gold links."""
    gold, model = hansards.gold("test"), pretrained.load(MODEL)
    texts = [[" ".join(words) for words in side] for side in (gold.source, gold.target)]
    pairs = [asked(model, *both) for both in zip(*texts, strict=True)][:number]
    for i, pair in enumerate(pairs):
        assert pair.size == (len(gold.target[i]), len(gold.source[i])), i
    frequency = Counter(word for text in hansards.corpus("train").source for word in text.split())
    logs = [np.log([frequency[word] + 0.5 for word in words]) for words in gold.source[:number]]
    found = []
    for pair in pairs:
        found.append(ask(model.model, pair))
        if len(found) % 50 == 0:
            print(len(found), flush=True)
    wrong = [
        elsewhere(model.model, pair, other)
        for pair, other in zip(pairs, [*pairs[1:], *pairs[:1]], strict=True)
    ]
    own = [likeliest(model.model, pair) for pair in pairs]
    words = words_of(found, gold, logs, own)
    chances = [said(model.model, pair, [pair.source])[0] for pair in pairs]
    parts = groups(words)
    return {
        "model": MODEL,
        "sha256": model.card["sha256"][storage.MODEL],
        "sentences": len(pairs),
        "target_words": len(words),
        "source_words": sum(pair.size[1] for pair in pairs),
        "nats_a_word": round(-sum(float(x.sum()) for x in chances) / len(words), 4),
        "own_words": sum(row["own"] for row in words),
        "alignment": aligners(found, wrong, gold, len(pairs)),
        "beside": beside(),
        "untrained_sentences": few,
        "untrained": untrained(model, pairs[:few], gold),
        "erased": {
            how: {
                name: erased(rows, how)
                for name, rows in parts.items()
                if "weight" not in name or how in BY_WEIGHT
            }
            for how in ERASURES
        },
        "against_erasure": {how: against_erasure(found, how) for how in ("deleted", "masked once")},
    }


PARTS: dict[str, Callable] = {
    "same_output": lambda at_most: of_same_output(at_most(SOURCES)),
    "pictures": lambda at_most: of_pictures(at_most(SCENES), at_most(FEW_SCENES)),
    "captions": lambda at_most: {
        name: of_captions(name, at_most(CAPTIONS)) for name in TRANSLATORS
    },
    "debates": lambda at_most: on_debates(at_most(447), at_most(FEW)),
}


def main() -> None:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, help="only so many sentences; nothing is written")
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="measure these, keep the rest")
    options = parser.parse_args()
    torch.set_num_threads(1)
    content = {"resamples": RESAMPLES, "bootstrap_seed": 0, "untrained_seeds": list(SEEDS)}
    if options.parts and options.number is None:
        content |= json.loads(RESULTS.read_text(encoding="utf-8"))

    def at_most(usual: int) -> int:
        return usual if options.number is None else min(usual, options.number)

    for name in options.parts or PARTS:
        began = time.process_time()
        content[name] = PARTS[name](at_most)
        print(f"{name}: {time.process_time() - began:.0f} s", flush=True)
        if options.number is None:
            record(RESULTS, COMMAND, content)
    if options.number is not None:
        print(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
