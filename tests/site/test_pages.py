"""Every page of the book, as a reader meets it: wide and narrow, light and dark, served or not."""

import pytest
from site_map import DESKTOP, PAGES, PHONE

OTHERS = ["genindex.html", "search.html"]
LOOKS = [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")]


@pytest.mark.parametrize("size, scheme", LOOKS, ids=["wide", "wide-dark", "phone", "phone-dark"])
@pytest.mark.parametrize("path", PAGES + OTHERS)
def test_page_is_sound(open_page, serious, path, size, scheme):
    page = open_page(path, size, scheme)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    width, room = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert width <= room, f"{width} pixels of content in {room}"
    broken = page.evaluate(
        "[...document.images].filter((i) => i.complete && !i.naturalWidth).map((i) => i.src)"
    )
    assert broken == []
    assert page.locator("mjx-merror").count() == 0
    assert page.locator("main h1:visible").count() == 1
    assert serious(page) == []


@pytest.mark.parametrize("path", PAGES + OTHERS)
def test_page_opens_from_a_folder(open_page, path):
    page = open_page(path, over="file")
    assert page.locator("main h1:visible").count() == 1
    assert page.locator("mjx-merror").count() == 0
    if page.locator("main .math").count():
        assert page.locator("main mjx-container").count() >= 1
