"""Heads, positions and models in a real browser: moved by hand, their numbers are attnlib's."""

import itertools
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from figure_page import SHOWN, faults, in_a_notebook, module, number, number_at, rows, stored
from site_map import CHAPTERS, DESKTOP, PHONE, ROOT

from attnlib.explore import HeadsFigure, ModelsFigure, PositionsFigure
from attnlib.explore.positions import made_up

SMALLEST = (320, 640)
L, H = 3, 2
PAIRS = [
    ("▁a ▁man ▁in ▁a ▁red ▁shirt ▁ski ing ▁down . </s>", "▁un ▁homme ▁descend ▁à ▁ski ."),
    ("▁two ▁dogs . </s>", "▁deux ▁chien s ."),
]
KINDS = {
    "encoder": "encoder: English on itself",
    "decoder": "decoder: French on itself so far",
    "cross": "decoder: French on English",
}


def looks(pair, seed=0):
    """Weights by chance, sharp ones and flat ones."""
    source, target = (side.split() for side in pair)
    rng, (S, T) = np.random.default_rng(seed), (len(source), len(target))

    def weights(Q, K, allowed=True):
        raised = np.exp(3 * rng.normal(size=(L, H, Q, K))) * allowed
        return raised / raised.sum(-1, keepdims=True)

    return SimpleNamespace(
        source_tokens=source,
        target_tokens=target,
        encoder=weights(S, S),
        decoder=weights(T, T, np.tri(T)),
        cross=weights(T, S),
    )


def heads(**chosen):
    return HeadsFigure([looks(pair, seed) for seed, pair in enumerate(PAIRS)], **chosen)


def translation(text, source, seed=0, scale=1.0):
    rng, target = np.random.default_rng(seed), [f"▁{word}" for word in text.split()]
    weights = scale * rng.dirichlet(np.full(len(source), 0.3), len(target))
    return SimpleNamespace(text=text, source_tokens=source, target_tokens=target, weights=weights)


def models(**chosen):
    first, second = (source.split() for source, _ in PAIRS)
    return ModelsFigure(
        [
            (
                "A man in a red shirt skiing down.",
                {
                    "fixed context": translation("un chien .", first, scale=0.0),
                    "Bahdanau": translation("un homme descend à ski .", first, 1),
                    "transformer": translation("un homme en chemise rouge skie .", first, 2),
                },
            ),
            (
                "Two dogs.",
                {
                    "fixed context": translation("deux chats .", second, scale=0.0),
                    "Bahdanau": translation("deux chiens .", second, 3),
                    "transformer": translation("deux chiens", second, 4),
                },
            ),
        ],
        **chosen,
    )


def figures():
    return [heads(layer=1), PositionsFigure(), PositionsFigure("rotary", width=64), models()]


# --- what all three promise


def test_figures_are_sound(draw, from_all_sides, serious):
    wide = PositionsFigure("rotary", width=64, base=1.0, longest=256, query=255, key=254)
    shown = heads(kind="decoder"), PositionsFigure(), wide, models(model="Bahdanau")
    page = draw(*shown, size=SMALLEST)
    assert page.locator(".picture").count() == 2
    assert faults(page, from_all_sides(page, SMALLEST), serious, "text") == []


def test_figures_do_not_disturb_each_other(draw):
    page = draw(*figures()[:2], *figures()[:2], models(), models())
    first, second = page.locator(".attn-heads").all()
    first.get_by_label(KINDS["cross"]).check()
    first.get_by_role("gridcell").first.click()
    assert second.get_by_label(KINDS["encoder"]).is_checked()
    assert (
        second.get_by_role("gridcell", selected=True)
        .get_attribute("aria-label")
        .startswith("block 2, mean of 2 heads")
    )
    first, second = page.locator(".attn-positions").all()
    first.get_by_label("rotary").check()
    first.get_by_role("slider", name="width").fill("8")
    assert second.get_by_label("sinusoidal").is_checked()
    assert second.get_by_role("slider", name="width").input_value() == "16"
    first, second = page.locator(".attn-models").all()
    first.get_by_role("radio", name="transformer").check()
    assert second.get_by_role("radio", name="fixed context").is_checked()


def test_words_are_text_and_never_markup(draw):
    bad = "<img src=x onerror='window.caught = true'>"
    given = looks((f"{bad.replace(' ', '')} b", "c"))
    one = translation("c", [bad, "b"])
    one.text = one.target_tokens[0] = bad
    page = draw(HeadsFigure([given, given]), ModelsFigure(bad, {bad: one}, languages=(bad, bad)))
    page.locator(".attn-models .heatmap .word").first.hover()
    assert page.locator("attn-fig img").count() == 0
    assert page.evaluate("window.caught") is None
    assert page.locator(".says").text_content() == bad


@pytest.mark.parametrize(
    "name, changes, shown, hand, sent",
    [
        (
            "heads",
            {"sentence": 1, "kind": "cross", "layer": 2, "head": None, "word": 3},
            [".saying", r"\. looks most at \w+"],
            "el.querySelector('[role=gridcell]').click()",
            {"layer": 0, "head": 0},
        ),
        (
            "positions",
            {"kind": "rotary", "width": 8, "base": 100, "query": 1, "key": 3},
            ["dd.distance", "2"],
            "e = el.querySelectorAll('input[type=range]')[3];"
            "e.value = 9; e.dispatchEvent(new Event('input'))",
            {"key": 9},
        ),
        (
            "models",
            {"sentence": 1, "model": "transformer", "word": 1},
            [".saying", r"chiens looks most at .*"],
            "el.querySelector('input').click()",
            {"model": "fixed context", "word": 0},
        ),
    ],
)
def test_modules_speak_anywidgets_protocol(draw, name, changes, shown, hand, sent):
    """The kernel may change everything at once, and a view that goes leaves nothing."""
    figure = {each.module: each for each in figures()}[name]
    page = draw(figure)
    text = f"el.querySelector('{shown[0]}').textContent"
    told = in_a_notebook(page, figure, changes, text, hand)
    assert re.fullmatch(shown[1], told.shown)
    assert told.saved == 1 and told.left == 0
    kept = {**changes, **sent}
    assert {name: told.state[name] for name in kept} == kept
    figure.set_state(changes)  # as a browser sends it
    figure.set_state(kept)


# --- heads

PIXELS = """all => all.map(canvas => {
    const { width, height } = canvas;
    const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
    return [height, width, [...data]];
})"""


def viridis(weights):
    """Colours (..., 3) of weights, from matplotlib."""
    from matplotlib import colormaps

    return colormaps["viridis"](weights)[..., :3] * 255


def check_row(page, figure):
    """Everything that the page shows of the chosen query."""
    t = min(figure.word, len(figure.query_words) - 1)
    want, row = figure.numbers(t), np.array(figure.weights[t])
    assert page.locator(".saying").text_content() == (
        f"{figure.query_words[t]} looks most at {want['best']}"
    )
    assert number_at(page, "dd.largest") == pytest.approx(want["largest"], abs=0.00056)
    assert number_at(page, "dd.entropy") == pytest.approx(want["entropy"], abs=0.00056)
    allowed = t + 1 if figure.kind == "decoder" else len(row)
    assert number_at(page, "dd.ceiling") == pytest.approx(np.log(allowed), abs=0.00051)
    chosen = page.get_by_role("listbox").get_by_role("option", selected=True)
    assert chosen.count() == 1
    assert chosen.locator(".token").text_content() == figure.query_words[t]
    assert page.locator(".threads .chosen").text_content() == figure.query_words[t]
    assert page.locator(".threads .none").count() == len(row) - allowed
    lines = page.locator(".threads .strong").evaluate_all(
        "all => all.map(e => [e.y1.baseVal.value, e.y2.baseVal.value])"
    )
    assert lines == [[t + 0.5, s + 0.5] for s in np.flatnonzero(row >= 0.01)]
    widths = page.locator(".threads .strong").evaluate_all(
        "all => all.map(e => Number(e.getAttribute('stroke-width')))"
    )
    np.testing.assert_allclose(widths, 1 + 5 * row[row >= 0.01], atol=0.0051)


def check_heads(page, figure):
    """Everything that the page shows."""
    check_row(page, figure)
    weights, means = np.array(figure.weights), figure.means()
    np.testing.assert_allclose(rows(page), weights, **SHOWN)
    head = page.locator(".data thead th").all_text_contents()[1:]
    assert head == figure.key_words
    assert page.locator(".data tbody th").all_text_contents() == figure.query_words
    assert number_at(page, "dd.share") == pytest.approx(means["share"], abs=0.00056)
    assert number_at(page, "dd.mean-entropy") == pytest.approx(means["entropy"], abs=0.00056)
    named = f"mean of {H} heads" if figure.head is None else f"head {figure.head + 1}"
    chosen = page.get_by_role("gridcell", selected=True)
    assert chosen.count() == 1
    label = f"block {figure.layer + 1}, {named}: mean entropy {means['entropy']:.3f} nats"
    assert chosen.get_attribute("aria-label")[:-10] == label[:-10]
    empty = len(weights) * (len(weights) - 1) // 2 if figure.kind == "decoder" else 0
    assert page.locator(".cell.none").count() == empty
    assert page.locator(".cell").count() == weights.size


def test_every_head_of_every_kind(draw):
    figure = heads(word=2)
    page = draw(figure)
    for kind, label in KINDS.items():
        page.get_by_label(label).check()
        figure.kind = kind
        for layer, head in itertools.product(range(L), (0, 1, None)):
            page.get_by_role("gridcell").nth(3 * layer + (2 if head is None else head)).click()
            figure.layer, figure.head = layer, head
            check_heads(page, figure)


@pytest.mark.parametrize("kind", KINDS)
def test_small_pictures_have_the_colours_of_the_weights(draw, kind):
    figure = heads(kind=kind)
    page = draw(figure)
    drawn = page.locator(".thumb canvas").evaluate_all(PIXELS)
    assert len(drawn) == L * (H + 1)
    for i, (height, width, data) in enumerate(drawn):
        figure.layer, head = divmod(i, H + 1)
        figure.head = None if head == H else head
        weights, shown = np.array(figure.weights), np.reshape(data, (height, width, 4))
        assert weights.shape == (height, width)
        seen = np.tri(len(weights), dtype=bool) if kind == "decoder" else weights >= 0
        assert (shown[~seen] == 0).all() and (shown[seen][:, 3] == 255).all()
        # 17 stops with straight lines between them, at most 6 of 255 from matplotlib's 256
        np.testing.assert_allclose(shown[seen][:, :3], viridis(weights[seen]), rtol=0, atol=6.5)


def test_heads_follow_the_keyboard(draw):
    figure = heads(layer=1, head=0)
    page = draw(figure)
    page.get_by_role("gridcell", selected=True).focus()
    keys = [("ArrowRight", 1, 1), ("ArrowRight", 1, None), ("ArrowRight", 1, None)]
    keys += [("ArrowDown", 2, None), ("ArrowDown", 2, None), ("Home", 2, 0), ("ArrowLeft", 2, 0)]
    keys += [("ArrowUp", 1, 0), ("End", 1, None), ("ArrowUp", 0, None), ("ArrowUp", 0, None)]
    for key, layer, head in keys:
        page.keyboard.press(key)
        figure.layer, figure.head = layer, head
        check_heads(page, figure)
        assert page.evaluate("document.activeElement.getAttribute('aria-selected')") == "true"
    page.keyboard.press("Tab")  # to the words
    last = len(figure.query_words) - 1
    keys = [("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1), ("End", last), ("ArrowDown", last)]
    for key, word in [*keys, ("Home", 0)]:
        page.keyboard.press(key)
        figure.word = word
        check_row(page, figure)
        assert page.evaluate("document.activeElement.getAttribute('role')") == "option"
    best = figure.numbers(0)["best"]
    page.wait_for_function(
        "text => document.querySelector('[aria-live]').textContent.startsWith(text)",
        arg=f"block 1, mean of 2 heads. a: looks most at {best}, ",
    )
    page.get_by_label(KINDS["encoder"]).focus()
    page.keyboard.press("ArrowRight")
    figure.kind = "decoder"
    check_heads(page, figure)


def test_heads_follow_the_mouse(draw):
    figure = heads(kind="cross", head=1)
    page = draw(figure)
    page.locator(".heatmap .word").nth(3).hover()
    figure.word = 3
    check_row(page, figure)
    page.locator(".threads .asks span").nth(4).hover()
    figure.word = 4
    check_row(page, figure)
    page.get_by_label("Sentence", exact=True).select_option(index=1)
    figure.word, figure.sentence = 0, 1
    check_heads(page, figure)
    page.locator(".heatmap .word").nth(3).click()
    page.get_by_label(KINDS["encoder"]).check()
    figure.kind, figure.word = "encoder", 3
    check_heads(page, figure)


def test_a_word_that_is_not_there_any_more(draw):
    """Ten words that ask in the encoder, six in the decoder."""
    figure = heads(word=9)
    page = draw(figure)
    page.get_by_label(KINDS["cross"]).check()
    figure.word, figure.kind = 5, "cross"
    check_heads(page, figure)


def test_heads_follow_a_finger(draw):
    figure = heads(kind="decoder")
    page = draw(figure, size=PHONE, touch=True)
    page.get_by_role("gridcell").nth(4).tap()
    page.locator(".heatmap .word").nth(2).tap()
    figure.layer, figure.head, figure.word = 1, 1, 2
    check_heads(page, figure)


# --- positions


def check_positions(page, figure):
    """Everything that the page shows, against torch."""
    q, k = figure.vector("query", figure.query), figure.vector("key", figure.key)
    q, k = np.reshape(q, (-1, 2)), np.reshape(k, (-1, 2))
    want = np.column_stack([figure.wavelengths, q, k, (q * k).sum(1)])
    np.testing.assert_allclose(rows(page), want, rtol=1e-9, atol=0.0005 + 1e-9)
    score = figure.score()
    assert number_at(page, "dd.product") == pytest.approx(score, abs=0.00051)
    assert number_at(page, "dd.distance") == figure.key - figure.query
    assert number_at(page, "dd.most") == figure.width / 2
    pairs = page.locator(".others dt").all_text_contents()
    assert pairs == [f"{query} and {key}" for query, key, _ in figure.shifted]
    for shown in page.locator(".others dd").all_text_contents():
        assert number(shown) == pytest.approx(score, abs=0.00051)
    assert page.locator(".apart").text_content().startswith("The same but for rounding")
    assert page.locator(".picture .value").text_content().replace("−", "-") == f"{score:.3f}"
    assert page.locator(".picture .at.of-query").text_content() == f"query {figure.query}"
    assert page.locator(".picture .at.of-key").text_content() == f"key {figure.key}"
    clocks = page.locator(".clock strong").all_text_contents()
    np.testing.assert_allclose([*map(number, clocks)], (q * k).sum(1), rtol=0, atol=0.0051)
    for name, tips in (("query", q), ("key", k)):
        drawn = page.locator(f".hand.of-{name}").evaluate_all(
            "all => all.map(e => [e.x2.baseVal.value / 40, -e.y2.baseVal.value / 40])"
        )
        np.testing.assert_allclose(drawn, tips, rtol=0, atol=1e-6)


def turn(page, figure, **changes):
    """By hand, and in Python."""
    labels = {"query": "query position", "key": "key position", "width": "width D"}
    for name, value in changes.items():
        setattr(figure, name, value)
        if name == "kind":
            page.get_by_label(value, exact=True).check()
        elif name == "base":
            page.get_by_role("slider", name="base").fill(str(round(10 * np.log10(value))))
        else:
            page.get_by_role("slider", name=labels[name]).fill(str(value))


def test_the_browser_computes_what_attnlib_computes(draw):
    """Unrounded: the vectors, the dot product, the made-up query and key."""
    figure, settings, want = PositionsFigure(longest=256), [], []
    grid = itertools.product(
        ("sinusoidal", "rotary"), (2, 16, 62), (1.0, 37.5, 1e4, 1e6), ((0, 0), (20, 26), (255, 3))
    )
    for kind, width, base, (query, key) in grid:
        figure.kind, figure.width, figure.base = kind, width, base
        figure.query, figure.key = query, key
        setting = {"kind": kind, "width": width, "base": base, "query": query, "key": key}
        settings.append(setting | {"longest": 256})
        pairs = [list(pair) for *pair, _ in figure.shifted]
        vectors = [figure.vector("query", query), figure.vector("key", key)]
        scores = [score for *_, score in figure.shifted]
        want.append([vectors, figure.score(), pairs, scores])
    page = draw(PositionsFigure())
    got, fixed = page.evaluate(
        """([{ vector, score, shifted, madeUp }, settings]) => {
            const told = settings.map((each) => {
                const pairs = shifted(each);
                return [
                    [vector(each, "query", each.query), vector(each, "key", each.key)],
                    score(each, each.query, each.key),
                    pairs,
                    pairs.map(([query, key]) => score(each, query, key)),
                ];
            });
            return [told, [madeUp("query", 64), madeUp("key", 64)]];
        }""",
        [module(page, "positions"), settings],
    )
    np.testing.assert_allclose(
        fixed, [made_up("query", 64), made_up("key", 64)], rtol=0, atol=1e-14
    )
    for setting, shown, wanted in zip(settings, got, want, strict=True):
        np.testing.assert_allclose(shown[0], wanted[0], rtol=0, atol=1e-12, err_msg=str(setting))
        assert shown[1] == pytest.approx(wanted[1], abs=1e-11), setting
        assert shown[2] == wanted[2], setting
        assert shown[3] == pytest.approx(wanted[3], abs=1e-10), setting


def test_positions_follow_their_controls(draw):
    figure = PositionsFigure()
    page = draw(figure)
    check_positions(page, figure)
    for changes in (
        {"key": 60},
        {"kind": "rotary"},
        {"base": 100.0, "width": 6},
        {"query": 63, "key": 0},
        {"kind": "sinusoidal", "base": 1e6},
        {"width": 64, "base": 2000.0},  # 10^3.3, to three digits
        {"width": 2, "base": 1.0},
        {"query": 0},
    ):
        turn(page, figure, **changes)
        check_positions(page, figure)
    assert page.locator("output").first.text_content() == "1"
    page.get_by_role("button", name="Start again").click()
    check_positions(page, PositionsFigure())
    assert page.locator("output").first.text_content() == "10,000"


def test_positions_follow_the_keyboard(draw):
    figure = PositionsFigure()
    page = draw(figure)
    slider = page.get_by_role("slider", name="query position")
    slider.focus()
    for key, query in (("ArrowRight", 21), ("ArrowDown", 20), ("End", 63), ("Home", 0)):
        slider.press(key)
        figure.query = query
        check_positions(page, figure)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    figure.key = 25
    check_positions(page, figure)
    page.get_by_role("slider", name="base").press("ArrowLeft")
    figure.base = 7940.0
    assert page.get_by_role("slider", name="base").get_attribute("aria-valuetext") == "7,940"
    check_positions(page, figure)
    page.get_by_role("slider", name="width").press("ArrowRight")
    figure.width = 18
    check_positions(page, figure)
    page.get_by_label("sinusoidal", exact=True).focus()
    page.keyboard.press("ArrowRight")
    figure.kind = "rotary"
    check_positions(page, figure)
    page.wait_for_function(
        "text => document.querySelector('[aria-live]').textContent.startsWith(text)",
        arg="rotary, D 18, base 7940. Positions 0 and 25: dot product "
        + f"{figure.score():.3f}".replace("-", "−"),
    )


MARK = """rect => {
    const { x, y, width, height } = rect.getBoundingClientRect();
    return [x + width / 2, y + height / 2, width];
}"""


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["wide", "phone"])
def test_positions_follow_the_mouse(draw, size):
    figure = PositionsFigure(query=10, key=40)
    page = draw(figure, size=size)
    page.locator(".picture svg").scroll_into_view_if_needed()
    x, y, unit = page.locator(".mark.of-key").evaluate(MARK)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 5 * unit, y + 20, steps=3)
    page.mouse.up()
    page.mouse.move(x, y)  # let go: no longer follows
    figure.key = 45
    check_positions(page, figure)
    page.mouse.click(x - 25 * unit, y + 200)  # 15: nearer to the query
    figure.query = 15
    check_positions(page, figure)
    page.mouse.move(x - 25 * unit, y)
    page.mouse.down()
    page.mouse.move(x - 100 * unit, y)  # past the first position
    page.mouse.up()
    figure.query = 0
    check_positions(page, figure)


def test_positions_follow_a_finger(draw):
    figure = PositionsFigure(query=10, key=40)
    page = draw(figure, size=PHONE, touch=True)
    page.locator(".picture svg").scroll_into_view_if_needed()
    x, y, unit = page.locator(".mark.of-key").evaluate(MARK)
    page.touchscreen.tap(x + 8 * unit, y)
    page.wait_for_function("() => document.querySelector('dd.distance').textContent === '38'")
    figure.key = 48
    check_positions(page, figure)


@pytest.mark.parametrize("kind", ["sinusoidal", "rotary"])
def test_the_picture_is_that_of_the_vectors(draw, kind):
    """The heat map by its pixels, from blue over white to vermilion; the curve by its points."""
    figure = PositionsFigure(kind, width=6, longest=20, query=4, key=9)
    page = draw(figure)
    ((height, width, data),) = page.locator(".picture canvas").evaluate_all(PIXELS)
    shown, values = np.reshape(data, (height, width, 4))[..., :3], np.array(figure.rows).T
    assert shown.shape == (6, 20, 3)
    ends = np.where(values[..., None] < 0, (0, 114, 178), (213, 94, 0))
    want = 247 + abs(values)[..., None] * (ends - 247)
    np.testing.assert_allclose(shown, want, rtol=0, atol=1.1)
    path = page.locator(".picture .curve").get_attribute("d")
    points = np.array([[*map(float, pair.split())] for pair in path[1:].split(" L")])
    levels = page.locator(".picture :is(.axis, .zero)").evaluate_all(
        "all => all.map(e => e.y1.baseVal.value)"
    )  # 1, 0 and -1 times D/2
    curve = (levels[1] - points[:, 1]) / (levels[1] - levels[0]) * 3
    np.testing.assert_allclose(curve, figure.curve, rtol=0, atol=0.0051)
    for name, position in (("query", 4), ("key", 9)):
        middle = page.locator(f".picture .stem.of-{name}").evaluate("e => e.x1.baseVal.value")
        assert middle == pytest.approx(points[position, 0], abs=0.06)


# --- models


def check_models(page, figure):
    """Everything that the page shows."""
    shown = figure.sentences[figure.sentence]
    assert page.locator(".sentence").text_content() == shown["text"]
    says = page.locator(".says").all_text_contents()
    assert says == [each["text"] for each in shown["models"]]
    assert page.locator(".rows input:checked").get_attribute("value") == figure.model
    assert page.locator(".rows .means").first.text_content() == "no attention"
    assert page.locator(".without").is_visible() != figure.attends
    assert page.locator(".heatmap").is_visible() == figure.attends
    if not figure.attends:
        assert (
            page.locator(".without")
            .text_content()
            .startswith(f"{figure.model} has no attention: one vector for the whole sentence")
        )
        return
    chosen = next(each for each in shown["models"] if each["name"] == figure.model)
    np.testing.assert_allclose(rows(page), chosen["weights"], **SHOWN)
    t = min(figure.word, len(chosen["target"]) - 1)
    want, means = figure.numbers(t), figure.means()
    assert page.locator(".saying").text_content() == (
        f"{chosen['target'][t]} looks most at {want['best']}"
    )
    for name, value in (
        ("largest", want["largest"]),
        ("entropy", want["entropy"]),
        ("share", means["share"]),
        ("mean-entropy", means["entropy"]),
        ("ceiling", np.log(len(chosen["source"]))),
    ):
        assert number_at(page, f"dd.{name}") == pytest.approx(value, abs=0.00056)
    label = page.locator(".rows label:has(input:checked) .means").text_content()
    assert number(label.split()[-1]) == pytest.approx(means["share"], abs=0.00056)


def test_every_model_of_every_sentence(draw):
    figure = models()
    page = draw(figure)
    check_models(page, figure)
    for sentence in (0, 1):
        if sentence:
            page.get_by_label("Sentence", exact=True).select_option(index=1)
            figure.word, figure.sentence = 0, 1
            check_models(page, figure)
        for name in ("transformer", "fixed context", "Bahdanau"):
            page.get_by_role("radio", name=name).check()
            figure.word, figure.model = 0, name
            check_models(page, figure)
        page.locator(".heatmap .word").nth(2).hover()
        figure.word = 2
        check_models(page, figure)


def test_models_follow_the_keyboard(draw):
    figure = models()
    page = draw(figure)
    page.get_by_role("radio", name="fixed context").focus()
    page.keyboard.press("ArrowDown")
    figure.model = "Bahdanau"
    check_models(page, figure)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    figure.word = 1
    check_models(page, figure)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowDown")
    figure.word, figure.model = 0, "transformer"
    check_models(page, figure)
    heard = "text => document.querySelector('[aria-live]').textContent.startsWith(text)"
    page.wait_for_function(heard, arg="transformer: ")  # what is passed over quickly is not said
    page.keyboard.press("ArrowDown")  # around, to the first
    figure.model = "fixed context"
    check_models(page, figure)
    page.wait_for_function(heard, arg="fixed context has no attention")


def test_one_sentence_is_no_choice(draw):
    pair = models().sentences[0]["text"], {"one": translation("un .", ["a", "</s>"])}
    page = draw(ModelsFigure(*pair), HeadsFigure([looks(PAIRS[1])]))
    assert page.get_by_role("combobox").count() == 0


# --- the chapters


@pytest.mark.parametrize(
    "chapter, name",
    [
        ("book/08_self_attention", "positions"),
        ("book/09_transformer", "heads"),
        ("book/09_transformer", "models"),
    ],
)
def test_the_chapter_shows_it(open_page, from_all_sides, chapter, name):
    """What the notebook stored is what a reader of the page sees."""
    if chapter not in CHAPTERS:
        pytest.skip("the chapter is not written yet")
    notebook = json.loads((ROOT / f"{chapter}.ipynb").read_text("utf-8"))
    states = [json.loads(state) for state in stored(notebook, name)]
    page = open_page(f"{chapter}.html", PHONE)
    for _ in from_all_sides(page):
        drawn = page.locator(f".attn-{name}").all()
        assert len(drawn) == len(states) >= 1
        for figure, state in zip(drawn, states, strict=True):
            if name == "positions":
                want = PositionsFigure(**state).score()
                shown = figure.locator("dd.product").text_content()
                assert number(shown) == pytest.approx(want, abs=0.00051)
                continue
            if len(state["sentences"]) > 1:
                figure.get_by_label("Sentence", exact=True).select_option(index=1)
            shown = state["sentences"][min(1, len(state["sentences"]) - 1)]
            if name == "heads":
                figure.get_by_label(re.compile("on itself$")).check()
                words = figure.locator(".heatmap .token").all_text_contents()
                assert words == shown["source"]
                continue
            says = figure.locator(".says").all_text_contents()
            assert says == [each["text"] for each in shown["models"]]
            for each in shown["models"]:
                figure.get_by_role("radio", name=each["name"]).check()
                attends = any(map(any, each["weights"]))
                assert figure.locator(".without").is_visible() != attends
                if attends:
                    words = figure.locator(".heatmap .token").all_text_contents()
                    assert words == each["target"]
