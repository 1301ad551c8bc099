"""The linear layer that goes by oneDNN where no gradient is asked for."""

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from attnlib import linear
from attnlib.block import FeedForward
from attnlib.linear import ONEDNN, SMALL, Linear

IN, OUT = 96, 512
ROWS = SMALL // (IN * OUT) + 1  # enough for oneDNN
ROUNDING = {"rtol": 0, "atol": 1e-4}  # sums of IN products of about 1, in float32


def products(run):
    """What `run` gives without gradients, and the names of the operators that it calls."""
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU]) as seen:
        found = run()
    return found, {event.key for event in seen.key_averages()}


def layer(bias=True):
    torch.manual_seed(0)
    return Linear(IN, OUT, bias)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(ROWS, IN), (ROWS, 1, IN), (3, ROWS, IN), (0, IN), (IN,)])
def test_its_products_are_those_of_float64(shape, bias):
    x, its = torch.randn(shape), layer(bias)
    with torch.no_grad():
        found = its(x)
        want = nn.functional.linear(
            x.double(), its.weight.double(), its.bias.double() if bias else None
        )
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), want, **ROUNDING)


def test_rows_that_do_not_lie_one_after_another():
    x, its = torch.randn(5, ROWS, IN), layer()
    with torch.no_grad():
        for seen in (x.transpose(0, 1), x[:, ::2], x[:1].expand(5, -1, -1)):
            want = nn.functional.linear(seen, its.weight, its.bias)
            torch.testing.assert_close(its(seen), want, **ROUNDING)


@pytest.mark.skipif(not ONEDNN, reason="this PyTorch has no oneDNN")
def test_onednn_is_called_where_there_is_enough_to_do():
    _, called = products(lambda: layer()(torch.randn(ROWS, IN)))
    assert "mkldnn::_linear_pointwise" in called
    _, called = products(lambda: layer()(torch.randn(ROWS - 1, IN)))
    assert "mkldnn::_linear_pointwise" not in called


def test_a_transformers_layers_go_by_it():
    feed = FeedForward(IN, OUT)
    assert isinstance(feed.W_1, Linear) and isinstance(feed.W_2, Linear)


def test_it_has_the_gradients_of_pytorchs():
    x, its = torch.randn(ROWS, IN, requires_grad=True), layer()
    plain = nn.Linear(IN, OUT)
    plain.load_state_dict(its.state_dict())
    found = torch.autograd.grad(its(x).square().sum(), [x, *its.parameters()])
    want = torch.autograd.grad(plain(x).square().sum(), [x, *plain.parameters()])
    assert all(torch.equal(*pair) for pair in zip(found, want, strict=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_are_pytorchs(dtype):
    x, its = torch.randn(ROWS, IN, dtype=dtype), layer().to(dtype)
    with torch.no_grad():
        assert torch.equal(its(x), nn.functional.linear(x, its.weight, its.bias))


def test_autocast_is_obeyed():
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert layer()(torch.randn(ROWS, IN)).dtype == torch.bfloat16


def test_a_compiler_sees_pytorchs_layer():
    x, its = torch.randn(ROWS, IN), layer()
    compiled = torch.compile(its, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), its(x), **ROUNDING)


def test_a_width_that_does_not_fit_is_pytorchs_error():
    with torch.no_grad(), pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        layer()(torch.randn(ROWS, IN + 1))


def test_without_onednn_it_is_pytorchs(monkeypatch):
    monkeypatch.setattr(linear, "ONEDNN", False)
    x, its = torch.randn(ROWS, IN), layer()
    found, called = products(lambda: its(x))
    assert "mkldnn::_linear_pointwise" not in called
    assert torch.equal(found, nn.functional.linear(x, its.weight, its.bias).detach())
