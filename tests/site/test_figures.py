"""The interactive figures in a real browser: turned by hand, their numbers are attnlib's.

The figures are drawn on a page of their own by the script that the book's pages carry, so these
tests need no built site.
"""

import itertools
import re
from types import SimpleNamespace

import numpy as np
import pytest
from figure_page import SHOWN, faults, in_a_notebook, module, number, number_at, rows
from site_map import DESKTOP, PHONE

from attnlib.explore import AlignmentFigure, FiveDials, SoftmaxLookup
from attnlib.explore import example as tiny
from attnlib.explore.five_dials import PAPERS, SETTINGS

SENTENCES = [
    ("a man in a red shirt .", "un homme en chemise rouge ."),
    (
        "a white horse runs through the tall grass behind the house of the old woman .",
        "un cheval blanc court dans l' herbe haute .",
    ),
]


def pairs():
    rng = np.random.default_rng(0)
    sentences = [[side.split() for side in pair] for pair in SENTENCES]
    return [
        SimpleNamespace(
            source_tokens=source,
            target_tokens=target,
            weights=rng.dirichlet(np.full(len(source), 0.3), len(target)),
        )
        for source, target in sentences
    ]


# --- how they look


def test_figures_are_sound(draw, from_all_sides, serious):
    page = draw(SoftmaxLookup(), FiveDials(), AlignmentFigure(pairs()), size=PHONE)
    assert faults(page, from_all_sides(page), serious) == []


@pytest.mark.parametrize(
    "scheme, theme, dark",
    [
        ("light", None, False),
        ("dark", None, True),
        ("light", "dark", True),  # the page's own switch wins
        ("dark", "light", False),
    ],
)
def test_colours_follow_the_page_and_can_be_read(draw, scheme, theme, dark):
    page = draw(SoftmaxLookup(), scheme=scheme, theme=theme)
    names = ["card", "sunk", "ink", "soft", "query-ink", "key-ink", "value-ink", "context-ink"]
    colours = page.evaluate(
        """names => names.map(name => {
            const probe = document.createElement('i');
            document.querySelector('.attn').append(probe);
            probe.style.color = `var(--${name})`;
            const numbers = getComputedStyle(probe).color.match(/[\\d.]+/g).map(Number);
            probe.remove();
            return numbers.slice(0, 3);
        })""",
        names,
    )
    light = dict(zip(names, map(luminance, colours), strict=True))
    assert (light["card"] < 0.2) == dark
    for paper, ink in itertools.product(names[:2], names[2:]):
        high, low = sorted([light[paper], light[ink]], reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, f"{ink} on {paper}"


def luminance(rgb):
    linear = [
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(rgb) / 255
    ]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_figures_do_not_disturb_each_other(draw):
    page = draw(SoftmaxLookup(), SoftmaxLookup(score="scaled_dot"), FiveDials(), FiveDials("dot"))
    first, second = page.locator(".attn-lookup").all()
    first.get_by_role("slider", name="temperature").fill("3")
    assert first.locator("output").text_content() == "3.0"
    assert second.locator("output").text_content() == "1.0"
    assert first.get_by_label("dot", exact=True).is_checked()
    assert second.get_by_label("scaled dot").is_checked()
    third, fourth = page.locator(".attn-dials").all()
    third.get_by_label("cosine").check()
    assert fourth.get_by_label("dot", exact=True).is_checked()


def test_tokens_are_text_and_never_markup(draw):
    bad = "<img src=x onerror='window.caught = true'>"
    page = draw(AlignmentFigure([([bad, "b"], [bad], [[0.5, 0.5]])]))
    page.locator(".heatmap .word").first.hover()
    assert page.locator("attn-fig img").count() == 0
    assert page.evaluate("window.caught") is None
    assert page.locator(".saying").text_content() == f"{bad} looks most at {bad}"


def test_modules_speak_anywidgets_protocol(draw):
    """In a notebook the kernel may change the state too, and a view that goes leaves nothing."""
    page = draw(SoftmaxLookup())
    told = in_a_notebook(
        page,
        SoftmaxLookup(),
        {"temperature": 2.5},
        "el.querySelector('output').textContent",
        "e = el.querySelector('input[type=range]');"
        "e.value = 0.7; e.dispatchEvent(new Event('input'))",
    )
    assert (told.shown, told.state["temperature"], told.saved, told.left) == ("2.5", 0.7, 1, 0)


# --- softmax lookup


def compare(page, figure):
    """Every number of the lookup's table against attnlib's."""
    body = page.locator(".attn-lookup tbody tr")
    for selector, want in (
        ("td.score", figure.scores),
        ("td.weight .number", figure.weights),
        ("td.value .number", np.ravel(figure.values)),
    ):
        shown = [number(text) for text in body.locator(selector).all_text_contents()]
        np.testing.assert_allclose(shown, want, **SHOWN)
    shown = page.locator("td.context .number").all_text_contents()
    np.testing.assert_allclose([number(text) for text in shown], figure.context, **SHOWN)
    weights = np.array(figure.weights)
    assert number(page.locator("td.entropy").text_content().split()[1]) == pytest.approx(
        -(weights * np.log(weights)).sum(), abs=0.00051
    )


def test_lookup_follows_its_controls(draw):
    figure = SoftmaxLookup()
    page = draw(figure)
    compare(page, figure)
    slider = page.get_by_role("slider", name="temperature")
    for temperature in ("0.1", "2.3", "5"):
        slider.fill(temperature)
        figure.temperature = float(temperature)
        compare(page, figure)
    slider.press("ArrowLeft")
    figure.temperature = 4.9
    page.get_by_label("scaled dot").check()
    figure.score = "scaled_dot"
    compare(page, figure)
    assert "√2" in page.locator(".equations").text_content()
    page.get_by_role("button", name="Start again").click()
    compare(page, SoftmaxLookup())


def test_lookup_draws_the_context_among_values_of_two_numbers(draw):
    states = [[-1, 1], [2, -1], [2, 0], [1.5, -0.3]]  # the last within the triangle
    figure = SoftmaxLookup(query=[1, 1], keys=states, values=states)
    page = draw(figure, size=PHONE)
    points = page.locator(".attn-lookup .among").get_attribute("points").split()
    unit = 58
    corners = {tuple(float(x) / unit for x in point.split(",")) for point in points}
    assert corners == {(x, -y) for x, y in states[:3]}
    for temperature in (1.0, 0.1):
        page.get_by_role("slider", name="temperature").fill(str(temperature))
        figure.temperature = temperature
        moved = page.locator(".attn-lookup g:has(> .found)").get_attribute("transform")
        x, y = (float(part) / unit for part in moved[len("translate(") : -1].split())
        np.testing.assert_allclose((x, -y), figure.context, atol=1e-9)
    room = page.locator(".attn-lookup .scroll")
    assert room.evaluate("e => e.scrollWidth <= e.clientWidth")  # no column is cut off
    page = draw(SoftmaxLookup(query=[1, 0], keys=[[2, 0], [0, 2]], values=[[1], [0]]))
    assert page.locator(".attn-lookup :is(.among, .found)").count() == 0


def test_lookup_follows_the_keyboard(draw):
    figure = SoftmaxLookup()
    page = draw(figure)
    query = page.get_by_role("slider", name="query q")
    query.focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowLeft", "Shift+ArrowDown"):
        query.press(key)
    figure.query = [1.5, 0.7]
    assert query.get_attribute("aria-valuetext") == "x 1.50, y 0.70"
    key = page.get_by_role("slider", name="key k2")
    key.press("Shift+ArrowRight")
    figure.key_vectors = [*figure.key_vectors[:2], [-1.0, 1.3], figure.key_vectors[3]]
    compare(page, figure)
    for _ in range(20):
        query.press("Shift+ArrowRight")
    figure.query = [3.0, 0.7]  # and no further
    compare(page, figure)
    largest = f"k0 has the largest weight, {figure.weights[0]:.3f}."
    page.wait_for_function(
        "text => document.querySelector('[aria-live]').textContent.startsWith(text)", arg=largest
    )


MIDDLE = """handle => {
    const tip = handle.querySelector('.tip').getBoundingClientRect();
    const plane = handle.ownerSVGElement;
    const unit = 58 * plane.getBoundingClientRect().width / plane.viewBox.baseVal.width;
    return [tip.x + tip.width / 2, tip.y + tip.height / 2, unit];
}"""


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["wide", "phone"])
def test_lookup_follows_the_mouse(draw, size):
    figure = SoftmaxLookup()
    page = draw(figure, size=size)
    handle = page.get_by_role("slider", name="key k1")
    handle.scroll_into_view_if_needed()
    x, y, unit = handle.evaluate(MIDDLE)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + unit / 2, y + unit / 3)
    page.mouse.move(x + unit, y + unit / 2, steps=3)
    page.mouse.up()
    page.mouse.move(x, y)  # let go: no longer follows
    moved = [float(z) for z in re.findall(r"-?[\d.]+", handle.get_attribute("aria-valuetext"))]
    np.testing.assert_allclose(moved, [2.0, 1.4], atol=0.03)
    figure.key_vectors = [figure.key_vectors[0], moved, *figure.key_vectors[2:]]
    compare(page, figure)


def test_lookup_follows_a_finger(draw):
    figure = SoftmaxLookup()
    page = draw(figure, size=PHONE, touch=True)
    handle = page.get_by_role("slider", name="query q")
    handle.scroll_into_view_if_needed()
    x, y, unit = handle.evaluate(MIDDLE)
    finger = page.context.new_cdp_session(page)
    for kind, dx in (("touchStart", 0), ("touchMove", -1), ("touchMove", -2), ("touchEnd", None)):
        points = [] if dx is None else [{"x": x + dx * unit, "y": y + 0.5 * unit * dx}]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.wait_for_function(
        "handle => handle.getAttribute('aria-valuetext').startsWith('x −0.')",
        arg=handle.element_handle(),
    )
    moved = [number(z) for z in re.findall(r"[−\d.]+", handle.get_attribute("aria-valuetext"))]
    np.testing.assert_allclose(moved, [-0.4, 2.0], atol=0.03)
    figure.query = moved
    compare(page, figure)


# --- the five dials


def test_dials_compute_what_attnlib_computes(draw):
    """All settings, in the browser and in torch."""
    figure = FiveDials(seed=5)
    wanted = []
    for setting in itertools.product(*SETTINGS.values()):
        for dial, value in zip(SETTINGS, setting, strict=True):
            setattr(figure, dial, value)
        weights, chosen = figure._decode()
        wanted.append([dict(zip(SETTINGS, setting, strict=True)), weights, chosen])
    page = draw(figure)
    shown = page.evaluate(
        """([{ decode }, numbers, settings]) => settings.map((setting) => {
            const steps = decode(numbers, setting, 5);
            return [steps.map((s) => s.weights), steps.map((s) => s.chosen)];
        })""",
        [
            module(page, "five_dials"),
            figure.state()["example"]["numbers"],
            [setting for setting, _, _ in wanted],
        ],
    )
    for (setting, weights, chosen), (got, drawn) in zip(wanted, shown, strict=True):
        np.testing.assert_allclose(got, weights, rtol=0, atol=1e-12, err_msg=str(setting))
        assert drawn == (chosen or [None] * 4), setting


def test_dials_turn(draw):
    figure = FiveDials()
    page = draw(figure)
    page.locator("summary").click()

    def check_drawn_word():  # of the step shown, which a mouse on its way may have changed
        step = tiny.TARGET.index(page.locator(".numbers .is-query").text_content())
        assert page.locator(".drawn").text_content() == tiny.SOURCE[figure.chosen[step]]

    turns = [
        ("score", "general", "e_ts = q_t^⊤ W k_s"),
        ("timing", "after", "q_t = h_t"),
        ("feeding", "input", "h_t = GRU(h_t−1, [y_t−1; h̃_t−1])"),
        ("window", "predictive", "p_t = S · sigmoid(v_p^⊤ tanh(W_p q_t))"),
        ("window", "causal", "a_ts = softmax_s ≤ t(e_ts)"),
        ("score", "cosine", "e_ts = β cos(q_t, k_s)"),
        ("feeding", "none", "h_t = GRU(h_t−1, y_t−1)"),
        ("timing", "before", "q_t = s_t−1"),
        ("selection", "hard", "c_t = v_s with s drawn from a_t"),
        ("selection", "gumbel", "c_t = v_s, s = argmax_j(log a_tj + g_tj)"),
    ]
    for dial, value, formula in turns:
        setattr(figure, dial, value)
        page.locator(f'fieldset input[value="{value}"][name$="{dial}"]').check()
        np.testing.assert_allclose(rows(page), figure.weights, **SHOWN)
        formulas = page.locator(".equations .formula").evaluate_all(
            "all => all.map(each => each.getAttribute('aria-label'))"
        )
        assert formula in formulas
        papers = page.locator(".paper strong").all_text_contents()
        assert papers == (figure.papers_here or ["No paper: yours"])
        assert number_at(page, ".total") == pytest.approx(figure.mass_on_gold, abs=0.0006)
        right = (np.argmax(figure.weights, 1) == tiny.GOLD).sum()
        assert page.locator(".hits").text_content() == f"{right} of 4"
        if figure.chosen:
            check_drawn_word()
    assert "an estimator alone" in page.locator(".paper").text_content()
    for selection in ("hard", "gumbel"):
        page.locator(f'input[value="{selection}"]').check()
        figure.selection = selection
        for _ in range(3):
            page.get_by_role("button", name="Draw again").click()
            figure.seed += 1
            np.testing.assert_allclose(rows(page), figure.weights, **SHOWN)
            check_drawn_word()


def test_dials_offer_every_setting_and_paper(draw):
    page = draw(FiveDials())
    for dial, settings in SETTINGS.items():
        shown = page.locator(f'input[name$="-{dial}"]').evaluate_all("all => all.map(e => e.value)")
        assert sorted(shown) == sorted(settings)
    menu = page.get_by_role("combobox")
    for paper in PAPERS:
        menu.select_option(label=paper["name"])
        assert paper["name"] in page.locator(".paper strong").all_text_contents()
        assert menu.locator("option:checked").text_content() == paper["name"]
        for dial, settings in paper["settings"].items():
            checked = page.locator(f'input[name$="-{dial}"]:checked')
            assert checked.get_attribute("value") == settings[0]
    assert menu.locator("option[value='']").is_disabled()  # no paper has no setting to turn to


def test_weights_keep_their_colours_where_a_system_forces_its_own(draw):
    page = draw(AlignmentFigure(pairs()), FiveDials())
    page.emulate_media(forced_colors="active")
    colours = page.locator(".heatmap .cell").evaluate_all(
        "all => all.map((each) => getComputedStyle(each).backgroundColor)"
    )
    assert len(set(colours)) > 10
    ground = "(each) => getComputedStyle(each).backgroundColor"
    assert page.locator(".pill input:checked + span").first.evaluate(ground) != page.locator(
        ".pill input:not(:checked) + span"
    ).first.evaluate(ground)


def test_diagram_moves_its_arrows(draw):
    page = draw(FiveDials())

    def picture():
        arrows = page.locator(".diagram .arrow")
        told = page.locator(".diagram desc").text_content()
        drawn = arrows.evaluate_all(
            "all => all.map(e => e.className.baseVal + e.getAttribute('d'))"
        )
        return told, frozenset(drawn)

    seen = {}
    for timing, feeding in itertools.product(("before", "after"), ("context", "input", "none")):
        page.locator(f'input[value="{timing}"]').check()
        page.locator(f'input[value="{feeding}"]').check()
        told, arrows = picture()
        assert f"The state {timing} the step asks" in told
        seen[timing, feeding] = arrows
    assert len(set(seen.values())) == 6
    assert {len(arrows) for (_, feeding), arrows in seen.items() if feeding == "none"} == {7}
    assert {len(arrows) for (_, feeding), arrows in seen.items() if feeding != "none"} == {8}
    page.locator('input[value="causal"]').check()
    assert "2 of 4 keys may be looked at" in picture()[0]  # at step 1


def test_dials_steps_follow_the_keyboard(draw):
    figure = FiveDials()
    page = draw(figure)
    word = page.locator(".heatmap .word").nth(1)
    word.focus()
    word.press("ArrowDown")
    weights = np.array(figure.weights)[2]
    assert page.locator(".diagram text", has_text="rouge").count() == 1
    assert number_at(page, "dd.right") == pytest.approx(weights[tiny.GOLD[2]], abs=0.00051)
    assert number_at(page, "dd.entropy") == pytest.approx(
        -(weights * np.log(weights)).sum(), abs=0.00051
    )


# --- alignment


def check_row(page, figure, t):
    shown = figure.sentences[figure.sentence]
    want = figure.numbers(t)
    assert page.locator(".saying").text_content() == (
        f"{shown['target'][t]} looks most at {want['best']}"
    )
    assert number_at(page, "dd.largest") == pytest.approx(want["largest"], abs=0.00051)
    assert number_at(page, "dd.entropy") == pytest.approx(want["entropy"], abs=0.0006)
    best = int(np.argmax(shown["weights"][t]))
    assert page.locator(".column.best").text_content() == want["best"]
    assert (
        page.locator(".heatmap .word").nth(t).locator(".cell").nth(best).get_attribute("class")
        == "cell best"
    )
    listbox = page.get_by_role("listbox", name="Target words")
    assert listbox.get_by_role("option", selected=True).count() == 1


def test_alignment_follows_pointer_and_keyboard(draw):
    figure = AlignmentFigure(pairs())
    page = draw(figure)
    check_row(page, figure, 0)
    page.locator(".heatmap .word").nth(3).hover()
    check_row(page, figure, 3)
    row = page.locator(".heatmap .word").nth(3)
    row.focus()
    row.press("ArrowDown")
    check_row(page, figure, 4)
    assert page.evaluate("document.activeElement.getAttribute('aria-selected')") == "true"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    check_row(page, figure, 2)
    page.keyboard.press("End")
    check_row(page, figure, 5)
    page.keyboard.press("ArrowDown")  # and no further
    check_row(page, figure, 5)
    page.keyboard.press("Home")
    check_row(page, figure, 0)
    page.locator(".target span").nth(1).click()
    check_row(page, figure, 1)


def test_alignment_of_another_sentence(draw):
    figure = AlignmentFigure(pairs())
    page = draw(figure, size=PHONE, touch=True)
    page.locator("summary").click()
    for sentence in (0, 1):
        page.get_by_label("Sentence", exact=True).select_option(index=sentence)
        figure.sentence = sentence
        shown = figure.sentences[sentence]
        np.testing.assert_allclose(rows(page), shown["weights"], **SHOWN)
        head = page.locator(".data thead th").all_text_contents()
        assert head[1:] == shown["source"]
        assert page.locator(".data tbody th").all_text_contents() == shown["target"]
        means = figure.means()
        assert number_at(page, "dd.share") == pytest.approx(means["share"], abs=0.0006)
        assert number_at(page, "dd.mean-entropy") == pytest.approx(means["entropy"], abs=0.0006)
        assert number_at(page, "dd.ceiling") == pytest.approx(
            np.log(len(shown["source"])), abs=0.0006
        )
    page.locator(".heatmap .word").nth(4).tap()
    check_row(page, figure, 4)


def test_heat_map_has_one_scale(draw):
    """The colour of a cell tells its weight, whatever the other weights are."""
    page = draw(AlignmentFigure([(["a", "b", "c"], ["d", "e"], [[0, 0.5, 0.5], [1, 0, 0]])]))
    colours = page.locator(".cell").evaluate_all(
        "cells => cells.map(cell => getComputedStyle(cell).backgroundColor)"
    )
    low, middle, high = "rgb(68, 1, 84)", "rgb(33, 145, 140)", "rgb(253, 231, 37)"  # viridis
    assert colours == [low, middle, middle, high, low, low]
