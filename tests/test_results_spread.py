"""A threshold on the spread of weights, against every cut there is."""

import numpy as np
import pytest
import spread
import torch
from scipy.stats import entropy

from attnlib import evidence


def test_the_spread_is_the_entropy():
    rows = np.random.default_rng(0).dirichlet(np.ones(7), size=5)
    rows[0] = np.eye(7)[2]  # all on one word: none
    found = spread.entropy(torch.from_numpy(rows))
    np.testing.assert_allclose(found, [entropy(row) for row in rows], atol=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_no_other_cut_gives_more_right_answers(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=25)
    scores = rng.normal(size=25) + (seed % 3 - 1) * labels  # above, below, or no help
    cut, above = spread.best_threshold(torch.from_numpy(scores), torch.from_numpy(labels))
    best = max(
        ((scores > at) == (labels == side)).sum()
        for at in np.append(scores, scores.min() - 1)
        for side in (0, 1)
    )
    assert ((scores > cut) == (labels == int(above))).sum() == best


def test_where_the_largest_weights_lie(monkeypatch):
    sentences = evidence.sentences("negated", "test")[:40]
    words = evidence.vocabulary(evidence.sentences("negated", "train"))
    which = evidence.encode(sentences, words)
    monkeypatch.setattr(spread.evidence, "sentences", lambda task, split: sentences)
    weights = torch.zeros(which.ids.shape)
    near, tops = 0, {"pleased": [], "not pleased": []}
    for n, one in enumerate(sentences):
        at = n % len(one.words)
        weights[n, at] = 1.0
        near += any(abs(at - i) <= 1 for i in one.evidence)
        tops[("not pleased", "pleased")[one.label]].append(one.words[at])
    found = spread.looks(weights, which)
    assert found["near"] == pytest.approx(near / 40)
    for answer, (word, share) in found["top"].items():
        assert share == tops[answer].count(word) / len(tops[answer])
        assert share == max(tops[answer].count(w) for w in tops[answer]) / len(tops[answer])
