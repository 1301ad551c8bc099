"""What runs in a student's kernel: what it puts back, and what it lets count."""

import sys
from types import SimpleNamespace

import homework
import numpy as np
import pytest

assert homework.FOLDER  # the grader's folder is on the path from here on
import in_kernel  # noqa: E402

TWICE, THRICE = "def twice(x):\n    return 2 * x", "def thrice(x):\n    return x + twice(x)"
CHECK_TWICE, CHECK_THRICE = "assert twice(2) == 4, 'twice'", "assert thrice(2) == 6, 'thrice'"


@pytest.fixture
def kernel(capsys):
    """Run cells as a kernel does, and give what was said of each check."""

    def run(*cells):
        names = {"np": np}
        shell = SimpleNamespace(custom_exceptions=())
        remember, keep, check = in_kernel.start(shell, "MARK", ["np"])
        remember(names)
        errors = []
        for cell in cells:
            try:
                if cell == "keep":
                    keep(names, ["twice"])
                elif cell == "check twice":
                    check(names, "twice", ["twice"], CHECK_TWICE, {})
                elif cell == "check thrice":
                    check(names, "thrice", ["thrice"], CHECK_THRICE, {"twice": TWICE})
                else:
                    exec(cell, names)
            except BaseException as error:
                errors.append(error)
        out = capsys.readouterr().out
        said = [eval(line[5:], {"true": True, "false": False})
                for line in out.splitlines() if line.startswith("MARK ")]  # fmt: skip
        return said, errors

    return run


def passed(said):
    return [each["passed"] for each in said]


def test_what_is_right_passes(kernel):
    said, errors = kernel(TWICE, "check twice", THRICE, "check thrice")
    assert passed(said) == [True, True] and not errors
    assert not any(each["fixed"] or each["changed"] for each in said)


@pytest.mark.parametrize("broken", ["def twice(x):\n    return x", "", "def twice(x):\n    quit()"])
def test_a_mistake_costs_its_points_once(kernel, broken):
    said, _ = kernel(broken, "check twice", THRICE, "check thrice")
    assert passed(said) == [False, True] and said[1]["fixed"] == ["twice"]
    said, _ = kernel(broken, "check twice", "def thrice(x):\n    return x", "check thrice")
    assert passed(said) == [False, False]


def test_who_makes_up_for_a_mistake_later_passes_too(kernel):
    said, _ = kernel(
        "def twice(x):\n    return x, x", "check twice",
        "def thrice(x):\n    return x + sum(twice(x))", "check thrice",
    )  # fmt: skip
    assert passed(said) == [False, True] and said[1]["fixed"] == []


def test_later_cells_take_nothing_away(kernel):
    wrong = "def twice(x):\n    return 0"
    said, _ = kernel(TWICE, "keep", wrong, "check twice", wrong, THRICE, "check thrice")
    assert passed(said) == [True, True]
    said, _ = kernel(wrong, "keep", TWICE, "check twice", THRICE, "check thrice")
    assert passed(said) == [True, True]


def test_names_that_students_use_do_no_harm(kernel):
    said, errors = kernel("list = vars = print = json = sys = 3", TWICE, "check twice")
    assert passed(said) == [True] and not errors


@pytest.mark.parametrize(
    "cheat, name",
    [
        ("np.allclose = lambda *a, **k: True", "numpy.allclose"),
        ("import attnlib.checks as c; c.agrees = print", "attnlib.checks.agrees"),
        ("import builtins; builtins.abs = print", "builtins.abs"),
        ("from attnlib.checks import agrees\nagrees.__code__ = (lambda *a: 0).__code__", "agrees"),
        ("np = None", "np"),
    ],
)
def test_what_the_checks_rest_on_is_put_back_and_named(kernel, cheat, name):
    import attnlib.checks

    kept = np.allclose, attnlib.checks.agrees, attnlib.checks.agrees.__code__, abs
    said, _ = kernel(cheat, TWICE, "check twice")
    assert passed(said) == [True] and name in said[0]["changed"]
    assert (np.allclose, attnlib.checks.agrees, attnlib.checks.agrees.__code__, abs) == kept


def test_a_change_while_the_check_runs_fails_it(kernel):
    said, errors = kernel("def twice(x):\n    np.allclose = 1\n    return 2 * x", "check twice")
    assert passed(said) == [False] and "changes numpy.allclose while" in str(errors[0])


def test_output_that_was_led_away_comes_back(kernel):
    out = sys.stdout
    said, _ = kernel("import io, sys; sys.stdout = io.StringIO()", TWICE, "check twice")
    assert passed(said) == [True] and sys.stdout is out
