"""What reads the weights of the step before: a score, a window; the decoder hands them on."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnlib import reference
from attnlib.attention import Attention
from attnlib.captioning import CaptionDecoder
from attnlib.decoding import beam_search, greedy
from attnlib.masks import padding_mask
from attnlib.multihead import MultiHeadAttention
from attnlib.scores import AdditiveScore, LocationAwareScore
from attnlib.seq2seq import TIMINGS, RecurrentMemory, Translator
from attnlib.windows import Following

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ


def aware(reach=2, window=None, seed=0):
    """Attention with 4 wide queries and keys, every parameter, b too, away from zero."""
    torch.manual_seed(seed)
    score = LocationAwareScore(4, 4, 7, filters=3, reach=reach).double()
    for parameter in score.parameters():
        torch.nn.init.normal_(parameter)
    return Attention(score, window)


def inputs(B, T, S, seed=0):
    torch.manual_seed(seed)
    shapes = (B, T, 4), (B, S, 4), (B, S, 6)
    tensors = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    return *tensors, torch.rand(B, S, dtype=torch.float64).softmax(-1)


def loops(score):
    """The score as loops: a function of a query, keys and the weights of the step before."""
    p = {name: value.detach().numpy() for name, value in score.named_parameters()}
    return partial(
        reference.location_aware_scores,
        W=p["W.weight"],
        U=p["U.weight"],
        v=p["v.weight"][0],
        F=p["F.weight"][:, 0],
        V=p["V.weight"],
        b=p["V.bias"],
    )


@pytest.mark.parametrize("reach", [0, 1, 4])
@pytest.mark.parametrize("B, T, S", [(1, 1, 1), (2, 3, 5), (3, 2, 8)])
def test_location_aware_attention_matches_the_loops(B, T, S, reach):
    queries, keys, values, previous = inputs(B, T, S)
    mask = torch.rand(B, T, S) < 0.7
    mask[0, 0] = False  # one query may attend to nothing
    attention = aware(reach)
    contexts, weights = (
        x.detach() for x in attention(queries, keys, values, mask, previous=previous)
    )
    score = loops(attention.score)
    for b, t in np.ndindex(B, T):
        seen = score(*(x.numpy() for x in (queries[b, t], keys[b], previous[b])))
        want = reference.look(seen, values[b].numpy(), mask[b, t].tolist())
        np.testing.assert_allclose(contexts[b, t], want[0], **EXACT)
        np.testing.assert_allclose(weights[b, t], want[1], **EXACT)


def test_location_aware_score_worked_on_paper():
    """One filter (1, 0, 0) hands a key the weight of the key before it; v = U = V = 1, W = b = 0.

    Keys 0, 0, 0 and weights (1, 0, 0): f = (0, 1, 0), so e = (0, tanh 1, 0).
    """
    score = LocationAwareScore(1, 1, 1, filters=1, reach=1)
    with torch.no_grad():
        for parameter, value in zip(
            score.parameters(), (0.0, 1.0, 1.0, 0.0, 1.0, 0.0), strict=True
        ):
            parameter.fill_(value)
        score.F.weight[0, 0, 0] = 1.0
        prepared = score.follow(
            score.prepare(torch.zeros(1, 3, 1)), torch.tensor([[1.0, 0.0, 0.0]])
        )
        scored = score.compare(torch.ones(1, 1, 1), prepared)
    assert scored.flatten().tolist() == pytest.approx([0.0, 0.761594, 0.0], abs=1e-6)


def test_without_a_step_before_it_is_the_additive_score_and_b():
    queries, keys, values, _ = inputs(2, 3, 5)
    attention = aware()
    plain = AdditiveScore(4, 4, 7).double()
    plain.load_state_dict(attention.score.state_dict(), strict=False)
    nothing = torch.zeros(2, 5, dtype=torch.float64)
    got = attention(queries, keys, values, previous=nothing)
    prepared = plain.prepare(keys) + attention.score.V.bias
    want = Attention(plain)(queries, keys, values, prepared=prepared)
    assert all(torch.equal(x, y) for x, y in zip(got, want, strict=True))


def test_gradients_are_right_to_the_weights_before_too():
    tensors = [x.requires_grad_() for x in inputs(2, 2, 3)]
    mask = torch.tensor([[[True, True, False]], [[False, False, False]]])
    attention = aware(reach=1)

    def run(queries, keys, values, previous, *_):
        return attention(queries, keys, values, mask, previous=previous)

    assert torch.autograd.gradcheck(run, (*tensors, *attention.parameters()))


@pytest.mark.parametrize("window", [None, Following(1)], ids=["everywhere", "following"])
def test_padding_and_the_batch_change_nothing(window):
    attention, lengths = aware(window=window), torch.tensor([6, 2, 4])
    queries, keys, values, previous = inputs(3, 2, 6)
    mask = padding_mask(lengths)
    previous = (previous * mask) / (previous * mask).sum(-1, keepdim=True)
    contexts, weights = attention(queries, keys, values, mask.unsqueeze(1), previous=previous)
    keys[~mask], values[~mask] = 1e6, 1e6
    again = attention(queries, keys, values, mask.unsqueeze(1), previous=previous)
    assert torch.equal(contexts, again[0]) and torch.equal(weights, again[1])
    for b, S in enumerate(lengths.tolist()):
        one = slice(b, b + 1)
        some = (queries[one], *(x[one, :S] for x in (keys, values)))
        alone = attention(*some, previous=previous[one, :S])
        torch.testing.assert_close(contexts[one], alone[0], **EXACT)
        torch.testing.assert_close(weights[one, :, :S], alone[1], **EXACT)
        assert weights[b, :, S:].eq(0).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.integers(1, 3))
def test_the_following_window_stands_around_the_median(row, reach):
    previous = torch.tensor([row], dtype=torch.float64)
    S = len(row)
    allowed, factor = Following(reach)(torch.zeros(1, 1, 2), None, S, 3, previous)
    want = [True] * S
    if sum(row) > 0:
        want = reference.within(reference.median(np.array(row)), reach, S)
    assert allowed.tolist() == [[want]] and factor is None


def test_the_following_window_meets_the_score():
    """Only keys by the median join the softmax."""
    queries, keys, values, _ = inputs(1, 1, 6)
    previous = torch.tensor([[0.0, 0.0, 0.1, 0.1, 0.8, 0.0]]).double()
    weights = aware(window=Following(1))(queries, keys, values, previous=previous)[1]
    assert (weights[0, 0] > 0).tolist() == [False, False, False, True, True, True]
    everywhere = aware()(queries, keys, values, previous=previous)[1][0, 0, 3:]
    torch.testing.assert_close(weights[0, 0, 3:], everywhere / everywhere.sum(), **EXACT)


# The decoder --------------------------------------------------------------------------------------


def translator(timing="before", window=None, score=LocationAwareScore):
    torch.manual_seed(0)
    attention = Attention(score(8, 8, 5), window)
    model = Translator(11, 6, attention=attention, hidden=4, decoder_hidden=8, timing=timing)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # weights that are not even
    return model.double().eval()


SOURCE, LENGTHS = torch.tensor([[5, 6, 7, 8, 2], [4, 9, 2, 0, 0]]), torch.tensor([5, 3])
WORDS = torch.tensor([[1, 9, 10, 3], [1, 3, 5, 6]])


@torch.no_grad()
@pytest.mark.parametrize("window", [None, Following(1)], ids=["everywhere", "following"])
@pytest.mark.parametrize("timing", TIMINGS)
def test_a_whole_decoder_hands_its_weights_on_as_the_loops_do(timing, window):
    """A padded batch against its sentences one by one; zeros before the first step."""
    model = translator(timing, window)
    _, weights = model(SOURCE, LENGTHS, WORDS)
    memory, decoder = model.encode(SOURCE, LENGTHS), model.decoder
    score, p = loops(decoder.attention.score), dict(decoder.named_parameters())
    gru = [p[f"cell.{name}"].numpy() for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    for b, S in enumerate(LENGTHS.tolist()):
        annotations, before = memory.annotations[b, :S].numpy(), [np.zeros(S)]

        def ask(q, t, annotations=annotations, before=before, S=S):
            inside = None
            if window is not None and t > 0:
                inside = reference.within(reference.median(before[-1]), 1, S)
            seen = score(q, annotations, before[-1])
            context, a = reference.look(seen, annotations, inside)
            before.append(a)
            return context, a

        words = model.embedding(WORDS[b]).numpy()
        first = model.start(memory).hidden[b].numpy()
        cell = lambda x, h: reference.gru_step(x, h, *gru)  # noqa: E731
        parts = (ask, cell, lambda seen: seen, timing, "context")
        _, want = reference.decode(words, first, np.zeros(decoder.fed_dim), *parts)
        np.testing.assert_allclose(weights[b, :, :S], want, **EXACT)
        assert weights[b, :, S:].eq(0).all()


@torch.no_grad()
def test_steps_one_by_one_equal_teacher_forcing():
    model = translator()
    logits, _ = model(SOURCE, LENGTHS, WORDS)
    memory = model.encode(SOURCE, LENGTHS)
    state = model.start(memory)
    assert state.weights.shape == SOURCE.shape and not state.weights.any()
    for t in range(WORDS.shape[1]):
        step, looked, state = model.step(WORDS[:, t], state, memory)
        torch.testing.assert_close(step, logits[:, t], **EXACT)
        assert torch.equal(state.weights, looked)
    # Planted: a decoder that forgets where it was does not write the same.
    forgot = model.start(memory)
    for t in range(2):
        step, _, forgot = model.step(WORDS[:, t], forgot, memory)
        forgot = forgot._replace(weights=torch.zeros_like(forgot.weights))
    step, _, _ = model.step(WORDS[:, 2], forgot, memory)
    assert not torch.allclose(step, logits[:, 2], atol=1e-3)


@torch.no_grad()
def test_a_beam_takes_the_weights_of_the_hypothesis_it_goes_on_from():
    """The log-probability that the search counted is that of the words it found."""
    model = translator()
    for best in zip(*beam_search(model, SOURCE, LENGTHS, max_length=6, beam=4, eos=0)):
        for b, found in enumerate(best):
            ids = torch.tensor([[1, *found.ids]])
            S = LENGTHS[b : b + 1]
            logits, weights = model(SOURCE[b : b + 1, : S[0]], S, ids)
            each = logits[0].log_softmax(-1).gather(1, torch.tensor([[*found.ids, 0]]).T)
            assert found.logprob == pytest.approx(float(each.sum()), abs=1e-9)
            np.testing.assert_allclose(found.weights, weights[0, :-1], atol=1e-9)
    one = [best[0].ids for best in beam_search(model, SOURCE, LENGTHS, 6, beam=1, eos=0)]
    assert one == [found.ids for found in greedy(model, SOURCE, LENGTHS, 6, eos=0)]


def test_what_does_not_hand_them_on_is_refused():
    queries, keys, values, previous = inputs(2, 3, 5)
    with pytest.raises(ValueError, match=r"weights \(B, S\) = \(2, 5\) of the step before.*None"):
        aware()(queries, keys, values)
    with pytest.raises(ValueError, match=r"and got \(2, 4\)"):
        aware()(queries, keys, values, previous=previous[:, :4])
    with pytest.raises(ValueError, match="of the step before"):
        Attention(AdditiveScore(4, 4, 7).double(), Following(1))(queries, keys, values)
    with pytest.raises(ValueError, match=r"\(4, 5\) of the step before.*None"):
        MultiHeadAttention(4, 2, Following(1)).double()(keys, keys, keys)
    with pytest.raises(ValueError, match="a following window needs the weights"):
        Following(1)(queries, None, 5)
    decoder = CaptionDecoder(3, 4, annotation_dim=4, attention=aware()).double()
    memory = RecurrentMemory(keys, keys, torch.ones(2, 5, dtype=torch.bool), keys[:, 0])
    with pytest.raises(ValueError, match=r"\(2, 5\) of the step before.*None"):
        decoder.attend(queries[:, 0], memory, 0)


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="need filters >= 1 and reach >= 0, got 0 and 10"):
        LocationAwareScore(4, 4, 7, filters=0)
    with pytest.raises(ValueError, match="need filters >= 1 and reach >= 0, got 10 and -1"):
        LocationAwareScore(4, 4, 7, reach=-1)
    for reach in (0, 1.5):
        with pytest.raises(ValueError, match="whole number of at least 1, got"):
            Following(reach)
