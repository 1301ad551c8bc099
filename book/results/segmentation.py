"""Segmentation without masks: maps of what is in a scene, learned from the names of its shapes.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/segmentation.py

`attnlib.beyond.segmentation` on scenes whose masks are drawn. Overlap is intersection over union
with the masks, of the background and six shapes over the pixels of all test scenes, which have two
nouns or more; which these are is known, as in the paper. The threshold of the background is the
best of 49 on validation scenes, with their masks, for each map by itself. The kinds of rows:

* ``trained``: one a way of learning and seed. ``names``: from the names of the shapes;
  ``equivariant``: with the loss between a scene and a smaller copy; ``masks``: the same network
  taught with masks, which is what can be reached. Each has its map ``alone`` and after the
  ``module``. Beside them the controls: a map that is ``blurred``, a module ``as it began``, and
  ``coloured``: what differs in colour from the rest of the scene, named by the map. How far maps of
  a smaller and of a mirrored scene are from the smaller and mirrored maps. And what the module
  relates a shape to, and what comes of it, when a scene's shapes are given one colour, or a colour
  each;
* ``own names``: the same of the test scenes with the names that the network finds in them, not the
  true ones, at the thresholds of the true ones;
* ``tiled``: learned and tested on the same scenes before a background of tiles in the colours of
  the shapes, so that colour does not tell what is in front; with three times the updates;
* ``shades``: those networks, asked about scenes before tiles in the very shades of their own shapes
  (from these alone the names are not learned);
* ``by colour``: cells related by the distance of their colours, in the place of the module; nothing
  is learned for it. Beside it by the distance of the module's own features, made one long, so that
  the score is another and what is compared is not (``tiled`` and ``shades`` rows have both, too);
* ``cells``: what is reached at most with cells: the share of each cell that each class covers;
* ``longer``: the same with twice the updates;
* ``together``: learned from scenes where there is a star if, and only if, there is a ring;
* ``untrained``: the network as it begins, 8 seeds;
* ``guesses``: without a network: all of the picture, a disc in its middle, what differs in colour
  from the rest, and the outlines themselves, each with a name of the scene drawn by chance;
* ``shown``: a test scene, for a figure: what one trained network compares, the maps it averages,
  and what share of each cell each shape covers; ``shown tiled``: its maps before tiles.

What is in ``segmentation.json`` already is not measured again, so a stopped run goes on. An hour
of one core; a training takes one to three minutes.
"""

import copy
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import torch
from _record import begin, record
from _segmented import PAIR, before_shades, before_tiles, painted, pictures, together
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, normalize, one_hot

from attnlib.beyond import segmentation
from attnlib.beyond.segmentation import NOUNS, LabelledScenes, Maps, Segmenter
from attnlib.data.scenes import SIZE
from attnlib.explore.figure import rounded
from attnlib.explore.related_cells import packed

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/segmentation.py"
UPDATES = 1000
TILED_UPDATES = 3000  # with 1,000 the names are not learned
LR = 0.003
WAYS = {
    "names": {"equivariance": 0.0},
    "equivariant": {"equivariance": 1.0},
    "masks": {"masks": True},
}
UNTRAINED = 8  # seeds
WIDTHS = 0.03, 0.05, 0.1, 0.2, 0.4  # of colours, each channel from 0 to 1
ONE_LONG = 0.05, 0.1, 0.2, 0.4, 0.8  # of features of length 1
PAINTS = "as drawn", "one colour", "a colour each"
SHOWN = 8, 1, 16  # test scenes


# Marks ----------------------------------------------------------------------------------------


def marks(maps: Tensor, threshold: float, truth: Tensor) -> dict:
    """The overlaps of maps at a threshold."""
    each = segmentation.overlaps(segmentation.segment(maps, threshold), truth)
    return {"mean": float(each.mean()), "classes": each.tolist()}


def blurred(maps: Tensor) -> Tensor:
    """Each cell the mean of itself and its neighbours."""
    return avg_pool2d(maps, 3, 1, 1, count_include_pad=False)


def looks(model: Segmenter, began: Segmenter | None, which: LabelledScenes) -> dict[str, Tensor]:
    """The maps of one network: alone, after the module, and their controls."""
    alone, module = segmentation.look(model, which.images, which.labels)
    found = {"alone": alone, "module": module, "blurred": blurred(alone)}
    outlines = segmentation.unlike_the_rest(which.images)
    found["coloured"] = segmentation.named_by(alone, outlines)
    if began is not None:
        mixed = copy.deepcopy(model)
        for name in ("V_1", "V_2", "theta"):
            setattr(mixed, name, getattr(began, name))
        found["as it began"] = segmentation.look(mixed, which.images, which.labels)[1]
    return found


@torch.no_grad()
def says(model: Segmenter, which: LabelledScenes) -> Tensor:
    """The names (N, C) that a network finds in scenes: those whose map has a mean above 0."""
    return torch.cat([model.name(images) for images in which.images.split(50)]) > 0


def named(model: Segmenter, which: LabelledScenes) -> dict[str, float]:
    """How often the mean of a map tells whether its class is in the scene."""
    said = says(model, which)
    hits = (said & which.labels).sum()
    return {
        "right": float((said == which.labels).double().mean()),
        "precision": float(hits / said.sum().clamp(min=1)),
        "recall": float(hits / which.labels.sum()),
    }


def errors(model: Segmenter, which: LabelledScenes) -> dict[str, dict[str, float]]:
    """How far the maps are from those of a smaller and of a mirrored scene, moved back."""
    found: dict[str, dict[str, float]] = {"smaller": {}, "mirrored": {}}
    as_is = segmentation.look(model, which.images, which.labels)
    small = segmentation.look(model, segmentation.smaller(which.images), which.labels)
    mirrored = segmentation.look(model, which.images.flip(3), which.labels)
    for i, kind in enumerate(("alone", "module")):
        reduced = interpolate(as_is[i], small[i].shape[2:], mode="bilinear", antialias=True)
        for way, one, other in (
            ("smaller", reduced, small[i]),
            ("mirrored", as_is[i].flip(3), mirrored[i]),
        ):
            found[way][kind] = segmentation.equivariance_error(one, other, which.labels)
    return found


def covered(truth: Tensor, side: int) -> Tensor:
    """What share of each cell, so many pixels a side, each class covers: (B, 1 + C, h, w)."""
    return avg_pool2d(one_hot(truth, len(NOUNS) + 1).permute(0, 3, 1, 2).double(), side)


def related(maps: Maps, truth: Tensor) -> Tensor:
    """What the cells that are all of one shape look at: (cells, 3), own, other shapes, background.

    A cell that is looked at counts for each class by the share of its pixels.
    """
    B, (h, w) = len(truth), maps.scores.shape[2:]
    shares = covered(truth, SIZE // h).flatten(2).transpose(1, 2)  # (B, S, 1 + C)
    seen = maps.weights.double() @ shares  # (B, S, 1 + C)
    own = (shares * seen).sum(-1)  # where a cell is all of one class
    asked = shares[..., 1:].amax(-1) == 1
    background = seen[..., 0]
    found = torch.stack([own, 1 - own - background, background], -1)
    assert found.shape == (B, h * w, 3)
    return found[asked]


@torch.no_grad()
def relations(model: Segmenter, which: LabelledScenes) -> dict[str, float]:
    """Where the weights of a shape's cells are, in the mean; and where equal weights would be."""
    parts = [
        torch.arange(i, min(i + 50, len(which.labels))) for i in range(0, len(which.labels), 50)
    ]
    found, even = [], []
    for part in parts:
        some = which.some(part)
        maps = model(some.images, some.labels)
        found.append(related(maps, some.truth))
        equal = torch.full_like(maps.weights, 1 / maps.weights.shape[2])
        even.append(related(maps._replace(weights=equal), some.truth))
    names = "own", "other shapes", "background"
    return {
        **dict(zip(names, torch.cat(found).mean(0).tolist())),
        "equal weights": dict(zip(names, torch.cat(even).mean(0).tolist())),
    }


def overlap(
    model: Segmenter, began: Segmenter | None = None, drawn: Callable = pictures
) -> dict[str, dict]:
    """Thresholds from the validation scenes, overlaps on the test scenes, of each kind of map."""
    val, test = drawn("val"), drawn("test")
    tuned = {
        name: segmentation.best_threshold(maps, val.truth)
        for name, maps in looks(model, began, val).items()
    }
    return {
        name: {"threshold": tuned[name], **marks(maps, tuned[name], test.truth)}
        for name, maps in looks(model, began, test).items()
    }


@torch.no_grad()
def compared(model: Segmenter, images: Tensor) -> Tensor:
    """What the module compares, each vector made one long: (N, S, A)."""
    found = [model.features(some, model.encoder(some)) for some in images.split(50)]
    return normalize(torch.cat(found), dim=2)


def reach(weights: Callable, vectors: Tensor, truth: Tensor) -> dict[str, float]:
    """Where the weights of the cells that are all of one shape are: on their shape, and how near.

    ``own``: on cells of the shape, by their share of it; ``near``: of that, what is on the cell
    itself and on those around it; ``even``: what equal weights would have there.
    """
    side = int(vectors.shape[1] ** 0.5)
    places = torch.arange(side * side)
    rows, columns = places // side, places % side
    near = (rows[:, None] - rows).abs().maximum((columns[:, None] - columns).abs()) <= 1
    shares = covered(truth, SIZE // side).flatten(2).transpose(1, 2)  # (N, S, 1 + C)
    found = []
    for some, vs in zip(shares.split(50), vectors.split(50)):
        same = some @ some.transpose(1, 2)  # (N, S, S): where a cell is all of one class
        asked = some[..., 1:].amax(-1) == 1
        a = weights(vs).double()
        sums = (a * same).sum(-1), (a * same * near).sum(-1), same.sum(-1), (same * near).sum(-1)
        found.append(torch.stack(sums, -1)[asked])
    own, beside, all_of_it, around = torch.cat(found).unbind(-1)
    return {
        "own": float(own.mean()),
        "near": float((beside / own).mean()),
        "even": float((around / all_of_it).mean()),
    }


def by_colour(model: Segmenter, drawn: Callable = pictures) -> dict[str, dict]:
    """The overlaps when cells are related in other ways than by the module.

    ``by colour``: by distance, with that of `WIDTHS` that is best on validation scenes;
    ``coloured``: what differs from the rest, named by that; ``cosine``: colours by the module's
    score; ``centred``: the same of colours less the scene's mean; ``by features``: what the module
    compares, by distance. ``widths``: of those by distance the overlaps on the test scenes, a width
    each. ``reach``: whether a cell of a shape listens to its shape, and how near.
    """
    both = drawn("val"), drawn("test")
    maps = [segmentation.look(model, which.images, which.labels)[0] for which in both]
    h, w = maps[0].shape[2:]
    features = [compared(model, which.images) for which in both]
    plain, centred = (
        [segmentation.colours(which.images, h, w, each) for which in both] for each in (False, True)
    )

    def tuned(of_val: Tensor, of_test: Tensor) -> dict:
        val, test = both
        threshold = segmentation.best_threshold(of_val, val.truth)
        found = {"threshold": threshold, **marks(of_test, threshold, test.truth)}
        return found | {"on validation": marks(of_val, threshold, val.truth)["mean"]}

    def averaged(weights: Callable, vectors: list[Tensor]) -> list[Tensor]:
        """Both sets of maps, each averaged by its vectors."""
        return [
            segmentation.normed(
                torch.cat(
                    [
                        segmentation.averaged(weights(some), each)
                        for some, each in zip(v.split(50), alone.split(50))
                    ]
                ),
                which.labels,
            )
            for v, alone, which in zip(vectors, maps, both)
        ]

    def by_cosine(vectors: list[Tensor]) -> dict:
        related = {"reach": reach(segmentation.by_cosine, vectors[1], both[1].truth)}
        return tuned(*averaged(segmentation.by_cosine, vectors)) | related

    def best(vectors: list[Tensor], widths: tuple) -> tuple[dict, list[Tensor]]:
        """With the width that is best on validation scenes; and those maps."""
        at = {width: partial(segmentation.by_distance, width=width) for width in widths}
        tried = {width: averaged(at[width], vectors) for width in widths}
        found = {width: tuned(*each) for width, each in tried.items()}
        width = max(widths, key=lambda each: found[each]["on validation"])
        return found[width] | {
            "width": width,
            "widths": {str(each): found[each]["mean"] for each in widths},
            "reach": {str(each): reach(at[each], vectors[1], both[1].truth) for each in widths},
        }, tried[width]

    colour, revised = best(plain, WIDTHS)
    outlined = [
        segmentation.named_by(each, segmentation.unlike_the_rest(which.images))
        for each, which in zip(revised, both)
    ]
    return {
        "by colour": colour,
        "contrast by colour": tuned(*outlined),
        "cosine": by_cosine(plain),
        "centred": by_cosine(centred),
        "by features": best(features, ONE_LONG)[0],
        "reach of the module": reach(segmentation.by_cosine, features[1], both[1].truth),
    }


def repainted(model: Segmenter, overlaps: dict[str, dict]) -> dict:
    """Overlaps and relations in scenes of several nouns, as drawn and in other colours."""
    found = {}
    for paint in PAINTS:
        which = painted(paint)
        maps = looks(model, None, which)
        found[paint] = {
            name: marks(maps[name], overlaps[name]["threshold"], which.truth)["mean"]
            for name in ("alone", "module")
        } | {"related": relations(model, which)}
    return found


def of_pair(model: Segmenter, overlaps: dict[str, dict]) -> dict:
    """The overlaps of the pair, and of each with the other, in test scenes that have both."""
    test = pictures("test")
    one, other = (NOUNS.index(noun) for noun in PAIR)
    both = test.some((test.labels[:, one] & test.labels[:, other]).nonzero()[:, 0])
    exchanged = both.truth.clone()
    exchanged[both.truth == one + 1], exchanged[both.truth == other + 1] = other + 1, one + 1
    found: dict = {"scenes": len(both.labels)}
    maps = segmentation.look(model, both.images, both.labels)
    for name, these in zip(("alone", "module"), maps):
        for kind, truth in (("right", both.truth), ("exchanged", exchanged)):
            classes = marks(these, overlaps[name]["threshold"], truth)["classes"]
            found.setdefault(name, {})[kind] = {
                noun: classes[NOUNS.index(noun) + 1] for noun in PAIR
            }
    return found


# Rows -----------------------------------------------------------------------------------------


def new(seed: int) -> Segmenter:
    """A network as it begins."""
    torch.manual_seed(seed)
    return Segmenter()


def of_trained(way: str, seed: int, updates: int | None = None) -> dict:
    """Train one way, and ask it everything."""
    model = new(seed)
    segmentation.fit(model, pictures("train"), updates or UPDATES, lr=LR, seed=seed, **WAYS[way])
    if way == "masks":
        return of_taught(model, pictures("test"))
    overlaps = overlap(model, new(seed))
    return {
        "named": named(model, pictures("test")),
        **overlaps,
        "errors": errors(model, pictures("test")),
        "painted": repainted(model, overlaps),
        "pair": of_pair(model, overlaps),
    }


@torch.no_grad()
def of_taught(model: Segmenter, test: LabelledScenes) -> dict:
    """The overlaps of a network that learned from masks; it needs no threshold."""
    scores = torch.cat(
        [model(x, y).scores for x, y in zip(test.images.split(50), test.labels.split(50))]
    )
    scores = scores.masked_fill(~test.labels[:, :, None, None], -1e4)
    return {"alone": marks(scores, 0.0, test.truth), "named": named(model, test)}


def of_together(seed: int) -> dict:
    """Train where two shapes always come together."""
    model = new(seed)
    segmentation.fit(model, together(), UPDATES, lr=LR, seed=seed, **WAYS["equivariant"])
    overlaps = overlap(model)
    return {**overlaps, "pair": of_pair(model, overlaps)}


@cache
def tiles_seen(way: str, seed: int) -> Segmenter:
    """Train one way where colour does not tell the shapes from what is behind them."""
    return segmentation.fit(
        new(seed), before_tiles("train"), TILED_UPDATES, lr=LR, seed=seed, **WAYS[way]
    )


def of_tiled(way: str, seed: int) -> dict:
    """Train one way before tiles, and ask it what overlaps with what."""
    model = tiles_seen(way, seed)
    if way == "masks":
        return of_taught(model, before_tiles("test"))
    return {
        "named": named(model, before_tiles("test")),
        **overlap(model, new(seed), before_tiles),
        **by_colour(model, before_tiles),
    }


def of_shades(way: str, seed: int) -> dict:
    """Ask one of them about scenes before tiles in their own shades."""
    model = tiles_seen(way, seed)
    return {
        "named": named(model, before_shades("test")),
        **overlap(model, None, before_shades),
        **by_colour(model, before_shades),
    }


def of_by_colour(way: str, seed: int) -> dict:
    """Train one way again, and relate cells by colour alone."""
    model = new(seed)
    segmentation.fit(model, pictures("train"), UPDATES, lr=LR, seed=seed, **WAYS[way])
    return by_colour(model)


def of_own_names(way: str, seed: int) -> dict:
    """Train one way again, and let it name what it is to find."""
    model = new(seed)
    segmentation.fit(model, pictures("train"), UPDATES, lr=LR, seed=seed, **WAYS[way])
    val, test = pictures("val"), pictures("test")
    own = test._replace(labels=says(model, test))
    found = {}
    for name, maps in looks(model, None, val).items():
        threshold = segmentation.best_threshold(maps, val.truth)
        found[name] = marks(looks(model, None, own)[name], threshold, test.truth)
    return found


def of_cells() -> dict:
    """The true shares of each cell as maps, with the best threshold."""
    val, test = pictures("val"), pictures("test")
    side = new(0).encoder.stride
    shares, others = (covered(which.truth, side)[:, 1:].float() for which in (test, val))
    threshold = segmentation.best_threshold(others, val.truth)
    return {"threshold": threshold, **marks(shares, threshold, test.truth)}


@cache
def one_trained(seed: int) -> Segmenter:
    """A network that learned from names and from smaller copies."""
    return segmentation.fit(
        new(seed), pictures("train"), UPDATES, lr=LR, seed=seed, **WAYS["equivariant"]
    )


def of_shown(number: int, seed: int) -> dict:
    """What is compared and averaged in one test scene."""
    model, one = one_trained(seed), pictures("test").some(torch.tensor([number]))
    with torch.no_grad():
        maps = model(one.images, one.labels)
        features = model.features(one.images, model.encoder(one.images))[0]
    values = segmentation.only_largest(segmentation.normed(maps.scores, one.labels))[0]
    shares = covered(one.truth, SIZE // values.shape[1])[0]
    named = [c for c in range(len(NOUNS)) if one.labels[0, c]]
    return {
        "grid": list(values.shape[1:]),
        "features": packed(features),
        "maps": {NOUNS[c]: rounded(values[c].flatten().tolist(), 2) for c in named},
        "truth": {NOUNS[c]: rounded(shares[c + 1].flatten().tolist(), 2) for c in named},
        "after": {NOUNS[c]: rounded(maps.revised[0, c + 1].flatten().tolist(), 2) for c in named},
    }


def of_shown_tiled(number: int, seed: int) -> dict:
    """The maps of one test scene before tiles."""
    one = segmentation.tiled(pictures("test").some(torch.tensor([number])), seed=0)
    maps = segmentation.look(tiles_seen("names", seed), one.images, one.labels)[0][0]
    named = [c for c in range(len(NOUNS)) if one.labels[0, c]]
    return {"maps": {NOUNS[c]: rounded(maps[c].flatten().tolist(), 2) for c in named}}


def of_untrained(seed: int) -> dict:
    """The same before it learned anything."""
    model = new(seed)
    return {**overlap(model), "errors": errors(model, pictures("test"))}


def guesses(seed: int) -> dict:
    """What maps without a network are worth, with a name by chance."""
    val, test = pictures("val"), pictures("test")
    found = {}
    for name, shape in (
        ("whole", whole),
        ("disc", disc),
        ("colour", lambda which: segmentation.unlike_the_rest(which.images)),
        ("outlines", outline),
    ):
        of_val, of_test = (by_chance(shape(which), which.labels, seed) for which in (val, test))
        threshold = segmentation.best_threshold(of_val, val.truth)
        found[name] = {"threshold": threshold, **marks(of_test, threshold, test.truth)}
    return found


def by_chance(shape: Tensor, labels: Tensor, seed: int) -> Tensor:
    """Shapes (N, h, w) as the map of one of the classes of each picture, drawn by chance."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(labels.double(), 1, generator=generator)[:, 0]
    return one_hot(drawn, labels.shape[1])[:, :, None, None] * shape[:, None]


def whole(which: LabelledScenes) -> Tensor:
    """All of the picture."""
    return torch.ones(len(which.labels), SIZE, SIZE)


def disc(which: LabelledScenes) -> Tensor:
    """1 in the middle of the picture, falling to 0 at the middle of its sides."""
    places = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
    near = (1 - places[:, None].hypot(places)).clamp(min=0)
    return near.expand(len(which.labels), -1, -1)


def outline(which: LabelledScenes) -> Tensor:
    """The masks, whatever their names."""
    return (which.truth > 0).float()


def main() -> None:
    """Do what is left, and write the file as it goes."""
    options, results = begin(__doc__, RESULTS, {"runs": []})
    runs, few = results["runs"], options.seeds[:3]
    wanted: list = [("guesses", {"seed": seed}, guesses) for seed in few]
    wanted += [("untrained", {"seed": seed}, of_untrained) for seed in range(1, UNTRAINED + 1)]
    for seed in few:
        wanted += [("trained", {"way": way, "seed": seed}, of_trained) for way in WAYS]
    wanted += [("together", {"seed": seed}, of_together) for seed in few]
    more = {"seed": few[0], "updates": 2 * UPDATES}
    wanted += [("longer", {"way": way, **more}, of_trained) for way in ("names", "equivariant")]
    wanted += [("tiled", {"way": way, "seed": seed}, of_tiled) for seed in few for way in WAYS]
    wanted += [("shown tiled", {"number": SHOWN[1], "seed": few[0]}, of_shown_tiled)]
    wanted += [("shades", {"way": "names", "seed": seed}, of_shades) for seed in few]
    wanted += [
        ("by colour", {"way": way, "seed": seed}, of_by_colour)
        for seed in few
        for way in ("names", "equivariant")
    ]
    wanted += [("cells", {}, of_cells)]
    wanted += [
        ("own names", {"way": way, "seed": seed}, of_own_names)
        for seed in few
        for way in ("names", "equivariant")
    ]
    wanted += [("shown", {"number": number, "seed": few[0]}, of_shown) for number in SHOWN]
    for kind, said, measure in wanted:
        if any({"kind": kind, **said}.items() <= run.items() for run in runs):
            continue
        runs.append({"kind": kind, **said, **rounded(measure(**said), 4)})
        record(options.out, COMMAND, {"runs": runs}, one_a_line="runs")
        print(kind, said, str(runs[-1])[:200], flush=True)


if __name__ == "__main__":
    main()
