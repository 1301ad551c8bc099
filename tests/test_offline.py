"""The site as a zip: all of it, in one folder, and the same bytes for the same site."""

import sys
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "book" / "_tools"))

import offline


@pytest.fixture
def site(tmp_path):
    site = tmp_path / "html"
    for name in ("index.html", "book/intro.html", "_static/a.png", "sitemap.xml", ".buildinfo"):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(f"this is {name}", "utf-8")
    return site


def test_all_that_a_reader_opens_is_in_one_folder(site, tmp_path):
    names = offline.pack(site, tmp_path / "book.zip")
    with zipfile.ZipFile(tmp_path / "book.zip") as file:
        assert file.namelist() == names
        assert file.read("learning-to-attend/book/intro.html") == b"this is book/intro.html"
        assert file.testzip() is None
    found = {name.removeprefix("learning-to-attend/") for name in names}
    assert found == {"index.html", "book/intro.html", "_static/a.png"}


def test_the_same_site_gives_the_same_bytes_and_never_holds_itself(site):
    offline.pack(site, site / "book.zip")
    first = (site / "book.zip").read_bytes()
    (site / "index.html").touch()
    assert "learning-to-attend/book.zip" not in offline.pack(site, site / "book.zip")
    assert (site / "book.zip").read_bytes() == first


def test_a_site_that_is_not_built_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="run make book first"):
        offline.pack(tmp_path, tmp_path / "book.zip")
