"""What the looks of the shipped captioner are worth: controls for chapter 07.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/looking.py

`scenes-soft`, as it is, on its test scenes:

* ``untrained``: the pointing game of networks like it that were never trained, eight draws of the
  weights, made to write the same true captions; how often the most attended cell is on any thing
  while a thing is named, how often it is that of the word before, and how large its weight is;
* ``gate``: each naming word of those captions by how far the gate was open when it was written, and
  how many captions have a word that looks elsewhere if every look counts, if only those count whose
  gate is open by more than a quarter, those of all words but sizes, or only those of nouns;
* ``article``: for each thing that is introduced by *a*, the look with which *a* is written, marked
  against the thing that comes after it, beside the look with which its size is written;
* ``closed``: the nats that words of each class cost when the gate is held shut while those of one
  class are written, those of one class and every *a*, or all words, less the nats they cost as they
  are (captions of the data, one a scene). Nats are those of the right word among the words of its
  class: which size, given that a size is said. ``right`` is how often it is the likeliest of them,
  and ``beyond_the_sum`` what both looks shut cost, less what each of them costs alone: two looks
  of which either will do cost little alone and much together. It is given in the log-odds of the
  right word as well, where two independent pieces of evidence add up;
* ``sizes``: the same of the sizes alone, in scenes whose things all have one size and in scenes
  that hold both: there no look can tell which of them the given caption will speak of. Each look
  is shut (``nothing`` is read), or gives what is read there on average (``mean``) or in another
  scene (``another``); with every look shut only the first state knows anything of the picture,
  and it can be that of another, too (``start``), or the mean of other scenes' (``mean start``),
  with these looks open or shut. The example is the first lone thing whose size is said, with that
  size's chance beside the other;
* ``stand_ins``: of the colours and nouns of given captions how many are right when nothing is read
  while they are written, or what is read at such words on average or in another scene, and how many
  become the other scene's word;
* ``gate_and_harm``: of each word how far its gate is open, and how far shutting that one look moves
  the distribution of the word itself and of those that follow;
* ``let_in``: how many sizes are right when the look at the size is let in by one half, whatever its
  gate says: its own look, the average of other scenes', or that of another scene;
* ``spoken_of``: how many colours and textures of given captions are wrong with every look open, and
  how many of these are those of another thing in the scene;
* ``pairs``: how probable the noun of a lone thing is after its own colour and after another, for
  pairs of colour and noun that training had and for the six that it never had;
* ``mosaics``: the pointing game of ``mosaics-soft`` on captions of the data, and of eight networks
  like it that were never trained;
* ``one_noun`` and ``given``, for two exercises: of how many of 1,000 scenes "a ring" and its like
  are true, and the pointing game on the true captions of lone things of both kinds of pairs.

Intervals of words are over pictures, those of pairs over pairs (Student's t). It writes
``looking.json`` beside this file.
"""

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _record import record
from _shut_looks import (
    classes,
    closed,
    gate_and_harm,
    let_in,
    rounded,
    run,
    sizes,
    spoken_of,
    stand_ins,
)

from attnlib import metrics, pretrained, storage
from attnlib.data import mosaics, scenes
from attnlib.data.images import as_floats
from attnlib.explore import captioned
from attnlib.metrics import captions, pointing

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/looking.py"
MODEL = "scenes-soft"
SCENES, LONE = 300, 2000  # whose captions are marked; among which lone things are looked for
SHUT = 2000  # in whose captions looks are shut
SIZED = 600  # in whose captions the looks at sizes are shut, scenes of one size and of two apart
LENDERS = 300  # scenes after these, whose looks stand in for theirs
SEEDS = range(8)
OPEN = 0.25  # a gate that is open by no more lets little through
RULES = ("half", "touch")
NOUNS = ("circle", "ring", "square", "triangle", "cross", "star")


def of_any_thing(record: pointing.Record) -> pointing.Record:
    """The same, as if each word that names something named everything in the picture."""
    every = frozenset(range(len(record.masks)))
    return replace(record, things=tuple(every if named else named for named in record.things))


# Networks that were never trained ----------------------------------------------------------------


def untrained(model: pretrained.Pretrained, records, images, seed: int) -> dict:
    """The pointing game of one draw of random weights on the same captions; how it looks."""
    torch.manual_seed(seed)
    network = pretrained.build("captioner", model.card["model"]).eval()
    other = pretrained.Pretrained("untrained", network, model.tokenizer, model.card)
    looked = other.force_decode(images, [" ".join(each.words) for each in records])
    drawn = [
        pointing.with_weights(each, found.weights)
        for each, found in zip(records, looked, strict=True)
    ]
    cells = [each.weights.argmax(1) for each in drawn]
    return {
        "pointing": rounded(pointing.pointing_game(drawn)),
        "on_any_thing": rounded(pointing.pointing_game(list(map(of_any_thing, drawn)))),
        "stays": round(float(np.mean(np.concatenate([a[1:] == a[:-1] for a in cells]))), 4),
        "largest_weight": round(float(np.mean([each.weights.max(1).mean() for each in drawn])), 4),
    }


# The gate ----------------------------------------------------------------------------------------


def gate(records, gates) -> dict:
    """What counts as a look: the marks of naming words by their gate, and what captions have."""
    hits = {rule: [pointing.hits(each, rule) for each in records] for rule in RULES}
    parts = {"all": (0.0, 1.0), "shut": (0.0, OPEN), "open": (OPEN, 1.0)}
    words = {}
    for name, (low, high) in parts.items():
        chosen = [
            [hit if low < beta <= high else None for hit, beta in zip(*both, strict=True)]
            for both in zip(hits["half"], gates, strict=True)
        ]
        number = sum(hit is not None for each in chosen for hit in each)
        words[name] = {
            "words": number,
            "pointing": rounded(pointing.mean_of_words(chosen, f"pointing|gate:{name}")),
        }
    read = [
        sum(
            float(b) * (hit == wanted) for hit, b in zip(marks, its, strict=True) if hit is not None
        )
        for wanted in (1, 0)
        for marks, its in zip(hits["half"], gates, strict=True)
    ]
    right, wrong = np.array(read).reshape(2, -1).sum(axis=1)
    return {"words": words, "read_on_the_thing": round(float(right / (right + wrong)), 4)}


def elsewhere(grammar, records, gates) -> dict:
    """Captions that have a word which looks elsewhere, by which words count as a look."""
    counts = {"every look": lambda name, beta: True}
    counts["gate open"] = lambda name, beta: beta > OPEN
    counts["all but sizes"] = lambda name, beta: name != "size"
    counts["colours and nouns"] = lambda name, beta: name in ("colour", "noun")
    counts["nouns"] = lambda name, beta: name == "noun"
    found = {}
    for what, counted in counts.items():
        some = [
            each.only([counted(*of) for of in zip(classes(grammar, each.words), its, strict=True)])
            for each, its in zip(records, gates, strict=True)
        ]
        found[what] = {}
        for rule in RULES:
            cases = {case.index for case in captions.right_but_wrong(some, rule)}
            missed = [[float(i in cases)] for i in range(len(some))]
            share = rounded(pointing.mean_of_words(missed, f"captions|{what}|{rule}"))
            found[what][rule] = {"captions": len(cases), "of": len(some), "share": share}
    return found


def article(grammar, records, gates) -> dict:
    """The look at *a* and the look at the size, marked against the thing that they introduce."""
    rows: dict[str, list] = {"a": [], "size": [], "any": [], "centre": [], "difference": []}
    mass: dict[str, list] = {"a": [], "size": []}
    opened: dict[str, list] = {"a": [], "size": []}
    for each, its in zip(records, gates, strict=True):
        names = classes(grammar, each.words)
        things, both = list(each.things), []
        for t, name in enumerate(names[:-1]):
            if name == "a" and names[t + 1] == "size":
                things[t] = each.things[t + 1]  # what will be named
                both.append(t)
        marked = replace(each, things=tuple(things))
        of_any = replace(each, things=(frozenset(range(len(each.masks))),) * len(names))
        some = pointing.hits(of_any)
        rows["any"].append([some[t] for t in both])
        rows["centre"].append([pointing.hits(pointing.centre(marked))[t] for t in both])
        hits, inside = pointing.hits(marked), pointing.inside(marked)
        for name, shift in (("a", 0), ("size", 1)):
            rows[name].append([hits[t + shift] for t in both])
            mass[name].append([inside[t + shift] for t in both])
            opened[name] += [float(its[t + shift]) for t in both]
        if both:
            rows["difference"].append(np.mean([hits[t] - hits[t + 1] for t in both]))
    found = {
        name: {
            "pointing": rounded(pointing.mean_of_words(rows[name], f"pointing|{name}")),
            "inside": rounded(pointing.mean_of_words(mass[name], f"inside|{name}")),
            "gate": round(float(np.mean(opened[name])), 4),
        }
        for name in ("a", "size")
    }
    phrases = sum(map(len, rows["a"]))
    return found | {
        "phrases": phrases,
        "a_on_any_thing": rounded(pointing.mean_of_words(rows["any"], "pointing|any")),
        "centre": rounded(pointing.mean_of_words(rows["centre"], "pointing|centre")),
        "difference": rounded(metrics.mean_interval(rows["difference"])),
    }


# Pairs never seen --------------------------------------------------------------------------------


@torch.no_grad()
def noun_after(model, sample, colour: str) -> float:
    """The probability of a lone thing's noun, once the model was made to write this colour."""
    (thing,) = sample.things
    given = [model.tokenizer.encode(word)[0] for word in ("a", thing.size, colour)]
    words = torch.tensor([[1, *given]])
    logits, _ = model.model(as_floats(sample.image)[None], torch.tensor([64]), words)
    return float(logits[0, -1].softmax(-1)[model.tokenizer.encode(thing.noun)[0]])


def lone(split: str, number: int) -> list:
    """The scenes of one thing among the first of a split."""
    found = (scenes.Scenes(split).sample(i) for i in range(number))
    return [sample for sample in found if len(sample.things) == 1]


def pairs(model, number: int) -> dict:
    """By pair of colour and noun: the noun's probability after its own colour and after another."""
    found = {}
    for split in ("test", "held_out"):
        of_pair: dict[tuple, list] = {}
        alone = lone(split, number)
        said = model.caption([sample.image for sample in alone])
        for sample, caption in zip(alone, said, strict=True):
            (thing,) = sample.things
            others = [
                noun_after(model, sample, colour)
                for colour in scenes.COLOURS
                if colour != thing.colour and (colour, thing.noun) not in scenes.HELD_OUT
            ]
            own = noun_after(model, sample, thing.colour)
            pair = f"{thing.colour} {thing.noun}"
            of_pair.setdefault((pair, thing.noun), []).append(
                (own, np.mean(others), pair in caption.text)
            )
        found[split] = [
            {
                "pair": pair,
                "noun": noun,
                "scenes": len(rows),
                "own": round(float(np.mean([row[0] for row in rows])), 4),
                "other": round(float(np.mean([row[1] for row in rows])), 4),
                "said": sum(row[2] for row in rows),
            }
            for (pair, noun), rows in sorted(of_pair.items())
        ]
    known = {}  # by noun: the pairs that training had
    for noun in {row["noun"] for row in found["test"]}:
        its = [row for row in found["test"] if row["noun"] == noun]
        known[noun] = {key: float(np.mean([row[key] for row in its])) for key in ("own", "other")}
    held = found["held_out"]
    interval = partial(metrics.mean_interval)
    return found | {
        "own": rounded(interval([row["own"] for row in held])),
        "other": rounded(interval([row["other"] for row in held])),
        "other_less_own": rounded(interval([row["other"] - row["own"] for row in held])),
        "known_own_less_other": rounded(
            interval([row["own"] - row["other"] for row in found["test"]])
        ),
        "known_other_less_other": rounded(
            interval([known[row["noun"]]["other"] - row["other"] for row in held])
        ),
        "known_own_less_own": rounded(
            interval([known[row["noun"]]["own"] - row["own"] for row in held])
        ),
    }


# Photographs -------------------------------------------------------------------------------------


def of_mosaics(number: int) -> dict:
    """The pointing game of ``mosaics-soft`` and of networks never trained, on given captions."""
    model, stalls = pretrained.load("mosaics-soft"), mosaics.Mosaics("test")
    samples = [stalls.sample(i) for i in range(number)]
    images, its = [each.image for each in samples], [each.captions[0] for each in samples]
    looked = model.force_decode(images, [each.text for each in its])
    records = [
        pointing.Record.of(c.words, c.things, x.weights, s.masks, model.grid, x.tokens)
        for s, c, x in zip(samples, its, looked, strict=True)
    ]
    return {
        "mosaics": number,
        "trained": rounded(pointing.pointing_game(records)),
        "untrained": [untrained(model, records, images, seed) for seed in SEEDS],
    }


# For exercises -----------------------------------------------------------------------------------


def one_noun(test, number: int) -> dict:
    """The share of scenes of which each caption of one noun is true; the first two, paired."""
    things = [test.sample(i).things for i in range(number)]
    true = {
        noun: np.array([float(test.grammar.check(f"a {noun}", each).true) for each in things])
        for noun in NOUNS
    }
    shares = {noun: float(marks.mean()) for noun, marks in true.items()}
    first, second = sorted(shares, key=lambda noun: -shares[noun])[:2]
    ahead = rounded(metrics.mean_interval(true[first] - true[second]))
    return {"scenes": number, "true": shares, "first": first, "second": second, "ahead": ahead}


def given(model, number: int) -> dict:
    """The pointing game on the first true caption of each scene of one thing."""
    found = {}
    for split in ("test", "held_out"):
        alone = lone(split, number)
        its = [sample.captions[0] for sample in alone]
        looked = model.force_decode([s.image for s in alone], [c.text for c in its])
        records = [
            pointing.Record.of(c.words, c.things, x.weights, s.masks, model.grid, x.tokens)
            for s, c, x in zip(alone, its, looked, strict=True)
        ]
        found[split] = rounded(pointing.pointing_game(records))
    return found


def of_sizes(model, test) -> dict:
    """`sizes` of the first scenes; those after them lend their looks."""
    samples = [test.sample(i) for i in range(SIZED + LENDERS)]
    return sizes(model, test.grammar, samples[:SIZED], samples[SIZED:])


def of_stand_ins(model, test) -> dict:
    """`stand_ins` of the same scenes, with the same lenders."""
    samples = [test.sample(i) for i in range(SIZED + LENDERS)]
    return stand_ins(model, test.grammar, samples[:SIZED], samples[SIZED:])


def of_gates(model, test) -> dict:
    """`gate_and_harm` of the first scenes."""
    return gate_and_harm(model, [test.sample(i) for i in range(SCENES)])


def of_let_in(model, test) -> dict:
    """`let_in` of the scenes and lenders of `of_sizes`."""
    samples = [test.sample(i) for i in range(SIZED + LENDERS)]
    return let_in(model, samples[:SIZED], samples[SIZED:])


def of_speech(model, test) -> dict:
    """`spoken_of` of the same scenes."""
    return spoken_of(model, test.grammar, [test.sample(i) for i in range(SIZED)])


PARTS = {  # what can be measured alone
    "sizes": of_sizes,
    "stand_ins": of_stand_ins,
    "gate_and_harm": of_gates,
    "let_in": of_let_in,
    "spoken_of": of_speech,
}


def main() -> None:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--shut", type=int, default=SHUT, help="scenes in which looks are shut")
    parser.add_argument("--lone", type=int, default=LONE, help="scenes in which to look for them")
    parser.add_argument("--only", choices=PARTS, help="measure this part, keep the rest")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, test = pretrained.load(MODEL), scenes.Scenes("test", captions=5)
    if options.only:
        content = json.loads(RESULTS.read_text("utf-8"))
        record(RESULTS, COMMAND, content | {options.only: PARTS[options.only](model, test)})
        return
    samples = [test.sample(i) for i in range(options.scenes)]
    items = captioned(model, samples, test.grammar)
    right = [i for i, item in enumerate(items) if item.record.true]
    records = [items[i].record for i in right]
    pictures = [samples[i] for i in right]
    _, gates = run(model, pictures, [" ".join(each.words) for each in records])
    images = [each.image for each in pictures]
    content = {
        "model": MODEL,
        "sha256": model.card["sha256"][storage.MODEL],
        "scenes": options.scenes,
        "true": len(records),
        "pointing": rounded(pointing.pointing_game(records)),
        "centre": rounded(pointing.pointing_game(list(map(pointing.centre, records)))),
        "untrained": [untrained(model, records, images, seed) for seed in SEEDS],
        "gate": gate(records, gates),
        "elsewhere": elsewhere(test.grammar, records, gates),
        "article": article(test.grammar, records, gates),
        "closed": closed(model, test.grammar, [test.sample(i) for i in range(options.shut)]),
        "sizes": of_sizes(model, test),
        "stand_ins": of_stand_ins(model, test),
        "gate_and_harm": of_gates(model, test),
        "let_in": of_let_in(model, test),
        "spoken_of": of_speech(model, test),
        "pairs": pairs(model, options.lone),
        "mosaics": of_mosaics(options.scenes),
        "one_noun": one_noun(test, 1000),
        "given": given(model, options.scenes),
    }
    record(RESULTS, COMMAND, content)
    for name, part in content.items():
        print(name, part)


if __name__ == "__main__":
    main()
