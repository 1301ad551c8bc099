"""On a phone what changes stays in sight of what is pressed."""

import pytest
from site_map import PHONE

# Chapter, figure, the control at the far end, what answers to it, and on which side of it.
PAIRS = {
    "dials": ("04_luong", "five_dials", ".dials .pill >> nth=-1", ".map .heatmap", "above"),
    "soft or hard": (
        "06_soft_hard",
        "soft_hard",
        ".columns tbody tr >> nth=3",
        ".picture",
        "above",
    ),
    "heads": ("09_transformer", "heads", ".thumb >> nth=-1", ".heatmap .words-down", "below"),
    "heads off": ("09_transformer", "live_heads", ".head >> nth=-1", "dl", "above"),
    "weights moved": (
        "03_bahdanau",
        "live_attention",
        ".source button >> nth=-1",
        ".words",
        "above",
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_cause_and_effect_are_on_one_screen(open_page, pair):
    chapter, figure, cause, effect, side = PAIRS[pair]
    page = open_page(f"book/{chapter}.html", PHONE)
    whole = page.locator(f'attn-fig[data-module="{figure}"]').first
    pressed, answered = whole.locator(cause), whole.locator(effect).first
    page.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
    room = PHONE[1] - 120 if side == "above" else 150
    pressed.evaluate("(each, room) => scrollBy(0, each.getBoundingClientRect().top - room)", room)
    page.wait_for_timeout(300)
    bar = page.locator(".bd-header-article").bounding_box()
    box, at = answered.bounding_box(), pressed.bounding_box()
    seen = 120  # pixels of what answers
    if side == "above":
        assert box["y"] >= max(0, bar["y"] + bar["height"]) - 1, "it lies under the page's bar"
        assert box["y"] + min(box["height"], seen) <= at["y"]
    else:
        assert at["y"] < box["y"] and box["y"] + seen <= PHONE[1]
