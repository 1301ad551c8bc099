"""The notebooks for Colab: nothing of MyST is left in them, and each runs alone."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import alone
import colab
import colab_tex
import nbformat
import notebooks
import pytest
import yaml
from filelock import FileLock
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

ROOT = Path(__file__).parents[2]
CHAPTERS = [path.stem for path in notebooks.chapters()]
PAGES = [*CHAPTERS, "appendix/own"]  # of which each is a notebook of its own
chapter = pytest.mark.parametrize("name", PAGES)


def convert(root: Path, out: Path, run_python) -> subprocess.CompletedProcess:
    return run_python(ROOT / "book/_tools/colab.py", "--root", root, "--out", out, cwd=root)


@pytest.fixture(scope="session")
def sample(sample_book, tmp_path_factory, run_python) -> dict[str, nbformat.NotebookNode]:
    out = tmp_path_factory.mktemp("colab-sample")
    done = convert(sample_book, out, run_python)
    assert done.returncode == 0, done.stderr
    return {path.stem: nbformat.read(path, 4) for path in out.glob("book/*.ipynb")}


@pytest.fixture(scope="session")
def book(tmp_path_factory, run_python, worker_id) -> dict[str, nbformat.NotebookNode]:
    """The book's notebooks for Colab, converted once for all workers of a run."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared if worker_id == "master" else shared.parent
    out, done_before = shared / "colab-book", shared / "colab-book.done"
    with FileLock(shared / "colab-book.lock"):
        if not done_before.exists():
            done = convert(ROOT, out, run_python)
            assert done.returncode == 0, done.stderr
            done_before.touch()
    return {name: nbformat.read(out / "book" / f"{name}.ipynb", 4) for name in PAGES}


def test_assignments_are_the_released_ones_with_a_set_up_cell(tmp_path):
    released = {path.name: path for path in ROOT.glob("book/assignments/release/*/*.ipynb")}
    written = colab.assignments(ROOT, tmp_path)
    assert {path.name for path in written} == released.keys() and released
    for path in written:
        first, *cells = nbformat.read(path, 4).cells
        assert colab.requirement(colab.repository_url()) in first.source
        assert cells == nbformat.read(released[path.name], 4).cells


# --- no MyST is left ---

RAW = re.compile(
    r"\{[a-z][\w:-]*\}(?=`|$)"  # a role or a directive
    r"|^:::|^```\{|^\+\+\+|^%\s|^\([\w.:-]+\)=|^:[\w-]+:(\s|$)"  # a fence, break, comment, label
    r"|\[\^",  # a footnote
    re.MULTILINE,
)


def tokens(source: str) -> list:
    """Parse a cell as plain Markdown with formulas, which is what Colab does."""
    parser = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin)
    return [t for token in parser.parse(source) for t in (token, *(token.children or []))]


def raw_myst(notebook) -> list[str]:
    """Return what would stand in the notebook as raw MyST."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for token in tokens(cell.source):
                if token.type in ("text", "html_block", "html_inline"):
                    found += [match.group() for match in RAW.finditer(token.content)]
                if token.type == "fence" and token.info.startswith("{"):
                    found.append(token.info)
    return found


def formulas(notebook) -> list[str]:
    kinds = ("math_inline", "math_inline_double", "math_block", "math_block_label")
    cells = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    return [t.content for cell in cells for t in tokens(cell.source) if t.type in kinds]


def check_plain(notebook):
    """Check all that a reader in Colab would stumble over."""
    nbformat.validate(notebook)
    assert raw_myst(notebook) == []
    macros = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))
    macros = macros["sphinx"]["config"]["mathjax3_config"]["tex"]["macros"]
    for formula in formulas(notebook):
        assert not set(re.findall(r"\\([A-Za-z]+)", formula)) & {*macros, "class"}, formula
        assert "<" not in formula, formula
    text = alone.text_of(notebook)
    anchors = set(re.findall(r'<a id="([^"]+)"', text))
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors
    assert text.count("<details>") == text.count("</details>")
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


def check_setup(notebook):
    """Check that the first cell installs attnlib, and names the repository of _config.yml."""
    url = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))["repository"]["url"]
    first = notebook.cells[0]
    assert first.cell_type == "code"
    lines = [line for line in first.source.split("\n") if not line.startswith("#")]
    assert lines == [f'%pip install -q "attnlib[book] @ git+{url}"']


@pytest.mark.parametrize(
    "source",
    [
        "see {ref}`there`",
        "```{note}\nx\n```",
        ":::{tip}\nx\n:::",
        "% a comment",
        "(label)=",
        "a note[^1]",
        "+++",
        "<details>\n<summary>s</summary>\n\n{cite:t}`key`\n\n</details>",
        "> {eq}`x`",
    ],
)
def test_raw_myst_would_be_found(source):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(source)])
    assert raw_myst(notebook)


def test_plain_markdown_is_not_taken_for_myst():
    source = "The set {a}, `x{y}` and $\\mathrm{a}$.\n\n```python\nf'{a}`'\n```\n\n- (a) 5 % of it"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(source)])
    assert raw_myst(notebook) == []


@pytest.mark.slow
def test_the_sample_is_plain(sample):
    assert sorted(sample) == ["01_sample", "02_more"]
    for notebook in sample.values():
        check_plain(notebook)
        check_setup(notebook)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        "See [Fig. 1.2](#fig-01-weights), [(1.1)](#equation-eq-01-softmax)",
        "[The idea on three tokens](#sec-01-idea)",
        "/blob/colab/book/02_more.ipynb)",
        "/book/appendix/notation.html)",
        r"\$5, uses `a_b` and is 1 &lt; 2.",
        'An <font color="#0072B2">asker</font> costs',
        "> **What you will be able to do, *soon***\n>\n> - compute a softmax, as Bahdanau",
        "> 2. second, with $\\operatorname{softmax}({\\color{#0072B2}{q}}{\\color{#E69F00}{k}}",
        "The weights sum to one<sup>[1](#one)</sup>:",
        "\\in \\mathbb{R}, \\qquad 0 \\lt \\alpha_s \\tag{1.1}\n$$",
        "$$\n\\begin{aligned}\n{\\color{#0072B2}{q}} &= W x \\\\",
        "$$\n\\begin{aligned}\na &= b \\\\\nc &= d\n\\end{aligned} \\tag{1.2}\n$$",
        "**1.** Up to *rounding*.",
        "| dot | $q^\\top k$ | $a\\vert b$ |",
        "|---|---:|:---:|",
        "**Table 1.1.** Two rows.\n\n| a | b |",
        "[Table 1.1](#tab-01-two) is small.",
        "![One orange dot.](data:image/png;base64,",
        "**Fig. 1.1.** A picture from a file, Luong *et al.* ([2015](",
        "- **Term**: What it *means*.",
        "> A quotation.",
        "<summary><b>Note</b></summary>\n\nFolded away.",
        "<summary>Show <i>more</i></summary>\n\nHidden words.",
        "**Fig. 1.2.** The weights of [(1.1)](#equation-eq-01-softmax), on $e = (1, 2, 3)$.",
        "Bar chart of three attention weights: 0.09, 0.24 and 0.67.",
        "### Exercise 1.1 (Shift the scores)\n\nAdd 100 to every score",
        "<summary><b>Solution to Exercise 1.1 (Shift the scores)</b></summary>",
        "```python\nweights(scores + 100)\n```\n\n</details>",
        "### Exercise 1.2\n\nAs in [",
        "as Bahdanau *et al.* ([2015](#ref-bahdanau2015)) do",
        '## References\n\n- <a id="ref-bahdanau2015" name="ref-bahdanau2015"></a>Dzmitry Bahdanau',
    ],
)
def test_myst_becomes(sample, words):
    assert words in alone.text_of(sample["01_sample"])


@pytest.mark.slow
def test_a_chapter_without_a_list_of_references_gets_one(sample):
    text = alone.text_of(sample["02_more"])
    assert "Luong *et al.* ([2015](#ref-luong2015))" in text
    assert '\n## References\n\n- <a id="ref-luong2015" name="ref-luong2015"></a>' in text
    assert "/blob/colab/book/01_sample.ipynb" in text  # the figure of the other chapter


@pytest.mark.slow
def test_code_keeps_its_outputs_and_hidden_code_is_a_form(sample, sample_book):
    stored = nbformat.read(sample_book / "book" / "01_sample.ipynb", 4)
    stored = [cell for cell in stored.cells if cell.cell_type == "code"]
    cells = [c for c in sample["01_sample"].cells if c.cell_type == "code"][2:]  # set-up, files
    assert [cell.outputs for cell in cells[:-1]] == [cell.outputs for cell in stored[:-1]]
    assert cells[-1].outputs == []  # the page's twin of a figure is of no use in Colab
    assert [cell.metadata.get("cellView") for cell in cells] == [None, "form", "form", None]
    assert cells[1].source.startswith("#@title ")
    assert cells[1].source.split("\n", 1)[1] == stored[1].source
    assert "Fig. 1.2" in cells[2].source.split("\n")[0]


@pytest.mark.slow
def test_files_the_chapter_reads_travel_with_it(sample, tmp_path, monkeypatch):
    files = sample["01_sample"].cells[1]
    monkeypatch.chdir(tmp_path)
    exec(files.source)
    assert json.loads((tmp_path / "results" / "table.json").read_text()) == {"rows": [1, 2]}
    assert not any("Path(" in c.source for c in sample["02_more"].cells)


@pytest.mark.slow
def test_what_cannot_be_said_in_plain_markdown_is_an_error(sample_book, tmp_path, run_python):
    root = tmp_path / "book"
    shutil.copytree(sample_book, root)
    path = root / "book" / "02_more.ipynb"
    notebook = nbformat.read(path, 4)
    notebook.cells[0].source += "\n\n```{math}\n\\class{unheard-of}{x}\n```\n"
    nbformat.write(notebook, path)
    done = convert(root, tmp_path / "out", run_python)
    assert done.returncode != 0
    assert "no colour for the class unheard-of" in done.stderr


@pytest.mark.parametrize(
    "formula, plain",
    [
        (r"\softmax(e)", r"\operatorname{softmax}(e)"),
        (r"\R^{d}", r"\mathbb{R}^{d}"),
        (r"\query q", r"{\color{#0072B2}{q}}"),
        (r"\key{k_{\text{\{a\}}}}", r"{\color{#E69F00}{k_{\text{\{a\}}}}}"),
        (r"\both{\R}{y}", r"(\mathbb{R}, y)"),
        (r"\Rightarrow \frac{a}{b}", r"\Rightarrow \frac{a}{b}"),
    ],
)
def test_macros_are_written_out(formula, plain):
    macros = {
        "softmax": r"\operatorname{softmax}",
        "R": r"\mathbb{R}",
        "query": [r"\class{attn-query}{#1}", 1],
        "key": [r"\class{attn-key}{#1}", 1],
        "both": [r"(#1, #2)", 2],
    }
    assert colab_tex.expand(formula, macros) == plain


@pytest.mark.parametrize("formula", [r"\key{k", r"\key", r"\class{none}{x}"])
def test_a_macro_used_wrongly_is_an_error(formula):
    with pytest.raises(colab_tex.MarkupError):
        colab_tex.expand(formula, {"key": [r"\class{attn-key}{#1}", 1]})


# --- the chapters ---


@pytest.mark.slow
@chapter
def test_chapter_is_plain(book, name):
    check_plain(book[name])
    check_setup(book[name])


@pytest.mark.slow
@chapter
def test_every_code_cell_of_the_chapter_is_there(book, name):
    stored = nbformat.read(ROOT / "book" / f"{name}.ipynb", 4)
    code = [c.source for c in book[name].cells if c.cell_type == "code"]
    code = [re.sub(r"\A#@title .*\n", "", source) for source in code]
    wanted = [cell.source for cell in stored.cells if cell.cell_type == "code"]
    assert code[-len(wanted) :] == wanted


# --- each runs alone, in an empty folder, with only the wheel installed: alone.py, under nbval ---


def test_two_distributions_may_hold_the_same_file(tmp_path, monkeypatch):
    """As a CUDA build of torch has them: nvidia/__init__.py belongs to a dozen distributions."""
    site = tmp_path / "site-packages"
    for name in ("first", "second"):
        files = ("shared/__init__.py", f"shared/{name}/__init__.py")
        for file in files:
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            (site / file).write_text("", "utf8")
        about = site / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "RECORD").write_text("".join(f"{file},,\n" for file in files), "utf8")
    monkeypatch.syspath_prepend(site)
    for name in ("first", "second"):
        alone.link_distribution(name, tmp_path / "linked")
    linked = {str(p.parent.relative_to(tmp_path)) for p in tmp_path.glob("linked/**/__init__.py")}
    assert linked == {"linked/shared", "linked/shared/first", "linked/shared/second"}


EXERCISE = """\
### Exercise 1.1 (Double it)

```python
# check
assert double(2) == 4
```

<details>
<summary><b>Solution to Exercise 1.1 (Double it)</b></summary>

```python
def double(x):
    return 2 * x
print(double(start))
```

```text
6
```

</details>
"""


@pytest.mark.parametrize(
    "old, new, fails",
    [
        ("", "", None),
        ("2 * x", "3 * x", "9"),  # it prints what the page does not say
        ("print(double(start))", "print(6)", None),
        ("2 * x", "x + 3", AssertionError),  # it prints what it should, and the check fails
        ("double(start)", "double(begin)", NameError),
    ],
)
def test_a_solution_that_prints_something_else_or_fails_its_check_is_seen(old, new, fails):
    text = EXERCISE.replace(old, new) if old else EXERCISE
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    (cell,) = alone.solution_cells(notebook)
    names = {"start": 3}  # as a cell of the page has left it
    if fails is None:
        exec(cell.source, names)
    else:
        expected = fails if isinstance(fails, type) else AssertionError
        with pytest.raises(expected, match=None if isinstance(fails, type) else fails):
            exec(cell.source, names)
    assert "double" not in names  # each has a copy of the page's names


def test_a_check_needs_a_solution_with_code():
    text = EXERCISE[: EXERCISE.index("<details>")]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    with pytest.raises(AssertionError, match="no code"):
        alone.solution_cells(notebook)


def test_what_nbval_runs_has_the_stored_outputs_and_another_page_would_be_seen(book, tmp_path):
    name = CHAPTERS[0]
    stored = nbformat.read(ROOT / "book" / f"{name}.ipynb", 4)
    made = alone.laid_out(book[name], stored, tmp_path / "attnlib.whl", {})
    pages = [cell for cell in stored.cells if cell.cell_type == "code"]
    code = [cell for cell in made.cells if cell.cell_type == "code"]
    start = next(i for i, cell in enumerate(code) if cell.source.endswith(pages[0].source))
    for page, cell in zip(pages, code[start:]):
        assert cell.outputs == page.outputs
        assert cell.metadata.get("tags", []) == page.metadata.get("tags", [])
    assert sum(notebooks.IGNORED in cell.metadata.get("tags", []) for cell in code[start:]) == (
        sum(notebooks.IGNORED in page.metadata.get("tags", []) for page in pages)
        + len(alone.solutions(book[name]))
        + 1  # that no package was replaced
    )
    pages[-1].source += "\n1"
    with pytest.raises(AssertionError):
        alone.laid_out(book[name], stored, tmp_path / "attnlib.whl", {})


@chapter
def test_what_a_solution_quotes_is_in_the_library(book, name):
    for title, blocks in alone.solutions(book[name]).items():
        for code, _ in blocks:
            if quoted := alone.QUOTED.match(code):
                source = (ROOT / quoted.group(1)).read_text("utf-8")
                lines = [line.strip() for line in source.splitlines()]
                for line in code.splitlines()[1:]:
                    assert line.strip() in lines, f"{title}: {line}"
