"""How an attention is called: one convention for the checks, and what bridges it to another's.

A check calls everything in one way: ``call(module, queries, keys, values, mask)`` with queries
(B, T, D), keys and values (B, S, D), and a boolean mask (B, T, S), True = may attend, or None. What
comes back is the output (B, T, D), alone or with the weights, (B, T, S) or (B, H, T, S). A call
that has no such mask to give raises `NotImplementedError`, and what needed it is not asked.
"""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

Call = Callable[..., Any]  # call(module, queries, keys, values, mask)
QUERIES, KEYS, VALUES = ("queries", "query", "q"), ("keys", "key", "k"), ("values", "value", "v")
DROPOUTS = (
    "dropout",
    "dropout_p",
    "attn_dropout",
)  # what rates are called, in modules of their own
EXAMPLE = "call=lambda module, queries, keys, values, mask: module(queries, keys, values, ~mask)"


class Projections(NamedTuple):
    """The matrices of a multi-head attention, and their biases: rows are what comes out."""

    matrices: tuple[Tensor, ...]  # of queries, keys, values and the output
    biases: tuple[Tensor | None, ...]
    heads: int


class Way(NamedTuple):
    """One way through an attention: two ways of one attention should give the same."""

    name: str
    module: Callable
    call: Call
    within: Callable[[], AbstractContextManager] = nullcontext  # where it is called

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Any:
        """What the attention gives, whatever that is."""
        with self.within():
            return self.call(self.module, queries, keys, values, mask)


class Called(NamedTuple):
    """An attention and how it is called."""

    name: str
    how: str
    ways: tuple[Way, ...]  # the first is the one that gives the weights, if any does
    projections: Projections | None
    width: int | None
    free: bool  # of parameters: the values themselves are averaged


def called(
    module: Callable,
    call: Call | None = None,
    ways: Mapping[str, Call] | None = None,
    projections: Sequence[nn.Linear] | None = None,
    heads: int | None = None,
    dtype: torch.dtype = torch.float64,
) -> Called:
    """Find out how an attention is called, from its class or the names of its arguments.

    Only what is certain is found: PyTorch's two by what they are, anything else by the names of
    its arguments, ``queries, keys, values, mask`` (or ``query, key, value``, or ``q, k, v``); where
    there is ``need_weights``, it is called with and without.

    Raises
    ------
    TypeError
        If it cannot be called at all, or what its arguments mean is not certain.
    """
    if not callable(module):
        raise TypeError(f"an attention is a module or a function, got {type(module).__name__}")
    if isinstance(module, type):
        raise TypeError(f"{module.__name__} is a class: give an attention made of it")
    module = _copied(module, dtype)
    if call is not None:
        how, calls = "as the given call does", {"as called": call}
    elif isinstance(module, nn.MultiheadAttention):
        how = "as a torch.nn.MultiheadAttention: attn_mask, True hides"
        calls = {"with weights": _torchs(True), "without weights": _torchs(False)}
    elif module is scaled_dot_product_attention:
        how = "as PyTorch's function: attn_mask, True shows"
        calls = {"as called": lambda f, q, k, v, mask: f(q, k, v, attn_mask=mask)}
    else:
        how, calls = _by_names(module)
    first = next(iter(calls.values()))
    found = [Way(name, module, each) for name, each in (calls | dict(ways or {})).items()]
    if isinstance(module, nn.Module) and (training := _training(module)) is not None:
        found.append(Way("in training, without dropout", training, first))
    found.append(Way("without fused kernels", module, first, lambda: sdpa_kernel(SDPBackend.MATH)))
    return Called(
        getattr(module, "__name__", type(module).__name__),
        how,
        tuple(found),
        _projections(module, projections, heads),
        _width(module),
        not isinstance(module, nn.Module) or not any(True for _ in module.parameters()),
    )


def _copied(module: Callable, dtype: torch.dtype) -> Callable:
    """A copy of a module, exact and without its dropout; a function as it is."""
    return copy.deepcopy(module).to(dtype).eval() if isinstance(module, nn.Module) else module


def _training(module: nn.Module) -> nn.Module | None:
    """A copy of a module as in training, but that nothing is dropped; None if that cannot be."""
    module = copy.deepcopy(module).train()
    for part in module.modules():
        names = ("p",) if isinstance(part, nn.modules.dropout._DropoutNd) else DROPOUTS
        for name in names:
            if isinstance(rate := getattr(part, name, None), float) and rate > 0:
                try:
                    setattr(part, name, 0.0)
                except AttributeError:  # a property
                    return None
    return module


def _torchs(need_weights: bool) -> Call:
    """How PyTorch's module is called, whichever axis is its batch."""

    def call(module, queries, keys, values, mask):
        given = queries, keys, values
        if not module.batch_first:  # the same tensor stays the same: it has a path of its own
            turned = {id(x): x.transpose(0, 1) for x in given}
            given = tuple(turned[id(x)] for x in given)
        hidden = None if mask is None else ~mask.repeat_interleave(module.num_heads, 0)
        output, weights = module(
            *given, attn_mask=hidden, need_weights=need_weights, average_attn_weights=False
        )
        return output if module.batch_first else output.transpose(0, 1), weights

    return call


def _by_names(module: Callable) -> tuple[str, dict[str, Call]]:
    """How something is called whose arguments bear the names of this book; else a TypeError."""
    name = getattr(module, "__name__", type(module).__name__)
    try:
        taken = inspect.signature(module.forward if isinstance(module, nn.Module) else module)
    except ValueError:
        taken = inspect.Signature()
    names = list(taken.parameters)
    fits = len(names) > 2 and all(
        each in known for each, known in zip(names, (QUERIES, KEYS, VALUES), strict=False)
    )
    if not fits or (len(names) > 3 and names[3] != "mask" and not _optional(taken, names[3])):
        raise TypeError(
            f"{name}({', '.join(names)}) is not called (queries, keys, values, mask), so what its "
            f"arguments mean is not certain: say it, for example {EXAMPLE}"
        )
    others = [each for each in names if "mask" in each and each != "mask"]
    if "mask" not in names and others:
        raise TypeError(
            f"{name} has {' and '.join(others)}, and which of True and False hides a key is not "
            f"certain: say it, for example {EXAMPLE}"
        )

    def way(**more):
        def call(module, queries, keys, values, mask):
            if "mask" in names:
                return module(queries, keys, values, mask=mask, **more)
            if mask is not None:
                raise NotImplementedError(f"{name} takes no mask")
            return module(queries, keys, values, **more)

        return call

    how = f"{name}({', '.join(names[:3])}" + (", mask), True shows" if "mask" in names else ")")
    if "need_weights" in names:
        calls = {"with weights": way(need_weights=True), "without weights": way(need_weights=False)}
    else:
        calls = {"as called": way()}
    return f"{how}, by the names of its arguments", calls


def _optional(taken: inspect.Signature, name: str) -> bool:
    return taken.parameters[name].default is not inspect.Parameter.empty


def _width(module: Callable) -> int | None:
    """The width that a module says it has."""
    for name in ("width", "embed_dim"):
        if type(width := getattr(module, name, None)) is int:
            return width
    return None


def _projections(
    module: Any, given: Sequence[nn.Linear] | None, heads: int | None
) -> Projections | None:
    """The projections of a multi-head attention, where they can be read."""
    if given is not None:
        if heads is None or len(given) != 4:
            raise ValueError(
                "projections are four, of queries, keys, values and the output, with heads="
            )
        parts: list[Any] = [copy.deepcopy(each) for each in given]
    elif isinstance(module, nn.MultiheadAttention):
        plain = module.in_proj_weight is not None and not module.add_zero_attn
        if not plain or module.bias_k is not None:
            return None
        into = module.in_proj_bias
        return Projections(
            (*module.in_proj_weight.chunk(3), module.out_proj.weight),
            (*((None,) * 3 if into is None else into.chunk(3)), module.out_proj.bias),
            module.num_heads,
        )
    else:
        parts = [getattr(module, name, None) for name in ("W_Q", "W_K", "W_V", "W_O")]
        heads = getattr(module, "heads", None) if heads is None else heads
        if type(heads) is not int or not all(isinstance(part, nn.Linear) for part in parts):
            return None
        if getattr(module, "rotate", None) is not None:  # the scores are not those of the products
            return None
    dtype = next((x.dtype for x in module.parameters()), torch.float64)
    weights = tuple(part.weight.to(dtype) for part in parts)
    biases = tuple(None if part.bias is None else part.bias.to(dtype) for part in parts)
    return Projections(weights, biases, heads)
