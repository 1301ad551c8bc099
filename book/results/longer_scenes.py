"""Four times the updates: what becomes of a captioner's captions, of its looks, of unseen pairs.

Run from the root of the repository, after the long runs (some four hours of one core)::

    python -m attnlib.training --run scenes-soft-long --folder runs
    python -m attnlib.training --run scenes-hard-long --folder runs
    OMP_NUM_THREADS=1 python book/results/longer_scenes.py

Beside the shipped `scenes-soft` (24,000 updates) and `scenes-hard` stand the same recipes with
100,000 updates of the average. Of each there is what its card says. Of the two averages also, on
the first true captions of 600 test scenes, which both are made to write:

* ``where``: the most attended cell while a noun is written: on its thing by the rule ``half``,
  touching it, next to it, on another thing, on the background;
* ``rows``: for each phrase *a size texture colour noun* how often that cell is on its thing while
  each of its words is written, and the word after it;
* ``shut``: how many nouns are right as it is, with nothing read while a noun is written, and with
  what another scene's noun reads (`looking.py`, ``stand_ins``);
* ``colour of another``: how many nouns are right, and how many become the other scene's, with what
  another scene reads at a colour in the place of what is read at the colour before the noun;
* ``first state``: how many are right if the first state is that of another scene, and how many if
  nothing is read at any word.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from _record import record
from _shut_looks import read_at, run
from looking import LENDERS, SIZED, of_stand_ins
from scipy.ndimage import binary_dilation

from attnlib import metrics, pretrained
from attnlib.data import scenes
from attnlib.metrics import pointing

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/longer_scenes.py"
SHIPPED, LONG = ("scenes-soft", "scenes-hard"), ("scenes-soft-long", "scenes-hard-long")
KEPT = ("true_captions", "true_captions_held_out", "pointing_game", "pointing_game_noun",
        "pointing_game_colour", "pointing_game_given", "attention_inside", "val.loss")  # fmt: skip
AROUND = np.ones((3, 3), dtype=bool)
AFTER = "the word after it"


def of_card(model: pretrained.Pretrained) -> dict:
    """What a card says of a run and its marks."""
    card = model.card
    about = {key: card[key] for key in ("seed", "hardware", "seconds", "date")}
    updates = card["config"]["optimisation"]["updates"]
    marks = {key: card["metrics"][key] for key in KEPT}
    return {"name": model.name, "updates": updates, **about, "marks": marks}


def estimate(by_picture: list[list[float]]) -> list[float]:
    """The mean of what the pictures have, and its interval for new pictures."""
    some = [x for x in by_picture if x]
    mean = metrics.bootstrap_interval([sum(x) for x in some], [len(x) for x in some])
    return [round(float(x), 4) for x in (mean.value, *mean.interval)]


def looks(model: pretrained.Pretrained, grammar, samples) -> dict:
    """``where`` and ``rows``."""
    given = [sample.captions[0] for sample in samples]
    forced = model.force_decode([s.image for s in samples], [c.text for c in given])
    where: dict[str, list[list[float]]] = {}
    rows: dict[str, list[list[float]]] = {}
    for sample, caption, found in zip(samples, given, forced, strict=True):
        one = pointing.Record.of(
            caption.words, caption.things, found.weights, sample.masks, model.grid, found.tokens
        )
        names = pointing.word_classes(grammar, caption.words)
        half, touch = (pointing.cells_on(one.masks, one.grid, rule) for rule in ("half", "touch"))
        picture = {name: [] for name in where} | {name: [] for name in rows}
        phrase: list[tuple[str, int]] = []
        for t, (word, name) in enumerate(zip(caption.words, names, strict=True)):
            kind = name or ("a" if word == "a" else None)
            if kind:
                phrase.append((kind, t))
            if name != "noun":
                continue
            its = sorted(one.things[t])
            own, near = half[its].any(0), touch[its].any(0)
            others = np.delete(touch, its, axis=0).any(0)
            at = np.unravel_index(int(one.weights[t].argmax()), one.grid)
            beside = binary_dilation(near, AROUND)
            marks = {
                "on it": own[at],
                "touching it": near[at] and not own[at],
                "next to it": beside[at] and not near[at] and not others[at],
                "on another": others[at] and not near[at],
                "background": not beside[at] and not others[at],
            }
            for key, mark in marks.items():
                picture.setdefault(key, []).append(float(mark))
            if t + 1 < len(caption.words):
                phrase.append((AFTER, t + 1))
            for kind, row in phrase:
                place = np.unravel_index(int(one.weights[row].argmax()), one.grid)
                picture.setdefault(f"row {kind}", []).append(float(own[place]))
            phrase = []
        for key, marks_ in picture.items():
            (rows if key.startswith("row ") else where).setdefault(key, []).append(marks_)
    return {
        "where": {name: estimate(found) for name, found in where.items()},
        "rows": {name.removeprefix("row "): estimate(found) for name, found in rows.items()},
    }


def without(model: pretrained.Pretrained, grammar, samples) -> dict:
    """The share of nouns that are right with another first state, or with nothing read at all."""
    given = [sample.captions[0] for sample in samples]
    texts = [caption.text for caption in given]
    names = [pointing.word_classes(grammar, caption.words) for caption in given]
    said = sorted(
        {w for c, its in zip(given, names, strict=True) for w, x in zip(c.words, its, strict=True)
         if x == "noun"}
    )  # fmt: skip
    ids = [model.tokenizer.encode(word)[0] for word in said]
    every = [[True] * len(its) for its in names]
    found = {}
    for name, how in (
        ("as it is", {}),
        ("first state of another", {"glance": "another"}),
        ("nothing read", {"shut": every}),
    ):
        logs, _ = run(model, samples, texts, **how)
        by_picture = [
            [
                float(said[int(log[t][ids].argmax())] == caption.words[t])
                for t, x in enumerate(its)
                if x == "noun"
            ]
            for log, caption, its in zip(logs, given, names, strict=True)
        ]
        found[name] = estimate(by_picture)
    return found


def lent_before(model: pretrained.Pretrained, grammar, samples, lenders) -> dict:
    """Nouns after a colour at which another scene's look at a colour was read."""
    read, rng = read_at(model, grammar, lenders, ("colour",))["colour"], np.random.default_rng(0)
    theirs = [
        word for sample in lenders for word in split_by_class(grammar, sample.captions[0], "noun")
    ]
    assert len(theirs) == len(read)  # each phrase has both
    given = [sample.captions[0] for sample in samples]
    names = [pointing.word_classes(grammar, caption.words) for caption in given]
    said = [(b, t) for b, its in enumerate(names) for t, x in enumerate(its) if x == "noun"]
    words = sorted({given[b].words[t] for b, t in said})
    ids = [model.tokenizer.encode(word)[0] for word in words]
    others = [torch.zeros(len(its), read.shape[1]) for its in names]
    shut = [[x == "colour" for x in its] for its in names]
    lent = {}
    for b, t in said:
        assert names[b][t - 1] == "colour"
        lent[b, t] = int(rng.integers(len(theirs)))
        others[b][t - 1] = read[lent[b, t]]
    logs, _ = run(model, samples, [caption.text for caption in given], shut, others)
    likeliest = {(b, t): words[int(logs[b][t][ids].argmax())] for b, t in said}
    plural = {many: one for one, many in grammar.nouns.items()}

    def share(wanted) -> list[float]:
        """How often the likeliest noun is the wanted one."""
        by_picture: list[list[float]] = [[] for _ in samples]
        for place in said:
            pair = (likeliest[place], wanted(*place))
            by_picture[place[0]].append(float(len({plural.get(x, x) for x in pair}) == 1))
        return estimate(by_picture)

    return {
        "right": share(lambda b, t: given[b].words[t]),
        "the other scene's": share(lambda b, t: theirs[lent[b, t]]),
    }


def split_by_class(grammar, caption, wanted: str) -> list[str]:
    """A caption's words of a class."""
    names = pointing.word_classes(grammar, caption.words)
    return [word for word, name in zip(caption.words, names, strict=True) if name == wanted]


def main() -> None:
    """Measure both, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the long runs")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    test = scenes.Scenes("test", captions=5)
    models = {name: pretrained.load(name) for name in SHIPPED}
    models |= {name: pretrained.read(options.runs / name / "model") for name in LONG}
    samples = [test.sample(i) for i in range(SIZED + LENDERS)]
    content: dict = {"cards": [of_card(model) for model in models.values()], "scenes": SIZED}
    for name in (SHIPPED[0], LONG[0]):
        model = models[name]
        content[name] = {
            **looks(model, test.grammar, samples[:SIZED]),
            "shut": of_stand_ins(model, test)["noun"],
            "colour of another": lent_before(model, test.grammar, samples[:SIZED], samples[SIZED:]),
            "first state": without(model, test.grammar, samples[:SIZED]),
        }
    record(options.out, COMMAND, content)


if __name__ == "__main__":
    main()
