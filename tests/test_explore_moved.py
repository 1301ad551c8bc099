"""Moved weights, Python's side: its numbers against SciPy's, and what it refuses."""

import json
import re

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.special import expit

from attnlib import evidence
from attnlib.evidence import AttentionClassifier, Labelled
from attnlib.explore import FigureError, MovedWeights
from attnlib.explore.moved_weights import readings_of

READINGS = {
    "a GRU": {"weights": [0.1, 0.8, 0.1], "alone": [2.0, 2.5, -1.0]},
    "no context": {"weights": [0.3, 0.3, 0.39], "alone": [0.0, 4.0, -4.0]},
}
SAID = [
    {"words": ["so", "very", "good"], "evidence": [2], "readings": READINGS},
    {
        "words": ["not", "bad"],
        "evidence": [0, 1],
        "readings": {name: {"weights": [1, 3], "alone": [0.5, -0.5]} for name in READINGS},
    },
]


@pytest.mark.parametrize("model", READINGS)
@pytest.mark.parametrize("moved", [(), (0.8, 0.1, 0.1), (0, 0, 5)])
def test_numbers_are_scipys(model, moved):
    figure = MovedWeights(SAID, model=model, moved=moved, epsilon=0.1)
    own, alone = (np.array(READINGS[model][name]) for name in ("weights", "alone"))
    own = own / own.sum()
    weights = np.array(moved) / sum(moved) if moved else own
    np.testing.assert_allclose(figure.own, own, rtol=0, atol=1e-12)
    np.testing.assert_allclose(figure.weights, weights, rtol=0, atol=1e-12)
    change = abs(expit(weights @ alone) - expit(own @ alone))
    assert figure.change == pytest.approx(change, abs=1e-12)
    assert figure.divergence == pytest.approx(jensenshannon(own, weights) ** 2, abs=1e-9)
    best = figure.furthest
    reach = jensenshannon(own, best) ** 2
    assert abs(figure.predict(best) - figure.predict(own)) <= 0.1 + 1e-9
    assert figure.distance(best) == pytest.approx(reach, abs=1e-9)
    rng = np.random.default_rng(0)
    for q in rng.dirichlet([0.3] * 3, size=2000):
        if abs(expit(q @ alone) - expit(own @ alone)) <= 0.1:
            assert jensenshannon(own, q) ** 2 <= reach + 1e-9


def test_what_the_page_stores():
    figure = MovedWeights(SAID, ("bad", "good"), model="no context", moved=[0.2, 0.2, 0.6])
    page = figure.to_html()
    kept = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1])
    assert MovedWeights(**kept).to_html() == page
    assert "good (evidence)" in page and "“good”" in page
    rows = re.findall(r"<tr>(.*?)</tr>", page.partition("<tbody>")[2])
    cells = [[float(x) for x in re.findall(r"<td>(.*?)</td>", row)] for row in rows]
    want = [figure.own, figure.weights, figure.furthest, expit([0.0, 4.0, -4.0])]
    np.testing.assert_allclose(np.array(cells).T, want, rtol=0, atol=0.0005 + 1e-9)


def test_readings_are_the_models_own():
    said = [Labelled(("a", "b", "c"), 1, frozenset({1})), Labelled(("c", "a"), 0)]
    words = evidence.vocabulary(said, least=1)
    torch.manual_seed(0)
    models = {name: AttentionClassifier(len(words), name) for name in evidence.ENCODERS}
    found = readings_of(models, said, words)
    assert [each["words"] for each in found] == [["a", "b", "c"], ["c", "a"]]
    assert [each["evidence"] for each in found] == [[1], []]
    figure = MovedWeights(found, sentence=1, model="token-wise")
    logits = models["token-wise"](evidence.encode(said, words)).logits
    assert figure.predict(figure.own) == pytest.approx(logits[1].sigmoid().item(), abs=1e-4)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"sentences": []}, "there is no sentence to show"),
        ({"labels": ["one"]}, r"labels must be two names, got \['one'\]"),
        ({"sentence": 2}, "sentence 2 of 2, from 0"),
        ({"model": "an LSTM"}, "unknown model 'an LSTM': one of a GRU, no context"),
        ({"moved": [0.5, 0.5]}, "moved must have 3 entries, got 2"),
        ({"moved": [1, 1, -1]}, "moved must not be negative and must add up to more than 0"),
        ({"moved": [0, 0, 0]}, "moved must not be negative and must add up"),
        ({"epsilon": 2.0}, "epsilon must be from 0 to 1, got 2"),
        ({"sentences": [SAID[0] | {"words": ["one"]}]}, "sentence 0 must have 2 to 40 words, got"),
        ({"sentences": [SAID[0] | {"evidence": [3]}]}, "evidence of sentence 0 3 of 3"),
        ({"sentences": [SAID[0] | {"readings": {}}]}, "sentence 0 has no reading"),
        (
            {
                "sentences": [
                    SAID[0],
                    SAID[1] | {"readings": {"a GRU": SAID[1]["readings"]["a GRU"]}},
                ]
            },
            "sentence 1 has readings of a GRU, sentence 0 of a GRU, no context",
        ),
    ],
)
def test_refuses(change, message):
    with pytest.raises(FigureError, match=message):
        MovedWeights(**({"sentences": SAID} | change))
