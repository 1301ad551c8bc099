"""Mosaics of photographs: which row of the weights belongs to a noun, and what the encoder knows.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/photographs.py

The captioner of the section on photographs in chapter 7 is made to write a true caption of each
test mosaic. For each noun, first of its caption or later, it is marked whether the most attended
cell lies in the noun's tile, in the noun's own row of weights and in the rows around it. Which of
them is used is tested: in one row the noun's tile is hidden, then another photograph's tile, and
the loss of the word that this row writes is compared. Beside it stand decoders with random weights
on the same encoder, and the encoder alone: a linear layer on the mean of a tile's cells, fitted to
the training photographs, names every test photograph, and is asked which tile shows the noun most.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from _record import record

from attnlib import metrics, pretrained, settings
from attnlib.data import images, mosaics
from attnlib.data.batches import collate
from attnlib.training.features import SeenMosaics
from attnlib.vision import Tiled

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/photographs.py"
MODELS = ("photographs-soft", "photographs-hard", "mosaics-soft")
TESTED = 2000  # mosaics
UNTRAINED = 8
PART = 100  # mosaics a step
ROWS = (-1, 0, 1)  # of the weights, counted from the noun's own
RIDGE = 1e-2  # of the linear layer, as a share of the mean variance


class Nouns:
    """The nouns of given captions: where each is written, and in which tile it lies."""

    def __init__(self, things, caption, tile: int):
        self.first, self.rows, self.tiles = [], [], []
        for t, named in enumerate(caption.things):
            last = t + 1 == len(caption.things) or caption.things[t + 1] != named
            if named and last:  # "red peppers" are seen when "peppers" is written
                thing = things[next(iter(named))]
                self.first.append(not self.rows)
                self.rows.append(t)
                self.tiles.append(2 * int(thing.y // tile) + int(thing.x // tile))
        self.shown = [2 * int(x.y // tile) + int(x.x // tile) for x in things]


def tile_of_cell(grid: tuple[int, int]) -> np.ndarray:
    """The tile, 0 to 3, of each cell."""
    rows, columns = np.indices(grid)
    return (2 * (rows // (grid[0] // 2)) + columns // (grid[1] // 2)).ravel()


def marked(looks, nouns: list[Nouns], tiles: np.ndarray) -> list[dict]:
    """The share of nouns whose tile holds the most attended cell, by place and row."""
    hits: dict[tuple[str, int], list[list[float]]] = {}
    for weights, its in zip(looks, nouns, strict=True):
        for place in ("first", "later"):
            for row in ROWS:
                found = [
                    float(tiles[weights[t + row].argmax()] == tile)
                    for first, t, tile in zip(its.first, its.rows, its.tiles, strict=True)
                    if first == (place == "first") and 0 <= t + row < len(weights)
                ]
                if found:
                    hits.setdefault((place, row), []).append(found)
    return [{"noun": place, "row": row, **share(found)} for (place, row), found in hits.items()]


def spread(looks, nouns: list[Nouns], tiles: np.ndarray) -> list[dict]:
    """How much weight a first noun's row, and the next, give its tile, others and empty ones."""
    found: dict[tuple[int, str], list[list[float]]] = {}
    for weights, its in zip(looks, nouns, strict=True):
        for row in (0, 1):
            if its.rows[0] + row >= len(weights):
                continue
            mass = np.bincount(tiles, weights[its.rows[0] + row], minlength=4)
            own, shown = mass[its.tiles[0]], mass[its.shown].sum()
            for where, part in (("its tile", own), ("others", shown - own), ("empty", 1 - shown)):
                found.setdefault((row, where), []).append([float(part)])
    return [{"row": row, "where": where, **share(x)} for (row, where), x in found.items()]


def said(grammar, captions: list[str], told) -> dict:
    """Whether a model's own captions are true, their nouns in the mosaic, and what is wrong."""
    true, named, wrong = [], [], dict.fromkeys(("thing", "relation"), 0)
    for text, (things, _) in zip(captions, told, strict=True):
        verdict = grammar.check(text, things)
        true.append([float(verdict.true)])
        shown = {thing.noun for thing in things}
        if verdict.parses:
            named.append([float(x.noun in shown) for x in grammar.parse(text).phrases])
        for kind in wrong:
            wrong[kind] += kind in verdict.kinds
    return {
        "true": share(true),
        "nouns in the mosaic": share(named),
        "captions with a wrong": wrong,
    }


def from_full_tiles(collection, nouns: list[Nouns], others: int = 10_000) -> dict:
    """How often the tile that most often comes first, among those that are full, holds the noun.

    Counted on as many mosaics after those that are tested: what a guess can know of the first noun
    of a given caption without seeing any photograph.
    """
    first: dict[tuple, Counter] = {}
    for i in range(len(nouns), len(nouns) + others):
        things, captions = collection.told(i)
        its = Nouns(things, captions[0], collection.tile)
        first.setdefault(tuple(sorted(its.shown)), Counter())[its.tiles[0]] += 1
    guesses = [first[tuple(sorted(its.shown))].most_common(1)[0][0] for its in nouns]
    return share([[float(g == its.tiles[0])] for g, its in zip(guesses, nouns, strict=True)])


def by_encoder(true: list[bool], told, scores: np.ndarray) -> dict:
    """How many captions are true where the encoder alone names all photographs, and where not."""
    parts: dict[str, list[list[float]]] = {"all": [], "not all": []}
    for verdict, (things, _) in zip(true, told, strict=True):
        kinds = [mosaics.NOUNS.index(thing.noun) for thing in things]
        named = all(scores[x.image].argmax() == kind for x, kind in zip(things, kinds, strict=True))
        parts["all" if named else "not all"].append([float(verdict)])
    return {name: {"mosaics": len(rows), **share(rows)} for name, rows in parts.items() if rows}


def share(found: list[list[float]]) -> dict:
    """The mean of the values of all mosaics, whose mosaics are drawn again for its interval."""
    mean = metrics.bootstrap_interval([sum(some) for some in found], [len(some) for some in found])
    return {"share": round(mean.value, 4), "interval": [round(x, 4) for x in mean.interval]}


@torch.no_grad()
def hidden(model, seen, encoded, nouns: list[Nouns], tiles: np.ndarray) -> list[dict]:
    """What it costs the word that a row writes when the noun's tile is hidden in that row."""
    words = collate([([], ids) for ids in encoded])
    lengths = torch.full((len(encoded),), seen.shape[1])
    memory = model.encode(seen, lengths)
    embedded = model.embedding(words.target_in)
    in_tile = torch.from_numpy(tiles)
    costs: dict[tuple[str, int, str], list[float]] = {}
    state = model.decoder.start(memory)
    for t in range(words.target_in.shape[1]):
        normal = spoken(model, embedded[:, t], state, memory, words.target_out[:, t])
        for which in ("its tile", "another"):
            mask, who = memory.mask.clone(), []
            for b, its in enumerate(nouns):
                for first, at, tile in zip(its.first, its.rows, its.tiles, strict=True):
                    others = [x for x in its.shown if x != tile]
                    if t - at in (0, 1) and t < len(encoded[b]):
                        mask[b] &= in_tile != (
                            tile if which == "its tile" else others[t % len(others)]
                        )
                        who.append((b, "first" if first else "later", t - at))
            changed = spoken(
                model, embedded[:, t], state, memory._replace(mask=mask), words.target_out[:, t]
            )
            for b, place, row in who:
                costs.setdefault((place, row, which), []).append(float(normal[b] - changed[b]))
        _, _, state = model.decoder.step(embedded[:, t], state, memory)
    return [
        {"noun": place, "row": row, "hidden": which, "values": values}
        for (place, row, which), values in costs.items()
    ]


def spoken(model, embedded, state, memory, word) -> torch.Tensor:
    """The log-probability of a word (B,) at one step."""
    vector, _, _ = model.decoder.step(embedded, state, memory)
    return model.output(vector).log_softmax(-1).gather(-1, word[:, None])[:, 0]


def encoder_alone(encoder: Tiled, tile: int) -> tuple[float, np.ndarray]:
    """How many test photographs a linear layer names, and its scores of every photograph."""

    def means(split: str) -> tuple[np.ndarray, np.ndarray]:
        seen = SeenMosaics(mosaics.Mosaics(split, tile=tile), encoder).photographs
        labels = [
            mosaics.NOUNS.index(mosaics.photographs()[i].noun) for i in mosaics.numbers(split)
        ]
        return seen[:, 0].astype(float).mean((1, 2)), np.array(labels)

    (X, y), (Z, z) = means("train"), means("test")
    mean, spread = X.mean(0), X.std(0) + 1e-6
    A, B = (np.c_[(each - mean) / spread, np.ones(len(each))] for each in (X, Z))
    targets = np.eye(len(mosaics.NOUNS))[y]
    W = np.linalg.solve(A.T @ A + RIDGE * len(A) * np.eye(A.shape[1]), A.T @ targets)
    scores = np.zeros((len(mosaics.photographs()), len(mosaics.NOUNS)))
    scores[list(mosaics.numbers("test"))] = B @ W
    return float(((B @ W).argmax(1) == z).mean()), scores


def measure(name: str, tested: int) -> dict:
    """Where a model looks at the nouns of given captions, and what hiding a tile costs."""
    loaded = pretrained.load(name)
    collection = images.load(loaded.card["pictures"], "test")
    told = [collection.told(i) for i in range(tested)]
    nouns = [Nouns(things, captions[0], collection.tile) for things, captions in told]
    texts = [captions[0].text for _, captions in told]
    tiles = tile_of_cell(loaded.grid)
    parts = [range(start, min(start + PART, tested)) for start in range(0, tested, PART)]
    encoder = loaded.model.encoder
    kept = SeenMosaics(collection, encoder) if isinstance(encoder, Tiled) else None
    seen, looks, captions, own = [], [], [], []
    for part in parts:
        drawn = [(kept or collection).sample(i).image for i in part]
        if kept:
            drawn = torch.from_numpy(np.stack(drawn)).float()
        seen.append(drawn)
        written = loaded.caption(drawn)
        captions += [x.text for x in written]
        own += [x.weights for x in written]
        looks += [x.weights for x in loaded.force_decode(drawn, texts[part.start : part.stop])]
    found: dict = {"name": name, "full tiles alone": from_full_tiles(collection, nouns)}
    found |= {"pointing": marked(looks, nouns, tiles)}
    found |= said(collection.grammar, captions, told)
    found_true = [
        collection.grammar.check(text, things).true
        for text, (things, _) in zip(captions, told, strict=True)
    ]
    true = [i for i in range(tested) if found_true[i]]
    theirs = [
        Nouns(told[i][0], collection.grammar.link(captions[i], told[i][0]), collection.tile)
        for i in true
    ]
    found["pointing, own true captions"] = marked([own[i] for i in true], theirs, tiles)
    found["first noun"] = spread(looks, nouns, tiles)
    if kept is None:
        return found
    costs: dict[tuple, list[float]] = {}
    for part, some in zip(parts, seen, strict=True):
        its = slice(part.start, part.stop)
        encoded = [loaded.ids(text) for text in texts[its]]
        for row in hidden(loaded.model, some, encoded, nouns[its], tiles):
            key = (row["noun"], row["row"], row["hidden"])
            costs.setdefault(key, []).extend(row["values"])
    found["hidden"] = [
        {"noun": noun, "row": row, "hidden": which, **share([[x] for x in values])}
        for (noun, row, which), values in costs.items()
    ]
    found["untrained"] = []
    everything = torch.cat(seen)
    for seed in range(UNTRAINED):
        torch.manual_seed(seed)
        model = settings.build("captioner", loaded.card["model"]).eval()
        other = pretrained.Pretrained(name, model, loaded.tokenizer, loaded.card)
        looked = [x.weights for x in other.force_decode(everything, texts)]
        found["untrained"].append(marked(looked, nouns, tiles))
    named, scores = encoder_alone(encoder, collection.tile)
    found["true, the encoder alone names"] = by_encoder(found_true, told, scores)
    best = []
    for things, texts in told:
        for noun in [things[next(iter(x))] for x in dict.fromkeys(texts[0].things) if x]:
            kind = mosaics.NOUNS.index(noun.noun)
            best.append(float(max(things, key=lambda x: scores[x.image, kind]) is noun))
    found["encoder"] = {
        "photographs named": round(named, 4),
        "class map": share([[x] for x in best]),
    }
    return found


def main() -> None:
    """Measure each model, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tested", type=int, default=TESTED)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    models = [measure(name, options.tested) for name in MODELS]
    record(options.out, COMMAND, {"tested": options.tested, "models": models})
    print(json.dumps(models, indent=1)[:3000])


if __name__ == "__main__":
    main()
