"""The attentions of assignment 10: right ones agree, and no wrong one gives itself away."""

import itertools

import pytest
import torch

from attnlib.checks import CheckError, a10, a10_unseen
from attnlib.checks.a10_given import StopsError, UnknownAttention

CALLS = list(itertools.product(((3, 5, False), (4, 4, False), (5, 5, True)), (True, False)))
ids = {"ids": lambda one: one.what.replace(" ", "_")}


def both(one):
    """An attention, and the first of the right ones with the same weights."""
    first = a10.RIGHT[0]._replace(width=one.width, heads=one.heads)
    return one.made(seed=3), first.made(seed=3)


def outputs(attention, sizes, padded, need_weights=True):
    T, S, causal = sizes
    random = torch.Generator().manual_seed(4)
    q, k, v = (torch.randn(2, n, attention.width, generator=random) for n in (T, S, S))
    real = torch.arange(S) < torch.tensor([[S], [2]]) if padded else None
    return attention(q, k, v, real, causal, need_weights)


@pytest.mark.parametrize("one", a10.RIGHT, **ids)
@pytest.mark.parametrize("sizes, padded", CALLS)
def test_right_attentions_agree(one, sizes, padded):
    found, wanted = (outputs(each, sizes, padded) for each in both(one))
    for x, y in zip(found, wanted, strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=1e-6)
    fast, none = outputs(both(one)[0], sizes, padded, need_weights=False)
    torch.testing.assert_close(fast, wanted[0], rtol=0, atol=1e-6)
    assert none is None


@pytest.mark.parametrize("one", (*a10.VISIBLE, *a10_unseen.UNSEEN), **ids)
def test_a_wrong_attention_has_right_shapes_and_can_be_trained(one):
    """What tests of shapes, of NaN and of training see is as it should be."""
    for sizes, padded in CALLS:
        attention, right = both(one)
        for need_weights in (True, False):
            found, wanted = (outputs(x, sizes, padded, need_weights) for x in (attention, right))
            assert found[0].shape == wanted[0].shape and found[0].isfinite().all()
            assert (found[1] is None) is (not need_weights)
            assert found[1] is None or found[1].shape == wanted[1].shape
        slopes = torch.autograd.grad(found[0].square().sum(), [attention.W_V, attention.W_O])
        assert all(slope.isfinite().all() and slope.any() for slope in slopes)


def test_bugs_have_names_of_their_own_and_are_not_right():
    every = [*a10.RIGHT, *a10.VISIBLE, *a10_unseen.UNSEEN]
    assert len({one.what for one in every}) == len(every) == 25
    assert len(a10_unseen.UNSEEN) == a10.NUMBER_UNSEEN
    kinds = [{one.kind for one in some} for some in (a10.RIGHT, a10.VISIBLE, a10_unseen.UNSEEN)]
    assert not (kinds[0] & kinds[1] or kinds[0] & kinds[2] or kinds[1] & kinds[2])


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda x, a: a(x[0], x[0], x[0]), "wants queries"),
        (lambda x, a: a(x.double(), x, x), "single precision"),
        (lambda x, a: a(x, x[:1], x[:1]), "of one batch"),
        (lambda x, a: a(x, x, x, torch.ones(2, 3)), "real is boolean"),
        (lambda x, a: a(x, x, x, torch.zeros(2, 3, dtype=torch.bool)), "nobody promises"),
        (lambda x, a: a(x, x[:, :2], x[:, :2], None, True), "as many queries as keys"),
    ],
)
def test_a_call_that_is_not_promised_is_refused(call, says):
    with pytest.raises(CheckError, match=says):
        call(torch.randn(2, 3, 8), a10.RIGHT[0].made(0))


def test_an_attention_that_stops_has_a_bug():
    def stops(*given):
        raise RuntimeError("sizes")

    matrices = [torch.nn.Parameter(torch.eye(8)) for _ in range(4)]
    x = torch.randn(1, 2, 8)
    with pytest.raises(StopsError, match="RuntimeError: sizes"):
        UnknownAttention(stops, matrices, 2)(x, x, x)


def test_no_attention_is_known_by_its_numbers():
    """Whoever refuses all but the weights, or the draws, of right ones finds nothing."""

    def numbers(attention):
        seen.append((attention.width, attention.W_Q[0, 0].item(), torch.rand(1).item()))

    seen: list = []
    for one in a10.RIGHT:
        a10.say(numbers, one)
    right, seen = set(seen), []
    for one in (*a10.VISIBLE, *a10_unseen.UNSEEN):
        a10.say(numbers, one)
    assert {*seen} <= right and len(seen) == 18


def test_chance_is_the_same_for_each_test_and_not_taken_from_the_reader():
    drawn = []

    def draws(attention):
        drawn.append((torch.rand(1).item(), attention.W_Q[0, 0].item()))

    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    for _ in range(2):
        assert a10.say(draws, a10.RIGHT[0]).passed
    assert drawn[0] == drawn[1] and torch.equal(before, torch.random.get_rng_state())


# --- tests that stop, and tests that touch no matrix ---


def looks(attention):
    x = torch.randn(1, 3, attention.width)
    contexts, weights = attention(x, x + 1, x)
    return contexts, weights, [attention.W_Q, attention.W_K, attention.W_V, attention.W_O]


def sums(attention):
    contexts, _, matrices = looks(attention)
    contexts.pow(2).sum().backward()
    for W in matrices:
        assert W.grad.abs().sum() > 0


def anything(attention):
    contexts, _, matrices = looks(attention)
    contexts.pow(2).sum().backward()
    return all(torch.any(W.grad != 0) for W in matrices)


def of_all_four(attention):
    contexts, _, matrices = looks(attention)
    assert all(slope.any() for slope in torch.autograd.grad(contexts[0, 0, 0], matrices))


def of_the_weights(attention):
    _, weights, matrices = looks(attention)
    slopes = torch.autograd.grad((weights * torch.randn(3)).sum(), matrices[:2])
    assert all(slope.any() for slope in slopes)


@pytest.mark.parametrize("test", [sums, anything, of_all_four, of_the_weights])
def test_a_gradient_test_in_any_usual_form_finds_what_learns_no_look(test):
    """On that bug each of them stops with another error than an AssertionError."""
    blind = next(one for one in a10_unseen.UNSEEN if one.kind.__name__ == "LearnsNoLook")
    for one in a10.RIGHT:
        assert a10.say(test, one).passed
    said = a10.say(test, blind)
    assert not said.passed and said.touched and "stops with" in said.words
    with pytest.raises(CheckError, match="find 1 of 12 bugs; here 2 are wanted"):
        a10_unseen.finds(lambda: [test], 2, seed=1)


def test_a_test_that_stops_on_a_right_attention_is_not_forgiven():
    with pytest.raises(CheckError, match="stops stops with AttributeError"):
        a10.finds(lambda: [stops], 1, seed=1)


def stops(attention):
    return attention.widht


def test_only_tests_that_touch_no_matrix_count_where_that_is_asked():
    """Both find the softmax over the queries; one of them has asked for a matrix."""

    def sums_to_one(attention):
        queries, keys = torch.randn(1, 2, attention.width), torch.randn(1, 5, attention.width)
        weights = attention(queries, keys, keys)[1]
        assert torch.allclose(weights.sum(-1), torch.ones(1), atol=1e-5)

    def touches(attention):
        assert attention.W_V.shape == (attention.width, attention.width)
        sums_to_one(attention)

    def wanted(tests, least, closed):
        a10.finds(lambda: tests, least, seed=1, closed=closed, quiet=True)

    wanted([touches], 1, closed=False)
    with pytest.raises(CheckError, match="touch no matrix find 0 of 6"):
        wanted([touches], 1, closed=True)
    wanted([touches, sums_to_one], 1, closed=True)
    with pytest.raises(CheckError, match="your tests find 1 of 6"):
        wanted([touches, sums_to_one], 2, closed=False)


def test_a_matrix_is_written_into_and_not_exchanged():
    attention = a10.RIGHT[0].made(0)
    before = attention.W_Q.detach().clone()
    with torch.no_grad():
        attention.W_Q *= 2
        attention.W_K.copy_(torch.eye(8))
    assert torch.equal(attention.W_Q, 2 * before) and torch.equal(attention.W_K, torch.eye(8))
    with pytest.raises(CheckError, match="another W_O in the place of the attention's own"):
        attention.W_O = torch.nn.Parameter(torch.eye(8))
