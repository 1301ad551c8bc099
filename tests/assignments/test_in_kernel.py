"""What runs in a student's kernel: what it puts back, and what it lets count."""

import sys
from types import SimpleNamespace

import homework
import numpy as np
import numpy.random  # else it is loaded late
import pytest

pytest.importorskip("nbgrader")
assert homework.FOLDER  # the grader's folder is on the path from here on
import guards  # noqa: E402
import in_kernel  # noqa: E402
import kit  # noqa: E402

TWICE, THRICE = "def twice(x):\n    return 2 * x", "def thrice(x):\n    return x + twice(x)"
TASK_TWICE = "twice", ["twice"], "assert twice(2) == 4, 'twice'", {}
TASK_THRICE = "thrice", ["thrice"], "assert thrice(2) == 6, 'thrice'", {"twice": TWICE}


@pytest.fixture
def kernel(capsys):
    """Run cells as a kernel does, and give what was said of each check."""

    def run(*cells):
        names = {"np": np, "READY": ["attnlib.masks"]}
        shell = SimpleNamespace(custom_exceptions=())
        digests = [in_kernel.digest(*TASK_TWICE), in_kernel.digest(*TASK_THRICE)]
        remember, keep, check = in_kernel.start(shell, "MARK", ["np", "READY"], digests)
        remember(names)
        errors = []
        for cell in cells:
            try:
                if cell == "keep":
                    keep(names, ["twice"])
                elif cell == "check twice":
                    check(names, *TASK_TWICE)
                elif cell == "check thrice":
                    check(names, *TASK_THRICE)
                elif cell == "check less":
                    check(names, "twice", ["twice"], "", {})
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
        (
            "from attnlib.checks import agrees\nagrees.__code__ = (lambda *a: 0).__code__",
            "agrees.__code__",
        ),
        (
            "import attnlib.checks as c; c.agrees.__kwdefaults__ = {'tolerance': 9}",
            "agrees.__kwdefaults__",
        ),
        ("np._core.numeric.isclose = print", "numpy._core.numeric.isclose"),
        ("np.random.default_rng = print", "numpy.random.default_rng"),
        ("READY.clear()", "what is in ['attnlib.masks']"),
        ("import attnlib.checks as c; c.agrees.__kwdefaults__['tolerance'] = 9e9", "what is in"),
        ("np = None", "np"),
    ],
)
def test_what_the_checks_rest_on_is_put_back_and_named(kernel, cheat, name):
    import attnlib.checks

    kept = np.allclose, attnlib.checks.agrees, attnlib.checks.agrees.__code__, abs
    said, _ = kernel(cheat, TWICE, "check twice")
    assert passed(said) == [True] and name in " ".join(said[0]["changed"])
    assert (np.allclose, attnlib.checks.agrees, attnlib.checks.agrees.__code__, abs) == kept


def test_a_change_while_the_check_runs_fails_it(kernel):
    said, errors = kernel("def twice(x):\n    np.allclose = 1\n    return 2 * x", "check twice")
    assert passed(said) == [False] and "changes numpy.allclose while" in str(errors[0])


def test_output_that_was_led_away_comes_back(kernel):
    out = sys.stdout
    said, _ = kernel("import io, sys; sys.stdout = io.StringIO()", TWICE, "check twice")
    assert passed(said) == [True] and sys.stdout is out


def test_a_check_that_was_cut_short_does_not_count(kernel):
    said, errors = kernel("", "check less")
    assert said == [] and "not the released one" in str(errors[0])


def test_what_an_answer_says_does_not_give_the_check_away():
    guarded = guards.with_guards(kit.source(homework.NAME), 100)
    hidden = "a02.softmax_cases(seed=71, large=True),"
    assert guards.repeats(f"ValueError: {hidden}", guarded)
    assert not guards.repeats("softmax is wrong at the smallest case that fails:", guarded)
