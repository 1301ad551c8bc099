"""Assignment 6, choose one: what many do instead, and what to say to them (chapter 6).

Each mistake takes the arguments of the function it stands for (see `attnlib.checks.a06`).
"""

import numpy as np

from attnlib.checks.common import ROUGH, soft
from attnlib.checks.compare import Likely

# --- two gradients ---


def _two(average=None, choice=None, back=None, weigh=soft):
    """The two gradients, of which one part is exchanged."""

    def answer(scores, values, wanted):
        a = weigh(scores)
        c, r = a @ values, -((values - wanted) ** 2) / 2
        one = (wanted - c) * a * (values - c)
        one = one if average is None else average(a, values, c, wanted)
        two = a * (r - a @ r) if choice is None else choice(a, r, -((c - wanted) ** 2) / 2)
        return (one, two) if back is None else back(one, two)

    return answer


def _over_sum(scores):
    with np.errstate(all="ignore"):
        return np.exp(scores) / np.exp(scores).sum()


def _mean_off(scores):
    return soft(scores, lower=np.mean)


MEAN = (
    "the mean of the scores is subtracted, and a score far above it still overflows: the largest "
    "is safe"
)
GRADIENTS = [
    Likely(_two(back=lambda one, two: (two, one)), "the average comes first, the choice second"),
    Likely(
        _two(back=lambda one, two: (-one, -two)),
        "both signs are turned: these are slopes of a reward, which should rise, not of a loss",
    ),
    Likely(
        _two(average=lambda a, v, c, y: -(y - c) * a * (v - c)),
        "the average's slope has the wrong sign: too high a context should fall",
    ),
    Likely(
        _two(average=lambda a, v, c, y: (y - c) * v),
        "these are the average's slopes by the weights; a score moves all weights at once",
    ),
    Likely(
        _two(average=lambda a, v, c, y: (y - c) * a * v),
        "a score that rises takes from the others: where a key's value is the context itself, "
        "the average does not move",
    ),
    Likely(
        _two(average=lambda a, v, c, y: a * (y - v) * (v - c)),
        "the slope of the reward is taken at each value; take it at the context, once for all keys",
    ),
    Likely(_two(choice=lambda a, r, rc: r), "these are the choice's slopes by the weights"),
    Likely(
        _two(choice=lambda a, r, rc: a * r),
        "a score that rises takes from the others: what does a key earn, compared with all?",
    ),
    Likely(
        _two(choice=lambda a, r, rc: a * (r - rc)),
        "you compare with the reward of the average; compare with the average of the rewards",
    ),
    Likely(
        _two(choice=lambda a, r, rc: a * (r - r.mean())),
        "you compare with the plain mean of the rewards; keys are chosen by their weights",
    ),
    Likely(
        _two(choice=lambda a, r, rc: r - a @ r),
        "how often is a key chosen? Its weight is missing",
    ),
    Likely(_two(weigh=_over_sum), "exp of a large score overflows"),
    Likely(_two(weigh=_mean_off), MEAN),
    Likely(_two(), ROUGH, within=0.05),
]

# --- estimates ---


def pick(a, u):
    """The first key at which the sum of the weights exceeds u."""
    return np.minimum((np.cumsum(a) <= np.asarray(u)[:, None]).sum(1), len(a) - 1)


def _estimates(choose=pick, slope=None, better=None, shared=False, back=None, weigh=soft):
    """Estimates of which one part is exchanged."""

    def answer(scores, reward, u, b):
        a = weigh(scores)
        keys = choose(a, np.asarray(u))
        r = np.asarray(reward)[keys]
        gain = r - b if better is None else better(r, b, keys, np.asarray(reward), a)
        one = np.eye(len(a))[keys]
        by = one - a if slope is None else slope(one, a)
        out = gain[:, None] * by / (len(keys) if shared else 1)
        return (out, r) if back is None else back(out, r)

    return answer


def _next_one(a, u):
    below = np.searchsorted(np.cumsum(a), u)
    return np.minimum(below, len(a) - 1)


def _first_if_none(a, u):
    return (u[:, None] < np.cumsum(a)).argmax(1)


def _without_baseline(scores, reward, u, b):
    out, r = _estimates()(scores, reward, u, b)
    return out, r - b


ESTIMATES = [
    Likely(
        _estimates(choose=lambda a, u: np.full(len(u), a.argmax())),
        "you always take the key of most weight; in training a key is drawn, with its weight as "
        "the probability",
    ),
    Likely(
        _estimates(choose=lambda a, u: (u * len(a)).astype(int)),
        "all keys are drawn alike; a key should be drawn as often as its weight says",
    ),
    Likely(
        _estimates(back=lambda out, r: (-out, r)),
        "the sign is turned: where a reward is better than b, the chosen key should rise",
    ),
    Likely(
        _estimates(slope=lambda one, a: one * (1 - a)),
        "only the chosen score moves; the softmax lets all the others move as well",
    ),
    Likely(
        _estimates(slope=lambda one, a: one),
        "the weights are missing: what does the logarithm of a softmax's sum add to the slope?",
    ),
    Likely(
        _estimates(slope=lambda one, a: (one * a).sum(1, keepdims=True) * (one - a)),
        "this is the slope of the weight; you want that of its logarithm: how often a key comes "
        "is settled by the drawing already",
    ),
    Likely(
        _estimates(slope=lambda one, a: one / a),
        "this is the slope by the weights; you want that by the scores",
    ),
    Likely(_estimates(shared=True), "give an estimate for each draw, not divided by their number"),
    Likely(
        _estimates(better=lambda r, b, k, all, a: all[None, :].repeat(len(r), 0) @ a - b),
        "every draw gets the expected reward; it should get that of its own key",
    ),
    Likely(_estimates(better=lambda r, b, k, all, a: r), "the baseline is not used"),
    Likely(_estimates(better=lambda r, b, k, all, a: r + b), "the baseline is subtracted"),
    Likely(
        _estimates(better=lambda r, b, k, all, a: r - b * a[k]),
        "your baseline depends on the key that was drawn; it must be the same for all",
    ),
    Likely(
        _estimates(better=lambda r, b, k, all, a: np.where(r > b, r - b, 0.0)),
        "what is worse than the baseline counts too: it should fall",
    ),
    Likely(
        _without_baseline,
        "the second array has the rewards as they were earned, without the baseline",
    ),
    Likely(
        _estimates(choose=_next_one),
        "a key of weight 0 is drawn: at u = 0 the first sum that is more than u is wanted",
    ),
    Likely(
        _estimates(choose=_first_if_none),
        "the weights sum to a little less than 1, by rounding, and your choice falls back to the "
        "first key; what is left over belongs to the last",
    ),
    Likely(_estimates(weigh=_over_sum), "exp of a large score overflows"),
    Likely(_estimates(weigh=_mean_off), MEAN),
]


# --- learning ---


def _learn(
    before=False,
    own=False,
    decay=0.9,
    sign=1.0,
    total=False,
    fixed=False,
    first=False,
    used=True,
    late=False,
    less=False,
):
    """Learning of which one part is exchanged."""

    def answer(scores, reward, u, rate):
        e, b, begun = np.array(scores, dtype=float), 0.0, False
        start = e.copy()
        for row in np.asarray(u):
            r = np.asarray(reward)[pick(soft(start if fixed else e), row)]
            if first and not begun:
                b, begun = r.mean(), True
            if before:
                b = decay * b + (1 - decay) * r.mean()
            used_b = r.mean() if own else (b if used else 0.0)
            out = _estimates()(start if fixed else e, reward, row, used_b)[0]
            e = e + sign * rate * (out.sum(0) if total else out.mean(0))
            heard = r.mean() - (b if less else 0.0)
            if late and not begun:
                b, begun = heard, True
            elif not before:
                b = decay * b + (1 - decay) * heard
        return e, b

    return answer


def _step_by_step(scores, reward, u, rate):
    e, b = np.array(scores, dtype=float), 0.0
    for row in np.asarray(u):
        earned = []
        for number in row:
            slope, r = _estimates()(e, reward, np.array([number]), b)
            e = e + rate * slope[0] / len(row)
            earned.append(r[0])
        b = 0.9 * b + 0.1 * np.mean(earned)
    return e, b


def _draw_by_draw(scores, reward, u, rate):
    e, b = _learn()(scores, reward, np.asarray(u).reshape(-1, 1), rate)
    return e, b


def _asks_again(scores, reward, u, rate):
    e, b = np.array(scores, dtype=float), 0.0
    for row in np.asarray(u):
        e = e + rate * _estimates()(e, reward, row, b)[0].mean(0)
        b = 0.9 * b + 0.1 * _estimates()(e, reward, row, b)[1].mean()
    return e, b


LEARN = [
    Likely(
        _learn(sign=-1.0), "the scores go downhill: a reward should rise, so the slope is added"
    ),
    Likely(
        _learn(before=True),
        "the baseline has heard of this step's rewards before it is used: it depends on the keys "
        "that were drawn, and the mean of the estimates is no longer the gradient",
    ),
    Likely(
        _learn(own=True),
        "this step's own mean is the baseline: it depends on the keys that were drawn, and with a "
        "single draw nothing is learned at all",
    ),
    Likely(_learn(first=True), "the baseline begins with the first rewards; it begins with 0"),
    Likely(
        _learn(decay=0.1),
        "nine tenths of the old baseline stay, and one tenth is new, not the other way round",
    ),
    Likely(_learn(total=True), "the slopes of a step are added up; their mean is wanted"),
    Likely(
        _learn(fixed=True),
        "every step draws and differentiates with the scores of the beginning",
    ),
    Likely(_learn(used=False), "the baseline is kept, and never used"),
    Likely(
        _learn(late=True),
        "after the first step the baseline is that step's mean; a tenth of it is wanted, for it "
        "begins with 0",
    ),
    Likely(
        _learn(less=True),
        "the baseline hears the rewards less itself; it should hear them as they were earned",
    ),
    Likely(
        _asks_again,
        "the baseline hears what the new scores earn; it should hear what this step has earned, "
        "with the scores that it began with",
    ),
    *(
        Likely(
            moved,
            "the scores move after each draw; all draws of a step see the same scores, and move "
            "them once",
        )
        for moved in (_step_by_step, _draw_by_draw)
    ),
]

# --- a loss ---


def _surrogate(value=None, by_scores=None, by_log_p=None, by_b=None):
    """Value and slopes of a loss of which one part is exchanged."""

    def answer(scores, chosen, log_p, b):
        e, key, r, b = (np.asarray(x.detach()) for x in (scores, chosen, log_p, b))
        B, a = len(r), soft(e)
        log_a = np.log(a)[np.arange(B), key]
        one = np.eye(a.shape[1])[key]
        slope = -(r - b)[:, None] * (one - a) / B
        loss = -r.mean() if value is None else value(r, b, log_a)
        slope = slope if by_scores is None else by_scores(slope, one, a, r, b)
        reached = np.full(B, -1 / B) if by_log_p is None else by_log_p(B, log_a)
        base = np.zeros(B) if by_b is None else by_b(B, log_a)
        return np.array(loss), slope, reached, base

    return answer


def _plain(r, b, log_a):
    return -r.mean() - ((r - b) * log_a).mean()


def _doubled(B, log_a):
    return -(1 + log_a) / B


def _pulled(B, log_a):
    return log_a / B


THROUGH = (
    "a gradient runs through the reward inside the estimate: there log_p is a number like "
    "others, and says only how good the choice was"
)
BASE = "a gradient runs through the baseline: it is a number like others"
VALUE = (
    "the slopes are right, but the value is not: it should be the mean of -log_p, so that one "
    "can read it. Which term is 0, and still has a gradient?"
)


def _infinite(r, b, log_a):
    learned = ((r - b) * log_a).mean()
    return -r.mean() - (learned - learned)


def _mean_off_loss(scores, chosen, log_p, b):
    """The right loss, with NaN where a softmax without its largest score overflows."""
    loss, slopes, *others = _surrogate()(scores, chosen, log_p, b)
    known = np.isfinite(_mean_off(np.asarray(scores))).all(-1, keepdims=True)
    return (loss if known.all() else np.nan), np.where(known, slopes, np.nan), *others


SURROGATE = [
    Likely(_surrogate(value=_plain), VALUE),
    *(
        Likely(_surrogate(value=value, by_log_p=by_log_p, by_b=by_b), hint)
        for by_log_p, by_b, hint in (
            (_doubled, _pulled, f"{THROUGH}. The same holds for the baseline"),
            (_doubled, None, THROUGH),
            (None, _pulled, BASE),
        )
        for value in (None, _plain)
    ),
    *(
        Likely(
            _surrogate(value=value, by_scores=lambda s, one, a, r, b: -s),
            "the sign of the estimate is turned: a loss falls where the reward rises",
        )
        for value in (None, lambda r, b, log_a: -r.mean() + ((r - b) * log_a).mean())
    ),
    *(
        Likely(
            _surrogate(value=value, by_log_p=lambda B, log_a: np.zeros(B)),
            "nothing teaches the words any more: the ordinary gradient, through log_p, is missing",
        )
        for value in (
            None,
            lambda r, b, log_a: -((r - b) * log_a).mean(),
            lambda r, b, log_a: 0.0,
        )
    ),
    Likely(
        _surrogate(by_scores=lambda s, one, a, r, b: s * 0),
        "no gradient reaches the scores: is log a in the loss, and does its softmax run over the "
        "keys?",
    ),
    *(
        Likely(
            _surrogate(
                by_scores=lambda s, one, a, r, b: s * (one * a).sum(1, keepdims=True), value=value
            ),
            "you use the probability of the choice; its logarithm is wanted",
        )
        for value in (None, lambda r, b, log_a: -r.mean() - ((r - b) * np.exp(log_a)).mean())
    ),
    Likely(
        _surrogate(
            by_scores=lambda s, one, a, r, b: -r[:, None] * (one - a) / len(r),
        ),
        "the baseline is not used",
    ),
    Likely(
        _surrogate(
            by_scores=lambda s, one, a, r, b: (
                -(r - b)[:, None] * (1 / a.shape[1] - a) / len(r) * a.shape[1]
            ),
        ),
        "the logarithms of all keys are added up; only the chosen key's counts",
    ),
    Likely(
        _surrogate(
            by_scores=lambda s, one, a, r, b: -(r - b).mean() * (one - a) / len(r),
        ),
        "a mean of the rewards times a mean of the logarithms is not the mean of the products",
    ),
    Likely(
        _surrogate(by_scores=lambda s, one, a, r, b: s * len(r)),
        "the estimates are added up, and the rest of the loss is a mean",
    ),
    Likely(
        _surrogate(by_scores=lambda s, one, a, r, b: -(r - b)[:, None] * one / len(r)),
        "a score is no log-probability: it takes a softmax to make one",
    ),
    Likely(_mean_off_loss, MEAN),
    Likely(
        _surrogate(
            value=_infinite,
            by_scores=lambda s, one, a, r, b: np.where((one * a).sum(1, keepdims=True), s, np.nan),
        ),
        "a softmax has come out as 0, and its logarithm is infinite: softmax and logarithm are "
        "better taken in one step",
    ),
]
