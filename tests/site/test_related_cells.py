"""RelatedCells in a real browser: its numbers are attnlib's, whichever cell is chosen."""

import re

import numpy as np
import pytest
from figure_page import SHOWN, faults, in_a_notebook, module, number, rows
from site_map import PHONE

from attnlib.explore import RelatedCells

RNG = np.random.default_rng(1)
TRUTH = np.zeros((2, 12))
TRUTH[0, [0, 1, 4]], TRUTH[1, [7, 11]] = (1, 0.75, 0.5), (1, 0.25)
PICTURE = {
    "image": RNG.integers(0, 256, (9, 12, 3), dtype=np.uint8),
    "grid": [3, 4],
    "features": RNG.normal(size=(12, 6)),
    "maps": {name: RNG.uniform(size=12).round(2).tolist() for name in ("star", "ring")},
    "truth": dict(zip(("star", "ring"), TRUTH.tolist())),
    "title": "a star and a ring",
}
SMALL = PICTURE | {
    "grid": [2, 2],
    "features": RNG.normal(size=(4, 6)),
    "maps": {"cross": [0, 1, 0.5, 0]},
    "truth": {"cross": [0, 1, 0, 0]},
    "title": "a cross",
}


@pytest.fixture(scope="module")
def figure():
    return RelatedCells([PICTURE, SMALL], name="star")


def agree(page, figure):
    """What the page says of the chosen cell is what attnlib computes."""
    text = page.locator(".readout").text_content()
    on, share, _, even = re.search(
        r"lies on the (\w+)\. Its weights: (\S+) on the (\w+); equal weights: (\d\.\d+)\.", text
    ).groups()
    shares = figure.shares()
    equal = figure.shares(np.full(len(figure.weights()), 1 / len(figure.weights())))
    found = [number(share), number(even)]
    np.testing.assert_allclose(found, [shares[on], equal[on]], rtol=0, atol=6e-4)
    before, after = (each[figure.cell] for each in figure.maps())
    said = re.search(r"Map of (\w+) here: (\d\.\d+); averaged: (\d\.\d+)\.", text)
    assert said[1] == figure.name
    np.testing.assert_allclose(
        [number(said[2]), number(said[3])], [before, after], rtol=0, atol=6e-4
    )
    table = [[shares[name], equal[name]] for name in shares]
    np.testing.assert_allclose(rows(page), table, **SHOWN)


def test_figure_is_sound(draw, from_all_sides, serious, figure):
    page = draw(figure, RelatedCells([PICTURE], cell=5, selection="softmax"), size=PHONE)
    assert faults(page, from_all_sides(page), serious) == []


def test_figure_follows_its_controls(draw, figure):
    page = draw(figure)
    agree(page, RelatedCells([PICTURE], name="star"))
    for selection, label in (
        ("softmax", "softmax of the cosine"),
        ("equal", "equal weights"),
        ("rectified", "rectified cosine"),
    ):
        page.get_by_role("radio", name=label).check()
        agree(page, RelatedCells([PICTURE], name="star", selection=selection))
    page.get_by_role("radio", name="ring", exact=True).check()
    picture = page.get_by_role("application")
    picture.focus()
    for key, cell in (
        ("ArrowRight", 1),
        ("ArrowDown", 5),
        ("ArrowLeft", 4),
        ("ArrowUp", 0),
        ("ArrowUp", 0),
    ):
        page.keyboard.press(key)
        agree(page, RelatedCells([PICTURE], cell=cell, name="ring"))
    page.get_by_role("radio", name="a cross").check()
    agree(page, RelatedCells([SMALL]))


def test_a_click_in_any_panel_picks_the_cell(draw, figure):
    page = draw(figure)
    for panel in page.locator(".panel svg").all():
        edge = panel.bounding_box()
        for cell in (3, 8, 0):
            panel.click(
                position={
                    "x": (cell % 4 + 0.3) * edge["width"] / 4,
                    "y": (cell // 4 + 0.7) * edge["height"] / 3,
                }
            )
            agree(page, RelatedCells([PICTURE], cell=cell, name="star"))


def test_every_row_of_weights_is_that_of_attnlib(draw, figure):
    page = draw(figure)
    for selection in ("rectified", "softmax", "equal"):
        drawn = page.evaluate(
            "([m, text, selection]) => { const rows = m.directions(text, 12);"
            " return rows.map((_, s) => m.weightsOf(s, rows, selection)); }",
            [module(page, "related_cells"), figure.pictures[0]["features"], selection],
        )
        ours = [RelatedCells([PICTURE], cell=s, selection=selection).weights() for s in range(12)]
        np.testing.assert_allclose(drawn, ours, rtol=0, atol=1e-12)


def test_kernel_may_change_everything_at_once(draw, figure):
    page = draw(figure)
    told = in_a_notebook(
        page,
        figure,
        RelatedCells([PICTURE, SMALL], picture=1, cell=2, selection="equal").state(),
        "el.querySelector('.readout').textContent.includes('row 2, column 1')",
        "el.querySelector('input[value=softmax]').click()",
    )
    assert (told.shown, told.state["selection"], told.saved) == (True, "softmax", 1)
