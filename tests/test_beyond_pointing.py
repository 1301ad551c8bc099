"""Lists with known answers; the pointer network against loops; it learns to sort."""

import math
import random
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnlib import reference
from attnlib.beyond import pointing
from attnlib.beyond.pointing import READERS, PointerNetwork
from attnlib.data import points
from attnlib.data.points import Lists

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ
quick = settings(max_examples=25, deadline=None)


# Lists ----------------------------------------------------------------------------------------


def rows(lists):
    """Each list's things and answer, without padding."""
    for n in range(len(lists)):
        things = lists.things[n, : lists.lengths[n]].tolist()
        yield things, lists.targets[n, : lists.steps[n]].tolist()


@quick
@given(seed=st.integers(0, 2**32))
def test_numbers_ascend(seed):
    lists = points.numbers(random.Random(seed), 3)
    for things, places in rows(lists):
        said = [round(things[i][0] * points.LARGEST) for i in places]
        assert sorted(places) == list(range(len(things))) and 5 <= len(things) <= 10
        assert all(a < b for a, b in pairwise(said)) and said[0] >= 1 and said[-1] <= 100
    again = points.numbers(random.Random(seed), 3)
    assert torch.equal(again.things, lists.things) and torch.equal(again.targets, lists.targets)


@quick
@given(seed=st.integers(0, 2**32))
def test_a_fence_has_all_points_on_its_left_and_turns_left(seed):
    for things, places in rows(points.hulls(random.Random(seed), 3)):
        assert places[0] == places[-1] == min(range(len(things)), key=lambda i: things[i][1])
        assert len(set(places)) == len(places) - 1 >= 3
        for a, b in pairwise(places):
            (x, y), (u, v) = things[a], things[b]
            for i, (p, q) in enumerate(things):
                left = (u - x) * (q - y) - (v - y) * (p - x)
                assert i in (a, b) or left > 0


def test_areas():
    assert points.enclosed([(0, 0), (2, 0), (2, 3), (0, 3), (1, 1)]) == pytest.approx(6)
    assert points.enclosed([(0, 0), (1, 1), (2, 2)]) == 0 == points.enclosed([(0, 0), (1, 1)])


def test_lists_of_the_same_numbers_are_of_one_split(monkeypatch):
    monkeypatch.setattr(points, "LARGEST", 8)  # 56 sets of three, each of which comes in any order

    def sets(split):
        lists = points.numbers(random.Random(3), 300, 3, 3, split)
        return {tuple(sorted(map(tuple, things))) for things, _ in rows(lists)}

    train, test = sets("train"), sets("test")
    assert not train & test and len(train) > 30 and test


def test_a_shuffled_list_has_the_same_answer():
    for make in (points.numbers, points.hulls):
        lists = make(random.Random(1), 20)
        other = lists.shuffled(torch.Generator().manual_seed(0))
        assert not torch.equal(other.things, lists.things)
        assert torch.equal(other.lengths, lists.lengths) and torch.equal(other.steps, lists.steps)
        for (one, places), (two, others) in zip(rows(lists), rows(other), strict=True):
            assert [one[i] for i in places] == [two[i] for i in others]
            assert sorted(one) == sorted(two)
        assert not other.things[~other.mask].any() and not other.targets[~other.asked].any()


@pytest.mark.parametrize(
    "more, message",
    [
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"shortest": 2}, "need 3 <= shortest <= longest, got 2 and 10"),
        ({"shortest": 7, "longest": 6}, "need 3 <= shortest <= longest, got 7 and 6"),
        ({"longest": 101}, "there are 100 numbers, got a list of 101"),
        ({"split": "tests"}, "unknown split 'tests': one of train, val, test, all"),
    ],
)
def test_lists_refuse(more, message):
    with pytest.raises(ValueError, match=message):
        points.numbers(random.Random(0), **({"count": 1} | more))


# The network ----------------------------------------------------------------------------------


def network(features=2, seed=0, **dials):
    torch.manual_seed(seed)
    model = PointerNetwork(features, width=8, places=12, **dials).double()
    model.first.data.normal_()
    model.decoder.attention.score.v.weight.data *= 8  # weights that are not nearly uniform
    return model


@pytest.fixture(scope="module")
def lists():
    found = points.hulls(random.Random(5), 6)
    return replace(found, things=found.things.double())


def numpy(*tensors):
    return [tensor.detach().numpy() for tensor in tensors]


def test_the_weights_of_a_pointer_are_its_equation(lists):
    """Section 2.3: the state d_i has read what was pointed to; u_ij = v tanh(W_1 e_j + W_2 d_i)."""
    model = network()
    log_p, weights = model(lists)
    rnn, decoder = model.reader.rnn, model.decoder
    names = "weight_ih", "weight_hh", "bias_ih", "bias_hh"
    one, other = (
        partial(
            reference.gru_step,
            **dict(zip("WUbc", numpy(*(getattr(rnn, f"{name}_l0{way}") for name in names)))),
        )
        for way in ("", "_reverse")
    )
    cell = dict(zip("WUbc", numpy(*(getattr(decoder.cell, name) for name in names))))
    A, b, first, bias = numpy(
        model.embed.weight, model.embed.bias, decoder.first.weight, decoder.first.bias
    )
    score = decoder.attention.score
    W, U, v = numpy(score.W.weight, score.U.weight, score.v.weight[0])
    for n, (things, places) in enumerate(rows(lists)):
        x = [reference.times(A, thing) + b for thing in things]
        e, summary = reference.read_both_ways(x, one, other, 4)
        d = np.tanh(reference.times(first, summary) + bias)
        fed = model.first.detach().numpy()
        for i, place in enumerate(places):
            d = reference.gru_step(fed, d, **cell)
            u = [reference.additive_score(d, e_j, W, U, v) for e_j in e]
            want = reference.softmax(u)
            np.testing.assert_allclose(weights[n, i, : len(things)].detach(), want, **EXACT)
            p = log_p[n, i, : len(things)].detach()
            np.testing.assert_allclose(p, np.log(want), rtol=0, atol=1e-10)
            fed = x[place]
    assert not weights[~lists.mask.unsqueeze(1).expand_as(weights)].any()


def test_the_loss_is_the_mean_of_all_places(lists):
    model = network()
    log_p = model(lists).log_p
    each = [-log_p[n, i, j] for n, (_, want) in enumerate(rows(lists)) for i, j in enumerate(want)]
    torch.testing.assert_close(pointing.loss(model, lists), torch.stack(each).mean(), **EXACT)


@pytest.mark.parametrize("says", pointing.SAYS)
@pytest.mark.parametrize("reader", READERS)
def test_a_batch_is_its_lists_one_by_one_and_padding_is_not_read(lists, reader, says):
    model = network(reader=reader, says=says)
    log_p, weights = model(lists)
    places, looks = model.point(lists, 7)
    noise = torch.where(lists.mask.unsqueeze(-1), lists.things, torch.tensor(1e3).double())
    torch.testing.assert_close(model(replace(lists, things=noise)).weights, weights, **EXACT)
    for n in range(len(lists)):
        one = lists[torch.tensor([n])]
        S, T = int(one.lengths), int(one.steps)
        said = model(one)
        width = S if says == "pointer" else 12
        torch.testing.assert_close(said.log_p[0], log_p[n, :T, :width], **EXACT)
        torch.testing.assert_close(said.weights[0], weights[n, :T, :S], **EXACT)
        alone, look = model.point(one, 7)
        assert torch.equal(alone[0], places[n])
        torch.testing.assert_close(look[0], looks[n, :, :S], **EXACT)


@pytest.mark.parametrize("says", pointing.SAYS)
def test_pointing_goes_on_from_what_was_pointed_to(lists, says):
    """Given its own answers as the right ones, it says them again."""
    model = network(says=says)
    places, weights = model.point(lists, 5)
    there = torch.minimum(places, lists.lengths.unsqueeze(1) - 1)
    own = replace(lists, targets=there, steps=torch.full((len(lists),), 5))
    log_p, again = model(own)
    assert torch.equal(log_p.argmax(-1), places)
    torch.testing.assert_close(again, weights, **EXACT)


def test_a_set_has_no_order_and_a_sequence_has(lists):
    other = lists.shuffled(torch.Generator().manual_seed(1))
    for reader in READERS:
        model = network(reader=reader)
        log_p = [model(each).log_p.gather(2, each.targets.unsqueeze(-1)) for each in (lists, other)]
        gap = (log_p[0] - log_p[1])[lists.asked].abs().max()
        assert gap < 1e-10 if reader == "set" else gap > 1e-4


def test_nothing_is_pointed_to_twice_where_that_is_forbidden(lists):
    model = network()
    free = model.point(lists, 5)[0]
    assert any(len(set(row)) < 5 for row in free.tolist())
    places, weights = model.point(lists, 5, once=True)
    assert all(len(set(row)) == 5 for row in places.tolist())
    seen = weights.gather(2, places.unsqueeze(-1))[..., 0]
    assert (seen > 0).all() and not weights[:, 1:].gather(2, places[:, :-1, None]).any()
    closing = model.point(lists, 6, once=True, closing=True)[0]
    for row in closing.tolist():
        rest = [place for place in row[1:] if place != row[0]]
        assert len(set(rest)) == len(rest)


@pytest.mark.parametrize("says", pointing.SAYS)
@pytest.mark.parametrize("reader", READERS)
def test_every_parameter_that_can_learn_does(lists, reader, says):
    model = network(reader=reader, says=says)
    pointing.loss(model, lists).backward()
    still = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert still == ({"decoder.W_c.weight", "decoder.W_c.bias"} if says == "pointer" else set())


class Scripted:
    """Says what it was told to."""

    def __init__(self, places):
        self.places = torch.tensor(places)

    def point(self, lists, steps, once, closing):
        return self.places[:, :steps], None


def test_marks_by_hand():
    """Three lists: all right; two exchanged; one named twice."""
    things = torch.tensor([[[0.1], [0.3], [0.2]]] * 3)
    three = torch.full((3,), 3)
    numbers = Lists(things, three, torch.tensor([[0, 2, 1]] * 3), three)
    found = pointing.marks(Scripted([[0, 2, 1], [2, 0, 1], [0, 0, 1]]), numbers)
    assert found == pytest.approx({"exact": 1 / 3, "right": 6 / 9, "valid": 2 / 3})


def test_marks_of_fences_by_hand():
    """A square with a point inside: right; a corner left out; never closed; a place not there."""
    square = torch.tensor([[[0.0, 0.0], [0.5, 0.5], [1.0, 0.1], [1.0, 1.1], [0.0, 1.0]]] * 4)
    asked = Lists(
        square, torch.full((4,), 5), torch.tensor([[0, 2, 3, 4, 0]] * 4), torch.full((4,), 5)
    )
    said = [[0, 2, 3, 4, 0, 1], [0, 2, 3, 0, 1, 1], [0, 2, 3, 4, 1, 2], [0, 2, 7, 4, 0, 0]]
    found = pointing.marks(Scripted(said), asked, closing=True)
    half = [points.enclosed(square[0, row].tolist()) for row in ([0, 2, 3], [0, 2, 4])]
    assert [*half, points.enclosed(square[0].tolist())] == pytest.approx([0.5, 0.5, 1.0])
    want = {"exact": 1 / 4, "right": (5 + 3 + 4 + 4) / 20, "valid": 2 / 4, "area": 3 / 4}
    assert found == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize(
    "more, message",
    [
        ({"reader": "list"}, "unknown reader 'list': one of recurrent, set"),
        ({"says": "number"}, "unknown says 'number': one of pointer, word"),
    ],
)
def test_the_network_refuses(more, message):
    with pytest.raises(ValueError, match=message):
        PointerNetwork(1, **more)


def test_a_list_without_words_for_its_places_is_refused():
    model = PointerNetwork(1, width=8, says="word", places=4)
    with pytest.raises(ValueError, match="there are words for 4 places, got a list of 5"):
        pointing.loss(model, points.numbers(random.Random(0), 2, 5, 5))


@pytest.mark.slow
def test_it_learns_to_sort_three_numbers():
    def learned(updates):
        torch.manual_seed(1)
        model = PointerNetwork(1, width=16, reader="set")
        return pointing.fit(model, train, updates, lr=0.01, seed=1)

    train = points.numbers(random.Random(1), 1000, 3, 3)
    test = points.numbers(random.Random(2), 200, 3, 3, "test")
    one, other = (learned(3).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    found = pointing.marks(learned(120), test)
    assert found["exact"] > 0.8 > 3 / math.factorial(3)
