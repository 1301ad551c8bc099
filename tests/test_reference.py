"""The oracle itself, against PyTorch and against numbers worked on paper."""

import numpy as np
import pytest
import torch

from attnlib import reference


def test_gru_step_is_pytorchs():
    torch.manual_seed(0)
    cell = torch.nn.GRUCell(3, 4).double()
    x, h = torch.randn(3, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = [getattr(cell, name).detach().numpy() for name in names]
    want = cell(x[None], h[None])[0].detach()
    got = reference.gru_step(x.numpy(), h.numpy(), *weights)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


def test_softmax_on_paper():
    weights = reference.softmax([0.0, np.log(2), np.log(5)])
    np.testing.assert_allclose(weights, [1 / 8, 2 / 8, 5 / 8], rtol=0, atol=1e-15)
    hidden = reference.softmax([0.0, np.log(2), np.log(5)], [True, True, False])
    np.testing.assert_allclose(hidden, [1 / 3, 2 / 3, 0], rtol=0, atol=1e-15)
    assert reference.softmax([1.0, 2.0], [False, False]).tolist() == [0, 0]
    np.testing.assert_allclose(reference.softmax([1e4, 1e4]), [0.5, 0.5])


def test_scores_on_paper():
    q, k = [1.0, 2.0], [3.0, -1.0]
    assert reference.dot_score(q, k) == 1.0
    assert reference.scaled_dot_score(q, k) == pytest.approx(1 / np.sqrt(2))
    assert reference.cosine_score(q, k, beta=2) == pytest.approx(2 / np.sqrt(5 * 10))
    assert reference.general_score(q, k, [[1, 0], [0, 3]]) == -3.0
    W, v = np.array([[1, 0, 0, 1.0]]), np.array([2.0])
    assert reference.concat_score(q, k, W, v) == 0.0  # tanh(1 - 1)
    assert reference.concat_score(q, k, 2 * W, v, tanh=False) == 0.0
    assert reference.location_scores(q, 1, [[1, 1], [0, 1]]).tolist() == [3.0]


def test_attend_and_average_on_paper():
    keys = values = np.array([[1.0, 0.0], [0.0, 1.0]])
    contexts, weights = reference.attend(
        reference.dot_score, [[np.log(3), 0.0]], keys, values, [[True, True]]
    )
    np.testing.assert_allclose(weights, [[3 / 4, 1 / 4]], rtol=0, atol=1e-15)
    np.testing.assert_allclose(contexts, [[3 / 4, 1 / 4]], rtol=0, atol=1e-15)


def test_vectors_of_different_widths_are_refused():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        reference.dot_score([1.0], [1.0, 2.0])
