"""The grader under test: a class of thirty, of whom few hand in what they were given.

Right and wrong, hanging and eating memory, cells deleted, copied, retyped and renamed, files that
are no notebooks, and cheats: each gets what it deserves, and nobody stops the class.
"""

import json
import re
import sys
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "book" / "assignments"
sys.path.insert(0, str(FOLDER))
pytest.importorskip("nbgrader")
import grade  # noqa: E402
import kit  # noqa: E402
import repair  # noqa: E402

NAME = "a02_softmax"
FULL = 11  # the twelfth point is read by hand


def released():
    return kit.release(NAME)


def solved():
    """The released notebook with the solutions in it."""
    made = released()
    for cell, source in zip(made.cells, kit.source(NAME).cells, strict=True):
        if "YOUR CODE HERE" in cell.source:
            cell.source = re.sub(r" *### (BEGIN|END) SOLUTION\n?", "", source.source)
        elif "YOUR ANSWER HERE" in cell.source:
            cell.source = "It gives the softmax of the scores as if nothing were hidden."
    return made


def named(notebook, name):
    return next(c for c in notebook.cells if repair.name_of(c) == name)


def answer(**cells):
    made = solved()
    for name, source in cells.items():
        named(made, name).source = source
    return made


def without_names(notebook):
    for cell in notebook.cells:
        cell.metadata = {}
    return notebook


def without(notebook, *names):
    notebook.cells = [c for c in notebook.cells if repair.name_of(c) not in names]
    return notebook


def copied(notebook, name, source=None):
    again = nbformat.from_dict(json.loads(json.dumps(named(notebook, name))))
    if source is not None:
        again.source = source
    notebook.cells.insert(notebook.cells.index(named(notebook, name)) + 1, again)
    return notebook


def retyped(notebook, name, kind):
    cell = named(notebook, name)
    cell.cell_type = kind
    for key in ("outputs", "execution_count"):
        cell.pop(key, None)
    return notebook


def added(notebook, source, first=False):
    cell = nbformat.v4.new_code_cell(source)
    notebook.cells.insert(0 if first else 3, cell)
    return notebook


def colab(notebook):
    """As Colab saves it: other metadata, ids and outputs of its own."""
    notebook.metadata = {"colab": {"provenance": []}, "kernelspec": {"name": "python3"}}
    for cell in notebook.cells:
        cell.metadata["id"] = "aBcDeF"
        cell.metadata["colab"] = {"base_uri": "https://localhost:8080/"}
    return notebook


WRONG_SOFTMAX = "def softmax(scores):\n    return np.exp(scores) / np.exp(scores).sum()"
HANGS = "def masked_softmax(scores, mask):\n    while True:\n        pass"
EATS = "def masked_softmax(scores, mask):\n    return np.ones((2**34,)).sum()"
CATCHES = """
get_ipython().set_custom_exc((Exception,), lambda *a, **k: None)
def softmax(scores):
    return scores
"""
PRINTS = """
import inspect
print(inspect.getsource(a02), globals().get("In"))
def softmax(scores):
    return scores
"""
OVERWRITES = """
import attnlib.checks.compare as compare
checks.agrees = compare.agrees = lambda *a, **k: None
np.allclose = lambda *a, **k: True
compare.difference = lambda *a: ""
def softmax(scores):
    return scores
"""
FORGES = "def softmax(scores):\n    print('passed')\n    return scores"
SWALLOWS = """
def softmax(scores):
    shell = get_ipython()
    shell.set_custom_exc((Exception,), lambda *a, **k: None)
    print(In[-1], In[1])
    return scores
"""
EXITS = "def softmax(scores):\n    raise SystemExit"
REFERENCE = """
from attnlib.reference import softmax as theirs
def softmax(scores):
    return np.apply_along_axis(theirs, -1, scores)
"""
EQUALS = """
class Anything(np.ndarray):
    def __array_function__(self, *a, **k):
        return True
def softmax(scores):
    return np.zeros(np.shape(scores)).view(Anything)
"""

CLASS = {
    # who: what they hand in, and their points
    "right": (solved, FULL),
    "right_colab": (lambda: colab(solved()), FULL),
    "right_without_names": (lambda: without_names(solved()), FULL),
    "right_helper": (
        lambda: added(
            answer(softmax="def softmax(scores):\n    return helper(scores)"),
            "def helper(e):\n    x = np.exp(e - e.max(-1, keepdims=True))\n"
            "    return x / x.sum(-1, keepdims=True)",
        ),
        FULL,
    ),
    "right_colab_setup": (
        lambda: added(solved(), "#@title Set-up\n%pip install -q nothing-of-this-name", first=True),
        FULL,
    ),
    "right_import_first": (lambda: added(solved(), "import math", first=True), FULL),
    "right_copied_cell": (lambda: copied(solved(), "softmax"), FULL),
    "right_copied_check": (lambda: copied(solved(), "check_softmax"), FULL),
    "right_deleted_checks": (lambda: without(solved(), "check_softmax", "check_attend"), FULL),
    "right_no_text": (lambda: without(solved(), "about", "about_mask"), FULL),
    "right_retyped_check": (lambda: retyped(solved(), "check_softmax", "markdown"), FULL),
    "right_setup_deleted": (lambda: without(solved(), "setup"), FULL),
    "right_noisy": (
        lambda: answer(
            softmax="import sys, warnings\n"
            "def softmax(scores):\n    warnings.warn('!')\n    print('!', file=sys.stderr)\n"
            "    x = np.exp(scores - scores.max(-1, keepdims=True))\n"
            "    return x / x.sum(-1, keepdims=True)"
        ),
        FULL,
    ),
    "right_error_between": (lambda: added(solved(), "1 / 0"), FULL),
    "right_crlf": (solved, FULL),
    "empty": (released, 0),
    "one_wrong": (lambda: answer(softmax=WRONG_SOFTMAX), FULL - 3),
    "weak_checks": (
        lambda: answer(softmax=WRONG_SOFTMAX, check_softmax="print('all well')"),
        FULL - 3,
    ),
    "deleted_answer": (lambda: without(solved(), "attend"), FULL - 3),
    "stub_then_answer": (
        lambda: copied(answer(attend="def attend(q, k, v, m):\n    raise NotImplementedError()"),
                       "attend", named(solved(), "attend").source),
        FULL,
    ),
    "syntax_error": (lambda: answer(attend="def attend(queries, keys"), FULL - 3),
    "hangs": (lambda: answer(masked_softmax=HANGS), 3),
    "eats_memory": (lambda: answer(masked_softmax=EATS), 3),
    "exits": (lambda: answer(softmax=EXITS), FULL - 3),
    "catches_all": (lambda: answer(softmax=CATCHES), FULL - 3),
    "swallows": (lambda: answer(softmax=SWALLOWS), FULL - 3),
    "prints_hidden": (lambda: answer(softmax=PRINTS), FULL - 3),
    "overwrites": (lambda: answer(softmax=OVERWRITES), FULL - 3),
    "forges": (lambda: answer(softmax=FORGES), FULL - 3),
    "reference": (lambda: answer(softmax=REFERENCE), FULL - 3),
    "always_equal": (lambda: answer(softmax=EQUALS), FULL - 3),
    "no_notebook": (None, 0),
    "web_page": (None, 0),
    "other_notebook": (
        lambda: nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1")]),
        0,
    ),
}  # fmt: skip


def hand_in(folder: Path) -> None:
    """Write what the class hands in, in three layouts."""
    for number, (who, (make, _)) in enumerate(CLASS.items()):
        place = folder / who / f"{NAME}.ipynb"
        if number % 3 == 1:
            place = folder / f"{who}_{number}_assignsubmission_file_" / "my homework (2).ipynb"
        place.parent.mkdir(parents=True, exist_ok=True)
        if who == "no_notebook":
            place.write_text("print('hello')")
        elif who == "web_page":
            place.write_text("<!DOCTYPE html><html></html>")
        else:
            text = nbformat.writes(make())
            place.write_bytes(text.replace("\n", "\r\n" if who == "right_crlf" else "\n").encode())


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder, out = tmp_path_factory.mktemp("handed-in"), tmp_path_factory.mktemp("grades")
    hand_in(folder)
    found = grade.grade(folder, out, timeout=15, memory=6000)
    return {each.student: each for each in found}, out


@pytest.mark.slow
@pytest.mark.parametrize("who", CLASS)
def test_each_gets_what_it_deserves(results, who):
    result = results[0][who]
    assert grade._sum(result) == CLASS[who][1], result


@pytest.mark.slow
def test_the_class_is_reported(results):
    found, out = results
    table = (out / "points.csv").read_text("utf-8").splitlines()
    assert len(table) == len(CLASS) + 1 >= 31
    assert len(list((out / "feedback").iterdir())) == len(CLASS)
    told = (out / "feedback" / f"one_wrong-{NAME}.md").read_text("utf-8")
    assert "exp of a large score overflows" in told
    assert "write it yourself" in found["reference"].said["check_softmax"]
    assert "no JSON" in found["no_notebook"].problem and "web page" in found["web_page"].problem
    look = {who: each.look for who, each in found.items() if each.look}
    assert {"catches_all", "prints_hidden", "reference"} <= look.keys()
    assert not any(who.startswith(("right", "empty", "one_wrong")) for who in look)
    repairs = (out / "repairs.txt").read_text("utf-8")
    assert "right_deleted_checks: check_softmax: was missing" in repairs
    assert "right_retyped_check: check_softmax: changed" in repairs


def test_names_from_moodle_and_canvas(tmp_path):
    for name in ("Ada King_123_assignsubmission_file_/a.ipynb", "turingalan_77_88_a02.ipynb",
                 "noether/a02/a02.ipynb", "noether/.ipynb_checkpoints/a02.ipynb"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(who for who, _ in grade.submissions(tmp_path)) == [
        "Ada_King",
        "noether",
        "turingalan",
    ]


def test_what_is_released_is_what_the_source_gives():
    for name in kit.sources():
        path = kit.RELEASE / name / f"{name}.ipynb"
        assert path.read_text("utf-8") == nbformat.writes(kit.release(name)) + "\n", "make release"
        shown = path.read_text("utf-8")
        assert "SOLUTION" not in shown and "HIDDEN" not in shown


def test_another_seed_changes_the_hidden_cases_and_nothing_else():
    first, other = kit.source(NAME), kit.source(NAME, seed=3)
    changed = [
        repair.name_of(a)
        for a, b in zip(first.cells, other.cells, strict=True)
        if a.source != b.source
    ]
    assert changed and all(name.startswith("check_") for name in changed)
    for a, b in zip(first.cells, other.cells, strict=True):
        assert a.source.split("### BEGIN HIDDEN")[0] == b.source.split("### BEGIN HIDDEN")[0]
