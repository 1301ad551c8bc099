"""Checks of answers: the smallest case that fails, the likely mistake, and what is out of reach."""

import functools
import runpy
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnlib import reference
from attnlib.checks import CheckError, Likely, a07_likely, agrees, holds
from attnlib.checks.a06_given import Rewards
from attnlib.checks.compare import difference, meet
from attnlib.checks.reach import OutOfReachError, ask, borrowed
from attnlib.scores import AdditiveScore


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


def test_an_output_that_only_says_what_it_is_is_refused():
    class Late:
        def detach(self):
            return self

        cpu = detach

        def numpy(self):
            return np.zeros(1)

    class Equal(np.ndarray):
        def __array_function__(self, *arguments, **named):
            return True

    with pytest.raises(CheckError, match="returns a Late instead of arrays"):
        agrees(lambda x: Late(), double, CASES)
    with pytest.raises(CheckError, match="wrong"):
        agrees(lambda x: np.ones(x.shape).view(Equal), double, CASES)
    agrees(lambda x: (2 * x).view(Equal), double, CASES, quiet=True)
    agrees(lambda x: torch.nn.Parameter(2 * torch.tensor(x)), double, CASES, quiet=True)


def test_what_an_error_says_is_cut_short():
    def stops(x):
        raise KeyError("a long story, " * 100 + "\nand another")

    with pytest.raises(CheckError) as error:
        agrees(stops, double, CASES)
    assert len(str(error.value)) < 300 and "another" not in str(error.value)


def test_an_answer_that_leaves_is_told_so_and_one_that_is_stopped_says_nothing():
    def leaves(x):
        raise SystemExit("with a word")

    def stopped(x):
        raise KeyboardInterrupt("with a word")

    with pytest.raises(CheckError, match="ends Python"):
        agrees(leaves, double, CASES)
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        agrees(stopped, double, CASES)


def test_a_hidden_weight_is_zero_and_not_merely_small():
    def halves(x):
        return np.array([0.5, 0.5, 0.0]), x

    def nearly(x):
        return np.array([0.5, 0.5, 1e-40]), x

    agrees(nearly, halves, CASES, quiet=True)
    agrees(halves, halves, CASES, hidden=0, quiet=True)
    with pytest.raises(CheckError, match="exactly 0"):
        agrees(nearly, halves, CASES, hidden=0)


def test_a_mistake_may_be_told_from_afar():
    rough = Likely(double, "nearly right", within=0.05)
    with pytest.raises(CheckError, match="nearly right"):
        agrees(lambda x: 2.01 * x, double, CASES, likely=[rough])
    with pytest.raises(CheckError) as error:
        agrees(lambda x: 3 * x, double, CASES, likely=[rough])
    assert "nearly right" not in str(error.value)


def test_a_test_meets_all_in_an_order_that_is_drawn_and_the_first_is_told():
    both = tuple((i, i % 2 == 0, f"number {i}", "") for i in range(6))
    orders = []
    for seed in range(3):
        met = []
        orders.append(met)
        with pytest.raises(CheckError, match=r"^says True of number 1\.$"):
            meet(
                "mine",
                both,
                lambda i, met=met: met.append(i) is None,
                lambda said, what: f"says {said} of {what}",
                np.random.default_rng(seed),
            )
        assert sorted(met) == list(range(6))
    assert orders[0] != orders[1] or orders[1] != orders[2]


# --- out of reach ---


def test_what_is_out_of_reach_refuses_under_any_name():
    theirs, module, factory = reference.softmax, reference, a07_likely._spread()
    again = runpy.run_path(reference.__file__)["softmax"]
    for call in (
        theirs,
        lambda e: theirs(e),
        lambda e: module.softmax(e),
        lambda e: again(e),
        lambda e: factory(np.ones((1, 1)), (1, 1), (1, 1)),
        lambda e: functools.partial(theirs, e)(),
        lambda e: AdditiveScore(2, 2, 2),
    ):
        with pytest.raises(OutOfReachError, match="write it yourself"):
            ask(call, [1.0, 2.0])
    assert theirs([0.0, 0.0]).tolist() == [0.5, 0.5]


def test_who_catches_the_refusal_is_refused_all_the_same():
    def tries(scores):
        try:
            return reference.softmax(scores)
        except Exception:
            return np.ones(2) / 2

    with pytest.raises(CheckError, match="tries calls a ready-made answer, softmax: write it"):
        agrees(tries, reference.softmax, [{"scores": np.zeros(2)}])


def test_the_watch_cannot_be_ended_and_the_one_before_goes_on():
    def ends(x):
        sys.settrace(None)
        return 2 * x

    with pytest.raises(CheckError, match="trace function"):
        agrees(ends, double, CASES)

    def notes(x):
        sys.setprofile(lambda *arguments: None)
        return 2 * x

    with pytest.raises(CheckError, match="trace function"):
        agrees(notes, double, CASES)
    before = sys.gettrace()
    assert sys.getprofile() is None
    agrees(lambda x: 2 * x, double, CASES, quiet=True)
    assert sys.gettrace() is before


def test_what_is_given_may_be_called():
    assert ask(lambda: Rewards([1, 2])(1)) == 2


@pytest.mark.parametrize(
    "code",
    [
        "import torch\ndef mine(x):\n    return torch.tensor(x)",
        "def mine(x):\n    import torch\n    return torch.tensor(x)",
        "def mine(x):\n    from torch.nn import functional\n    return functional.softmax(x)",
        "from torch import softmax\ndef mine(x):\n    return (lambda: softmax(x))()",
        "import torch\ndef help(x):\n    return torch.tensor(x)\ndef mine(x):\n    return help(x)",
        "import torch\nclass mine:\n    def __call__(self, x):\n        return torch.tensor(x)",
    ],
)
def test_a_library_that_is_not_to_be_used_is_found(code):
    names = {"__name__": "__main__"}
    exec(code, names)
    assert borrowed(names["mine"], ["scipy", "torch"]) == "torch"
    assert borrowed(names["mine"], ["scipy"]) == ""
    with pytest.raises(CheckError, match=r"(mine|type) uses PyTorch"):
        agrees(names["mine"], double, CASES, without=["torch"])


def test_a_function_of_scipy_is_told_so():
    pytest.importorskip("scipy")
    names = {"__name__": "__main__"}
    exec("from scipy.special import softmax\ndef mine(x):\n    return softmax(x)", names)
    with pytest.raises(CheckError, match="mine uses SciPy"):
        agrees(names["mine"], double, CASES, without=["torch", "scipy"])
