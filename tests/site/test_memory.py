"""The fading memory in a real browser: its sliders, its numbers, what it says."""

import pytest
from figure_page import faults
from site_map import PHONE

from attnlib.explore import MemoryFigure


@pytest.fixture
def page(draw):
    return draw(MemoryFigure())


def turn(page, label, value):
    slider = page.get_by_label(label)
    slider.evaluate(
        "(node, value) => { node.value = value; node.dispatchEvent(new Event('input')); }", value
    )


def agree(page, figure):
    """The page shows what attnlib computes."""
    left = [float(text) for text in page.locator("td.left").all_text_contents() if text]
    assert left == pytest.approx(figure.traces, abs=0.5001 * 10**-figure.decimals)
    assert page.locator("tr.gone").count() == figure.read - figure.visible


def test_it_is_sound(draw, from_all_sides, serious):
    page = draw(MemoryFigure(), MemoryFigure(kept=1), size=PHONE)
    assert faults(page, from_all_sides(page), serious) == []


def test_its_numbers_are_attnlibs(page):
    agree(page, MemoryFigure())
    turn(page, "decimals", 4)
    agree(page, MemoryFigure(decimals=4))
    turn(page, "share kept", 0.3)
    agree(page, MemoryFigure(decimals=4, kept=0.3))
    turn(page, "words read", 4)
    agree(page, MemoryFigure(decimals=4, kept=0.3, read=4))


def test_it_says_what_is_left(page):
    assert page.locator(".told").text_content() == (
        "With 2 decimals, only the last 8 of 10 words can be seen."
    )
    turn(page, "share kept", 1)
    assert "their order is lost" in page.locator(".told").text_content()
    turn(page, "share kept", 0.9)
    assert page.locator(".told").text_content() == "With 2 decimals, all 10 can be seen."


def test_it_is_moved_by_keys(page):
    page.get_by_label("share kept").press("ArrowRight")
    agree(page, MemoryFigure(kept=0.55))
