"""What many write in assignment 3 instead, and what to say to them.

Shapes: B sentences, S source words, A the hidden width of the score; queries (B, D_q), annotations
(B, S, D_k), W (A, D_q), U (A, D_k), v (A,).
"""

import numpy as np

from attnlib.checks.common import soft
from attnlib.checks.compare import Likely


def gru(x, s, gates):
    """A GRU's step (chapter 1), for vectors or for rows."""
    W_x, W_s, b_x, b_s = gates
    H = s.shape[-1]
    from_x, from_s = x @ W_x.T + b_x, s @ W_s.T + b_s
    r = 1 / (1 + np.exp(-(from_x + from_s)[..., :H]))
    z = 1 / (1 + np.exp(-(from_x + from_s)[..., H : 2 * H]))
    return (1 - z) * np.tanh(from_x[..., 2 * H :] + r * from_s[..., 2 * H :]) + z * s


# --- what many do instead: the score ---


def _without_tanh(q, h, W, U, v):
    return (W @ q + h @ U.T) @ v


def _v_inside(q, h, W, U, v):
    return np.tanh((W @ q + h @ U.T) @ v)


def _v_inside_each(q, h, W, U, v):
    return np.tanh((W @ q + h @ U.T) * v).sum(-1)


def _two_tanhs(q, h, W, U, v):
    return (np.tanh(W @ q) + np.tanh(h @ U.T)) @ v


def _tanh_of_words(q, h, W, U, v):
    return (W @ q + np.tanh(h @ U.T)) @ v


def _one_for_both(which):
    return lambda q, h, W, U, v: np.tanh((W, U)[which] @ q + h @ (W, U)[which].T) @ v


def _turned(q, h, W, U, v):
    return np.tanh(q @ W + h @ U) @ v


def _v_forgotten(q, h, W, U, v):
    return np.tanh(W @ q + h @ U.T).sum(-1)


def _over_words(q, h, W, U, v):
    return (np.tanh(W @ q + h @ U.T) * v).sum(0)


def _multiplied(q, h, W, U, v):
    return np.tanh((W @ q) * (h @ U.T)) @ v


def _dot(q, h, W, U, v):
    return h @ q


def _softmaxed(q, h, W, U, v):
    scores = np.tanh(W @ q + h @ U.T) @ v
    exps = np.exp(scores - scores.max())
    return exps / exps.sum()


SCORE = [
    Likely(_dot, "that is chapter 2's dot product; the additive score is a small network"),
    Likely(
        _without_tanh,
        "the tanh is missing. The last question of this assignment asks what that costs",
    ),
    Likely(_v_inside, "v is inside the tanh; it should weigh what comes out of the tanh"),
    Likely(_v_inside_each, "v is inside the tanh; it should weigh what comes out of the tanh"),
    Likely(
        _two_tanhs,
        "there is a tanh of the query and a tanh of the word; the two must meet before one tanh",
    ),
    Likely(
        _tanh_of_words,
        "the query is added outside the tanh; the two must meet before it",
    ),
    Likely(_softmaxed, "those are weights already; this function returns the scores"),
    Likely(_multiplied, "query and annotation are multiplied; in this score they are added"),
    Likely(_over_words, "the sum runs over the words; it should run over the hidden width A"),
    Likely(_v_forgotten, "v is not used; the hidden numbers are just added up"),
    Likely(
        _one_for_both(0), "W is used for the annotations too; they have a matrix U of their own"
    ),
    Likely(_one_for_both(1), "U is used for the query too; it has a matrix W of its own"),
    Likely(_turned, "the matrices are turned round: row a of W belongs to hidden number a"),
]


# --- the same in a batch, and what goes wrong only there ---


def _right_in_batch(q, h, W, U, v):
    return np.tanh((q @ W.T)[:, None] + h @ U.T) @ v


def _each(one):
    return lambda q, h, W, U, v: np.array([one(q[b], h[b], W, U, v) for b in range(len(q))])


def _along_words(q, h, W, U, v):
    """Word s of every sentence meets the query of sentence s."""
    return np.tanh((q @ W.T)[None] + h @ U.T) @ v


def _tiled(q, h, W, U, v):
    B, S = h.shape[:2]
    return np.tanh(np.tile(q @ W.T, (S, 1)).reshape(B, S, -1) + h @ U.T) @ v


def _first_query(q, h, W, U, v):
    return np.tanh(q[0] @ W.T + h @ U.T) @ v


PAIRED = "each sentence's words must meet the query of their own sentence, and some meet another's"
BATCH = [
    *(Likely(_each(each.answer), each.hint) for each in SCORE),
    Likely(
        lambda q, h, W, U, v: np.squeeze(_right_in_batch(q, h, W, U, v)),
        "a batch of one, or a sentence of one word, has lost its axis: squeeze drops every such",
    ),
    Likely(_along_words, PAIRED),
    Likely(_tiled, PAIRED),
    Likely(_first_query, PAIRED),
]


# --- what many do instead: the step ---


def _weigh(e, seen):
    e = np.where(seen, e, -np.inf)
    exps = np.exp(e - e.max(-1, keepdims=True))
    return exps / exps.sum(-1, keepdims=True)


def ignoring(e, mask):
    return _weigh(e, np.ones_like(mask))


def afterwards(e, mask):
    return ignoring(e, mask) * mask


def _inverted(e, mask):
    return np.where(mask.all(-1, keepdims=True), 1 / mask.shape[1], np.nan_to_num(_weigh(e, ~mask)))


def over_sentences(e, mask):
    return _weigh(e.T, mask.T).T


def _emptied(e, mask):
    return ignoring(np.where(mask, e, 0.0), mask)


def _multiplied_scores(e, mask):
    return ignoring(e * mask, mask)


def _everything(e, mask):
    a = np.where(mask, np.exp(e - np.where(mask, e, -np.inf).max()), 0.0)
    return a / a.sum()


def _evenly(e, mask):
    return mask / mask.sum(-1, keepdims=True)


def _overflowing(e, mask):
    exps = np.exp(e) * mask
    return exps / exps.sum(-1, keepdims=True)


def _loudest_of_all(e, mask):
    exps = np.exp(e - e.max(-1, keepdims=True)) * mask
    return exps / exps.sum(-1, keepdims=True)


def _mean_of_words(e, mask):
    mean = np.where(mask, e, 0.0).sum(-1, keepdims=True) / mask.sum(-1, keepdims=True)
    return soft(np.where(mask, e, -np.inf), lower=lambda kept: mean)


def _loudest_of_array(e, mask):
    e = np.where(mask, e, -np.inf)
    exps = np.exp(e - e.max())
    return exps / exps.sum(-1, keepdims=True)


def _filled(amount, after):
    """A fixed low score on padding; the weights there set to zero, or left."""

    def weigh(e, mask):
        a = ignoring(np.where(mask, e, amount), mask)
        return a * mask if after else a

    return weigh


def altered(score=_right_in_batch, weigh=_weigh, mixed=None, context=None, fed=None, s_in=None):
    """A step with one part exchanged."""

    def step(y, s, h, mask, W, U, v, gates):
        a = weigh(score(s, h, W, U, v), mask)
        c = np.einsum("bs,bsd->bd", a, h if mixed is None else mixed(h, U))
        if context is not None:
            c = context(c, h, mask)
        new = gru(
            (_word_first if fed is None else fed)(y, c), s if s_in is None else s_in(s), gates
        )
        return c, a, new

    return step


def _word_first(y, c):
    return np.concatenate([y, c], -1)


def _new_state_asks(y, s, h, mask, W, U, v, gates):
    _, _, new = altered()(y, s, h, mask, W, U, v, gates)
    c, a, _ = altered()(y, new, h, mask, W, U, v, gates)
    return c, a, new


def _new_weights(y, s, h, mask, W, U, v, gates):
    """The new state's weights come back; all else is right."""
    c, _, new = altered()(y, s, h, mask, W, U, v, gates)
    return c, altered()(y, new, h, mask, W, U, v, gates)[1], new


def _asks_after(y, s, h, mask, W, U, v, gates):
    """The cell first, with no context; then the new state asks."""
    new = gru(_word_first(y, np.zeros((len(h), h.shape[2]))), s, gates)
    c, a, _ = altered()(y, new, h, mask, W, U, v, gates)
    return c, a, new


def _old_state(y, s, h, mask, W, U, v, gates):
    c, a, _ = altered()(y, s, h, mask, W, U, v, gates)
    return c, a, s


def _arranged(*order):
    def answer(**case):
        out = altered()(**case)
        return tuple(out[i] for i in order)

    return answer


ORDER = "contexts come first, then weights, then states"
ASKS = "the new state asks; in Bahdanau's step the state from before the step does"
STEP = [
    *(Likely(_arranged(*order), ORDER) for order in ((1, 0, 2), (2, 1, 0), (2, 0, 1), (0, 2, 1))),
    Likely(_new_state_asks, ASKS),
    Likely(_asks_after, ASKS),
    Likely(_new_weights, ASKS),
    Likely(_old_state, "the state that comes back is the old one"),
    Likely(
        altered(fed=lambda y, c: np.concatenate([c, y], -1)),
        "the cell gets the context first and the word behind it; it expects the word first",
    ),
    Likely(altered(s_in=np.zeros_like), "the cell does not get the old state"),
    Likely(altered(fed=lambda y, c: _word_first(y, 0 * c)), "the context does not enter the cell"),
    Likely(altered(fed=lambda y, c: _word_first(0 * y, c)), "the word does not enter the cell"),
    Likely(
        altered(weigh=over_sentences),
        "your softmax runs over the sentences, not over the words",
    ),
    Likely(altered(weigh=_evenly), "the scores are not used: all words get the same weight"),
    Likely(altered(weigh=ignoring), "the mask is not used: padding gets a share of the attention"),
    Likely(
        altered(weigh=afterwards),
        "weights on padding are set to 0 after the softmax; the words then share less than 1",
    ),
    Likely(altered(weigh=_inverted), "the mask is read the wrong way round; true means a word"),
    Likely(
        altered(weigh=lambda e, mask: _weigh(e, ~mask)),
        "the mask is read the wrong way round; true means a word",
    ),
    Likely(
        altered(weigh=_emptied),
        "a score of 0 is a score like others: padding still gets a share",
    ),
    Likely(
        altered(weigh=_multiplied_scores),
        "a score of 0 is a score like others: padding still gets a share",
    ),
    Likely(
        altered(weigh=_everything),
        "the weights of the whole batch sum to 1; each sentence's should",
    ),
    Likely(
        altered(mixed=lambda h, U: h @ U.T),
        "the context averages U h, which is for comparing only; the values are the annotations",
    ),
    Likely(
        altered(context=lambda c, h, mask: c / h.shape[1]),
        "the context is divided by the number of words; its weights sum to 1 already",
    ),
    Likely(altered(score=_along_words), PAIRED),
    Likely(altered(score=_first_query), PAIRED),
    *(Likely(altered(score=_each(each.answer)), each.hint) for each in SCORE[1:]),
    Likely(altered(weigh=_overflowing), "exp of a large score overflows"),
    Likely(
        altered(weigh=_loudest_of_all),
        "the largest score, which you subtract, may stand on padding; then every exponential of "
        "a word is 0",
    ),
    Likely(
        altered(weigh=_mean_of_words),
        "the mean of the scores is subtracted, and a score far above it still overflows: the "
        "largest is safe",
    ),
    Likely(
        altered(weigh=_loudest_of_array),
        "the largest score of the whole batch is subtracted, and a sentence far below it is then "
        "0 divided by 0: each has a largest of its own",
    ),
    *(
        Likely(
            altered(weigh=_filled(amount, after)),
            "padding gets a fixed low score, and here the words score lower still: what hides "
            "must be lower than any score",
        )
        for amount in (-1e1, -1e2, -999.0, -1e3)
        for after in (True, False)
    ),
]
