"""The scenes that `segmentation` learns from and is asked about: plain, painted, tiled."""

import random
from dataclasses import replace
from functools import cache
from itertools import islice

from attnlib.beyond import segmentation
from attnlib.beyond.segmentation import LabelledScenes
from attnlib.data.scenes import COLOURS, HELD_OUT, draw

COUNTS = {"train": 4000, "val": 150, "test": 300}  # scenes
PAIR = "ring", "star"  # that always come together


@cache
def pictures(split: str) -> LabelledScenes:
    """Scenes of a split."""
    return segmentation.scenes(split, COUNTS[split], nouns=1 if split == "train" else 2)


def together() -> LabelledScenes:
    """As many scenes to learn from, all with both of the pair or with neither."""
    fit = (
        sample
        for sample in segmentation.large("train")
        if len({thing.noun for thing in sample.things} & set(PAIR)) != 1
    )
    return segmentation.labelled(list(islice(fit, COUNTS["train"])))


@cache
def painted(paint: str) -> LabelledScenes:
    """The test scenes, as they are or in other colours, before other backgrounds; same masks."""
    found = []
    for i, sample in enumerate(islice(segmentation.large("test", 2), COUNTS["test"])):
        nouns = {thing.noun for thing in sample.things}
        rng = random.Random(i)
        if paint == "one colour":
            fit = [c for c in COLOURS if not any((c, noun) in HELD_OUT for noun in nouns)]
            colours = [rng.choice(fit)] * len(sample.things)
        elif paint == "a colour each":
            while True:
                colours = rng.sample(list(COLOURS), len(sample.things))
                if not any((c, t.noun) in HELD_OUT for c, t in zip(colours, sample.things)):
                    break
        else:
            colours = [thing.colour for thing in sample.things]
        things = tuple(replace(t, colour=c) for t, c in zip(sample.things, colours))
        image, masks = draw(things, i)
        found.append(replace(sample, image=image, masks=masks, things=things))
    return segmentation.labelled(found)


@cache
def before_tiles(split: str) -> LabelledScenes:
    """Scenes of a split, before tiles."""
    return segmentation.tiled(pictures(split), seed=list(COUNTS).index(split))


@cache
def before_shades(split: str) -> LabelledScenes:
    """Scenes of a split, before tiles in their own shades."""
    return segmentation.tiled(pictures(split), seed=list(COUNTS).index(split), shades=True)
