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

No look can know which noun the grammar drew. So the hits are parted, in given captions and in the
model's own true ones, by how many photographs the words so far leave: all of them before the first
noun, and after "bananas above" those below the bananas. What a guess from the layout and the words
hits is counted on further mosaics. Where the first word comes from is asked by an exchange: the
first state, made from the mean annotation, is taken from one mosaic, and what is looked at from
another that shows none of the same kinds. And where two or more photographs are left, the one that
is looked at is hidden at that word alone: does the word change? At last strangers: what is said of
historic photographs, and how many of them a threshold on the word's probability stops.

``--choices`` measures what this last paragraph names alone, and keeps the rest of the file.
"""

import argparse
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from _record import record
from PIL import ImageOps

from attnlib import metrics, pretrained, settings
from attnlib.data import historic, images, mosaics
from attnlib.data.batches import collate
from attnlib.data.grammar import Thing
from attnlib.data.images import as_floats
from attnlib.training.features import SeenMosaics
from attnlib.vision import Tiled

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/photographs.py"
MODELS = ("photographs-soft", "photographs-hard", "mosaics-soft")
TESTED = 2000  # mosaics
COUNTED = 10_000  # further mosaics, for what can be guessed
UNTRAINED = 8
STRANGERS = 90  # historic photographs, and as many of groceries
BESIDE = "bananas right of"  # what a caption says before it names the photograph on the left
TAUGHT = (  # kinds that are a class of ImageNet: Granny Smith, banana, ..., bell pepper
    "apples",
    "bananas",
    "cucumbers",
    "lemons",
    "mushrooms",
    "oranges",
    "red peppers",
)
PASS = (0.95, 0.9)  # the share of rightly named groceries that a threshold lets pass
PART = 100  # mosaics a step
ROWS = (-1, 0, 1)  # of the weights, counted from the noun's own
RIDGE = 1e-2  # of the linear layer, as a share of the mean variance


class Nouns:
    """The nouns of a true caption: where each is written, in which tile it lies, what was left.

    `left` has for each noun the tiles of the photographs that the words before it still allow.
    """

    def __init__(self, things, caption, collection):
        tile, grammar = collection.tile, collection.grammar
        self.first, self.rows, self.tiles = [], [], []
        for t, named in enumerate(caption.things):
            last = t + 1 == len(caption.things) or caption.things[t + 1] != named
            if named and last:  # "red peppers" are seen when "peppers" is written
                thing = things[next(iter(named))]
                self.first.append(not self.rows)
                self.rows.append(t)
                self.tiles.append(2 * int(thing.y // tile) + int(thing.x // tile))
        self.shown = [2 * int(x.y // tile) + int(x.x // tile) for x in things]
        statement = grammar.parse(caption.text)
        self.relations = statement.relations
        self.left = [self.shown]
        for k, relation in enumerate(self.relations, start=1):
            so_far = f"{statement.phrases[0].noun} {relation}"
            self.left.append(
                [
                    at
                    for thing, at in zip(things, self.shown, strict=True)
                    if at not in self.tiles[:k]
                    and grammar.check(f"{so_far} {thing.noun}", things).true
                ]
            )


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


def by_left(looks, nouns: list[Nouns], tiles: np.ndarray) -> list[dict]:
    """The hits by how many photographs are left, and how often the look is on one of these."""
    hits: dict[tuple[str, int], list[list[float]]] = {}
    among: dict[tuple[str, int], list[list[float]]] = {}
    for weights, its in zip(looks, nouns, strict=True):
        for first, t, tile, left in zip(its.first, its.rows, its.tiles, its.left, strict=True):
            top, key = tiles[weights[t].argmax()], ("first" if first else "later", len(left))
            hits.setdefault(key, []).append([float(top == tile)])
            among.setdefault(key, []).append([float(top in left)])
    return [
        {"noun": noun, "left": left, "nouns": len(rows)}
        | share(rows)
        | {"on one of them": share(among[noun, left])}
        for (noun, left), rows in sorted(hits.items())
    ]


def guessed(collection, nouns: list[Nouns]) -> dict[str, dict]:
    """How often the tile that most often comes next holds the noun, first or later.

    Counted on further mosaics with the same full tiles and, for later nouns, the same words so far:
    what a guess can know of a given caption without seeing any photograph.
    """

    def cases(its: Nouns):
        for k, tile in enumerate(its.tiles):
            yield (
                ("later" if k else "first"),
                (
                    tuple(its.shown),
                    tuple(its.tiles[:k]),
                    its.relations[:k],
                ),
                tile,
            )

    counts: dict[tuple, Counter] = {}
    for i in range(len(nouns), len(nouns) + COUNTED):
        things, captions = collection.told(i)
        for _, known, tile in cases(Nouns(things, captions[0], collection)):
            counts.setdefault(known, Counter())[tile] += 1
    found: dict[str, list[list[float]]] = {"first": [], "later": []}
    for its in nouns:
        right: dict[str, list[float]] = {}
        for place, known, tile in cases(its):
            best = counts[known].most_common(1)[0][0]
            right.setdefault(place, []).append(float(best == tile))
        for place, some in right.items():
            found[place].append(some)
    return {place: share(rows) for place, rows in found.items()}


@torch.no_grad()
def exchanged(loaded, seen, told) -> list[dict]:
    """The first word's probability on the kinds of the mosaic of its first state, and of its look.

    Each mosaic lends its first state; what is looked at is the next mosaic without any of its
    kinds. The control looks at the same mosaic.
    """
    model, ids = loaded.model, {noun: loaded.ids(noun)[0] for noun in mosaics.NOUNS}
    kinds = [{thing.noun for thing in things} for things, _ in told]
    n = len(kinds)
    partner = [
        next((i + k) % n for k in range(1, n) if kinds[(i + k) % n].isdisjoint(kinds[i]))
        for i in range(n)
    ]
    memory = model.encode(seen, torch.full((n,), seen.shape[1]))
    other = model.encode(seen[partner], torch.full((n,), seen.shape[1]))
    state = model.decoder.start(memory)
    begin = model.embedding(collate([([], [0])] * n).target_in[:, 0])
    found = []
    for look, given, looked in (
        ("the same mosaic", memory, kinds),
        ("another mosaic", other, [kinds[i] for i in partner]),
    ):
        vector, _, _ = model.decoder.step(begin, state, given)
        chances = model.output(vector).softmax(-1).tolist()
        for where, named in (("glance", kinds), ("look", looked)):
            masses = [
                [sum(some[ids[kind]] for kind in its)]
                for some, its in zip(chances, named, strict=True)
            ]
            found.append({"look": look, "kinds of the": where, **share(masses)})
    return found


@torch.no_grad()
def followed(loaded, seen, told, nouns: list[Nouns], tiles: np.ndarray) -> list[dict]:
    """What the word is when several photographs are left, and when the one looked at is hidden.

    Given captions are read up to the noun. The probabilities are those of the kind that the most
    attended cell shows, and of the other kinds that are left; a look at none of these is not
    counted.
    """
    model, in_tile = loaded.model, torch.from_numpy(tiles)
    ids = {noun: loaded.ids(noun)[0] for noun in mosaics.NOUNS}
    words = collate([([], loaded.ids(captions[0].text)) for _, captions in told])
    memory = model.encode(seen, torch.full((len(seen),), seen.shape[1]))
    embedded, state = model.embedding(words.target_in), model.decoder.start(memory)
    found: dict[tuple[str, str, str], list[list[float]]] = {}
    for t in range(words.target_in.shape[1]):
        vector, weights, after = model.decoder.step(embedded[:, t], state, memory)
        looked = in_tile[weights.argmax(-1)]
        here = memory._replace(mask=memory.mask & (in_tile != looked[:, None]))
        changed, _, _ = model.decoder.step(embedded[:, t], state, here)
        chances = {
            name: model.output(v).softmax(-1).tolist()
            for name, v in (("nothing", vector), ("what is looked at", changed))
        }
        for b, ((things, _), its) in enumerate(zip(told, nouns, strict=True)):
            kind = {at: x.noun for at, x in zip(its.shown, things, strict=True)}
            for first, row, tile, left in zip(
                its.first, its.rows, its.tiles, its.left, strict=True
            ):
                begins = row + 1 - len(kind[tile].split())  # the noun's first word
                at = int(looked[b])
                if t != begins or len(left) < 2 or at not in left:
                    continue
                for gone, some in chances.items():
                    mass = {x: some[b][ids[kind[x]]] for x in left}
                    for whose, p in (("looked at", mass.pop(at)), ("others", sum(mass.values()))):
                        key = "first" if first else "later", gone, whose
                        found.setdefault(key, []).append([p])
        state = after
    return [
        {"noun": noun, "hidden": gone, "kinds": whose, "nouns": len(rows), **share(rows)}
        for (noun, gone, whose), rows in found.items()
    ]


@torch.no_grad()
def strangers(loaded, tile: int) -> dict:
    """What is said of photographs of other things, and how many a threshold stops.

    A photograph stands left of bananas, and the likeliest word after `BESIDE` is asked for. The
    threshold on its probability is that which lets `PASS` of the rightly named groceries pass.
    """
    showing: dict[str, list[int]] = {}
    for number in mosaics.numbers("test"):
        showing.setdefault(mosaics.photographs()[number].noun, []).append(number)
    rng = random.Random(0)

    def grocery(number: int) -> np.ndarray:
        noun = mosaics.photographs()[number].noun
        return mosaics.view(Thing(noun, 0, 0, image=number), tile=tile)

    bananas = grocery(showing.pop("bananas")[0])
    names = {loaded.ids(noun)[0]: noun for noun in mosaics.NOUNS}
    words = collate([([], loaded.ids(BESIDE))]).target_in

    def said_of(pixels: np.ndarray) -> tuple[float, str | None]:
        image = as_floats(mosaics.laid_out([pixels, bananas]))[None]
        annotations = loaded.model.encoder.features(image)
        lengths = torch.tensor([annotations.shape[1]])
        vectors, _ = loaded.model.hidden_forward(annotations, lengths, words)
        chance, word = loaded.model.output(vectors)[0, -1].softmax(-1).max(-1)
        return float(chance), names.get(int(word))

    known = [
        (noun, *said_of(grocery(number)))
        for noun, some in showing.items()
        for number in rng.sample(some, STRANGERS // len(showing))
    ]
    right = np.array([chance for noun, chance, word in known if word == noun])
    others = [
        said_of(np.asarray(ImageOps.fit(photo.image(), (tile, tile))))
        for photo in historic.split("test")[:STRANGERS]
    ]
    chances = np.array([chance for chance, _ in others])
    more = (right[:, None] > chances).mean() + (right[:, None] == chances).mean() / 2
    return {
        "groceries": len(known),
        "rightly named": len(right),
        "strangers": len(others),
        "called": dict(Counter(word for _, word in others).most_common()),
        "median probability": {
            "groceries": round(float(np.median(right)), 4),
            "strangers": round(float(np.median(chances)), 4),
        },
        "stopped": {
            str(passed): round(float((chances < np.quantile(right, 1 - passed)).mean()), 4)
            for passed in PASS
        },
        "grocery the likelier of a pair": round(float(more), 4),
    }


def by_encoder(true: list[bool], told, scores: np.ndarray) -> dict:
    """How many captions are true where the encoder alone names all photographs, and where not."""
    parts: dict[str, list[list[float]]] = {"all": [], "not all": []}
    for verdict, (things, _) in zip(true, told, strict=True):
        kinds = [mosaics.NOUNS.index(thing.noun) for thing in things]
        named = all(scores[x.image].argmax() == kind for x, kind in zip(things, kinds, strict=True))
        parts["all" if named else "not all"].append([float(verdict)])
        if named:
            parts.setdefault(f"all {len(kinds)}", []).append([float(verdict)])
    return {
        name: {"mosaics": len(rows), **share(rows)} for name, rows in sorted(parts.items()) if rows
    }


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


def encoder_alone(encoder: Tiled, tile: int) -> tuple[dict, np.ndarray]:
    """How many test photographs a linear layer names, and its scores of every photograph.

    Photographs of kinds that are a class of ImageNet (`TAUGHT`) apart from the others.
    """

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
    right = (B @ W).argmax(1) == z
    taught = np.isin(z, [mosaics.NOUNS.index(noun) for noun in TAUGHT])
    parts = {"all": right, "taught": right[taught], "not taught": right[~taught]}
    named = {
        name: {"photographs": len(some)} | share([[float(x)] for x in some])
        for name, some in parts.items()
    }
    return named, scores


def measure(name: str, tested: int, choices: bool = False) -> dict:
    """Where a model looks at the nouns of given captions, and what hiding a tile costs.

    With `choices`, only what depends on how many photographs are left, or on exchanged mosaics.
    """
    loaded = pretrained.load(name)
    collection = images.load(loaded.card["pictures"], "test")
    told = [collection.told(i) for i in range(tested)]
    nouns = [Nouns(things, captions[0], collection) for things, captions in told]
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
    found_true = [
        collection.grammar.check(text, things).true
        for text, (things, _) in zip(captions, told, strict=True)
    ]
    true = [i for i in range(tested) if found_true[i]]
    theirs = [
        Nouns(told[i][0], collection.grammar.link(captions[i], told[i][0]), collection)
        for i in true
    ]
    ours = [own[i] for i in true]
    found: dict = {
        "name": name,
        "guessed": guessed(collection, nouns),
        "by photographs left": by_left(looks, nouns, tiles),
        "by photographs left, own true captions": by_left(ours, theirs, tiles),
    }
    if kept:
        found["first word"] = exchanged(loaded, torch.cat(seen), told)
        found["what is looked at hidden"] = followed(loaded, torch.cat(seen), told, nouns, tiles)
        named, scores = encoder_alone(encoder, collection.tile)
        found["photographs named"] = named
        found["true, the encoder alone names"] = by_encoder(found_true, told, scores)
    if name == MODELS[0]:
        found["strangers"] = strangers(loaded, collection.tile)
    if choices:
        return found
    found |= {"pointing": marked(looks, nouns, tiles)}
    found |= said(collection.grammar, captions, told)
    found["pointing, own true captions"] = marked(ours, theirs, tiles)
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
    best = []
    for things, texts in told:
        for noun in [things[next(iter(x))] for x in dict.fromkeys(texts[0].things) if x]:
            kind = mosaics.NOUNS.index(noun.noun)
            best.append(float(max(things, key=lambda x: scores[x.image, kind]) is noun))
    found["encoder"] = {
        "class map": share([[x] for x in best]),
    }
    return found


def main() -> None:
    """Measure each model, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tested", type=int, default=TESTED)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--choices", action="store_true", help="these alone; keep the rest")
    options = parser.parse_args()
    torch.set_num_threads(1)
    models = [measure(name, options.tested, options.choices) for name in MODELS]
    if options.choices:
        kept = json.loads(options.out.read_text("utf-8"))
        if kept["tested"] != options.tested:
            raise SystemExit(f"{options.out} has {kept['tested']} mosaics: --tested as many")
        models = [old | new for old, new in zip(kept["models"], models, strict=True)]
    record(options.out, COMMAND, {"tested": options.tested, "models": models})
    print(json.dumps(models, indent=1)[:3000])


if __name__ == "__main__":
    main()
