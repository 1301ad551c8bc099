"""Blanks and what is read in them; other matrices in the place of attention; they learn."""

from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.functional import conv1d

from attnlib import reference
from attnlib.beyond import filling, without
from attnlib.beyond.filling import MASK, Blanks, Sentences
from attnlib.data.tokenizer import BOS, EOS, PAD, UNK
from attnlib.masks import padding_mask
from attnlib.transformer import LanguageModel
from attnlib.windows import Everywhere

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ
TEXTS = ["A dog runs.", "A black dog, a cat!", "A cat runs in the dog's house"]


@pytest.fixture(scope="module")
def words():
    return filling.vocabulary(TEXTS, least=1)


@pytest.fixture(scope="module")
def said(words):
    return filling.encode([*TEXTS, "A cow runs"], words)


def model_of(mixing="attention", seed=0, **more):
    """In float64, with weights and matrices that are not nearly uniform."""
    torch.manual_seed(seed)
    sizes = {"width": 8, "heads": 2, "feed_forward": 64, "longest": 10, "dropout": 0.0} | more
    model = without.encoder(mixing, 14, **sizes).double().eval()
    model.embedding.weight.data *= 3
    return model


# Words and blanks -----------------------------------------------------------------------------


def test_sentences_on_paper(words, said):
    assert words.words[4:] == ("<mask>", "a", "cat", "dog", "runs", "black", "dog's", *(
        "house",
        "in",
        "the",
    ))  # fmt: skip
    assert said.ids[0].tolist() == [BOS, 5, 7, 8, EOS, *[PAD] * 4]
    assert said.ids[3].tolist() == [BOS, 5, UNK, 8, EOS, *[PAD] * 4]
    assert said.lengths.tolist() == [5, 7, 9, 5]
    assert filling.vocabulary(TEXTS, least=2).words[4:] == ("<mask>", "a", "cat", "dog", "runs")
    assert said.rows(torch.tensor([3, 0])).ids.shape == (2, 5)


def test_every_known_word_is_asked_for_once(said):
    asked = filling.blanks(said)
    assert len(asked.places) == 3 + 5 + 7 + 2  # the cow is unknown
    for n, (place, word) in enumerate(zip(asked.places, asked.words, strict=True)):
        ids = asked.said.ids[n].clone()
        assert ids[place] == MASK and (ids == MASK).sum() == 1
        ids[place] = word
        assert any(torch.equal(ids, row) for row in said.ids)


def test_fifteen_in_a_hundred_are_chosen_and_eight_of_ten_hidden():
    """Intervals of five standard deviations of a binomial."""
    ids = torch.randint(MASK + 1, 1000, (500, 42), generator=torch.Generator().manual_seed(1))
    ids[:, 0], ids[:, 40], ids[:, 41] = BOS, EOS, PAD
    said = Sentences(ids, torch.full((500,), 41))
    read, chosen = filling.hide(said, 1000, torch.Generator().manual_seed(2))
    assert not chosen[:, [0, 40, 41]].any() and torch.equal(read[~chosen], ids[~chosen])
    N = 500 * 39
    for share, found, among in (
        (0.15, int(chosen.sum()), N),
        (0.4, int(filling.hide(said, 1000, torch.Generator().manual_seed(2), 0.4)[1].sum()), N),
        (0.8, int((read[chosen] == MASK).sum()), int(chosen.sum())),
        (0.1, int((read[chosen] == ids[chosen]).sum()), int(chosen.sum())),
    ):
        assert abs(found - share * among) < 5 * (among * share * (1 - share)) ** 0.5
    other = read[chosen & (read != MASK) & (read != ids)]
    assert other.min() > MASK and other.max() < 1000 and len(other.unique()) > len(other) / 2


def test_the_losses_are_the_mean_of_what_is_asked(said):
    model = model_of()
    read, chosen = filling.hide(said, 14, torch.Generator().manual_seed(3))
    log_p = model(read, said.lengths).log_softmax(-1)
    each = [-log_p[n, t, said.ids[n, t]] for n, t in chosen.nonzero().tolist()]
    found = filling.masked_loss(model, said, torch.Generator().manual_seed(3))
    torch.testing.assert_close(found, torch.stack(each).mean(), **EXACT)
    torch.manual_seed(1)
    causal = LanguageModel(14, 8, layers=1, heads=2, feed_forward=8).double()
    each = []
    for ids, length in zip(said.ids, said.lengths, strict=True):
        log_p = causal(ids[None, :length]).log_softmax(-1)[0]
        each += [-log_p[t, ids[t + 1]] for t in range(length - 1)]
    found = filling.next_loss(causal, said, torch.Generator())
    torch.testing.assert_close(found, torch.stack(each).mean(), **EXACT)


def test_a_causal_model_fills_from_the_left_and_rescores_the_whole(said):
    torch.manual_seed(1)
    model = LanguageModel(14, 8, layers=1, heads=2, feed_forward=8).double()
    asked = filling.blanks(said)
    scores = filling.fill(model, asked, causal=True, batch=4)
    candidates = torch.tensor([[5, 7, 9]] * len(asked.places))
    whole = filling.rescore(model, asked, candidates)
    for n, (place, length) in enumerate(zip(asked.places, asked.said.lengths, strict=True)):
        ids = asked.said.ids[n, :length].clone()
        left = model(ids[None, :place]).log_softmax(-1)[0, -1]
        torch.testing.assert_close(scores[n], left.detach(), **EXACT)
        for k, word in enumerate(candidates[n]):
            ids[place] = word
            log_p = model(ids[None, :-1]).log_softmax(-1)[0]
            want = log_p[torch.arange(length - 1), ids[1:]].sum().detach()
            torch.testing.assert_close(whole[n, k], want, **EXACT)


def test_the_looks_of_a_blank_by_hand(said):
    model, asked = model_of(), filling.blanks(said)
    want = []
    for n, (place, length) in enumerate(zip(asked.places, asked.said.lengths, strict=True)):
        row = model.attention_maps(asked.said.ids[n : n + 1, :length])[0, :, :, place]
        want.append([row[..., :place].sum(-1), row[..., place], row[..., place + 1 :].sum(-1)])
    want = torch.stack([torch.stack(each, -1) for each in want]).mean(0).detach()
    found = filling.looks(model, asked, batch=3)
    torch.testing.assert_close(found.double(), want, rtol=0, atol=1e-6)


def test_neighbours_are_counted(words, said):
    """In the three texts a dog comes twice after "a" or "black", and once before the end."""
    seen = Sentences(said.ids[:3], said.lengths[:3])
    counts = filling.Neighbours(seen, len(words))
    spoken = [w for text in TEXTS for w in filling.split(text)]
    assert counts.counts.tolist() == [Counter(spoken)[w] for w in words.words]
    asked = filling.encode(["a <mask> runs"], words)
    ids = asked.ids.clone()
    ids[0, 2] = MASK
    blank = Blanks(Sentences(ids, asked.lengths), torch.tensor([2]), torch.tensor([7]))
    # <s> a ? runs: "mask" is unknown in the text above and stands where the blank is
    found = counts.fill(blank)
    assert found["commonest"].argmax() == words.encode(["a"])[0]
    share = counts.counts / counts.counts.sum()
    after_a, before_runs = torch.zeros(2, len(words))
    for word, n in (("dog", 1), ("cat", 2), ("black", 1)):
        after_a[words.encode([word])] = n
    for word in ("dog", "cat"):
        before_runs[words.encode([word])] = 1
    torch.testing.assert_close(found["before"][0], after_a + share)
    both = (after_a + share) * (before_runs + share) / counts.counts.clamp(min=1)
    torch.testing.assert_close(found["both"][0], both / both.sum())
    torch.testing.assert_close(found["between"][0], before_runs + both / both.sum())


# Other matrices -------------------------------------------------------------------------------


@pytest.mark.parametrize("mixing", without.MIXINGS)
def test_a_batch_is_its_sentences_one_by_one_and_padding_is_not_read(said, mixing):
    model = model_of(mixing)
    logits = model(said.ids, said.lengths)
    noise = said.ids.where(padding_mask(said.lengths), torch.tensor(9))
    real = padding_mask(said.lengths)
    torch.testing.assert_close(model(noise, said.lengths)[real], logits[real], **EXACT)
    maps = model.attention_maps(said.ids, said.lengths)
    for n, length in enumerate(said.lengths):
        alone = model(said.ids[n : n + 1, :length])
        torch.testing.assert_close(alone[0], logits[n, :length], **EXACT)
        assert not maps[n, ..., length:].any() and maps[n, ..., :length, :length].any()


@pytest.mark.parametrize("mixing", without.MIXINGS[1:])
def test_a_mixing_is_its_matrix_of_the_values(mixing):
    """By loops, as `reference` has them; and the matrix does not depend on what is read."""
    model = model_of(mixing)
    layer, x = model.stack.blocks[0].self_attention, torch.randn(2, 5, 8, dtype=torch.float64)
    y, weights = layer.attend(x, layer.prepare(x, x))
    assert torch.equal(weights[0], weights[1])
    W_V, W_O = (p.weight.detach().numpy() for p in (layer.W_V, layer.W_O))
    wide = 8 // layer.heads
    for b in range(2):
        v = [reference.times(W_V, x[b, s].numpy()) for s in range(5)]
        for t in range(5):
            mixed = [
                sum(weights[b, d // wide, t, s].item() * v[s][d] for s in range(5))
                for d in range(8)
            ]
            want = reference.times(W_O, np.array(mixed))
            np.testing.assert_allclose(y[b, t].detach(), want, **EXACT)


def test_taps_are_a_depthwise_convolution():
    torch.manual_seed(0)
    layer, x = without.Taps(6, reach=2), torch.randn(6, 9)
    want = conv1d(x.unsqueeze(0), layer.taps.unsqueeze(1), padding=2, groups=6)[0]
    torch.testing.assert_close(torch.einsum("dts,ds->dt", layer.matrix(9), x), want)


def test_states_are_a_recurrence():
    """The convolution's matrix against h_t = exp(step A) h_(t-1) + B v_t, from both sides."""
    torch.manual_seed(0)
    layer, v = without.States(3, states=4).double(), np.random.default_rng(0).normal(size=(7, 3))
    A = -layer.log_decay.exp().detach().numpy() + 1j * layer.turn.detach().numpy()
    step = layer.log_step.exp().detach().numpy()
    B = (np.exp(step * A) - 1) / A
    want = np.zeros((7, 3))
    for C, order in zip(layer.C.detach().numpy(), (range(7), range(6, -1, -1)), strict=True):
        h = np.zeros((3, 4), dtype=complex)
        for t in order:
            h = np.exp(step * A) * h + B * v[t][:, None]
            want[t] += 2 * ((C[..., 0] + 1j * C[..., 1]) * h).sum(1).real
    found = torch.einsum("dts,sd->td", layer.matrix(7), torch.from_numpy(v)).detach()
    np.testing.assert_allclose(found, want, **EXACT)


@pytest.mark.parametrize("mixing", without.MIXINGS)
def test_every_parameter_that_is_used_learns(said, mixing):
    model = model_of(mixing)
    filling.masked_loss(model, said, torch.Generator().manual_seed(3)).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]


def test_refusals():
    with pytest.raises(ValueError, match="unknown mixing 'fourier': one of attention, table"):
        without.encoder("fourier", 14)
    with pytest.raises(ValueError, match="states alone has more parameters than a block"):
        without.encoder("states", 14, width=8, feed_forward=8)
    with pytest.raises(ValueError, match="the table has 10 places, got a sentence of 11"):
        model_of("table")(torch.full((1, 11), 5))
    with pytest.raises(ValueError, match="pairs must be from 1 to 16, got 17"):
        without.recall(17, 1, torch.Generator())
    with pytest.raises(TypeError, match="FixedMixing must define matrix"):
        without.FixedMixing(4, 1).matrix(3)


# Recall and learning --------------------------------------------------------------------------


def test_every_pair_is_asked_for_and_its_answer_is_the_value_told():
    ids, answers = without.recall(5, 20, torch.Generator().manual_seed(0))
    first = MASK + 1
    for row, want in zip((ids - first).tolist(), answers.tolist(), strict=True):
        told = dict(divmod(i - without.KEYS - without.VALUES, without.VALUES) for i in row[:5])
        assert sorted(told) == sorted(row[5:]) and len(set(told.values())) == 5
        assert [first + without.KEYS + told[key] for key in row[5:]] == want
    assert ids.max() < without.RECALL_WORDS
    again = without.recall(5, 20, torch.Generator().manual_seed(0))
    assert torch.equal(again[0], ids) and torch.equal(again[1], answers)


@pytest.mark.parametrize("pairs", [2, 4, 16])
def test_a_sum_can_recall_any_number_of_pairs_given_room_for_every_key(pairs):
    """By hand: a room for each key, and a rectifier that opens the one that is asked for."""
    ids, answers = without.recall(pairs, 20, torch.Generator().manual_seed(0))
    told = ids[:, :pairs] - (MASK + 1 + without.KEYS + without.VALUES)
    rooms, asked = torch.zeros(20, 2 * pairs, without.KEYS), ids[:, pairs:] - (MASK + 1)
    keys, values = told // without.VALUES, (told % without.VALUES).float()
    rooms[:, :pairs] = torch.nn.functional.one_hot(keys, without.KEYS) * (values + 1).unsqueeze(-1)
    M = without.Sum(without.KEYS, longest=32).matrix(2 * pairs)[0]
    carried = (M / M[0, 0]) @ rooms  # (20, 2 pairs, KEYS), the same at every place
    shut = without.VALUES * (1 - torch.nn.functional.one_hot(asked, without.KEYS))
    found = (carried[:, pairs:] - shut).relu().sum(-1) - 1
    assert torch.equal(found.long() + MASK + 1 + without.KEYS, answers)


def test_it_learns_to_look_at_both_sides():
    """The word in the middle is known from the two beside it together, from neither alone."""

    def learned(updates):
        torch.manual_seed(1)
        make = partial(LanguageModel, 20, 16, layers=1, heads=2, feed_forward=32)
        return filling.fit(make(window=Everywhere), said, updates=updates, lr=0.02, seed=1)

    rows = [[BOS, 5 + i, 11 + 3 * i + j, 8 + j, EOS] for i in range(3) for j in range(3)] * 7
    said = Sentences(torch.tensor(rows), torch.full((63,), 5))
    one, other = (learned(2).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    asked = filling.blanks(said)
    asked = filling.some(asked, (asked.places == 2).nonzero()[:, 0])
    model = learned(100)
    assert filling.right(filling.fill(model, asked), asked.words).double().mean() > 0.8 > 1 / 3
