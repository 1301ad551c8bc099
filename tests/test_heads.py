"""metrics.heads against loops over queries and keys, and what can be said beforehand."""

from itertools import product

import numpy as np
import pytest
import torch

from attnlib import metrics
from attnlib.metrics import heads, intervals
from attnlib.transformer import LanguageModel

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ


def drawn(rng, L, H, Q, K):
    """Any weights, the rows summing to 1."""
    weights = rng.random((L, H, Q, K)) ** 3
    return weights / weights.sum(-1, keepdims=True)


def stands(name, query, key, separators):
    """Whether a key is in a place, said once more."""
    return {
        "previous": key + 1 == query,
        "same": key == query,
        "next": key - 1 == query,
        "first": key == 0,
        "separator": key in separators,
    }[name]


def share_by_loops(weights, name, separators=()):
    """Mean over the queries that have such a key, summed cell by cell."""
    L, H, Q, K = weights.shape
    found = np.full((L, H), np.nan)
    for layer, head in product(range(L), range(H)):
        sums = []
        for query in range(Q):
            keys = [key for key in range(K) if stands(name, query, key, separators)]
            if keys:
                sums.append(sum(weights[layer, head, query, key] for key in keys))
        if sums:
            found[layer, head] = sum(sums) / len(sums)
    return found


@pytest.mark.parametrize("Q, K", [(1, 1), (4, 4), (2, 5), (5, 2)])
@pytest.mark.parametrize("name", heads.PLACES)
def test_shares_match_the_loops(Q, K, name):
    weights = drawn(np.random.default_rng(0), 2, 3, Q, K)
    for separators in ([K - 1], [], [0, K - 1]):
        place = heads.places(Q, K, separators)[name]
        want = share_by_loops(weights, name, separators)
        np.testing.assert_allclose(heads.share(weights, place), want, **EXACT)


def test_padding_changes_nothing():
    rng = np.random.default_rng(1)
    short, long = drawn(rng, 2, 2, 3, 3), drawn(rng, 2, 2, 5, 5)
    batch = np.zeros((2, 2, 2, 5, 5))
    batch[0, :, :, :3, :3], batch[1] = short, long
    batch[0, :, :, 3:, :3] = 1 / 3  # rows of padding look at what there is
    real = np.array([[True] * 3 + [False] * 2, [True] * 5])[:, None, None]
    real = real[..., :, None] & real[..., None, :]
    for name in heads.OFFSETS:
        together = heads.share(batch, heads.places(5, 5)[name] & real)
        alone = [heads.share(w, heads.places(*w.shape[2:])[name]) for w in (short, long)]
        np.testing.assert_allclose(together, alone, **EXACT)


@pytest.mark.parametrize("offset, name", [(-1, "previous"), (0, "same"), (1, "next")])
def test_a_head_that_does_one_thing_has_all_its_weight_there(offset, name):
    weights = np.eye(6, k=offset)[None, None]
    found = {n: heads.share(weights, place) for n, place in heads.places(6, 6).items()}
    assert found.pop(name) == 1
    assert all(value <= 1 / 6 for value in found.values() if not np.isnan(value))
    assert np.isnan(found["separator"])  # there is none


@pytest.mark.parametrize("causal", [False, True])
def test_even_weights_sum_to_one_and_see_no_future(causal):
    weights = heads.even(4, 6, causal)
    np.testing.assert_allclose(weights.sum(1), 1, **EXACT)
    assert (weights[0] > 0).sum() == (1 if causal else 6)
    assert all(len(set(row[row > 0])) == 1 for row in weights)


def sentences(number=30, L=2, H=2, seed=2):
    rng = np.random.default_rng(seed)
    looks = [drawn(rng, L, H, n, n) for n in rng.integers(2, 9, size=number)]
    return looks, [heads.places(w.shape[2], w.shape[3], [w.shape[3] - 1]) for w in looks]


def test_measure_pools_the_queries_of_all_sentences():
    looks, marked = sentences()
    found = heads.measure(looks, marked, resamples=50)
    assert set(found) == {*heads.PLACES, "entropy"}
    for name in heads.PLACES:
        total, number = np.zeros((2, 2)), 0
        for w in looks:
            rows = sum(
                any(stands(name, q, k, [w.shape[3] - 1]) for k in range(w.shape[3]))
                for q in range(w.shape[2])
            )
            total += share_by_loops(w, name, [w.shape[3] - 1]) * rows
            number += rows
        np.testing.assert_allclose(found[name].value, total / number, **EXACT)
    rows = np.concatenate([metrics.entropy(w) for w in looks], axis=2)
    np.testing.assert_allclose(found["entropy"].value, rows.mean(2), **EXACT)


def test_intervals_hold_the_value_and_shrink_with_more_sentences():
    few, many = (heads.measure(*sentences(n))["same"] for n in (20, 320))
    for measured in (few, many):
        low, high = measured.interval
        assert (low < measured.value).all() and (measured.value < high).all()
    ratio = np.subtract(*few.interval) / np.subtract(*many.interval)
    assert (ratio > 2.5).all() and (ratio < 6.5).all()  # a root of 16


def test_intervals_are_those_of_the_metrics():
    looks, marked = sentences(12)
    found = heads.measure(looks, marked, resamples=400, seed=3)["first"]
    statistics = np.array([[w[1, 0, :, 0].sum(), w.shape[2]] for w in looks])
    score = intervals.with_interval(
        metrics.Estimate(0.0, ""), statistics, lambda sums: sums[:, 0] / sums[:, 1], 400, 3
    )
    np.testing.assert_allclose([end[1, 0] for end in found.interval], score.interval, **EXACT)


def test_roles_name_the_place_with_most():
    weights = np.stack([np.eye(8, k=-1), np.eye(8), np.full((8, 8), 1 / 8), np.eye(8, k=1)])
    weights[0, 0, 0] = weights[3, -1, -1] = 1  # those that have no such key look at themselves
    measured = heads.measure([weights[None]], [heads.places(8, 8)])
    assert heads.roles(measured).tolist() == [["previous", "same", "", "next"]]
    assert heads.roles(measured, least=1.1).tolist() == [[""] * 4]


def test_a_causal_model_has_nothing_on_the_next_word():
    torch.manual_seed(0)
    model = LanguageModel(vocab_size=9, width=8, layers=2, heads=2, feed_forward=8).eval()
    with torch.no_grad():
        looked = model.attention_maps(torch.randint(4, 9, (3, 6)))  # a tensor (B, L, H, T, T)
    shares = {name: heads.share(looked, place) for name, place in heads.places(6, 6).items()}
    assert shares["same"].shape == (3, 2, 2)
    assert (shares["next"] == 0).all() and (shares["same"] > 0).all()


@pytest.mark.parametrize("separators", [[3], [0, -1]])
def test_a_separator_that_is_no_key_is_refused(separators):
    with pytest.raises(ValueError, match="separators must be keys, 0 to 2, got"):
        heads.places(3, 3, separators)


def test_a_place_that_is_not_boolean_is_refused():
    weights = np.full((1, 1, 2, 2), 0.5)
    with pytest.raises(TypeError, match="place must be boolean, got float64"):
        heads.share(weights, np.eye(2))


def test_sentences_that_do_not_fit_are_refused():
    looks, marked = sentences(3)
    with pytest.raises(ValueError, match="3 sentences, places of 2"):
        heads.measure(looks, marked[:2])
    with pytest.raises(ValueError, match="0 sentences"):
        heads.measure([], [])
    with pytest.raises(ValueError, match="resamples must be at least 1, got 0"):
        heads.measure(looks, marked, resamples=0)
    with pytest.raises(ValueError, match="same names"):
        heads.measure(looks, [*marked[:2], {"same": marked[2]["same"]}])
