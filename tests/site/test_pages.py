"""Every page of the book, as a reader meets it: wide and narrow, light and dark, served or not."""

import functools
import importlib
import re
import types
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, unquote, urldefrag

import pytest
import yaml
from bs4 import BeautifulSoup, SoupStrainer
from site_map import API, CHAPTERS, GENERATED, HTML, MODULES, PAGES, PHONE, ROOT

OTHERS = ["genindex.html", "search.html"]

# Half of a chapter's elements are words of code. Their colour is that of their kind, on the ground
# of their block: three of a kind that are seen stay to be looked at, the others become plain text.
THREE_OF_A_KIND = """() => {
    const count = {};
    const words = [...document.querySelectorAll(".highlight pre span")];
    const seen = words.map((word) => word.checkVisibility());  // all, before the first is changed
    for (const [i, word] of words.entries()) {
        const kind = [word.className, word.closest(".highlight").parentElement.className].join();
        const enough = !seen[i] || (count[kind] ?? 0) === 3;
        if (enough && !word.children.length) word.replaceWith(word.textContent);
        else count[kind] = (count[kind] ?? 0) + 1;
    }
    document.querySelectorAll(".highlight pre").forEach((block) => block.normalize());
}"""


# What one part of a page says of another by its id: a label, a description, a pattern to be filled
# with. Sphinx's own duplicates (an anchor beside its heading) are of the text, not of these.
LOST = """() => {
    const named = ["for", "aria-describedby", "aria-labelledby", "aria-controls", "aria-owns"];
    const lost = [];
    for (const each of document.querySelectorAll("main *")) {
        for (const { name, value } of each.attributes) {
            const painted = [...value.matchAll(/url\\(#([^)]*)\\)/g)].map((found) => found[1]);
            const ids = named.includes(name) ? value.split(/\\s+/).filter(Boolean) : painted;
            for (const id of ids) {
                const found = document.querySelectorAll(`[id="${CSS.escape(id)}"]`).length;
                if (found !== 1) lost.push(`${name}="${value}" leads to ${found} elements`);
            }
        }
        if (/\\s/.test(each.id)) lost.push(`the id "${each.id}" has a space`);
    }
    return lost;
}"""

# axe takes most of the time of all tests: it looks at one page narrow and dark, at the next wide
# and light, for pages are made of the same parts. The API's pages are all made alike, from
# docstrings: of those after the first a browser opens every twelfth, narrow and dark, and
# `test_text_is_whole` and `test_internal_links_lead_somewhere` read them all.
AXE_LOOKS = ["phone, dark", "wide"]
ALIKE = [f"{name}.html" for name in GENERATED[1:]]
WRITTEN = [path for path in PAGES if path not in ALIKE]


@pytest.mark.parametrize("path", WRITTEN + ALIKE[::12] + OTHERS)
def test_page_is_sound(open_page, from_all_sides, serious, path):
    page = open_page(path, PHONE)
    axe_look = AXE_LOOKS[0 if path in ALIKE else (WRITTEN + OTHERS).index(path) % 2]
    page.evaluate(THREE_OF_A_KIND)
    faults = []
    for look, (_, scheme) in from_all_sides(page):
        if page.evaluate("document.documentElement.dataset.theme") != scheme:
            faults.append(f"{look}: not the {scheme} theme")
        width, room = page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        if width > room:
            faults.append(f"{look}: {width} pixels of content in {room}")
        headings = page.locator("main h1:visible").count()
        if headings != 1:
            faults.append(f"{look}: {headings} headings of the first level")
        if look == axe_look:
            faults += [f"{look}: {each}" for each in serious(page)]
    broken = page.evaluate(
        "[...document.images].filter((i) => i.complete && !i.naturalWidth).map((i) => i.src)"
    )
    faults += [f"no picture: {source}" for source in broken]
    faults += page.evaluate(LOST)
    if page.locator("mjx-merror").count():
        faults.append("a formula that MathJax cannot set")
    assert faults == []


@pytest.mark.parametrize("path", [*WRITTEN[::2], *OTHERS])
def test_page_opens_from_a_folder(open_page, path):
    page = open_page(path, over="file")
    assert page.locator("main h1:visible").count() == 1
    assert page.locator("mjx-merror").count() == 0
    if page.locator("main .math").count():
        assert page.locator("main mjx-container").count() >= 1


def test_print_cuts_no_line_of_code_and_no_picture(open_page):
    page = open_page("book/05_global_local.html")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 700, "height": 1000})
    cut = page.locator(".bd-article pre:visible").evaluate_all(
        "all => all.filter((each) => each.scrollWidth > each.clientWidth + 1).length"
    )
    assert cut == 0
    assert page.locator(".bd-article .copybtn:visible, .toggle-button:visible").count() == 0
    titles = page.locator("h1:visible").all_text_contents()
    assert len(titles) == 1 and titles[0].startswith("5. ")
    inside = "each => getComputedStyle(each).breakInside"
    for kind in ("figure", "attn-fig"):
        assert page.locator(f".bd-article {kind}").first.evaluate(inside) == "avoid"


def test_a_page_without_scripts_has_its_colours(browser, site):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "book/02_by_hand.html").as_uri())
    opaque = "each => getComputedStyle(each).backgroundColor"
    assert page.locator(".bd-header-article").evaluate(opaque) == "rgb(255, 255, 255)"
    assert page.locator("main mjx-container").count() > 100
    context.close()


def soup(path: str, *only: str) -> BeautifulSoup:
    """A page, or `only` some of its elements: the whole tree takes up to twenty times as long."""
    parse_only = SoupStrainer(only) if only else None
    return BeautifulSoup((HTML / path).read_text("utf-8"), "lxml", parse_only=parse_only)


@pytest.mark.parametrize("path", PAGES)
def test_text_is_whole(site, path):
    """Title, description, alt text; and no markup that was never rendered."""
    page = soup(path, "title", "meta", "article")
    assert page.title.get_text(strip=True)
    assert links(HTML / path).language == "en"
    assert len(page.find("meta", attrs={"name": "description"})["content"]) >= 40
    article = page.find("article")
    for image in article.find_all("img"):
        assert len(image.get("alt", "")) >= 15, f"alt text of {image.get('src', '')[:60]}"
    for code in article.find_all(["code", "pre", "script", "attn-fig"]):
        code.decompose()
    raw = re.findall(r"\{[a-z:_-]+\}`|`{3}|:{3}|\$\$|\[\^|\*\*\w[^*\n]*\*\*", article.get_text())
    assert raw == []


class Links(HTMLParser):
    """Language, anchors, links, what a page loads: a tree of a page takes ten times as long."""

    def __init__(self, path: Path):
        super().__init__()
        self.language, self.anchors, self.links, self.loads = "", set(), [], []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "html":
            self.language = attributes.get("lang")
        self.anchors.update({attributes.get("id"), attributes.get("name")})
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        loaded = tag in ("script", "img", "iframe", "link", "source")
        if loaded and attributes.get("rel") not in ("canonical", "license"):
            self.loads.append(attributes.get("src") or attributes.get("href") or "")


links = functools.cache(Links)


def test_no_page_names_another_site_to_load_from(site):
    loads = {path: links(HTML / path).loads for path in PAGES + OTHERS}
    assert all(loads.values())
    assert not [
        f"{path}: {url[:90]}"
        for path, urls in loads.items()
        for url in urls
        if re.match(r"(https?:)?//", url)
    ]


def test_internal_links_lead_somewhere(site):
    """Every page and every anchor that a page of ours links to is there."""
    paths = [path for path in HTML.rglob("*.html") if path.parent.name != "_static"]
    pages = {path.resolve(): links(path) for path in paths}
    assert sum(len(page.links) for page in pages.values()) > 100 * len(PAGES)
    broken = []
    for path, page in pages.items():
        for link in page.links:
            target, anchor = urldefrag(link)
            if re.match(r"[a-z]+:", target):
                continue
            found = (path.parent / unquote(target)).resolve() if target else path
            if found.is_dir():
                found /= "index.html"
            known = pages[found].anchors if found in pages else ()
            missing = anchor and found.suffix == ".html" and unquote(anchor) not in known
            if not found.exists() or missing:
                broken.append(f"{path.relative_to(HTML)}: {link}")
    assert broken == []


def test_every_reference_has_its_own_label(site):
    labels = [tag.get_text() for tag in soup("book/appendix/bibliography.html").select(".label")]
    entries = re.findall(r"^@\w+\{", (ROOT / "book/references.bib").read_text("utf-8"), re.M)
    assert len(labels) == len(set(labels)) == len(entries)


@pytest.mark.parametrize("name", MODULES)
def test_the_api_has_a_page_for_each_module(site, name):
    """With all that the module defines in public, and a link to it on the page above."""
    module = importlib.import_module(name)
    defined = {
        f"{name}.{each}"
        for each, value in vars(module).items()
        if not each.startswith("_")
        and isinstance(value, types.FunctionType | type)
        and value.__module__ == name
    }
    page = soup(f"{API}/{name}.html", "article")
    shown = {tag.get("id") for tag in page.select("article dt.sig")}
    assert not defined - shown
    assert f"api/{name}.html#module-{name}" in links(HTML / f"{API}.html").links


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_colab_button_opens_the_generated_notebook(site, chapter):
    address = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]["url"]
    found = links(HTML / f"{chapter}.html").links
    repository = address.removeprefix("https://github.com/")
    want = f"https://colab.research.google.com/github/{repository}/blob/colab/{chapter}.ipynb"
    assert want in found


def test_parts_follow_the_table_of_contents(site):
    found = [a["href"] for a in soup(PAGES[0]).select("nav.bd-links a") if a["href"] != "#"]
    assert [f"book/{link}" for link in found] == PAGES[1:]


def title(path: str) -> str:
    return soup(path, "h1").find("h1").get_text().rstrip("#").strip()


def test_search_finds_every_page_by_its_title(open_page):
    page = open_page("search.html", over="file")
    found = page.evaluate(
        """titles => titles.map((title) => attnSearch.find(attnSearch.index, title).map(
            ([, at]) => attnSearch.index.pages[attnSearch.index.sections[at][0]][0]))""",
        [title(path) for path in WRITTEN],
    )
    assert not [path for path, its in zip(WRITTEN, found, strict=True) if path not in its[:10]]


@pytest.mark.parametrize("over", ["http", "file"])
def test_search_shows_what_it_finds(open_page, over):
    path = WRITTEN[6]
    page = open_page(f"search.html?q={quote(title(path))}", over=over)
    results = page.locator("#search-results li a")
    results.first.wait_for()
    found = [link.get_attribute("href").split("#")[0].split("?")[0] for link in results.all()]
    assert path in found


def test_search_by_hand(open_page):
    """From any page: the keys, a word, the results; and a word that nobody wrote."""
    page = open_page("book/appendix/notation.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("softmax")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=softmax*")
    page.locator("#search-results li a").first.wait_for()
    assert "softmax" in page.locator("#search-results").inner_text().lower()
    page = open_page("search.html?q=zyzzyva")
    page.get_by_text("did not match any documents").wait_for()
    assert page.locator("#search-results li").count() == 0


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
