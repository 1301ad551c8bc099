"""Assignment 8, many heads, no future: what many do instead, and what to say to them.

Each mistake takes the arguments of the function it stands for (see `attnlib.checks.a08`).
"""

import numpy as np

from attnlib.checks.common import soft
from attnlib.checks.compare import Likely

# --- positions ---


def _clocks(angles=None, join=None, base=10000.0, first=0, begin=True):
    """The vectors with other angles, another order, or another first position."""

    def answer(T, D, start):
        t = (np.arange(T) + first + (start if begin else 0))[:, None]
        i = np.arange(D // 2)
        turn = t * base ** (-2 * i / D) if angles is None else angles(t, i, D)
        sin, cos = np.sin(turn), np.cos(turn)
        if join is not None:
            return join(sin, cos)
        return np.stack([sin, cos], -1).reshape(T, D)

    return answer


def _each_its_own(T, D, start):
    j = np.arange(D)
    angles = (start + np.arange(T))[:, None] * 10000.0 ** (-j / D)
    return np.where(j % 2 == 0, np.sin(angles), np.cos(angles))


def _twice_its_own(T, D, start):
    j = np.arange(D)
    angles = (start + np.arange(T))[:, None] * 10000.0 ** (-2 * j / D)
    return np.where(j % 2 == 0, np.sin(angles), np.cos(angles))


EACH = (
    "sine and cosine of a pair must have one angle: a hand has one place on its clock. The "
    "exponent counts pairs, not numbers"
)
CLOCKS = [
    Likely(_each_its_own, EACH),
    Likely(_twice_its_own, EACH),
    Likely(
        _clocks(join=lambda s, c: np.stack([c, s], -1).reshape(len(s), -1)),
        "cosine and sine have changed places: at position 0 the hand points up, (0, 1)",
    ),
    Likely(_clocks(first=1), "the first position is 0, not 1"),
    Likely(_clocks(first=-1), "the first row is that of position `start`, not of the one before"),
    Likely(
        _clocks(join=lambda s, c: np.concatenate([s, c], -1)),
        "all sines come first, then all cosines; the two numbers of a hand stand side by side",
    ),
    Likely(
        _clocks(lambda t, i, D: t * 10000.0 ** (-i / D)),
        "your hands slow down too little: the exponent has a 2",
    ),
    Likely(
        _clocks(lambda t, i, D: t * 10000.0 ** (-4 * i / D)),
        "your hands slow down too fast: in the exponent D is the whole width",
    ),
    Likely(
        _clocks(lambda t, i, D: t * 10000.0 ** (2 * i / D)),
        "your hands become faster, not slower: mind the sign of the exponent",
    ),
    Likely(
        _clocks(lambda t, i, D: t * 10000.0 ** (-i / max(D // 2 - 1, 1))),
        "your slowest hand turns by 1/10000; by our formula it stays a little faster than that",
    ),
    Likely(_clocks(base=1000.0), "the base is 10,000"),
    Likely(_clocks(begin=False), "the first row is that of position `start`, not of position 0"),
]


# --- heads ---


def split(M, H):
    """(B, T, D) as heads (B, H, T, D / H)."""
    B, T, D = M.shape
    return M.reshape(B, T, H, D // H).swapaxes(1, 2)


def _cut(M, H):
    B, T, D = M.shape
    return M.reshape(B, H, T, D // H)


def _in_turn(M, H):
    B, T, D = M.shape
    return M.reshape(B, T, D // H, H).transpose(0, 3, 1, 2)


def _in_turn_back(C):
    B, H, T, d = C.shape
    return C.transpose(0, 2, 3, 1).reshape(B, T, H * d)


def _joined(C):
    B, H, T, d = C.shape
    return C.swapaxes(1, 2).reshape(B, T, H * d)


def _glued(C):
    B, H, T, d = C.shape
    return C.reshape(B, T, H * d)


def _multi(
    cut=split,
    join=_joined,
    scale=None,
    hide=None,
    after=None,
    keys=None,
    values=None,
    project=None,
    last=None,
    axis=-1,
    floor=-np.inf,
):
    """Multi-head attention of which one part is exchanged."""

    def answer(X, Y, W_Q, W_K, W_V, W_O, H, mask):
        D = X.shape[-1]
        to = (lambda M, W: M @ W) if project is None else project
        Z = Y if values is None else values(X, Y)
        q = cut(to(X, W_Q), H)
        k = cut(to(Y if keys is None else keys(X, Y), W_K), H)
        v = cut(to(Z, W_V), H)
        e = q @ k.swapaxes(-1, -2) / (np.sqrt(D // H) if scale is None else scale(D, H))
        seen = mask[:, None] if hide is None else hide(mask)
        if after is not None:
            weights = after(e, seen)
        else:
            weights = soft(np.where(seen, e, floor), axis)
        found = join(weights @ v)
        return (found @ W_O if last is None else last(found, W_O)), weights

    return answer


def _over_heads(X, Y, W_Q, W_K, W_V, W_O, H, mask):
    B, T, D = X.shape
    q, k, v = (M.reshape(B, -1, H, D // H) for M in (X @ W_Q, Y @ W_K, Y @ W_V))
    a = soft(q @ k.swapaxes(2, 3) / np.sqrt(D // H))
    return (a @ v).reshape(B, T, D) @ W_O, a


def _over_batch(X, Y, W_Q, W_K, W_V, W_O, H, mask):
    D = X.shape[-1]
    q, k, v = (split(M.swapaxes(0, 1), H) for M in (X @ W_Q, Y @ W_K, Y @ W_V))
    a = soft(q @ k.swapaxes(2, 3) / np.sqrt(D // H))
    return _joined(a @ v).swapaxes(0, 1) @ W_O, a


def _mean_weights(*arguments, **named):
    contexts, weights = _multi()(*arguments, **named)
    return contexts, weights.mean(1)


def _zeroed(e, seen):
    return soft(e) * seen


def _instead(low):
    return lambda e, seen: soft(np.where(seen, e, low))


def _besides(low):
    return lambda e, seen: soft(e + np.where(seen, 0.0, low))


def _over_sum(e, seen):
    with np.errstate(all="ignore"):
        exps = np.exp(np.where(seen, e, -np.inf))
        return exps / exps.sum(-1, keepdims=True)


def _mean(e, seen):
    return np.where(seen, e, 0.0).sum(-1, keepdims=True) / seen.sum(-1, keepdims=True)


def _less(lower):
    """Another number taken off the scores than a row's largest."""

    def weigh(e, seen):
        seen = np.broadcast_to(seen, e.shape)
        return soft(np.where(seen, e, -np.inf), lower=lambda kept: lower(kept, seen))

    return weigh


LOW = (
    "a hidden key gets a fixed low score, and here the others score lower still: what hides must "
    "be lower than any score"
)


INVERTED = "the mask is read the wrong way round: true means may attend"
HEADS = [
    Likely(_multi(project=lambda M, W: M @ W.T), "a word is a row, and a row times W is X @ W"),
    Likely(_multi(axis=-2), "your weights sum to 1 over the queries; they should over the keys"),
    Likely(
        _multi(scale=lambda D, H: np.sqrt(H)),
        "the scores are divided by the root of H, or, which is the same in one head, by nothing: "
        "how wide is the query of one head?",
    ),
    Likely(
        _multi(scale=lambda D, H: 1.0),
        "the scores are not divided by anything: how wide is the query of one head?",
    ),
    Likely(_multi(scale=lambda D, H: D // H), "divide by the root of a head's width"),
    Likely(
        _multi(scale=lambda D, H: np.sqrt(D)),
        "the scores are divided by the root of D; how wide is the query of one head?",
    ),
    Likely(
        _over_batch,
        "sentences look at each other, not words: your first two axes have changed places",
    ),
    Likely(
        _over_heads,
        "the heads of a word look at each other, not the words of a head: which two axes does @ "
        "multiply?",
    ),
    Likely(
        _multi(cut=_cut),
        "the heads are cut from rows, not from columns: your first head has the first words. A "
        "reshape keeps the order of the numbers, and cannot exchange two axes",
    ),
    Likely(
        _multi(cut=_cut, join=_glued),
        "the heads are cut from rows, not from columns: your first head has the first words. A "
        "reshape keeps the order of the numbers, and cannot exchange two axes",
    ),
    Likely(
        _multi(join=_glued),
        "the weights are right, but the join mixes words: bring the heads' axis back beside "
        "the heads' numbers before you reshape",
    ),
    *(
        Likely(
            _multi(cut=_in_turn, join=join),
            "the columns are dealt to the heads in turn; head 1 has the first D / H columns",
        )
        for join in (_joined, _in_turn_back)
    ),
    Likely(
        _multi(last=lambda found, W_O: found),
        "the heads are joined but not mixed: where is W_O?",
    ),
    Likely(
        _multi(last=lambda found, W_O: found @ W_O.T), "a word is a row, and a row times W is X @ W"
    ),
    Likely(_mean_weights, "the weights are averaged over the heads; give those of each head"),
    Likely(_multi(values=lambda X, Y: X), "the values come from X; they should come from Y"),
    Likely(
        _multi(keys=lambda X, Y: X, values=lambda X, Y: X),
        "keys and values come from X; they should come from Y",
    ),
    Likely(
        lambda X, Y, W_Q, W_K, W_V, W_O, H, mask: _multi()(Y, X, W_Q, W_K, W_V, W_O, H, mask),
        "X asks, and Y is asked: your queries come from Y",
    ),
    Likely(
        lambda X, Y, W_Q, W_K, W_V, W_O, H, mask: _multi()(X, Y, W_Q, W_K, W_K, W_O, H, mask),
        "the values are made from the keys, or by the keys' matrix; they have their own",
    ),
    Likely(_multi(hide=lambda mask: np.ones_like(mask[:, None])), "the mask is not used"),
    Likely(_multi(hide=lambda mask: ~mask[:, None]), INVERTED),
    Likely(_multi(hide=lambda mask: ~mask[:, None], floor=-1e30), INVERTED),
    Likely(
        _multi(hide=lambda mask: mask.swapaxes(1, 2)[:, None]),
        "the mask is turned: its rows are queries, its columns keys",
    ),
    Likely(
        _multi(after=_zeroed),
        "weights are set to 0 after the softmax; the others then sum to less than 1",
    ),
    Likely(
        _multi(after=lambda e, seen: soft(np.where(seen, e, 0.0))),
        "a score of 0 is a score like others; a hidden key still gets a weight",
    ),
    Likely(
        _multi(hide=lambda mask: mask[:, :1, None]),
        "every query gets the first query's row of the mask",
    ),
    Likely(
        _multi(hide=lambda mask: mask[:1, None]),
        "every sentence gets the first sentence's mask",
    ),
    Likely(
        _multi(hide=lambda mask: mask),
        "shapes are lined up from the right: here the mask's sentences pass for heads. Each head "
        "of a sentence should get that sentence's mask",
    ),
    *(
        Likely(_multi(after=hidden), LOW)
        for low in (-10.0, -20.0, -30.0, -50.0, -100.0, -200.0)
        for hidden in (_instead(low), _besides(low))
    ),
    Likely(
        _multi(after=_less(_mean)),
        "the mean of the scores is subtracted, and a score far above it still overflows: the "
        "largest is safe",
    ),
    *(
        Likely(
            _multi(after=_less(lambda e, seen, axes=axes: e.max(axes, keepdims=True))),
            "the largest score of several rows is subtracted, of all heads, queries or sentences, "
            "and a row far below it is then 0 divided by 0: each row has a largest of its own",
        )
        for axes in ((1, 3), (2, 3), (1, 2, 3), None, (0, 3))
    ),
    Likely(_multi(after=_over_sum), "exp of a large score overflows"),
]


# --- writing ---


def _writer(hide=None, place=None, keep=None):
    """Writing in pieces with another mask, other positions, or another cache."""

    def answer(X, pieces, W_Q, W_K, W_V, W_O, H):
        D, start, found = X.shape[-1], 0, []
        keys = values = np.zeros((len(X), H, 0, D // H))
        for n in pieces:
            begin = start if place is None else place(start)
            words = X[:, start : start + n] + _clocks()(n, D, begin)
            new = split(words @ W_K, H), split(words @ W_V, H)
            if keep is None:
                keys, values = (
                    np.concatenate(pair, 2) for pair in zip((keys, values), new, strict=True)
                )
            else:
                keys, values = keep((keys, values), new)
            S = keys.shape[2]
            t, s = np.arange(n)[:, None] + S - n, np.arange(S)
            seen = s <= t if hide is None else hide(s, t, n, S)
            e = split(words @ W_Q, H) @ keys.swapaxes(2, 3) / np.sqrt(D // H)
            a = soft(np.where(seen, e, -np.inf))
            found.append(_joined(a @ values) @ W_O)
            start += n
        return np.concatenate(found, axis=1)

    return answer


def _calls_for_words(X, pieces, W_Q, W_K, W_V, W_O, H):
    T, D = X.shape[1:]
    own = np.concatenate([_clocks()(n, D, call) for call, n in enumerate(pieces)])
    moved = X + own - _clocks()(T, D, 0)
    return _writer()(moved, pieces, W_Q, W_K, W_V, W_O, H)


def _no_clocks(X, pieces, W_Q, W_K, W_V, W_O, H):
    bare = X - _clocks()(X.shape[1], X.shape[2], 0)
    return _writer()(bare, pieces, W_Q, W_K, W_V, W_O, H)


WRITER = [
    Likely(
        _writer(hide=lambda s, t, n, S: s < t),
        "your diagonal is hidden: a word sees the words before it and itself, and the first "
        "word would see nothing",
    ),
    Likely(_no_clocks, "the words have no positions, or what keys and values are made of has none"),
    Likely(_writer(place=lambda start: start + 1), "the first word stands at position 0"),
    Likely(
        _writer(hide=lambda s, t, n, S: s >= t),
        "the mask is the wrong way round: the future is seen, and the past hidden",
    ),
    Likely(
        _writer(hide=lambda s, t, n, S: s > -1),
        "the future is seen: within a piece a word must not see the words behind it",
    ),
    Likely(
        _writer(hide=lambda s, t, n, S: s <= t - (S - n)),
        "what was kept is hidden: the first word of a later piece does not stand at position 0, "
        "and sees all the words before it",
    ),
    Likely(
        _writer(place=lambda start: 0),
        "in every piece the positions begin at 0 again: how many words came before?",
    ),
    Likely(
        _calls_for_words,
        "the positions count the calls; they count the words, and a call may bring several",
    ),
    Likely(
        _writer(keep=lambda old, new: new),
        "nothing is kept: each piece sees its own words only",
    ),
    Likely(
        _writer(hide=lambda s, t, n, S: (s <= t) | (n < S)),
        "the future is seen within a piece that is not the first: there is more to mask than the "
        "first one",
    ),
    Likely(
        _writer(
            keep=lambda old, new: tuple(
                np.concatenate(pair[::-1], 2) for pair in zip(old, new, strict=True)
            )
        ),
        "new keys are put in front of the old ones, and the mask counts from the front",
    ),
]
