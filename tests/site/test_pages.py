"""Every page of the book, as a reader meets it: wide and narrow, light and dark, served or not."""

import re
from urllib.parse import quote, unquote, urldefrag

import pytest
import yaml
from bs4 import BeautifulSoup
from site_map import CHAPTERS, DESKTOP, FILES, HTML, PAGES, PHONE, ROOT

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


def soup(path: str) -> BeautifulSoup:
    return BeautifulSoup((HTML / path).read_text("utf-8"), "html.parser")


@pytest.mark.parametrize("path", PAGES)
def test_text_is_whole(site, path):
    """Title, description, alt text; and no markup that was never rendered."""
    page = soup(path)
    assert page.title.get_text(strip=True)
    assert page.html["lang"] == "en"
    assert len(page.find("meta", attrs={"name": "description"})["content"]) >= 40
    article = page.find("article")
    for image in article.find_all("img"):
        assert len(image.get("alt", "")) >= 15, f"alt text of {image.get('src', '')[:60]}"
    for code in article.find_all(["code", "pre", "script", "attn-fig"]):
        code.decompose()
    raw = re.findall(r"\{[a-z:_-]+\}`|`{3}|:{3}|\$\$|\[\^|\*\*\w[^*\n]*\*\*", article.get_text())
    assert raw == []


@pytest.mark.parametrize("path", PAGES + OTHERS)
def test_page_names_no_other_site_to_load_from(site, path):
    page = soup(path)
    loads = [
        tag.get("src") or tag.get("href")
        for tag in page.find_all(["script", "img", "iframe", "link", "source"])
        if tag.get("rel") not in (["canonical"], ["license"])
    ]
    assert [url for url in loads if url and re.match(r"(https?:)?//", url)] == []


def test_internal_links_lead_somewhere(site):
    """Every page and every anchor that a page of ours links to is there."""
    pages = {path.relative_to(HTML).as_posix(): None for path in HTML.rglob("*.html")}
    pages = {name: soup(name) for name in pages if not name.startswith("_static")}
    anchors = {
        name: {tag.get("id") or tag.get("name") for tag in page.find_all(True)}
        for name, page in pages.items()
    }
    broken = []
    for name, page in pages.items():
        for link in page.find_all("a", href=True):
            target, anchor = urldefrag(link["href"])
            if re.match(r"[a-z]+:", target):
                continue
            path = (HTML / name).parent / unquote(target) if target else HTML / name
            found = path.resolve()
            if found.is_dir():
                found /= "index.html"
            if not found.exists():
                broken.append(f"{name}: {link['href']}")
            elif anchor and found.suffix == ".html":
                there = anchors[found.relative_to(HTML.resolve()).as_posix()]
                if unquote(anchor) not in there:
                    broken.append(f"{name}: {link['href']}")
    assert broken == []


def test_every_reference_has_its_own_label(site):
    labels = [tag.get_text() for tag in soup("book/appendix/bibliography.html").select(".label")]
    entries = re.findall(r"^@\w+\{", (ROOT / "book/references.bib").read_text("utf-8"), re.M)
    assert len(labels) == len(set(labels)) == len(entries)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_colab_button_opens_the_generated_notebook(site, chapter):
    address = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]["url"]
    links = [a["href"] for a in soup(f"{chapter}.html").find_all("a", href=True)]
    repository = address.removeprefix("https://github.com/")
    want = f"https://colab.research.google.com/github/{repository}/blob/colab/{chapter}.ipynb"
    assert want in links


def test_parts_follow_the_table_of_contents(site):
    links = [a["href"] for a in soup(PAGES[0]).select("nav.bd-links a") if a["href"] != "#"]
    assert [f"book/{link}" for link in links] == PAGES[1:]


@pytest.mark.parametrize("over", ["http", "file"])
@pytest.mark.parametrize("name", FILES)
def test_search_finds_the_page_by_its_title(open_page, name, over):
    title = soup(f"{name}.html").find("h1").get_text().rstrip("#").strip()
    page = open_page(f"search.html?q={quote(title)}", over=over)
    results = page.locator("#search-results li a")
    results.first.wait_for()
    found = [link.get_attribute("href").split("#")[0].split("?")[0] for link in results.all()]
    assert f"{name}.html" in found


def test_search_by_hand(open_page):
    """From any page: the keys, a word, the results; and a word that nobody wrote."""
    page = open_page("book/appendix/notation.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("softmax")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=softmax*")
    page.locator("#search-results li a").first.wait_for()
    page = open_page("search.html?q=zyzzyva")
    page.get_by_text("did not match any documents").wait_for()


def test_colour_scheme_can_be_changed_and_is_kept(open_page):
    page = open_page(PAGES[0], scheme="dark")
    theme = "document.documentElement.dataset.theme"
    assert page.evaluate(theme) == "dark"
    while page.evaluate("document.documentElement.dataset.mode") != "light":
        page.locator("button.theme-switch-button:visible").first.click()
    assert page.evaluate(theme) == "light"
    page.reload()
    assert page.evaluate(theme) == "light"


def test_contents_open_on_a_phone(open_page):
    page = open_page(PAGES[0], PHONE)
    link = page.locator("nav.bd-links a", has_text="Notation").first
    assert not link.is_visible()
    page.locator("button.primary-toggle").click()
    link.click()
    page.wait_for_url("**/notation.html")
