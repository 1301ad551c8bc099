"""attnlib.decoding against plain recursion over every sentence."""

import itertools
from typing import NamedTuple

import numpy as np
import pytest
import torch

from attnlib.decoding import CHUNK, _top, beam_search, greedy, length_penalty, select
from attnlib.settings import make_translator

BOS, EOS = 1, 2
EXACT = {"rtol": 0, "atol": 1e-12}


class Past(NamedTuple):
    words: torch.Tensor  # (B, t)
    nested: dict


class Toy:
    """Random logits and weights that depend on the source and on every word so far.

    With `values`, logits are whole numbers below it: full of ties. `calls` counts the rows stepped.
    """

    def __init__(self, vocab=4, seed=0, values=None):
        self.vocab, self.seed, self.values, self.calls = vocab, seed, values, []

    def encode(self, source, lengths):
        return {"source": source, "lengths": lengths, "none": None}

    def start(self, memory):
        nothing = memory["source"][:, :0]
        return Past(nothing, {"copies": [nothing, (nothing,)]})

    def step(self, token, state, memory):
        self.calls.append(len(token))
        assert torch.equal(state.words, state.nested["copies"][1][0])
        words = torch.cat([state.words, token.unsqueeze(1)], 1)
        weights = torch.zeros(memory["source"].shape)
        logits = []
        for row, past in enumerate(words.tolist()):
            n = int(memory["lengths"][row])
            key = (tuple(memory["source"][row, :n].tolist()), tuple(past))
            rng = np.random.default_rng(abs(hash((self.seed, key))))
            noise = rng.normal(size=self.vocab) * 2
            logits.append(rng.integers(self.values, size=self.vocab) if self.values else noise)
            weights[row, :n] = torch.tensor(rng.dirichlet(np.ones(n)))
        past = Past(words, {"copies": [words, (words,)]})
        return torch.tensor(np.array(logits, dtype=np.float32)), weights, past


def batch(*sentences):
    S = max(map(len, sentences))
    padded = torch.tensor([[*x, *[0] * (S - len(x))] for x in sentences])
    return padded, torch.tensor([len(x) for x in sentences])


def probability(model, sentence, ids):
    """log p(ids, </s>) and the weights at each of ids, one step after another."""
    source, lengths = batch(sentence)
    memory = model.encode(source, lengths)
    state, total, rows = model.start(memory), 0.0, []
    for word, following in zip([BOS, *ids], [*ids, EOS]):
        logits, weights, state = model.step(torch.tensor([word]), state, memory)
        total += float(logits.log_softmax(-1)[0, following])
        rows.append(weights[0].numpy())
    return total, np.array(rows[:-1]).reshape(len(ids), len(sentence))


def exhaustive(model, sentence, max_length, alpha):
    """Every sentence of at most `max_length` tokens with its score, the best first."""
    words = [w for w in range(model.vocab) if w != EOS]
    found = []
    for T in range(max_length + 1):
        for ids in itertools.product(words, repeat=T):
            total, _ = probability(model, sentence, ids)
            found.append((total / ((5 + T + 1) / 6) ** alpha, list(ids)))
    return sorted(found, reverse=True)


def plain_beam(model, sentence, max_length, beam, alpha):
    """The rule of `beam_search` for one sentence, with lists."""
    live, finished = [(0.0, [])], []
    for t in range(max_length + 1):
        candidates = []
        for total, ids in live:
            source, lengths = batch(sentence)
            memory = model.encode(source, lengths)
            state = model.start(memory)
            for word in [BOS, *ids]:
                logits, _, state = model.step(torch.tensor([word]), state, memory)
            logp = logits.log_softmax(-1)[0].tolist()
            for word in range(model.vocab) if t < max_length else [EOS]:
                candidates.append((total + logp[word], [*ids, word]))
        candidates.sort(key=lambda c: -c[0])
        for total, ids in candidates[:beam]:
            if ids[-1] == EOS:
                finished.append((total / ((5 + len(ids)) / 6) ** alpha, ids[:-1]))
        live = [c for c in candidates if c[1][-1] != EOS][:beam]
        if len(finished) >= beam:
            break
    return sorted(finished, key=lambda f: -f[0])[:beam]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_a_wide_beam_is_exhaustive(seed, alpha):
    model, sentences = Toy(4, seed), ([5, 6], [7])
    everything = sum(3**T for T in range(4))
    found = beam_search(model, *batch(*sentences), 3, BOS, EOS, beam=everything, alpha=alpha)
    for sentence, hypotheses in zip(sentences, found):
        want = exhaustive(model, sentence, 3, alpha)
        assert [h.ids for h in hypotheses] == [ids for _, ids in want]
        np.testing.assert_allclose([h.score for h in hypotheses], [s for s, _ in want], **EXACT)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("beam", [1, 2, 3, 5])
@pytest.mark.parametrize("vocab", [3, 6])
def test_a_narrow_beam_follows_its_stated_rule(seed, beam, vocab):
    model, sentence = Toy(vocab, seed), [8, 9, 10]
    (found,) = beam_search(model, *batch(sentence), 5, BOS, EOS, beam=beam, alpha=0.6)
    want = plain_beam(model, sentence, 5, beam, alpha=0.6)
    assert [h.ids for h in found] == [ids for _, ids in want]
    np.testing.assert_allclose([h.score for h in found], [s for s, _ in want], **EXACT)


@pytest.mark.parametrize("beam", [2, 5])
def test_a_large_batch_follows_the_rule_too(beam):
    """More rows than `CHUNK`, whose probabilities are made some at a time."""
    model = Toy(6, 1)
    sentences = [[5 + i, 9] for i in range(2 + CHUNK // beam)]
    together = beam_search(model, *batch(*sentences), 4, BOS, EOS, beam=beam, alpha=0.6)
    assert max(model.calls) > CHUNK
    for sentence, found in zip(sentences, together, strict=True):
        want = plain_beam(model, sentence, 4, beam, alpha=0.6)
        assert [h.ids for h in found] == [ids for _, ids in want]
        np.testing.assert_allclose([h.score for h in found], [s for s, _ in want], **EXACT)


@pytest.mark.parametrize("beam", [1, 4])
def test_probabilities_and_weights_are_those_of_the_sentence(beam):
    model, sentences = Toy(6, 3), ([5, 6, 7], [8], [9, 5])
    for sentence, found in zip(
        sentences, beam_search(model, *batch(*sentences), 4, BOS, EOS, beam=beam)
    ):
        for hypothesis in found:
            total, weights = probability(model, sentence, hypothesis.ids)
            assert hypothesis.logprob == pytest.approx(total, abs=1e-12)
            assert hypothesis.score == total / length_penalty(len(hypothesis.ids) + 1, 0.6)
            np.testing.assert_array_equal(hypothesis.weights, weights)


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("V", [7, 256, 300, 1280, 1290])  # from 256 k on in runs, with a rest
def test_the_largest_of_a_row_wherever_they_are(V, k):
    torch.manual_seed(V)
    values = torch.stack([torch.randperm(V) for _ in range(200)]).float()
    values[:, 3] = -torch.inf
    want = values.numpy().argsort(1)[:, : -k - 1 : -1]
    best, where = _top(values, k)
    np.testing.assert_array_equal(where, want)
    np.testing.assert_array_equal(best, np.take_along_axis(values.numpy(), want, 1))


@pytest.mark.parametrize("V", [7, 300])
def test_of_equal_values_the_first_is_largest(V):
    torch.manual_seed(V)
    values = torch.randint(3, (200, V)).float()
    np.testing.assert_array_equal(_top(values, 1)[1].squeeze(1), values.numpy().argmax(1))


def same(one, other):
    assert (one.ids, one.score, one.logprob) == (other.ids, other.score, other.logprob)
    np.testing.assert_array_equal(one.weights, other.weights)


@pytest.mark.parametrize("values", [None, 2, 1])  # 1: everything is a tie
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("eos", [EOS, 0, 3])
def test_a_beam_of_one_is_greedy_ties_included(values, seed, eos):
    model = Toy(5, seed, values)
    source, lengths = batch([5, 6, 7], [8], [9, 5], [6, 6, 6, 6])
    limits = [6, 0, 3, 9]
    plain = greedy(model, source, lengths, limits, BOS, eos)
    steps, model.calls = model.calls, []
    for one, (other,) in zip(
        plain, beam_search(model, source, lengths, limits, BOS, eos, beam=1), strict=True
    ):
        same(one, other)
    assert model.calls == steps
    assert plain[1].ids == []
    assert all(len(h.ids) <= limit for h, limit in zip(plain, limits))


@pytest.mark.parametrize("search", [greedy, beam_search])
def test_a_batch_is_its_sentences_one_by_one(search):
    model, sentences = Toy(5, 1), ([5, 6, 7], [8], [9, 5], [6, 6, 6, 6])
    together = search(model, *batch(*sentences), 6, BOS, EOS)
    for sentence, found in zip(sentences, together, strict=True):
        (alone,) = search(model, *batch(sentence), 6, BOS, EOS)
        for one, other in zip([found] if search is greedy else found,
                              [alone] if search is greedy else alone, strict=True):  # fmt: skip
            same(one, other)


@pytest.mark.parametrize(
    "dials",
    [
        {"timing": "before", "feeding": "context"},
        {"timing": "after", "feeding": "input", "score": "general"},
        {"score": None},
    ],
)
def test_a_translator_decodes_alike_alone_and_in_a_batch(dials):
    torch.manual_seed(1)
    model = make_translator(vocab_size=20, width=8, hidden=8, **dials).double().eval()
    model.embedding.weight.data.mul_(3)
    source, lengths = batch([5, 6, 7, 8, 2], [9, 2], [2], [10, 11, 2])
    together = beam_search(model, source, lengths, 12, beam=4)
    for b, found in enumerate(together):
        n = int(lengths[b])
        (alone,) = beam_search(model, source[b : b + 1, :n], lengths[b : b + 1], 12, beam=4)
        assert [h.ids for h in found] == [h.ids for h in alone]
        for one, other in zip(found, alone):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-9)
            assert one.weights.shape == (len(one.ids), n)
            np.testing.assert_allclose(one.weights, other.weights, rtol=0, atol=1e-9)
    # and teacher forcing on the best agrees about its probability and its weights
    best = together[0][0]
    target_in = torch.tensor([[BOS, *best.ids]])
    with torch.no_grad():
        logits, weights = model(source[:1], lengths[:1], target_in)
    written = torch.tensor([*best.ids, EOS])
    total = logits.log_softmax(-1)[0].gather(1, written.unsqueeze(1)).sum()
    assert best.logprob == pytest.approx(float(total), abs=1e-9)
    np.testing.assert_allclose(best.weights, weights[0, :-1].numpy(), rtol=0, atol=1e-9)


def test_an_empty_batch_gives_an_empty_list_and_takes_no_step():
    model = Toy()
    nothing = torch.zeros(0, 3, dtype=torch.long), torch.zeros(0, dtype=torch.long)
    assert greedy(model, *nothing) == beam_search(model, *nothing) == []
    assert model.calls == []


def test_no_step_is_spent_on_sentences_that_are_done():
    class Ends(Toy):  # ends for sure after as many words as the source has
        def step(self, token, state, memory):
            logits, weights, state = super().step(token, state, memory)
            over = state.words.shape[1] > memory["lengths"]
            logits[:, EOS] = torch.where(over, 99.0, -99.0)
            return logits, weights, state

    model = Ends(8)
    greedy(model, *batch([5, 6, 7], [8]), 50, BOS, EOS)
    assert model.calls == [2, 2, 1, 1]
    model.calls = []
    beam_search(model, *batch([5, 6, 7], [8]), 50, BOS, EOS, beam=3)
    assert model.calls == [2, 6, 3, 3]  # the first step has one beginning a sentence


def test_the_length_penalty_by_hand():
    """Wu et al. 2016, eq. 14: |Y| = 13 and alpha 0.5 give sqrt(18 / 6)."""
    assert length_penalty(13, 0.5) == pytest.approx(3**0.5)
    assert length_penalty(13, 0) == 1

    class TwoWays(Toy):  # "" has p = 0.3; "3 3" has p = 0.7 * 0.6 * 0.6 = 0.252
        def step(self, token, state, memory):
            _, weights, state = super().step(token, state, memory)
            p = [[0, 0, 0.3, 0.7], [0, 0, 0.4, 0.6], [0, 0, 0.6, 0.4]][state.words.shape[1] - 1]
            return torch.tensor([p] * len(token)).log(), weights, state

    for alpha, want in ((0.0, []), (2.0, [3, 3])):
        found = beam_search(TwoWays(4), *batch([5]), 2, BOS, EOS, beam=3, alpha=alpha)[0]
        assert found[0].ids == want


def test_select_reaches_every_tensor_and_leaves_the_rest():
    rows = torch.tensor([2, 0])
    tensor = torch.arange(6).view(3, 2)
    state = Past(tensor, {"a": [tensor, (tensor, None, 7)], "scalar": torch.tensor(3)})
    got = select(state, rows)
    want = tensor[rows]
    assert isinstance(got, Past)
    assert torch.equal(got.words, want)
    first, (second, nothing, number) = got.nested["a"]
    assert torch.equal(first, want)
    assert torch.equal(second, want)
    assert (nothing, number, int(got.nested["scalar"])) == (None, 7, 3)


def test_bfloat16_weights_come_back_as_float32():
    class Half(Toy):
        def step(self, *args):
            logits, weights, state = super().step(*args)
            return logits.bfloat16(), weights.bfloat16(), state

    source = batch([5, 6], [7])
    assert greedy(Half(), *source, 5)[0].weights.dtype == np.float32
    assert beam_search(Half(), *source, 5)[0][0].weights.dtype == np.float32


def test_errors():
    source, lengths = batch([5, 6], [7])
    for search in (greedy, beam_search):
        with pytest.raises(ValueError, match=r"source must be .* got \(2, 2\) and \(1,\)"):
            search(Toy(), source, lengths[:1])
        with pytest.raises(ValueError, match="max_length must not be negative, got -1"):
            search(Toy(), source, lengths, [-1, 3])
        with pytest.raises(ValueError, match="max_length must be one number or 2, got 3"):
            search(Toy(), source, lengths, [1, 2, 3])
    with pytest.raises(ValueError, match="beam must be at least 1, got 0"):
        beam_search(Toy(), source, lengths, beam=0)

    class Broken(Toy):
        def step(self, *args):
            logits, weights, state = super().step(*args)
            return logits * torch.nan, weights, state

    with pytest.raises(RuntimeError, match="no sentence a probability"):
        beam_search(Broken(), source, lengths, 3)
