"""Captions word by word in a real browser: stepped through by hand, its numbers are attnlib's."""

import io
import json
import re

import numpy as np
import pytest
from figure_page import CELLS, SHOWN, faults, in_a_notebook, module, number, stored
from PIL import Image
from site_map import CHAPTERS, PHONE, ROOT

from attnlib.data.scenes import Scenes
from attnlib.explore import Captioned, CaptionSteps
from attnlib.explore.caption_steps import described
from attnlib.metrics import pointing
from attnlib.metrics.pointing import Record

CHAPTER = "book/07_show_attend_tell"


def items(number=4):
    """Scenes with a true caption and attention by chance, the first words of some on the thing."""
    scenes, rng = Scenes("test"), np.random.default_rng(1)
    made = []
    for i in range(number):
        sample = scenes.sample(i)
        caption = sample.captions[0]
        weights = rng.dirichlet(np.full(64, 0.05), len(caption.words))
        things = caption.things
        if i % 3 == 2:  # false, and nobody knows what it means
            things = [()] * len(things)
        record = Record.of(caption.words, things, weights, sample.masks, (8, 8), true=i % 3 < 2)
        if i % 2:
            record = pointing.best(record)
        wrong = ("there is no <b>such</b> thing",) if i % 3 == 2 else ()
        made.append(Captioned(sample.image, record, wrong, described(sample.things)))
    return made


def alike():
    """Cells that share the most attention, a word without any, a caption nobody checked."""
    masks = np.zeros((2, 32, 64), bool)
    masks[0, :, :17] = masks[1, 5:9, 40:50] = True
    weights = [[0.4, 0.4, 0.1, 0.1], [0.25] * 4, [0] * 4, [0, 0, 1, 0]]
    named = [{0}, {0}, (), {0, 1}]
    record = Record.of(["one", "two", "of", "three"], named, weights, masks, (1, 4))
    image = np.zeros((32, 64, 3), np.uint8)
    image[masks.any(axis=0)] = 230, 90, 60
    return Captioned(image, record, title="Two boxes")


def compare(page, figure, made):
    """Everything that the page shows of the chosen word against attnlib's."""

    def text(selector):
        return page.locator(selector).text_content()

    record, t = made[figure.scene].record, figure.word
    hits, inside = pointing.hits(record), pointing.inside(record)
    blind = pointing.uniform(record)
    best = int(record.weights[t].argmax())
    columns = record.grid[1]

    chosen = page.locator(".word[aria-selected='true']")
    assert chosen.count() == 1 and chosen.locator("span").first.text_content() == record.words[t]
    assert text(".count") == f"word {t + 1} of {len(record.words)}"
    assert page.locator(".gallery input:checked").get_attribute("value") == str(figure.scene)
    assert text("dd.number") == str(len(record.things[t]))
    assert text("dd.cell") == f"row {best // columns + 1}, column {best % columns + 1}"
    assert number(text("dd.largest")) == pytest.approx(record.weights[t].max(), abs=0.00051)
    if hits[t] is None:
        assert {text("dd.hit"), text("dd.inside"), text("dd.uniform-hit")} == {"–"}
        known = any(record.things)
        told = "names nothing: no" if known else "is not marked: it is not known what it names"
        assert text(".saying").startswith(f"{record.words[t]} {told}")
    else:
        assert text("dd.hit") == ("yes" if hits[t] == 1 else "no")
        assert number(text("dd.inside")) == pytest.approx(inside[t], abs=0.00056)
        for selector, want in (
            ("dd.uniform-hit", pointing.hits(blind)[t]),
            ("dd.uniform-inside", pointing.inside(blind)[t]),
        ):
            assert number(text(selector)) == pytest.approx(want, abs=0.00056)
        sign, where = ("✓", "on") if hits[t] == 1 else ("✗", "not on")
        told = f"the most attended cell is {where} what it names"
        assert text(".saying") == f"{record.words[t]} {sign} {told}"
    marks = [hit for hit in hits if hit is not None]
    assert text("dd.mean-hit") == (f"{sum(marks):g} of {len(marks)}" if marks else "–")
    if marks:
        mean = pointing.mass_inside([record]).value
        assert number(text("dd.mean-inside")) == pytest.approx(mean, abs=0.00056)
    signs = page.locator(".word .sign").all_text_contents()
    assert signs == ["" if hit is None else "✓" if hit == 1 else "✗" for hit in hits]
    told = "This caption is true." if record.true else "This caption is false: "
    assert told in text(".whether")
    assert all(wrong in text(".whether") for wrong in made[figure.scene].wrong)

    # what is drawn
    cells = page.locator(".scenery rect.cell")
    most = page.locator(".scenery rect.over.most")
    dims = page.locator(".scenery .dim")
    outlines = page.locator(".scenery path.over")
    assert outlines.count() == (0 if figure.view == "picture" else len(record.things[t]))
    assert dims.count() == (figure.view == "thing")
    ticks = page.locator(".legend .ticks span").all_text_contents()
    if figure.view == "weights":
        # the scale ends where the word's largest weight is, and says so
        largest = float(ticks[-1])
        assert float(ticks[0]) == 0 and largest == pytest.approx(2 * float(ticks[1]), abs=0.0016)
        assert ticks[-1] in page.locator(".legend").get_attribute("aria-label")
        assert largest == pytest.approx(record.weights[t].max(), abs=0.00051)
        boxes = cells.evaluate_all(
            "all => all.map(e => ['x', 'y', 'width', 'height'].map(n => e[n].baseVal.value))"
        )
        weights = np.zeros(record.grid)
        size = np.divide(record.masks.shape[1:], record.grid)[::-1]  # width, height
        for x, y, width, height in boxes:
            column, row = int((x + width / 2) // size[0]), int((y + height / 2) // size[1])
            weights[row, column] = width * height  # an area is a weight
        assert 0.5 < weights.max() / np.prod(size) < 1  # and leaves some of the picture in view
        weights *= largest / weights.max()
        np.testing.assert_allclose(weights.ravel(), record.weights[t], **SHOWN)
        corner = most.evaluate_all("all => all.map(e => [e.x.baseVal.value, e.y.baseVal.value])")
        assert corner == [[best % columns * size[0], best // columns * size[1]]]
    else:
        assert cells.count() == most.count() == len(ticks) == 0
    if figure.view == "thing":
        on = pointing.cells_on(record.masks, record.grid)[sorted(record.things[t])].any(axis=0)
        assert page.locator("rect.on").count() == on.sum()

    # the tables
    rows = page.locator(".data").nth(1).locator("tbody tr").evaluate_all(CELLS)
    shown = np.array([[number(text) for text in row] for row in rows]).ravel()
    np.testing.assert_allclose(shown, record.weights[t], **SHOWN)
    rows = page.locator(".data").first.locator("tbody tr").evaluate_all(CELLS)
    assert len(rows) == len(record.words)
    for row, hit, share in zip(rows, hits, inside, strict=True):
        for shown, want in ((row[3], hit), (row[4], share)):
            assert (shown == "–") if want is None else abs(number(shown) - want) < 0.00056


def test_figure_is_sound(draw, from_all_sides, serious):
    figures = [CaptionSteps(items(8), word=1), CaptionSteps([alike()], view="thing")]
    page = draw(*figures, size=PHONE)
    assert faults(page, from_all_sides(page), serious) == []
    alts = page.locator(".thumb").evaluate_all("all => all.map(e => [e.alt, e.naturalWidth])")
    assert alts == [[f"{i + 1}: {item.title}", 64] for i, item in enumerate(items(8))]


def test_every_word_of_every_caption(draw):
    made = items()
    figure = CaptionSteps(made)
    page = draw(figure)
    for scene, item in enumerate(made):
        told = "true" if item.record.true else "false"
        name = re.compile(rf"^{scene + 1}: {item.title} \(caption {told}\)$")
        page.get_by_role("radio", name=name).check()
        figure.word, figure.scene = 0, scene
        for word in range(len(item.record.words)):
            page.locator(".word").nth(word).click()
            figure.word = word
            compare(page, figure, made)
    assert page.locator("attn-fig b").count() == 0  # what is false is text and never markup


def test_figure_follows_its_buttons(draw):
    made = items()
    figure = CaptionSteps(made, scene=1)
    page = draw(figure)
    back, on = (page.get_by_role("button", name=name) for name in ("Word before", "Next word"))
    last = len(made[1].record.words) - 1
    assert (back.get_attribute("aria-disabled"), on.get_attribute("aria-disabled")) == (
        "true",
        "false",
    )
    back.click(force=True)  # and no further
    compare(page, figure, made)
    for figure.word in range(1, last + 1):
        on.click()
        compare(page, figure, made)
    on.press("Enter")
    compare(page, figure, made)
    assert on.get_attribute("aria-disabled") == "true"
    assert on.evaluate("e => e === document.activeElement")
    back.click()
    figure.word = last - 1
    compare(page, figure, made)
    for label, view in ("what the word names", "thing"), ("nothing", "picture"):
        page.get_by_label(label, exact=True).check()
        figure.view = view
        compare(page, figure, made)
    page.get_by_label("attention", exact=True).check()
    figure.view = "weights"
    compare(page, figure, made)


def test_figure_follows_the_keyboard(draw):
    made = items()
    figure = CaptionSteps(made, scene=3)
    last = len(made[3].record.words) - 1
    page = draw(figure)
    page.locator(".gallery input:checked").focus()
    page.keyboard.press("Tab")
    keys = [("ArrowRight", 1), ("ArrowDown", 2), ("ArrowLeft", 1), ("End", last)]
    keys += [("ArrowRight", last), ("ArrowUp", last - 1), ("Home", 0), ("ArrowLeft", 0)]
    for key, word in keys:
        page.keyboard.press(key)
        figure.word = word
        compare(page, figure, made)
        assert page.evaluate("document.activeElement.getAttribute('aria-selected')") == "true"
    page.keyboard.press("ArrowRight")
    word = made[3].record.words[1]
    page.wait_for_function(
        "text => document.querySelector('[aria-live]').textContent.startsWith(text)",
        arg=f"{word}, word 2 of {last + 1}: the most attended cell is on what it names, ",
    )
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowLeft")  # another picture
    figure.word, figure.scene = 0, 2
    compare(page, figure, made)


def test_figure_follows_a_finger(draw):
    made = items()
    figure = CaptionSteps(made)
    page = draw(figure, size=PHONE, touch=True)
    page.locator(".gallery .pill").nth(1).tap()
    page.locator(".word").nth(1).tap()
    figure.scene, figure.word = 1, 1
    compare(page, figure, made)


def test_cells_that_share_the_most(draw):
    page = draw(CaptionSteps([alike()]))
    shown = {
        0: (
            "2 alike",
            "0.400",
            "0.500",
            "one ~ 1 of the 2 cells that share the most attention is on",
        ),
        1: (
            "4 alike",
            "0.250",
            "0.250",
            "two ~ 1 of the 4 cells that share the most attention is on",
        ),
        2: ("none", "0.000", "–", "of names nothing: no cell"),
        3: ("row 1, column 3", "1.000", "yes", "three ✓ the most attended cell is on what it"),
    }
    for word, (cell, largest, hit, saying) in shown.items():
        page.locator(".word").nth(word).click()
        found = [page.locator(f"dd.{name}").text_content() for name in ("cell", "largest", "hit")]
        assert found == [cell, largest, hit]
        assert page.locator(".saying").text_content().startswith(saying)
        assert page.locator("rect.over.most").count() == [2, 4, 0, 1][word]
    assert page.locator("dd.mean-hit").text_content() == "1.75 of 3"
    assert "Nobody checked" in page.locator(".whether").text_content()
    assert page.locator(".gallery").count() == 0  # one picture is no choice


def test_module_reads_the_masks(draw):
    figure = CaptionSteps(items())
    page = draw(figure)
    got = page.evaluate(
        """([{ pixels }, scenes]) =>
            scenes.map(({ masks }) => masks.map((mask) => pixels(mask).map(Number)))""",
        [module(page, "caption_steps"), figure.state()["scenes"]],
    )
    for item, masks in zip(items(), got, strict=True):
        np.testing.assert_array_equal(np.reshape(masks, item.record.masks.shape), item.record.masks)


def test_colours_have_the_scale_that_is_printed(draw):
    """A colour and an area tell a weight by the scale below, which ends at the word's largest."""
    masks = np.ones((1, 8, 24), bool)
    weights = [[0.5, 0.25, 0.25], [0.1, 0.2, 0.2], [0, 0, 1], [0, 0, 0]]
    named = [{0}] * 3 + [()]
    record = Record.of(["a", "b", "c", "d"], named, weights, masks, (1, 3))
    page = draw(CaptionSteps([Captioned(np.zeros((8, 24, 3), np.uint8), record)]))
    look = "all => all.map(e => [getComputedStyle(e).fill, e.width.baseVal.value])"
    yellow, middle = "rgb(253, 231, 37)", "rgb(33, 145, 140)"
    for word, (fills, scale) in enumerate(
        [
            ([yellow, middle, middle], ["0", "0.25", "0.5"]),
            ([middle, yellow, yellow], ["0", "0.1", "0.2"]),  # a scale of its own
            ([yellow], ["0", "0.5", "1"]),
            ([], []),
        ]
    ):
        page.locator(".word").nth(word).click()
        found = page.locator("rect.cell").evaluate_all(look)
        assert [fill for fill, _ in found] == fills
        assert page.locator(".legend .ticks span").all_text_contents() == scale
        for fill, side in found:  # half the weight has half the area
            want = max(width for _, width in found) * (1 if fill == yellow else 0.5**0.5)
            assert side == pytest.approx(want, rel=1e-3)


def test_pixels_stay_pixels(draw):
    """An enlarged image has the colours of its pixels, not of blends."""
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0] = image[1, 1] = 255
    record = Record.of(["dot"], [{0}], [[1.0]], np.ones((1, 2, 2), bool), (1, 1))
    page = draw(CaptionSteps([Captioned(image, record)], view="picture"))
    with Image.open(io.BytesIO(page.locator(".scenery").screenshot())) as shot:
        pixels = np.asarray(shot.convert("L"))
    inner = pixels[20:-20, 20:-20]  # its corners are round
    assert np.isin(inner, (0, 255)).mean() > 0.99
    assert inner[0, 0] == inner[-1, -1] == 255 and inner[0, -1] == inner[-1, 0] == 0


def test_kernel_may_change_everything_at_once(draw):
    """As a notebook does: all values are set before the first event, and a view leaves nothing."""
    figure = CaptionSteps(items())
    page = draw(figure)
    told = in_a_notebook(
        page,
        figure,
        {"scene": 1, "word": 3, "view": "thing"},
        "[el.querySelector('.count').textContent, el.querySelectorAll('.dim').length]",
        "el.querySelectorAll('.turns button')[1].click()",
    )
    words = len(items()[1].record.words)
    assert told.shown == [f"word 4 of {words}", 1]
    assert (told.state["scene"], told.state["word"], told.saved, told.left) == (1, 4, 1, 0)
    figure.set_state({"scene": 1, "word": words - 1})  # as a browser sends it
    assert figure.numbers()["things"] == sorted(items()[1].record.things[-1])


def test_figures_do_not_disturb_each_other(draw):
    made = items()
    page = draw(CaptionSteps(made), CaptionSteps(made))
    first, second = page.locator(".attn-captions").all()
    first.locator(".gallery input").nth(2).check()
    first.get_by_label("nothing", exact=True).check()
    first.get_by_role("button", name="Next word").click()
    assert second.locator(".count").text_content().startswith("word 1 of")
    assert second.locator(".gallery input").first.is_checked()
    assert second.get_by_label("attention", exact=True).is_checked()


@pytest.mark.skipif(CHAPTER not in CHAPTERS, reason="the chapter is not written yet")
def test_the_chapter_shows_it(open_page, from_all_sides):
    """What the notebook stored is what a reader of the page steps through, wide and narrow."""
    states = stored(json.loads((ROOT / f"{CHAPTER}.ipynb").read_text("utf-8")), "caption_steps")
    page = open_page(f"{CHAPTER}.html", PHONE)
    figures = page.locator(".attn-captions").all()
    assert len(figures) == len(states) >= 1
    for _, (_, scheme) in from_all_sides(page):
        for figure, state in zip(figures, map(json.loads, states), strict=True):
            for index, scene in enumerate(state["scenes"]):
                if scheme == "dark" and index > 1:
                    break  # colours change no number: two scenes will do
                if len(state["scenes"]) > 1:
                    figure.locator(".gallery label").nth(index).click()
                words = figure.locator(".word > span:first-child").all_text_contents()
                assert words == scene["words"]
                for t in range(len(words)):
                    figure.locator(".word").nth(t).click()
                    shown = figure.locator("dd.inside").text_content()
                    want = scene["inside"][t]
                    assert (shown == "–") if want is None else abs(number(shown) - want) < 0.00056
