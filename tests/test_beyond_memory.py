"""Addressing and memory networks against loops; stories against a reader of their own."""

import random
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnlib import reference
from attnlib.beyond import memory
from attnlib.beyond.memory import MemoryNetwork
from attnlib.data import stories
from attnlib.data.stories import Questions

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ
quick = settings(max_examples=40, deadline=None)


# Addressing -----------------------------------------------------------------------------------


def head(B=3, S=5, D=4, seed=0):
    """A key, a memory, weights of the step before, shifts, and one number a row."""
    torch.manual_seed(seed)
    key, rows = torch.randn(B, D).double(), torch.randn(B, S, D).double()
    before, shifts = (torch.randn(B, n).double().softmax(-1) for n in (S, 3))
    return key, rows, before, shifts, torch.rand(B).double()


def test_addressing_matches_the_loops():
    key, rows, before, shifts, number = head()
    content = memory.by_content(key, rows, 5 * number)
    between = memory.interpolate(content, before, number)
    moved = memory.shift(between, shifts)
    sharp = memory.sharpen(moved, 1 + number)
    erase, add = number.unsqueeze(-1) * torch.rand(3, 4), torch.randn(3, 4).double()
    new = memory.write(rows, sharp, erase, add)
    for b in range(3):
        n = number[b].item()
        want = reference.by_content(key[b].numpy(), rows[b].numpy(), 5 * n)
        np.testing.assert_allclose(content[b], want, **EXACT)
        want = reference.interpolate(want, before[b].numpy(), n)
        np.testing.assert_allclose(between[b], want, **EXACT)
        want = reference.shift(want, shifts[b].numpy())
        np.testing.assert_allclose(moved[b], want, **EXACT)
        want = reference.sharpen(want, 1 + n)
        np.testing.assert_allclose(sharp[b], want, **EXACT)
        got = memory.read(rows, sharp)[b]
        np.testing.assert_allclose(got, reference.average(want, rows[b].numpy()), **EXACT)
        want = reference.write(rows[b].numpy(), want, erase[b].numpy(), add[b].numpy())
        np.testing.assert_allclose(new[b], want, **EXACT)


def test_one_step_of_a_head_worked_by_hand():
    """Cosines 1, 0, -1 and sharpness log 2: sevenths; then half way, one on, squared, read."""
    rows = torch.tensor([[[1.0, 0.0], [0.0, 3.0], [-2.0, 0.0]]]).double()
    content = memory.by_content(torch.tensor([[5.0, 0.0]]).double(), rows, np.log(2))
    between = memory.interpolate(content, torch.tensor([[0.0, 0.0, 1.0]]).double(), 0.5)
    moved = memory.shift(between, torch.tensor([[0.0, 0.0, 1.0]]).double())
    sharp = memory.sharpen(moved, 2.0)
    for got, want in (
        (content, ("4/7", "2/7", "1/7")),
        (between, ("2/7", "1/7", "4/7")),
        (moved, ("4/7", "2/7", "1/7")),
        (sharp, ("16/21", "4/21", "1/21")),
        (memory.read(rows, sharp), ("14/21", "12/21")),
    ):
        np.testing.assert_allclose(got[0], [float(Fraction(each)) for each in want], **EXACT)


@quick
@given(seed=st.integers(0, 2**32), by=st.integers(-2, 2), power=st.floats(1, 6))
def test_what_addressing_keeps(seed, by, power):
    key, rows, before, _, number = head(seed=seed)
    content = memory.by_content(key, rows, 5 * number)
    louder = memory.by_content(7 * key, rows * (1 + number)[:, None, None], 5 * number)
    torch.testing.assert_close(louder, content, **EXACT)  # only directions count
    far = memory.by_content(key, rows, 1e4)
    assert torch.equal(far.argmax(1), content.argmax(1))
    one_way = torch.eye(5).double()[by + 2].expand(3, -1)
    moved = memory.shift(before, one_way)
    torch.testing.assert_close(moved.sum(1), torch.ones(3).double(), **EXACT)
    assert torch.equal(moved[:, (2 + by) % 5], before[:, 2])
    torch.testing.assert_close(memory.shift(moved, one_way.flip(1)), before, **EXACT)
    heated = (power * before.log()).softmax(-1)  # a temperature by another name
    torch.testing.assert_close(memory.sharpen(before, power), heated, **EXACT)
    assert torch.equal(memory.interpolate(content, before, 0.0), before)
    place = torch.eye(5).double()[by].expand(3, -1)
    new = memory.write(rows, place, torch.ones(3, 4).double(), key)
    torch.testing.assert_close(memory.read(new, place), key, **EXACT)
    kept = place[0] == 0
    assert torch.equal(new[:, kept], rows[:, kept])


def test_addressing_has_the_gradients_of_its_equations():
    key, rows, before, shifts, number = (x.requires_grad_() for x in head(B=2, S=3, D=2))

    def step(key, rows, before, shifts, number):
        content = memory.by_content(key, rows, number)
        between = memory.interpolate(content, before, number)
        weights = memory.sharpen(memory.shift(between, shifts), 1 + number)
        return memory.write(rows, weights, number.unsqueeze(-1) * key.sigmoid(), key)

    assert torch.autograd.gradcheck(step, (key, rows, before, shifts, number))


def test_a_shift_needs_a_middle():
    with pytest.raises(ValueError, match="shifts must be an odd number, from -R to R, got 2"):
        memory.shift(torch.ones(1, 3) / 3, torch.ones(1, 2) / 2)


# Stories --------------------------------------------------------------------------------------


def last(story, fits):
    """The last sentence that fits."""
    return max(i for i, sentence in enumerate(story.sentences) if fits(sentence))


def understood(story):
    """The answer and its facts, read off the sentences by rules of this test's own."""
    name, facts = story.question[-1], []
    if name in stories.SMALL:
        facts.append(last(story, lambda s: s[:2] == ("the", name)))
        name = story.sentences[facts[-1]][-1]
    if name in stories.THINGS:
        facts.append(last(story, lambda s: name in s and s[1] in ("took", "sent")))
        said = story.sentences[facts[-1]]
        name = said[0] if said[1] == "took" else said[-1]
    facts.append(last(story, lambda s: s[:2] == (name, "went")))
    return story.sentences[facts[-1]][-1], tuple(facts)


@quick
@given(seed=st.integers(0, 2**32), kind=st.sampled_from(stories.KINDS), longest=st.integers(12, 30))
def test_a_story_says_its_answer(seed, kind, longest):
    (story,) = stories.stories(random.Random(seed), 1, [kind], 12, longest, split="all")
    assert understood(story) == (story.answer, story.facts)
    assert len(story.facts) == kind and 12 <= len(story.sentences) <= longest
    assert [story] == stories.stories(random.Random(seed), 1, [kind], 12, longest, split="all")
    assert len({s[0] for s in story.sentences} - {"the"}) <= stories.CAST


@quick
@given(seed=st.integers(0, 2**32))
def test_nobody_sends_what_they_do_not_have_or_goes_where_they_are(seed):
    (story,) = stories.stories(random.Random(seed), 1, [1], 20, 30, split="all")
    where, has, inside = {}, {}, set()
    for said in story.sentences:
        if said[1] == "went":
            assert where.get(said[0]) != said[-1]
            where[said[0]] = said[-1]
        elif said[1] == "took":
            assert said[-1] not in has
            has[said[-1]] = said[0]
        elif said[1] == "sent":
            assert has[said[3]] == said[0] != said[-1]
            has[said[3]] = said[-1]
        else:
            assert said[1] not in inside and said[-1] in stories.HOLDERS
            inside.add(said[1])


def test_splits_and_answers():
    sides = {
        split: stories.stories(random.Random(1), 150, split=split) for split in ("train", "test")
    }
    train, test = ({story.sentences for story in found} for found in sides.values())
    assert not train & test
    counts = [sum(s.answer == place for s in sides["train"]) for place in stories.PLACES]
    assert max(counts) < 150 / 8 + 5 * (150 * 7 / 64) ** 0.5
    assert not {w for s in sides["train"] for x in s.sentences for w in x} & set(stories.STRANGERS)
    for kind in stories.KINDS:  # a question could have had another answer
        for story in (s for s in sides["test"] if len(s.facts) == kind):
            assert len({s[-1] for s in story.sentences if s[1] == "went"}) > 1


@pytest.mark.parametrize(
    "more, message",
    [
        ({"kinds": [4]}, r"kinds must be among 1, 2, 3, got \[4\]"),
        ({"kinds": []}, r"kinds must be among 1, 2, 3, got \[\]"),
        ({"shortest": 5}, "need 6 <= shortest <= longest, got 5 and 16"),
        ({"shortest": 9, "longest": 8}, "need 6 <= shortest <= longest, got 9 and 8"),
        ({"split": "tests"}, "unknown split 'tests': one of train, val, test, all"),
        ({"people": ["mary"] * 4}, "a story has 4 people, got names for 1"),
    ],
)
def test_stories_refuse(more, message):
    with pytest.raises(ValueError, match=message):
        stories.stories(random.Random(0), 1, **more)


def test_stories_become_tensors_the_last_sentence_first():
    found = stories.stories(random.Random(2), 6)
    words, asked = stories.vocabulary(), stories.encode(found)
    for n, story in enumerate(found):
        S = len(story.sentences)
        assert asked.lengths[n] == S and asked.mask[n].sum() == S
        for i in range(S):
            ids = asked.sentences[n, S - 1 - i]
            assert words.decode(ids) == list(story.sentences[i])
        assert words.decode(asked.questions[n]) == list(story.question)
        assert words.decode([asked.answers[n]]) == [story.answer]
        places = [i for i in asked.facts[n].tolist() if i >= 0]
        assert [S - 1 - i for i in places] == list(story.facts)
    one = asked[torch.tensor([3])]
    assert one.sentences.shape[1] == len(found[3].sentences) and len(asked) == 6
    with pytest.raises(ValueError, match="there is no story to encode"):
        stories.encode([])


# The network ----------------------------------------------------------------------------------


def network(seed=0, **dials):
    torch.manual_seed(seed)
    model = MemoryNetwork(len(stories.vocabulary()), width=6, **dials).double()
    for parameter in model.parameters():
        parameter.data *= 3  # attention that is not nearly uniform
    return model


@pytest.fixture(scope="module")
def asked():
    rng = random.Random(4)
    found = [stories.stories(rng, 1, [kind], split="all")[0] for kind in 2 * stories.KINDS]
    return stories.encode(found)


def by_hand(model, ids, question, linear):
    """Logits (V,) and weights (K, S) of one story, in loops."""
    tables = [table.detach().numpy() for table in model.words]
    times = [time.P.detach().numpy() if hasattr(time, "P") else None for time in model.times]

    def vectors(which):
        found = []
        for i, sentence in enumerate(ids):
            words = [tables[which][w] for w in sentence if w]
            vector = reference.bag_of_words(words, model.ordered)
            found.append(vector if times[which] is None else vector + times[which][i])
        return np.array(found)

    u = reference.bag_of_words([tables[0][w] for w in question if w], model.ordered)
    weights = []
    for k in range(model.hops):
        keys, values = vectors(k % len(tables)), vectors((k + 1) % len(tables))
        if linear:
            p = np.array([reference.dot_score(u, key) for key in keys])
            o = reference.average(p, values)
        else:
            (o,), (p,) = reference.attend(reference.dot_score, [u], keys, values)
        u = u + o
        weights.append(p)
    return reference.times(tables[-1], u), np.array(weights)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize(
    "dials",
    [
        {},
        {"embeddings": "shared", "hops": 2},
        {"ordered": False, "hops": 1},
        {"timed": False},
    ],
    ids=str,
)
def test_the_network_is_its_equations(asked, dials, linear):
    model = network(**dials)
    logits, weights = (x.detach() for x in model(asked, linear=linear))
    for n, S in enumerate(asked.lengths.tolist()):
        ids, question = asked.sentences[n, :S].tolist(), asked.questions[n].tolist()
        want = by_hand(model, ids, question, linear)
        np.testing.assert_allclose(logits[n], want[0], **EXACT)
        np.testing.assert_allclose(weights[n, :, :S], want[1], **EXACT)
        assert not weights[n, :, S:].any()


def test_a_batch_is_its_stories_one_by_one_and_padding_is_not_read(asked):
    model = network()
    logits, weights = model(asked)
    noise = torch.randint(4, 30, asked.sentences.shape)
    filled = torch.where(asked.mask.unsqueeze(-1), asked.sentences, noise)
    torch.testing.assert_close(model(replace(asked, sentences=filled)).logits, logits, **EXACT)
    for n in range(len(asked)):
        one = model(asked[torch.tensor([n])])
        torch.testing.assert_close(one.logits[0], logits[n], **EXACT)
        torch.testing.assert_close(one.weights[0], weights[n, :, : asked.lengths[n]], **EXACT)


def changed(asked, change):
    """One story of two sentences, and the same with a change."""
    words = stories.vocabulary()
    said = ["mary sent the ball to john", "john went to the attic"]
    ids = torch.tensor([words.encode(s.split()) + [0] * (6 - len(s.split())) for s in said])
    question = torch.tensor([words.encode(["where", "is", "the", "ball"])])
    rest = (torch.tensor([2]), question, torch.tensor([0]), torch.tensor([[0, 1, -1]]))
    return Questions(ids[None], *rest), Questions(change(ids)[None], *rest)


@pytest.mark.parametrize("ordered", [True, False])
def test_only_an_ordered_sentence_tells_who_sent_from_who_got(asked, ordered):
    there, back = changed(asked, lambda ids: torch.stack([ids[0, [5, 1, 2, 3, 4, 0]], ids[1]]))
    model = network(ordered=ordered)
    gap = (model(there).logits - model(back).logits).abs().max()
    assert gap > 1e-3 if ordered else gap < 1e-12


@pytest.mark.parametrize("timed", [True, False])
def test_only_a_timed_memory_tells_what_came_last(asked, timed):
    before, after = changed(asked, lambda ids: ids.flip(0))
    model = network(timed=timed)
    gap = (model(before).logits - model(after).logits).abs().max()
    assert gap > 1e-3 if timed else gap < 1e-12


@pytest.mark.parametrize("embeddings", memory.EMBEDDINGS)
@pytest.mark.parametrize("linear", [False, True])
def test_every_parameter_learns(asked, embeddings, linear):
    model = network(embeddings=embeddings, longest=int(asked.lengths.max()))
    model(asked, linear=linear).logits.logsumexp(-1).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().sum(-1).count_nonzero() > 10, name


@pytest.mark.parametrize(
    "more, message",
    [
        ({"hops": 0}, "hops must be at least 1, got 0"),
        ({"embeddings": "one"}, "unknown embeddings 'one': one of apart, shared"),
    ],
)
def test_the_network_refuses(more, message):
    with pytest.raises(ValueError, match=message):
        MemoryNetwork(10, **more)


def test_the_network_refuses_a_longer_story_than_it_has_times_for(asked):
    with pytest.raises(ValueError, match="there are 7 learned positions"):
        network(longest=7)(asked)
    assert network(longest=7, timed=False)(asked).logits.isfinite().all()


def test_pointing_against_loops(asked):
    torch.manual_seed(3)
    weights = torch.rand(6, 2, int(asked.lengths.max())) * asked.mask.unsqueeze(1)
    got = memory.pointing(weights, asked.facts)
    for k in range(2):
        for j in range(3):
            rows = [n for n in range(6) if asked.facts[n, j] >= 0]
            hits = [int(weights[n, k].argmax()) == int(asked.facts[n, j]) for n in rows]
            assert got[k, j].item() == pytest.approx(np.mean(hits))


def learned(found, updates, **dials):
    """A small network that learned, from one seed."""
    torch.manual_seed(1)
    model = MemoryNetwork(len(stories.vocabulary()), width=16, hops=1, **dials)
    return memory.fit(model, found, updates, linear=updates // 4, lr=0.02, seed=1)


def test_the_same_seed_learns_the_same(asked):
    one, other = (learned(asked, 8).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_one_hop_learns_questions_of_one_fact_and_looks_at_it():
    train, test = (
        stories.encode(stories.stories(random.Random(seed), count, [1], 6, 8, split))
        for seed, count, split in ((1, 1500, "train"), (2, 200, "test"))
    )
    (found,) = memory.marks(learned(train, 400), test).values()
    assert found["right"] > 0.9 and found["pointing"][0][0] > 0.8
    guess = (test.facts[:, 0] == 0).double().mean()  # the last sentence is the fact
    assert guess < 0.5
