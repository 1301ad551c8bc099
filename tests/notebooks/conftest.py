"""A small book with two sample chapters, executed once, for the tests of the book's tools."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parent / "data"
TOOLS = ROOT / "book" / "_tools"
sys.path.insert(0, str(TOOLS))

TOC = """\
format: jb-book
root: book/intro
parts:
  - caption: Samples
    numbered: true
    chapters:
      - file: book/01_sample
      - file: book/02_more
  - caption: Appendices
    chapters:
      - file: book/appendix/notation
      - file: book/appendix/bibliography
"""


def python(*arguments, **options) -> subprocess.CompletedProcess:
    """Run this Python on a script, or with other arguments, and keep what it prints."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, **options)


@pytest.fixture(scope="session")
def run_python():
    return python


@pytest.fixture(scope="session")
def sample_book(tmp_path_factory) -> Path:
    """A book with the real configuration and two sample chapters, converted and executed."""
    import jupytext
    import nbformat
    import notebooks
    from PIL import Image

    root = tmp_path_factory.mktemp("sample")
    book = root / "book"
    shutil.copytree(ROOT / "book" / "_static", book / "_static")
    shutil.copytree(ROOT / "book" / "_ext", book / "_ext")
    shutil.copy(ROOT / "_config.yml", root)
    shutil.copy(ROOT / "book" / "references.bib", book)
    (root / "_toc.yml").write_text(TOC, "utf8")
    (book / "intro.md").write_text("# The sample\n\nA book of two chapters.\n", "utf8")
    (book / "appendix").mkdir()
    (book / "appendix" / "notation.md").write_text("# Notation\n\nNone.\n", "utf8")
    bibliography = "# Bibliography\n\n```{bibliography}\n```\n"
    (book / "appendix" / "bibliography.md").write_text(bibliography, "utf8")
    (book / "results").mkdir()
    (book / "results" / "table.json").write_text('{"rows": [1, 2]}\n', "utf8")
    Image.new("RGB", (8, 8), "#E69F00").save(book / "_static" / "dot.png")
    for name in ("01_sample", "02_more"):
        notebook = jupytext.read(DATA / f"{name}.md")
        nbformat.write(notebook, book / f"{name}.ipynb")
        notebooks.run(book / f"{name}.ipynb")
    return root
