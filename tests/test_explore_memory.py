"""The figure of a fading memory, Python's side: its numbers, and what is refused."""

import numpy as np
import pytest

from attnlib.explore import FigureError, MemoryFigure


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 1])
def test_traces_are_those_of_the_rule(kept):
    words, h = ["a", "red", "shirt", "here"], np.zeros(4)
    for s in range(3):
        h = kept * h + np.eye(4)[s]
    np.testing.assert_allclose(MemoryFigure(words, kept, read=3).traces, h[:3], rtol=1e-12)


@pytest.mark.parametrize("decimals, visible", [(1, 5), (2, 8), (3, 10), (4, 10)])
def test_what_rounds_to_zero_is_not_seen(decimals, visible):
    figure = MemoryFigure(decimals=decimals)
    assert figure.visible == visible == sum(round(x, decimals) > 0 for x in figure.traces)


def test_who_has_no_script_reads_the_words_with_what_is_left():
    shown = MemoryFigure(["<a>", "red"], decimals=1).to_html().split("</script>")[1]
    assert "&lt;a&gt;" in shown and "<td>0.5</td>" in shown and "<td>1.0</td>" in shown


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"words": ["one"]}, "2 to 16"),
        ({"words": ["a"] * 17}, "2 to 16"),
        ({"kept": 0}, "kept must be from 0.1 to 1"),
        ({"kept": 1.1}, "kept must be from 0.1 to 1"),
        ({"read": 0}, "read must be from 1 to 10"),
        ({"read": 11}, "read must be from 1 to 10"),
        ({"decimals": 5}, "decimals must be from 1 to 4"),
    ],
)
def test_what_cannot_be_drawn_is_refused(wrong, message):
    with pytest.raises(FigureError, match=message):
        MemoryFigure(**wrong)
