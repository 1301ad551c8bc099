"""Assignment 5, windows: what many do instead, and what to say to them (chapter 5).

Each mistake takes the arguments of the function it stands for (see `attnlib.checks.a05`).
"""

import numpy as np

from attnlib.checks.common import ROUGH, soft
from attnlib.checks.compare import Likely

# --- local-m ---


def _soft(scores, inside):
    """A softmax over what is inside; zeros where nothing is."""
    top = np.where(inside, scores, -np.inf).max(-1, keepdims=True)
    with np.errstate(all="ignore"):
        exps = np.where(inside, np.exp(scores - np.where(np.isfinite(top), top, 0.0)), 0.0)
    total = exps.sum(-1, keepdims=True)
    return exps / np.where(total > 0, total, 1.0)


def _cut_afterwards(scores, inside):
    return np.where(inside, _soft(scores, np.ones_like(inside)), 0.0)


def _local_m(centre=None, within=None, make=_soft):
    """Local-m with another centre, another idea of what is inside, or another softmax."""

    def answer(scores, D):
        T, S = scores.shape
        t = np.arange(T)
        p = np.minimum(t, S - 1) if centre is None else centre(t, S, T)
        away = np.arange(S) - p[:, None]
        return make(scores, abs(away) <= D if within is None else within(away, D))

    return answer


def _moved(scores, D):
    T, S = scores.shape
    first = np.clip(np.minimum(np.arange(T), S - 1) - D, 0, max(S - 2 * D - 1, 0))[:, None]
    return _soft(scores, (np.arange(S) >= first) & (np.arange(S) <= first + 2 * D))


def _wrapped(scores, D):
    T, S = scores.shape
    inside = np.zeros(scores.shape, dtype=bool)
    for t in range(T):
        p = min(t, S - 1)
        inside[t, p - D : p + D + 1] = True
    return _soft(scores, inside)


def _over_empty(scores, inside):
    with np.errstate(all="ignore"):
        exps = np.where(inside, np.exp(scores), 0.0)
        return exps / exps.sum(-1, keepdims=True)


def _open_if_empty(scores, inside):
    return _soft(scores, inside | ~inside.any(-1, keepdims=True))


def _loudest_of_all(scores, inside):
    with np.errstate(all="ignore"):
        exps = np.where(inside, np.exp(scores - scores.max(-1, keepdims=True)), 0.0)
        return exps / exps.sum(-1, keepdims=True)


def _mean_of_window(scores, inside):
    mean = np.where(inside, scores, 0.0).sum(-1, keepdims=True) / inside.sum(-1, keepdims=True)
    return soft(np.where(inside, scores, -np.inf), lower=lambda kept: mean)


def _first_of_window(scores, inside):
    """The score of a word inside is subtracted that need not be the largest."""
    first = np.take_along_axis(scores, inside.argmax(-1)[..., None], -1)
    return soft(np.where(inside, scores, -np.inf), lower=lambda kept: first)


def _loudest_of_array(scores, inside):
    with np.errstate(all="ignore"):
        exps = np.where(inside, np.exp(scores - np.where(inside, scores, -np.inf).max()), 0.0)
        return exps / exps.sum(-1, keepdims=True)


def _loudest_of_array_and_zeros(scores, inside):
    return np.nan_to_num(_loudest_of_array(scores, inside))


def _filled(amount, after=True):
    """A fixed low score outside; the weights there set to zero, or left."""

    def make(scores, inside):
        weights = _soft(np.where(inside, scores, amount), np.ones_like(inside))
        return np.where(inside, weights, 0.0) if after else weights

    return make


def _zeroed(scores, inside):
    return _soft(np.where(inside, scores, 0.0), np.ones_like(inside))


def _bell_in_m(scores, D):
    T, S = scores.shape
    away = np.arange(S) - np.minimum(np.arange(T), S - 1)[:, None]
    return _soft(scores, abs(away) <= D) * np.exp(-2 * (away / D) ** 2)


def _stays(t, S, T):
    return t


NOT_LARGEST = (
    "not the largest score of the window is subtracted but another number, such as its mean or its "
    "middle, and a score far above that still overflows"
)
OWN_LOUDEST = (
    "the largest score of the whole array is subtracted, and a row far below it is then 0 divided "
    "by 0: each row has a largest of its own"
)
LOWER = (
    "a word outside gets a fixed low score, and here the words inside score lower still: what "
    "hides must be lower than any score"
)
LOW = [(amount, after) for amount in (-1e2, -1e3, -9999.0, -1e4, -1e5) for after in (True, False)]
PAST = "past the end of the source the window does not stay at the last word"
LOCAL_M = [
    Likely(_local_m(lambda t, S, T: np.minimum(t + 1, S - 1)), "the first step stands at 0, not 1"),
    Likely(
        _local_m(within=lambda away, D: abs(away) < D),
        "the window is too narrow: a word that is exactly D away is inside",
    ),
    Likely(
        _local_m(within=lambda away, D: (away >= -D) & (away < D)),
        "the window ends too early: it reaches as far to the right as to the left, and what a "
        "slice ends with is not in it",
    ),
    Likely(
        _local_m(within=lambda away, D: (away >= 0) & (away <= D)),
        "the window reaches to the right only; it has D words on either side",
    ),
    Likely(
        _local_m(within=lambda away, D: away <= D),
        "nothing is hidden on the left: how far away is the first word when t is large?",
    ),
    Likely(
        _local_m(make=_cut_afterwards),
        "the softmax runs over all words, and cuts them off afterwards: the weights inside then "
        "sum to less than 1",
    ),
    Likely(_local_m(make=_zeroed), "a word outside has a score of 0 and still gets a weight"),
    Likely(
        lambda scores, D: _soft(scores, np.ones(scores.shape, bool)), "the window hides nothing"
    ),
    Likely(_bell_in_m, "a Gaussian belongs to local-p; local-m is a softmax over its window"),
    Likely(_moved, "at an edge your window is moved into the sentence; it should be cut off"),
    Likely(
        _wrapped,
        "at the left edge the window is empty or wrong: what does a slice do that begins below 0?",
    ),
    Likely(
        _local_m(lambda t, S, T: t * S / T),
        "your window follows the diagonal, by the length of the target: local-m stands at t, and "
        "how long the target will be nobody knows while translating",
    ),
    Likely(_local_m(lambda t, S, T: np.minimum(t, S)), "the last word stands at S - 1, not at S"),
    Likely(_local_m(_stays), PAST),
    Likely(_local_m(_stays, make=_over_empty), PAST),
    Likely(_local_m(_stays, make=_open_if_empty), PAST),
    Likely(
        _local_m(lambda t, S, T: np.where(t < S, t, -99)),
        PAST,
    ),
    Likely(
        _local_m(make=_over_empty),
        "exp of a large score overflows; a softmax does not mind if all scores fall together",
    ),
    Likely(
        _local_m(make=_loudest_of_all),
        "the largest score, which you subtract, may stand outside the window; then every "
        "exponential inside is 0",
    ),
    Likely(_local_m(make=_mean_of_window), NOT_LARGEST),
    Likely(_local_m(make=_first_of_window), NOT_LARGEST),
    Likely(_local_m(make=_loudest_of_array), OWN_LOUDEST),
    Likely(_local_m(make=_loudest_of_array_and_zeros), OWN_LOUDEST),
    *(Likely(_local_m(make=_filled(*low)), LOWER) for low in LOW),
]


# --- where the window stands ---


def _logistic(x):
    return 1 / (1 + np.exp(-x))


def _centres(size=None, x=None, squash=None, out=None):
    """The centres with another S, another network, another squashing, or a last step of its own."""

    def answer(queries, lengths, W_p, v_p):
        q, n, W, v = (np.asarray(each) for each in (queries, lengths, W_p, v_p))
        raw = np.tanh(q @ W.T) @ v if x is None else x(q, W, v)
        share = (_logistic if squash is None else squash)(raw)
        p = (n[:, None] if size is None else size(n, q)) * share
        return p if out is None else out(p)

    return answer


def _spread_out(queries, lengths, W_p, v_p):
    share = _centres(size=lambda n, q: 1.0)(queries, lengths, W_p, v_p)
    return np.asarray(lengths) * share


CENTRES = [
    Likely(_centres(squash=lambda x: x), "p_t is not kept between 0 and S: what squashes x_t?"),
    Likely(_centres(squash=np.tanh), "x_t goes through a tanh, which may be negative"),
    Likely(
        _centres(x=lambda q, W, v: q @ W.T @ v),
        "there is no tanh between W_p and v_p; without it the two are one linear layer",
    ),
    Likely(
        _centres(x=lambda q, W, v: _logistic(q @ W.T) @ v, squash=np.tanh),
        "tanh and logistic function have changed places",
    ),
    Likely(
        _centres(x=lambda q, W, v: _logistic(q @ W.T) @ v),
        "the hidden layer has a tanh, and the logistic function comes last",
    ),
    Likely(_centres(size=lambda n, q: 1.0), "your centre is a share between 0 and 1 of the source"),
    Likely(
        _centres(size=lambda n, q: n[:, None] - 1),
        "your centre lies between 0 and S - 1; the paper's, and ours, between 0 and S",
    ),
    Likely(
        lambda queries, lengths, W_p, v_p: np.minimum(
            _centres()(queries, lengths, W_p, v_p), np.asarray(lengths)[:, None] - 1.0
        ),
        "a centre is held back at the last word, S - 1; it may stand between there and S",
    ),
    Likely(_centres(out=np.round), "the centre is rounded; it need not be whole"),
    Likely(_centres(out=np.floor), "the centre is rounded; it need not be whole"),
    Likely(
        _centres(size=lambda n, q: q.shape[1]),
        "S is the length of the target here; it is that of the source",
    ),
    Likely(
        _centres(size=lambda n, q: n.max()),
        "the short sentence is given the padded length: its window would move when a longer "
        "sentence joins the batch",
    ),
    Likely(
        _spread_out,
        "the lengths (B,) meet the last axis of (B, T), which is that of the steps: a sentence "
        "gets another sentence's length",
    ),
    Likely(
        _centres(x=lambda q, W, v: np.tanh(q @ W) @ v),
        "W_p is the wrong way round: it has a row for each hidden unit",
    ),
]


# --- local-p ---


def _local_p(
    within=None, bell=None, make=_soft, real=True, again=False, stand=None, see=None, origin=0
):
    """Local-p with another window, Gaussian, softmax or centre."""

    def answer(scores, centres, lengths, D):
        e, p, n = (np.asarray(each) for each in (scores, centres, lengths))
        places = np.arange(e.shape[-1])
        away = places + origin - (p if stand is None else stand(p))[..., None]
        near = places + origin - (p if see is None else see(p))[..., None]
        inside = abs(near) <= D if within is None else within(near, D)
        if real:
            inside = inside & (places < n[:, None, None])
        weights = make(e, inside)
        weights = weights * (np.exp(-2 * (away / D) ** 2) if bell is None else bell(away, D))
        return weights / weights.sum(-1, keepdims=True) if again else weights

    return answer


def _bell_on_scores(scores, centres, lengths, D):
    e, p = np.asarray(scores), np.asarray(centres)
    away = np.arange(e.shape[-1]) - p[..., None]
    real = np.arange(e.shape[-1]) < np.asarray(lengths)[:, None, None]
    return _soft(e * np.exp(-2 * (away / D) ** 2), (abs(away) <= D) & real)


def _cut_by_int(away, D):
    p = -away[..., :1]  # the first key stands at 0
    s = np.arange(away.shape[-1])
    return (s >= np.trunc(p - D)) & (s <= np.trunc(p + D))


def _slice_by_int(away, D):
    p, s = -away[..., :1], np.arange(away.shape[-1])
    return (s >= np.trunc(p - D)) & (s < np.trunc(p + D))


LOCAL_P = [
    Likely(
        _local_p(again=True),
        "the weights sum to 1 again: the Gaussian belongs behind the softmax, not into the scores, "
        "and nothing is divided after it",
    ),
    Likely(_local_p(bell=lambda away, D: 1.0), "there is no Gaussian"),
    Likely(
        _local_p(bell=lambda away, D: np.exp(-(away**2) / (2 * D**2))),
        "the Gaussian is too wide: its σ is D / 2",
    ),
    Likely(
        _local_p(bell=lambda away, D: np.exp(-(away**2) / (D / 2) ** 2)),
        "the Gaussian is too narrow: the square of the distance is divided by *twice* σ²",
    ),
    Likely(
        _local_p(bell=lambda away, D: np.exp(-abs(away) / (2 * (D / 2) ** 2))),
        "the distance in the Gaussian is not squared",
    ),
    Likely(
        _local_p(bell=lambda away, D: np.exp(-2 * (away / D) ** 2) / (D / 2 * np.sqrt(2 * np.pi))),
        "your Gaussian is a density, with an area of 1; this one is 1 at its top",
    ),
    Likely(_bell_on_scores, "the Gaussian multiplies the scores; it should multiply the weights"),
    Likely(
        _local_p(stand=np.round, see=np.round),
        "p_t is made a whole number: it need not be one, and a whole one learns nothing",
    ),
    Likely(
        _local_p(stand=np.floor, see=np.floor),
        "p_t is made a whole number: it need not be one, and a whole one learns nothing",
    ),
    Likely(
        _local_p(stand=np.round),
        "p_t is rounded in the Gaussian, and so can learn nothing: it need not be whole",
    ),
    Likely(
        _local_p(see=np.round),
        "the window's middle or its ends are made whole numbers: 2 is more than 2 away from 4.2",
    ),
    Likely(
        _local_p(within=_cut_by_int),
        "the window's middle or its ends are made whole numbers: 2 is more than 2 away from 4.2",
    ),
    Likely(
        _local_p(within=_slice_by_int),
        "the window's ends are cut down to whole numbers, and the last word is missing",
    ),
    Likely(_local_p(origin=1), "your source words are numbered from 1; positions count from 0"),
    Likely(
        _local_p(within=lambda near, D: near < np.inf),
        "the Gaussian alone hides nothing: beyond D a weight is exactly 0",
    ),
    Likely(
        _local_p(make=_cut_afterwards),
        "the softmax runs over all words, inside or not; it should run over the window alone",
    ),
    Likely(_local_p(make=_zeroed), "a word outside has a score of 0 and still takes a share"),
    Likely(
        _local_p(within=lambda near, D: abs(near) <= D / 2),
        "the window is D wide in all; it should reach D to either side",
    ),
    Likely(
        _local_p(within=lambda near, D: abs(near) < D),
        "a word that is exactly D away is left out; it is inside",
    ),
    Likely(
        _local_p(bell=lambda away, D: np.exp(-(away**2) / (2 * (D / 2)))),
        "σ is not squared in the Gaussian: that is the same for D = 2 only",
    ),
    Likely(
        _local_p(bell=lambda away, D: np.exp(-(away**2) / 2)),
        "the Gaussian is as wide for every D: its σ is D / 2",
    ),
    Likely(
        _local_p(bell=lambda away, D: np.exp(-(away**2) / (2 * np.float64(D // 2) ** 2))),
        "σ is D / 2, and // cuts it down to a whole number",
    ),
    Likely(
        _local_p(bell=lambda away, D: np.exp(-2 * away**2 / D)),
        "D is not squared in the Gaussian",
    ),
    Likely(
        _local_p(real=False),
        "padding is looked at: a sentence ends where its own length says",
    ),
    Likely(
        _local_p(make=_over_empty),
        "exp of a large score overflows; a softmax does not mind if all scores fall together",
    ),
    Likely(
        _local_p(make=_loudest_of_all),
        "the largest score, which you subtract, may stand outside the window; then every "
        "exponential inside is 0",
    ),
    Likely(_local_p(make=_mean_of_window), NOT_LARGEST),
    Likely(_local_p(make=_first_of_window), NOT_LARGEST),
    Likely(_local_p(make=_loudest_of_array), OWN_LOUDEST),
    Likely(_local_p(make=_loudest_of_array_and_zeros), OWN_LOUDEST),
    *(Likely(_local_p(make=_filled(*low)), LOWER) for low in LOW),
]


# --- who pulls ---


def _pull(by_p=None, by_x=None, by_sum=None, reach=True, by_v=None, turn=None):
    """The chain rule with one link exchanged."""

    def answer(query, length, W_p, v_p, key, D):
        hidden = np.tanh(W_p @ query)
        share = _logistic(v_p @ hidden)
        p = length * share
        slope = (4 * (key - p) / D**2) if by_p is None else by_p(key - p, D)
        if reach and abs(key - p) > D:
            slope = 0.0
        slope *= p * (1 - share) if by_x is None else by_x(p, share, length)
        inner = v_p * (1 - hidden**2) if by_sum is None else by_sum(v_p, hidden)
        outer = np.outer(slope * inner, query)
        last = hidden if by_v is None else by_v(hidden, W_p @ query)
        return (outer if turn is None else turn(outer)), slope * last

    return answer


PULL = [
    Likely(
        _pull(by_p=lambda d, D: -4 * d / D**2),
        "the sign is turned: the slope is that of the weight's logarithm, not of a loss, and a "
        "word to the right pulls to the right",
    ),
    Likely(
        _pull(by_x=lambda p, share, S: 1.0),
        "the logistic function is left out: how does p_t move with x_t?",
    ),
    Likely(
        _pull(by_x=lambda p, share, S: share * (1 - share)),
        "the length is left out: p_t is S times the logistic function, and so is its slope",
    ),
    Likely(
        _pull(by_x=lambda p, share, S: S),
        "the slope of the logistic function itself is left out: at both ends of the sentence it "
        "vanishes",
    ),
    Likely(
        _pull(by_x=lambda p, share, S: p * (1 - p)),
        "1 - p_t should be 1 less a share: the logistic function is p_t / S",
    ),
    Likely(
        _pull(by_sum=lambda v, h: v),
        "the slope of the tanh is left out on the way to W_p",
    ),
    Likely(
        _pull(by_sum=lambda v, h: 1 - h**2),
        "v_p is left out on the way to W_p",
    ),
    Likely(
        _pull(by_sum=lambda v, h: v * (1 - np.tanh(h) ** 2)),
        "the tanh is taken twice: its slope is one less the square of what came out of it",
    ),
    Likely(
        _pull(by_v=lambda h, inner: inner),
        "v_p is multiplied with what came out of the tanh, not with what went in",
    ),
    Likely(
        _pull(by_p=lambda d, D: 2 * d / D**2),
        "the slope of the Gaussian's exponent is too small: what is the derivative of a square?",
    ),
    Likely(
        _pull(reach=False),
        "a word outside the window has a weight of zero, and it stays zero: it cannot pull",
    ),
    Likely(
        _pull(by_p=lambda d, D: d / D**2),
        "σ is D / 2, not D",
    ),
    Likely(
        _pull(by_p=lambda d, D: d),
        "the slope is divided by σ², which is 1 for D = 2 only",
    ),
    Likely(
        _pull(by_p=lambda d, D: 2 * d / D),
        "the slope is divided by σ; it should be by σ²",
    ),
    Likely(
        lambda *arguments, **named: _pull()(*arguments, **named)[::-1],
        "the slopes by W_p come first, those by v_p second",
    ),
    Likely(
        _pull(turn=np.transpose),
        "the slopes by W_p are the wrong way round: they have the shape of W_p",
    ),
    Likely(_pull(), ROUGH, within=0.05),
]
