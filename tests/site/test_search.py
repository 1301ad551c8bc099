"""The search leads to the section that a reader means, and marks the words there."""

import importlib
import re

import pytest
import yaml
from site_map import DESKTOP, HTML, PAGES, PHONE, ROOT
from sphinx.errors import ExtensionError

SYNONYMS = yaml.safe_load((ROOT / "book/_ext/synonyms.yml").read_text("utf-8"))
ARTICLE = """<nav>menu</nav><article><section class="x" id="the-page"><h1><span>1. </span>Looking
<a class="headerlink" href="#the-page">#</a></h1><p>A <strong>query</strong> asks<em>s</em>.</p>
<div class="cell"><div class="cell_input"><div class="highlight"><pre>softmax(scores)</pre></div>
</div><div class="cell_output"><pre>printed</pre></div></div>
<section id="weights"><span id="sec-weights"></span><h2>Weights</h2>
<p>They are <span class="math">\\(\\frac{a}{b}\\)</span>.</p><svg><text>drawn</text></svg>
<div class="solution dropdown admonition" id="sol-1"><p class="admonition-title">Solution</p>
<section id="solution-content"><p>It is 3.</p></section></div></section></section></article>"""


@pytest.fixture
def search(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))
    return importlib.import_module("attn_search")


def test_a_page_is_read_section_by_section(search):
    page, weights, solution = search.Page(ARTICLE).sections
    assert (page.anchor, page.title, page.text) == ("", "1. Looking", "A query askss.")
    assert page.terms == ["query"] and page.code == {"softmax", "scores"}
    assert (weights.anchor, weights.title, weights.text) == ("weights", "Weights", "They are a b.")
    assert "sec-weights" in weights.ids
    assert (solution.anchor, solution.kind, solution.text) == ("sol-1", "solution", "It is 3.")


def test_a_synonym_for_a_section_that_is_gone_fails_the_build(search):
    pages = {"book/01_page": ARTICLE}
    index = search.index_of(pages, {"book/01_page#sec-weights": ["Alpha"]})
    assert index["synonyms"] == {"alpha": [1]}
    with pytest.raises(ExtensionError, match="no section book/01_page#sec-gone"):
        search.index_of(pages, {"book/01_page#sec-gone": ["Alpha"]})


@pytest.fixture
def find(open_page):
    """The addresses that a search finds, best first."""
    page = open_page("search.html", over="file")
    script = """(queries) => queries.map((query) => {
        const { find, index } = attnSearch;
        return find(index, query).map(([, at]) => {
            const [page, anchor] = index.sections[at];
            return `${index.pages[page][0]}#${anchor}`;
        });
    })"""
    return lambda *queries: page.evaluate(script, list(queries))


def test_every_synonym_leads_to_its_section_first(site, search, find):
    def address(place: str) -> str:
        """Of a section, whichever of its names a synonym gives."""
        name, label = place.split("#")
        sections = search.Page((HTML / f"{name}.html").read_text("utf-8")).sections
        (anchor,) = [each.anchor for each in sections if label in each.ids]
        return f"{name}.html#{anchor}"

    wanted: dict[str, set[str]] = {}
    for place, words in SYNONYMS.items():
        for word in words:
            wanted.setdefault(word, set()).add(place)
    asked = {word: wanted[word] for words in SYNONYMS.values() for word in words[::3]}
    addresses = {place: address(place) for place in SYNONYMS}
    for (word, places), found in zip(asked.items(), find(*asked), strict=True):
        assert set(found[: len(places)]) == {addresses[place] for place in places}, word


def test_the_book_comes_before_its_reference(find):
    queries = ["local-p", "softmax", "beam search", "temperature", "mask", "What is a query?"]
    for query, found in zip(queries, find(*queries), strict=True):
        functions = ["appendix/api" in place for place in found]
        assert functions == sorted(functions), query
        assert re.match(r"book/\d", found[0]), query
    by_name = find("masked_softmax", "attnlib.scores", "attnlib.scores.AdditiveScore")
    assert "#attnlib.masks.masked_softmax" in by_name[0][1]  # after the section on masks
    assert [found[0].split("/")[-1] for found in by_name[1:]] == [
        "attnlib.scores.html#",
        "attnlib.scores.html#attnlib.scores.AdditiveScore",
    ]


def test_nothing_is_found_of_a_word_that_nobody_wrote(find):
    assert find("zyzzyva", "attention zyzzyva", "", "( * [") == [[], [], [], []]


@pytest.mark.parametrize("over", ["http", "file"])
def test_a_result_lands_on_its_section_with_the_words_marked(open_page, over):
    page = open_page("search.html?q=REINFORCE", over=over)
    result = page.locator("#search-results li").first
    assert "REINFORCE" in result.locator("p.context mark").first.inner_text()
    result.locator("a").click()
    page.wait_for_url("**/06_soft_hard.html*")
    page.locator("article mark.highlighted").first.wait_for()
    assert page.url.endswith("06_soft_hard.html#a-gradient-for-a-choice")
    page.wait_for_function(
        "() => Math.abs(document.getElementById('a-gradient-for-a-choice')"
        ".getBoundingClientRect().top) < 200"
    )
    assert page.locator("nav mark, attn-fig mark, svg mark").count() == 0
    text = page.locator("article").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("mark").count() == 0
    assert page.locator("article").inner_text() == text
    assert page.evaluate("localStorage.getItem('sphinx_highlight_terms')") is None


def test_a_result_in_a_folded_solution_opens_it(open_page):
    page = open_page("search.html?q=solution+one+step+late")
    page.locator("#search-results li a", has_text="Solution to Exercise").first.click()
    page.wait_for_url("**#book/*-solution-*")
    mark = page.locator("div.solution mark.highlighted").first
    mark.wait_for(state="visible")
    assert page.locator("details[open] div.solution, div.solution:visible").count() >= 1


@pytest.mark.parametrize(
    ("path", "size"), [("search.html", PHONE), ("book/appendix/notation.html", DESKTOP)]
)
def test_the_icon_leaves_the_words_alone(open_page, path, size):
    page = open_page(path, size=size)
    if path != "search.html":
        page.keyboard.press("Control+k")
    form = page.locator("form.bd-search:visible").first
    icon = form.locator(".fa-magnifying-glass").bounding_box()
    field = form.locator("input").bounding_box()
    assert icon["x"] + icon["width"] <= field["x"] + 1


@pytest.mark.parametrize("path", [*PAGES, "genindex.html"])
def test_no_page_carries_the_index(site, path):
    text = (HTML / path).read_text("utf-8")
    head = text[: text.index("</head>")]
    scripts = re.findall(r'<script[^>]*src="([^"]*)"', head)
    names = [script.split("/")[-1].split("?")[0] for script in scripts]
    assert "attn_marks.js" in names
    assert not {"searchindex.js", "searchtools.js", "language_data.js", "attn_sections.js"} & set(
        names
    )
