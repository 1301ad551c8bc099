"""The checks under test: a wrong answer fails and is told why, a right one passes.

In process, without a kernel: the cells of the source notebook run one after another, with an answer
in the place of a solution.
"""

import contextlib
import importlib
import io
import re
import sys
from pathlib import Path
from textwrap import dedent

import nbformat
import numpy as np
import pytest

from attnlib.checks import CheckError

FOLDER = Path(__file__).parents[2] / "book" / "assignments"
sys.path.insert(0, str(FOLDER))
NAMES = sorted(path.parent.name for path in FOLDER.glob("source/*/*.ipynb"))


def cells(name: str) -> list[tuple[str, str]]:
    """The code cells of an assignment's source, each with its name."""
    notebook = nbformat.read(FOLDER / "source" / name / f"{name}.ipynb", 4)
    return [
        (cell.metadata.get("nbgrader", {}).get("grade_id", ""), cell.source)
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def points(name: str, answers: dict[str, str], last: str = "") -> dict[str, str]:
    """Run an assignment with these answers, as far as the last cell asked for.

    What each check said comes back, nothing if it passed.
    """
    names: dict = {"__name__": "__main__"}
    said = {}
    for cell, source in cells(name):
        source = dedent(answers.get(cell, source))
        try:
            with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
                exec(compile(source, f"{name}: {cell}", "exec"), names)
            message = ""
        except Exception as error:
            if not cell.startswith("check_"):
                names.pop(cell, None)
            message = f"{type(error).__name__}: {error}"
        if cell.startswith("check_"):
            said[cell] = message
        if cell == last:
            break
    return said


def mutants(name):
    return importlib.import_module(f"mutants.{name}")


def all_of(kind):
    return [
        pytest.param(name, each, id=f"{name}-{each.name}".replace(" ", "_"))
        for name in NAMES
        for each in getattr(mutants(name), kind)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes_every_check(name):
    said = points(name, {})
    assert said and not any(said.values()), said


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_submission_passes_none(name):
    """As released: every solution is a stub."""
    stubs = {
        cell: re.sub(
            r"### BEGIN SOLUTION.*?### END SOLUTION",
            "raise NotImplementedError()",
            source,
            flags=re.S,
        )
        for cell, source in cells(name)
    }
    said = points(name, stubs)
    assert said and all(said.values()), said


@pytest.mark.parametrize("name, wrong", all_of("WRONG"))
def test_a_wrong_answer_fails_its_check_and_is_told_why(name, wrong):
    said = points(name, {wrong.cell: wrong.code}, last=wrong.check)
    before = list(said)[: list(said).index(wrong.check)]
    assert not any(said[check] for check in before), f"an earlier check fails: {said}"
    assert said[wrong.check], "the wrong answer passes"
    assert said[wrong.check].startswith(CheckError.__name__), said[wrong.check]
    assert re.search(wrong.says, said[wrong.check]), said[wrong.check]


@pytest.mark.parametrize("name, right", all_of("RIGHT"))
def test_a_right_answer_written_otherwise_passes(name, right):
    said = points(name, right.cells)
    assert not any(said.values()), said


@pytest.mark.parametrize("name", NAMES)
def test_there_are_enough_of_both(name):
    wrong, right = mutants(name).WRONG, mutants(name).RIGHT
    assert len(wrong) >= 12 and len(right) >= 3
    assert {each.cell for each in wrong} == {
        cell for cell, source in cells(name) if "BEGIN SOLUTION" in source
    }


@pytest.mark.parametrize(
    "name, cell, code, check, says",
    [
        ("a08_heads", "clocks", "def clocks(T, D, start):\n    raise NotImplementedError",
         "check_writer", "clocks is not written yet"),
        ("a08_heads", "clocks", "def clocks(T, D, start):\n    return np.zeros((T, D))",
         "check_writer", "get task 1 right first"),
        ("a09_because", "divergence", "def divergence(p, q):\n    raise NotImplementedError",
         "check_furthest", "divergence is not written yet"),
        ("a09_because", "divergence", "def divergence(p, q):\n    return abs(p - q).max()",
         "check_furthest", "get task 3 right first"),
        ("a06_choose", "estimates",
         "def estimates(scores, reward, u, b):\n    raise NotImplementedError",
         "check_learn", "estimates is not written yet"),
        ("a06_choose", "estimates",
         "def estimates(scores, reward, u, b):\n"
         "    return np.full((len(u), len(scores)), 0.1), np.ones(len(u))",
         "check_learn", "get task 2 right first"),
    ],
)  # fmt: skip
def test_a_task_that_builds_on_another_names_it(name, cell, code, check, says):
    assert says in points(name, {cell: code})[check]


@pytest.mark.parametrize(
    "answer, passed",
    [
        ("FORMULA", {"check_half", "check_visible", "check_all"}),
        ("PROPERTIES", {"check_half", "check_a_third", "check_two_thirds"}),
    ],
)
def test_a_copied_formula_and_properties_alone_earn_the_same(answer, passed):
    said = points("a10_planted", {"suite": getattr(mutants("a10_planted"), answer)})
    assert {check for check, message in said.items() if not message} == passed
