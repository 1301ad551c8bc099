"""What the scripts of chapters 07 and 08 compute, in small: the gate, and who came first."""

import math

import _shut_looks as shut_looks
import looking
import numpy as np
import pytest
import torch
import who_is_first

from attnlib import pretrained
from attnlib.data import scenes
from attnlib.data.images import as_floats
from attnlib.metrics.pointing import Record


def test_who_came_first_is_marked_with_a_twin():
    """Who reads the order is right; who looks at the bag of words is right half the time."""

    def reads(words):
        return (words == 1).int().argmax(1) - (words == 0).int().argmax(1)

    assert who_is_first.right(reads, 16, tested=50) == 1
    assert who_is_first.right(lambda words: -reads(words), 16, tested=50) == 0
    assert who_is_first.right(lambda words: words.sum(1) - 80, 16, tested=50) == 0.5
    words, first = who_is_first.sentences(40, 9, torch.Generator().manual_seed(1))
    assert ((words == 0).sum(1) == 1).all() and ((words == 1).sum(1) == 1).all()
    assert ((reads(words) > 0) == first).all() and 5 < first.sum() < 35


@pytest.fixture(scope="module")
def pictures():
    """Two scenes and their captions of different lengths, so that one is padded."""
    found = [scenes.Scenes("test").sample(i) for i in (0, 2)]
    texts = [each.captions[0].text for each in found]
    assert len({len(text.split()) for text in texts}) == 2
    return found, texts


@pytest.mark.parametrize("shut", [False, True])
def test_a_gate_is_held_shut_while_some_words_are_written(pictures, shut):
    """Step by step, one scene at a time; the second word and the last read nothing."""
    model = pretrained.load("scenes-soft")
    samples, texts = pictures
    closed = [[t in (1, len(x.split()) - 1) for t in range(len(x.split()))] for x in texts]
    logs, gates = shut_looks.run(model, samples, texts, closed if shut else None)
    network = model.model
    for sample, text, log, opened, its in zip(samples, texts, logs, gates, closed, strict=True):
        ids = [1, *model.tokenizer.encode(text)]
        with torch.no_grad():
            memory = network.encode(as_floats(sample.image)[None], torch.tensor([64]))
            state = network.start(memory)
            for t, last in enumerate(ids[:-1]):
                embedded = network.embedding(torch.tensor([last]))
                z, _, state = network.decoder.advance(embedded, state, memory, t)
                assert float(network.decoder.beta(state.hidden)) == pytest.approx(opened[t], 1e-4)
                if shut and its[t]:
                    z, state = 0 * z, state._replace(fed=0 * state.fed)
                seen = network.decoder.deep_output(embedded, state.hidden, z)
                want = network.output(seen).log_softmax(-1)[0].numpy()
                np.testing.assert_allclose(log[t], want, rtol=0, atol=1e-3)
    assert "attend" not in vars(network.decoder)


def test_a_word_costs_what_it_has_not_of_its_class():
    logs = np.log(np.array([[0.1, 0.3, 0.6], [0.2, 0.2, 0.6]]))
    got = shut_looks.nats(logs, [0, 2], [(0, 1), range(3)])
    assert got == pytest.approx([-math.log(0.1 / 0.4), -math.log(0.6)])


def test_a_word_is_right_that_is_the_likeliest_of_its_class():
    logs = np.log(np.array([[0.1, 0.3, 0.6], [0.2, 0.2, 0.6]]))
    assert shut_looks.is_right(logs, [1, 0], [(0, 1), range(3)]) == [1, 0]
    odds = shut_looks.log_odds(logs, [1, 0], [(0, 1), range(3)])
    assert odds == pytest.approx([math.log(0.1 / 0.3), math.log(0.8 / 0.2)])


def test_of_two_looks_either_will_do():
    """Alone each costs next to nothing, together all; two that add up leave nothing over."""
    as_is, alone, rng = np.full(50, 0.3), np.full(50, 0.31), np.random.default_rng(0)
    both = 0.8 + rng.normal(scale=0.01, size=50)
    assert shut_looks.beyond_the_sum(as_is, alone, alone, both).value == pytest.approx(
        0.48, abs=0.01
    )
    added = shut_looks.beyond_the_sum(as_is, as_is + 0.1, as_is + 0.2, as_is + 0.3)
    assert added.value == pytest.approx(0, abs=1e-12)


def test_what_shutting_looks_costs_is_measured_picture_by_picture():
    """Against one scene at a time, with the gate's own function made to answer 0."""
    model, test = pretrained.load("scenes-soft"), scenes.Scenes("test", captions=5)
    samples = [test.sample(i) for i in range(40)]
    found = shut_looks.closed(model, test.grammar, samples)
    network, sizes = model.model, ["small", "large"]
    pair = [model.tokenizer.encode(word)[0] for word in sizes]
    shut = {"": (), "a": ("a",), "size": sizes, "a and size": ("a", *sizes)}
    costs = {label: [] for label in shut}
    for label, words in shut.items():
        for sample in samples:
            said, last, its = sample.captions[0].words, 1, []
            with torch.no_grad():
                memory = network.encode(as_floats(sample.image)[None], torch.tensor([64]))
                state = network.start(memory)
                for word in said:
                    embedded = network.embedding(torch.tensor([last]))
                    z, _, state = network.decoder.advance(embedded, state, memory, 0)
                    if word in words:
                        z, state = 0 * z, state._replace(fed=0 * state.fed)
                    seen = network.decoder.deep_output(embedded, state.hidden, z)
                    if word in sizes:
                        two = network.output(seen)[0, pair].log_softmax(0)
                        its.append(-float(two[sizes.index(word)]))
                    last = model.tokenizer.encode(word)[0]
            costs[label] += [np.mean(its)] if its else []
    mean = {label: np.mean(its) for label, its in costs.items()}
    assert found["pictures"]["size"] == len(costs[""])
    assert found["nats"]["size"][0] == pytest.approx(mean[""], abs=1e-3)
    for label in ("a", "size", "a and size"):
        assert found["more"][label]["size"][0] == pytest.approx(mean[label] - mean[""], abs=1e-3)
    over = mean["a and size"] - mean["a"] - mean["size"] + mean[""]
    assert found["beyond_the_sum"]["nats"]["size"][0] == pytest.approx(over, abs=1e-3)
    assert set(found["more"]) == {*shut_looks.WRITTEN, *shut_looks.TOGETHER, shut_looks.EVERY}


def test_any_thing_counts_for_words_that_name_one():
    masks = np.array([[[True, False]], [[False, True]]])
    record = Record.of(list("ab"), [{0}, set()], np.eye(2), masks, (1, 2), true=True)
    assert looking.of_any_thing(record).things == ({0, 1}, set())


def test_words_are_counted_by_their_gate():
    """Four words on a thing in the left of two cells, looked at rightly twice."""
    masks = np.array([[[True, True, False, False]] * 2])
    weights = [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6], [0.5, 0.5]]
    things = [{0}, {0}, {0}, {0}, set()]
    record = Record.of(list("abcde"), things, weights, masks, (1, 2), true=True)
    found = looking.gate([record], [np.array([0.1, 0.2, 0.5, 0.9, 0.9])])
    words = {name: (row["words"], row["pointing"][0]) for name, row in found["words"].items()}
    assert words == {"all": (4, 0.5), "shut": (2, 0.5), "open": (2, 0.5)}
    assert found["read_on_the_thing"] == pytest.approx((0.1 + 0.5) / 1.7, abs=1e-4)


def test_what_is_read_elsewhere_can_stand_in_for_a_look(pictures):
    """A word that reads what it reads anyway is written as before; other reading changes it."""
    model = pretrained.load("scenes-soft")
    samples, texts = pictures
    closed = [[t == 1 for t in range(len(text.split()))] for text in texts]
    own = []
    for sample, text in zip(samples, texts, strict=True):
        ids, its = [1, *model.tokenizer.encode(text)], []
        with torch.no_grad():
            network = model.model
            memory = network.encode(as_floats(sample.image)[None], torch.tensor([64]))
            state = network.start(memory)
            for t, last in enumerate(ids[:-1]):
                embedded = network.embedding(torch.tensor([last]))
                z, _, state = network.decoder.advance(embedded, state, memory, t)
                its.append(z[0])
        own.append(torch.stack(its))
    as_is, _ = shut_looks.run(model, samples, texts)
    for lent, same in ((own, True), ([2 * each for each in own], False)):
        logs, _ = shut_looks.run(model, samples, texts, closed, lent)
        for before, after in zip(as_is, logs, strict=True):
            assert np.allclose(before[0], after[0], atol=1e-4)
            assert np.allclose(before[1:], after[1:], atol=1e-4) == same


def test_a_first_glance_can_be_that_of_others(pictures):
    """Of two pictures each begins with the other's first state, or both with one that is given."""
    model = pretrained.load("scenes-soft")
    samples, texts = pictures
    own, _ = shut_looks.run(model, samples, texts)
    starts = [shut_looks.mean_start(model, [sample]) for sample in samples]
    swapped, _ = shut_looks.run(model, samples, texts, glance="another")
    for first, start in enumerate(starts):
        given, _ = shut_looks.run(model, samples, texts, glance=start)
        np.testing.assert_allclose(given[first], own[first], rtol=0, atol=1e-4)
        np.testing.assert_allclose(given[1 - first], swapped[1 - first], rtol=0, atol=1e-4)
        assert not np.allclose(own[1 - first], swapped[1 - first], atol=1e-2)
    both = shut_looks.mean_start(model, samples)
    for mean, pair in zip(both, zip(*starts, strict=True), strict=True):
        torch.testing.assert_close(mean, (pair[0] + pair[1]) / 2)


def test_sizes_of_one_kind_and_of_both_are_told_apart():
    """Few scenes: what is shut is what is said, and every picture counts once."""
    model, test = pretrained.load("scenes-soft"), scenes.Scenes("test", captions=5)
    samples = [test.sample(i) for i in range(24)]
    found = shut_looks.sizes(model, test.grammar, samples[:20], samples[20:])
    counts = {1: 0, 2: 0}
    for sample in samples[:20]:
        if {"small", "large"} & set(sample.captions[0].words):
            counts[len({thing.size for thing in sample.things})] += 1
    assert [found[what]["pictures"] for what in ("one size", "both sizes")] == list(counts.values())
    example = found["example"]
    assert len(samples[example["scene"]].things) == 1
    assert example["chance"]["as it is"] > 0.99 > 0.9 > example["chance"]["a and size"]
    one = found["one size"]["nothing"]
    lost = {label: one["nats"][label][0] - one["nats"]["as it is"][0] for label in one["nats"]}
    beyond = lost["a and size"] - lost["a"] - lost["size"]
    assert one["beyond_the_sum"]["nats"][0] == pytest.approx(beyond, abs=5e-4)


def test_another_scenes_look_stands_in_for_a_nouns_own():
    """Against one scene at a time, with what one lender reads at its only noun put in by hand."""
    model, test = pretrained.load("scenes-soft"), scenes.Scenes("test", captions=5)
    every = [test.sample(i) for i in range(40)]
    nouns = set(test.grammar.nouns) | set(test.grammar.nouns.values())
    (lender,) = [s for s in every if len(nouns & set(s.captions[0].words)) == 1 == len(s.things)][
        :1
    ]
    samples, network = every[:20], model.model
    found = shut_looks.stand_ins(model, test.grammar, samples, [lender], ("noun",))["noun"]
    kinds = sorted({word for s in samples for word in s.captions[0].words} & nouns)
    ids = [model.tokenizer.encode(word)[0] for word in kinds]

    def write(sample, lent=None):
        """By noun of the caption what is read there, and the likeliest noun."""
        rows, last = [], 1
        with torch.no_grad():
            memory = network.encode(as_floats(sample.image)[None], torch.tensor([64]))
            state = network.start(memory)
            for t, word in enumerate(sample.captions[0].words):
                embedded = network.embedding(torch.tensor([last]))
                z, _, state = network.decoder.advance(embedded, state, memory, t)
                if word in nouns:
                    z = z if lent is None else lent
                    state = state._replace(fed=z)
                    seen = network.decoder.deep_output(embedded, state.hidden, z)
                    likeliest = kinds[int(network.output(seen)[0, ids].argmax())]
                    rows.append((z, word, likeliest))
                last = model.tokenizer.encode(word)[0]
        return rows

    ((z, theirs, _),) = write(lender)
    for how, lent in (("as it is", None), ("nothing", 0 * z), ("mean", z), ("another", z)):
        rows = [write(sample, lent) for sample in samples]
        right = np.mean([np.mean([own == said for _, own, said in its]) for its in rows])
        assert found["right"][how][0] == pytest.approx(right, abs=1e-4)
    stem = {plural: noun for noun, plural in test.grammar.nouns.items()}
    same = [[stem.get(said, said) == theirs for *_, said in its] for its in rows]
    assert found["believed"][0] == pytest.approx(np.mean([np.mean(x) for x in same]), abs=1e-4)
    assert found["words"] == sum(map(len, rows))


def test_what_one_look_costs_is_measured_word_by_word():
    """Against one scene at a time: that word alone reads nothing; the divergences by hand."""
    model, test = pretrained.load("scenes-soft"), scenes.Scenes("test", captions=5)
    samples = [test.sample(i) for i in range(4)]
    found = shut_looks.gate_and_harm(model, samples, least=1, draws=20)
    network = model.model

    def written(sample, shut=None):
        """The distribution at each word, and how far the gate is open there."""
        with torch.no_grad():
            memory = network.encode(as_floats(sample.image)[None], torch.tensor([64]))
            state, last, logs, gates = network.start(memory), 1, [], []
            for t, word in enumerate(sample.captions[0].words):
                embedded = network.embedding(torch.tensor([last]))
                z, _, state = network.decoder.advance(embedded, state, memory, 0)
                gates.append(float(network.decoder.beta(state.hidden)))
                if t == shut:
                    z, state = 0 * z, state._replace(fed=0 * state.fed)
                seen = network.decoder.deep_output(embedded, state.hidden, z)
                logs.append(network.output(seen)[0].log_softmax(0).double())
                last = model.tokenizer.encode(word)[0]
        return torch.stack(logs), gates

    rows: dict[str, list] = {}
    for sample in samples:
        as_is, gates = written(sample)
        for t, word in enumerate(sample.captions[0].words):
            moved = (as_is.exp() * (as_is - written(sample, t)[0])).sum(1)
            rows.setdefault(word, []).append((gates[t], moved[t], moved[t + 1 :].sum()))
    assert set(found["words"]) == set(rows)
    for word, its in rows.items():
        got = found["words"][word]
        assert got["places"] == len(its)
        assert [got[k] for k in ("gate", "here", "later")] == pytest.approx(
            np.mean(its, axis=0), abs=1e-3
        )
    for value, low, high in found["rank"].values():
        assert -1 <= low <= value <= high <= 1


def test_a_look_is_let_in_by_half():
    """Another scene's look, let in by one half, turns some sizes; by its own gate next to none."""
    model, test = pretrained.load("scenes-soft"), scenes.Scenes("test", captions=5)
    samples = [test.sample(i) for i in range(40)]
    found = shut_looks.let_in(model, samples[:30], samples[30:])
    alike = [s for s in samples[:30] if len({thing.size for thing in s.things}) == 1]
    said = [sum(word in scenes.SIZES for word in s.captions[0].words) for s in alike]
    assert found["words"] == sum(said) and found["pictures"] == sum(map(bool, said))
    right = {how: its[0] for how, its in found["right"].items()}
    assert right["own"] == 1 and right["another"] < right["usual"]
    quiet = shut_looks.let_in(model, samples[:30], samples[30:], share=0.0)["right"]
    assert quiet["another"] == quiet["mean"] == quiet["own"]  # nothing is read


def test_a_wrong_colour_is_that_of_another_thing():
    model, test = pretrained.load("scenes-soft"), scenes.Scenes("test", captions=5)
    samples = [test.sample(i) for i in range(30)]
    found = shut_looks.spoken_of(model, test.grammar, samples)["colour"]
    words = [w for s in samples for w in s.captions[0].words if w in scenes.COLOURS]
    assert found["words"] == len(words)
    assert 0 < found["wrong"] == found["of another thing"]
