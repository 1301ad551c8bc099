"""The grader under test: a class of thirty, of whom few hand in what they were given.

Right and wrong, hanging and eating memory, cells deleted, copied, retyped and renamed, files that
are no notebooks, and cheats: each gets what it deserves, and nobody stops the class.
"""

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
from homework import (  # noqa: E402
    NAME,
    WRONG_SOFTMAX,
    added,
    answer,
    colab,
    copied,
    named,
    released,
    retyped,
    solved,
    without,
    without_names,
)
from marks import total  # noqa: E402
from nbgraded import Nbgrader  # noqa: E402

FULL = 11  # the twelfth point is read by hand
NOTHING = {"no_notebook", "web_page", "other_notebook"}

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
    "right_copied_cell": (lambda: copied(solved(), "softmax", WRONG_SOFTMAX), FULL),
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
    "hangs": (lambda: answer(masked_softmax=HANGS), FULL - 5),
    "eats_memory": (lambda: answer(masked_softmax=EATS), FULL - 5),
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
    found = grade.grade(folder, out, grade.Limits(timeout=15, memory=6000))
    return {each.student: each for each in found}, out


LOOKS_AROUND = """
from glob import glob
from os.path import expanduser
def softmax(scores):
    around = glob("../../../source/**/*.ipynb", recursive=True) + glob("../../*/*/*.ipynb")
    assert len(around) == 1 and not glob(expanduser("~/planted")), around
    exps = np.exp(scores - scores.max(-1, keepdims=True))
    return exps / exps.sum(-1, keepdims=True)
"""
PLANTS = """
import sqlite3
from os.path import expanduser
open(expanduser("~/planted"), "w").close()
with sqlite3.connect("../../../gradebook.db") as book:
    book.execute("update source_cell set source = '_check = print', checksum = ''")
"""


@pytest.mark.slow
def test_a_notebook_leaves_nothing_for_the_next_and_finds_no_solutions(tmp_path):
    course = Nbgrader(tmp_path / "course", timeout=30, memory=6000)
    try:
        for who, handed in (("a", added(solved(), PLANTS)), ("b", answer(softmax=LOOKS_AROUND))):
            problem, graded = course.grade(who, NAME, handed)
            read = nbformat.read(graded, 4)
            checks = [c for c in read.cells if repair.name_of(c).startswith("check_")]
            marks = [out.text for c in checks for out in c.outputs if out.output_type == "stream"]
            assert not problem and len(marks) == 3, (who, problem)
            assert all('"passed": true' in mark for mark in marks), (who, marks)
    finally:
        course.stop()


@pytest.mark.slow
@pytest.mark.parametrize("who", CLASS)
def test_each_gets_what_it_deserves(results, who):
    result = results[0][who]
    assert total(result.points) == CLASS[who][1], result


@pytest.mark.slow
def test_the_class_is_reported(results):
    found, out = results
    table = (out / "points.csv").read_text("utf-8").splitlines()
    assert len(table) == len(CLASS) + 1 >= 31
    assert len(list((out / "feedback").iterdir())) == len(CLASS)
    told = (out / "feedback" / f"{found['one_wrong'].page}.md").read_text("utf-8")
    assert "exp of a large score overflows" in told and "**8 of 12 points so far.**" in told
    assert "write it yourself" in found["reference"].said["check_softmax"]
    assert "no JSON" in found["no_notebook"].problem and "web page" in found["web_page"].problem
    repairs = (out / "repairs.txt").read_text("utf-8")
    assert f"right_deleted_checks-{NAME}: check_softmax: was missing" in repairs
    assert "check_softmax: was markdown, is code again" in repairs


@pytest.mark.slow
def test_a_cheat_is_named_and_an_innocent_is_not(results):
    look = {who: "; ".join(each.look) for who, each in results[0].items() if each.look}
    assert "check_softmax was replaced by: print('all well')" in look["weak_checks"]
    assert "puts another in the place of numpy.allclose" in look["overwrites"]
    assert "__array_function__" in look["always_equal"]
    assert "calls a ready-made answer" in look["reference"]
    assert {"catches_all", "prints_hidden", "swallows"} <= look.keys()
    assert not any(who.startswith(("right", "empty", "one_wrong", "hangs")) for who in look)


@pytest.mark.slow
def test_no_answer_in_words_is_lost(results):
    words = {who: each.words.get("why") for who, each in results[0].items() if each.assignment}
    assert words.pop("empty") == ""
    assert {who for who, text in words.items() if not text} <= NOTHING


@pytest.mark.slow
def test_a_mistake_costs_its_points_once_and_is_explained(results):
    said = {who: each.said for who, each in results[0].items()}
    assert said["hangs"]["check_masked_softmax"] == "Time ran out after 15 s."
    assert "with a right masked_softmax in the place of yours" in said["hangs"]["check_attend"]
    assert "not Python: line 1: '(' was never closed" in said["syntax_error"]["check_attend"]
    assert "SystemExit" in said["exits"]["check_softmax"]
    assert "attend is not written yet" in said["deleted_answer"]["check_attend"]


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
