"""The page for lecturers says what is true of the chapters and the assignments."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "book" / "_tools"))

import course

ROOT = Path(__file__).parents[1]
COURSE = ROOT / "book" / "course"
NAMES = sorted(path.stem for path in (ROOT / "book/assignments/release").glob("*/*.ipynb"))


def markdown(path: Path) -> str:
    cells = nbformat.read(path, 4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def rows(text: str, marker: str) -> list[list[str]]:
    """The cells of the table whose head begins with these words."""
    table = text[text.index(marker) :].split("\n\n")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]
    ]


def test_the_tables_for_lecturers_are_those_of_the_chapters():
    """Minutes, points, goals and weeks: python book/_tools/course.py writes them."""
    text = markdown(COURSE / "use.ipynb")
    assert course.filled(text) == text
    assert set(re.findall(r"<!-- table (\w+) -->", text)) == course.TABLES.keys()


def test_the_list_of_minutes_names_every_chapter_and_its_slides():
    table = rows(markdown(COURSE / "use.ipynb"), "| chapter | read |")
    pages = sorted(path.stem for path in (ROOT / "book").glob("[0-9][0-9]*_*.ipynb"))
    assert [re.search(r"`\.\./(\w+)`", row[0])[1] for row in table[:-1]] == pages
    assert all(f"slides/{page}.html" in row[0] for page, row in zip(pages, table, strict=False))


@pytest.mark.parametrize("name", course.SYLLABI)
def test_a_syllabus_fits_its_lectures(name):
    """No week teaches more than 90 minutes, nothing comes before what it needs, or twice."""
    from attnlib.drawing.course import CHAPTERS, SHORTEST

    seen = set()
    for week in course.SYLLABI[name]:
        assert course.week_minutes(week)[0] <= 90
        for chapter, parts in week.taught.items():
            fresh = {(chapter, part) for part in parts or course.CHAPTERS[chapter].parts}
            assert not fresh & seen, chapter
            seen |= fresh
            needs = {need for need in CHAPTERS[chapter][-1] if need in SHORTEST}
            assert needs <= {chapter for chapter, _ in seen}, chapter
        if week.assignment:
            assert course.assignments()[week.assignment].chapter in week.taught
    assert name != "twelve" or len(seen) == sum(len(c.parts) for c in course.CHAPTERS.values())


def test_every_point_assesses_one_goal():
    graded = [
        (number, cell)
        for *_, cells in course.GOALS
        for number, names in cells.items()
        for cell in names
    ]
    assert sorted(graded) == sorted(
        (number, cell) for number, each in course.assignments().items() for cell in each.points
    )
    known = set().union(*(course.exercises(chapter)[1] for chapter in course.CHAPTERS))
    assert {label for _, _, labels, _ in course.GOALS for label in labels} <= known


@pytest.mark.parametrize("name", NAMES)
def test_the_list_says_what_an_assignment_says(name):
    """Chapter, minutes, points, the button that opens it, and the file."""
    table = rows((COURSE / "assignments.md").read_text("utf-8"), "| assignment |")
    (row,) = [row for row in table if f"/{name}.ipynb" in row[-1]]
    assert f"../assignments/release/{name}/{name}.ipynb" in row[-1]
    assert f"/colab/book/assignments/{name}.ipynb" in row[-2]
    notebook = nbformat.read(ROOT / "book/assignments/release" / name / f"{name}.ipynb", 4)
    head = notebook.cells[0].source
    title = re.match(r"# Assignment \d+\. (.+)", head)[1]
    assert title in row[0]
    assert row[2] == re.search(r"\*\*Time:\*\* about (\d+) minutes", head)[1]
    points = [c.metadata["nbgrader"].get("points", 0) for c in notebook.cells]
    assert int(row[3]) == sum(points) == int(re.search(r"\*\*Points:\*\* (\d+)", head)[1])


def test_the_list_names_no_other():
    table = rows((COURSE / "assignments.md").read_text("utf-8"), "| assignment |")
    assert len(table) == len(NAMES)


def test_the_recipe_for_a_classroom_that_runs_pytest(tmp_path):
    """As printed for lecturers: it passes the solution and fails a softmax without its largest."""
    text = markdown(COURSE / "use.ipynb")
    (recipe,) = re.findall(r"```python\n(# test_homework\.py.*?)```", text, re.S)
    (tmp_path / "test_homework.py").write_text(recipe, "utf-8")
    source = nbformat.read(ROOT / "book/assignments/source/a02_softmax/a02_softmax.ipynb", 4)
    code = [cell.source for cell in source.cells if cell.cell_type == "code"]
    answers = [cell for cell in code if "### BEGIN SOLUTION" in cell]
    solved = "import numpy as np\n\n\n" + "\n\n\n".join(answers)
    wrong = (
        "def softmax(scores):\n    x = np.exp(scores)\n    return x / x.sum(-1, keepdims=True)\n"
    )
    for code, passed in (solved, "2 passed"), (f"{solved}\n\n\n{wrong}", "1 failed, 1 passed"):
        (tmp_path / "homework.py").write_text(code, "utf-8")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "test_homework.py",
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert passed in done.stdout, done.stdout
