"""Attribution against loops, finite differences, SciPy and cases worked by hand."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from attnlib import attribution, pretrained, reference
from attnlib.attention import Attention
from attnlib.captioning import CaptionDecoder
from attnlib.multihead import MultiHeadAttention
from attnlib.scores import AdditiveScore
from attnlib.seq2seq import RecurrentDecoder, RecurrentMemory

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def rows(*shape):
    """Random rows of weights in float64, some of them exactly 0."""
    scores = torch.randn(shape, dtype=torch.float64)
    return scores.masked_fill(torch.rand(shape) < 0.3, -torch.inf).softmax(-1).nan_to_num(0.5)


# How far apart? -------------------------------------------------------------------------------


def test_jensen_shannon_is_that_of_scipy_squared():
    distance = pytest.importorskip("scipy.spatial.distance")
    p, q = rows(4, 5, 7), rows(4, 5, 7)
    p, q = p / p.sum(-1, keepdim=True), q / q.sum(-1, keepdim=True)
    want = distance.jensenshannon(p.numpy(), q.numpy(), axis=-1) ** 2
    np.testing.assert_allclose(attribution.jensen_shannon(p, q), want, **EXACT)
    assert (attribution.jensen_shannon(p, p) == 0).all()


def test_jensen_shannon_can_be_climbed_where_weights_are_zero():
    """Scores hidden by a mask get no gradient, and no NaN: the others that of finite steps."""
    scores = torch.tensor([-torch.inf, 0.4, 0.6, -1.0], dtype=torch.float64, requires_grad=True)
    other = torch.tensor([0.0, 0.6, 0.0, 0.4]).double()
    attribution.jensen_shannon(scores.softmax(-1), other).backward()
    assert float(scores.grad[0]) == 0
    for i in (1, 2, 3):
        moved = torch.eye(4).double()[i] * 1e-6
        more, less = (
            float(attribution.jensen_shannon((scores.detach() + step).softmax(-1), other))
            for step in (moved, -moved)
        )
        assert float(scores.grad[i]) == pytest.approx((more - less) / 2e-6, abs=1e-8)


def test_total_variation_is_the_most_that_an_event_can_differ_by():
    p, q = (x / x.sum() for x in (rows(6), rows(6)))
    events = itertools.chain.from_iterable(itertools.combinations(range(6), k) for k in range(7))
    want = max(abs(float(p[list(e)].sum() - q[list(e)].sum())) for e in events)
    assert float(attribution.total_variation(p, q)) == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize("function", [attribution.total_variation, attribution.jensen_shannon])
def test_distributions_over_other_things_are_refused(function):
    with pytest.raises(ValueError, match=r"as many things, got \(1,\) and \(3,\)"):
        function(torch.ones(1), torch.ones(3))


# How long is what each key adds? --------------------------------------------------------------


def test_norms_of_each_head_match_the_loops():
    attention, x = MultiHeadAttention(width=6, heads=3).double(), torch.randn(2, 5, 6).double()
    query = torch.randn(2, 4, 6).double()
    with torch.no_grad():
        _, weights = attention(query, x, x)
        found = attribution.value_norms(weights, attribution.head_values(attention, x))
    W_V, W_O = attention.W_V.weight.detach().numpy(), attention.W_O.weight.detach().numpy()
    for b in range(2):
        for h in range(3):
            own = slice(2 * h, 2 * h + 2)
            want = reference.value_norms(weights[b, h].numpy(), x[b].numpy(), W_V[own], W_O[:, own])
            np.testing.assert_allclose(found[b, h], want, **EXACT)


def test_what_the_heads_add_together_is_what_a_key_changes():
    """Take one key's part away from every head's average: the output moves by that much."""
    attention, x = MultiHeadAttention(width=6, heads=3).double(), torch.randn(1, 4, 6).double()
    with torch.no_grad():
        contexts, weights = attention(x, x, x)
        found = attribution.heads_together(weights, attribution.head_values(attention, x))
        values = attention.prepare(x, x).values
        for s in range(4):
            without = weights.clone()
            without[..., s] = 0
            moved = contexts - attention.W_O((without @ values).transpose(1, 2).flatten(2))
            torch.testing.assert_close(found[..., s], moved.norm(dim=-1), **EXACT)


def additive(query, key):
    return Attention(AdditiveScore(query_dim=query, key_dim=key, hidden_dim=3))


@pytest.mark.parametrize("part", attribution.PARTS)
@pytest.mark.parametrize("timing", ["before", "after"])
def test_what_a_context_adds_to_a_recurrent_decoder(part, timing):
    """The decoder's matrix on [.., context, ..] with a context, less the same with none."""
    decoder = RecurrentDecoder(
        width=4, hidden=5, annotation_dim=6, attention=additive(5, 6), timing=timing
    ).double()
    annotations = torch.randn(2, 3, 6).double()
    found = attribution.context_values(decoder, annotations, part)
    word, state = torch.randn(4).double(), torch.randn(5).double()
    for b in range(2):
        for s in range(3):
            if part == "cell":
                W = decoder.cell.weight_ih
                with_it, without = (
                    W @ torch.cat([word, context])
                    for context in (annotations[b, s], torch.zeros(6).double())
                )
            else:
                with_it, without = (
                    decoder.W_c(torch.cat([state, context, word]))
                    for context in (annotations[b, s], torch.zeros(6).double())
                )
            torch.testing.assert_close(found[b, s], with_it - without, **EXACT)


def test_the_parts_are_where_the_decoder_puts_its_context():
    """`advance` says in which order: what it hands to the readout and the cell, with a probe."""
    decoder = RecurrentDecoder(
        width=4, hidden=5, annotation_dim=6, attention=additive(5, 6), timing="before"
    ).double()
    annotations = torch.randn(1, 1, 6).double()  # one: all of the weight is on it
    memory = RecurrentMemory(
        annotations,
        decoder.attention.score.prepare(annotations),
        torch.ones(1, 1, dtype=torch.bool),
        torch.randn(1, 6).double(),
    )
    empty = memory._replace(annotations=torch.zeros_like(annotations))
    given = []
    decoder.cell.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    word, start = torch.randn(1, 4).double(), decoder.start(memory)
    seen = [decoder.advance(word, start, each, 0)[0] for each in (memory, empty)]
    with_it, without = (x @ decoder.cell.weight_ih.T for x in given)
    want = attribution.context_values(decoder, annotations, "cell")[:, 0]
    torch.testing.assert_close(with_it - without, want, **EXACT)
    kept = torch.cat([seen[1][:, :5], seen[0][:, 5:]], 1)  # the old state, the new context
    moved = decoder.W_c(kept) - decoder.W_c(seen[1])
    want = attribution.context_values(decoder, annotations)[:, 0]
    torch.testing.assert_close(moved, want, **EXACT)


@pytest.mark.parametrize("part", attribution.PARTS)
def test_what_a_context_adds_to_a_captioner(part):
    decoder = CaptionDecoder(4, 5, annotation_dim=6, attention=additive(5, 6)).double()
    annotations = torch.randn(2, 3, 6).double()
    found = attribution.context_values(decoder, annotations, part)
    word, state, none = (torch.randn(n).double() * (n != 6) for n in (4, 5, 6))
    for b in range(2):
        for s in range(3):
            if part == "cell":
                given = (torch.cat([word, z]) for z in (annotations[b, s], none))
                with_it, without = (decoder.cell.weight_ih @ each for each in given)
            else:
                with_it, without = (
                    decoder.deep_output(word, state, z) for z in (annotations[b, s], none)
                )
            torch.testing.assert_close(found[b, s], with_it - without, **EXACT)


def test_a_context_that_is_not_fed_adds_nothing_to_the_cell():
    decoder = RecurrentDecoder(
        4, 5, annotation_dim=6, attention=additive(5, 6), timing="after", feeding="input"
    )
    with pytest.raises(ValueError, match="feeding is 'input': its cell sees no context"):
        attribution.context_values(decoder, torch.randn(1, 3, 6), "cell")
    with pytest.raises(ValueError, match="unknown part 'both': one of readout, cell"):
        attribution.context_values(decoder, torch.randn(1, 3, 6), "both")


def test_weights_and_values_of_other_keys_are_refused():
    for function in (attribution.value_norms, attribution.effective_weights):
        with pytest.raises(ValueError, match=r"are of 3 keys, transformed values \(4, 5\) of 4"):
            function(torch.ones(2, 3), torch.ones(4, 5))


# What of the input is left? -------------------------------------------------------------------


@pytest.mark.parametrize("L, S", [(1, 1), (1, 4), (3, 5)])
def test_rollout_matches_the_loops(L, S):
    layers = rows(L, 2, S, S)
    found = attribution.rollout(list(layers))
    for b in range(2):
        np.testing.assert_allclose(found[b], reference.rollout(layers[:, b].numpy()), **EXACT)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, S).double(), **EXACT)


def test_rollout_with_another_share_of_the_residual_connection():
    layers = rows(2, 4, 4)
    layers = layers / layers.sum(-1, keepdim=True)
    one, two = (0.2 * each + 0.8 * torch.eye(4).double() for each in layers)
    torch.testing.assert_close(attribution.rollout(list(layers), 0.8), two @ one, **EXACT)
    torch.testing.assert_close(
        attribution.rollout(list(layers), 0.0), layers[1] @ layers[0], **EXACT
    )
    with pytest.raises(ValueError, match="between 0 and 1, got 2"):
        attribution.rollout(list(layers), 2)


def test_rollout_of_causal_layers_is_causal():
    layers = rows(3, 5, 5).tril()
    assert (attribution.rollout(list(layers)).triu(1) == 0).all()


def test_rollout_wants_square_layers():
    with pytest.raises(ValueError, match="there is no layer"):
        attribution.rollout([])
    with pytest.raises(ValueError, match=r"must be \(\.\.\., S, S\), got \(2, 3\)"):
        attribution.rollout([torch.ones(2, 3)])


def test_rollout_of_an_encoder_decoder_by_hand():
    """Recursions for the two sides: source first, then each target position over the source."""
    L, T, S = 2, 3, 4
    encoder, decoder, cross = rows(L, S, S), rows(L, T, T).tril(), rows(L, T, S)
    decoder = decoder + (decoder.sum(-1, keepdim=True) == 0)  # no empty row
    decoder = decoder.tril()
    decoder, encoder, cross = (x / x.sum(-1, keepdim=True) for x in (decoder, encoder, cross))
    source = torch.eye(S).double()
    for weights in encoder:
        source = (weights @ source + source) / 2
    words, looked = torch.eye(T).double(), torch.zeros(T, S).double()
    for to_self, to_source in zip(decoder, cross):
        words, looked = (to_self @ words + words) / 2, (to_self @ looked + looked) / 2
        words, looked = words / 2, (to_source @ source + looked) / 2
    joint = attribution.rollout(attribution.joint_layers(encoder, decoder, cross))
    torch.testing.assert_close(joint[:T, :T], words, **EXACT)
    torch.testing.assert_close(joint[:T, T:], looked, **EXACT)
    torch.testing.assert_close(joint[T:, T:], source, **EXACT)
    both = [torch.stack([x, x]) for x in (encoder, decoder, cross)]
    layers = attribution.joint_layers(*both)
    torch.testing.assert_close(attribution.rollout(layers)[1], joint, **EXACT)


# How would the output move? -------------------------------------------------------------------


def curved(x):
    """A number a row, of tokens that matter together."""
    return (x[:, 0] * x[:, 1].tanh()).sum(-1) + x[:, 2].pow(3).sum(-1)


def test_gradient_times_input_by_finite_differences():
    x, step = torch.randn(2, 3, 4).double(), 1e-6
    found = attribution.gradient_times_input(curved, x)
    for b in range(2):
        for s in range(3):
            more, less = x.clone(), x.clone()
            more[b, s] *= 1 + step
            less[b, s] *= 1 - step
            slope = float(curved(more)[b] - curved(less)[b]) / (2 * step)
            assert float(found[b, s]) == pytest.approx(slope, abs=1e-7)  # step^2, and rounding


def test_gradients_are_taken_where_they_are_switched_off_and_leave_no_trace():
    W = torch.nn.Linear(4, 1).double()
    x = torch.randn(2, 3, 4).double()
    with torch.no_grad():
        found = attribution.gradient_times_input(lambda x: W(x).sum((1, 2)), x)
    torch.testing.assert_close(found, (x @ W.weight[0]).detach(), **EXACT)
    assert W.weight.grad is None and not found.requires_grad and not x.requires_grad


def test_integrated_gradients_are_complete_and_plain_ones_are_not():
    x, start = torch.randn(2, 3, 4).double(), torch.randn(1, 3, 4).double()
    found = attribution.integrated_gradients(curved, x, start, steps=400)
    want = curved(x) - curved(start.expand(2, -1, -1))
    torch.testing.assert_close(found.sum(-1), want, rtol=0, atol=1e-3)  # midpoints: 1 / steps^2
    assert (attribution.gradient_times_input(curved, x).sum(-1) - curved(x)).abs().max() > 0.1


@pytest.mark.parametrize("affine, bias", [(True, True), (True, False), (False, False)])
def test_with_norms_held_outputs_stay_and_what_arrives_is_passed_on(affine, bias):
    torch.manual_seed(0)
    norm = nn.LayerNorm((3, 4), 1e-12, affine, bias).double()
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    model, x = nn.Sequential(nn.Identity(), norm), torch.randn(2, 3, 4).double()
    v = torch.randn(3, 4).double()
    plain = model(x)
    with attribution.norms_held(model):
        torch.testing.assert_close(model(x), plain, rtol=0, atol=1e-12)
        held = attribution.gradient_times_input(lambda x: (model(x) * v).sum((1, 2)), x)
    offset = norm.bias * v if bias else torch.zeros(())
    torch.testing.assert_close(held.sum(1), (plain * v).sum((1, 2)) - offset.sum())
    torch.testing.assert_close(model(x), plain, rtol=0, atol=0)  # and it is as it was
    slope = attribution.gradient_times_input(lambda x: (model(x) * v).sum((1, 2)), x)
    assert slope.sum(1).abs().max() < 1e-9 < held.sum(1).abs().min()


def test_norms_are_as_they_were_after_an_error():
    norm = nn.LayerNorm(2)
    with pytest.raises(ZeroDivisionError), attribution.norms_held(norm):
        raise ZeroDivisionError
    assert "forward" not in vars(norm)


def test_a_function_of_other_shape_is_refused():
    with pytest.raises(ValueError, match=r"one number a row, \(2,\), got \(2, 3\)"):
        attribution.gradient_times_input(lambda x: x.sum(-1), torch.randn(2, 3, 4))
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        attribution.integrated_gradients(curved, torch.randn(2, 3, 4), steps=0)


# What is lost? --------------------------------------------------------------------------------


def test_each_part_is_left_out_once_and_specials_stay():
    asked = []

    def function(sequences):
        asked.extend(sequences)
        return torch.tensor([[float(len(each)), float(each[0])] for each in sequences])

    lost = attribution.leave_one_out(function, [7, 8, 9, 2], parts=[0, 1, 1, None])
    assert asked == [[7, 8, 9, 2], [8, 9, 2], [7, 2]]
    assert lost.tolist() == [[1.0, -1.0], [2.0, 0.0]]
    asked.clear()
    attribution.leave_one_out(function, [7, 8, 9, 2], parts=[0, 1, 1, None], instead=3)
    assert asked == [[7, 8, 9, 2], [3, 8, 9, 2], [7, 3, 3, 2]]


@pytest.mark.parametrize("parts", [[0], [0, 2], [1, 1]])
def test_parts_that_do_not_fit_are_refused(parts):
    with pytest.raises(ValueError, match="from 0 without gaps"):
        attribution.leave_one_out(lambda sequences: torch.zeros(2), [5, 6], parts=parts)


# Could other weights have given the same? -----------------------------------------------------


@pytest.mark.parametrize("S, D", [(3, 4), (5, 4), (6, 4), (9, 4)])
def test_free_directions_change_neither_the_output_nor_the_sum(S, D):
    values = torch.randn(S, D).double()
    free = attribution.free_directions(values)
    assert free.shape == (max(0, S - D - 1), S)
    torch.testing.assert_close(free @ values, torch.zeros(len(free), D).double(), **EXACT)
    torch.testing.assert_close(free.sum(-1), torch.zeros(len(free)).double(), **EXACT)
    torch.testing.assert_close(free @ free.T, torch.eye(len(free)).double(), **EXACT)


def test_the_scale_of_the_values_does_not_matter():
    values = torch.randn(6, 4).double()
    weights = rows(2, 6)
    want = attribution.effective_weights(weights, values)
    for scale in (1e-20, 1e20):
        assert attribution.free_directions(values * scale).shape == (1, 6)
        found = attribution.effective_weights(weights, values * scale, tolerance=1e-9)
        torch.testing.assert_close(found, want, **EXACT)


def test_words_that_are_copies_can_share_their_weight():
    values = torch.randn(3, 4).double()[[0, 1, 2, 1]]
    free = attribution.free_directions(values)
    torch.testing.assert_close(
        free.abs(), torch.tensor([[0, 0.5, 0, 0.5]]).double().sqrt(), **EXACT
    )


def test_effective_weights_give_the_same_output_and_nothing_shorter_does():
    values, weights = torch.randn(7, 4).double(), rows(3, 7)
    found = attribution.effective_weights(weights, values)
    torch.testing.assert_close(found @ values, weights @ values, **EXACT)
    want = weights.numpy() @ values.numpy() @ np.linalg.pinv(values.numpy())
    np.testing.assert_allclose(found, want, **EXACT)


def test_a_tolerance_finds_directions_that_change_little():
    values = torch.randn(5, 4).double()
    values[:, 3] *= 1e-6
    assert attribution.free_directions(values).shape == (0, 5)
    (free,) = attribution.free_directions(values, tolerance=1e-4)
    assert 0 < (free @ values).norm() < 1e-5


def test_values_of_another_shape_are_refused():
    for function in (attribution.free_directions, lambda x: attribution.effective_weights(x, x)):
        with pytest.raises(ValueError, match=r"must be \(S, D\), got \(1, 4, 3\)"):
            function(torch.randn(1, 4, 3))


# On a shipped model ---------------------------------------------------------------------------


def test_a_word_of_a_translation_owes_itself_to_its_source_word():
    """The instruments on a sentence of which everyone knows what is the translation of what."""
    model = pretrained.load("en-fr-bahdanau")
    source = [*model.ids("A man is riding a horse."), 2]
    target = model.ids("Un homme monte un cheval.", side=1)
    tokens = model.tokenizer.tokens(source)
    horse, cheval = tokens.index("▁horse"), model.tokenizer.tokens(target).index("▁cheval")
    given = torch.tensor([[1, *target[:cheval]]])

    def cheval_of(sequences):
        found = []
        for each in sequences:
            with torch.no_grad():
                logits, _ = model.model(torch.tensor([each]), torch.tensor([len(each)]), given)
            found.append(logits[0, -1].log_softmax(-1)[target[cheval]])
        return torch.stack(found)

    lost = attribution.leave_one_out(cheval_of, source, parts=[*range(len(source) - 1), None])
    assert int(lost.argmax()) == horse and float(lost[horse]) > 1
