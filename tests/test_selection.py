"""The selection dial: the choice by its loop, and its gradient against the exact one."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnlib import reference, selection
from attnlib.data.batches import collate
from attnlib.data.tokenizer import PAD
from attnlib.settings import make_selection, make_translator
from attnlib.training import Objective

V = 7


@given(
    st.lists(st.one_of(st.just(0.0), st.floats(0.01, 1)), min_size=1, max_size=6).filter(any),
    st.floats(0, 1, exclude_max=True),
)
def test_the_choice_is_that_of_the_loop(shares, draw):
    weights = torch.tensor([[shares]], dtype=torch.float64)
    choice = selection.Hard().choose(weights, torch.tensor([[draw]], dtype=torch.float64))
    want = reference.choose(shares, draw)
    edges = np.cumsum(shares) / sum(shares)
    if np.abs(edges - draw).min() > 1e-12:  # at an edge rounding decides
        assert choice.item() == want
    assert shares[choice.item()] > 0


def test_choices_come_as_often_as_their_weights():
    weights = torch.tensor([0.1, 0.0, 0.6, 0.3], dtype=torch.float64)
    draws = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    chosen = selection.Hard().choose(weights.expand(1, 1000, 4), draws[None])
    assert torch.bincount(chosen[0], minlength=4).tolist() == [100, 0, 600, 300]


def chi_square(counts, probabilities):
    """How far counts are from what they should be (Pearson 1900); its mean is the cells less 1."""
    counts, probabilities = np.asarray(counts), np.asarray(probabilities)
    assert not counts[probabilities == 0].any()
    counts, want = counts[probabilities > 0], counts.sum() * probabilities[probabilities > 0]
    return ((counts - want) ** 2 / want).sum()


@pytest.mark.parametrize("name", ["hard", "gumbel"])
def test_sampled_frequencies_meet_the_weights(name):
    """20,000 samples of 5 keys: chi-square with 4 degrees of freedom is below 18.47 in 999 of 1000
    cases, whatever the share of the weights that a window has left."""
    shares = torch.tensor([0.05, 0.1, 0.0, 0.15, 0.3, 0.4], dtype=torch.float64)
    weights = (0.7 * shares).expand(1, 20_000, 6)
    draws = torch.rand(1, 20_000, generator=torch.Generator().manual_seed(0))
    values = torch.eye(6, dtype=torch.float64)[None]

    def counts(draws):
        return make_selection(name).eval()(weights, values, draws)[0].detach().sum((0, 1))

    assert chi_square(counts(draws), shares) < 18.47
    assert chi_square(counts(draws**1.1), shares) > 40  # planted: hardly uneven draws are caught
    assert torch.equal(counts(draws), counts(draws))  # and nothing but the draws decides


def test_hard_contexts_by_hand():
    """A choice, another, the average where a draw is negative, nothing where nothing may be had."""
    hard = selection.Hard()
    weights = torch.tensor([[[0.2, 0.8, 0.0]] * 3 + [[0.0] * 3]], dtype=torch.float64)
    values = torch.tensor([[[10.0], [20.0], [1e6]]], dtype=torch.float64)
    draws = torch.tensor([[0.1, 0.9, -1.0, 0.5]], dtype=torch.float64)
    contexts, same = hard(weights, values, draws)
    assert contexts.flatten().tolist() == [10.0, 20.0, 18.0, 0.0] and same is weights
    want = [math.log(0.2), math.log(0.8), 0.0, 0.0]
    assert hard.log_prob(weights, draws)[0].tolist() == pytest.approx(want, abs=1e-12)
    halved = hard.log_prob(weights / 2, draws)[0]  # a window may leave less than 1
    assert halved.tolist() == pytest.approx(want, abs=1e-12)
    assert hard(weights, values)[0].flatten().tolist() == [20.0, 20.0, 20.0, 0.0]  # no draws


def test_draws_average_for_the_stated_share_of_sentences():
    torch.manual_seed(0)
    draws = selection.Hard(expectation=0.25).draw(torch.zeros(4000, 1), steps=3)
    averaged = draws < 0
    assert torch.equal(averaged.any(1), averaged.all(1))  # whole sentences
    assert averaged[:, 0].float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert draws[~averaged].min() >= 0 and draws.max() < 1


# The estimator -----------------------------------------------------------------------------------


def small(seed=0):
    """A translator so small that all its choices can be listed: 3 keys, 2 steps, 9 of them."""
    torch.manual_seed(seed)
    model = make_translator(
        V, width=3, hidden=2, decoder_hidden=4, score_hidden=3, selection="hard"
    )
    model.double().train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)  # weights that are not even, choices that matter
    model.decoder.attention.selection.expectation = 0.0
    return model, collate([([4, 5, 2], [6])])


def exact_gradient(model, batch):
    """Of the expected log-likelihood, by going through all choices."""
    hard = model.decoder.attention.selection
    S, T = batch.source.shape[1], batch.target_in.shape[1]
    total = 0.0
    for choices in itertools.product(range(S), repeat=T):
        # Walk the steps to find draws in the middle of each chosen key's stretch.
        draws = torch.zeros(1, T, dtype=torch.float64)
        for t, s in enumerate(choices):
            given = batch.target_in[:, : t + 1]
            _, weights = model.hidden_forward(batch.source, batch.source_lengths, given, draws)
            a = weights[0, t].detach()
            draws[0, t] = (a[:s].sum() + a[s] / 2) / a.sum()
        vectors, weights = model.hidden_forward(
            batch.source, batch.source_lengths, batch.target_in, draws
        )
        probability = weights[0].gather(-1, torch.tensor(choices)[:, None]).prod()
        assert hard.choose(weights, draws)[0].tolist() == list(choices)
        logits = model.output(vectors).log_softmax(-1)
        log_p = logits.gather(-1, batch.target_out[..., None]).sum()
        total = total + probability * log_p
    return torch.autograd.grad(total, list(model.parameters()), materialize_grads=True)


def sampled_gradients(model, batch, samples, seed=0, **settings):
    """`samples` one-sample estimates of the gradient of minus the loss, flattened: (samples, P)."""
    torch.manual_seed(seed)
    objective = Objective(model, **settings)
    found = []
    for _ in range(samples):
        loss = objective(batch.source, batch.source_lengths, batch.target_in, batch.target_out)
        gradients = torch.autograd.grad(-loss, list(model.parameters()), materialize_grads=True)
        found.append(flat(gradients))
    return torch.stack(found)


def flat(gradients):
    return torch.cat([gradient.flatten() for gradient in gradients])


def z_scores(found, exact):
    """How many standard errors the mean estimate is from the exact gradient, where it varies."""
    error = found.std(0) / len(found) ** 0.5
    moves = error > 1e-9
    assert moves.any() and torch.allclose(found.mean(0)[~moves], exact[~moves], atol=1e-8)
    return ((found.mean(0) - exact)[moves] / error[moves]).abs()


@pytest.mark.slow
def test_the_estimator_is_unbiased():
    """No entry is 5 standard errors off (a chance of 1e-4 that one is), and 95 % within 2.6."""
    model, batch = small()
    hard = model.decoder.attention.selection
    hard.baseline.fill_(-2.0)
    hard.update_baseline = lambda *_: None  # a fixed baseline: only then are samples independent
    exact = flat(exact_gradient(model, batch))
    z = z_scores(sampled_gradients(model, batch, 1000), exact)
    assert z.max() < 5 and (z < 2.6).double().mean() > 0.95
    assert z_scores(sampled_gradients(model, batch, 500, reward=-1.0), exact).max() > 8  # planted
    score = [id(p) for p in model.decoder.attention.score.parameters()]
    of_score = flat([torch.full_like(p, id(p) in score) for p in model.parameters()]) > 0
    without = sampled_gradients(model, batch, 5, reward=0.0).mean(0)
    assert without[of_score].eq(0).all() and exact[of_score].norm() > 0.01


@pytest.mark.slow
def test_the_baseline_lowers_the_variance_and_not_the_mean():
    model, batch = small()
    hard = model.decoder.attention.selection
    hard.update_baseline = lambda *_: None
    variance, means = {}, {}
    for baseline in (0.0, -2.0):  # log p a word is about -2
        hard.baseline.fill_(baseline)
        found = sampled_gradients(model, batch, 600)
        variance[baseline], means[baseline] = found.var(0).sum(), found.mean(0)
    assert variance[-2.0] < 0.7 * variance[0.0]
    difference = (means[0.0] - means[-2.0]).norm()
    assert difference < 4 * ((variance[0.0] + variance[-2.0]) / 600) ** 0.5


def test_a_choice_is_rewarded_by_what_is_said_after_it_less_the_baseline_for_each_word():
    """Choice t is at fault for the words from t on, one baseline a word; padding counts nothing."""
    torch.manual_seed(1)
    model, _ = small()
    batch = collate([([4, 5, 2], [6, 4, 5]), ([4, 2], [5])])
    hard = model.decoder.attention.selection
    hard.baseline.fill_(-1.3)
    hard.update_baseline = lambda *_: None
    draws = hard.draw(torch.zeros(2, dtype=torch.float64), batch.target_in.shape[1])
    vectors, weights = model.hidden_forward(
        batch.source, batch.source_lengths, batch.target_in, draws
    )
    objective = Objective(model, entropy=0.0)
    term = objective._score_function(hard, vectors, weights, draws, batch.target_out)
    log_p = model.output(vectors).log_softmax(-1).detach()
    want = 0.0
    for b, length in enumerate((4, 2)):  # with </s>
        for t in range(length):
            reward = sum(log_p[b, u, batch.target_out[b, u]] + 1.3 for u in range(t, length))
            want = want - reward * hard.log_prob(weights, draws)[b, t]
    torch.testing.assert_close(term, want, rtol=0, atol=1e-12)


def test_the_moving_average_baseline_follows_the_log_probability():
    hard = selection.Hard()
    for value, want in ((-4.0, -4.0), (-2.0, -3.8), (-2.0, -3.62)):
        hard.update_baseline(torch.tensor(value), decay=0.9)
        assert hard.baseline.item() == pytest.approx(want)


def test_the_objective_keeps_as_much_of_the_baseline_as_it_is_told():
    """It has what is asked of it, 0.9 or nothing, of the first batch's log p a word."""
    for decay in (0.9, 0.0):
        model, batch = small()
        hard = model.decoder.attention.selection
        hard.batches.fill_(1)
        hard.baseline.fill_(-20.0)
        sampled_gradients(model, batch, 1, baseline_decay=decay)
        kept = (hard.baseline.item() - -20 * decay) / (1 - decay)
        assert -3.5 < kept < -1  # log p a word of this batch, about -2, whichever keys were drawn


def test_an_average_gives_the_gradient_of_the_soft_model():
    """With the paper's trick on for every sentence, hard training is soft training."""
    model, batch = small()
    model.decoder.attention.selection.expectation = 1.0
    hard = sampled_gradients(model, batch, 1)[0]
    model.decoder.attention.selection = selection.Soft()
    assert torch.allclose(hard, sampled_gradients(model, batch, 1)[0], atol=1e-12)


def test_the_entropy_term_spreads_the_weights():
    model, batch = small()
    model.decoder.attention.selection.expectation = 1.0
    plain, spread = (sampled_gradients(model, batch, 1, entropy=e)[0] for e in (0.0, 0.5))
    _, weights = model.hidden_forward(
        batch.source, batch.source_lengths, batch.target_in, -torch.ones(1, 2).double()
    )
    entropy = -(weights * weights.log()).sum()
    want = flat(torch.autograd.grad(entropy, list(model.parameters()), materialize_grads=True))
    torch.testing.assert_close(spread - plain, 0.5 * want, rtol=0, atol=1e-10)


def test_the_value_is_the_cross_entropy_and_evaluation_draws_nothing():
    model, batch = small()
    objective = Objective(model, entropy=0.3)
    arguments = batch.source, batch.source_lengths, batch.target_in, batch.target_out
    model.decoder.attention.selection.expectation = 1.0
    average = objective(*arguments)
    model.eval()
    state = torch.get_rng_state()
    once, again = objective(*arguments), objective(*arguments)
    assert torch.equal(once, again) and torch.equal(state, torch.get_rng_state())
    vectors, _ = model.hidden_forward(*arguments[:3])
    real = batch.target_out != PAD
    want = torch.nn.functional.cross_entropy(
        model.output(vectors)[real], batch.target_out[real], reduction="sum"
    )
    torch.testing.assert_close(once, want, rtol=0, atol=1e-10)
    assert not torch.isclose(average, once)  # the largest weight is not the average


# Gumbel ------------------------------------------------------------------------------------------


def test_gumbel_samples_by_the_weights_and_learns_through_the_softmax():
    torch.manual_seed(0)
    gumbel = selection.StraightThroughGumbel()
    weights = torch.tensor([[0.1, 0.0, 0.6, 0.3]]).expand(1, 4000, 4).clone().requires_grad_()
    contexts, taken = gumbel(weights, torch.eye(4)[None])
    assert torch.equal(taken.round(), taken.round().clamp(0, 1)) and taken.sum(-1).allclose(
        torch.ones(1, 4000)
    )
    often = taken.detach().mean(1)[0]
    assert often.tolist() == pytest.approx([0.1, 0, 0.6, 0.3], abs=0.03) and often[1] == 0
    contexts[..., 2].sum().backward()
    assert torch.isfinite(weights.grad).all() and weights.grad[0, :, 2].gt(0).all()
    gumbel.eval()
    assert gumbel(weights, torch.eye(4)[None])[1].detach()[0, 0].tolist() == [0, 0, 1, 0]


def test_gumbel_leaves_empty_rows_empty_and_cools():
    gumbel = selection.StraightThroughGumbel(temperature=2.0, final_temperature=0.5)
    contexts, taken = gumbel(torch.zeros(1, 2, 3), torch.ones(1, 3, 1))
    assert contexts.eq(0).all() and taken.eq(0).all()
    for done, want in ((0.0, 2.0), (0.5, 1.0), (1.0, 0.5)):
        gumbel.anneal(done)
        assert gumbel.temperature.item() == pytest.approx(want)


def test_settings_are_checked():
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        make_selection("gumbel", temperature=0)
    with pytest.raises(ValueError, match="final_temperature must be above 0, got -1"):
        make_selection("gumbel", final_temperature=-1.0)
    with pytest.raises(ValueError, match="expectation is a share from 0 to 1, got 2"):
        make_selection("hard", expectation=2)
    for name in ("hard", "gumbel"):
        chooses = make_selection(name).eval()
        with pytest.raises(ValueError, match=r"draws must be \(B, T\) = \(2, 1\).*got \(2, 0\)"):
            chooses(torch.ones(2, 1, 3), torch.ones(2, 3, 4), torch.ones(2, 0))
    with pytest.raises(ValueError, match="baseline_decay must be at least 0, below 1, got 1"):
        Objective(small()[0], baseline_decay=1)
