"""What `book/results/debate.py` computes, in small: held against loops, one sentence at a time."""

import math
import sys

import debate
import numpy as np
import pytest
import torch

from attnlib import evidence
from attnlib.evidence import AttentionClassifier


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    model = AttentionClassifier(12, width=4, hidden=3).double()
    model.readout[0].weight.data *= 8
    return model


@pytest.fixture(scope="module")
def which():
    ids = torch.tensor([[4, 5, 6, 7, 8], [9, 10, 11, 0, 0], [5, 5, 8, 4, 0]])
    lengths = torch.tensor([5, 3, 4])
    known = torch.zeros(3, 5, dtype=torch.bool)
    known[0, 2] = known[2, 0] = True
    return evidence.Texts(ids, lengths, torch.tensor([1.0, 0, 1]), known, torch.zeros(3).long())


def logit(model, ids, weights=None):
    """Of one sentence, by itself."""
    one = torch.tensor([ids])
    imposed = None if weights is None else torch.tensor([weights], dtype=torch.float64)
    with torch.no_grad():
        reading = model.read(model.embedding(one), torch.tensor([len(ids)]), imposed)
    return reading.logits.item()


def test_a_word_is_left_out_of_its_own_sentence(model, which):
    found = debate.without_each(model, which)
    for n, length in enumerate(which.lengths.tolist()):
        ids = which.ids[n, :length].tolist()
        whole = 1 / (1 + math.exp(-logit(model, ids)))
        for t in range(length):
            p = 1 / (1 + math.exp(-logit(model, ids[:t] + ids[t + 1 :])))
            assert found[n, t].item() == pytest.approx(abs(p - whole), abs=1e-12)
        assert not found[n, length:].any()


def test_given_weights_stay_with_their_words(model, which):
    """As if the sentence without the word were read with what is left of them, scaled up."""
    dealt = debate.shuffled(
        debate.read(model, which).weights, which.mask, torch.Generator().manual_seed(0)
    )
    found = debate.without_each(model, which, dealt)
    for n, length in enumerate(which.lengths.tolist()):
        ids, own = which.ids[n, :length].tolist(), dealt[n, :length].tolist()
        whole = 1 / (1 + math.exp(-logit(model, ids, own)))
        for t in range(length):
            left = own[:t] + own[t + 1 :]
            scaled = [a / sum(left) for a in left]
            p = 1 / (1 + math.exp(-logit(model, ids[:t] + ids[t + 1 :], scaled)))
            assert found[n, t].item() == pytest.approx(abs(p - whole), abs=1e-12)


@pytest.mark.parametrize("fixed", [True, False])
def test_gradients_are_differences(model, which, fixed):
    own = debate.read(model, which).weights
    found = debate.gradients(model, which, own if fixed else None)
    step = 1e-6
    embedded = model.embedding(which.ids).detach()
    for n, t in ((0, 1), (1, 2), (2, 0)):
        sides = []
        for sign in (1, -1):
            moved = embedded.clone()
            moved[n, t] *= 1 + sign * step
            reading = model.read(moved, which.lengths, own if fixed else None)
            sides.append(reading.logits[n].item())
        assert found[n, t].item() == pytest.approx(abs(sides[0] - sides[1]) / (2 * step), abs=1e-6)


def test_shuffling_keeps_each_sentences_weights(model, which):
    own = debate.read(model, which).weights
    dealt = debate.shuffled(own, which.mask, torch.Generator().manual_seed(0))
    assert not torch.equal(dealt, own) and not dealt[~which.mask].any()
    torch.testing.assert_close(dealt.sort(1).values, own.sort(1).values, rtol=0, atol=0)


def test_agreement_is_the_mean_of_the_sentences():
    """By hand: all pairs one way; all the other way; padding has no say; a tie has no tau."""
    one = torch.tensor([[1.0, 2, 3], [1, 2, 9], [1, 1, 9]])
    other = torch.tensor([[1.0, 2, 3], [2, 1, 9], [1, 2, 9]])
    found = debate.agreement(one, other, torch.tensor([3, 2, 2]))
    assert found["tau"] == pytest.approx((1 - 1) / 2)
    many = torch.arange(8.0)[None]
    assert debate.agreement(many, many, torch.tensor([8])) == pytest.approx(
        {"tau": 1.0, "significant": 1.0}
    )


def test_a_hit_is_a_first_word_that_is_evidence(which):
    importance = torch.tensor([[0, 1, 5.0, 2, 3], [0, 0, 1, 9, 9], [0, 1, 0, 0, 9]])
    assert debate.hits(importance, which) == 0.5  # the second has none, padding is no word
    assert debate.hits(importance, which[torch.tensor([1])]) is None


def test_erasing_the_largest_weight_against_another(model, which):
    reading = debate.read(model, which)
    found = debate.erasing(model, which, reading, torch.Generator().manual_seed(3))
    assert sum(found["flips"].values()) == pytest.approx(1)
    own, alone = reading.weights.numpy(), model.alone(reading.states).detach().numpy()
    flips = []
    for n, length in enumerate(which.lengths.tolist()):
        gone = own[n].argmax()
        left = [own[n, t] * alone[n, t] for t in range(length) if t != gone]
        flips.append(np.sign(sum(left)) != np.sign(reading.logits[n].item()))
    share = sum(v for name, v in found["flips"].items() if name.startswith("largest flips"))
    assert share == pytest.approx(np.mean(flips))


def test_weights_that_are_imposed_come_from_where_they_say(monkeypatch):
    """With all weight on the evidence the student learns; shuffled, it sees other words."""
    monkeypatch.setattr(debate, "SETTINGS", {"plain": (150, 0.02, 8, 8)})

    class Pointer(torch.nn.Module):
        def forward(self, texts, weights=None):
            return evidence.Reading(None, texts.evidence.float(), None)

    monkeypatch.setattr(debate, "trained", lambda *_: Pointer())
    right = {s: debate.of_imposed("plain", s, 1)["accuracy"] for s in ("recurrent", "shuffled")}
    assert right["recurrent"] > 0.97 and right["shuffled"] < 0.8


def test_every_row_has_its_own_name_and_a_stopped_run_goes_on(monkeypatch, tmp_path):
    rows = debate.plan([1, 2])
    names = [tuple(sorted(said.items())) for said, _ in rows]
    assert len(set(names)) == len(names)
    made = []
    monkeypatch.setattr(
        debate, "plan", lambda _: [({"kind": k}, lambda k=k: made.append(k) or {}) for k in "ab"]
    )
    monkeypatch.setattr(sys, "argv", ["debate.py", "--out", str(tmp_path / "found.json")])
    debate.main()
    debate.main()
    assert made == ["a", "b"]
