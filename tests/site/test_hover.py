"""Cards beside citations, equations and coloured letters: by pointer, keyboard and finger."""

import pytest
from playwright.sync_api import expect
from site_map import PHONE

PAGE = "book/03_bahdanau.html"
PAPER = "Neural machine translation by jointly learning to align and translate"
CITED = "article .bibtex-citation a"


@pytest.fixture
def page(open_page):
    return open_page(PAGE)


def rest_on(page, place):
    """Rest the pointer on an element, once the page has stopped moving to it."""
    place.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    place.hover()


def card(page):
    return page.get_by_role("tooltip")


def test_a_pointer_opens_it_stays_in_it_and_leaves(page):
    link = page.locator(CITED).first
    assert link.get_attribute("title") is None
    link.hover()
    expect(card(page)).to_contain_text(PAPER)
    assert link.get_attribute("aria-describedby") == card(page).get_attribute("id")
    beside, box = link.bounding_box(), card(page).bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= page.viewport_size["width"]
    assert not box["y"] < beside["y"] + beside["height"] / 2 < box["y"] + box["height"]
    card(page).get_by_role("link", name="https://arxiv.org/abs/1409.0473").hover()
    page.wait_for_timeout(600)
    expect(card(page)).to_be_visible()
    page.locator("h1:visible").hover()
    expect(card(page)).to_be_hidden()
    assert link.get_attribute("aria-describedby") is None


def test_keys_open_it_and_escape_shuts_it(page):
    page.locator("article p > a").first.focus()
    page.keyboard.press("Tab")
    expect(card(page)).to_contain_text(PAPER)
    page.keyboard.press("Escape")
    expect(card(page)).to_be_hidden()
    assert page.evaluate("document.activeElement.matches('.bibtex-citation a')")
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash.length > 1")


def test_an_equation_is_shown_where_it_is_named(page):
    link = page.locator('article a.reference[href="#equation-eq-03-additive"]').first
    rest_on(page, link)
    expect(card(page).locator("mjx-container")).to_have_count(1)
    equation = page.locator("#equation-eq-03-additive mjx-container mjx-math")
    shown = card(page).locator("mjx-math")
    assert shown.evaluate("(m) => m.outerHTML") == equation.evaluate("(m) => m.outerHTML")
    assert page.locator(".attn-card [id], .attn-card [tabindex]").count() == 0


@pytest.mark.parametrize("kind", ["query", "key", "value", "context"])
def test_a_coloured_letter_says_what_it_stands_for(open_page, kind):
    page = open_page("book/appendix/look.html")
    rest_on(page, page.locator(f"mjx-container .attn-{kind}").first)
    expect(card(page)).to_contain_text(f"{kind}: ")
    rest_on(page, page.locator(f".attn-word.attn-{kind}").first)
    expect(card(page)).to_contain_text(f"{kind}: ")


def test_a_finger_sees_it_first_and_follows_it_then(browser, served):
    context = browser.new_context(
        viewport={"width": PHONE[0], "height": PHONE[1]}, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    page.goto(f"{served}/{PAGE}")
    link = page.locator(CITED).first
    link.tap()
    expect(card(page)).to_contain_text(PAPER)
    assert page.evaluate("location.hash") == ""
    box = card(page).bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE[0]
    link.tap()
    page.wait_for_function("location.hash.length > 1")
    context.close()
