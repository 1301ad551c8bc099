"""The stored chapters are what the reader was promised, and nobody can change a number unseen.

nbval runs the chapters themselves (`make test`); here is what it does not look at, and the proof
that it does look: a wrong number, a missing picture and a broken formula are planted and found.
"""

import base64
import io
import json
import os
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import compare
import nbformat
import notebooks
import numpy as np
import pytest
import yaml
from PIL import Image
from pybtex.database import parse_file
from reading import CHAPTERS, chapter, citations, code_cells, directives, markdown, prose

ROOT = Path(__file__).parents[2]
SANITIZE = ROOT / "tests" / "notebooks" / "sanitize.cfg"
MACHINE_PATH = re.compile(r"/home/|/root/|/tmp/|/Users/|[A-Z]:\\\\|site-packages|/dist-packages")
SKIPS = {"nbval-skip", "nbval-ignore-output", "skip-execution"}


# --- the chapters ---


def test_the_contents_name_every_chapter():
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text("utf8"))
    pages = [page for part in contents["parts"] for page in part["chapters"]]
    names = [each.get("file", "") for page in pages for each in [page, *page.get("sections", [])]]
    named = [name for name in names if re.match(r"book/\d\d[a-z]?_", name)]
    assert named == [f"book/{path.stem}" for path in CHAPTERS]


def test_the_introduction_lists_every_chapter_with_its_minutes():
    text = "\n".join(
        cell.source
        for cell in nbformat.read(ROOT / "book/intro.ipynb", 4).cells
        if cell.cell_type == "markdown"
    )
    listed = re.findall(r"(?m)^\|.*\{doc\}`(\w+)`: .*\? \| (\d+) \|$", text)
    assert [name for name, _ in listed] == [path.stem for path in CHAPTERS]
    assert all(15 <= int(minutes) <= 90 for _, minutes in listed)


@chapter
def test_stored_in_normal_form(path):
    text = path.read_text("utf8")
    normal = nbformat.writes(notebooks.normalise(nbformat.reads(text, 4))) + "\n"
    assert text == normal, "run: python book/_tools/notebooks.py " + path.name


@chapter
def test_every_code_cell_ran_in_order_without_error(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", f"a warning is stored below:\n{cell.source}"


@chapter
def test_few_cells_are_skipped_each_with_a_reason(path):
    skipped = []
    for cell in code_cells(path):
        assert not re.search(r"#\s*(NBVAL_|PYTEST_VALIDATE)", cell.source), "use a cell tag"
        for tag in SKIPS & set(cell.metadata.get("tags", [])):
            skipped.append(cell)
            assert re.search(rf"# {tag}: \w+", cell.source), f"no reason beside {tag}"
    assert len(skipped) <= 2


@chapter
def test_few_cells_are_compared_by_their_numbers_and_all_have_some(path):
    cells = [c for c in code_cells(path) if compare.TAG in c.metadata.get("tags", [])]
    assert len(cells) <= 3
    for cell in cells:
        shown = [o.get("text", "") + str(o.get("data", "")) for o in cell.outputs]
        assert any(compare.NUMBER.search(text) for text in shown), cell.source


@chapter
def test_every_picture_has_a_name_a_caption_and_words_for_who_cannot_see_it(path):
    for cell in code_cells(path):
        if any("image/" in kind for o in cell.outputs for kind in o.get("data", {})):
            about = cell.metadata.get("mystnb", {})
            assert len(str(about.get("image", {}).get("alt", ""))) >= 20, cell.source
            assert about.get("figure", {}).get("name"), cell.source
            assert about.get("figure", {}).get("caption"), cell.source
    for token, _ in markdown(path):
        if token.type == "image":
            assert token.content, f"no alt text: {token.attrs}"
        if token.type in ("fence", "colon_fence") and re.match(r"\{(figure|image)\}", token.info):
            assert re.search(r"(?m)^:?alt:? *\S+", token.content), token.info


@chapter
def test_length_of_the_prose(path):
    assert 1500 <= prose(path) <= 3500


@chapter
def test_six_exercises_each_with_a_folded_solution(path):
    labels = [
        re.search(r"(?m)^:?label:? *(\S+)", token.content).group(1)
        for token in directives(path, "exercise")
    ]
    solutions = directives(path, "solution")
    assert len(labels) >= 6
    assert sorted(token.info.split()[1] for token in solutions) == sorted(set(labels))
    assert all(re.search(r"(?m)^:?class:? *dropdown", token.content) for token in solutions)


@chapter
def test_every_citation_is_in_the_bibliography_and_listed_on_the_page(path):
    known = set(parse_file(str(ROOT / "book" / "references.bib")).entries)
    cited = citations(path)
    assert cited, "a chapter cites its papers"
    assert cited <= known
    assert directives(path, "bibliography"), "the chapter ends with its references"


@chapter
def test_no_path_of_a_machine_is_stored(path):
    assert not MACHINE_PATH.search(path.read_text("utf8"))


@chapter
def test_no_widget_is_stored_that_needs_a_kernel(path):
    notebook = nbformat.read(path, 4)
    assert "widgets" not in notebook.metadata
    for cell in code_cells(path):
        for output in cell.outputs:
            assert notebooks.WIDGET_VIEW not in output.get("data", {}), cell.source


@chapter
def test_numbers_are_printed_with_at_most_four_decimals(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            text = output.get("text", "") + output.get("data", {}).get("text/plain", "")
            assert not re.search(r"\d\.\d{5,}", text), f"{text[:300]}\nfrom\n{cell.source}"


# --- the tool ---


def test_a_second_run_changes_nothing_and_check_sees_a_changed_number(sample_book, tmp_path):
    folder = tmp_path / "book"
    shutil.copytree(sample_book / "book", folder)
    path = folder / "01_sample.ipynb"
    before = path.read_bytes()
    assert notebooks.run(path) == []
    assert path.read_bytes() == before
    path.write_bytes(before.replace(b"0.2447", b"0.2448"))
    assert [found.split(":")[0] for found in notebooks.run(path, check=True)] == ["cell 3 (code)"]
    assert b"0.2448" in path.read_bytes()  # check writes nothing


def test_normal_form_forgets_the_run():
    cell = nbformat.v4.new_code_cell(
        "x ", metadata={"execution": {"iopub.status.busy": "12:00"}, "tags": ["t"]}
    )
    view = {
        notebooks.WIDGET_VIEW: {"model_id": "1"},
        "text/html": "<b>",
        "text/plain": "<A at 0xf0>",
    }
    cell.outputs = [
        nbformat.v4.new_output("stream", text="a\n"),
        nbformat.v4.new_output("stream", text="b\n"),
        nbformat.v4.new_output("display_data", data=view),
    ]
    assert len(notebooks.joined(cell.outputs)) == 2
    assert cell.outputs[0].text == "a\n"  # joining leaves the outputs as they are
    again = nbformat.from_dict({**cell, "id": "other"})
    notebook = notebooks.normalise(nbformat.v4.new_notebook(cells=[cell, again]))
    first, second = notebook.cells
    assert first.metadata == {"tags": ["t"]}
    assert [o.get("text", o.get("data")) for o in first.outputs] == [
        "a\nb\n",
        {"text/html": "<b>", "text/plain": "<A>"},
    ]
    assert second.id == first.id + "-2"  # the ids follow from the text, and differ
    assert notebook.metadata == notebooks.METADATA


@pytest.mark.parametrize("kind", ["few colours", "many colours", "see-through"])
def test_a_picture_keeps_its_pixels_in_fewer_bytes(kind):
    rng = np.random.default_rng(0)
    pixels = np.full((60, 60, 4), 255, dtype=np.uint8)
    pixels[10:30, 20:50, :3] = (0, 114, 178)
    if kind == "many colours":
        pixels[..., :3] += rng.integers(8, size=(60, 60, 3), dtype=np.uint8)
    if kind == "see-through":
        pixels[:5, :, 3] = 7
    Image.fromarray(pixels).save(buffer := io.BytesIO(), "png", compress_level=1, dpi=(200, 200))
    before = base64.b64encode(buffer.getvalue()).decode() + "\n"
    after = notebooks.packed(before)
    assert len(after) < len(before) and after.endswith("\n")
    assert notebooks.packed(after) == after
    with Image.open(io.BytesIO(base64.b64decode(after))) as image:
        assert image.mode == {"few colours": "P", "many colours": "RGB"}.get(kind, "RGBA")
        assert round(image.info["dpi"][0]) == 200
        np.testing.assert_array_equal(np.asarray(image.convert("RGBA")), pixels)


# --- planted faults ---


@pytest.mark.slow
def test_nbval_sees_a_wrong_number_and_a_wrong_or_missing_picture(
    sample_book, tmp_path, run_python
):
    folder = tmp_path / "book"
    shutil.copytree(sample_book / "book", folder)
    shutil.copytree(ROOT / "book" / "_tools", folder / "_tools")
    shutil.copy(ROOT / "book" / "conftest.py", folder)
    original = json.loads((folder / "01_sample.ipynb").read_text("utf8"))
    number, drawn = 3, 4  # the cells that print weights and draw them
    assert "0.2447" in original["cells"][number]["outputs"][0]["text"][0]

    def plant(name, change):
        notebook = json.loads(json.dumps(original))
        change(notebook["cells"])
        (folder / f"{name}.ipynb").write_text(json.dumps(notebook), "utf8")

    def wrong_number(cells):
        cells[number]["outputs"][0]["text"] = ["[0.09   0.2448 0.6652]\n"]

    def rounded_otherwise(cells):
        wrong_number(cells)
        cells[number]["metadata"]["tags"] = [compare.TAG]

    def not_by_rounding(cells):
        cells[number]["outputs"][0]["text"] = ["[0.09   0.2449 0.6652]\n"]
        cells[number]["metadata"]["tags"] = [compare.TAG]

    def wrong_picture(cells):
        data = cells[drawn]["outputs"][0]["data"]
        with Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) as image:
            image.rotate(180).save(turned := io.BytesIO(), "png")
        data["image/png"] = base64.b64encode(turned.getvalue()).decode()

    def no_picture(cells):
        del cells[drawn]["outputs"][0]["data"]["image/png"]

    for change in (wrong_number, rounded_otherwise, not_by_rounding, wrong_picture, no_picture):
        plant(change.__name__, change)
    (folder / "02_more.ipynb").unlink()
    report = tmp_path / "report.xml"
    done = run_python(
        *("-m", "pytest", "--nbval", "--nbval-current-env", "--nbval-sanitize-with", SANITIZE),
        *("-p", "no:cacheprovider", f"--junitxml={report}", "--rootdir", tmp_path, folder),
        cwd=tmp_path,
        env=fixed_environment(),
    )
    failed = {
        f"{case.get('classname')} {case.get('name')}"
        for case in ET.parse(report).iter("testcase")
        if case.find("failure") is not None
    }
    found = {re.search(r"(\w+)\W+(?:ipynb)?\W*Cell (\d+)", name).groups() for name in failed}
    assert done.returncode == 1, done.stdout
    assert found == {
        ("wrong_number", "1"),
        ("not_by_rounding", "1"),
        ("wrong_picture", "2"),
        ("no_picture", "2"),
    }


def fixed_environment(**more) -> dict[str, str]:
    return {**os.environ, **notebooks.ENVIRONMENT, **more}


@pytest.mark.slow
def test_a_broken_formula_of_the_library_fails_a_chapter(sample_book, tmp_path, run_python):
    shutil.copytree(sample_book / "book", tmp_path / "book")
    shutil.copytree(
        ROOT / "attnlib", tmp_path / "attnlib", ignore=shutil.ignore_patterns("weights", "*.pyc")
    )
    scores = tmp_path / "attnlib" / "scores.py"
    text = scores.read_text("utf8")
    assert text.count("math.sqrt(") == 1
    scores.write_text(text.replace("math.sqrt(", "abs("), "utf8")
    broken = run_python(
        *("-m", "pytest", "--nbval", "--nbval-current-env", "-p", "no:cacheprovider"),
        "book/02_more.ipynb",
        cwd=tmp_path,
        env=fixed_environment(PYTHONPATH=str(tmp_path)),
    )
    assert broken.returncode == 1
    assert "7.7782" in broken.stdout  # (1, 2) · (3, 4) / √2, as stored
    assert "5.5000" in broken.stdout  # the same divided by 2, as the broken library says


QUANTILES = r"(?<![\w.])(?:1\.96|2\.776|2\.06|4\.303|0?\.025|0?\.975|97\.5)(?!\w)|\bt\.ppf\b"
SCRIPTS = sorted((ROOT / "book" / "results").glob("*.py"))


@chapter
def test_a_chapter_takes_its_intervals_from_metrics(path):
    """No quantile is typed in: `attnlib.metrics` has an interval for every kind of claim."""
    for cell in code_cells(path):
        assert not re.search(QUANTILES, cell.source), cell.source


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_takes_its_intervals_from_metrics(path):
    assert not re.findall(QUANTILES, path.read_text("utf-8"))
