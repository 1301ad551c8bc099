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


def cell_of(rng, D, H):
    W, U, b, c = (rng.normal(size=shape) for shape in ((3 * H, D), (3 * H, H), 3 * H, 3 * H))
    return lambda x, h: reference.gru_step(x, h, W, U, b, c)


def test_the_whole_decoder_is_its_papers_steps_one_after_another():
    rng = np.random.default_rng(0)
    E, H, D = 2, 3, 3
    words, keys, first = (rng.normal(size=shape) for shape in ((4, E), (5, D), H))
    W_c = rng.normal(size=(E, H + D + E))

    def combine(x):
        return np.tanh(reference.times(W_c, x))

    def ask(q, t):
        return reference.look([reference.dot_score(q, k) for k in keys], keys)

    bahdanau, luong = cell_of(rng, E + D, H), cell_of(rng, E + E, H)
    vectors, weights = reference.decode(
        words, first, np.zeros(D), ask, bahdanau, combine, "before", "context"
    )
    s = first
    for t, y in enumerate(words):
        s, context, a = reference.bahdanau_step(y, s, keys, reference.dot_score, bahdanau)
        assert np.array_equal(vectors[t], combine(np.concatenate([s, context, y])))
        assert np.array_equal(weights[t], a)
    vectors, weights = reference.decode(
        words, first, np.zeros(E), ask, luong, combine, "after", "input"
    )
    s, fed = first, np.zeros(E)
    for t, y in enumerate(words):
        s, context, a = reference.luong_step(y, s, fed, keys, reference.dot_score, luong)
        fed = combine(np.concatenate([s, context, y]))
        assert np.array_equal(vectors[t], fed) and np.array_equal(weights[t], a)


@pytest.mark.parametrize("timing", ["before", "after"])
def test_feeding_on_paper(timing):
    """Cell: what is fed; query: the state; context: 10 (t + 1) + state; vector: state + context."""
    words = np.zeros((2, 1))
    asked = []

    def ask(q, t):
        asked.append((t, q[0]))
        return np.array([10 * (t + 1) + q[0]]), np.array([1.0])

    def decode(feeding, fed):
        def cell(x, h):
            return x[1:].sum(keepdims=True)

        vectors, _ = reference.decode(
            words, np.array([1.0]), fed, ask, cell, lambda x: x[:1] + x[1:2], timing, feeding
        )
        return vectors[:, 0].tolist()

    if timing == "before":
        # s1 = c1 = 10 + 1; s2 = c2 = 20 + 11
        assert decode("context", np.zeros(1)) == [22.0, 62.0]
        # s1 = 0, c1 = 11; s2 = 11, c2 = 20 + 0
        assert decode("input", np.zeros(1)) == [11.0, 31.0]
        assert decode("none", np.zeros(0)) == [11.0, 20.0]
        assert asked == [(0, 1.0), (1, 11.0), (0, 1.0), (1, 0.0), (0, 1.0), (1, 0.0)]
    else:
        # s1 = 0, c1 = 10; s2 = 10, c2 = 20 + 10
        assert decode("context", np.zeros(1)) == [10.0, 40.0]
        assert decode("input", np.zeros(1)) == [10.0, 40.0]
        assert decode("none", np.zeros(0)) == [10.0, 20.0]
        assert asked == [(0, 0.0), (1, 10.0), (0, 0.0), (1, 10.0), (0, 0.0), (1, 0.0)]


def test_looking_through_a_window_on_paper():
    values = np.array([[1.0], [2.0], [4.0], [8.0]])
    inside, factor = reference.within(1.5, 1, 4), reference.bell(1.5, 1, 4)
    assert inside == [False, True, True, False]
    assert factor == pytest.approx([np.exp(-4.5), np.exp(-0.5), np.exp(-0.5), np.exp(-4.5)])
    scores = [9.0, 0.0, np.log(3), 9.0]
    context, a = reference.look(scores, values, inside, [1.0, 0.5, 0.5, 1.0])
    np.testing.assert_allclose(a, [0, 1 / 8, 3 / 8, 0], rtol=0, atol=1e-15)  # half is gone
    np.testing.assert_allclose(context, [2 / 8 + 12 / 8], rtol=0, atol=1e-15)
    for draw, want in ((0.0, 2.0), (0.24, 2.0), (0.26, 4.0), (0.99, 4.0)):
        chosen, same = reference.look(
            scores, values, inside, [1.0, 0.5, 0.5, 1.0], lambda a, u=draw: reference.choose(a, u)
        )
        assert chosen.tolist() == [want] and np.array_equal(a, same)


def test_reading_both_ways_on_paper():
    """A cell that adds up what it has seen."""
    annotations, summary = reference.read_both_ways(
        np.array([[1.0], [2.0], [4.0]]), lambda x, h: h + x, lambda x, h: h + x, 1
    )
    assert annotations.tolist() == [[1.0, 7.0], [3.0, 6.0], [7.0, 4.0]]
    assert summary.tolist() == [7.0, 7.0]


def test_vectors_of_different_widths_are_refused():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        reference.dot_score([1.0], [1.0, 2.0])
