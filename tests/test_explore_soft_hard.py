"""Soft against hard, Python's side: autograd and attnlib's own selections against loops."""

import json
import re

import numpy as np
import pytest

from attnlib import reference
from attnlib.explore import FigureError, SoftHard, modules
from attnlib.explore.example import uniform
from attnlib.explore.soft_hard import CASES

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ
OWN = {"scores": [0.2, -1.3, 2.0], "values": [1.5, -0.4, 3.0], "target": 0.7}


def problems():
    return [*(SoftHard(case) for case in CASES), SoftHard(**OWN)]


def by_loops(figure, n, baseline):
    """The estimate (S,) from n samples by the formula of the score function, one loop a sum."""
    weights = reference.softmax(figure.scores)
    rewards = [-((v - figure.target) ** 2) / 2 for v in figure.values]
    b = sum(a * r for a, r in zip(weights, rewards)) if baseline else 0.0
    total, counts = np.zeros(len(weights)), np.zeros(len(weights), int)
    for i in range(n):
        chosen = reference.choose(weights, uniform(figure.seed, i))
        counts[chosen] += 1
        for s in range(len(weights)):
            total[s] += (rewards[chosen] - b) * ((chosen == s) - weights[s])
    return total / n, counts


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("baseline", [False, True])
def test_estimate_matches_the_loops(which, baseline):
    figure = problems()[which]
    figure.baseline, figure.seed = baseline, 3
    for n in (1, 2, 50):
        estimate, counts = by_loops(figure, n, baseline)
        np.testing.assert_allclose(figure.estimate(n), estimate, **EXACT)
        assert figure.counts(n) == counts.tolist()
    figure.samples = 50
    assert figure.estimate() == figure.estimate(50) and figure.counts() == figure.counts(50)


@pytest.mark.parametrize("which", range(4))
def test_gradients_match_closed_formulas_and_differences(which):
    figure = problems()[which]
    a, r, v = (np.array(x) for x in (figure.weights, figure.rewards, figure.values))
    c, y = figure.context, figure.target
    np.testing.assert_allclose(a, reference.softmax(figure.scores), **EXACT)
    np.testing.assert_allclose(figure.exact, a * (r - a @ r), **EXACT)
    np.testing.assert_allclose(figure.soft_gradient, a * (v - c) * (y - c), **EXACT)
    assert figure.hard_reward == pytest.approx(a @ r, abs=1e-12)
    assert figure.soft_reward == pytest.approx(-((a @ v - y) ** 2) / 2, abs=1e-12)
    # the average earns more, by half the variance of the values
    gap = (a @ v**2 - (a @ v) ** 2) / 2
    assert figure.soft_reward - figure.hard_reward == pytest.approx(gap, abs=1e-12)

    step = 1e-3  # figures round their scores to 4 decimals
    for s in range(len(a)):
        sides = []
        for sign in (1, -1):
            moved = [e + sign * step * (s == j) for j, e in enumerate(figure.scores)]
            sides.append(SoftHard(scores=moved, values=figure.values, target=y))
        up, down = sides
        slopes = [
            (up.hard_reward - down.hard_reward) / (2 * step),
            (up.soft_reward - down.soft_reward) / (2 * step),
        ]
        # a central difference is off by step² / 6 times a third derivative
        np.testing.assert_allclose(slopes, [figure.exact[s], figure.soft_gradient[s]], atol=1e-5)


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("baseline", [False, True])
def test_variance_is_that_of_many_samples(which, baseline):
    figure = problems()[which]
    figure.baseline = baseline
    a, r = np.array(figure.weights), np.array(figure.rewards)
    b = a @ r if baseline else 0.0
    each = (r - b)[:, None] * (np.eye(len(a)) - a)  # one row a choice
    np.testing.assert_allclose(a @ each, figure.exact, **EXACT)  # unbiased, with either baseline
    want = a @ (each - a @ each) ** 2
    np.testing.assert_allclose(figure.variance(), want, **EXACT)
    np.testing.assert_allclose(figure.variance(baseline), want, **EXACT)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("baseline", [False, True])
def test_estimates_settle_as_fast_as_the_variance_says(case, baseline):
    """The errors of 100 runs of 100 samples have the standard error that is drawn as a band."""
    figure = SoftHard(case, baseline=baseline)
    errors = []
    for seed in range(100):
        figure.seed = seed
        errors.append(np.subtract(figure.estimate(100), figure.exact))
    standard = np.sqrt(np.divide(figure.variance(), 100))
    assert (np.abs(np.mean(errors, 0)) < 4 * standard / 10).all()
    spread = np.std(errors, 0) / standard
    assert (abs(spread - 1) < 4 / np.sqrt(200)).all()  # four standard deviations of a deviation


def test_the_cases_show_what_they_say():
    right, wrong, far = (SoftHard(case) for case in CASES)
    assert np.sign(right.exact).tolist() == np.sign(right.soft_gradient).tolist() == [-1, -1, 1, 1]
    assert right.values[3] == right.target and sorted(right.rewards) == right.rewards

    assert wrong.target not in wrong.values and max(wrong.rewards) == -2
    assert wrong.soft_reward == 0
    np.testing.assert_allclose(wrong.soft_gradient, 0, **EXACT)
    assert np.abs(wrong.exact).min() > 0.2

    assert np.mean(far.rewards) == pytest.approx(-8, abs=0.1)
    ratio = np.divide(far.variance(False), far.variance(True))
    assert ratio.min() > 15 and ratio.max() > 90
    # E[r] is not the best baseline of a single score: here it makes that of k3 noisier
    assert right.variance(True)[3] > right.variance(False)[3]
    assert sum(right.variance(True)) < sum(right.variance(False))


def test_the_table_has_each_number_under_its_name():
    figure = SoftHard("far", samples=50, seed=3, baseline=True)
    caption, columns, rows = figure.table()
    exp = np.exp(np.array(figure.scores) - max(figure.scores))
    weights, values = exp / exp.sum(), np.array(figure.values)
    rewards = -((values - figure.target) ** 2) / 2
    expected, average = weights @ rewards, weights @ values
    want = {
        "": [f"k{s}" for s in range(len(values))],
        "score": figure.scores,
        "weight": weights,
        "drawn": [str(count) for count in figure.counts()],
        "value": values,
        "reward": rewards,
        "gradient of the choice": weights * (rewards - expected),
        "its estimate": figure.estimate(),
        "gradient of the average": weights * (values - average) * (figure.target - average),
    }
    assert list(want) == columns
    for name, column in zip(columns, zip(*rows, strict=True), strict=True):
        for shown, number in zip(column, want[name], strict=True):
            if isinstance(number, str):
                assert shown == number, name
            else:
                assert float(shown) == pytest.approx(number, abs=6e-4), name
    assert "target 4; a choice earns" in caption and f"{expected:.3f} on average" in caption
    assert sum(map(int, want["drawn"])) == 50


def test_case_is_known_by_its_numbers():
    assert [figure.case for figure in problems()] == [*CASES, None]
    figure = SoftHard("far")
    figure.set_state({"target": 3.5})  # as a browser sends it
    assert figure.case is None and repr(figure).startswith("SoftHard(target 3.5, 4 keys, 0")
    figure.set_state({name: CASES["two wrong"][name] for name in ("scores", "values", "target")})
    assert figure.case == "two wrong"


def test_what_the_page_stores():
    figure = SoftHard(**OWN, samples=12, key=2, baseline=True, seed=9)
    page = figure.to_html()
    kept = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1])
    assert kept.pop("cases") == list(CASES.values())
    assert SoftHard(**kept).to_html() == page
    rows = re.findall(r"<tr>(.*?)</tr>", page.partition("<tbody>")[2])
    cells = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row) for row in rows]
    assert [row[0] for row in cells] == ["k0", "k1", "k2"]
    columns = {1: figure.scores, 2: figure.weights, 3: figure.counts(), 4: figure.values}
    columns |= {5: figure.rewards, 6: figure.exact, 7: figure.estimate(), 8: figure.soft_gradient}
    for column, want in columns.items():
        shown = [float(row[column]) for row in cells]
        np.testing.assert_allclose(shown, want, rtol=0, atol=0.0005 + 1e-9)
    assert "none yet" in SoftHard().to_html() and "-0.000" not in SoftHard("two wrong").to_html()
    assert "http" not in modules()["soft_hard"].replace("http://www.w3.org/", "")


def test_numbers_are_those_the_page_keeps():
    figure = SoftHard(scores=[0.12345678, 0], values=[1 / 3, 1], target=2 / 3)
    assert (figure.scores, figure.values, figure.target) == ([0.1235, 0.0], [0.3333, 1.0], 0.6667)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"case": "luck"}, "unknown case 'luck': one of one right, two wrong, far"),
        ({"scores": [1], "values": [1]}, "scores must be those of 2 to 6 keys, got 1"),
        ({"scores": [0] * 7, "values": [0] * 7}, "scores must be those of 2 to 6 keys, got 7"),
        ({"scores": [1, 2, 3]}, "3 scores for 4 values"),
        ({"values": [1, 2, 3]}, "4 scores for 3 values"),
        ({"scores": [1, 2, "x", 3]}, r"scores\[2\] must be a number, got 'x'"),
        ({"scores": [0, 0, 0, 5.1]}, "scores must lie between -5 and 5, got"),
        ({"values": [0, 0, 0, -6]}, "values must lie between -5 and 5, got"),
        ({"target": float("inf")}, "target must be finite, got inf"),
        ({"target": 9}, "target must lie between -5 and 5, got 9"),
        ({"samples": -1}, "samples must be from 0 to 10000, got -1"),
        ({"samples": 10_001}, "samples must be from 0 to 10000, got 10001"),
        ({"key": 4}, "key must be from 0 to 3, got 4"),
        ({"seed": 10_000}, "seed must be from 0 to 9999, got 10000"),
    ],
)
def test_refuses(wrong, message):
    with pytest.raises(FigureError, match=message):
        SoftHard(**wrong)


def test_refuses_later_too():
    figure = SoftHard(samples=5)
    for name, value in {"scores": [1, 2], "values": [1, 2], "target": 6, "key": -1}.items():
        before = getattr(figure, name)
        with pytest.raises(FigureError, match=name):
            setattr(figure, name, value)
        assert getattr(figure, name) == before
    for n in (0, 10_001):
        with pytest.raises(FigureError, match=f"n must be 1 to 10000 samples, got {n}"):
            figure.estimate(n)
    with pytest.raises(FigureError, match="got 0"):
        SoftHard().counts()
