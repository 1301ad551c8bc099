"""Assignment 7, where did the captioner look: what many do instead, and what to say to them.

Each mistake takes the arguments of the function it stands for (see `attnlib.checks.a07`).
"""

import numpy as np

from attnlib.checks.common import ROUGH, soft
from attnlib.checks.compare import Likely

# --- a map ---


def _spread(cells=None, grow=None, share=None):
    """A map with another order of the cells, another way to grow, or other shares."""

    def answer(weights, grid, size):
        (rows, columns), (height, width) = grid, size
        h, w = height // rows, width // columns
        small = (
            weights.reshape(-1, rows, columns) if cells is None else cells(weights, rows, columns)
        )
        if grow is None:
            large = small.repeat(h, axis=1).repeat(w, axis=2)
        else:
            large = grow(small, h, w)
        return large / (h * w if share is None else share(large, h, w, rows * columns))

    return answer


def _turned(weights, rows, columns):
    return weights.reshape(-1, columns, rows).swapaxes(1, 2)


def _upside(weights, rows, columns):
    return weights.reshape(-1, rows, columns)[:, ::-1]


def _exchanged(weights, grid, size):
    return _spread()(weights, grid, size).swapaxes(1, 2)


def _other_grid(weights, grid, size):
    rows, columns = grid
    h, w = size[0] // rows, size[1] // columns
    return weights.reshape(-1, columns, rows).repeat(h, 1).repeat(w, 2) / (h * w)


ORDER = "row and column have changed places: cells are counted row by row, like words on a page"
SPREAD = [
    Likely(
        _spread(share=lambda large, h, w, S: 1),
        "every pixel has its cell's whole weight: the map sums to more than the weights do",
    ),
    Likely(
        _spread(share=lambda large, h, w, S: S),
        "a cell's weight is shared by the pixels of its box, not by the number of cells",
    ),
    *(
        Likely(
            _spread(share=share),
            "a box need not be a square: its pixels are its height times its width",
        )
        for share in (lambda large, h, w, S: h * h, lambda large, h, w, S: w * w)
    ),
    Likely(
        _spread(share=lambda large, h, w, S: large.max((1, 2), keepdims=True)),
        "your map is 1 at its brightest pixel: that is for the eye, and sums to something else",
    ),
    Likely(
        _spread(grow=lambda small, h, w: np.tile(small, (1, h, w))),
        "the whole grid is repeated; each cell should be",
    ),
    Likely(_spread(cells=_turned), ORDER),
    Likely(_exchanged, ORDER),
    Likely(_other_grid, ORDER),
    Likely(_spread(cells=_upside), "the first row of cells is at the top"),
    Likely(
        _spread(share=lambda large, h, w, S: large.sum((1, 2), keepdims=True)),
        "your map always sums to 1; it should sum to what its row of weights sums to",
    ),
    Likely(
        lambda weights, grid, size: _spread()(weights, grid, size[::-1]),
        "height and width have changed places: the size is (height, width)",
    ),
]

# --- a gate ---


def logistic(x):
    """Between 0 and 1."""
    return 1 / (1 + np.exp(-x))


def _read(gate=None, weigh=None, out=None):
    """A step with another gate, another softmax, or other outputs."""

    def answer(h, cells, f, b):
        e = np.einsum("bd,bsd->bs", h, cells)
        a = soft(e) if weigh is None else weigh(e)
        c = np.einsum("bs,bsd->bd", a, cells)
        beta = logistic(h @ f + b) if gate is None else gate(h, c, f, b)
        if out is not None:
            return out(a, beta, c)
        return a, beta, (beta[:, None] if np.ndim(beta) == 1 else beta) * c

    return answer


def _gate_in_softmax(h, cells, f, b):
    beta = logistic(h @ f + b)
    a = soft(np.einsum("bd,bsd->bs", h, cells) * beta[:, None])
    return a, beta, np.einsum("bs,bsd->bd", a, cells)


def _over_sum(e):
    with np.errstate(all="ignore"):
        exps = np.exp(e)
        return exps / exps.sum(-1, keepdims=True)


READ = [
    Likely(
        _read(out=lambda a, beta, c: (a, beta, c)),
        "the gate is computed and not used: what is read is the context, as far as the gate lets "
        "it through",
    ),
    Likely(
        _read(out=lambda a, beta, c: (a * beta[:, None], beta, c * beta[:, None])),
        "the gate has scaled the weights: they still sum to 1, and the gate scales the context",
    ),
    Likely(
        _gate_in_softmax,
        "the gate acts inside the softmax, like a temperature: it should scale what comes out",
    ),
    Likely(
        _read(gate=lambda h, c, f, b: logistic(c @ f + b)),
        "the gate looks at the context; in our captioner the state sets it",
    ),
    Likely(
        _read(gate=lambda h, c, f, b: logistic(h * f + b)),
        "you have a gate for each number; this one is a single number for each step",
    ),
    Likely(
        _read(gate=lambda h, c, f, b: np.tanh(h @ f + b)),
        "a tanh may be negative; a gate is between 0 and 1",
    ),
    Likely(_read(gate=lambda h, c, f, b: h @ f + b), "the gate is not between 0 and 1"),
    Likely(
        _read(gate=lambda h, c, f, b: 1 - logistic(h @ f + b)),
        "the gate is the wrong way round: at 1 it lets all through",
    ),
    Likely(
        _read(out=lambda a, beta, c: (a, beta, c * (1 - beta[:, None]))),
        "the gate is the wrong way round: at 1 it lets all through",
    ),
    Likely(_read(gate=lambda h, c, f, b: logistic(h @ f)), "the gate's b is missing"),
    Likely(
        _read(gate=lambda h, c, f, b: soft(h @ f + b)),
        "the gates of a batch sum to 1: each step's gate is its own affair, and needs no softmax",
    ),
    Likely(
        _read(weigh=lambda e: soft(e, 0)),
        "your weights sum to 1 over the captions; they should over the cells",
    ),
    Likely(
        _read(weigh=lambda e: soft(e, lower=lambda e: e.mean(-1, keepdims=True))),
        "the mean of the scores is subtracted, and a score far above it still overflows: the "
        "largest is safe",
    ),
    Likely(
        _read(weigh=lambda e: soft(e, lower=np.max)),
        "the largest score of the whole batch is subtracted, and a row far below it is then 0 "
        "divided by 0: each row has a largest of its own",
    ),
    Likely(_read(weigh=_over_sum), "exp of a large score overflows"),
    Likely(
        _read(weigh=lambda e: soft(np.minimum(e, 500.0))),
        "large scores are cut off, and are then all alike; the differences between scores must "
        "stay what they are",
    ),
]

# --- even attention ---


def _even(
    real=True,
    received=None,
    target=None,
    reduce=None,
    slope=2.0,
    inner=True,
    outer=True,
    still=True,
    back=None,
):
    """The doubly stochastic term of which one part is exchanged."""

    def answer(scores, lengths, kappa):
        T, S = scores.shape[1:]
        a = soft(scores)
        step = (np.arange(T) < np.asarray(lengths)[:, None])[..., None]
        counted = a * step if real else a
        got = counted.sum(1) if received is None else received(counted, lengths)
        wanted = kappa if target is None else target(kappa, T, S, np.asarray(lengths)[:, None])
        missing = wanted - got
        penalty = (missing**2).sum(-1) if reduce is None else reduce(missing, counted, wanted)
        g = np.broadcast_to(-slope * missing[:, None], a.shape)
        by_scores = g - (a * g).sum(-1, keepdims=True) if inner else g
        by_scores = a * by_scores if outer else by_scores
        by_scores = by_scores * step if real and still else by_scores
        return (penalty, by_scores) if back is None else back(penalty, by_scores)

    return answer


def _own_slope(scores, lengths, kappa):
    penalty, slopes = _even(inner=False)(scores, lengths, kappa)
    return penalty, slopes * (1 - soft(scores))


def _over_batch(scores, lengths, kappa):
    penalty, slopes = _even()(scores, lengths, kappa)
    return penalty.mean(), slopes


EVEN = [
    Likely(
        _even(reduce=lambda missing, a, k: (missing**2).mean(-1)),
        "the squares are averaged over the cells; the term is their sum",
    ),
    Likely(
        _even(received=lambda a, n: a.mean(1)),
        "each cell's weights are averaged over the steps; they should be summed",
    ),
    Likely(
        _even(received=lambda a, n: a.sum(1) / np.asarray(n)[:, None]),
        "each cell's weights are averaged over the steps; they should be summed",
    ),
    Likely(
        _even(reduce=lambda missing, a, k: ((k - a) ** 2).sum((1, 2))),
        "every single weight is compared with the target; what a cell gets is its sum over the "
        "steps, and only that is compared",
    ),
    Likely(
        _even(reduce=lambda missing, a, k: ((k - a.sum(2)) ** 2).sum(1)),
        "you have summed over the cells: each step shares out 1 anyway. Sum over the steps",
    ),
    Likely(
        _even(reduce=lambda missing, a, k: missing.sum(-1) ** 2),
        "you have squared the sum, not summed the squares: what one cell lacks another's surplus "
        "hides",
    ),
    Likely(
        _even(back=lambda penalty, slopes: (penalty, 0 * slopes)),
        "your slopes are 0: the target makes no difference to them, but the attention does",
    ),
    Likely(_even(slope=1.0), "the slopes are half as large: what is the derivative of a square?"),
    Likely(_even(slope=-2.0), "the slopes have the wrong sign: what does a heavier weight do?"),
    Likely(
        _even(inner=False, outer=False),
        "these are the slopes by the weights; a score moves all the weights of its step",
    ),
    Likely(
        _even(inner=False),
        "a score moves its own weight and all the others of its step: the softmax's slope has two "
        "parts",
    ),
    Likely(
        _own_slope,
        "a score moves its own weight, which you have, and takes from all the others of its step, "
        "which is missing: j runs over all cells",
    ),
    Likely(_even(target=lambda k, T, S, n: 1.0), "the target is kappa, whatever the paper used"),
    Likely(_even(target=lambda k, T, S, n: n / S), "the target is kappa, and not always T / S"),
    Likely(_even(target=lambda k, T, S, n: T / S), "the target is kappa, and not always T / S"),
    Likely(
        _even(real=False),
        "padded steps are counted; what comes behind a caption gives nothing",
    ),
    Likely(
        _even(still=False), "the slopes of padded steps must be 0: no score there changes the term"
    ),
    Likely(_over_batch, "the captions are averaged; give a number for each"),
    Likely(
        _even(back=lambda penalty, slopes: (penalty.sum(), slopes)),
        "the captions are added up; give a number for each",
    ),
    Likely(
        _even(received=lambda a, n: np.broadcast_to(a.sum((0, 1)), (len(a), a.shape[2]))),
        "what the cells of all captions got is thrown together; each picture has cells of its own",
    ),
    Likely(_even(), ROUGH, within=0.05),
]

# --- marks ---


def coverage(masks, rows, columns):
    """The share of each box (T, S) that a mask covers."""
    T, height, width = masks.shape
    boxes = masks.reshape(T, rows, height // rows, columns, width // columns)
    return boxes.mean((2, 4)).reshape(T, -1)


def _marks(covered=None, on=None, hit=None, inside=None, seen=True, near=0.0):
    """The two marks of which one part is exchanged."""

    def answer(weights, masks, grid):
        rows, columns = grid
        share = coverage(masks, rows, columns) if covered is None else covered(masks, rows, columns)
        good = share >= share.max(1, keepdims=True) / 2 if on is None else on(share)
        good = good & (share > 0) if seen else good
        most = weights >= weights.max(1, keepdims=True) * (1 - near)
        hits = (good & most).sum(1) / most.sum(1) if hit is None else hit(weights, good, most)
        mass = (weights * share).sum(1)
        if inside is not None:
            pixels = masks[0].size / (rows * columns)
            mass = inside(weights, share, good, pixels)
        return hits, mass

    return answer


def _first(weights, good, most):
    return good[np.arange(len(good)), weights.argmax(1)].astype(float)


def _fullest_attended(weights, masks, grid):
    fullest = np.where(weights > 0, coverage(masks, *grid), 0).max(1, keepdims=True)
    return _marks(on=lambda share: share >= fullest / 2)(weights, masks, grid)


def _by_columns(masks, rows, columns):
    share = coverage(masks, rows, columns).reshape(-1, rows, columns)
    return share.swapaxes(1, 2).reshape(len(masks), -1)


MARKS = [
    Likely(
        _marks(on=lambda share: share > 0),
        "one pixel is enough for you; the thing must cover the cell at least half as much as it "
        "covers its fullest cell",
    ),
    Likely(
        _marks(on=lambda share: share >= 0.5),
        "you ask for half of the cell; the rule asks for half of what the thing's fullest cell "
        "has, so that a thin ring can be hit too",
    ),
    Likely(
        _marks(on=lambda share: share >= share.max(1, keepdims=True)),
        "only the fullest cell counts for you; half as much is enough",
    ),
    Likely(
        _marks(on=lambda share: share >= share.mean(1, keepdims=True)),
        "you compare with the mean cell; the rule compares with the fullest",
    ),
    Likely(
        _marks(on=lambda share: share > share.max(1, keepdims=True) / 2),
        "a cell with exactly half as much as the fullest is on the thing",
    ),
    Likely(
        _marks(on=lambda share: share >= share.max() / 2),
        "you compare with the fullest cell of all things; each word has a thing of its own",
    ),
    Likely(
        _marks(inside=lambda a, share, good, n: (a * good).sum(1)),
        "the mass inside adds up whole cells; a cell that is half on the thing gives half",
    ),
    Likely(
        _marks(inside=lambda a, share, good, n: (a * share * good).sum(1)),
        "the mass inside knows no rule: cells that are not on the thing by the rule still give "
        "what they hold of it",
    ),
    Likely(
        _marks(inside=lambda a, share, good, n: (a * share).sum(1) * n),
        "each pixel inside has counted its cell's whole weight; the pixels of a box share it",
    ),
    Likely(
        _marks(inside=lambda a, share, good, n: (a * share).sum(1) / share.sum(1)),
        "the mass inside is a share of the attention, not of the thing",
    ),
    Likely(
        _marks(inside=lambda a, share, good, n: share[np.arange(len(a)), a.argmax(1)]),
        "the mass inside takes all cells, not only the most attended",
    ),
    *(
        Likely(
            _marks(near=near),
            "two weights that are nearly alike pass for equal; the larger one is the most attended",
        )
        for near in (0.002, 0.01, 0.05, 0.1)
    ),
    Likely(
        _fullest_attended,
        "the fullest cell is the one that the thing covers most, whether or not it is attended to",
    ),
    Likely(
        _marks(on=lambda share: share >= share.max(1, keepdims=True) / 2 - 0.02),
        "a cell with a little less than half as much as the fullest passes; half is the bound",
    ),
    Likely(
        _marks(inside=lambda a, share, good, n: (a * share).sum(1) / a.sum(1)),
        "the mass inside is divided by what the row sums to; a row that a gate has scaled down "
        "has less inside",
    ),
    Likely(
        _marks(seen=False),
        "a thing that is not to be seen lies on every cell of yours: the rule says 'and at all'",
    ),
    Likely(
        _marks(covered=_by_columns),
        "row and column have changed places: cells are counted row by row",
    ),
    Likely(
        _marks(hit=_first),
        "of cells that share the most attention you take the first; the mark is the share of them "
        "that is on the thing, or a model that looks everywhere alike scores by luck",
    ),
    Likely(
        _marks(hit=lambda a, good, most: (good & most).any(1).astype(float)),
        "of cells that share the most attention one is enough for you; then a model that looks "
        "everywhere alike never misses",
    ),
    Likely(
        _marks(hit=lambda a, good, most: (good & most).sum(1).astype(float)),
        "a hit is at most 1: where cells share the most attention, they share the mark",
    ),
]
