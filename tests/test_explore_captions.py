"""Captions word by word, Python's side: its numbers are those of attnlib.metrics.pointing."""

import base64
import io
import json
import random
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from attnlib import pretrained, storage
from attnlib.data import images
from attnlib.data.grammar import Grammar, Thing
from attnlib.data.scenes import Sample, Scenes
from attnlib.data.tokenizer import SPECIALS
from attnlib.explore import Captioned, CaptionSteps, FigureError, captioned
from attnlib.explore.caption_steps import described, place, runs
from attnlib.metrics import pointing
from attnlib.metrics.pointing import Record
from attnlib.pretrained import CaptionFound, Pretrained
from attnlib.settings import make_captioner

SHOWN = {"abs": 0.00005 + 1e-12}  # four decimals are stored


def items(number=8, sharp=0.05, grid=(8, 8), seed=0):
    """Scenes with one of their true captions and attention by chance, every third one false."""
    scenes, rng = Scenes("test", seed=seed), np.random.default_rng(seed)
    made = []
    for i in range(number):
        sample = scenes.sample(i)
        caption = sample.captions[0]
        weights = rng.dirichlet(np.full(grid[0] * grid[1], sharp), len(caption.words))
        false = i % 3 == 2
        record = Record.of(
            caption.words, caption.things, weights, sample.masks, grid, true=not false
        )
        wrong = ("there is no such thing",) if false else ()
        made.append(Captioned(sample.image, record, wrong, described(sample.things)))
    return made


def stored(figure) -> dict:
    page = figure.to_html()
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1])


def table(figure) -> list[list[str]]:
    body = figure.to_html().partition("<tbody>")[2]
    rows = re.findall(r"<tr>(.*?)</tr>", body)
    return [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row) for row in rows]


def test_numbers_are_those_of_pointing():
    made = items(20)
    figure = CaptionSteps(made)
    for scene, item in enumerate(made):
        figure.scene, record = scene, item.record
        uniform = pointing.uniform(record)
        columns = {
            "hit": pointing.hits(record),
            "inside": pointing.inside(record),
            "uniform_hit": pointing.hits(uniform),
            "uniform_inside": pointing.inside(uniform),
        }
        for t, row in enumerate(record.weights):
            numbers = figure.numbers(t)
            assert numbers["things"] == sorted(record.things[t])
            assert numbers["most"] == [row.argmax()]
            assert numbers["largest"] == pytest.approx(row.max(), abs=0.0005 + 1e-12)
            for name, want in columns.items():
                assert numbers[name] == (
                    None if want[t] is None else pytest.approx(want[t], **SHOWN)
                )
        means = figure.means()
        assert means["hit"] == pytest.approx(pointing.pointing_game([record]).value, abs=1e-4)
        assert means["inside"] == pytest.approx(pointing.mass_inside([record]).value, abs=1e-4)


def test_a_page_holds_the_picture_masks_and_weights():
    made = items(3)
    figure = CaptionSteps(made, scene=1, word=2, view="thing")
    kept = stored(figure)
    assert (kept["scene"], kept["word"], kept["view"]) == (1, 2, "thing")
    for scene, item in zip(kept["scenes"], made, strict=True):
        record = item.record
        kind, data = scene["image"].split(",")
        assert kind == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            np.testing.assert_array_equal(np.asarray(picture), item.image)
        H, W = scene["size"]
        for lengths, mask in zip(scene["masks"], record.masks, strict=True):
            again = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
            np.testing.assert_array_equal(again.reshape(H, W), mask)
        on = pointing.cells_on(record.masks, record.grid).reshape(len(record.masks), -1)
        assert scene["on"] == [np.flatnonzero(row).tolist() for row in on]
        thousandths = np.array(scene["weights"])
        np.testing.assert_allclose(thousandths / 1000, record.weights, rtol=0, atol=0.0005 + 1e-12)
        assert (scene["words"], scene["grid"]) == (list(record.words), list(record.grid))
        assert (scene["true"], scene["wrong"]) == (record.true, list(item.wrong))


def test_a_page_of_eight_scenes_is_small():
    made = items(8, sharp=100)  # every weight is above zero
    assert min(item.record.weights.min() for item in made) > 0.0005
    assert len(CaptionSteps(made).to_html()) < 150_000


def test_the_table_can_be_read():
    made = items(3)
    figure = CaptionSteps(made, scene=2)
    record = made[2].record
    hits, inside = pointing.hits(record), pointing.inside(record)
    rows = table(figure)
    assert [row[0] for row in rows] == list(record.words)
    for t, row in enumerate(rows):
        cell = int(record.weights[t].argmax())
        assert row[1:3] == [
            str(len(record.things[t])),
            f"row {cell // 8 + 1}, column {cell % 8 + 1}",
        ]
        assert float(row[3]) == pytest.approx(record.weights[t].max(), abs=0.0005 + 1e-9)
        for shown, want in zip(row[4:6], (hits[t], inside[t]), strict=True):
            if want is None:
                assert shown == "names nothing"
            else:
                assert float(shown) == pytest.approx(want, abs=0.00055)
    page = figure.to_html()
    assert f"{' '.join(record.words)}: false; there is no such thing" in page
    assert made[2].title in page


def test_cells_that_share_the_most_share_the_mark():
    masks = np.zeros((1, 2, 4), bool)
    masks[0, :, :1] = True
    weights = [[0.4, 0.4, 0.1, 0.1], [0.25] * 4, [0.0] * 4]
    record = Record.of(["dot", "dots", "of"], [{0}, {0}, ()], weights, masks, (1, 4))
    figure = CaptionSteps([Captioned(np.zeros((2, 4, 3), np.uint8), record)])
    assert [figure.numbers(t)["most"] for t in range(3)] == [[0, 1], [0, 1, 2, 3], []]
    assert (
        [figure.numbers(t)["hit"] for t in range(3)] == pointing.hits(record) == [0.5, 0.25, None]
    )
    assert figure.numbers(2)["largest"] == 0
    assert figure.means()["hit"] == 0.375
    assert [row[2] for row in table(figure)][2] == "none"
    assert repr(figure) == "CaptionSteps(1 picture, 'dot dots of', not checked)"
    nothing = CaptionSteps([Captioned(np.zeros((2, 4, 3), np.uint8), record.only([False] * 3))])
    assert nothing.means() == {"hit": None, "inside": None}


def test_small_helpers():
    assert runs(np.ones((2, 2), bool)) == [0, 4] and runs(np.zeros((2, 2), bool)) == [4]
    assert [place(cell, (2, 3)) for cell in (0, 3, 5)] == [
        "row 1, column 1",
        "row 2, column 1",
        "row 2, column 3",
    ]


# --- from a model


class Scripted(Pretrained):
    """A captioner that says what it is told to."""

    grid = (8, 8)

    def caption(self, pictures, beam=5):
        self.model["beam"] = beam
        return [self.model["says"](i) for i in range(len(pictures))]


def found(text, seed=0):
    tokens = [f"▁{word}" for word in text.split()]
    weights = np.random.default_rng(seed).dirichlet(np.full(64, 0.1), len(tokens))
    return CaptionFound(text, tokens, weights, -1.0)


def test_captioned_links_true_captions_and_the_nearly_true():
    grammar = Grammar({"ring": "rings", "star": "stars"}, colours=("red", "blue"), margin=8)
    things = (Thing("ring", 10, 30, 6, "red"), Thing("star", 50, 30, 6, "blue"))
    masks = np.zeros((2, 64, 64), bool)
    masks[0, 24:36, 4:16] = masks[1, 24:36, 44:56] = True
    captions = tuple(grammar.captions(things, random.Random(0)))
    sample = Sample(np.zeros((64, 64, 3), np.uint8), masks, things, captions)
    said = [
        "a red ring left of a blue star",  # true
        "a blue ring left of a blue star",  # one word off
        "two blue rings",  # none knows what it means
    ]
    scripted = Scripted("scripted", {"says": lambda i: found(said[i], i)}, None, {})
    made = captioned(scripted, [sample] * 3, grammar, beam=2)
    assert scripted.model["beam"] == 2
    ring, star, none = frozenset({0}), frozenset({1}), frozenset()
    named = (none, ring, ring, none, none, none, star, star)
    assert [item.record.things for item in made] == [named, named, (none,) * 3]
    assert [item.record.true for item in made] == [True, False, False]
    assert [bool(item.wrong) for item in made] == [False, True, True]
    assert made[1].wrong == grammar.check(said[1], things).wrong
    assert {item.title for item in made} == {"Red ring, blue star"}
    for i, item in enumerate(made):
        np.testing.assert_array_equal(item.record.weights, found(said[i], i).weights)
        assert item.record.masks is masks or (item.record.masks == masks).all()
    figure = CaptionSteps(made, scene=2)
    assert figure.numbers(1)["hit"] is None and "blue ring" in figure.to_html()


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """A captioner as it is before training, saved and read again."""
    tokenizer = images.tokenizer(Scenes("train").grammar.words)
    arguments = {"vocab_size": len(tokenizer), "width": 8, "hidden": 8, "annotation_dim": 8}
    arguments["size"] = 64
    folder = tmp_path_factory.mktemp("models") / "untrained"
    card = {"name": "untrained", "languages": ["en"], "pictures": "scenes", "model": arguments}
    card["architecture"] = "captioner"
    torch.manual_seed(0)
    storage.save(folder, make_captioner(**arguments), tokenizer, card)
    return pretrained.read(folder)


def test_captioned_by_a_model(untrained):
    scenes = Scenes("test")
    samples = [scenes.sample(i) for i in range(2)]
    made = captioned(untrained, samples, scenes.grammar, beam=1)
    for item, sample, said in zip(
        made, samples, untrained.caption([s.image for s in samples], 1), strict=True
    ):
        assert item.image is sample.image and " ".join(item.record.words) == said.text
        known = [token not in SPECIALS for token in said.tokens]
        np.testing.assert_allclose(item.record.weights, said.weights[known], rtol=0, atol=1e-12)
        assert item.record.grid == untrained.grid
        assert item.wrong == scenes.grammar.check(said.text, sample.things).wrong


# --- what it refuses


def test_refuses_what_does_not_fit():
    good = items(1)[0]
    bad = {
        "at least one": [],
        r"items\[1\] must be Captioned, got dict": [good, {}],
        r"items\[0\]: the image must be uint8 of shape \(64, 64, 3\)": [
            replace(good, image=good.image / 255)
        ],
        r"got uint8 of \(64, 32, 3\)": [replace(good, image=good.image[:, :32])],
        "has no words": [
            replace(good, record=Record.of([], [], np.zeros((0, 64)), good.record.masks, (8, 8)))
        ],
        "'so' is wrong of a caption that is not false": [replace(good, wrong=("so",))],
    }
    for message, given in bad.items():
        with pytest.raises(FigureError, match=message):
            CaptionSteps(given)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"scene": 2}, "scene 2 of 2, from 0"),
        ({"scene": -1}, "scene -1 of 2"),
        ({"word": 99}, "word 99 of"),
        ({"word": -1}, "word -1 of"),
        ({"view": "mask"}, "unknown view 'mask': one of weights, thing, picture"),
    ],
)
def test_refuses_what_is_not_there(wrong, message):
    with pytest.raises(FigureError, match=message):
        CaptionSteps(items(2), **wrong)
    figure = CaptionSteps(items(2))
    ((name, value),) = wrong.items()
    with pytest.raises(FigureError, match=message):
        setattr(figure, name, value)
    assert getattr(figure, name) == getattr(CaptionSteps(items(2)), name)
    with pytest.raises(Exception, match="read-only"):
        figure.scenes = []
