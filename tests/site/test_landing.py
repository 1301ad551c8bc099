"""The first page: where to start, what there is, and how to use it."""

import importlib
import re
from types import SimpleNamespace

import course
import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from docutils import nodes
from site_map import DESKTOP, HTML, PAGES, PHONE, ROOT
from sphinx.errors import ExtensionError

SOURCE = "\n".join(
    cell.source
    for cell in nbformat.read(ROOT / "book/intro.ipynb", 4).cells
    if cell.cell_type == "markdown"
)
TABLE = re.findall(r"(?m)^\| ([\d.]+?)\.? \{doc\}`(\w+)`: (.*\?) \| (\d+) \|$", SOURCE)


@pytest.fixture
def landing(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))
    return importlib.import_module("attn_landing")


@pytest.fixture(scope="module")
def article():
    return BeautifulSoup((HTML / PAGES[0]).read_text("utf-8"), "html.parser").article


def test_the_map_says_what_the_table_and_the_course_say(site, article):
    to_read = {chapter.page: chapter.read for chapter in course.CHAPTERS.values()}
    cards = article.select("ol.attn-map > li")
    assert len(cards) == len(TABLE) == len(to_read)
    for card, (number, name, question, minutes) in zip(cards, TABLE, strict=True):
        assert card.a["href"] == f"{name}.html"
        title, asked, time = (span.get_text() for span in card.select("span"))
        assert title.startswith(f"{number}. ") and asked == question
        assert time == f"{to_read[name]} minutes to read, {minutes} with its code"
        for image in card.select("img"):
            assert image["loading"] == "lazy" and (image["width"], image["height"]) == (
                "480",
                "300",
            )
            assert (HTML / "book" / image["src"]).is_file()
        assert len(card.select("img")) == 2


def test_nobody_misses_the_buttons(site, article):
    start, use = article.select("p.attn-buttons")
    assert [link.get_text() for link in start.select("a")] == ["Start reading", "Open in Colab"]
    words = [link.get_text() for link in use.select("a")]
    assert words == ["Run it", "Teach with it", "Cite it", "Licence", "Versions", "Offline", "PDF"]
    assert "·" not in start.get_text() + use.get_text()
    assert use.find_previous("h2").get_text().startswith("Use this book")


def test_the_entry_to_cite_is_that_of_the_citation_file():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    entry = " ".join(re.search(r"```bibtex\n(.*?)```", SOURCE, re.S)[1].split())
    for words in (
        f"title = {{{citation['title']}}}",
        f"author = {{{{{citation['authors'][0]['name']}}}}}",
        f"version = {{{citation['version']}}}",
        f"year = {{{citation['date-released'].year}}}",
        f"url = {{{citation['repository-code']}}}",
    ):
        assert words in re.sub(r" += ", " = ", entry)


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_the_first_screen_has_the_way_in(open_page, size, scheme):
    page = open_page(PAGES[0], size=size, scheme=scheme)
    box = page.get_by_role("link", name="Start reading").bounding_box()
    assert box["y"] + box["height"] <= size[1] and box["height"] >= 24
    shown = page.locator(f"ol.attn-map img.plot-{scheme}")
    assert shown.first.is_visible()
    assert page.locator("ol.attn-map img:visible").count() == len(TABLE)
    button = page.locator("div.highlight-bibtex button.copybtn")
    assert button.count() == 1


def test_a_row_that_is_none_fails_the_build(landing):
    with pytest.raises(ExtensionError, match="not like"):
        landing.card("01.html", "One vector", 50, 30, "../")


def test_the_table_becomes_the_map_on_a_page_and_nowhere_else(landing):
    """As Sphinx hands the first page over: columns, a head, and rows of resolved links."""
    link = nodes.reference("", "One vector", refuri="01_bottleneck.html")
    words = nodes.paragraph("", "", nodes.Text("1. "), link, nodes.Text(": How much fits?"))
    cells = nodes.entry("", words), nodes.entry("", nodes.paragraph(text="50"))
    titles = [nodes.entry("", nodes.paragraph(text=text)) for text in (landing.HEAD, "minutes")]
    head, body = nodes.thead("", nodes.row("", *titles)), nodes.tbody("", nodes.row("", *cells))
    columns = nodes.colspec(colwidth=50), nodes.colspec(colwidth=50)
    table = nodes.table("", nodes.tgroup("", *columns, head, body, cols=2))
    for builder, made in ("markdown", 0), ("html", 1):
        app = SimpleNamespace(
            builder=SimpleNamespace(format=builder), config=SimpleNamespace(root_doc="book/intro")
        )
        page = nodes.section("", table)
        landing.furnish(app, page, "book/intro")
        maps = list(page.findall(nodes.raw))
        assert len(maps) == made and bool(list(page.findall(nodes.table))) != bool(made)
    assert 'href="01_bottleneck.html"' in maps[0].astext()
    assert 'src="../_static/cards/01_bottleneck-light.png"' in maps[0].astext()
    assert "30 minutes to read, 50 with its code" in maps[0].astext()


def test_a_line_of_links_is_told_from_a_sentence(landing):
    def paragraph(*words):
        parts = [nodes.reference(text=w) if w.istitle() else nodes.Text(w) for w in words]
        return nodes.paragraph("", "", *parts)

    assert landing.is_line_of_links(paragraph("Start", " · ", "Open"))
    assert not landing.is_line_of_links(paragraph("see ", "Start", " · ", "Open"))
    assert not landing.is_line_of_links(paragraph("Start"))
    assert not landing.is_line_of_links(paragraph("Start", " and ", "Open"))
