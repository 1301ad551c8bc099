"""The page for lecturers says what is true of the chapters and the assignments."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
COURSE = ROOT / "book" / "course"
LEVEL = re.compile(r"\*(?:Warm-up|Core|Open)(?:, build it)?, (\d+) minutes\.\*")
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


def test_minutes_are_those_of_the_exercises():
    table = rows(markdown(COURSE / "use.ipynb"), "| chapter | slides |")
    assert len(table) >= 10
    for name, slides, *_, exercises, _ in table:
        chapter = re.search(r"`\.\./(\w+)`", name)[1]
        assert f"slides/{chapter}.html" in slides
        found = LEVEL.findall(markdown(ROOT / "book" / f"{chapter}.ipynb"))
        assert int(exercises) == sum(map(int, found)), chapter


@pytest.mark.parametrize("name", NAMES)
def test_the_list_says_what_an_assignment_says(name):
    """Chapter, minutes, points and the button that opens it."""
    table = rows((COURSE / "assignments.md").read_text("utf-8"), "| assignment |")
    (row,) = [row for row in table if f"/{name}.ipynb" in row[-1]]
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
