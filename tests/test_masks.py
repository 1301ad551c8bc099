import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnlib.masks import causal_mask, masked_softmax, padding_mask


def test_padding_mask_marks_real_positions():
    mask = padding_mask(torch.tensor([2, 0, 3]), size=4)
    assert mask.tolist() == [[True, True, False, False], [False] * 4, [True, True, True, False]]


def test_padding_mask_of_no_sentences():
    assert padding_mask(torch.zeros(0, dtype=torch.long)).shape == (0, 0)


def test_padding_mask_refuses_a_size_too_small():
    with pytest.raises(ValueError, match="size is 2 but a sentence has 3"):
        padding_mask(torch.tensor([3, 1]), size=2)
    with pytest.raises(ValueError, match=r"lengths must have shape \(B,\)"):
        padding_mask(torch.ones(2, 2, dtype=torch.long))


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 5))
def test_causal_mask_shows_no_future(queries, keys, start):
    mask = causal_mask(queries, keys, start)
    for t in range(queries):
        for s in range(keys):
            assert bool(mask[t, s]) == (s <= start + t)


@given(st.data())
def test_weights_sum_to_one_or_are_all_zero(data):
    rows, keys = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 6))
    numbers = st.floats(-1e4, 1e4)
    scores = torch.tensor(
        data.draw(st.lists(numbers, min_size=rows * keys, max_size=rows * keys)),
        dtype=torch.float64,
    ).view(rows, keys)
    mask = torch.tensor(
        data.draw(st.lists(st.booleans(), min_size=rows * keys, max_size=rows * keys))
    ).view(rows, keys)
    weights = masked_softmax(scores, mask)
    assert torch.isfinite(weights).all()
    assert (weights[~mask] == 0).all()
    for row, shown in zip(weights, mask, strict=True):
        assert row.sum().item() == pytest.approx(1.0 if shown.any() else 0.0, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_an_all_masked_row_is_zero_with_a_finite_gradient(dtype):
    scores = torch.randn(2, 3, dtype=dtype, requires_grad=True)
    mask = torch.tensor([[True, False, True], [False, False, False]])
    weights = masked_softmax(scores, mask)
    (weights * torch.arange(3.0).to(dtype)).sum().backward()
    assert weights[1].eq(0).all()
    assert torch.isfinite(scores.grad).all() and scores.grad[1].eq(0).all()
    assert scores.grad[0, 1] == 0


def test_what_is_hidden_changes_nothing():
    scores = torch.randn(4, 5, dtype=torch.float64)
    mask = torch.rand(4, 5) < 0.6
    mask[:, 0] = True
    changed = scores.masked_fill(~mask, 1e6)
    assert torch.equal(masked_softmax(scores, mask), masked_softmax(changed, mask))


def test_masked_softmax_refuses_masks_that_are_not_boolean_or_do_not_fit():
    scores = torch.zeros(2, 3, 4)
    with pytest.raises(TypeError, match="mask must be boolean"):
        masked_softmax(scores, torch.ones(2, 3, 4))
    with pytest.raises(ValueError, match=r"mask of shape \(2, 4\) does not fit"):
        masked_softmax(scores, torch.ones(2, 4, dtype=torch.bool))
