"""The book's Sphinx extensions, where a built page cannot show that they would fail."""

import importlib
import json
from types import SimpleNamespace

import pytest
from site_map import HTML, MODULES, ROOT
from sphinx.errors import ExtensionError


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


def test_mathjax_of_another_version_fails_the_build(extension, tmp_path, monkeypatch):
    mathjax = extension("attn_mathjax")
    monkeypatch.setattr(mathjax, "WANTED", [*mathjax.WANTED, "moved.js"])
    with pytest.raises(ExtensionError, match=r"has no moved\.js"):
        mathjax.copy_mathjax(fake_app(tmp_path), None)


def test_the_figure_script_holds_every_file_once(extension, site):
    script = extension("attn_figures").script()
    assert "__SOURCES__" not in script
    for path in (ROOT / "attnlib" / "explore").glob("*.[mc]*s"):
        written = json.dumps({path.name: path.read_text("utf-8")})[1:-1].replace("</", "<\\/")
        assert script.count(written) == 1, path.name


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
