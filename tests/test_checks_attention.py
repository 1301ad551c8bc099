"""`checks.attention`: what is right passes, and every planted bug is found by its check."""

import math
import subprocess
import sys

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from attnlib import checks, scores, windows
from attnlib.attention import Attention
from attnlib.checks import museum, museum_code
from attnlib.multihead import MultiHeadAttention
from attnlib.positions import Rotary


def right(queries, keys, values, mask=None):
    """Scaled dot-product attention in four lines; a row that may see nothing is zeros."""
    e = queries @ keys.transpose(1, 2) / math.sqrt(queries.shape[-1])
    shown = torch.ones_like(e, dtype=torch.bool) if mask is None else mask
    weights = e.masked_fill(~shown, torch.finfo(e.dtype).min).softmax(-1) * shown
    return weights @ values, weights


RIGHT = {
    "a function": (right, {}),
    "without weights": (lambda q, k, v, mask: right(q, k, v, mask)[0], {}),
    "without a mask": (lambda q, k, v: right(q, k, v), {}),
    "PyTorch's function": (scaled_dot_product_attention, {}),
    "one head": (Attention(scores.ScaledDotScore()), {}),
    "unscaled": (Attention(scores.DotScore()), {"scale": 1.0}),
    "additive": (Attention(scores.AdditiveScore(4, 3, 7)), {"width": (4, 3, 6)}),
    "heads": (MultiHeadAttention(12, 3), {}),
    "causal heads": (MultiHeadAttention(8, 2, windows.Causal()), {"causal": True}),
    "rotary heads": (MultiHeadAttention(8, 2, rotate=Rotary(4)), {"positions": True}),
    "causal rotary heads": (
        MultiHeadAttention(8, 2, windows.Causal(), rotate=Rotary(4)),
        {"causal": True, "positions": True},
    ),
    "a window": (Attention(scores.ScaledDotScore(), windows.Monotonic(1)), {"positions": True}),
    "in single precision": (MultiHeadAttention(8, 2), {"dtype": torch.float32}),
    "keys that are values": (
        MultiHeadAttention(8, 2),
        {"call": lambda m, q, k, _v, mask: m(q, k, k, mask)[0], "shared": "keys and values"},
    ),
    "one sequence": (
        MultiHeadAttention(8, 2),
        {"call": lambda m, x, _k, _v, mask: m(x, x, x, mask), "shared": "all"},
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_passes(name):
    module, options = RIGHT[name]
    report = checks.attention(module, **options)
    assert report and not report.failed, str(report)
    assert report.demand() is report
    asked = {each.check for each in report.findings} - set(report.unasked)
    assert asked >= {"batch", "paths"}
    if name not in ("without a mask",):
        assert asked >= {"padding", "future", "shown", "empty rows"}


def test_what_it_cannot_ask_it_says():
    report = checks.attention(lambda q, k, v: right(q, k, v))
    assert report.unasked == ("padding", "future", "shown", "heads", "empty rows")
    assert "<lambda> takes no mask" in str(report)
    for name, missing in (
        ("one sequence", {"keys", "queries", "lengths"}),
        ("keys that are values", {"sums"}),
    ):
        module, options = RIGHT[name]
        assert set(checks.attention(module, **options).unasked) == missing
    with pytest.raises(ValueError, match=r"shared is one of .*, got 'keys'"):
        checks.attention(right, shared="keys")


def test_a_softmax_in_single_precision_is_no_bug():
    def attend(q, k, v, mask=None):
        e = scaled(q, k)
        if mask is not None:  # a floor that single precision does not hold
            e = e.masked_fill(~mask, torch.finfo(e.dtype).min)
        return e.softmax(-1, dtype=torch.float32).to(v.dtype) @ v

    report = checks.attention(attend)
    assert not report.failed, str(report)


# Bugs planted in the function: what errs, and the checks that fail ------------------------------


def scaled(q, k):
    """The scaled dot score."""
    return q @ k.transpose(1, 2) / q.shape[-1] ** 0.5


def planted(**steps):
    """Attention of a function with steps replaced: score, fill, soft, weigh."""

    def attend(queries, keys, values, mask=None):
        e = steps.get("score", lambda q, k: q @ k.transpose(1, 2) / q.shape[-1] ** 0.5)(
            queries, keys
        )
        shown = torch.ones_like(e, dtype=torch.bool) if mask is None else mask
        shown = steps.get("see", lambda shown: shown)(shown)
        weights = e.masked_fill(~shown, steps.get("floor", torch.finfo(e.dtype).min))
        weights = steps.get("soft", lambda e: e.softmax(-1))(weights)
        if steps.get("zero", True):
            weights = weights * shown
        return steps.get("weigh", lambda a, v: a @ v)(weights, values), weights

    return attend


def shared(x):
    """What a batch's first sentence is, for all of them."""
    return x[:1].expand_as(x)


PLANTED = {
    "the mask is not read": ({"see": torch.ones_like}, {"padding", "future"}),
    "the mask lies along the queries": (
        {"see": lambda shown: shown.transpose(1, 2)},
        {"padding", "future"},
    ),
    "a low floor": ({"floor": -3.0, "zero": False}, {"padding", "future"}),
    "minus infinity": ({"floor": -torch.inf}, {"empty rows"}),
    "the next key is seen": (
        {"see": lambda shown: shown | shown.roll(1, -1)},
        {"padding", "future"},
    ),
    "no scale": ({"score": lambda q, k: q @ k.transpose(1, 2)}, {"scale"}),
    "1 / D": ({"score": lambda q, k: q @ k.transpose(1, 2) / 8}, {"scale"}),
    "over the queries": (
        {"soft": lambda e: e.softmax(1)},
        {"queries", "sums", "lengths"},
    ),
    "over the batch": ({"soft": lambda e: e.softmax(0)}, {"sums", "batch"}),
    "all weights 1": ({"soft": torch.ones_like}, {"keys", "queries", "sums"}),
    "an even average": ({"soft": lambda e: (0 * e.clamp(min=-9)).softmax(-1)}, {"keys", "queries"}),
    "the query cancels": (
        {"score": lambda q, k: (0 * q + k[:, :1]) @ k.transpose(1, 2)},
        {"queries"},
    ),
    "values of the first sentence": ({"weigh": lambda a, v: a @ shared(v)}, {"batch"}),
    "keys of the first sentence": (
        {"score": lambda q, k: q @ shared(k).transpose(1, 2) / 8**0.5},
        {"batch"},
    ),
    "values in reverse": ({"weigh": lambda a, v: a @ v.flip(1)}, {"padding", "future", "order"}),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name):
    steps, wanted = PLANTED[name]
    report = checks.attention(planted(**steps))
    assert not report and set(report.failed) >= wanted, str(report)
    assert all(f"FAILED  {check}" in str(report) for check in report.failed)
    with pytest.raises(checks.CheckError, match="FAILED"):
        report.demand()


# Masks that hide too much --------------------------------------------------------------------


def of(report, check):
    """What one check found."""
    return next(each for each in report.findings if each.check == check)


def hides(causal=None, real=None, step="seen"):
    """A museum attention whose masks hide more: a causal one, of all queries by keys, or padding's.

    Without another step it does so on both paths.
    """

    class Hides(museum_code.OnePath if step == "seen" else museum_code.RightAttention):
        def seen(self, words, last, T, S):
            if real is not None and words is not None and step == "seen":
                words = real(words)
            mask = super().seen(words, last, T, S)
            return mask & causal(T, S) if last and causal is not None and step == "seen" else mask

        def fused(self, q, k, v, mask):
            if step == "fused":
                mask = mask & causal(*mask.shape[2:])
            return super().fused(q, k, v, mask)

    return Hides()


def below(T, S):
    """All keys before the query's own position."""
    return torch.ones(T, S, dtype=torch.bool).tril(-1)


def own(T, S):
    """The key at the query's own position."""
    return torch.eye(T, S, dtype=torch.bool)


def shorter(words):
    """Which keys are words, but for the last."""
    return words & torch.nn.functional.pad(words, (0, 1))[:, 1:]


TOO_NARROW = {
    "without its diagonal": (
        {"causal": below},
        "under a causal mask, 15 of 45",
        "its own position",
    ),
    "only its diagonal": ({"causal": own}, "under a causal mask, 30 of 45", "all keys but"),
    "nothing": (
        {"causal": lambda T, S: torch.zeros(T, S, dtype=torch.bool)},
        "under a causal mask, 45 of 45",
        "every key is hidden",
    ),
    "without the first key": (
        {"causal": lambda T, S: (torch.arange(S) > 0) | own(T, S)},
        "under a causal mask, 12 of 45",
        "more is hidden than the mask hides",
    ),
    "a padding mask one too long": (
        {"real": shorter},
        "under a padding mask, 15 of 60",
        "last key of each sentence",
    ),
}


@pytest.mark.parametrize("name", TOO_NARROW)
def test_a_mask_that_hides_too_much_is_found_and_by_nothing_else(name):
    options, seen, means = TOO_NARROW[name]
    report = checks.attention(
        hides(**options), call=museum.call, ways={"fused": museum.call_fused}, width=8
    )
    assert report.failed == ("shown",), str(report)
    assert seen in of(report, "shown").seen and means in of(report, "shown").means


def test_the_path_that_hides_too_much_is_named():
    report = checks.attention(
        hides(own, step="fused"), call=museum.call, ways={"fused": museum.call_fused}, width=8
    )
    assert report.failed == ("shown", "paths")
    assert of(report, "shown").seen.endswith("(fused)")


class Past(windows.Window):
    """The past without the present: what is hidden from itself."""

    is_mask = True

    def forward(self, queries, mask, keys, start=0):
        return below(queries.shape[1], keys), None


@pytest.mark.parametrize(
    "rotated", [{}, {"rotate": Rotary(4)}], ids=["no positions", "rotary positions"]
)
def test_a_layer_that_is_causal_by_itself_must_see_itself(rotated):
    options = {"causal": True, "positions": bool(rotated)}
    report = checks.attention(MultiHeadAttention(8, 2, Past(), **rotated), **options)
    assert "shown" in report.failed and "under its causal mask" in of(report, "shown").seen


def test_a_window_may_hide_but_not_more_under_a_mask():
    window = Attention(scores.ScaledDotScore(), windows.Monotonic(1))

    def call(module, queries, keys, values, mask):
        return module(queries, keys, values, None if mask is None else mask & ~own(5, 5))

    report = checks.attention(window, call=call, positions=True)
    assert "shown" in report.failed and "its own position" in of(report, "shown").means


def test_of_one_sequence_the_first_two_words_tell():
    """They see no key and one. A later word moves its output as a query, hidden or not."""
    call = lambda m, x, _k, _v, mask: museum.call(m, x, x, x, mask)  # noqa: E731
    report = checks.attention(hides(below), call=call, shared="all", width=8)
    assert report.failed == ("shown",) and "6 of 45" in of(report, "shown").seen


@pytest.mark.parametrize("causal", [False, True])
def test_queries_that_are_padding_may_get_zeros(causal):
    """As some self-attentions do: nobody reads them."""
    layer = MultiHeadAttention(8, 2, windows.Causal() if causal else None)

    def call(module, x, _keys, _values, mask):
        output = module(x, x, x, mask)[0]
        real = torch.ones_like(x[..., 0]) if mask is None else mask[:, -1]
        return output * real.unsqueeze(-1)

    report = checks.attention(layer, call=call, shared="all", causal=causal)
    assert of(report, "shown").passed, str(report)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("times", [1, 4])
def test_no_weights_make_a_right_layer_hide(seed, dtype, times):
    """PyTorch's own, and ours; with weights of 4 times the size, attention is nearly hard."""
    torch.manual_seed(seed)
    for layer in (torch.nn.MultiheadAttention(8, 2, batch_first=True), MultiHeadAttention(8, 2)):
        with torch.no_grad():
            for p in layer.parameters():
                p *= times
        report = checks.attention(layer, dtype=dtype)
        assert of(report, "shown").passed, str(report)


@pytest.mark.parametrize("soft", [lambda e: e.softmax(1), torch.ones_like, torch.sigmoid])
def test_sums_are_seen_without_the_weights(soft):
    """An average of equal values is that value, whatever the weights."""
    attend = planted(soft=soft)
    report = checks.attention(lambda q, k, v, mask: attend(q, k, v, mask)[0])
    assert "sums" in report.failed and "of equal values, outputs differ by" in str(report)


class OverQueries(MultiHeadAttention):
    """Its weights sum to 1 the other way."""

    def _every_head(self, q, k, v, mask, start, need_weights):
        return (q @ k.transpose(2, 3)).softmax(2) @ v, None


def test_sums_are_seen_without_weights_behind_projections():
    report = checks.attention(OverQueries(8, 2), call=lambda m, *x: m(*x)[0])
    assert "sums" in report.failed and "of equal values" in str(report)


def test_the_scale_is_measured_and_named():
    def found(report):
        return next(each for each in report.findings if each.check == "scale")

    assert "0.3536 times the dot product of 8" in found(checks.attention(right)).seen
    without = found(checks.attention(planted(score=lambda q, k: q @ k.transpose(1, 2))))
    assert without.passed is False and "this is 1 (no scale)" in without.means
    assert found(checks.attention(Attention(scores.CosineScore()))).passed is None
    heads = MultiHeadAttention(12, 2)
    assert "0.4082 times the dot product of 6" in found(checks.attention(heads)).seen
    square = found(checks.attention(MultiHeadAttention(9, 3)))
    assert square.passed and "1 / sqrt(number of heads) would be the same" in square.seen


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_pytorchs_module_fails_where_nothing_may_be_seen_and_only_there(batch_first, bias):
    module = torch.nn.MultiheadAttention(8, 2, 0.3, bias=bias, batch_first=batch_first)
    state = {name: x.clone() for name, x in module.state_dict().items()}
    report = checks.attention(module)
    assert report.failed == ("empty rows",)
    assert "but not without weights" in str(report)
    assert (
        module.training and module.dropout == 0.3 and module.in_proj_weight.dtype is torch.float32
    )
    assert all(torch.equal(x, state[name]) for name, x in module.state_dict().items())


def test_a_module_given_sentences_where_it_wants_positions_mixes_them():
    module = torch.nn.MultiheadAttention(8, 2)  # positions first

    def call(module, queries, keys, values, mask):
        if mask is not None:
            raise NotImplementedError("no mask")
        return module(queries, keys, values, average_attn_weights=False)

    report = checks.attention(module, call=call)
    assert {"batch", "sums", "heads"} <= set(report.failed)
    assert "padding" in report.unasked


def test_a_second_path_that_drops_the_mask_is_found():
    report = checks.attention(right, ways={"without its mask": lambda f, q, k, v, mask: f(q, k, v)})
    assert set(report.failed) == {"padding", "future", "paths"}
    assert "without its mask: but not as called" in str(report)


def test_heads_cut_wrongly_are_named():
    class Cut(MultiHeadAttention):
        def _split(self, name, projection, x):
            return projection(x).reshape(len(x), self.heads, x.shape[1], -1)

    report = checks.attention(Cut(8, 2))
    assert {"heads", "order"} <= set(report.failed)
    (means,) = (each.means for each in report.findings if each.check == "heads")
    assert means == "the heads are split by a view, and joined as if they were not"


def test_projections_under_other_names_can_be_given():
    class Other(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c, self.d = (torch.nn.Linear(8, 8) for _ in range(4))

        def forward(self, q, k, v, mask=None):
            q, k, v = (
                f(x).unflatten(-1, (2, 4)).transpose(1, 2)
                for f, x in zip((self.a, self.b, self.c), (q, k, v), strict=True)
            )
            mask = None if mask is None else mask.unsqueeze(1)
            return self.d(scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2))

    module = Other()
    assert "heads" in checks.attention(module).unasked
    four = module.a, module.b, module.c, module.d
    report = checks.attention(module, projections=four, heads=2)
    assert report and "heads" not in report.unasked
    turned = checks.attention(module, projections=(module.b, *four[1:]), heads=2)
    assert "heads" in turned.failed
    with pytest.raises(ValueError, match="projections are four"):
        checks.attention(module, projections=four)


# What is not attention-like --------------------------------------------------------------------


def test_the_checks_of_answers_do_without_pytorch():
    """An answer in NumPy does not wait for PyTorch; who asks of an attention does."""
    code = "import sys; from attnlib import checks; assert 'torch' not in sys.modules; "
    code += "assert set(checks.__all__) <= set(dir(checks)); checks.AttentionReport; "
    code += "assert callable(checks.attention) and 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="has no attribute 'attentoin'"):
        _ = checks.attentoin


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="a module or a function, got int"):
        checks.attention(3)
    with pytest.raises(TypeError, match="MultiHeadAttention is a class: give an attention made of"):
        checks.attention(MultiHeadAttention)
    with pytest.raises(TypeError, match=r"Linear\(input\) is not called \(queries, keys, values"):
        checks.attention(torch.nn.Linear(8, 8))
    with pytest.raises(TypeError, match="has attn_mask, and which of True and False hides"):
        checks.attention(lambda q, k, v, attn_mask=None: q)
    with pytest.raises(TypeError, match="has key_padding_mask and attn_mask, and which"):
        checks.attention(lambda query, key, value, key_padding_mask=None, attn_mask=None: query)


def test_what_gives_something_else_is_refused():
    with pytest.raises(ValueError, match="gives a int; an attention gives a tensor"):
        checks.attention(lambda q, k, v, mask: 1)
    with pytest.raises(ValueError, match=r"gives \(3, 8\) for queries \(3, 5, 8\)"):
        checks.attention(lambda q, k, v, mask: q.mean(1))
    with pytest.raises(ValueError, match=r"stops with .*: give width= or call="):
        checks.attention(torch.nn.Linear(9, 8), call=lambda m, q, k, v, mask: m(q))


def test_a_mask_the_other_way_round_is_no_bug_but_is_refused():
    def hides(q, k, v, mask=None):
        return right(q, k, v, None if mask is None else ~mask)

    with pytest.raises(ValueError, match="attends to what its mask hides, and to nothing else"):
        checks.attention(hides)
    assert checks.attention(hides, call=lambda f, q, k, v, m: f(q, k, v, None if m is None else ~m))
