"""Moved weights in a real browser: its numbers are attnlib's, by hand, key and button."""

import numpy as np
import pytest
from figure_page import SHOWN, faults, in_a_notebook, module, number, rows
from site_map import PHONE

from attnlib.explore import MovedWeights
from attnlib.explore.figure import rounded

READINGS = {
    "a GRU": {"weights": [0.1, 0.7, 0.12, 0.08], "alone": [2.0, 2.5, -1.0, 2.2]},
    "no context": {"weights": [0.3, 0.3, 0.3, 0.1], "alone": [0.0, 4.0, -4.0, 4.0]},
}
SAID = [
    {"words": ["so", "very", "very", "good"], "evidence": [3], "readings": READINGS},
    {
        "words": ["not", "bad"],
        "evidence": [0, 1],
        "readings": {name: {"weights": [0.25, 0.75], "alone": [3.0, 3.0]} for name in READINGS},
    },
]
SAID.append(SAID[0] | {"words": ["of", "the", "same", "length"]})
SLIDER = '.bars input[type="range"]'


def compare(page, figure):
    """Every number that the page shows against attnlib's."""

    def shows(selector, *want):
        shown = [number(text) for text in page.locator(selector).all_text_contents()]
        np.testing.assert_allclose(shown, want, err_msg=selector, **SHOWN)

    shows(".before", figure.predict(figure.own))
    shows(".after", figure.predict(figure.weights))
    shows(".change .number", figure.change)
    shows(".distance .number", figure.divergence)
    shows(".bars output", *figure.weights)
    kept = figure.change <= figure.epsilon + 5e-5
    assert page.locator(".score").evaluate("e => e.classList.contains('lost')") != kept
    np.testing.assert_allclose(rows(page)[:, :2].T, [figure.own, figure.weights], **SHOWN)


def test_figure_is_sound(draw, from_all_sides, serious):
    figures = [MovedWeights(SAID, ("bad", "good")), MovedWeights(SAID, moved=[0, 0, 1, 0])]
    page = draw(*figures, size=PHONE)
    assert faults(page, from_all_sides(page, phone=(375, 667)), serious) == []


@pytest.mark.parametrize("seed", range(3))
def test_module_computes_what_attnlib_computes(draw, seed):
    rng = np.random.default_rng(seed)
    S = [2, 5, 12][seed]
    alone = rng.normal(size=S).round(4) * 4
    alone[-1] = alone[0]  # two words that say the same
    reading = {"weights": rng.dirichlet(np.ones(S)).tolist(), "alone": alone.tolist()}
    said = {"words": ["w"] * S, "evidence": [], "readings": {"one": reading}}
    moved = rng.dirichlet(np.ones(S)).tolist()
    page = draw(MovedWeights([said]))
    code = module(page, "moved_weights")
    for epsilon in (0.0, 0.05, 0.6):
        figure = MovedWeights([said], moved=moved, epsilon=epsilon)
        got = page.evaluate(
            """([m, alone, own, weights, epsilon]) => ({
                predicted: m.predict(alone, weights),
                divergence: m.divergence(own, weights),
                best: m.furthest(alone, own, epsilon),
                one: m.moveOne(weights, 1, 0.25),
                alone: m.moveOne([1, 0, 0], 0, 0.4),
            })""",
            [code, rounded(alone.tolist()), figure.own, figure.weights, epsilon],
        )
        assert got["predicted"] == pytest.approx(figure.predict(figure.weights), abs=1e-12)
        assert got["divergence"] == pytest.approx(figure.divergence, abs=1e-12)
        best = figure.furthest
        assert got["best"]["divergence"] == pytest.approx(figure.distance(best), abs=1e-9)
        reached = figure.predict(got["best"]["weights"])
        assert abs(reached - figure.predict(figure.own)) <= epsilon + 1e-9
        others = np.delete(figure.weights, 1)
        want = np.insert(0.75 * others / others.sum(), 1, 0.25)
        np.testing.assert_allclose(got["one"], want, rtol=0, atol=1e-12)
        assert got["alone"] == pytest.approx([0.4, 0.3, 0.3])


def test_figure_follows_its_controls(draw):
    figure = MovedWeights(SAID)
    page = draw(figure)
    compare(page, figure)
    page.locator(SLIDER).nth(1).fill("0.1")
    figure.moved = [0.3, 0.1, 0.36, 0.24]
    compare(page, figure)
    assert "furthest" not in page.locator(".verdict").text_content()
    page.get_by_role("button", name="Let the computer try").click()
    figure.moved = figure.furthest
    compare(page, figure)
    assert f"furthest there is: {figure.divergence:.3f}" in page.locator(".verdict").text_content()
    page.get_by_role("button", name="All the same").click()
    figure.moved = [0.25] * 4
    compare(page, figure)
    page.get_by_label("no context").check()
    figure = MovedWeights(SAID, model="no context")
    compare(page, figure)
    page.get_by_role("button", name="All the same").click()
    page.get_by_label("Sentence").select_option(index=2)  # begins with the model's own
    figure = MovedWeights(SAID, sentence=2, model="no context")
    compare(page, figure)
    page.get_by_label("Sentence").select_option(index=1)
    figure = MovedWeights(SAID, sentence=1, model="no context")
    compare(page, figure)
    page.get_by_role("button", name="The model’s own").click()
    compare(page, figure)


def test_keys_move_a_bar(draw):
    page = draw(MovedWeights(SAID, sentence=1))
    bar = page.locator(SLIDER).first
    bar.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    figure = MovedWeights(SAID, sentence=1, moved=[0.3, 0.7])
    compare(page, figure)
    assert bar.get_attribute("aria-valuetext") == "0.300; the model’s own 0.250"
    page.keyboard.press("End")
    figure.moved = [1.0, 0.0]
    compare(page, figure)
    assert bar.evaluate("e => e === document.activeElement")


def test_a_finger_drags_a_bar(draw):
    page = draw(MovedWeights(SAID), size=PHONE, touch=True)
    bar = page.locator(SLIDER).first
    bar.scroll_into_view_if_needed()
    box = bar.bounding_box()
    assert box["height"] >= 24 and box["width"] > 100
    page.touchscreen.tap(box["x"] + 0.6 * box["width"], box["y"] + box["height"] / 2)
    first = number(page.locator(".bars output").first.text_content())
    assert first == pytest.approx(0.6, abs=0.05)


def test_kernel_may_change_everything_at_once(draw):
    page = draw(MovedWeights(SAID))
    told = in_a_notebook(
        page,
        MovedWeights(SAID),
        MovedWeights(SAID, sentence=1, model="no context", moved=[0.5, 0.5]).state(),
        "[...el.querySelectorAll('.bars output')].map((each) => each.textContent)",
        "el.querySelector('.buttons button').click()",
    )
    assert told.shown == ["0.500", "0.500"]
    assert (sum(told.state["moved"]), told.saved, told.left) == (1, 1, 0)


def test_figures_do_not_disturb_each_other(draw):
    page = draw(MovedWeights(SAID), MovedWeights(SAID))
    first, second = page.locator(".attn-moved").all()
    first.get_by_role("button", name="All the same").click()
    assert first.locator(".bars output").first.text_content() == "0.250"
    assert second.locator(".bars output").first.text_content() == "0.100"
