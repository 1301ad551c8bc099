"""What search engines, shared links and browsers' tabs find; and what the book's pictures say."""

import functools
import http.server
import importlib
import re
import threading
import xml.etree.ElementTree as ET
from pathlib import Path
from urllib.parse import urlparse

import cards
import pytest
import yaml
from bs4 import BeautifulSoup
from PIL import Image
from playwright.sync_api import expect
from site_map import CHAPTERS, FILES, HTML, PAGES, ROOT
from sphinx.errors import ExtensionError

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
DRAWN = ["intro", *(Path(name).name for name in CHAPTERS if re.match(r"book/\d", name))]


@pytest.fixture
def found(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))
    return importlib.import_module("attn_found")


@pytest.fixture
def address(found) -> str:
    return CONFIG["html"].get("baseurl") or found.pages_url(CONFIG["repository"]["url"])


@functools.cache
def head(path: str) -> BeautifulSoup:
    text = (HTML / path).read_text("utf-8")
    return BeautifulSoup(text[: text.index("</head>")], "html.parser")


def properties(path: str) -> dict[str, str]:
    return {
        tag.get("property", tag.get("name")): tag["content"]
        for tag in head(path).find_all("meta", content=True)
    }


@pytest.mark.parametrize("path", PAGES)
def test_a_link_to_a_page_can_be_shown(site, address, path):
    """Canonical address, title, description, picture: each once, and the picture is there."""
    page, said = head(path), properties(path)
    assert [tag["href"] for tag in page.select('link[rel="canonical"]')] == [address + path]
    assert said["og:url"] == address + path
    assert len(page.select('meta[name="viewport"]')) == 1
    for name in ("og:title", "og:description", "og:image", "og:type", "twitter:card"):
        assert (
            len(page.find_all("meta", {"property": name}) or page.select(f'[name="{name}"]')) == 1
        )
        assert said[name], name
    assert said["og:description"] == said["description"]
    assert "<" not in said["og:title"] and not said["og:title"].endswith(" ")
    picture = said["og:image"].removeprefix(address)
    assert (HTML / picture).is_file(), picture
    name = Path(path).stem
    assert Path(picture).stem == (name if name in DRAWN else "intro")
    for icon in page.select('link[rel="icon"], link[rel="apple-touch-icon"]'):
        assert (HTML / path).parent.joinpath(icon["href"]).is_file()
    assert len(page.select('link[rel="apple-touch-icon"], link[type="image/png"]')) == 2


def test_no_two_pages_have_one_title(site):
    titles = [head(path).title.get_text() for path in PAGES]
    assert len(set(titles)) == len(titles)
    assert titles[0].count("Learning to Attend") == 1


def test_pages_that_are_no_documents_are_not_to_be_found(site):
    for path in ("search.html", "genindex.html"):
        assert properties(path)["robots"] == "noindex"
        assert "og:title" not in properties(path)


def test_the_map_for_search_engines_names_every_page(site, address):
    names = {"s": "http://www.sitemaps.org/schemas/sitemap/0.9"}
    urls = [each.text for each in ET.parse(HTML / "sitemap.xml").iterfind(".//s:loc", names)]
    assert sorted(urls) == sorted(address + path for path in PAGES)
    robots = (HTML / "robots.txt").read_text("utf-8")
    assert f"Sitemap: {address}sitemap.xml" in robots and "Disallow" not in robots


def test_the_first_page_leads_to_the_book_without_a_script(site):
    page = BeautifulSoup((HTML / "index.html").read_text("utf-8"), "html.parser")
    assert page.html["lang"] == "en" and page.title.get_text()
    assert page.body.a["href"] == PAGES[0]
    assert properties("index.html")["og:image"].endswith("/cards/intro.png")


class Published(http.server.SimpleHTTPRequestHandler):
    """The site as GitHub Pages serves it: below its name, with its own page for what is missing."""

    root = "/"

    def do_GET(self):
        path = urlparse(self.path).path
        self.path = "/" + path.removeprefix(self.root)
        if Path(self.translate_path(self.path)).is_file():
            return super().do_GET()
        body = (HTML / "404.html").read_bytes()
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("below", [True, False])
def test_a_missing_page_helps_at_any_depth(site, browser, address, below):
    root = urlparse(address).path if below else "/"
    handler = functools.partial(type("Here", (Published,), {"root": root}), directory=str(HTML))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        home = f"http://127.0.0.1:{server.server_port}{root}"
        for lost in ("nothing", "book/appendix/api/nothing.html"):
            assert page.goto(home + lost).status == 404
            links = page.locator("li a").evaluate_all("links => links.map((link) => link.href)")
            assert links == [f"{home}book/{name}.html" for name in DRAWN]
        page.get_by_role("searchbox").fill("softmax")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{home}search.html?q=softmax")
        page.close()
        server.shutdown()


def test_a_missing_page_works_from_a_folder(open_page):
    page = open_page("404.html", over="file")
    page.get_by_role("link").nth(1).click()
    page.wait_for_url(f"**/{PAGES[0]}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()


@pytest.mark.parametrize(
    ("repository", "pages"),
    [
        ("https://github.com/You/a-book", "https://you.github.io/a-book/"),
        ("https://github.com/you/book.git", "https://you.github.io/book/"),
        ("https://github.com/you/you.github.io", "https://you.github.io/"),
    ],
)
def test_the_address_is_that_of_the_repository(found, repository, pages):
    import colab

    assert found.pages_url(repository) == pages
    assert colab.pages_url(repository.removesuffix(".git")) == pages.rstrip("/")


def test_an_address_that_cannot_be_derived_must_be_given(found):
    with pytest.raises(ExtensionError, match="baseurl"):
        found.pages_url("https://example.org/you/book")


def test_a_description_ends_with_a_sentence_where_one_fits(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))
    pages = importlib.import_module("attn_pages")
    assert pages.cut("A score says how well a key matches. " * 6).endswith("a key matches.")
    long = pages.cut("word " * 60)
    assert long.endswith("word …") and len(long) <= pages.LONGEST + 2


# --- the cards


@pytest.mark.parametrize("name", DRAWN)
def test_a_card_is_its_chapters(name):
    """It says the chapter's own title and question, at a size that every site shows."""
    with Image.open(cards.CARDS / f"{name}.png") as image:
        assert image.size == (1200, 630)
        assert image.text["Description"] == cards.about(name), f"run: make cards ({name})"
    assert (cards.CARDS / f"{name}.png").stat().st_size <= cards.LARGEST
    for theme in ("light", "dark") if name != "intro" else ():
        path = cards.CARDS / f"{name}-{theme}.png"
        with Image.open(path) as image:
            assert image.size == cards.THUMB
        assert path.stat().st_size <= cards.LARGEST_THUMB


def test_there_are_no_other_cards():
    assert list(cards.FIGURES) == DRAWN
    assert len(list(cards.CARDS.iterdir())) == 3 * len(DRAWN) - 2


def test_a_figure_that_is_gone_is_named(monkeypatch):
    monkeypatch.setitem(cards.FIGURES, "04_luong", "fig-04-gone")
    with pytest.raises(ValueError, match="04_luong has no figure fig-04-gone"):
        cards.picture("04_luong")


def test_every_page_is_known(found):
    for name in FILES:
        card = found.card_of(name)
        assert card == (f"{Path(name).name}.png" if Path(name).name in DRAWN else "intro.png")
