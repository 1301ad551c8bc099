"""Assignment 10, planted bugs: attentions that are right, and attentions that are not.

Each is a `museum_code.RightAttention` of which one step is written otherwise. The right ones give
the same numbers, up to rounding, in other ways. None that is wrong gives other shapes than it
should, or what is not finite, and all of them can be trained.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import multi_head_attention_forward, pad, softmax

from attnlib.checks.museum_code import (
    DropsCausalMask,
    JoinedByView,
    NeverCausal,
    OnePath,
    OnQueryAxis,
    OverQueries,
    RightAttention,
    ScaledByHeads,
)

__all__ = [
    "DropsCausalMask", "JoinedByView", "NeverCausal", "OnePath", "OverQueries", "RightAttention",
    "ScaledByHeads",
]  # fmt: skip

# Right ones, written otherwise ----------------------------------------------------------------


class ByEinsum(RightAttention):
    """All heads at once; a mask is added to the scores."""

    def forward(self, queries, keys, values, real=None, causal=False, need_weights=True):
        """See `RightAttention.forward`."""
        H = self.heads
        q, k, v = (
            torch.einsum("bsd,hed->bshe", x, W.weight.unflatten(0, (H, -1)))
            for x, W in zip((queries, keys, values), (self.W_Q, self.W_K, self.W_V), strict=True)
        )
        mask = self.seen(real, causal, queries.shape[1], keys.shape[1])
        low = torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)
        weights = softmax(torch.einsum("bthe,bshe->bhts", q * self.scale(), k) + low, -1)
        W_O = self.W_O.weight.unflatten(1, (H, -1))
        contexts = torch.einsum("bhts,bshe,dhe->btd", weights, v, W_O)
        return contexts, weights if need_weights else None


class OneByOne(RightAttention):
    """Sentence by sentence: what is no word is left out before anything is computed."""

    def forward(self, queries, keys, values, real=None, causal=False, need_weights=True):
        """See `RightAttention.forward`."""
        (B, T, _), S = queries.shape, keys.shape[1]
        contexts, weights = [], torch.zeros(B, self.heads, T, S)
        for b in range(B):
            at = torch.arange(S) if real is None else real[b].nonzero()[:, 0]
            q, k, v = (
                self.split(W(x[b : b + 1]))[0]
                for x, W in zip(
                    (queries, keys[:, at], values[:, at]), (self.W_Q, self.W_K, self.W_V)
                )
            )
            scores = q @ k.mT * self.scale()  # (H, T, seen)
            if causal:
                scores = scores.masked_fill(at > torch.arange(T).unsqueeze(1), -torch.inf)
            exps = (scores - scores.amax(-1, keepdim=True)).exp()
            weights[b, :, :, at] = exps / exps.sum(-1, keepdim=True)
            contexts.append(weights[b, :, :, at] @ v)
        output = self.W_O(self.join(torch.stack(contexts)))
        return output, weights if need_weights else None


class PyTorchs(RightAttention):
    """The function behind `torch.nn.MultiheadAttention`."""

    def forward(self, queries, keys, values, real=None, causal=False, need_weights=True):
        """See `RightAttention.forward`."""
        T, S = queries.shape[1], keys.shape[1]
        q, k, v = (x.transpose(0, 1) for x in (queries, keys, values))
        contexts, weights = multi_head_attention_forward(
            q,
            k,
            v,
            self.width,
            self.heads,
            None,
            None,
            None,
            None,
            False,
            0.0,
            self.W_O.weight,
            None,
            key_padding_mask=None if real is None else ~real,
            need_weights=need_weights,
            attn_mask=torch.ones(T, S, dtype=torch.bool).triu(1) if causal else None,
            use_separate_proj_weight=True,
            q_proj_weight=self.W_Q.weight,
            k_proj_weight=self.W_K.weight,
            v_proj_weight=self.W_V.weight,
            average_attn_weights=False,
        )
        return contexts.transpose(0, 1), weights


# Wrong ones -----------------------------------------------------------------------------------


class OnQueries(OnQueryAxis):
    """The padding mask lies along the queries, where there are as many as keys or not."""

    def seen(self, real, causal, T, S):
        mask = super().seen(None, causal, T, S)
        if real is None:
            return mask
        return mask & pad(real, (0, max(0, T - S)), value=True)[:, None, :T, None]


class SeesTheNext(OnePath):
    """A causal mask that is one too wide."""

    def seen(self, real, causal, T, S):
        mask = super().seen(real, False, T, S)
        return mask & torch.ones(T, S, dtype=torch.bool).tril(1) if causal else mask


class HidesItself(OnePath):
    """A causal mask that is one too narrow: a word sees those before it, and the first one none."""

    def seen(self, real, causal, T, S):
        mask = super().seen(real, False, T, S)
        return mask & torch.ones(T, S, dtype=torch.bool).tril(-1) if causal else mask


class ScaledByTheWhole(RightAttention):
    """Scores are divided by the root of the width of all heads."""

    def scale(self):
        return self.width**-0.5


class PaddingOfTheFirst(OnePath):
    """What is real in the first sentence passes for real in all."""

    def seen(self, real, causal, T, S):
        return super().seen(None if real is None else real[:1], causal, T, S)


class KeysForValues(RightAttention):
    """The values are projected from the keys."""

    def forward(self, queries, keys, values, real=None, causal=False, need_weights=True):
        """See `RightAttention.forward`."""
        return super().forward(queries, keys, keys, real, causal, need_weights)


class DropsPadding(RightAttention):
    """The path without weights gets no padding mask."""

    def forward(self, queries, keys, values, real=None, causal=False, need_weights=True):
        """See `RightAttention.forward`."""
        real = real if need_weights else None
        return super().forward(queries, keys, values, real, causal, need_weights)


class ShowsOthers(RightAttention):
    """The weights that come back are those without any mask; the contexts are right."""

    def forward(self, queries, keys, values, real=None, causal=False, need_weights=True):
        """See `RightAttention.forward`."""
        contexts, weights = super().forward(queries, keys, values, real, causal, need_weights)
        if need_weights:
            weights = super().forward(queries, keys, values)[1]
        return contexts, weights


class LowFloor(OnePath):
    """Hidden scores become -8, and what is hidden keeps a little weight."""

    def softmax(self, scores, mask):
        return scores.masked_fill(~mask, -8.0).softmax(-1)


class RemembersTheMask(OnePath):
    """The first mask of each size is kept for all that follow."""

    def __init__(self, width=8, heads=2):
        super().__init__(width, heads)
        self.kept: dict = {}

    def seen(self, real, causal, T, S):
        rows = None if real is None else len(real)
        return self.kept.setdefault((rows, causal, T, S), super().seen(real, causal, T, S))


class LearnsNoLook(OnePath):
    """The weights are cut off from the gradient, so queries and keys never learn."""

    def softmax(self, scores, mask):
        return super().softmax(scores, mask).detach()


class HeadTwice(OnePath):
    """All heads take the weights of the first."""

    def softmax(self, scores, mask):
        return super().softmax(scores, mask)[:, :1].expand(scores.shape)


class LikesTheNear(OnePath):
    """Scores fall with the distance of the key, though nobody asked for positions."""

    def softmax(self, scores, mask):
        T, S = scores.shape[2:]
        apart = (torch.arange(T).unsqueeze(1) - torch.arange(S)).abs()
        return super().softmax(scores - 0.1 * apart, mask)


def parameters(module: nn.Module) -> list[Tensor]:
    """The four matrices of a module of this file, in the order of `a10_given.MATRICES`."""
    return [getattr(module, name).weight for name in ("W_Q", "W_K", "W_V", "W_O")]
