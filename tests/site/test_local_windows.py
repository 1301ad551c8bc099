"""The figure of local windows in a real browser: moved by hand, its numbers are attnlib's."""

import itertools
import re

import numpy as np
import pytest
from figure_page import SHOWN, faults, in_a_notebook, module, number, number_at, rows
from site_map import DESKTOP, PHONE

from attnlib.explore import LocalWindows
from attnlib.explore.local_windows import GOLD, SCORES, SOURCE, STEP

S = len(SOURCE)
NAMES = {"everywhere": "everywhere", "monotonic": "local-m", "predictive": "local-p"}
WORDS = "the two very old women who live in the little house behind the white church with no roof"
LONG = {
    "source": [*WORDS.split(), "always", "read", "newspapers", "every", "day", "."],
    "scores": np.sin(np.arange(24) * 1.7) * 2,
    "gold": 20,
    "centre": 22.5,
    "reach": 3,
}


def compare(page, figure):
    """Everything that the page shows against attnlib's numbers."""
    want = [
        figure.scores,
        figure.global_weights,
        figure.window_weights,
        np.ones(S) if figure.factor is None else figure.factor,
        figure.weights,
    ]
    np.testing.assert_allclose(rows(page), np.transpose(want), **SHOWN)
    assert page.locator("dd.compared").text_content() == f"{figure.compared} of {S}"
    assert number_at(page, "dd.total") == pytest.approx(figure.total, abs=0.00051)
    assert number_at(page, "dd.on-gold") == pytest.approx(figure.weights[figure.gold], abs=0.00051)
    told, arrows = page.locator("dd.gradient").text_content(), page.locator(".pull-head")
    if figure.pull is None:
        assert arrows.count() == 0
        if figure.window == "predictive":
            assert told == f"none: {figure.source[figure.gold]} is not in the window"
            shown = page.locator(".pull-text").text_content()
            assert shown == f"no pull from {figure.source[figure.gold]}"
        else:
            assert told.startswith("no")
    else:
        assert number(told) == pytest.approx(figure.pull, abs=0.00051)
        assert arrows.count() == (figure.pull != 0)
        shown = page.locator(".pull-text").text_content()
        assert number(shown.removeprefix("pull ")) == pytest.approx(figure.pull, abs=0.0051)
    for word, allowed in zip(page.locator("svg .word").all(), figure.allowed, strict=True):
        assert ("in" in word.get_attribute("class").split()) == allowed
    assert page.locator(".picture .cross").count() == S - figure.compared
    assert page.locator(".picture .curve").count() == 0 or figure.window == "predictive"


def turn(page, figure, **changes):
    """By hand, and in Python."""
    for name, value in changes.items():
        setattr(figure, name, value)
        if name == "window":
            page.get_by_label(NAMES[value], exact=True).check()
        else:
            label = {"centre": "centre", "reach": "reach D"}[name]
            page.get_by_role("slider", name=label).fill(str(value))


def test_the_browser_computes_what_attnlib_computes(draw):
    """Unrounded, at every kind of place: on a word, between two, on the edges, past the end."""
    places = (0, 0.4, 0.5, 3.5, 6, 6.3, 7.95, 9, 9.5, 10)
    figure, settings, want = LocalWindows(), [], []
    for window, centre, reach in itertools.product(NAMES, places, (1, 2, 3, S)):
        figure.window, figure.centre, figure.reach = window, centre, reach
        settings.append({"window": window, "centre": centre, "reach": reach})
        want.append([figure.position, figure.allowed, figure.weights, figure.pull])
    page = draw(LocalWindows())
    got = page.evaluate(
        """([{ attend, pull }, scores, gold, settings]) => settings.map((each) => {
            const setting = { ...each, scores, gold };
            const step = attend(setting);
            return [step.position, step.allowed, step.weights, pull(step, setting)];
        })""",
        [module(page, "local_windows"), SCORES, GOLD, settings],
    )
    for setting, shown, wanted in zip(settings, got, want, strict=True):
        assert shown[:2] == wanted[:2], setting
        np.testing.assert_allclose(shown[2], wanted[2], rtol=0, atol=1e-12, err_msg=str(setting))
        assert shown[3] == (wanted[3] and pytest.approx(wanted[3], abs=1e-12)), setting


def test_windows_follow_their_controls(draw):
    figure = LocalWindows()
    page = draw(figure)
    compare(page, figure)
    for changes in (
        {"centre": 7.4},
        {"reach": 5},
        {"centre": 8.0},  # on the right word: a pull of 0
        {"centre": 0.0, "reach": 3},  # the right word is outside
        {"window": "monotonic"},
        {"centre": 9, "reach": 1},
        {"centre": 6},
        {"window": "everywhere"},
        {"window": "predictive"},
        {"centre": 10.0, "reach": 10},
    ):
        turn(page, figure, **changes)
        compare(page, figure)
    page.get_by_role("button", name="Start again").click()
    compare(page, LocalWindows())


def test_windows_follow_the_keyboard(draw):
    figure = LocalWindows()
    page = draw(figure)
    slider = page.get_by_role("slider", name="centre")
    slider.focus()
    for key, centre in (("ArrowRight", 6.1), ("ArrowUp", 6.2), ("Home", 0), ("End", 10)):
        slider.press(key)
        figure.centre = centre
        compare(page, figure)
    page.keyboard.press("Tab")  # to D
    page.keyboard.press("ArrowRight")
    figure.reach = 3
    compare(page, figure)
    page.get_by_label("local-p").focus()
    page.keyboard.press("ArrowLeft")
    figure.window = "monotonic"
    compare(page, figure)
    slider.press("Home")
    slider.press("ArrowRight")
    figure.centre = 1
    compare(page, figure)
    page.wait_for_function(
        "text => document.querySelector('[aria-live]').textContent.startsWith(text)",
        arg=f"{figure.compared} of 10 keys compared; the weights sum to 1.000",
    )
    turn(page, figure, window="everywhere")
    assert page.get_by_role("slider", name="centre").is_disabled()
    assert page.get_by_role("slider", name="reach").is_disabled()


SIZES = """dot => {
    const box = dot.getBoundingClientRect();
    const all = dot.ownerSVGElement.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2, all.width / (%g + 2 * 1.6)];
}""" % (S - 1)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["wide", "phone"])
def test_windows_follow_the_mouse(draw, size):
    figure = LocalWindows()
    page = draw(figure, size=size)
    page.locator(".picture svg").scroll_into_view_if_needed()
    x, y, unit = page.locator(".handle").evaluate(SIZES)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + unit, y + 50, steps=3)
    page.mouse.move(x + 1.5 * unit, y + 90)
    page.mouse.up()
    page.mouse.move(x - unit, y)  # let go: no longer follows
    figure.centre = float(page.get_by_role("slider", name="centre").input_value())
    assert figure.centre == pytest.approx(STEP + 1.5, abs=0.11)
    compare(page, figure)
    page.mouse.click(x - 2.3 * unit, y + 90)
    figure.centre = float(page.get_by_role("slider", name="centre").input_value())
    assert figure.centre == pytest.approx(STEP - 2.3, abs=0.11)
    compare(page, figure)
    turn(page, figure, window="monotonic")  # stands on the nearest word
    compare(page, figure)
    page.mouse.click(x + 4.3 * unit, y + 90)  # past the end
    figure.centre = 9
    compare(page, figure)
    turn(page, figure, window="everywhere")
    page.mouse.click(x, y)  # nothing to move
    compare(page, figure)


def test_windows_follow_a_finger(draw):
    figure = LocalWindows()
    page = draw(figure, size=PHONE, touch=True)
    page.locator(".picture svg").scroll_into_view_if_needed()
    x, y, unit = page.locator(".handle").evaluate(SIZES)
    finger = page.context.new_cdp_session(page)

    def follow(where):
        slider = page.get_by_role("slider", name="centre")
        page.wait_for_function(
            "([slider, where]) => Math.abs(slider.value - where) < 0.11",
            arg=[slider.element_handle(), where],
        )
        figure.centre = float(slider.input_value())
        compare(page, figure)

    def drag(dy):
        for kind, dx in (("touchStart", 0), ("touchMove", 1), ("touchMove", 2), ("touchEnd", None)):
            points = [] if dx is None else [{"x": x + dx * unit, "y": y + dy}]
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    drag(120)  # not on the handle: the page's to scroll
    assert page.get_by_role("slider", name="centre").input_value() == "6"
    drag(0)
    follow(STEP + 2)
    page.touchscreen.tap(x - 3 * unit, y + 120)
    follow(STEP - 3)


def test_the_window_is_drawn_where_it_stands(draw):
    """Bracket, dot and right word by the picture's own pixels; dotted where there are no words."""
    figure = LocalWindows()
    page = draw(figure)

    def middle(selector, which=0):
        box = page.locator(selector).nth(which).bounding_box()
        return box["x"] + box["width"] / 2, box["width"]

    words = [middle(".picture .word", s)[0] for s in range(S)]
    unit = (words[-1] - words[0]) / (S - 1)
    np.testing.assert_allclose(np.diff(words), unit, atol=1)
    for centre, reach, dotted in ((6.0, 2, 0), (4.5, 1, 0), (0.0, 2, 1), (9.7, 3, 1), (5.0, 10, 2)):
        turn(page, figure, centre=centre, reach=reach)
        assert middle(".handle")[0] == pytest.approx(words[0] + centre * unit, abs=1.5)
        assert middle(".band")[1] == pytest.approx(2 * reach * unit, abs=1.5)
        assert middle(".band")[0] == pytest.approx(words[0] + centre * unit, abs=1.5)
        assert page.locator(".picture .bracket.off").count() == dotted
        assert page.locator(".picture .curve.off").count() == dotted
        note = page.locator(".note").text_content()
        assert ("cut off there, not moved" in note) == bool(dotted)
    assert "over the start of the sentence by 5 and over the end of the sentence by 6" in note
    assert middle(".picture .right")[0] == pytest.approx(words[GOLD], abs=1.5)
    turn(page, figure, centre=6.0, reach=3)
    tip, start = middle(".pull-head")[0], middle(".stem")[0]
    assert tip > start  # towards the right word
    turn(page, figure, centre=9.5)
    assert middle(".pull-head")[0] < middle(".stem")[0]


def test_the_legend_has_the_colour_of_the_bars(draw):
    page = draw(LocalWindows())
    fills = page.locator(".final").evaluate_all(
        "all => all.map(each => getComputedStyle(each).fill)"
    )
    assert len(fills) == LocalWindows().compared + 1 and len(set(fills)) == 1


def test_formulas_have_the_numbers(draw):
    figure = LocalWindows()
    page = draw(figure)

    def formulas():
        return page.locator(".equations .formula").evaluate_all(
            "all => all.map(each => each.getAttribute('aria-label'))"
        )

    centre, weights, right, slope = formulas()
    assert centre == "p_t = S · logistic(v_p^⊤ tanh(W_p h_t)) = 6.0, S = 10"
    assert weights == "a_s = softmax_|s − 6.0| ≤ 2(e_s) · exp(−(s − 6.0)^2 / 2σ^2), σ = D/2 = 1"
    assert right == "a_8 = 0.671 · 0.135 = 0.091"
    assert slope == "∂ log a_8 / ∂p_t = 4 (8 − 6.0) / 2^2 = 2.000"
    turn(page, figure, reach=1)
    assert formulas()[2:] == ["|8 − 6.0| > 1, so a_8 = 0"]
    turn(page, figure, window="monotonic")
    assert formulas() == [
        "p_t = t = 6, D = 1",
        "a_s = softmax_|s − 6| ≤ 1(e_s)",
        "|8 − 6| > 1, so a_8 = 0",
    ]
    turn(page, figure, window="everywhere")
    assert formulas() == ["a_s = softmax_s(e_s), s = 0 … 9", "a_8 = 0.593"]


def test_windows_are_sound(draw, from_all_sides, serious):
    figures = [LocalWindows(window=window) for window in NAMES] + [LocalWindows(**LONG)]
    page = draw(*figures, size=PHONE)
    assert page.locator(".picture").count() == len(figures)
    inside = ".word, .num, .small, .place, .pull-text"
    assert faults(page, from_all_sides(page), serious, inside) == []


def test_the_picture_follows_the_width(draw):
    page = draw(LocalWindows())
    wide = page.locator(".picture svg").bounding_box()["width"]
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    page.wait_for_function(
        "wide => document.querySelector('.picture svg').getBoundingClientRect().width < wide / 2",
        arg=wide,
    )
    assert page.locator(".picture .upright").count() == S
    page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    page.wait_for_function("() => !document.querySelector('.picture .upright')")


def test_the_module_speaks_anywidgets_protocol(draw):
    """The kernel may change the state too, and a view that goes leaves nothing."""
    page = draw(LocalWindows())
    told = in_a_notebook(
        page,
        LocalWindows(),
        {"centre": 7.5},
        "el.querySelector('output').textContent",
        "e = el.querySelector('input[type=range]');"
        "e.value = 2.5; e.dispatchEvent(new Event('input'))",
    )
    assert (told.shown, told.state["centre"], told.saved, told.left) == ("7.5", 2.5, 1, 0)


def test_words_are_text_and_never_markup(draw):
    bad = "<img src=x onerror='window.caught = true'>"
    page = draw(LocalWindows([bad, "b"], [0.0, 1.0], 0, word=bad, centre=0.5))
    assert page.locator("attn-fig img").count() == 0
    assert page.evaluate("window.caught") is None
    assert re.search(re.escape(bad), page.locator(".picture .word").first.text_content())
