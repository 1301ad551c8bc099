"""Scores and attention against the loops, PyTorch's own attention, and gradcheck."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from attnlib import reference, scores, windows
from attnlib.attention import Attention
from attnlib.masks import causal_mask, padding_mask
from attnlib.multihead import MultiHeadAttention, fused
from attnlib.settings import SCORES, WINDOWS, make_score, make_selection, make_window

EXACT = {"rtol": 0, "atol": 1e-12}  # float64: only the order of the sums may differ
DIMS = {"query_dim": 4, "key_dim": 4, "hidden_dim": 7, "max_source": 6}


def numpy(*tensors):
    return [tensor.detach().numpy() for tensor in tensors]


def oracle(score):
    """The loop version of a score with the same weights: a function of one query and one key."""
    match score:
        case scores.ScaledDotScore():
            return reference.scaled_dot_score
        case scores.DotScore():
            return reference.dot_score
        case scores.CosineScore():
            return partial(reference.cosine_score, beta=score.beta.item())
        case scores.GeneralScore():
            return partial(reference.general_score, W=numpy(score.W.weight)[0])
        case scores.AdditiveScore():
            W, U, v = numpy(score.W.weight, score.U.weight, score.v.weight[0])
            return partial(reference.additive_score, W=W, U=U, v=v)
        case scores.ConcatScore():
            W, v = numpy(score.W.weight, score.v.weight[0])
            return partial(reference.concat_score, W=W, v=v, tanh=score.tanh)
    raise AssertionError(f"no oracle for {score}")


def inputs(B, T, S, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    shapes = (B, T, 4), (B, S, 4), (B, S, 6)
    return [torch.randn(shape, dtype=dtype) for shape in shapes]


@pytest.mark.parametrize("name", [n for n in SCORES if n != "location"])
@pytest.mark.parametrize("B, T, S", [(1, 1, 1), (2, 3, 5), (3, 5, 2)])
def test_attention_matches_the_loops(name, B, T, S):
    queries, keys, values = inputs(B, T, S)
    mask = torch.rand(B, T, S) < 0.7
    mask[0, 0] = False  # one query may attend to nothing
    score = make_score(name, **DIMS).double()
    contexts, weights = (x.detach() for x in Attention(score)(queries, keys, values, mask))
    for b in range(B):
        want = reference.attend(oracle(score), *numpy(queries[b], keys[b], values[b], mask[b]))
        np.testing.assert_allclose(contexts[b], want[0], **EXACT)
        np.testing.assert_allclose(weights[b], want[1], **EXACT)


def test_concat_without_tanh_cannot_depend_on_the_query():
    queries, keys, values = inputs(1, 3, 5)
    attention = Attention(scores.ConcatScore(4, 4, 7, tanh=False).double())
    want = reference.attend(oracle(attention.score), *numpy(queries[0], keys[0], values[0]))
    _, weights = attention(queries, keys, values)
    np.testing.assert_allclose(weights[0].detach(), want[1], **EXACT)
    np.testing.assert_allclose(*numpy(weights[0, :1].expand(3, 5), weights[0]), **EXACT)


def test_location_score_matches_the_loops_and_ignores_the_keys():
    queries, keys, _ = inputs(2, 3, 5)
    score = make_score("location", **DIMS).double()
    scored = score(queries, keys).detach()
    for b in range(2):
        for t in range(3):
            want = reference.location_scores(*numpy(queries[b, t]), 5, *numpy(score.W.weight))
            np.testing.assert_allclose(scored[b, t], want, **EXACT)
    assert torch.equal(score(queries, keys + 1), score(queries, keys))


def test_location_score_refuses_more_positions_than_it_knows():
    queries, keys, _ = inputs(1, 1, 7)
    with pytest.raises(ValueError, match="knows 6 source positions, got 7"):
        make_score("location", **DIMS).double()(queries, keys)


def test_concat_is_additive_under_another_name():
    queries, keys, _ = inputs(2, 3, 5)
    concat, additive = (make_score(name, **DIMS).double() for name in ("concat", "additive"))
    with torch.no_grad():
        concat.W.weight.copy_(torch.cat([additive.W.weight, additive.U.weight], 1))
        concat.v.weight.copy_(additive.v.weight)
        got, want = concat(queries, keys), additive(queries, keys)
    torch.testing.assert_close(got, want, **EXACT)


def test_additive_score_worked_on_paper():
    # q = (1, 0), k1 = (0, 1), k2 = (1, 1); W = U = identity, v = (1, 2):
    # e1 = tanh(1) + 2 tanh(1), e2 = tanh(2) + 2 tanh(1)
    score = scores.AdditiveScore(2, 2, 2)
    with torch.no_grad():
        score.W.weight.copy_(torch.eye(2))
        score.U.weight.copy_(torch.eye(2))
        score.v.weight.copy_(torch.tensor([[1.0, 2.0]]))
    scored = score(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[0.0, 1.0], [1.0, 1.0]]]))
    assert scored.flatten().tolist() == pytest.approx([2.284782, 2.487216], abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "make",
    [scores.AdditiveScore, scores.ConcatScore, lambda q, _, hidden: windows.Predictive(q, hidden)],
    ids=["additive", "concat", "predictive"],
)
def test_v_starts_with_either_sign(make, seed):
    """Of 400 numbers that are as often negative as positive, 140 to 260 are: 6 deviations."""
    torch.manual_seed(seed)
    v = make(4, 4, 400).v.weight
    assert 140 <= int((v < 0).sum()) <= 260 and 140 <= int((v > 0).sum()) <= 260


@pytest.mark.parametrize("dtype, atol", [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("causal", [False, True])
def test_scaled_dot_equals_pytorch(dtype, atol, causal):
    queries, keys, values = inputs(3, 5, 5, dtype)
    mask = torch.rand(3, 5, 5) < 0.7
    mask |= torch.eye(5, dtype=torch.bool)  # PyTorch gives NaN on an empty row
    window = make_window("causal" if causal else "everywhere")
    contexts, _ = Attention(scores.ScaledDotScore(), window)(queries, keys, values, mask)
    allowed = mask & causal_mask(5, 5) if causal else mask
    want = scaled_dot_product_attention(queries, keys, values, attn_mask=allowed)
    torch.testing.assert_close(contexts, want, rtol=0, atol=atol)


@pytest.mark.parametrize("name", SCORES)
def test_gradients_are_right(name):
    queries, keys, values = (x.requires_grad_() for x in inputs(2, 2, 3))
    mask = torch.tensor([[[True, True, False]], [[False, False, False]]])
    attention = Attention(make_score(name, **DIMS).double())
    parameters = tuple(attention.parameters())

    def run(queries, keys, values, *_):
        return attention(queries, keys, values, mask)

    assert torch.autograd.gradcheck(run, (queries, keys, values, *parameters))


@pytest.mark.parametrize("name", SCORES)
def test_hidden_keys_change_nothing(name):
    queries, keys, values = inputs(2, 3, 5)
    mask = torch.ones(2, 1, 5, dtype=torch.bool)
    mask[:, :, 3:] = False
    attention = Attention(make_score(name, **DIMS).double())
    before = attention(queries, keys, values, mask)
    keys[:, 3:], values[:, 3:] = 1e6, 1e6
    after = attention(queries, keys, values, mask)
    assert all(torch.equal(x, y) for x, y in zip(before, after, strict=True))


@pytest.mark.parametrize("name", SCORES)
def test_prepared_keys_give_the_same_and_nothing_is_kept(name):
    queries, keys, values = inputs(2, 3, 5)
    attention = Attention(make_score(name, **DIMS).double())
    state = set(vars(attention)), set(vars(attention.score))
    prepared = attention.score.prepare(keys)
    once = attention(queries, keys, values, prepared=prepared)
    again = attention(queries, keys, values)
    assert all(torch.equal(x, y) for x, y in zip(once, again, strict=True))
    assert state == (set(vars(attention)), set(vars(attention.score)))


def test_causal_window_knows_where_a_later_query_stands():
    queries, keys, values = inputs(2, 5, 5)
    attention = Attention(scores.DotScore(), windows.Causal())
    _, together = attention(queries, keys, values)
    for t in range(5):
        _, alone = attention(queries[:, t : t + 1], keys, values, start=t)
        torch.testing.assert_close(alone[:, 0], together[:, t], rtol=0, atol=1e-12)
    assert torch.equal(together, together.tril())


@pytest.mark.parametrize("name", SCORES)
def test_bfloat16_autocast_stays_close_and_finite(name):
    queries, keys, values = inputs(2, 3, 5, torch.float32)
    mask = torch.ones(2, 1, 5, dtype=torch.bool)
    mask[0] = False
    attention = Attention(make_score(name, **DIMS))
    exact, _ = attention(queries, keys, values, mask)
    with torch.autocast("cpu", torch.bfloat16):
        rough, weights = attention(queries, keys, values, mask)
    assert torch.isfinite(rough).all() and weights[0].eq(0).all()
    torch.testing.assert_close(rough.float(), exact, rtol=0, atol=0.1)  # 8 bits of mantissa


@pytest.mark.slow
def test_torch_compile_changes_nothing():
    queries, keys, values = inputs(2, 3, 5, torch.float32)
    attention = Attention(make_score("additive", **DIMS))
    compiled = torch.compile(attention, fullgraph=True, backend="aot_eager")
    mask = torch.rand(2, 3, 5) < 0.7
    for got, want in zip(
        compiled(queries, keys, values, mask), attention(queries, keys, values, mask), strict=True
    ):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-6)


# Many heads ----------------------------------------------------------------------------------


def several(B, T, S, dtype=torch.float64, window=None, heads=3):
    """Attention of heads 2 wide; queries, keys and values, and a mask with an empty row."""
    torch.manual_seed(0)
    attention = MultiHeadAttention(2 * heads, heads, window).to(dtype)
    tensors = [torch.randn(B, positions, 2 * heads, dtype=dtype) for positions in (T, S, S)]
    mask = torch.rand(B, T, S) < 0.7
    mask[0, 0] = False
    return attention, tensors, mask


@pytest.mark.parametrize("B, T, S", [(1, 2, 3), (2, 3, 5), (3, 5, 2)])
def test_many_heads_match_the_loops(B, T, S):
    attention, tensors, mask = several(B, T, S)
    contexts, weights = (x.detach() for x in attention(*tensors, mask))
    matrices = numpy(*(getattr(attention, W).weight for W in ("W_Q", "W_K", "W_V", "W_O")))
    for b in range(B):
        rows = numpy(*(x[b] for x in tensors))
        want = reference.multi_head(
            reference.scaled_dot_score, *rows, *matrices, heads=3, mask=mask[b]
        )
        np.testing.assert_allclose(contexts[b], want[0], **EXACT)
        np.testing.assert_allclose(weights[b], want[1], **EXACT)
    assert contexts[0, 0].eq(0).all() and weights[0, :, 0].eq(0).all()


@torch.no_grad()
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("dtype, atol", [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("causal", [False, True])
def test_many_heads_equal_pytorchs_module(dtype, atol, causal, need_weights):
    window = make_window("causal" if causal else "everywhere")
    attention, tensors, mask = several(3, 5, 5, dtype, window)
    mask |= torch.eye(5, dtype=torch.bool)  # PyTorch gives NaN on an empty row
    theirs = torch.nn.MultiheadAttention(6, 3, bias=False, batch_first=True, dtype=dtype)
    ours = (attention.W_Q.weight, attention.W_K.weight, attention.W_V.weight)
    theirs.in_proj_weight.copy_(torch.cat(ours))
    theirs.out_proj.weight.copy_(attention.W_O.weight)
    contexts, weights = attention(*tensors, mask, need_weights=need_weights)
    hidden = ~(mask & causal_mask(5, 5) if causal else mask).repeat_interleave(3, 0)
    want = theirs(*tensors, attn_mask=hidden, average_attn_weights=False)
    torch.testing.assert_close(contexts, want[0], rtol=0, atol=atol)
    if need_weights:
        torch.testing.assert_close(weights, want[1], rtol=0, atol=atol)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("name", WINDOWS)
def test_a_sentence_does_not_mind_its_batch(name, need_weights):
    """Without a mask too, where batch and positions could be taken for each other unseen."""
    window = make_window(name, query_dim=2, hidden_dim=2, reach=1)
    attention, tensors, _ = several(3, 5, 5, window=window)
    contexts, _ = attention(*tensors, need_weights=need_weights)
    for b in range(3):
        alone, _ = attention(*(x[b : b + 1] for x in tensors), need_weights=need_weights)
        torch.testing.assert_close(contexts[b : b + 1], alone, **EXACT)


@pytest.mark.parametrize("masked", ["not", "by keys", "by pairs"])
@pytest.mark.parametrize("name", WINDOWS)
def test_heads_without_weights_find_the_same_and_learn_the_same(name, masked):
    """Both paths, forwards and backwards, also where a query may see nothing."""
    window = make_window(name, query_dim=2, hidden_dim=2, reach=1)
    attention, tensors, mask = several(3, 7, 7, window=window)
    if masked == "by keys":
        mask = padding_mask(torch.tensor([7, 3, 5])).unsqueeze(1)
    for start in (0, 4):
        found = []
        for need_weights in (True, False):
            inputs = [x.clone().requires_grad_() for x in tensors]
            contexts, weights = attention(
                *inputs, None if masked == "not" else mask, start, need_weights
            )
            assert (weights is None) != need_weights
            learn = (*inputs, *attention.parameters())
            found.append((contexts, *torch.autograd.grad(contexts.square().sum(), learn)))
            assert all(x.isfinite().all() for x in found[-1])
            assert masked != "by pairs" or contexts[0, 0].eq(0).all()
        for ours, theirs in zip(*found, strict=True):
            torch.testing.assert_close(ours, theirs, **EXACT)


class Neighbours(windows.Window):
    """A reader's own window: the keys up to one place away; a factor; it reads the queries."""

    def forward(self, queries, mask, keys, start=0):
        t = start + torch.arange(queries.shape[1]).unsqueeze(-1)
        distance = (torch.arange(keys) - t).abs()  # (T, S)
        asked = queries.mean(-1, keepdim=True).sigmoid()  # (B, T, 1)
        return distance <= 1, asked * (1 - 0.25 * distance)


class Even(windows.Window):
    """A reader's own window that is a mask: no factor, and it does not read the queries."""

    is_mask = True

    def forward(self, queries, mask, keys, start=0):
        return torch.arange(keys) % 2 == 0, None


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("own", [Neighbours, Even])
def test_a_window_of_ones_own_works_in_one_head_and_in_many(own, masked):
    (queries, keys, values), start = inputs(2, 3, 5), 1
    mask = torch.rand(2, 3, 5) < 0.7 if masked else None
    near = own is Neighbours
    score = scores.DotScore()
    weights = Attention(score, own())(queries, keys, values, mask, start=start)[1]
    attention, tensors, _ = several(2, 3, 5, window=own())
    with torch.no_grad():
        contexts, of_heads = attention(*tensors, mask, start)
        fast, nothing = attention(*tensors, mask, start, need_weights=False)
    assert nothing is None
    torch.testing.assert_close(fast, contexts, **EXACT)
    q = (tensors[0] @ attention.W_Q.weight.T).unflatten(-1, (3, 2))  # (B, T, H, D / H)
    k = (tensors[1] @ attention.W_K.weight.T).unflatten(-1, (3, 2))
    for b, t in np.ndindex(2, 3):
        seen = [s for s in range(5) if (abs(s - t - start) <= 1 if near else s % 2 == 0)]
        seen = [s for s in seen if mask is None or mask[b, t, s]]

        def by_hand(e, query, t, seen):
            a = torch.zeros(5, dtype=e.dtype)
            a[seen] = e[seen].softmax(0)
            if near:
                factor = query.mean().sigmoid()
                a = a * factor * torch.tensor([1 - 0.25 * abs(s - t - start) for s in range(5)])
            return a

        want = by_hand(keys[b] @ queries[b, t], queries[b, t], t, seen)
        torch.testing.assert_close(weights[b, t], want, **EXACT)
        for h in range(3):
            want = by_hand(k[b, :, h] @ q[b, t, h] / 2**0.5, q[b, t, h], t, seen)
            torch.testing.assert_close(of_heads[b, h, t], want.detach(), **EXACT)


@pytest.mark.slow
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("own", [windows.Causal, Neighbours])
def test_torch_compile_changes_nothing_in_many_heads(own, need_weights):
    attention, tensors, mask = several(2, 5, 5, torch.float32, own())
    compiled = torch.compile(attention, fullgraph=True, backend="aot_eager")
    got, want = (each(*tensors, mask, need_weights=need_weights) for each in (compiled, attention))
    torch.testing.assert_close(got[0], want[0], rtol=0, atol=1e-6)
    assert (got[1] is None) == (want[1] is None) != need_weights


def test_what_is_no_score_or_window_is_refused():
    with pytest.raises(TypeError, match="the window must be of a subclass of Window, got 'causal'"):
        Attention(scores.DotScore(), "causal")
    with pytest.raises(TypeError, match="the score must be of a subclass of Score, got 'dot'"):
        Attention("dot")
    with pytest.raises(TypeError, match="Window must define forward"):
        Attention(scores.DotScore(), windows.Window())(*inputs(1, 1, 1))


def test_the_fused_kernel_gives_zeros_where_nothing_may_be_seen():
    torch.manual_seed(0)
    queries, keys, values = (torch.randn(2, 3, 4, 8, requires_grad=True) for _ in range(3))
    contexts = fused(queries, keys, values, torch.zeros(2, 1, 4, dtype=torch.bool))
    assert contexts.eq(0).all()
    contexts.sum().backward()
    assert all(x.grad.eq(0).all() for x in (queries, keys, values))


def test_what_was_prepared_is_a_cache():
    attention, (queries, keys, values), mask = several(2, 3, 5)
    want = attention(queries, keys, values, mask)
    prepared = attention.prepare(keys, values)
    assert prepared.keys.shape == prepared.values.shape == (2, 3, 5, 2)
    found = attention.attend(queries, prepared, mask)
    assert all(torch.equal(x, y) for x, y in zip(found, want, strict=True))
    causal, (x, _, _), _ = several(2, 5, 5, window=windows.Causal())
    together, weights = causal(x, x, x)
    for t in range(5):
        past = causal.prepare(x[:, : t + 1], x[:, : t + 1])
        for need_weights in (True, False):
            alone, looked = causal.attend(x[:, t : t + 1], past, None, t, need_weights)
            torch.testing.assert_close(alone[:, 0], together[:, t], **EXACT)
        assert looked is None and torch.equal(weights, weights.tril())


def test_what_many_heads_are_given_is_checked():
    with pytest.raises(ValueError, match="width must be divisible by heads, got 8 and 3"):
        MultiHeadAttention(8, 3)
    attention, (queries, keys, values), mask = several(2, 3, 5)
    with pytest.raises(ValueError, match=r"queries must have shape \(B, positions, 6\), got"):
        attention(queries[..., :4], keys, values)
    with pytest.raises(ValueError, match="keys and values must have one shape"):
        attention(queries, keys, values[:, :4])
    with pytest.raises(ValueError, match="2 batches of queries, 1 of keys"):
        attention(queries, keys[:1], values[:1])
    with pytest.raises(TypeError, match=r"must be boolean .* got torch.float32; of a float mask"):
        attention(queries, keys, values, torch.zeros(2, 3, 5))
    with pytest.raises(TypeError, match=r"must be boolean .* got torch.int64$"):
        attention(queries, keys, values, mask.long())
    for wrong, hint in (
        (mask[:, 0], r"\(2, 5\); a padding mask \(B, S\) fits after mask.unsqueeze\(1\)"),
        (mask[0], r"\(3, 5\); one for all sentences fits after mask.expand\(B, -1, -1\)"),
        (mask[:, :, :4], r"\(B, 1, S\), got \(2, 3, 4\)$"),
    ):
        with pytest.raises(ValueError, match=hint):
            attention(queries, keys, values, wrong)


MASKS = {
    "padding": padding_mask(torch.tensor([4, 2])).unsqueeze(1),
    "padding before, one sentence empty": padding_mask(torch.tensor([0, 2]), 4)
    .flip(-1)
    .unsqueeze(1),
    "only what comes later": ~causal_mask(4, 4).expand(2, -1, -1),
    "the wrong way round": ~padding_mask(torch.tensor([4, 2])).unsqueeze(1),
    "nothing": torch.zeros(2, 4, 4, dtype=torch.bool),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_every_boolean_mask_means_what_it_says_in_one_head_and_in_many(mask):
    """A mask is never refused for what it shows, and hides the same keys in both classes."""
    torch.manual_seed(0)
    x = torch.randn(2, 4, 6, dtype=torch.float64)
    many = MultiHeadAttention(6, 1).double()
    queries, keys, values = (W(x) for W in (many.W_Q, many.W_K, many.W_V))
    contexts, weights = Attention(scores.ScaledDotScore())(queries, keys, values, mask)
    found, found_weights = many(x, x, x, mask)
    torch.testing.assert_close(found_weights[:, 0], weights, rtol=0, atol=1e-12)
    torch.testing.assert_close(found, many.W_O(contexts), rtol=0, atol=1e-12)
    torch.testing.assert_close(
        many(x, x, x, mask, need_weights=False)[0], found, rtol=0, atol=1e-12
    )
    assert torch.equal(weights > 0, mask.expand(2, 4, 4))


@pytest.mark.parametrize("mask", [torch.ones(2, 4), torch.ones(2, 4, 4), torch.ones(1, 4, 4) > 0])
def test_one_head_and_many_refuse_the_same_masks_in_the_same_words(mask):
    x = torch.randn(2, 4, 6)
    said = []
    for attention in (Attention(scores.DotScore()), MultiHeadAttention(6, 3)):
        with pytest.raises((TypeError, ValueError), match="mask must") as error:
            attention(x, x, x, mask)
        said.append((error.type, str(error.value)))
    assert said[0] == said[1]


def test_wrong_shapes_are_named():
    queries, keys, values = inputs(2, 3, 5)
    general = Attention(scores.GeneralScore(4, 4).double())
    with pytest.raises(ValueError, match="queries must be 4 wide, got 3"):
        general(queries[..., :3], keys, values)
    with pytest.raises(ValueError, match="keys must be 4 wide, got 6"):
        general(queries, values, values)
    with pytest.raises(ValueError, match=r"queries must have shape \(B, positions, D\)"):
        general(queries[0], keys, values)
    with pytest.raises(ValueError, match="2 batches of queries, 1 of keys"):
        general(queries, keys[:1], values[:1])
    with pytest.raises(ValueError, match="values must be"):
        general(queries, keys, values[:, :4])
    with pytest.raises(ValueError, match=r"mask.unsqueeze\(1\)"):
        general(queries, keys, values, torch.ones(2, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"mask must have shape .* got \(2, 1, 4\)"):
        general(queries, keys, values, torch.ones(2, 1, 4, dtype=torch.bool))
    with pytest.raises(TypeError, match="must be boolean"):
        general(queries, keys, values, torch.ones(2, 1, 5))
    with pytest.raises(TypeError, match="must be boolean"):
        Attention(scores.DotScore(), windows.Causal())(queries, keys, values, torch.ones(2, 1, 5))


def test_unknown_dials_list_the_known_ones():
    with pytest.raises(ValueError, match="unknown score 'bilinear': one of dot, scaled_dot"):
        make_score("bilinear", 4, 4)
    with pytest.raises(ValueError, match="unknown window 'near': one of everywhere, causal"):
        make_window("near")
    with pytest.raises(ValueError, match="unknown selection 'medium': one of soft"):
        make_selection("medium")
    with pytest.raises(ValueError, match="needs hidden_dim > 0"):
        make_score("additive", 4, 4)
    with pytest.raises(ValueError, match="needs max_source > 0"):
        make_score("location", 4, 4)
    with pytest.raises(ValueError, match="needs equal widths, got 4 and 5"):
        make_score("dot", 4, 5)
