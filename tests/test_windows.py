"""The window dial against the loops: edges, padding, gradients, and the short way round."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnlib import reference, scores, windows
from attnlib.attention import Attention
from attnlib.settings import SCORES, make_score, make_window

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ
LOCAL = ("monotonic", "predictive")
WIDTH = 4


def setting(window, score="general", reach=1, seed=0):
    torch.manual_seed(seed)
    built = make_score(score, WIDTH, WIDTH, hidden_dim=5, max_source=40).double()
    return Attention(
        built, make_window(window, query_dim=WIDTH, hidden_dim=3, reach=reach).double()
    )


def inputs(B, T, S, seed=1):
    torch.manual_seed(seed)
    return [torch.randn(B, n, WIDTH, dtype=torch.float64) for n in (T, S, S)]


def long_way(attention, *arguments, **more):
    """The same attention with the window's list of keys switched off: a mask over all of them."""
    window = attention.window
    near, window.near = window.near, lambda *_, **__: None
    try:
        return attention(*arguments, **more)
    finally:
        window.near = near


def loops(attention, queries, keys, values, start=0):
    """One sentence, one query at a time."""
    window, W = attention.window, attention.score.W.weight.detach().numpy()
    found = []
    for t, q in enumerate(queries):
        if isinstance(window, windows.Monotonic):
            centre = reference.local_m(start + t, len(keys))
        else:
            parameters = window.W.weight.detach().numpy(), window.v.weight[0].detach().numpy()
            centre = reference.local_p(q, len(keys), *parameters)
        gaussian = isinstance(window, windows.Predictive)
        found.append(
            reference.attend_locally(
                lambda q, k: reference.general_score(q, k, W),
                *(q, keys, values, centre, window.reach, gaussian),
            )
        )
    return [np.array(part) for part in zip(*found, strict=True)]


@pytest.mark.parametrize("window", LOCAL)
@given(
    T=st.integers(1, 5), S=st.integers(1, 9), reach=st.integers(1, 4), start=st.integers(0, 12),
    seed=st.integers(0, 5),
)  # fmt: skip
def test_local_attention_matches_the_loops(window, T, S, reach, start, seed):
    """Both ways round; windows at both edges, beyond the end, and wider than the sentence."""
    attention = setting(window, reach=reach, seed=seed)
    tensors = inputs(2, T, S, seed)
    for way in (attention, lambda *a, **k: long_way(attention, *a, **k)):
        contexts, weights = way(*tensors, start=start)
        for b in range(2):
            want = loops(attention, *(x[b].numpy() for x in tensors), start=start)
            np.testing.assert_allclose(contexts[b].detach(), want[0], **EXACT)
            np.testing.assert_allclose(weights[b].detach(), want[1], **EXACT)


@pytest.mark.parametrize("window", LOCAL)
@pytest.mark.parametrize("score", SCORES)
def test_the_short_way_equals_the_mask_gradients_too(window, score):
    attention, lengths = setting(window, score), torch.tensor([12, 5, 1])
    queries, keys, values = (x.requires_grad_() for x in inputs(3, 4, 12))
    mask = (torch.arange(12) < lengths[:, None]).unsqueeze(1)
    leaves = [queries, keys, values, *attention.parameters()]
    results = []
    for way in (attention, lambda *a, **k: long_way(attention, *a, **k)):
        contexts, weights = way(queries, keys, values, mask, start=6)
        total = (contexts.sin().sum() + weights.square().sum()).requires_grad_()
        gradients = torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)
        results.append((contexts, weights, *gradients))
    for short, long in zip(*results, strict=True):
        torch.testing.assert_close(short, long, **EXACT)


@pytest.mark.parametrize("window", LOCAL)
def test_padding_changes_nothing_and_is_not_counted_in_S(window):
    attention, lengths = setting(window), [7, 3, 1]
    queries, keys, values = inputs(3, 9, 7)
    mask = (torch.arange(7) < torch.tensor(lengths)[:, None]).unsqueeze(1)
    contexts, weights = attention(queries, keys, values, mask)
    for b, S in enumerate(lengths):
        one = slice(b, b + 1)
        alone = attention(queries[one], keys[one, :S], values[one, :S])
        torch.testing.assert_close(contexts[one], alone[0], **EXACT)
        torch.testing.assert_close(weights[one, :, :S], alone[1], **EXACT)
        assert weights[b, :, S:].eq(0).all()


@pytest.mark.parametrize("window", LOCAL)
def test_gradients_are_right(window):
    attention = setting(window, reach=2)
    tensors = [x.requires_grad_() for x in inputs(2, 2, 7)]

    def run(queries, keys, values, *_):
        return attention(queries, keys, values)

    assert torch.autograd.gradcheck(run, (*tensors, *attention.parameters()))


def test_the_gradient_moves_the_predicted_centre():
    """A value that is wanted pulls the window towards it: eq. 10 is what teaches eq. 9."""
    window = windows.Predictive(WIDTH, 3, reach=2).double()
    attention = Attention(scores.DotScore(), window)
    queries, keys, values = inputs(1, 1, 9)
    values = torch.zeros_like(values)
    centre = window.centre(queries, torch.tensor([9]), 0)[0, 0].detach()
    wanted = int(centre) + 2 if centre < 4 else int(centre)  # inside, to one side
    values[0, wanted] = 1.0
    optimizer = torch.optim.SGD(window.parameters(), lr=0.5)
    for _ in range(20):
        optimizer.zero_grad()
        (-attention(queries, keys, values)[0].sum()).backward()
        assert all(p.grad.any() for p in window.parameters())
        optimizer.step()
    moved = window.centre(queries, torch.tensor([9]), 0)[0, 0].detach()
    assert abs(moved - wanted) < abs(centre - wanted)


def test_the_monotonic_window_by_hand():
    allowed, factor = windows.Monotonic(reach=1)(torch.zeros(1, 3, 2), None, keys=3, start=1)
    assert factor is None
    assert allowed[0].int().tolist() == [[1, 1, 1], [0, 1, 1], [0, 1, 1]]  # it waits at the end


def test_the_gaussian_by_hand():
    """At the centre 1, at D it is exp(-2): the standard deviation is half of D (eq. 10)."""
    factor = windows.Predictive(2, 2, reach=10).factor(torch.tensor([0.0, 5.0, -10.0]))
    assert factor.tolist() == pytest.approx([1.0, np.exp(-0.5), np.exp(-2.0)])


@pytest.mark.parametrize("window", LOCAL)
def test_half_precision_knows_where_it_stands(window):
    """bfloat16 holds no whole number above 256 but the even ones: a window must not mind."""
    S, late = 600, 301
    rough, exact = (setting(window, "dot", reach=2).to(kind) for kind in (torch.bfloat16, float))
    tensors = [torch.randn(1, n, WIDTH, dtype=torch.bfloat16) for n in (1, S, S)]
    _, got = rough(*tensors, start=late)
    _, want = exact(*(x.double() for x in tensors), start=late)
    if window == "monotonic":
        assert got[0, 0].nonzero().flatten().tolist() == [299, 300, 301, 302, 303]
    else:  # the prediction itself is rough; the window round it must be whole
        assert 4 <= got[0, 0].count_nonzero() <= 5 and got.dtype == torch.bfloat16
    assert abs(got.double().sum() - want.sum()) < 0.05


def test_hidden_rows_stay_zero():
    queries, keys, values = inputs(2, 3, 9)
    mask = torch.ones(2, 3, 9, dtype=torch.bool)
    mask[0, 1] = False  # one query may attend to nothing
    contexts, weights = setting("predictive")(queries, keys, values, mask)
    assert weights[0, 1].eq(0).all() and contexts[0, 1].eq(0).all()
    assert (weights.sum(-1) <= 1).all() and weights[1].sum() > 0


@pytest.mark.parametrize("reach", [0, -1, 1.5])
@pytest.mark.parametrize("window", LOCAL)
def test_a_reach_must_be_a_positive_whole_number(window, reach):
    with pytest.raises(ValueError, match=f"reach D must be a whole number.*got {reach}"):
        make_window(window, query_dim=WIDTH, hidden_dim=3, reach=reach)


def test_a_predictive_window_refuses_an_empty_sentence():
    queries, keys, values = inputs(2, 3, 5)
    mask = torch.ones(2, 1, 5, dtype=torch.bool)
    mask[1] = False
    with pytest.raises(ValueError, match="a sentence is empty"):
        setting("predictive")(queries, keys, values, mask)
    with pytest.raises(ValueError, match="needs query_dim and hidden_dim"):
        make_window("predictive")
