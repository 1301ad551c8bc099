"""The tasks know the truth; the estimators meet what enumeration gives."""

import math

import pytest
import torch

from attnlib import choosing
from attnlib.choosing import Chooser


def small(name, number=6, seed=0):
    return choosing.TASKS[name](number, seed)


@pytest.mark.parametrize("name", choosing.TASKS)
def test_labels_are_what_a_right_key_says(name):
    task = small(name, 200)
    fits = ((task.says == task.labels[:, None]).all(-1) & task.gold).any(-1)
    assert fits.all()
    assert task.labels.min() >= 0
    assert all(task.labels[:, i].max() < size for i, size in enumerate(task.classes))


def test_the_rotated_needle_is_nearest_to_the_query():
    task = choosing.needles(300, 0, noise=0.0)
    # the rotation is orthogonal: it keeps lengths, and the needle's is the query's
    gaps = (task.keys.norm(dim=-1) - task.queries.norm(dim=-1)).abs()
    assert (gaps.argmin(-1) == task.gold.int().argmax(-1)).all()


def test_a_marked_pair_differs_in_both_answers():
    task = choosing.either(300, 0)
    one, two = task.says[task.gold].view(-1, 2, 2).unbind(1)
    assert (one != two).all()
    first = (task.labels == one).all(-1)
    assert 0.4 < first.double().mean() < 0.6  # a coin: 300 tosses, 3.5 standard errors


def test_digits_for_testing_are_not_for_training():
    rows = {
        train: {tuple(x.tolist()) for x in task.values[task.gold]}
        for train, task in ((t, choosing.glimpses(300, 0, train=t)) for t in (True, False))
    }
    assert not rows[True] & rows[False]


def test_clutter_is_made_of_quarters_of_digits():
    from sklearn.datasets import load_digits

    task = choosing.glimpses(20, 3)
    images = torch.tensor(load_digits().images[:1200] / 16, dtype=torch.float32)
    for tile in task.values[~task.gold][:20].view(-1, 8, 8):
        for rows in (slice(0, 4), slice(4, 8)):
            for columns in (slice(0, 4), slice(4, 8)):
                same = (images[:, rows, columns] == tile[rows, columns]).flatten(1).all(1)
                assert same.any()


def by_hand(chooser, task):
    """Weights and log p(y | each value), question by question and key by key."""
    weights = chooser.attention.score(task.queries, task.keys)[:, 0].softmax(-1)
    log_p = torch.zeros_like(weights)
    for n in range(len(task)):
        for s in range(weights.shape[1]):
            answers = chooser.read(task.values[n, s])
            log_p[n, s] = sum(x[y] for x, y in zip(answers, task.labels[n], strict=True))
    return weights, log_p


@pytest.mark.parametrize("name", choosing.TASKS)
def test_marginal_sums_over_keys(name):
    torch.manual_seed(0)
    task = small(name)
    chooser = Chooser(task, "marginal")
    weights, log_p = by_hand(chooser, task)
    wanted = (weights * log_p.exp()).sum(-1).log()
    torch.testing.assert_close(chooser.marginal(task), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("how", ["hard", "no baseline"])
def test_hard_gradient_is_that_of_the_expectation(how):
    """Over 1,500 draws every parameter's mean gradient meets the enumerated one within 4.5 s.e."""
    torch.manual_seed(0)
    task = small("either", 3)
    chooser = Chooser(task, how, hidden=3).double()
    with torch.no_grad():
        chooser.readout[-1].weight *= 8  # so that keys differ in what they are worth
    task = choosing.Task(
        *(
            x.double() if x.is_floating_point() else x
            for x in vars(task).values()
            if x is not task.classes
        ),
        task.classes,
    )
    parameters = list(chooser.parameters())
    weights, log_p = by_hand(chooser, task)
    exact = torch.autograd.grad(-(weights * log_p).sum(-1).mean(), parameters)
    samples = []
    for _ in range(1500):
        # the baseline must not move with the very draws it serves
        chooser.attention.selection.baseline.fill_(-3.5 if how == "hard" else 0.0)
        samples.append(
            torch.cat([g.flatten() for g in torch.autograd.grad(chooser.loss(task), parameters)])
        )
    samples = torch.stack(samples)
    error = samples.std(0) / math.sqrt(len(samples))
    exact = torch.cat([g.flatten() for g in exact])
    assert ((samples.mean(0) - exact).abs() <= 4.5 * error + 1e-12).all()
    # what the score learns comes from the choices alone: with the wrong sign it would be seen
    scored = sum(p.numel() for p in chooser.attention.parameters())
    flipped = (-samples.mean(0) - exact)[:scored].abs()
    assert (flipped > 4.5 * error[:scored]).any()


def test_entropy_is_rewarded_and_half_of_the_questions_use_the_average():
    """Draw by draw: the gradient is that of the cross-entropy, the choice and the entropy."""
    task = small("either", 40)
    torch.manual_seed(0)
    chooser = Chooser(task, "no baseline", hidden=3, expectation=0.5, entropy=0.7)
    parameters = list(chooser.parameters())
    torch.manual_seed(1)
    got = torch.autograd.grad(chooser.loss(task), parameters)
    torch.manual_seed(1)
    draws = chooser.attention.selection.draw(task.queries, 1)[:, 0]
    assert 10 < (draws < 0).sum() < 30
    weights = chooser.attention.score(task.queries, task.keys)[:, 0].softmax(-1)
    wanted = torch.zeros(())
    for a, draw, values, labels in zip(weights, draws, task.values, task.labels, strict=True):
        chosen = int((a.detach().cumsum(-1) <= draw).sum())
        answers = chooser.read(a @ values if draw < 0 else values[chosen])
        log_p = sum(x[y] for x, y in zip(answers, labels, strict=True))
        wanted = wanted - log_p + 0.7 * (a * a.log()).sum()
        if draw >= 0:
            wanted = wanted - log_p.detach() * a[chosen].log()
    for one, other in zip(got, torch.autograd.grad(wanted / 40, parameters), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_average_of_two_right_answers_is_no_answer():
    task = choosing.either(2000, 1)
    torch.manual_seed(0)
    fits = {}
    for how in ("soft", "marginal"):
        chooser = Chooser(task, how)
        choosing.fit(chooser, task, 300)
        fits[how] = choosing.marks(chooser, task)["fits"]
    assert fits["marginal"] > 0.9
    assert fits["soft"] < 0.6  # colour and shape are drawn apart: half of the pairs are mixed


def test_marks_agree_with_enumeration():
    torch.manual_seed(0)
    task = small("either", 8)
    chooser = Chooser(task, "hard")
    with torch.no_grad():
        weights, log_p = by_hand(chooser, task)
        marks = choosing.marks(chooser, task)
    assert marks["nll"] == pytest.approx(
        float(-(weights * log_p.exp()).sum(-1).log().mean()), abs=1e-5
    )
    chosen = weights.argmax(-1)
    rows = torch.arange(len(task))
    assert marks["chosen"] == pytest.approx(float(task.gold[rows, chosen].double().mean()))
    assert marks["weight"] == pytest.approx(float((weights * task.gold).sum(-1).mean()), abs=1e-6)
    total = 0.0
    for n in range(len(task)):
        pairs = {tuple(says.tolist()) for says in task.says[n][task.gold[n]]}
        for s in range(weights.shape[1]):
            colour, shape = (x.exp() for x in chooser.read(task.values[n, s]))
            total += sum(
                float((weights[n, s] * colour[i] * shape[j]).detach()) for i, j in pairs
            ) / len(task)
    assert marks["fits"] == pytest.approx(total, abs=1e-5)


def test_training_repeats_with_its_seed():
    task = small("needles", 50)
    ends = []
    for _ in range(2):
        torch.manual_seed(1)
        chooser = Chooser(task, "gumbel")
        choosing.fit(chooser, task, 5, seed=3)
        ends.append(torch.cat([p.detach().flatten() for p in chooser.parameters()]))
    assert torch.equal(*ends)


def test_unknown_way_lists_the_known():
    with pytest.raises(ValueError, match="one of soft, hard, no baseline, gumbel, marginal"):
        Chooser(small("needles"), "maybe")
