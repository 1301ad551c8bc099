"""Assignment 9, because of this word: what many do instead, and what to say to them.

Each mistake takes the arguments of the function it stands for (see `attnlib.checks.a09`).
"""

import numpy as np

from attnlib.checks.common import ROUGH, soft
from attnlib.checks.compare import Likely

# --- leaving out ---


def _lost(keep=None, back=None, number=None):
    """What is lost without each word, of which one part is exchanged."""

    def answer(function, tokens, words):
        tokens, words = list(tokens), list(words)
        number_ = max(words) + 1 if number is None else number(tokens, words)
        rows = [
            [token for t, token in enumerate(tokens) if (keep or _others)(tokens, words, t, s)]
            for s in range(number_)
        ]
        whole, without = function([tokens])[0], np.array([function([row])[0] for row in rows])
        return whole - without if back is None else back(whole, without)

    return answer


def _others(tokens, words, t, s):
    return words[t] != s


def _neighbours(tokens, words, t, s):
    first = words.index(s)
    return not first <= t < first + words.count(s)


def _not_equal(tokens, words, t, s):
    gone = {token for token, word in zip(tokens, words, strict=True) if word == s}
    return tokens[t] not in gone


LOST = [
    Likely(
        _lost(back=lambda whole, without: without - whole),
        "the sign is turned: what is lost is the whole sentence's output minus what is left",
    ),
    Likely(
        _lost(back=lambda whole, without: abs(whole - without)),
        "the sign is gone: a word may also speak against the output",
    ),
    Likely(
        _lost(back=lambda whole, without: without),
        "these are the outputs without each word; what is *lost* is a difference",
    ),
    Likely(
        _lost(lambda tokens, words, t, s: t != s, number=lambda tokens, words: len(tokens)),
        "as many numbers as tokens: a word takes all of its tokens with it, and -1 is no word",
    ),
    Likely(
        _lost(lambda tokens, words, t, s: t != words.index(s)),
        "only the first token of a word is taken out",
    ),
    Likely(
        _lost(number=lambda tokens, words: len(set(words)) - 1),
        "not every sentence has a -1: the words are those from 0 to the largest number",
    ),
    Likely(
        _lost(_neighbours),
        "the tokens of a word need not be neighbours: go by `words`, token by token",
    ),
    Likely(
        _lost(_not_equal),
        "where a token comes twice, both are taken out: go by its place, not by what it is",
    ),
    Likely(
        _lost(lambda tokens, words, t, s: words[t] > s or words[t] < 0),
        "the words taken out before stay away: each is left out of the *whole* sentence",
    ),
    Likely(
        _lost(lambda tokens, words, t, s: words[t] in (s, -1), lambda whole, without: without),
        "each word is asked alone; ask for the sentence without it",
    ),
    Likely(
        _lost(lambda tokens, words, t, s: words[t] not in (s, -1)),
        "the token that belongs to no word is taken out, too: it stays in every sentence",
    ),
]


# --- gradients ---


def _gradients(held=None, through=None, back=None, weigh=soft):
    """Gradient times input, held and through the weights, of which one part is exchanged."""

    def answer(x, k, v):
        e, says = x @ k, x @ v
        a = weigh(e)
        y = a @ says
        one = a * says if held is None else held(a, says, x, v)
        two = one + a * e * (says - y) if through is None else through(a, e, says, y)
        return np.array((one, two) if back is None else back(one, two))

    return answer


def _over_sum(scores):
    with np.errstate(all="ignore"):
        return np.exp(scores) / np.exp(scores).sum()


def _by_root(x, k, v):
    return _gradients()(x, k / np.sqrt(len(k)), v)


GRADIENTS = [
    Likely(
        _gradients(back=lambda one, two: (two, one)),
        "first comes the one with the weights held fixed",
    ),
    Likely(
        _gradients(back=lambda one, two: (abs(one), abs(two))),
        "the sign is gone: these are signed",
    ),
    Likely(
        _gradients(back=lambda one, two: (one, two - one)),
        "the second is only what comes through the weights: a word moves the sum both ways",
    ),
    Likely(
        _gradients(back=lambda one, two: (one, one)),
        "in the second the weights move too: x stands in the scores as well",
    ),
    Likely(
        _gradients(through=lambda a, e, says, y: a * says + a * e * says),
        "the other weights are forgotten: if one score rises, all others lose weight",
    ),
    Likely(
        _gradients(through=lambda a, e, says, y: a * says + a * (1 - a) * e * says),
        "the other weights are forgotten: if one score rises, all others lose weight",
    ),
    Likely(
        _gradients(through=lambda a, e, says, y: a * says + e * (says - y)),
        "the slope of a weight has the weight itself as a factor",
    ),
    Likely(
        _gradients(through=lambda a, e, says, y: a * says + a * (says - y)),
        "through the weights, too, the slope is multiplied by the input",
    ),
    Likely(
        _gradients(through=lambda a, e, says, y: a * says + a * e * (y - says)),
        "through the weights the sign is turned: a word that says more than the sum raises it",
    ),
    Likely(
        _gradients(held=lambda a, says, x, v: says),
        "the weights are held fixed, but they are still factors",
    ),
    Likely(
        _gradients(held=lambda a, says, x, v: a * v.sum()),
        "this is the slope; multiply it by the input, number by number, then sum",
    ),
    Likely(
        _by_root,
        "the scores are divided by a root here, and this classifier's are plain products",
    ),
    Likely(_gradients(weigh=_over_sum), "exp of a large score overflows: subtract the largest"),
    Likely(
        _gradients(weigh=lambda e: soft(e, lower=np.mean)),
        "exp still overflows for a score far above the mean: subtract the largest",
    ),
    Likely(_gradients(), ROUGH, within=1e-3),
]


# --- how far apart ---


def _kl(p, q):
    with np.errstate(all="ignore"):
        return np.where(p > 0, p * np.log(p / q), 0.0).sum(-1)


def _kl_bare(p, q):
    with np.errstate(all="ignore"):
        return (p * np.log(p / q)).sum(-1)


def _js(p, q, kl=_kl):
    m = (p + q) / 2
    return (kl(p, m) + kl(q, m)) / 2


NOT_LOG2 = "in nats: the natural logarithm, whose maximum here is 0.693"
DIVERGENCE = [
    Likely(lambda p, q: _js(p, q) / np.log(2), NOT_LOG2),
    Likely(lambda p, q: 2 * _js(p, q), "a half is forgotten: each of the two counts half"),
    Likely(
        lambda p, q: np.sqrt(_js(p, q)),
        "this is its root, the Jensen-Shannon *distance*, as SciPy has it",
    ),
    Likely(
        lambda p, q: abs(p - q).sum(-1) / 2,
        "this is the total variation distance",
    ),
    Likely(
        lambda p, q: _js(p, q, _kl_bare),
        "0 log 0 is no number in NumPy, and 0 in this sum",
    ),
    Likely(_kl, "this is KL(p || q): compare each with the mean of both"),
    Likely(lambda p, q: _kl(q, p), "this is KL(q || p): compare each with the mean of both"),
    Likely(
        lambda p, q: (_kl(p, q) + _kl(q, p)) / 2,
        "KL of one from the other is infinite where one has a zero: compare each with the mean",
    ),
    Likely(
        lambda p, q: (_kl((p + q) / 2, p) + _kl((p + q) / 2, q)) / 2,
        "the mean stands in the wrong place: the logarithms are of p / m and q / m",
    ),
    Likely(
        lambda p, q: _kl(p, (p + q) / 2),
        "only one of the two is compared with the mean",
    ),
    Likely(
        lambda p, q: np.asarray(_js(p, q)).sum(),
        "each row has a divergence of its own",
    ),
    Likely(
        lambda p, q: np.asarray(_js(p, q)).mean(),
        "each row has a divergence of its own",
    ),
    Likely(_js, "nearly right: what is added against log 0 is too much. Leave the zeros out", 1e-2),
]


# --- an adversary ---


def _furthest(singles=True, ends=(-1.0, 1.0), pairs=True, far=None, best=max, grid=0, slack=1e-9):
    """The search over corners, of which one part is exchanged."""

    def answer(alone, own, epsilon):
        S, y = len(own), own @ alone
        found = []
        for i, j in np.ndindex(S, S):
            shares = [1.0] if singles and i == j and abs(alone[i] - y) <= epsilon + slack else []
            if pairs and alone[i] != alone[j] and not grid:
                edges = y + epsilon * np.array(ends)
                shares += [s for s in (edges - alone[j]) / (alone[i] - alone[j]) if 0 <= s <= 1]
            if grid:
                tried = np.linspace(0, 1, grid)
                mixed = tried * alone[i] + (1 - tried) * alone[j]
                shares += tried[abs(mixed - y) <= epsilon + 1e-12].tolist()
            for share in shares:
                new = np.zeros(S)
                new[j] += 1 - share
                new[i] += share
                found.append(((far or _js)(new, own), new))
        if not found:
            return own, np.array(0.0)
        new = best(found, key=lambda pair: pair[0])[1]
        return new, np.array(_js(new, own))

    return answer


def _swapped(alone, own, epsilon):
    """The furthest of all exchanges of two weights that keep the sum."""
    found = [(0.0, own)]
    for i, j in np.ndindex(len(own), len(own)):
        new = own.copy()
        new[[i, j]] = new[[j, i]]
        if abs(new @ alone - own @ alone) <= epsilon + 1e-12:
            found.append((float(_js(new, own)), new))
    far, new = max(found, key=lambda pair: pair[0])
    return new, np.array(far)


def _free(alone, own, epsilon):
    """All the weight on the word that had least, whatever becomes of the sum."""
    new = np.eye(len(own))[own.argmin()]
    return new, np.array(_js(new, own))


FURTHEST = [
    Likely(_free, "the sum may change by epsilon only: these weights give another answer"),
    Likely(
        _furthest(ends=(0.0,)),
        "only weights with *exactly* the same sum are tried: it may change by epsilon, either way",
    ),
    Likely(
        _furthest(ends=(-1.0,)),
        "the sum may also become larger: both edges have corners",
    ),
    Likely(
        _furthest(ends=(1.0,)),
        "the sum may also become smaller: both edges have corners",
    ),
    Likely(
        _furthest(singles=False),
        "one word alone may have all the weight, if what it says is near enough",
    ),
    Likely(
        _furthest(slack=0.0),
        "a word that says the sum itself is missed by rounding: allow 1e-9 more than epsilon",
    ),
    Likely(
        _furthest(pairs=False),
        "two words may share the weight: mix what they say until the sum fits",
    ),
    Likely(
        _furthest(far=lambda p, q: abs(p - q).sum() / 2),
        "the furthest by total variation is taken; ask your divergence",
    ),
    Likely(
        _furthest(far=lambda p, q: ((p - q) ** 2).sum()),
        "the furthest by squared differences is taken; ask your divergence",
    ),
    Likely(_furthest(best=min), "these are the *nearest* of all corners: take the furthest"),
    Likely(
        _swapped,
        "two weights are exchanged, and all others stay: other weights may be moved as well",
    ),
    *(
        Likely(
            _furthest(grid=grid),
            "shares are tried in steps, and the edges lie between: solve for the share",
            within=within,
        )
        for grid, within in ((11, 1e-3), (101, 1e-3), (1001, 1e-3), (10001, 1e-2))
    ),
    Likely(_furthest(), ROUGH, within=1e-3),
]


# --- a claim ---


def _gains(weights, lost, others, pick=None, control=None, size=lambda x: x):
    """What each word loses without the one picked, minus what it loses without another."""
    gains = []
    for a, nats, other in zip(weights, lost, others, strict=True):
        rows = np.arange(len(a))
        picked = a.argmax(1) if pick is None else pick(a, nats)
        less = nats[rows, other] if control is None else control(nats)
        gains.append(size(nats[rows, picked]) - size(less))
    return gains


def _claim(mean=None, interval=None, mean_of_draws=False, **more):
    """The claim, of which one part is exchanged."""

    def answer(weights, lost, others, draws):
        gains = _gains(weights, lost, others, **more)
        whole = (mean or _over_words)(gains)
        if interval is not None:
            return np.array([whole, *interval(gains, draws, whole)])
        means = [(mean or _over_words)([gains[n] for n in row]) for row in draws]
        whole = np.mean(means) if mean_of_draws else whole
        return np.array([whole, *np.percentile(means, [2.5, 97.5])])

    return answer


def _over_words(gains):
    return np.concatenate(gains).mean()


def _over_sentences(gains):
    return np.mean([gain.mean() for gain in gains])


def _spread(gains, draws, whole, times=1.96):
    means = [_over_words([gains[n] for n in row]) for row in draws]
    return whole - times * np.std(means), whole + times * np.std(means)


def _of_means(gains, draws, percent):
    return np.percentile([_over_words([gains[n] for n in row]) for row in draws], percent)


def _one_number_of_words(gains, draws, whole):
    number = sum(map(len, gains))
    sums = [sum(gains[n].sum() for n in row) / number for row in draws]
    return np.percentile(sums, [2.5, 97.5])


CLAIM = [
    Likely(
        _claim(control=lambda nats: 0.0),
        "the control is missing: what does another word cost?",
    ),
    Likely(
        _claim(control=lambda nats: nats.mean(1)),
        "the control is the mean of all words, the most attended one among them: take `others`",
    ),
    Likely(
        _claim(pick=lambda a, nats: nats.argmax(1)),
        "the word that costs most is picked, and the claim is about the most *attended* one",
    ),
    Likely(
        _claim(pick=lambda a, nats: a.argmin(1)),
        "the word with the least weight is picked",
    ),
    Likely(
        _claim(mean=lambda gains: -_over_words(gains)),
        "the sign is turned: the most attended word minus the other",
    ),
    Likely(_claim(size=abs), "the signs of the losses are gone: without a word one may also gain"),
    Likely(
        _claim(mean=_over_sentences),
        "each sentence counts the same here; the mean is over words, so longer ones count more",
    ),
    Likely(
        _claim(mean=lambda gains: np.median(np.concatenate(gains))),
        "this is the median of the words, not their mean",
    ),
    Likely(
        _claim(interval=_spread),
        "the interval is made of a standard deviation: take the percentiles of the means drawn",
    ),
    Likely(
        _claim(interval=lambda g, d, w: np.percentile(np.concatenate(g), [2.5, 97.5])),
        "these are percentiles of single words: the interval is about the *mean*",
    ),
    Likely(
        _claim(interval=lambda g, d, w: _of_means(g, d, [5, 95])),
        "this interval holds 90 % of the means drawn: 2.5 % belong below, and 2.5 % above",
    ),
    Likely(
        _claim(interval=lambda g, d, w: _of_means(g, d, [0, 100])),
        "these are the smallest and the largest of the means drawn: leave 2.5 % out on either side",
    ),
    Likely(
        _claim(interval=lambda g, d, w: 2 * w - _of_means(g, d, [97.5, 2.5])),
        "the percentiles are mirrored at the mean (the basic bootstrap): take them as they come",
    ),
    Likely(
        _claim(interval=_one_number_of_words),
        "each sum is divided by the number of words of all sentences: a draw has its own number",
    ),
    Likely(
        _claim(mean_of_draws=True),
        "the first number is the mean of the means drawn: take the mean of the data as it is",
    ),
    Likely(
        _claim(
            interval=lambda g, d, w: np.percentile(
                [np.mean([g[n].mean() for n in row]) for row in d], [2.5, 97.5]
            )
        ),
        "in the interval each sentence counts the same, and in the mean each word: do both alike",
    ),
    Likely(
        _claim(
            interval=lambda g, d, w: np.percentile(
                [_over_words([g[n] for n in set(row.tolist())]) for row in d], [2.5, 97.5]
            )
        ),
        "a sentence that is drawn twice counts twice",
    ),
]
