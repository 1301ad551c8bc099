"""Soft against hard in a real browser: drawn by hand, its numbers are attnlib's."""

import re

import numpy as np
import pytest
from figure_page import CELLS, SHOWN, faults, in_a_notebook, module, number
from site_map import PHONE

from attnlib.explore import SoftHard
from attnlib.explore.soft_hard import CASES

OWN = {"scores": [0.2, -1.3, 2.0], "values": [1.5, -0.4, 3.0], "target": 0.7}


def numbers(texts) -> list[float]:
    return [number(text) for text in texts]


def compare(page, figure):
    """Every number that the page shows against attnlib's."""

    def shows(selector, *want):
        shown = numbers(page.locator(selector).all_text_contents())
        np.testing.assert_allclose(shown, want, err_msg=selector, **SHOWN)

    key, n = figure.key, figure.samples
    counts = figure.counts() if n else [0] * len(figure.scores)
    shows(".columns tr .weight .number", *figure.weights)
    shows(".columns tr .drawn .number", *counts)
    shows("td.by-choice", *figure.exact)
    shows("td.by-average", *figure.soft_gradient)
    shows("dd.soft-reward", figure.soft_reward)
    shows("dd.hard-reward", figure.hard_reward)
    shows("dd.exact", figure.exact[key])
    shows("dd.own", figure.soft_gradient[key])
    off, on = figure.variance(False), figure.variance(True)
    shows("dd.without", off[key])
    shows("dd.with", on[key])
    for selector, want in ("dd.ratio", off[key] / on[key]), ("dd.overall", sum(off) / sum(on)):
        assert number(page.locator(selector).text_content()) == pytest.approx(want, abs=0.0501)
    errors = np.sqrt(np.divide(figure.variance(), n)) if n else None
    if n:
        shows("dd.estimate", figure.estimate()[key])
        shows("dd.error", errors[key])
    else:
        assert page.locator("dd.estimate").text_content() == "none yet"
        assert page.locator("dd.error").text_content() == "none yet"
    assert page.locator(".draws .count").text_content() == f"{n} sample{'s' * (n != 1)}"
    chosen = page.locator('input[name$="-key"]:checked')
    assert chosen.get_attribute("value") == str(key)
    name = CASES[figure.case]["name"] if figure.case else "Your own numbers"
    menu = page.get_by_label("The little problem")
    assert menu.evaluate("menu => menu.selectedOptions[0].textContent") == name

    table = page.locator(".data tbody tr").evaluate_all(CELLS)
    columns = [figure.scores, figure.weights, counts, figure.values, figure.rewards, figure.exact]
    columns += [figure.estimate(), errors] if n else [None, None]
    columns.append(figure.soft_gradient)
    for want, shown in zip(columns, zip(*table, strict=True), strict=True):
        if want is None:
            assert set(shown) == {"none yet"}
        else:
            np.testing.assert_allclose(numbers(shown), want, **SHOWN)


def test_figure_is_sound(draw, from_all_sides, serious):
    figures = [SoftHard(samples=100, baseline=True), SoftHard("far"), SoftHard(**OWN, samples=1)]
    page = draw(*figures, size=PHONE)
    assert faults(page, from_all_sides(page), serious) == []


@pytest.mark.parametrize("seed", [0, 17])
@pytest.mark.parametrize("which", [*CASES, "own"])
def test_module_computes_what_attnlib_computes(draw, which, seed):
    figure = SoftHard(**OWN, seed=seed) if which == "own" else SoftHard(which, seed=seed)
    S, stops = len(figure.scores), (1, 2, 3, 10, 100, 300)
    page = draw(figure)
    got = page.evaluate(
        """([m, { scores, values, target, seed }, stops]) => {
            const given = m.problem(scores, values, target);
            const chosen = m.sample(given.weights, seed, stops.at(-1));
            const keys = scores.map((_, s) => s);
            const both = [0, given.hardReward];
            return {
                given: JSON.parse(JSON.stringify(given)),
                counts: stops.map((n) => m.count(chosen.slice(0, n), keys.length)),
                variance: both.map((b) => keys.map((s) => m.variance(given, s, b))),
                running: both.map((b) => keys.map((s) => {
                    const after = m.running(given, chosen, s, b);
                    return stops.map((n) => after[n - 1]);
                })),
            };
        }""",
        [module(page, "soft_hard"), figure.state(), stops],
    )
    close = {"rtol": 0, "atol": 1e-12}
    for theirs, ours in (
        ("weights", "weights"),
        ("rewards", "rewards"),
        ("context", "context"),
        ("softReward", "soft_reward"),
        ("hardReward", "hard_reward"),
        ("exact", "exact"),
        ("softGradient", "soft_gradient"),
    ):
        np.testing.assert_allclose(got["given"][theirs], getattr(figure, ours), **close)
    assert got["counts"] == [figure.counts(n) for n in stops]
    for on in (False, True):
        figure.baseline = on
        np.testing.assert_allclose(got["variance"][on], figure.variance(), **close)
        want = np.array([figure.estimate(n) for n in stops]).T
        assert want.shape == (S, len(stops))
        np.testing.assert_allclose(got["running"][on], want, **close)


def test_figure_follows_its_controls(draw):
    figure = SoftHard()
    page = draw(figure)
    compare(page, figure)
    for button, samples in (("1", 1), ("1", 2), ("10", 12), ("100", 112), ("1000", 1112)):
        page.get_by_role("button", name=f"Draw {button}", exact=True).click()
        figure.samples = samples
        compare(page, figure)
    page.get_by_label("on, b = E[r]").check()
    figure.baseline = True
    compare(page, figure)
    for case in ("far", "two wrong"):  # on the same draws
        page.get_by_label("The little problem").select_option(label=CASES[case]["name"])
        figure = SoftHard(case, samples=1112, baseline=True)
        compare(page, figure)
        assert page.locator(".note").text_content() == CASES[case]["note"]
    page.get_by_label("k2", exact=True).check()
    figure.key = 2
    compare(page, figure)
    page.get_by_role("slider", name="its score e").fill("-1.5")
    figure.scores = [1.0, 1.0, -1.5, 0.0]
    compare(page, figure)
    page.get_by_role("slider", name="target y").fill("0.4")
    figure.target = 0.4
    compare(page, figure)
    page.get_by_role("button", name="Start again").click()
    figure.samples, figure.seed = 0, 1  # other draws
    compare(page, figure)
    page.get_by_role("button", name="Draw 10", exact=True).click()
    figure.samples = 10
    compare(page, figure)


def test_figure_follows_the_keyboard(draw):
    figure = SoftHard("two wrong", seed=4)
    page = draw(figure)
    button = page.get_by_role("button", name="Draw 10", exact=True)
    button.focus()
    button.press("Enter")
    button.press("Space")
    figure.samples = 20
    page.get_by_role("radio", name="k0").focus()
    page.keyboard.press("ArrowRight")
    figure.key = 1
    assert page.get_by_role("radio", name="k1").evaluate("e => e === document.activeElement")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")  # the slider of its score
    figure.scores = [1.0, 0.9, 0.0, 0.0]
    compare(page, figure)
    told = f"20 samples, baseline off. Score of k1: estimate {figure.estimate()[1]:.3f}, "
    page.wait_for_function(
        "text => document.querySelector('[aria-live]').textContent.startsWith(text)",
        arg=told.replace("-", "−"),
    )


def test_there_is_an_end_to_samples(draw):
    figure = SoftHard(samples=9990)
    page = draw(figure)
    page.get_by_role("button", name="Draw 100", exact=True).click()
    figure.samples = 10_000
    compare(page, figure)
    for n in (1, 10, 100, 1000):
        assert page.get_by_role("button", name=f"Draw {n}", exact=True).is_disabled()
    page.get_by_role("button", name="Start again").click()
    assert page.get_by_role("button", name="Draw 1", exact=True).is_enabled()


def points(page, selector) -> np.ndarray:
    """The corners of a path (n, 2), in the drawing's own pixels."""
    path = page.locator(f".picture {selector}").first.get_attribute("d")
    return np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", path), dtype=float)


@pytest.mark.parametrize("baseline", [False, True])
def test_chart_shows_estimates_in_their_band(draw, baseline):
    """Heights read off the chart, with the axis taken from its own labels."""
    n = 100
    figure = SoftHard("far", samples=n, key=2, baseline=baseline)
    page = draw(figure)
    chart = page.locator(".picture").nth(1)
    marks = chart.locator("text.across").evaluate_all(
        "all => all.map(e => [Number(e.getAttribute('y')), e.textContent])"
    )
    heights = [(y, number(text)) for y, text in marks if text != "100"]
    slope, origin = np.polyfit(*np.array(heights).T, 1)

    def height(y):
        return slope * np.array(y) + origin

    fine = {"rtol": 0, "atol": 0.06 * abs(slope)}  # of a pixel, the path's last decimal
    line = points(page, ".estimate")
    assert len(line) < n and line[0, 0] < line[-1, 0]
    left, right = line[[0, -1], 0]
    steps = np.round(10 ** (2 * (line[:, 0] - left) / (right - left))).astype(int)
    want = [figure.estimate(int(i))[2] for i in steps[[0, 1, 2, -1]]]
    np.testing.assert_allclose(height(line[[0, 1, 2, -1], 1]), want, **fine)
    for selector, value in (".truth", figure.exact[2]), (".average", figure.soft_gradient[2]):
        y = chart.locator(f"line{selector}").get_attribute("y1")
        np.testing.assert_allclose(height(float(y)), value, **fine)
    band = points(page, ".band")
    error = np.sqrt(figure.variance()[2])
    edges = height([band[0, 1], band[len(band) // 2 - 1, 1], band[-1, 1]])
    exact = figure.exact[2]
    np.testing.assert_allclose(edges, [exact + error, exact + error / 10, exact - error], **fine)
    other = height(points(page, ".other")[0, 1])
    np.testing.assert_allclose(other, exact + np.sqrt(figure.variance(not baseline)[2]), **fine)
    told = chart.locator("desc").text_content().replace("−", "-")
    assert f"After 100 samples the estimate for k2 is {figure.estimate()[2]:.3f};" in told


def test_kernel_may_change_everything_at_once(draw):
    """As a notebook does: all values are set before the first event, and a view leaves nothing."""
    page = draw(SoftHard())
    told = in_a_notebook(
        page,
        SoftHard(),
        SoftHard(**OWN, samples=4).state(),
        "[...el.querySelectorAll('.weight .number')].map((each) => each.textContent)",
        "el.querySelector('.draws button').click()",
    )
    assert told.shown == [f"{a:.3f}" for a in SoftHard(**OWN).weights]
    assert (told.state["samples"], told.saved, told.left) == (5, 1, 0)


def test_figures_do_not_disturb_each_other(draw):
    page = draw(SoftHard("far"), SoftHard("far"))
    first, second = page.locator(".attn-softhard").all()
    first.get_by_role("button", name="Draw 100", exact=True).click()
    first.get_by_label("on, b = E[r]").check()
    first.get_by_label("k1", exact=True).check()
    assert second.locator(".draws .count").text_content() == "0 samples"
    assert second.get_by_label("off, b = 0").is_checked()
    assert second.get_by_label("k0", exact=True).is_checked()


def test_nothing_moves_for_who_wants_it_still(draw):
    page = draw(SoftHard(samples=10))
    page.emulate_media(reduced_motion="reduce")
    moving = page.evaluate(
        """[...document.querySelectorAll('.attn *')].filter((e) => {
            const { transitionDuration, animationName } = getComputedStyle(e);
            return animationName !== 'none' || !/^(0s(, )?)*$/.test(transitionDuration);
        }).length"""
    )
    assert moving == 0
