"""What assignment 9 calls right, beside PyTorch and the library; what its numbers are."""

import numpy as np
import pytest
import torch

from attnlib import adversary, attribution
from attnlib.checks import a09, a09_given

EXACT = {"rtol": 0, "atol": 1e-9}  # float64: only the order of the sums may differ


@pytest.mark.parametrize("case", list(a09.gradient_cases(seed=5, large=True)))
def test_gradients_are_those_of_pytorch(case):
    x, k, v = (torch.tensor(each) for each in case.values())
    for row, fixed in zip(a09.gradient_loops(**case), (True, False), strict=True):

        def y(x, fixed=fixed):
            a = (x @ k).softmax(-1)
            return ((a.detach() if fixed else a) * (x @ v)).sum(-1)

        found = attribution.gradient_times_input(y, x.unsqueeze(0))[0]
        np.testing.assert_allclose(row, found, **EXACT)


@pytest.mark.parametrize("case", list(a09.divergence_cases(seed=5, large=True)))
def test_the_divergence_is_the_librarys(case):
    found = attribution.jensen_shannon(*map(torch.tensor, case.values()))
    np.testing.assert_allclose(a09.divergence_loops(**case), found, **EXACT)


@pytest.mark.parametrize("case", list(a09.furthest_cases(seed=5, large=True)))
def test_the_furthest_weights_are_the_librarys(case):
    alone, own = (torch.tensor(case[each]).unsqueeze(0) for each in ("alone", "own"))
    mask = torch.ones_like(own, dtype=torch.bool)
    found = adversary.furthest(alone, own, mask, case["epsilon"], scale="logit")
    weights, far = a09.furthest_loops(**case)
    np.testing.assert_allclose(weights, found.weights[0], **EXACT)
    np.testing.assert_allclose(far, found.divergence[0], **EXACT)


def test_what_is_lost_is_the_librarys():
    for case in a09.lost_cases(seed=5, large=True):
        function, tokens, words = case.values()
        parts = [None if word < 0 else word for word in words]
        found = attribution.leave_one_out(lambda x: torch.tensor(function(x)), tokens, parts)  # noqa: B023
        np.testing.assert_allclose(a09.lost_loops(**case), found, **EXACT)


def test_a_claim_worked_by_hand():
    """Words lose 2 and 2.3 less than another, and 8 more: the mean is over three words."""
    one, two = list(a09.claim_cases(seed=1))[:2]
    np.testing.assert_allclose(a09.claim_loops(**one), [(2 - 2.3) / 2] * 3, **EXACT)
    mean, low, high = a09.claim_loops(**two)
    assert mean == pytest.approx((2 - 2.3 + 8) / 3)
    assert -0.15 <= low < mean < high <= 8  # of the draws one has each sentence twice


@pytest.mark.parametrize("text, least", [("captions", 3), ("debates", 1)])
def test_the_claim_holds_for_both_translators(text, least):
    """By more than nothing, and more for captions; a control is never the word itself."""
    case = a09_given.taken_out(text)
    case |= a09_given.drawn(case["weights"], 200, seed=0)
    mean, low, _ = a09.claim_loops(**case)
    assert mean > least and low > 0.5
    for a, other, lost in zip(case["weights"], case["others"], case["lost"], strict=True):
        assert a.shape == lost.shape and not (a.argmax(1) == other).any()
        assert (a >= 0).all() and (a.sum(1) <= 1.005).all()
