"""RelatedCells, Python's side: its numbers against loops, and what it refuses."""

import base64
import json
import math
from pathlib import Path

import numpy as np
import pytest

from attnlib.explore import FigureError, RelatedCells
from attnlib.explore.related_cells import packed

ROOT = Path(__file__).parents[1]
RNG = np.random.default_rng(0)
STAR, RING = RNG.uniform(0, 0.5, (2, 6)).round(2).tolist()
PICTURE = {
    "image": RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8),
    "grid": [2, 3],
    "features": RNG.normal(size=(6, 5)).tolist(),
    "maps": {"star": [0, 0.5, 1, 0, 0.25, 0], "ring": [1, 0, 0, 0, 0, 0.5]},
    "truth": {"star": STAR, "ring": RING},
    "title": "a star and a ring",
}


def by_loops(features, cell: int, selection: str) -> list[float]:
    """Rectified cosines over their sum, their softmax, or equal weights."""
    largest = max(abs(x) for row in features for x in row)
    stored = [[round(127 * x / largest) for x in row] for row in features]

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b)) / math.sqrt(
            sum(x * x for x in a) * sum(y * y for y in b)
        )

    found = [cosine(stored[cell], row) for row in stored]
    if selection == "equal":
        found = [1.0] * len(stored)
    elif selection == "softmax":
        found = [math.exp(c) for c in found]
    else:
        found = [max(0.0, c) for c in found]
    return [x / sum(found) for x in found]


@pytest.mark.parametrize("selection", ["rectified", "softmax", "equal"])
def test_weights_shares_and_maps_are_those_of_loops(selection):
    for cell in range(6):
        figure = RelatedCells([PICTURE], cell=cell, name="ring", selection=selection)
        rows = [by_loops(PICTURE["features"], i, selection) for i in range(6)]
        np.testing.assert_allclose(figure.weights(), rows[cell], rtol=0, atol=1e-12)
        star, ring = (
            sum(a * t for a, t in zip(rows[cell], PICTURE["truth"][name]))
            for name in ("star", "ring")
        )
        wanted = {"star": star, "ring": ring, "background": 1 - star - ring}
        assert figure.shares() == pytest.approx(wanted, abs=6e-5)
        before, after = figure.maps()
        assert before.tolist() == PICTURE["maps"]["ring"]
        ours = [sum(a * m for a, m in zip(row, PICTURE["maps"]["ring"])) for row in rows]
        np.testing.assert_allclose(after, ours, rtol=0, atol=1e-12)


def test_a_byte_is_close_enough():
    """Of features as long as those of the chapter no weight moves by more than two thousandths."""
    features = RNG.normal(size=(64, 48))
    kept = np.frombuffer(base64.b64decode(packed(features)), np.int8).reshape(64, 48)

    def weights(rows):
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        alike = np.maximum(unit @ unit.T, 0)
        return alike / alike.sum(1, keepdims=True)

    assert np.abs(weights(features) - weights(kept.astype(float))).max() < 2e-3


def test_of_the_chapter_s_scenes_the_averages_are_those_of_the_network():
    """The figure computes them from bytes, the network has told its own in the results file."""
    runs = json.loads((ROOT / "book/results/segmentation.json").read_text("utf-8"))["runs"]
    shown = [run for run in runs if run["kind"] == "shown"]
    assert len(shown) == 3
    for run in shown:
        picture = {key: run[key] for key in ("grid", "features", "maps", "truth")}
        picture |= {"image": np.zeros((16, 16, 3), np.uint8), "title": "a scene"}
        for name, told in run["after"].items():
            _, ours = RelatedCells([picture], name=name).maps()
            np.testing.assert_allclose(
                ours, told, rtol=0, atol=0.02
            )  # of bytes, and of two decimals


def test_what_a_page_stores_makes_the_same_figure():
    figure = RelatedCells([PICTURE], cell=4, name="ring")
    again = RelatedCells(**{name: getattr(figure, name) for name in figure.state_names})
    assert again.to_html() == figure.to_html() and repr(again) == repr(figure)
    caption, columns, rows = figure.table()
    assert "row 2, column 2" in caption and columns == ["on", "weight", "equal weights"]
    assert [row[0] for row in rows] == ["ring", "star", "background"]
    for column in (1, 2):
        assert sum(float(row[column]) for row in rows) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"features": [[0.0] * 5] * 6}, "a cell whose features are all zero is like no other"),
        ({"features": [[1.0] * 5] * 5}, "features must have 6 entries, got 5"),
        ({"features": base64.b64encode(b"1234567").decode()}, "7 numbers are no features of 6"),
        ({"features": "no base64!"}, "features must be base64"),
        ({"grid": [2, 40]}, "cells a side must be from 1 to 32, got 40"),
        ({"grid": [2, 3, 1]}, "grid must be rows and columns"),
        ({"maps": {}}, "has no map"),
        ({"maps": {"cross": [0] * 6}}, "maps are of cross, truth is of star, ring"),
        ({"truth": {"star": [2] * 6, "ring": [0] * 6}}, "least of truth of star must be from"),
        ({"truth": {"star": [1] * 6, "ring": [1] * 6}}, "cover more than all of it"),
    ],
)
def test_pictures_that_do_not_fit_together_are_refused(wrong, complaint):
    with pytest.raises(FigureError, match=complaint):
        RelatedCells([PICTURE | wrong])


def test_other_choices_are_refused():
    with pytest.raises(FigureError, match="there is no picture"):
        RelatedCells([])
    with pytest.raises(FigureError, match="picture 0 lacks title"):
        RelatedCells([{name: PICTURE[name] for name in PICTURE if name != "title"}])
    for wrong, complaint in (
        ({"cell": 6}, "cell 6 of 6"),
        ({"picture": 1}, "picture 1 of 1"),
        ({"name": "cross"}, "unknown name 'cross': one of ring, star"),
        ({"selection": "hard"}, "unknown selection 'hard'"),
    ):
        with pytest.raises(FigureError, match=complaint):
            RelatedCells([PICTURE], **wrong)
