"""Arrange a scene: a captioner in the page says what it sees, and whether that is true is told."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import traitlets as tr

from attnlib.data.grammar import Thing
from attnlib.data.scenes import MOST, Scenes, backdrop, draw
from attnlib.explore.figure import FigureError, index, one_of, rounded, text_of
from attnlib.explore.live.figure import LiveFigure
from attnlib.explore.live.stored import captions
from attnlib.explore.rows import plural

STEPS = 128  # to a unit of a colour: what chance draws is stored in whole numbers


class LiveScene(LiveFigure):
    """A scene of which the reader moves, recolours, adds and takes away things.

    The caption is written anew at every change, each word's look is drawn on the scene, and the
    truth checker says what is false. Captions of the scenes as they are given were computed before;
    for any other scene the model is fetched.

    Parameters
    ----------
    scenes : sequence of sequences of Thing
        One to `data.scenes.MOST` shapes each; no digits.
    models : dict
        From a captioner's name among `live.bundle.MODELS` to what the reader sees it called.
    scene : int
        What is chosen first: an index into `scenes`.
    model : str, optional
        The first of the models unless given.
    seed : int
        What decides background, noise and shades, of all scenes.
    word : int
        The word whose look is drawn first.

    Raises
    ------
    FigureError
        (a ValueError) when there is no scene, or one with too many things, or no such model.

    Examples
    --------
    >>> from attnlib.data.scenes import put
    >>> things = [put("a small red ring", 16, 40), put("a large white cross", 46, 20)]
    >>> LiveScene([things], {"scenes-soft": "soft"})
    LiveScene(1 scene, soft: 'a red ring left of a white cross', true)
    """

    module = "live_scene"
    state_names = ("files", "names", "scenes", "chance", "scene", "model")

    names: tr.List[Any] = tr.List(read_only=True).tag(sync=True)
    scenes: tr.List[Any] = tr.List(read_only=True).tag(sync=True)
    chance: tr.Dict = tr.Dict(read_only=True).tag(sync=True)
    scene = tr.Int(0).tag(sync=True)
    model = tr.Unicode().tag(sync=True)

    def __init__(
        self,
        scenes: Sequence[Sequence[Thing]],
        models: Mapping[str, str],
        scene=0,
        model=None,
        seed=0,
        word=0,
    ):
        self.things = [list(things) for things in scenes]
        if not self.things or not models:
            raise FigureError("there must be at least one scene, and at least one model")
        for i, things in enumerate(self.things):
            if not 0 < len(things) <= MOST:
                raise FigureError(f"scenes[{i}] has {len(things)} things, wanted 1 to {MOST}")
        self.set_trait("names", [list(pair) for pair in models.items()])
        pictures = [draw(things, seed)[0] for things in self.things]
        written = {name: captions(name, pictures) for name in models}
        self.set_trait(
            "scenes",
            [
                {
                    "title": " · ".join(_called(thing) for thing in things),
                    "things": [_plain(thing) for thing in things],
                    "captions": {name: written[name][i] for name in models},
                    "word": word,
                }
                for i, things in enumerate(self.things)
            ],
        )
        background, noise, shades = backdrop(seed, MOST)
        whole = np.clip(background * STEPS, 0, 65535).round().astype("<u2")
        self.set_trait(
            "chance",
            {
                "background": text_of(whole.tobytes()),
                "noise": text_of(noise.tobytes()),
                "shades": shades.tolist(),
            },
        )
        super().__init__(
            list(models), scene=scene, model=next(iter(models)) if model is None else model
        )

    @tr.validate("scene")
    def _check_scene(self, proposal):
        return index("scene", proposal.value, len(self.scenes))

    @tr.validate("model")
    def _check_model(self, proposal):
        return one_of("model", proposal.value, [name for name, _ in self.names])

    def verdict(self, scene: int, name: str):
        """Whether a stored caption is true: see `Grammar.check`."""
        return Scenes("test").grammar.check(
            self.scenes[scene]["captions"][name]["text"], self.things[scene]
        )

    def table(self):
        rows = [
            [shown["title"], called, shown["captions"][name]["text"], self._truth(i, name)]
            for i, shown in enumerate(self.scenes)
            for name, called in self.names
        ]
        return "Scenes and their captions", ["scene", "attention", "caption", "true"], rows

    def _truth(self, scene: int, name: str) -> str:
        return "true" if self.verdict(scene, name).true else "false"

    def __repr__(self):
        text = self.scenes[self.scene]["captions"][self.model]["text"]
        called = dict(self.names)[self.model]
        truth = self._truth(self.scene, self.model)
        return f"LiveScene({plural(len(self.scenes), 'scene')}, {called}: {text!r}, {truth})"


def _called(thing: Thing) -> str:
    return " ".join(part for part in (thing.size, thing.texture, thing.colour, thing.noun) if part)


def _plain(thing: Thing) -> dict:
    return {key: rounded(value) for key, value in asdict(thing).items() if key != "image"}
