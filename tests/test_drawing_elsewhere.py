"""Drawings of stories, trees and pointers: what they draw, say in words, and refuse."""

import re

import pytest

from attnlib import drawing


def test_a_hop_ends_at_its_fact():
    sentences = ("a is in b", "c has b", "c is at d")
    canvas = drawing.hops(sentences, "where is a", (0, 1, 2), ("b", "c", "d"))
    heads = [
        [float(number) for number in points.split()[0].split(",")]
        for points in re.findall(r'<polygon points="([^"]+)"', canvas.to_svg())
    ]
    boxes = [10 + 40 * i for i in range(3)]
    assert [
        any(top <= y <= top + 32 for top in boxes[i : i + 1]) for i, (_, y) in enumerate(heads)
    ] == [True] * 3
    assert canvas.alt.index("'a is in b' and knows b") < canvas.alt.index("'c is at d' and knows d")


def test_each_step_of_a_pointer_ends_at_its_thing():
    order = [2, 0, 1]
    svg = drawing.pointers([5, 6, 7], order).to_svg()
    thick = [
        float(points.split()[0].split(",")[0])
        for points in re.findall(r'<polygon points="([^"]+)"', svg)
        if float(points.split()[0].split(",")[1]) < 60
    ]
    assert thick == pytest.approx([440 * (i + 0.5) / 3 for i in order], abs=0.1)


def test_an_arc_for_each_word_but_the_root():
    canvas = drawing.arcs(["a", "b", "c"], [1, -1, 1], ["x", "root", "y"])
    assert canvas.to_svg().count("<polygon") == 3  # two arcs, and the root's arrow
    assert "to a from b, named x, to c from b, named y; b is the root" in canvas.alt


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: drawing.hops(("a b",), "c", (0,), ()), "1 facts need as many words"),
        (lambda: drawing.hops(("a b",), "c", (1,), ("d",)), "among 1 sentences"),
        (lambda: drawing.arcs(["a"], [-1, 0], ["root"]), "as many of each"),
        (lambda: drawing.arcs(["a", "b"], [1, 0], ["x", "y"]), "no word is the root"),
        (lambda: drawing.pointers([1, 2], [2]), "one of 2 things"),
        (lambda: drawing.pointers([1, 2], []), "one of 2 things"),
    ],
)
def test_what_cannot_be_drawn(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
