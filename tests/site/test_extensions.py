"""The book's Sphinx extensions, where a built page cannot show that they would fail."""

import base64
import gzip
import hashlib
import importlib
import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from PIL import Image
from site_map import CHAPTERS, HTML, MODULES, PHONE, ROOT
from sphinx.errors import ExtensionError

from attnlib.explore.figure import sources

LIGHT = 350_000  # bytes of a page and of all fonts, of which it asks for most
STYLES = re.compile(r'<link rel="stylesheet" href="([^"]+)">')
PICTURE = re.compile(r"data:image/[\w+]+;base64,[\w+/=]+")


@pytest.fixture
def extension(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))
    return importlib.import_module


def fake_app(folder):
    return SimpleNamespace(builder=SimpleNamespace(format="html"), outdir=str(folder))


def test_a_mend_with_nothing_to_mend_fails_the_build(extension, tmp_path):
    theme = extension("attn_theme")
    (tmp_path / "page.html").write_text("<html><body>another theme</body></html>")
    with pytest.raises(ExtensionError, match="nothing to mend in 1 pages"):
        theme.mend_pages(fake_app(tmp_path), None)


def test_scripts_that_can_wait_do(extension):
    theme = extension("attn_theme")
    page = (
        '<script src="../_static/doctools.js?v=1"></script><script src="a/design-tabs.js"></script>'
    )
    assert theme.hurried(page) == '<script defer src="../_static/doctools.js?v=1"></script>'


def test_pages_mended_before_are_left_alone(extension, tmp_path):
    theme = extension("attn_theme")
    page = f"<html><body></body></html>\n{theme.MENDED}\n"
    (tmp_path / "page.html").write_text(page)
    theme.mend_pages(fake_app(tmp_path), None)
    assert (tmp_path / "page.html").read_text() == page


def test_every_page_is_mended(extension, site):
    theme = extension("attn_theme")
    for path in (HTML / "book").rglob("*.html"):
        _, counts = theme.mend(path.read_text("utf-8"))
        assert sum(counts) == 0, path


def test_mathjax_of_another_version_fails_the_build(extension, monkeypatch):
    formulas = extension("attn_formulas")
    monkeypatch.setattr(formulas, "FIRST", "moved.js")
    with pytest.raises(ExtensionError, match=r"has no moved\.js"):
        formulas.package_folder()


def test_formulas_are_set_with_colours_and_mathml(extension):
    """In a thread of its own: the tests' browser has an event loop in this one."""
    formulas = extension("attn_formulas")

    def set_some():
        engine = formulas.mathjax(json.dumps({"query": [r"\class{attn-query}{#1}", 1]}))
        inline = r'<span class="math">\(\query{q}_t &lt; 1\)</span>'
        display = '<div class="math">\\[a\n\\]</div>'
        with pytest.raises(Exception, match="Missing close brace"):
            formulas.typeset(r'<span class="math">\(\frac{1\)</span>', engine)
        return formulas.typeset(inline, engine), formulas.typeset(display, engine)

    with ThreadPoolExecutor(1) as thread:
        inline, display = thread.submit(set_some).result()
    assert inline.startswith('<span class="math"><mjx-container') and r"\(" not in inline
    assert 'class="mjx-i attn-query"' in inline and "<mo>&lt;</mo>" in inline
    assert 'tabindex="0"' not in inline
    assert 'display="true"' in display and 'tabindex="0"' in display


def test_every_character_of_a_formula_has_its_rule_and_font(extension, site):
    """And no page is left with a formula to be set, or with MathJax to do it."""
    formulas = extension("attn_formulas")
    folder = HTML / formulas.FOLDER
    style = (folder / formulas.STYLE).read_text("utf-8")
    prelude = " ".join(each for each, _ in extension("attn_styles").statements(style))
    known = {each.replace(".", " ") for each in formulas.GLYPH.findall(prelude)}
    for name in re.findall(r"MathJax_[\w-]+\.woff2", style):
        assert 500 < (folder / name).stat().st_size < 20_000, name
    for path in (HTML / "book").glob("*.html"):
        page = path.read_text("utf-8")
        assert not set(formulas.GLYPH.findall(page)) - known, path
        assert not re.search(r'<script[^>]*mathjax|class="math[^>]*>\s*\\[(\[]', page), path
        styles = [(path.parent / name).resolve() for name in STYLES.findall(page)]
        assert len(styles) == 1, path  # attn_bundle
        there = f"/* vendor/mathjax/{formulas.STYLE} */" in styles[0].read_text("utf-8")
        assert there == ("<mjx-container" in page), path


def test_a_tall_sum_and_a_brace_are_drawn(open_page):
    page = open_page("book/02_by_hand.html")
    page.locator("mjx-c.mjx-c2211.TEX-S2").first.scroll_into_view_if_needed()
    page.wait_for_function(
        "[...document.fonts].some((f) => /S2/.test(f.family) && f.status === 'loaded')"
    )
    fonts = page.evaluate("[...document.fonts].map((each) => `${each.family} ${each.status}`)")
    assert "MJXTEX loaded" in fonts and "MJXZERO loaded" in fonts
    lost = [each for each in fonts if "error" in each]
    assert not [each for each in lost if "Like Literata" not in each]  # a reader has few of these
    width = "(c) => c.getBoundingClientRect().width"
    assert page.locator("mjx-c.mjx-c2211.TEX-S2").first.evaluate(width) > 15


def test_rules_are_split_as_a_browser_does(extension):
    split = extension("attn_styles").statements
    style = '@charset "x"; a::before{content:"}"} /* { */ @media (x){b{c:d} .e{f:g}} .h{}'
    assert [each.removeprefix("/* { */ ") for each, _ in split(style)] == [
        '@charset "x";',
        "a::before",
        "@media (x)",
        ".h",
    ]


def test_rules_of_classes_that_no_page_has_are_left_out(extension):
    trimmed = extension("attn_trim").trimmed
    style = ".a,.b>i{x:y}.b{x:y}@media print{.b{x:y}}:not(.b) .a{x:y}p{x:y}@font-face{x:y}"
    assert trimmed(style, {"a"}).split("\n") == [
        ".a{x:y}",
        ":not(.b) .a{x:y}",
        "p{x:y}",
        "@font-face{x:y}",
    ]


def test_a_chapter_is_light(extension, site):
    """Its styles, scripts and fonts as a server would send them, no pictures."""
    folder = HTML / "_static"
    fonts = sum(path.stat().st_size for path in (HTML / "vendor").rglob("*.woff2"))
    icons = [HTML / extension("attn_trim").ICONS / name for name in extension("attn_trim").FONTS]
    assert sum(path.stat().st_size for path in icons) < 10_000
    letters = [folder / "fonts" / name for name in extension("attn_trim").TEXT]
    assert not list(folder.rglob("fontawesome.js"))
    sizes = {}
    for chapter in CHAPTERS:
        path = HTML / f"{chapter}.html"
        page = path.read_text("utf-8")
        names = set(re.findall(r'(?:src|href)="([^"?]+\.(?:js|css))[?"]', page))
        names = {
            name for name in names if not re.search("searchindex|searchtools|language_data", name)
        }
        sent = len(gzip.compress(PICTURE.sub("", page).encode(), 6))
        files = [(path.parent / name).resolve() for name in names]
        sent += sum(len(gzip.compress(file.read_bytes(), 6)) for file in files)
        sizes[chapter] = sent + fonts + sum(font.stat().st_size for font in icons + letters)
    assert max(sizes.values()) <= LIGHT, sizes


def test_each_page_has_the_scripts_of_its_own_figures(extension, site):
    figures = extension("attn_figures")
    live = 0
    for path in (HTML / "book").rglob("*.html"):
        page = path.read_text("utf-8")
        there = re.findall(r"_static/(attn_figures[\w.]*\.js)", page)
        modules = set(re.findall(r'<attn-fig data-module="(\w+)"', page))
        assert there == (figures.needed(modules) if modules else []), path
        assert ("attn_figures.live.js" in there) == any("live" in name for name in modules)
        live += "attn_figures.live.js" in there
    assert live >= 3


def test_the_scripts_hold_every_file_once(extension):
    made = extension("attn_figures").scripts()
    assert list(made)[-1] == "attn_figures.js" and "__LOOK__" not in made["attn_figures.js"]
    drawn = sources()  # live.mjs with the engine in its place, the others as they are stored
    for path in (ROOT / "attnlib" / "explore").glob("*.[mc]*s"):
        written = json.dumps(drawn[path.name], ensure_ascii=path.suffix == ".css")
        assert sum(script.count(written) for script in made.values()) == 1, path.name


def test_two_papers_with_one_label_are_refused(extension):
    labels = extension("attn_references").AuthorYearLabels()

    def paper(year):
        person = SimpleNamespace(prelast_names=[], last_names=["Cho"])
        return SimpleNamespace(persons={"author": [person]}, fields={"year": year})

    assert labels.format_labels([paper("2014a"), paper("2014b")]) == ["Cho, 2014a", "Cho, 2014b"]
    with pytest.raises(ValueError, match="a letter"):
        labels.format_labels([paper("2014"), paper("2014")])


def test_pages_of_modules_that_are_gone_are_removed(extension, tmp_path):
    api = extension("attn_api")
    folder = tmp_path / api.FOLDER
    folder.mkdir(parents=True)
    (tmp_path / api.OVERVIEW).write_text("# API\n")
    (folder / "attnlib.gone.md").write_text("# attnlib.gone\n")
    app = SimpleNamespace(srcdir=str(tmp_path))
    api.write_pages(app, None)
    assert sorted(path.stem for path in folder.iterdir()) == MODULES
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    api.write_pages(app, None)  # and what has not changed is not written again
    assert times == {path: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_module_without_a_word_of_its_own_fails_the_build(extension, monkeypatch):
    api = extension("attn_api")
    monkeypatch.setattr(importlib.import_module("attnlib.masks"), "__doc__", None)
    with pytest.raises(ExtensionError, match=r"attnlib\.masks has no docstring"):
        api.page("attnlib.masks")


def a_picture(paper, colour):
    """A white picture with a band of one colour, as arrays are drawn."""
    pixels = np.full((60, 60, 3), 255)
    pixels[: int(60 * (1 - paper))] = colour
    return pixels


def test_a_plot_of_lines_is_told_from_a_picture(extension):
    plots = extension("attn_plots")
    assert plots.is_of_lines(a_picture(0.95, (0, 114, 178)))
    assert plots.is_of_lines(a_picture(0.6, (217, 234, 243)))  # a pale band
    assert not plots.is_of_lines(a_picture(0.6, (68, 1, 84)))  # a heat map on white
    assert not plots.is_of_lines(a_picture(0.1, (90, 90, 90)))  # a photograph fills its frame


def test_the_twin_turns_lightness_over_and_keeps_hues(extension):
    plots = extension("attn_plots")
    colours = np.array([[[255, 255, 255], [0, 0, 0], [0, 114, 178], [128, 128, 128]]])
    white, black, blue, grey = plots.turned(colours)[0].astype(int)
    assert set(white) == {round(255 * plots.GROUND)} and set(black) == {255}
    assert blue[2] > blue[1] > blue[0] and blue.sum() > 114 + 178
    assert np.ptp(grey) == 0 and abs(grey[0] - 136) < 3


def test_of_a_heat_map_only_the_paper_is_turned(extension, tmp_path):
    """And the ink on it; white numbers on the cells stay white."""
    plots = extension("attn_plots")
    pixels = np.full((60, 60, 3), 255, np.uint8)
    pixels[10:55, 10:55] = 68, 1, 84
    pixels[20:24, 20:24] = 255  # a number on a cell
    pixels[2:5, 2:5] = 0  # a label beside the cells
    Image.fromarray(pixels).save(tmp_path / "map.png")
    with Image.open(plots.twin_of(tmp_path / "map.png")) as twin:
        dark = np.asarray(twin)
    np.testing.assert_array_equal(dark[10:55, 10:55], pixels[10:55, 10:55])
    assert dark[0, 0].max() < 30 and dark[3, 3].min() == 255
    pixels[30:50, 30:50] = 120  # grey clutter, as scenes have it
    Image.fromarray(pixels).save(tmp_path / "scene.png")
    assert plots.twin_of(tmp_path / "scene.png") is None


SHOWN = re.compile(r'<img [^>]*src="[^"]*/_images/([^"/]+)"[^>]*>')


def test_every_plot_of_a_page_has_its_twin(extension, site):
    plots = extension("attn_plots")
    shown = 0
    for path in (HTML / "book").rglob("*.html"):
        for tag in SHOWN.finditer(path.read_text("utf-8")):
            assert "loading=" in tag[0], path
            picture = HTML / "_images" / tag[1]
            assert picture.exists() and picture.suffix == plots.PICTURE, tag[1]
            if 'class="plot-light"' in tag[0]:
                assert picture.with_name(picture.stem + plots.TWIN + plots.PICTURE).exists()
                shown += 1
    assert shown >= 10
    assert not list((HTML / "_images").glob("*.png"))


def test_a_page_shows_the_pixels_that_its_notebook_stores(site):
    notebook = json.loads((ROOT / "book/05_global_local.ipynb").read_text("utf-8"))
    stored = [
        base64.b64decode(output["data"]["image/png"])
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert stored
    for data in stored:
        name = f"{hashlib.sha256(data).hexdigest()}.webp"
        with Image.open(io.BytesIO(data)) as kept, Image.open(HTML / "_images" / name) as shown:
            np.testing.assert_array_equal(kept.convert("RGB"), shown.convert("RGB"))


def test_pictures_keep_their_shape_on_a_phone(open_page):
    page = open_page("book/07_show_attend_tell.html", size=PHONE)
    shapes = page.locator("div.cell_output img[src*='_images/']:visible").evaluate_all(
        "images => images.map((i) => [i.clientWidth / i.clientHeight, i.getAttribute('width')"
        " / i.getAttribute('height')])"
    )
    assert shapes
    for shown, stored in shapes:
        assert abs(shown / stored - 1) < 0.02


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_plot_is_shown_once_with_its_caption(open_page, scheme):
    page = open_page("book/06_soft_hard.html", scheme=scheme)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    figures = page.locator("figure:has(img.plot-light)")
    assert figures.count() >= 1
    for figure in figures.all():
        assert figure.locator("figcaption").is_visible()
        shown = [img.get_attribute("class") for img in figure.locator("img:visible").all()]
        assert shown == [f"plot-{scheme}"]


def test_text_has_a_face_of_its_own_with_every_letter_it_needs(extension, open_page):
    page = open_page("book/03_bahdanau.html", over="file")
    faces = page.evaluate(
        "[...document.fonts].filter((f) => f.family === 'Literata' && f.status === 'loaded')"
        ".map((f) => f.style)"
    )
    assert sorted(faces) == ["italic", "normal"]
    for name in extension("attn_trim").TEXT:
        path = HTML / "_static" / "fonts" / name
        assert path.stat().st_size < 30_000
        with TTFont(ROOT / "book/_static/fonts" / name) as whole, TTFont(path) as cut:
            has, could = cut.getBestCmap(), whole.getBestCmap()
            assert could.keys() & set(map(ord, page.inner_text("article"))) <= has.keys()


def test_the_page_of_the_look_shows_every_size_and_colour(site):
    """And no other: a variable that is gone may not be promised."""
    style = (ROOT / "book/_static/book.css").read_text("utf-8")
    root = re.search(r"^:root \{(.*?)^\}", style, re.S | re.M)[1]
    set_there = set(re.findall(r"^  (--attn-[\w-]+):", root, re.M))
    page = (HTML / "book/appendix/look.html").read_text("utf-8")
    shown = set(re.findall(r"<code[^>]*>(--attn-[\w-]+)</code>", page))
    assert shown == set_there - {"--attn-serif", "--attn-sans", "--attn-scale", "--attn-h4"}


@pytest.mark.parametrize("name", [*CHAPTERS, "book/appendix/autoencoder", "book/appendix/own"])
def test_the_notebook_to_download_installs_what_it_needs(site, name):
    page = (HTML / f"{name}.html").read_text("utf-8")
    address = f"_sources/{name}.ipynb"
    assert f'href="{"../" * name.count("/")}{address}"' in page
    notebook = json.loads((HTML / address).read_text("utf-8"))
    first = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert "%pip install" in "".join(first["source"])
    text = "".join(
        line for c in notebook["cells"] if c["cell_type"] == "markdown" for line in c["source"]
    )
    assert "{cite" not in text and "```{" not in text
    entries = re.findall(r'name="ref-\w+"></a>(.{30})(.*)', text)
    assert not [start for start, rest in entries if start in rest]


def test_addresses_in_a_style_sheet_move_with_it(extension):
    moved = extension("attn_bundle").moved
    style = "a{b:url(../vendor/x.woff2?v=1)}c{d:url('data:image/png;base64,aa')}e{f:url(\"g.svg\")}"
    assert moved(style, "_static/styles") == (
        "a{b:url(\"vendor/x.woff2?v=1\")}c{d:url('data:image/png;base64,aa')}"
        'e{f:url("styles/g.svg")}'
    )


def test_every_address_in_a_style_sheet_leads_to_a_file(extension, site):
    addresses = extension("attn_bundle").ADDRESS
    bundles = list((HTML / "_static").glob("bundle-*.css"))
    assert 1 <= len(bundles) <= 4
    for path in bundles:
        found = {each[1] for each in addresses.findall(path.read_text("utf-8"))}
        lost = {name for name in found if not (path.parent / name).exists()}
        assert found and not lost


def test_what_a_style_sheet_imports_stands_in_its_place(extension, tmp_path):
    (tmp_path / "_static/styles").mkdir(parents=True)
    (tmp_path / "_static/base.css").write_text("a{b:url(x.svg)}", "utf-8")
    style = '@charset "UTF-8";@import "../base.css";c{d:url(../y.svg)}'
    (tmp_path / "_static/styles/theme.css").write_text(style, "utf-8")
    made = extension("attn_bundle").bundled(["_static/styles/theme.css"], tmp_path)
    made = re.sub(r"/\*.*?\*/\s*", "", made)
    assert made == 'a{b:url("x.svg")}c{d:url("y.svg")}'
