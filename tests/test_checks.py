"""Checks of answers: the smallest case that fails, the likely mistake, and what is out of reach."""

import types

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnlib import reference
from attnlib.checks import CheckError, Likely, agrees, holds, out_of_reach
from attnlib.checks.compare import difference
from attnlib.checks.reach import OutOfReachError


def double(x):
    return 2 * x


CASES = [{"x": np.array([0.0])}, {"x": np.array([2.0])}, {"x": np.array([3.0, 4.0])}]


def test_an_answer_that_agrees_is_told_so(capsys):
    agrees(lambda x: x + x, double, CASES)
    assert capsys.readouterr().out == "Right: 3 cases.\n"
    agrees(lambda x: x + x, double, CASES, quiet=True)
    assert capsys.readouterr().out == ""


def test_the_smallest_case_that_fails_is_shown_and_no_later_one():
    with pytest.raises(CheckError) as error:
        agrees(lambda x: x**2, double, CASES)  # right for 0 and 2
    assert "x = [3. 4.]" in str(error.value) and "[6. 8.]" in str(error.value)
    assert "[ 9. 16.]" in str(error.value)


def test_a_hint_is_given_if_the_mistake_fits_every_case_so_far():
    squares = Likely(lambda x: x**2, "you square")
    cubes = Likely(lambda x: x**3 - 18, "you cube")  # the same at 3, not before
    with pytest.raises(CheckError, match="Probably: you square"):
        agrees(
            lambda x: x**2, double, [*CASES[:2], {"x": np.array([3.0])}], likely=[cubes, squares]
        )


def test_a_hint_that_is_a_question_ends_as_one():
    squares = Likely(lambda x: x**2, "do you square?")
    with pytest.raises(CheckError, match=r"Probably: do you square\?$"):
        agrees(lambda x: x**2, double, [{"x": np.array([3.0])}], likely=[squares])


def test_an_argument_that_is_no_number_may_stay_as_it_is():
    missing = [{"x": np.array([1.0, np.nan])}]
    agrees(lambda x: 2 * x[:1], lambda x: 2 * x[:1], missing, quiet=True)
    with pytest.raises(CheckError, match="changes its argument x"):
        agrees(lambda x: 2 * np.nan_to_num(x, copy=False)[:1], lambda x: 2 * x[:1], missing)


def test_a_mistake_of_another_shape_gives_no_hint():
    rows = Likely(lambda x: 2 * x[None], "never")
    with pytest.raises(CheckError, match="shape") as error:
        agrees(lambda x: 2 * x[None, None], double, [{"x": np.ones(2)}], likely=[rows])
    assert "Probably" not in str(error.value)


def test_a_hint_is_given_where_one_of_several_outputs_is_not_a_number():
    def both(x, y):
        return x, np.stack([y, y])

    def strange(x, y):
        return x, np.stack([y, y * np.nan])

    case = {"x": np.ones(1), "y": np.ones(3)}
    with pytest.raises(CheckError, match="Probably: you divide 0 by 0"):
        agrees(strange, both, [case], likely=[Likely(strange, "you divide 0 by 0")])


def test_a_mistake_that_stops_gives_no_hint():
    def stops(x):
        raise KeyError("no")

    with pytest.raises(CheckError) as error:
        agrees(lambda x: x**2, double, CASES, likely=[Likely(stops, "never")])
    assert "Probably" not in str(error.value)


@pytest.mark.parametrize(
    "answer, says",
    [
        (lambda x: None, "is there a return"),
        (lambda x: np.zeros((2, 2)), r"shape \(2, 2\) instead of \(1,\)"),
        (lambda x: x * np.nan, "NaN"),
        (lambda x: "six", "other|instead|got"),
        (lambda x: [[1], [1, 2]], "unequal lengths|instead of numbers"),
        (lambda x: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_what_came_instead_is_named(answer, says):
    with pytest.raises(CheckError, match=says):
        agrees(answer, double, CASES)


def test_a_stub_is_told_that_it_is_one():
    def stub(x):
        raise NotImplementedError

    with pytest.raises(CheckError, match="stub is not written yet"):
        agrees(stub, double, CASES)


def test_an_answer_that_changes_its_argument_is_told_so():
    def changes(x):
        x *= 2
        return x

    with pytest.raises(CheckError, match="changes its argument x"):
        agrees(changes, double, CASES[1:])
    assert CASES[1]["x"] == 2


def test_tuples_and_tensors_are_compared():
    agrees(lambda x: (x, x.sum()), lambda x: (x, x.sum()), [{"x": torch.ones(3)}], quiet=True)
    with pytest.raises(CheckError, match="1 output instead of 2"):
        agrees(lambda x: x, lambda x: (x, x), [{"x": torch.ones(3)}])


def test_no_case_is_no_check():
    with pytest.raises(ValueError, match="no case"):
        agrees(double, double, [])


def test_a_property_says_what_is_wrong():
    holds(True, "never said")
    with pytest.raises(CheckError, match="rows must sum to 1"):
        holds(False, "rows must sum to 1")


@given(st.floats(-1e3, 1e3), st.floats(1e-4, 1.0))
def test_the_tolerance_grows_with_the_numbers(x, share):
    """What is off by more than the tolerance, relatively to the largest number, is off."""
    want = np.array([x, 1.0])
    room = 1e-6 * max(1.0, abs(x))
    assert difference(want + 0.5 * room, want, 1e-6) == ""
    assert difference(want + (1 + share) * room * 1.001, want, 1e-6) != ""


# --- out of reach ---


def test_what_is_out_of_reach_refuses_under_any_name():
    theirs, module = reference.softmax, reference
    with out_of_reach("attnlib.reference"):
        for call in (theirs, module.softmax, lambda e: module.attend(None, [[0]], [[0]], [[0]])):
            with pytest.raises(OutOfReachError):
                call([1.0, 2.0])
    assert theirs([0.0, 0.0]).tolist() == [0.5, 0.5]


def test_an_answer_that_calls_the_oracle_is_refused():
    theirs = reference.softmax
    with pytest.raises(CheckError, match="write it yourself"):
        agrees(lambda scores: theirs(scores), reference.softmax, [{"scores": np.zeros(2)}])


def test_methods_and_closures_are_out_of_reach_too(monkeypatch):
    module = types.ModuleType("pretended")
    exec(
        "class A:\n"
        "    def method(self): return super().__repr__()\n"
        "    @property\n"
        "    def value(self): return 1\n"
        "    @staticmethod\n"
        "    def plain(): return 2\n"
        "def make(n):\n"
        "    def inner(): return n\n"
        "    return inner\n"
        "closed = make(3)\n",
        module.__dict__,
    )
    monkeypatch.setitem(__import__("sys").modules, "pretended", module)
    a = module.A()
    with out_of_reach("pretended"):
        for call in (a.method, lambda: a.value, module.A.plain, module.closed):
            with pytest.raises(OutOfReachError):
                call()
    assert (a.value, module.A.plain(), module.closed()) == (1, 2, 3)
    assert "A object" in a.method()
