"""The decks of slides: made of a chapter's page, turned by keys, complete without a network."""

import re

import pytest
from bs4 import BeautifulSoup
from site_map import CHAPTERS, HTML, PHONE

DECKS = [
    f"slides/{name.rsplit('/', 1)[1]}.html" for name in CHAPTERS if re.match(r"book/\d\d", name)
]
SHOWN = "section.slide.shown"
SMALLEST = 0.55  # of what the script may shrink; the smallest is a map of 30 words by 32
STAGE = "Math.round(document.querySelector('section.slide').getBoundingClientRect().width)"

# Whatever is on no slide's stage, too small, or missing; a stage is 1280 pixels wide and magnified.
FAULTS = """(smallest) => [...document.querySelectorAll("section.slide")].flatMap((slide) => {
    const body = slide.querySelector(".slide-body"), stage = slide.getBoundingClientRect();
    const parts = [...body.querySelectorAll("figure > *, .part > *, attn-fig > *")];
    const boxes = parts.map((part) => part.getBoundingClientRect()).filter((box) => box.width > 0);
    const over = (box) => box.left < stage.left || box.right > stage.right
        || box.bottom > stage.bottom - 40 * stage.width / 1280;
    const shrunk = Number(body.querySelector("attn-fig, .part")?.style.zoom || 1);
    const figure = body.querySelector("attn-fig"), caption = body.querySelector("figcaption");
    const bottom = figure?.getBoundingClientRect().bottom ?? 0;
    return [
        [boxes.length > 0, "is empty"],
        [body.scrollHeight <= body.clientHeight + 1, "is too high"],
        [body.scrollWidth <= body.clientWidth + 1, "is too wide"],
        [!boxes.some(over), "runs off"],
        [!caption || bottom <= caption.getBoundingClientRect().top + 1, "covers its caption"],
        [shrunk >= smallest, `is shrunk to ${shrunk}`],
    ].flatMap(([right, fault]) => (right ? [] : [`slide ${slide.id} ${fault}`]));
})"""


@pytest.mark.parametrize("deck", DECKS)
def test_a_deck_holds_what_its_chapter_shows(site, deck):
    """Goals, every figure, every question, summary and exercises, in the chapter's order."""
    slides = BeautifulSoup((HTML / deck).read_text("utf-8"), "html.parser")
    path = HTML / deck.replace("slides/", "book/")
    page = BeautifulSoup(path.read_text("utf-8"), "html.parser").find("article")
    figures = [each["id"] for each in page.select("figure[id]")]
    assert [each["id"] for each in slides.select("figure[id]")] == figures
    quiz = 'attn-fig[data-module="quiz"]'
    assert len(slides.select(quiz)) == len(page.select(quiz)) >= 2
    titles = [slide.find(["h1", "h2"]).get_text() for slide in slides.select("section.slide")]
    assert len(titles) >= 12
    assert titles[0] in page.find("h1").get_text()
    summarised = any("Summary" in heading.get_text() for heading in page.select("h2"))
    assert ("Summary" in titles) == summarised
    assert not slides.select("details")  # a result to be predicted is shown, on a slide of its own
    assert titles[-1] == "Exercises"
    assert len(slides.select("section.slide:last-child tr")) == len(page.select("div.exercise"))


def test_slides_are_turned_by_keys_and_buttons(open_page):
    page = open_page(DECKS[2])
    number = page.locator(".deck-nav output")
    last = page.locator("section.slide").count()
    assert number.text_content() == f"1 of {last}"
    for key, want in [("ArrowRight", 2), ("Space", 3), ("ArrowLeft", 2), ("End", last),
                      ("ArrowRight", last), ("Home", 1), ("ArrowLeft", 1)]:  # fmt: skip
        page.keyboard.press(key)
        assert number.text_content() == f"{want} of {last}"
        assert page.locator(SHOWN).count() == 1
        assert page.evaluate("location.hash") == f"#{want}"
    page.get_by_role("button", name="Next slide").click()
    assert number.text_content() == f"2 of {last}"
    assert page.locator(SHOWN).locator("figure").is_visible()


def test_a_figure_plays_on_its_slide(open_page):
    page = open_page(DECKS[2], over="file")
    question = page.locator('attn-fig[data-module="quiz"]').first
    slide = question.locator("xpath=ancestor::section[contains(@class, 'slide')]")
    page.evaluate("hash => { location.hash = hash; }", f"#{slide.get_attribute('id')}")
    question.locator("label").first.click()
    assert slide.get_attribute("class") == "slide shown"  # and no key or click turned it over


@pytest.mark.parametrize("deck", DECKS)
def test_every_slide_fits_a_projector(open_page, deck):
    """Nothing runs off, is empty, covers its caption, or is too small to be read."""
    page = open_page(deck, size=(1280, 720))
    sizes = [(1280, 720), (1920, 1080)][: 1 + (DECKS.index(deck) % 3 == 0)]  # magnified alike
    for width, height in sizes:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function(f"{STAGE} === {width}")
        assert page.evaluate(FAULTS, SMALLEST) == [], width


@pytest.mark.parametrize("deck", DECKS[1:6:4])  # to print the longest takes a browser a minute
def test_every_slide_is_one_printed_page(open_page, deck):
    page = open_page(deck, size=(1280, 720))
    printed = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == page.locator("section.slide").count()


def test_a_result_to_be_predicted_has_a_slide_that_asks(site):
    slides = BeautifulSoup(
        (HTML / "slides/08_self_attention.html").read_text("utf-8"), "html.parser"
    )
    asked = slides.find(id="fig-08-root").find_parent("section").find_previous_sibling("section")
    assert asked.get_text(" ").count("Predict") == 1


@pytest.mark.parametrize("size", [(1280, 720), PHONE])
def test_every_slide_fits_its_width_and_is_sound(open_page, serious, size):
    page = open_page(DECKS[2], size=size)
    faults = []
    for number in range(page.locator("section.slide").count()):
        page.evaluate("hash => { location.hash = hash; }", f"#{number + 1}")
        page.wait_for_function(f"document.querySelector('{SHOWN}').id === '{number + 1}'")
        width, room = page.evaluate(
            f"(() => {{ const s = document.querySelector('{SHOWN}');"
            " return [s.scrollWidth, s.clientWidth]; })()"
        )
        if width > room:
            faults.append(f"slide {number + 1}: {width} pixels in {room}")
    assert faults + serious(page) == []
