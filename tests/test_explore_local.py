"""Local windows as a figure, Python's side: eq. 10 against the loops, and what is refused."""

import json
import re

import numpy as np
import pytest
import torch

from attnlib import reference
from attnlib.explore import FigureError, LocalWindows
from attnlib.explore.local_windows import GOLD, NAMES, SCORES, SOURCE, STEP

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ
WINDOWS = tuple(NAMES)
S = len(SOURCE)


def loops(window, centre, reach, scores=SCORES):
    """The oracle's weights, with keys that are their own scores."""
    scores = np.array(scores)
    if window == "everywhere":
        return reference.softmax(scores)
    if window == "monotonic":
        centre = reference.local_m(int(np.floor(centre + 0.5)), len(scores))
    keys = scores[:, None]
    return reference.attend_locally(
        reference.dot_score, np.ones(1), keys, keys, centre, reach, window == "predictive"
    )[1]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("reach", [1, 2, 3, S])
def test_weights_match_the_loops(window, reach):
    figure = LocalWindows(window=window, reach=reach)
    for centre in (0, 0.4, 0.5, 2.5, 6, 7.9, 9, 9.5, 10):
        figure.centre = centre
        want = loops(window, centre, reach)
        np.testing.assert_allclose(figure.weights, want, **EXACT)
        inside = np.array(figure.allowed)
        assert (want[~inside] == 0).all() and (want[inside] > 0).all()
        assert figure.compared == inside.sum()
        assert figure.total == pytest.approx(want.sum(), abs=1e-12)
        factor = np.ones(S) if figure.factor is None else figure.factor
        np.testing.assert_allclose(figure.window_weights * np.array(factor), want, **EXACT)
        np.testing.assert_allclose(figure.global_weights, loops("everywhere", 0, 1), **EXACT)


def test_three_words_by_hand():
    """Scores ln 1, ln 2, ln 3; D = 2, so sigma = 1; p_t = 0, on the first word."""
    figure = LocalWindows(["a", "b", "c"], np.log([1, 2, 3]), gold=1, centre=0, reach=2)
    assert figure.window_weights == pytest.approx([1 / 6, 2 / 6, 3 / 6])
    assert figure.factor == pytest.approx([1, np.exp(-0.5), np.exp(-2)])
    assert figure.weights == pytest.approx([0.166667, 0.202177, 0.067668], abs=1e-6)
    assert figure.pull == pytest.approx(1.0)  # 4 (1 - 0) / 2^2
    figure.reach = 1
    assert figure.allowed == [True, True, False]
    assert figure.weights == pytest.approx([1 / 3, np.exp(-2) * 2 / 3, 0])
    assert figure.pull == pytest.approx(4.0)


@pytest.mark.parametrize("reach", [1, 2, 5, S])
def test_the_pull_is_that_of_eq_10(reach):
    """By autograd, by the formula, and by differences."""
    figure = LocalWindows(reach=reach)
    for centre in np.linspace(0.05, 9.95, 12):
        figure.centre = centre
        if abs(GOLD - centre) > reach:
            assert figure.pull is None and figure.weights[GOLD] == 0
            continue
        assert figure.pull == pytest.approx(4 * (GOLD - centre) / reach**2, abs=1e-12)
        if reach == S:  # no key enters or leaves while the centre moves
            low, high = (loops("predictive", centre + by, reach)[GOLD] for by in (-1e-5, 1e-5))
            assert figure.pull == pytest.approx(np.log(high / low) / 2e-5, abs=1e-7)
    figure.centre = GOLD
    assert figure.pull == 0
    for window in ("everywhere", "monotonic"):
        figure.window = window
        assert figure.pull is None


def test_at_the_edges_the_window_is_cut_off_and_not_moved():
    figure = LocalWindows(centre=0, reach=2)
    assert figure.compared == 3  # 0, 1, 2: two keys of five are not there
    figure.centre = S  # one place behind the last word
    assert figure.compared == 2
    figure.window = "monotonic"
    assert figure.position == S - 1  # local-m waits at the last key
    assert figure.compared == 3


def test_the_example_makes_its_point():
    """The noun is two words further on than local-m stands; a wider window, or local-p, sees it."""
    right = {window: LocalWindows(window=window, reach=1).weights for window in WINDOWS}
    assert np.argmax(right["everywhere"]) == GOLD and right["everywhere"][GOLD] > 0.5
    assert right["monotonic"][GOLD] == 0 and SOURCE[np.argmax(right["monotonic"])] == "cotton"
    assert LocalWindows(window="monotonic", reach=2).weights[GOLD] > 0.5
    figure = LocalWindows()
    assert (figure.window, figure.centre, figure.word) == ("predictive", STEP, "chemise")
    assert figure.pull > 0 and figure.total < 0.5
    figure.centre = GOLD
    assert figure.weights[GOLD] > 0.5


def test_local_m_stands_on_a_word():
    figure = LocalWindows(window="monotonic", centre=3.4)
    assert (figure.position, figure.centre) == (3, 3.4)  # local-p finds its place again
    for centre, position in ((2.5, 3), (3.5, 4), (9.5, 9), (10, 9)):
        figure.centre = centre
        assert figure.position == position
    figure.window = "everywhere"
    assert figure.position is None


def test_a_figure_draws_no_random_numbers():
    torch.manual_seed(0)
    want = torch.rand(3)
    torch.manual_seed(0)
    figure = LocalWindows()
    assert figure.weights and figure.pull and figure.table()
    assert torch.equal(torch.rand(3), want)


def test_the_browser_may_turn_what_can_be_turned():
    figure = LocalWindows()
    figure.set_state({"window": "monotonic", "centre": 3, "reach": 1})  # as a browser sends it
    assert repr(figure).startswith("LocalWindows(local-m, p_t = 3, D = 1: 3 of 10 keys")
    with pytest.raises(FigureError, match="centre must be from 0 to 10, got 11"):
        figure.centre = 11.0
    with pytest.raises(FigureError, match="reach must be from 1 to 10, got 11"):
        figure.reach = 11
    assert (figure.centre, figure.reach) == (3, 1)


def test_state_survives_the_page():
    figure = LocalWindows(["x", "<b>"], torch.tensor([0.25, 1.0]), np.int64(1), centre=1.5, reach=1)
    page = figure.to_html()
    assert figure.word == "" and "<b>" not in page
    state = json.loads(re.search(r"json\">(.*?)</script>", page, re.S)[1])
    assert LocalWindows(**state).to_html() == page
    assert LocalWindows(["x", "y"], [0, 1], 0).centre == 1.0  # S / 2


def test_table_has_every_number():
    caption, columns, rows = LocalWindows().table()
    assert "local-p, p_t = 6.0, D = 2" in caption
    assert len(rows) == S and {len(row) for row in rows} == {len(columns)}
    assert rows[GOLD] == ["8 shirt", "3.400", "0.593", "0.671", "0.135", "0.091"]
    assert LocalWindows(window="everywhere").table()[2][GOLD][-2:] == ["1.000", "0.593"]


TWO = {"source": ["a", "b"], "scores": [0, 1], "gold": 1}


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"window": "causal"}, "unknown window 'causal': one of everywhere, monotonic, predictive"),
        ({"reach": 0}, "reach must be from 1 to 10, got 0"),
        ({"reach": 11}, "reach must be from 1 to 10, got 11"),
        ({"reach": 1.5}, "reach must be a whole number, got 1.5"),
        ({"centre": -0.1}, "centre must be from 0 to 10, got -0.1"),
        ({"centre": 10.1}, "centre must be from 0 to 10, got 10.1"),
        ({"centre": float("nan")}, "centre must be finite, got nan"),
        ({**TWO, "centre": 3, "reach": 1}, "centre must be from 0 to 2, got 3"),
        ({**TWO, "reach": 3}, "reach must be from 1 to 2, got 3"),
        ({"source": ["a", "b"]}, "go together: no scores and no gold"),
        ({"gold": 1, "scores": [0, 1]}, "go together: no source"),
        ({**TWO, "source": "ab"}, "must be a list of words, got the string 'ab'"),
        ({**TWO, "source": ["a"]}, "source must have 2 to 24 words, got 1"),
        ({**TWO, "source": ["a"] * 25}, "source must have 2 to 24 words, got 25"),
        ({**TWO, "scores": [0, 1, 2]}, r"2 words need as many scores, got \[0, 1, 2\]"),
        ({**TWO, "scores": 5}, "2 words need as many scores, got 5"),
        ({**TWO, "scores": [0, float("inf")]}, r"scores\[1\] must be finite, got inf"),
        ({**TWO, "scores": [0, "x"]}, r"scores\[1\] must be a number, got 'x'"),
        ({**TWO, "gold": 2}, "gold must be from 0 to 1, got 2"),
        ({**TWO, "gold": -1}, "gold must be from 0 to 1, got -1"),
        ({**TWO, "gold": 0.5}, "gold must be a whole number, got 0.5"),
    ],
)
def test_local_windows_refuse(wrong, message):
    with pytest.raises(FigureError, match=message):
        LocalWindows(**wrong)
    with pytest.raises(ValueError):
        LocalWindows(**wrong)
