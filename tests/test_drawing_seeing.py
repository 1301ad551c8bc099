"""Drawings of pictures and of cells: what they draw, say in words, and refuse."""

import re

import numpy as np
import pytest

from attnlib import drawing


def test_the_halved_map_is_the_mean_of_four_cells_each():
    large = np.arange(16).reshape(4, 4) / 16
    svg = drawing.views(large, [[0.1, 0.2], [0.3, 0.4]]).to_svg()
    shades = [float(s) for s in re.findall(r'fill-opacity="([\d.]+)"', svg)]
    found = drawing.Canvas(440, 100, "a matrix of four numbers").matrix(
        330, 50, large.reshape(2, 2, 2, 2).mean((1, 3)).tolist(), role="value", cell=24
    )
    wanted = [float(s) for s in re.findall(r'fill-opacity="([\d.]+)"', found.to_svg())]
    assert len(wanted) == 4 and any(shades[i : i + 4] == wanted for i in range(len(shades)))


def test_the_small_map_must_be_half_the_large_one():
    with pytest.raises(ValueError, match=r"must be half the large one, got \(3, 3\) of \(4, 4\)"):
        drawing.views(np.zeros((4, 4)), np.zeros((3, 3)))


def test_the_thing_that_answers_is_shaded():
    canvas = drawing.patches(("white", "green", "red", "blue"), "green")
    assert "four things, white, green, red, blue" in canvas.alt and canvas.alt.endswith("green.")
    shaded = re.findall(
        r'<circle cx="([\d.]+)" cy="([\d.]+)"[^>]*fill-opacity="0.3"', canvas.to_svg()
    )
    assert len(shaded) == 1 and float(shaded[0][0]) > 74 and float(shaded[0][1]) < 128


def test_a_picture_has_four_quarters():
    with pytest.raises(ValueError, match="a thing for each quarter is needed, got 3"):
        drawing.patches(("white", "red", "blue"))
