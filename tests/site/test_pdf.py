"""The book as a PDF, by two of its pages: nothing cut, numbers, outline and links in order."""

import io
import re
from typing import NamedTuple

import headless
import offline
import pdf
import pytest
import yaml
from bs4 import BeautifulSoup
from pypdf import PdfReader
from site_map import FILES, HTML, ROOT

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
ENTRIES = list(pdf.entries(yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))))
CHAPTER, NOTATION = (
    next(entry for entry in ENTRIES if entry.name == name)
    for name in ("book/03b_alignment", "book/appendix/notation")
)
CUT = """all => all.filter((each) => each.scrollWidth > each.clientWidth + 1).length"""


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


class Bound(NamedTuple):
    """Some pages as a PDF; its texts; and how many blocks of code of the last one were cut."""

    reader: PdfReader
    texts: list[str]
    cut: int


def bound(browser, entries, solutions: bool = True) -> Bound:
    tab = browser.new_page()
    book = pdf.Book(tab, HTML, solutions)
    for entry in entries:
        book.add(entry)
    cut = tab.locator("pre:visible").evaluate_all(CUT)
    content = io.BytesIO()
    book.bind(CONFIG).write(content)
    tab.close()
    reader = PdfReader(content)
    return Bound(reader, [page.extract_text() for page in reader.pages], cut)


@pytest.fixture(scope="module")
def printed(browser, site):
    """A chapter after a page of the appendix."""
    return bound(browser, [NOTATION, CHAPTER._replace(depth=0)])


@pytest.fixture(scope="module")
def article(site):
    page = BeautifulSoup((HTML / f"{CHAPTER.name}.html").read_text("utf-8"), "html.parser")
    for folded in page.article.select("details.above-input"):
        folded.decompose()
    return page.article


def test_every_page_but_those_of_the_library_is_printed():
    names = [entry.name for entry in ENTRIES]
    assert names == [name for name in FILES if not name.startswith("book/appendix/api")]


def test_no_line_of_code_is_cut_or_broken(printed, article):
    lines = [line for pre in article.select("pre") for line in pre.get_text().splitlines()]
    found = {squeezed(line) for line in "\n".join(printed.texts).splitlines()}
    longest = sorted(lines, key=len)[-5:]
    assert printed.cut == 0 and len(longest[-1]) > 60
    assert [line for line in longest if squeezed(line) not in found] == []


def test_nothing_is_printed_that_is_to_be_pressed(printed):
    text = "".join(printed.texts)
    for words in ("Hide the", "Show the", "Click to", "Or one of these", "Start again"):
        assert words not in text


def test_solutions_are_printed_by_the_switch(browser, printed, article):
    solution = squeezed(article.select_one(".solution p:not(.admonition-title)").get_text())[:25]
    exercise = squeezed(article.select_one(".exercise p.admonition-title").get_text())
    without = bound(browser, [CHAPTER], solutions=False)
    for found, there in (printed, True), (without, False):
        text = squeezed("".join(found.texts))
        assert exercise in text
        assert (solution in text) == there


def test_pages_are_numbered_through_and_named(printed):
    reader = printed.reader
    labels = reader.page_labels
    before = labels.index("1")
    assert labels[0] == "i" and labels[before:] == [
        str(number + 1) for number in range(len(labels) - before)
    ]
    tops = {item.title: reader.get_destination_page_number(item) for item in top_of(reader)}
    (chapter,) = (title for title in tops if "alignment" in title)
    for number in range(before, len(labels)):
        lines = printed.texts[number].splitlines()
        assert labels[number] in lines, f"page {labels[number]} does not say so"
        if number > tops[chapter]:
            assert chapter in lines, f"page {labels[number]} does not name its chapter"
    contents = "".join(printed.texts).split("Contents", 1)[1]
    assert re.search(re.escape(chapter) + rf"\s*{labels[tops[chapter]]}\b", contents)


def top_of(reader: PdfReader) -> list:
    return [item for item in reader.outline if not isinstance(item, list)]


def test_the_outline_has_every_section(printed, article):
    def titles(items):
        for item in items:
            yield from titles(item) if isinstance(item, list) else [item.title]

    found = {squeezed(title) for title in titles(printed.reader.outline)}
    for heading in article.select("h2"):
        heading.select_one(".headerlink").decompose()
        assert squeezed(heading.get_text()) in found


def test_links_lead_into_the_book_or_to_the_published_site(printed):
    reader = printed.reader
    pages = {page.indirect_reference.idnum for page in reader.pages}
    addresses, inside = [], 0
    for page in reader.pages:
        for each in page.get("/Annots", ()):
            link = each.get_object()
            if "/Dest" in link:
                assert link["/Dest"][0].idnum in pages
                inside += 1
            else:
                addresses.append(link["/A"]["/URI"])
    assert inside > 20
    assert all(address.startswith(("https://", "mailto:")) for address in addresses)
    assert any(address.endswith("book/03_bahdanau.html") for address in addresses)


def test_fonts_are_in_the_file(printed):
    for page in printed.reader.pages:
        for font in page["/Resources"].get("/Font", {}).values():
            font = font.get_object()
            for each in font.get("/DescendantFonts", [font]):
                each = each.get_object()
                kinds = {"/FontFile", "/FontFile2", "/FontFile3"}
                if each["/Subtype"] != "/Type3":  # whose letters are drawn in the file
                    assert kinds & set(each["/FontDescriptor"]), each["/BaseFont"]


def test_what_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(pdf, "SITE", tmp_path)
    with pytest.raises(SystemExit, match=r"make pdf: there is no site in .*: run make book first"):
        pdf.main([])
    (tmp_path / "index.html").touch()
    monkeypatch.setattr(headless.shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match=r"make pdf: no Chromium here .*apt-get install chromium"):
        pdf.main([])


def test_the_switch_is_yes_or_no(capsys):
    with pytest.raises(SystemExit):
        pdf.main(["--solutions", "maybe"])
    assert "choose from" in capsys.readouterr().err


def test_the_first_page_leads_to_what_is_published(site):
    page = BeautifulSoup((HTML / f"{FILES[0]}.html").read_text("utf-8"), "html.parser")
    links = [link["href"] for link in page.article.select("p.attn-buttons a")]
    workflow = (ROOT / ".github/workflows/publish.yml").read_text("utf-8")
    for file in (pdf.PDF, offline.ZIP):
        assert [link for link in links if link.endswith(f"/{file.name}")]
        assert re.search(rf"cp .*{file.relative_to(ROOT)}.* _build/html/", workflow)
