"""The drawings of self-attention, with other words and sizes than their own."""

import xml.etree.ElementTree as ET

import pytest

from attnlib import drawing

SVG = "{http://www.w3.org/2000/svg}"


def said(canvas):
    """The words of a drawing, without their slants and scripts."""
    root = ET.fromstring(canvas.to_svg())
    return ["".join(text.itertext()).replace("\u200b", "") for text in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("H", [1, 2, 4])
def test_each_head_has_its_weights_and_its_columns(H):
    canvas = drawing.heads(T=3, width=8, H=H)
    texts = said(canvas)
    assert [text for text in texts if text.startswith("head")] == [
        f"head {h + 1}" for h in range(H)
    ]
    cells = len(ET.fromstring(canvas.to_svg()).findall(f"{SVG}rect"))
    whole = 3 * 8  # Q, K and V twice, contexts apart, side by side and mixed; T by T weights a head
    assert cells == (2 * 3 + 3) * whole + H * 3 * 3


def test_what_is_ahead_is_crossed_out():
    words = ["one", "two", "three"]
    canvas = drawing.who_sees_whom(words, [[1, 9, 9], [0.4, 0.6, 9], [0.2, 0.3, 0.5]])
    texts = said(canvas)
    assert "9.00" not in texts
    assert [text for text in texts if "." in text] == [
        "1.00",
        "0.40",
        "0.60",
        "0.20",
        "0.30",
        "0.50",
    ]


def test_the_views_are_the_words_times_the_matrices():
    """So that no number in the picture contradicts another."""
    eye = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    canvas = drawing.query_key_value(
        ["one", "two"],
        [[0, 0, 0, 7], [0, 0, 0, 1]],
        eye,
        eye,
        [[0, 0], [0, 0], [0, 0], [3, 5]],
        [[0.5, 0.5], [0.5, 0.5]],
        [[12, 20], [12, 20]],
    )
    texts = said(canvas)
    assert texts.count("7") == 3 and {"21", "35", "3", "5"} <= set(texts)


def test_looks_are_written_in_hundredths_and_nothing_for_nothing():
    canvas = drawing.looks(["one", "two"], [[0.996, 0.004], [0.25, 0.75]], [(1, 0)])
    assert [text for text in said(canvas) if text.isdigit()] == ["100", "25", "75"]
    assert "largest is 1.00" in canvas.alt and canvas.alt.endswith("two on one 0.25.")


def test_only_the_difference_of_positions_counts():
    angles = [text for text in said(drawing.rotary([(1, 3), (4, 6), (6, 4)])) if "angle" in text]
    assert angles[0] == angles[1] != angles[2]


def test_a_step_adds_one_word_to_the_cache():
    texts = said(drawing.growing_cache(["a", "b", "c"]))
    assert [text for text in texts if "new" in text] == ["1 new", "1 kept, 1 new", "2 kept, 1 new"]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="places in order"):
        drawing.two_ways(["a", "b"], start=1, end=1)
    with pytest.raises(ValueError, match="divisible"):
        drawing.heads(T=3, width=5, H=2)
    with pytest.raises(ValueError, match="room for 12"):
        drawing.looks(["a"] * 13, [[1.0] * 13] * 13, [])
