"""Other weights with the same prediction: against brute force, loops and cases by hand."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.special import expit

from attnlib import adversary, evidence
from attnlib.evidence import AttentionClassifier, Reading

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ


def cases(number, S, seed, confident=2.0):
    """Logits alone, weights and a mask; the last sentence is padded."""
    rng = np.random.default_rng(seed)
    alone = torch.tensor(confident * rng.normal(size=(number, S)))
    own = torch.tensor(rng.dirichlet(np.full(S, 0.5), size=number))
    mask = torch.ones(number, S, dtype=torch.bool)
    mask[-1, -1] = False
    own = own * mask
    return alone, own / own.sum(-1, keepdim=True), mask


def grid(S, steps):
    """Every point of the simplex with coordinates that are multiples of 1 / steps."""
    if S == 1:
        return np.array([[steps]])
    return np.concatenate(
        [
            np.concatenate([np.full((len(rest), 1), first), rest], 1)
            for first in range(steps + 1)
            for rest in [grid(S - 1, steps - first)]
        ]
    )


@pytest.mark.parametrize("scale", ["probability", "logit"])
@pytest.mark.parametrize("epsilon", [0.0, 0.05, 0.3])
def test_nothing_on_a_grid_is_further_than_the_furthest(scale, epsilon):
    alone, own, mask = cases(8, 4, seed=1)
    found = adversary.furthest(alone, own, mask, epsilon, scale)
    points = grid(4, 40) / 40
    squash = expit if scale == "probability" else (lambda x: x)
    for n in range(len(own)):
        here = points[(points[:, ~mask[n].numpy()] == 0).all(1)]
        moved = np.abs(squash(here @ alone[n].numpy()) - squash((alone[n] @ own[n]).item()))
        allowed = here[moved <= epsilon]
        reached = [jensenshannon(own[n].numpy(), q) ** 2 for q in allowed]
        assert max(reached, default=0) <= found.divergence[n] + 1e-9
        weights = found.weights[n].numpy()
        assert (weights >= 0).all() and abs(weights.sum() - 1) < 1e-9
        assert not weights[~mask[n].numpy()].any() and (weights > 0).sum() <= 2
        gap = abs(squash(weights @ alone[n].numpy()) - squash((alone[n] @ own[n]).item()))
        assert gap <= epsilon + 1e-9
        want = jensenshannon(own[n].numpy(), weights) ** 2
        assert found.divergence[n].item() == pytest.approx(want, abs=1e-9)
        p, q = (expit(float(x @ alone[n].numpy())) for x in (own[n].numpy(), weights))
        assert found.change[n].item() == pytest.approx(abs(p - q), abs=1e-9)
    if epsilon == 0.3:  # a finer grid point comes near it: the bound is no empty one
        assert max(reached) > 0.97 * found.divergence[-1].item()


def test_a_sentence_worked_by_hand():
    """Two words say yes, one says no; all weight can go from the one that has it to the other."""
    alone, own = torch.tensor([[2.0, 2.0, -2.0]]).double(), torch.tensor([[1.0, 0, 0]]).double()
    mask = torch.ones(1, 3, dtype=torch.bool)
    found = adversary.furthest(alone, own, mask, 0.0)
    torch.testing.assert_close(found.weights, torch.tensor([[0.0, 1, 0]]).double(), **EXACT)
    assert found.divergence.item() == pytest.approx(math.log(2), abs=1e-12)
    # the only word that says yes keeps its weight: sigma(2) - 0.05 is u = 0.898 of it and no less
    found = adversary.furthest(alone[:, 1:], own[:, :2], mask[:, :2], 0.05)
    p = expit(2) - 0.05
    u = (math.log(p / (1 - p)) + 2) / 4
    assert found.weights[0, 0].item() == pytest.approx(u, abs=1e-12)
    assert found.change.item() == pytest.approx(0.05, abs=1e-12)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_words_that_say_the_same_may_change_places_whatever_the_rounding(kind):
    """The sum of three weights times 0.3, or 0.6, is not that number in every digit."""
    own = torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1]], dtype=kind)
    mask = torch.ones(3, 3, dtype=torch.bool)
    for says in (0.3, 0.6, -1.7):
        alone = torch.full((3, 3), says, dtype=kind)
        for scale in ("logit", "probability"):
            found = adversary.furthest(alone, own, mask, 0.0, scale)
            assert torch.equal(found.weights.amax(1), torch.ones(3, dtype=kind))
            torch.testing.assert_close((found.weights * own).sum(1), own.amin(1))


def test_where_every_change_is_allowed_all_weight_goes_where_least_was():
    alone, own, mask = cases(5, 4, seed=3)
    found = adversary.furthest(alone, own, mask, 1.0)
    least = own.masked_fill(~mask, 2.0).argmin(1)
    assert torch.equal(found.weights.argmax(1), least) and (found.weights.amax(1) == 1).all()
    far = adversary.furthest(50 * alone, own, mask, 0.05)  # saturated: infinite edges
    assert far.divergence.isfinite().all() and (far.divergence > 0.3).any()


def network(seed=0):
    torch.manual_seed(seed)
    model = AttentionClassifier(30, width=6, hidden=5).double()
    ids = torch.randint(4, 30, (6, 7))
    lengths = torch.tensor([7, 5, 6, 7, 4, 1])
    ids = ids.masked_fill(torch.arange(7) >= lengths.unsqueeze(1), 0)
    texts = evidence.Texts(
        ids, lengths, torch.zeros(6), torch.zeros(6, 7, dtype=torch.bool), torch.zeros(6).long()
    )
    model.readout[0].weight.data *= 12  # as decided as a trained one
    return model, texts


def test_the_search_comes_near_the_furthest_and_never_beyond():
    model, texts = network()
    before = [p.clone() for p in model.parameters()]
    reading = model(texts)
    alone = model.alone(reading.states).detach()
    best = adversary.furthest(alone, reading.weights.detach(), texts.mask, 0.05)
    found = adversary.search(model, reading, texts.mask, 0.05, steps=300)
    assert (found.change <= 0.05).all()
    assert (found.divergence <= best.divergence + 1e-9).all()
    assert found.divergence[:5].mean() > 0.8 * best.divergence[:5].mean()
    assert found.divergence[5] == 0  # of one word the weights cannot move
    again = model(texts, found.weights)
    change = (again.logits.sigmoid() - reading.logits.sigmoid()).abs()
    torch.testing.assert_close(change, found.change, **EXACT)
    assert not found.weights[~texts.mask].any()
    assert all(torch.equal(p, q) for p, q in zip(before, model.parameters()))
    assert all(p.grad is None for p in model.parameters())
    few = adversary.search(model, reading, texts.mask, 0.05, starts=1, steps=0)
    assert few.divergence.sum() < found.divergence.sum()


@pytest.mark.parametrize("base_first", [False, True])
def test_the_adversarial_loss_is_its_equation_with_the_divergence_its_way_round(base_first):
    rng = np.random.default_rng(4)
    a, b = (torch.tensor(rng.dirichlet(np.ones(3), size=4)) for _ in range(2))
    x, y = (torch.tensor(rng.normal(size=4)) for _ in range(2))
    states = torch.zeros(4, 3, 1)
    rows = torch.tensor([2, 0])
    loss = adversary.adversarial_loss(Reading(y, b, states), 0.3, base_first)
    got = loss(Reading(x[rows], a[rows], states[rows]), rows)
    want = []
    for n in rows.tolist():
        change = abs(expit(x[n].item()) - expit(y[n].item()))
        pair = [x[n].tolist() for x in ((b, a) if base_first else (a, b))]
        apart = sum(p * math.log(p / q) for p, q in zip(*pair))
        want.append(change - 0.3 * apart)
    assert got.item() == pytest.approx(sum(want) / 2, abs=1e-12)
    zero = torch.tensor([[1.0, 0.0, 0.0]]).double()
    loss = adversary.adversarial_loss(Reading(y[:1], zero, states[:1]), 1.0, base_first)
    assert math.isfinite(loss(Reading(y[:1], zero.flip(1), states[:1]), torch.tensor([0])).item())


def test_erasing_against_loops():
    alone, own, mask = cases(40, 5, seed=6)
    for ranking in (own, own * alone, torch.rand(own.shape)):
        got = adversary.erased(alone, own, mask, ranking)
        for n in range(len(own)):
            words = [t for t in range(5) if mask[n, t]]
            order = sorted(words, key=lambda t: -ranking[n, t].item())
            total = sum(own[n, t].item() * alone[n, t].item() for t in words)
            share = 1.0
            for gone in range(1, len(words)):
                kept = order[gone:]
                rest = sum(own[n, t].item() for t in kept)
                logit = sum(own[n, t].item() / rest * alone[n, t].item() for t in kept)
                if (logit > 0) != (total > 0):
                    share = gone / len(words)
                    break
            assert got[n].item() == pytest.approx(share)


def test_no_order_flips_sooner_than_weight_times_logit():
    """What the product erases first adds most to the decision: no order needs fewer words."""
    alone, own, mask = cases(20, 5, seed=8)
    sign = (alone * own).sum(1, keepdim=True).sign()
    got = adversary.erased(alone, own, mask, sign * alone * own) * mask.sum(1)
    for n in range(len(own)):
        words = [t for t in range(5) if mask[n, t]]
        fewest = len(words)
        for size in range(1, len(words)):
            for gone in combinations(words, size):
                left = sum((own[n, t] * alone[n, t]).item() for t in words if t not in gone)
                if left * sign[n].item() < 0:
                    fewest = min(fewest, size)
        assert got[n].item() == pytest.approx(fewest)


@pytest.mark.parametrize(
    "more, message",
    [
        ({"epsilon": -0.1}, "epsilon must be from 0, a probability to 1, got -0.1"),
        ({"epsilon": 1.5}, "epsilon must be from 0, a probability to 1, got 1.5"),
        ({"scale": "nats"}, "unknown scale 'nats': one of probability, logit"),
    ],
)
def test_refuses(more, message):
    with pytest.raises(ValueError, match=message):
        adversary.furthest(*cases(1, 3, 0), **more)
