"""The code of the bug museum: one small attention that is right, and a class for each bug.

Nothing here is anybody's code: each class is the shortest that errs as a public repository did,
and overrides the step of `RightAttention` that went wrong there, all other lines of the step being
the same. `museum` says where it stood, `difference` which lines are not the same.

Shapes: queries (B, T, D), keys and values (B, S, D), heads H; `real` (B, S), boolean, True where a
key is a word and no padding.
"""

import ast
import difflib
import inspect
import math
import textwrap
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, scaled_dot_product_attention


class RightAttention(nn.Module):
    """Multi-head attention in steps, so that one can go wrong at a time.

    It has two paths, as most libraries have: with weights, a step after the other; without, the
    fused kernel. A query that may see nothing gets zeros on both.
    """

    def __init__(self, width: int = 8, heads: int = 2):
        super().__init__()
        self.width, self.heads = width, heads
        self.W_Q, self.W_K, self.W_V, self.W_O = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        real: Tensor | None = None,
        causal: bool = False,
        need_weights: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """Return contexts (B, T, D), and weights (B, H, T, S) or None."""
        q = self.split(self.W_Q(queries))  # (B, H, T, D / H)
        k, v = self.split(self.W_K(keys)), self.split(self.W_V(values))  # (B, H, S, D / H)
        if need_weights:
            weights = self.weights(self.scale() * q @ k.transpose(2, 3), real, causal)
            contexts = weights @ v  # (B, H, T, D / H)
        else:
            weights = None
            contexts = self.fused(q, k, v, self.seen(real, causal, q.shape[2], k.shape[2]))
        return self.W_O(self.join(contexts)), weights

    def split(self, x: Tensor) -> Tensor:
        """(B, S, D) as (B, H, S, D / H)."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def scale(self) -> float:
        """What scores are multiplied by."""
        return 1 / math.sqrt(self.width // self.heads)

    def seen(self, real: Tensor | None, causal: bool, T: int, S: int) -> Tensor:
        """Which keys each query may see, (B or 1, 1, T, S)."""
        mask = torch.ones(1, 1, T, S, dtype=torch.bool)
        if causal:
            mask = mask.tril()
        return mask if real is None else mask & real[:, None, None, :]

    def weights(self, scores: Tensor, real: Tensor | None, causal: bool) -> Tensor:
        """Scores (B, H, T, S) as weights."""
        return self.softmax(scores, self.seen(real, causal, *scores.shape[2:]))

    def softmax(self, scores: Tensor, mask: Tensor) -> Tensor:
        """The softmax over the keys that may be seen; zeros where there are none."""
        low = torch.finfo(scores.dtype).min
        weights = scores.masked_fill(~mask, low).softmax(-1)
        return weights.masked_fill(~mask, 0.0)

    def fused(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """The same without weights, by PyTorch's kernels."""
        return scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=self.scale())

    def join(self, contexts: Tensor) -> Tensor:
        """(B, H, T, D / H) as (B, T, D)."""
        B, H, T, D = contexts.shape
        return contexts.transpose(1, 2).reshape(B, T, H * D)


class OnePath(RightAttention):
    """The same steps with weights and without."""

    def fused(self, q, k, v, mask):
        return self.softmax(self.scale() * q @ k.transpose(2, 3), mask) @ v


class OnQueryAxis(OnePath):
    """The padding mask lies along the queries, and -10000 keeps whole rows of it from being NaN."""

    def seen(self, real, causal, T, S):
        mask = torch.ones(1, 1, T, S, dtype=torch.bool)
        if causal:
            mask = mask.tril()
        return mask if real is None else mask & real[:, None, :, None]

    def softmax(self, scores, mask):
        low = -10000.0
        weights = scores.masked_fill(~mask, low).softmax(-1)
        return weights


class DropsCausalMask(RightAttention):
    """The causal mask is an argument of the fused kernel; the other path never gets one."""

    def weights(self, scores, real, causal):
        return self.softmax(scores, self.seen(real, False, *scores.shape[2:]))


class NeverCausal(RightAttention):
    """A decoder whose mask is always the encoder's: what it is told of causality is not read."""

    def seen(self, real, causal, T, S):
        mask = torch.ones(1, 1, T, S, dtype=torch.bool)
        return mask if real is None else mask & real[:, None, None, :]


class ScaledByHeads(RightAttention):
    """Scores are divided by the root of the number of heads."""

    def scale(self):
        return 1 / math.sqrt(self.heads)


class OverQueries(OnePath):
    """The softmax is over the queries: the weights of a key sum to 1, not those of a query."""

    def softmax(self, scores, mask):
        low = torch.finfo(scores.dtype).min
        weights = scores.masked_fill(~mask, low).softmax(-2)
        return weights.masked_fill(~mask, 0.0)


class OverOneNumber(OnePath):
    """The score keeps a last axis of length one, and the softmax is over it: all weights are 1."""

    def softmax(self, scores, mask):
        low = torch.finfo(scores.dtype).min
        weights = scores.masked_fill(~mask, low).unsqueeze(-1).softmax(-1).squeeze(-1)
        return weights.masked_fill(~mask, 0.0)


class JoinedByView(RightAttention):
    """Contexts are stacked head by head, and a view alone makes sentences of them."""

    def join(self, contexts):
        B, H, T, D = contexts.shape
        by_head = contexts.transpose(0, 1).contiguous()  # (H, B, T, D / H)
        return by_head.view(B, T, H * D)


class AcrossBatch(RightAttention):
    """Written for positions first and given sentences first: it attends across the batch."""

    def forward(self, queries, keys, values, real=None, causal=False, need_weights=True):
        q, k, v = (x.transpose(0, 1) for x in (queries, keys, values))
        contexts, weights = super().forward(q, k, v, None, causal, need_weights)
        return contexts.transpose(0, 1), weights


class EmptyRowIsNaN(RightAttention):
    """Hidden scores are minus infinity: where all are, the softmax divides 0 by 0."""

    def softmax(self, scores, mask):
        low = -torch.inf
        weights = scores.masked_fill(~mask, low).softmax(-1)
        return weights


class DecoderBlock(nn.Module):
    """A decoder's block: it looks back at what is written, then at what the encoder read."""

    def __init__(self, width: int = 8, heads: int = 2):
        super().__init__()
        self.written, self.read = (RightAttention(width, heads) for _ in range(2))

    def forward(self, states: Tensor, encoded: Tensor, real: Tensor | None = None) -> Tensor:
        """States (B, T, D) and the encoder's output (B, S, D) give states (B, T, D)."""
        states = states + self.written(states, states, states, causal=True)[0]
        return states + self.look(states, encoded, real)

    def look(self, states: Tensor, encoded: Tensor, real: Tensor | None) -> Tensor:
        """Cross-attention: queries of the decoder, keys and values of the encoder."""
        return self.read(states, encoded, encoded, real)[0]


class IgnoresEncoder(DecoderBlock):
    """The second attention of the block is given the decoder's own states, once more."""

    def look(self, states, encoded, real):
        return self.read(states, states, states, causal=True)[0]


def kl(target: Tensor, learnt: Tensor) -> Tensor:
    r"""Mean over rows of :math:`KL(\mathrm{target} \| \mathrm{learnt})`, of weights (B, S).

    The first argument of `kl_div` is the logarithm of the second distribution.
    """
    return kl_div(learnt.log(), target, reduction="batchmean")


def kl_turned(target: Tensor, learnt: Tensor) -> Tensor:
    """The same with the arguments in the order of the formula: KL(learnt || target)."""
    return kl_div(target.log(), learnt, reduction="batchmean")


Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


class BeamSearch:
    """Beam search that keeps, for each hypothesis, where its every word was aligned.

    `step` takes states (K, D) and words (K,), and gives states, log-probabilities (K, V) and
    weights (K, S).
    """

    def __init__(self, step: Step, beam: int = 3):
        self.step, self.beam = step, beam

    def __call__(self, state: Tensor, word: int, length: int) -> tuple[Tensor, Tensor]:
        """The best `length` words from a state (D,), and their weights (length, S)."""
        states, total = state.unsqueeze(0), torch.zeros(1, dtype=state.dtype)
        words = torch.full((1, 1), word)
        weights = torch.zeros(1, 0, 0)
        for _ in range(length):
            states, log_p, looked = self.step(states, words[:, -1])
            scores = (total.unsqueeze(1) + log_p).flatten()
            total, best = scores.topk(min(self.beam, len(scores)))
            parents = best // log_p.shape[1]
            words = torch.cat([words[parents], best.unsqueeze(1) % log_p.shape[1]], 1)
            states = states[parents]
            weights = self.add(weights, looked, parents)
        return words[0, 1:], weights[0]

    def add(self, weights: Tensor, looked: Tensor, parents: Tensor) -> Tensor:
        """The weights so far (K, t, S) of the parents, and what the parents looked at now."""
        looked = looked[parents].unsqueeze(1)
        return torch.cat([weights[parents], looked], 1) if weights.numel() else looked


class BeamLooksElsewhere(BeamSearch):
    """What a step looked at is added before the hypotheses are put in their new order."""

    def add(self, weights, looked, parents):
        looked = looked[torch.arange(len(parents)) % len(looked)].unsqueeze(1)
        return torch.cat([weights[parents], looked], 1) if weights.numel() else looked


# How the museum prints its code ---------------------------------------------------------------


def source(thing: type | Callable) -> str:
    """The source of a class or function without its docstrings."""
    text = textwrap.dedent(inspect.getsource(thing))
    hidden: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            hidden.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return "\n".join(x for n, x in enumerate(text.splitlines(), 1) if n not in hidden)


def difference(right: Any, wrong: Any) -> str:
    """The lines that differ between two functions, or between objects in the methods overridden.

    A method of `wrong` that calls the one it overrides, by `super`, only adds lines.

    Examples
    --------
    >>> print(difference(RightAttention(), ScaledByHeads()))
      def scale
    - return 1 / math.sqrt(self.width // self.heads)
    + return 1 / math.sqrt(self.heads)
    """
    pairs = [(right, wrong)]
    if not inspect.isfunction(wrong):
        changed = [f for f in vars(type(wrong)).values() if inspect.isfunction(f)]
        pairs = [(getattr(type(right), f.__name__), f) for f in changed]
    lines: list[str] = []
    for old, new in pairs:
        after = _body(new)
        before = [] if any("super()" in line for line in after) else _body(old)
        marked = [x for x in difflib.ndiff(before, after) if x[0] in "-+"]
        lines += [f"  def {new.__name__}", *marked]
    return "\n".join(lines)


def _body(function: Callable) -> list[str]:
    """The lines below a function's signature and docstring."""
    text = textwrap.dedent(inspect.getsource(function))
    node = next(x for x in ast.walk(ast.parse(text)) if isinstance(x, ast.FunctionDef))
    first = node.body[1 if ast.get_docstring(node) else 0]
    return textwrap.dedent("\n".join(text.splitlines()[first.lineno - 1 :])).splitlines()
