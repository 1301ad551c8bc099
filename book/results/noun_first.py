"""Can a model point at what it has not chosen yet? Scenes with their captions said in two orders.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/noun_first.py

A scene's caption says "a large red ring above a star". The same model is trained on these words,
and on the same captions with the noun before its adjectives: "a ring large red above a star". Made
to write the captions of test scenes in its own order, it is marked for each word that names a
thing, by the word's class, by how many words of its phrase have been said before it, and by whether
the phrase is the caption's first. If attention can only point at a choice that has been made, the
share of hits follows the word's place, and moves with the order; if it is the noun that is easy to
find, it follows the class.

Each model is `scenes-soft` of the training queue with an eighth of its updates; one takes some ten
minutes of one core. The script goes on where it was stopped.
"""

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

from _record import begin, record

from attnlib import pretrained
from attnlib.data import images
from attnlib.data.grammar import NUMBERS, Caption
from attnlib.metrics import pointing
from attnlib.training import QUEUE, Run, bf16_products

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/noun_first.py"
BASE = QUEUE["scenes-soft"].replace(updates=3000, warmup=300, average=5)
ORDERS = ("adjectives first", "noun first")
TESTED = 1000  # scenes


def noun_first(caption: Caption, nouns: set[str]) -> Caption:
    """The same caption with each noun before its adjectives: "a ring large red"."""
    words, things = list(caption.words), list(caption.things)
    for i, word in enumerate(caption.words):
        if word in nouns:
            first = i
            while first and things[first - 1] and words[first - 1] not in NUMBERS:
                first -= 1
            for row in (words, things):
                row.insert(first, row.pop(i))
    return Caption(tuple(words), tuple(things))


@dataclass(frozen=True)
class NounFirst:
    """A collection of scenes with its captions in the other order."""

    scenes: Any

    def __getattr__(self, name):
        return getattr(self.scenes, name)

    def sample(self, i: int):
        sample = self.scenes.sample(i)
        nouns = {form for pair in self.scenes.grammar.nouns.items() for form in pair}
        return replace(sample, captions=tuple(noun_first(c, nouns) for c in sample.captions))


def loader(order: str):
    """What stands for `images.load` while a model is trained on captions of an order."""
    load = images.load
    return lambda *how: NounFirst(load(*how)) if order == "noun first" else load(*how)


def marked(model: pretrained.Pretrained, pictures) -> list[dict]:
    """The share of hits of words of one class at one place in their phrase."""
    samples = [pictures.sample(i) for i in range(TESTED)]
    given = [sample.captions[0] for sample in samples]
    looks = model.force_decode([s.image for s in samples], [c.text for c in given])
    grammar = pictures.grammar
    kinds = {form: "noun" for pair in grammar.nouns.items() for form in pair}
    for kind, words in (("colour", grammar.colours), ("size", grammar.sizes)):
        kinds |= dict.fromkeys(words, kind)
    kinds |= dict.fromkeys(grammar.textures, "texture") | dict.fromkeys(grammar.numbers, "number")
    found: dict[tuple[str, str, int], list[float]] = {}
    for sample, caption, look in zip(samples, given, looks, strict=True):
        if len(sample.things) < 2:
            continue  # one thing alone: there is nothing to choose
        told = pointing.Record.of(
            caption.words, caption.things, look.weights, sample.masks, model.grid, look.tokens
        )
        phrase, said = "first", 0
        for word, named, hit in zip(caption.words, caption.things, pointing.hits(told)):
            if not named:
                if said:
                    phrase, said = "later", 0
                continue
            if hit is not None:
                found.setdefault((phrase, kinds[word], said), []).append(float(hit))
            said += 1
    return [
        {"phrase": p, "class": k, "said": n, "words": len(v), "hits": round(sum(v) / len(v), 4)}
        for (p, k, n), v in sorted(found.items())
    ]


def measure(order: str, seed: int) -> dict:
    """Train a model on captions of one order, and mark it on test scenes."""
    config = BASE.replace(name=f"scenes-{order.replace(' ', '-')}", seed=seed)
    with tempfile.TemporaryDirectory() as scratch, mock.patch.object(images, "load", loader(order)):
        run = Run(config, Path(scratch), quiet=True)
        with bf16_products():
            run.run(checkpoint_seconds=math.inf)
        pictures = images.load("scenes", "test")
        arguments = config.arguments(len(run.data.tokenizer))
        card = {"architecture": "captioner", "pictures": "scenes", "model": arguments}
        model = pretrained.Pretrained(order, run.averaged_model(), run.data.tokenizer, card)
        return {
            "order": order,
            "seed": seed,
            "seconds": round(run.progress.seconds),
            "hits": marked(model, pictures),
        }


def main() -> None:
    """Do what is left, and write the file after each model."""
    options, content = begin(__doc__, RESULTS, {"runs": []})
    content["scale"] = {"updates": BASE.optimisation.updates, "tested": TESTED}
    done = {(run["order"], run["seed"]) for run in content["runs"]}
    for seed in options.seeds[:3]:
        for order in ORDERS:
            if (order, seed) not in done:
                content["runs"].append(measure(order, seed))
                record(options.out, COMMAND, content)
                print(content["runs"][-1], flush=True)


if __name__ == "__main__":
    main()
