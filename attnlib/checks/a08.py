"""Assignment 8, many heads, no future: what is right, and cases that grow (chapter 8).

The loops here say what is right, and are slow and plain on purpose; nothing else may call them.
Shapes: B sentences, T queries, S keys, D the width, H heads of width D / H; the four matrices are
(D, D), and a row of vectors is multiplied from the left, X W_Q.
"""

import copy
from collections.abc import Callable, Iterator

import numpy as np

from attnlib.checks import common
from attnlib.checks.compare import Likely, blamed_on, holds

MATRICES = ("W_Q", "W_K", "W_V", "W_O")


def ready_made() -> list[str]:
    """Modules that do the assignment's work."""
    return common.ready_made("a08", "multihead", "positions", "attention", "masks", "scores")


# --- what is right ---


def clocks_loops(T, D, start):
    """The sinusoidal vectors (T, D) of the positions from `start` on (Vaswani et al. 2017, 3.5)."""
    table = np.zeros((T, D))
    for t in range(T):
        for i in range(D // 2):
            angle = (start + t) * 10000 ** (-2 * i / D)
            table[t, 2 * i], table[t, 2 * i + 1] = np.sin(angle), np.cos(angle)
    return table


def multi_head_loops(X, Y, W_Q, W_K, W_V, W_O, H, mask):
    """Contexts (B, T, D) and weights (B, H, T, S) of queries from X (B, T, D), keys from Y."""
    (B, T, D), S, d = X.shape, Y.shape[1], X.shape[2] // H
    contexts, weights = np.zeros((B, T, D)), np.zeros((B, H, T, S))
    for b, t in np.ndindex(B, T):
        found = []
        for h in range(H):
            own = slice(h * d, (h + 1) * d)
            q = X[b, t] @ W_Q[:, own]
            seen = [s for s in range(S) if mask[b, t, s]]
            e = {s: sum(q * (Y[b, s] @ W_K[:, own])) / np.sqrt(d) for s in seen}
            total = sum(np.exp(e[s] - max(e.values())) for s in seen)
            for s in seen:
                weights[b, h, t, s] = np.exp(e[s] - max(e.values())) / total
            found.append(sum(weights[b, h, t, s] * (Y[b, s] @ W_V[:, own]) for s in seen))
        contexts[b, t] = np.concatenate(found) @ W_O
    return contexts, weights


def written_loops(X, pieces, W_Q, W_K, W_V, W_O, H):
    """Contexts (B, T, D) of words X with their positions, each seeing none behind it."""
    T, D = X.shape[1:]
    placed = X + clocks_loops(T, D, 0)
    mask = np.array([[[s <= t for s in range(T)] for t in range(T)]] * len(X))
    return multi_head_loops(placed, placed, W_Q, W_K, W_V, W_O, H, mask)[0]


# --- cases, from small to large ---


def clocks_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """One hand, three, two, later positions, the chapter's width, then a very late position."""
    rng = np.random.default_rng(seed)
    sizes = [(2, 2, 0), (3, 6, 0), (2, 4, 0), (2, 4, 5), (6, 20, 0), (2, 4, 54321)]
    if large:
        sizes += [(int(rng.integers(1, 9)), 2 * int(rng.integers(1, 9)), int(rng.integers(1, 99)))]
        sizes += [(100, 64, 0), (3, 16, 5000)]
    for T, D, start in sizes:
        yield {"T": T, "D": D, "start": start}


def _square(rng, D: int) -> dict:
    return {name: rng.normal(size=(D, D)) for name in MATRICES}


def multi_head_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """A white horse in one head, then two heads, other keys, masks, batches, and large scores."""
    rng = np.random.default_rng(seed)
    words = np.array([[[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -1]]])
    W_V = np.zeros((4, 4))
    W_V[1, 1] = W_V[3, 0] = 1.0
    chapter = {
        "W_Q": np.array([[0.0, 0, 4, 0], [0, 0, 2, 0], [0, 4, 0, 0], [0, 0, 0, 0]]),
        "W_K": np.diag([1.0, 1, 1, 0]),
        "W_V": W_V,
        "W_O": np.eye(4),
    }
    yield {"X": words, "Y": words, **chapter, "H": 1, "mask": np.ones((1, 3, 3), dtype=bool)}
    sizes = [(1, 3, 3, 4, 2, "none"), (1, 3, 3, 4, 2, "causal"), (1, 3, 2, 4, 2, "none")]
    sizes += [
        (2, 2, 3, 4, 2, "some"),
        (2, 2, 2, 6, 3, "some"),
        (2, 4, 3, 6, 2, "some"),
        (3, 2, 5, 8, 4, "some"),
    ]
    if large:
        sizes += [(2, 1, 1, 3, 3, "none"), (4, 5, 6, 12, 3, "some"), (3, 6, 6, 16, 8, "causal")]
    for B, T, S, D, H, what in sizes:
        X = rng.normal(size=(B, T, D)).round(1)
        Y = X if what == "causal" else rng.normal(size=(B, S, D)).round(1)
        mask = {
            "none": np.ones((B, T, S), dtype=bool),
            "causal": np.tril(np.ones((B, T, S), dtype=bool)),
            "some": (rng.random((B, T, S)) < 0.6) | (rng.integers(S, size=(B, T, 1)) == range(S)),
        }[what]
        square = {name: W.round(1) for name, W in _square(rng, D).items()}
        yield {"X": X, "Y": Y, **square, "H": H, "mask": mask}
    plain: dict = {name: np.eye(2) for name in MATRICES} | {"H": 2}
    X, far = np.array([[[20.0, 20]]]), np.array([[[-20.0, -20], [-20.05, -20], [0, 0]]])
    yield {"X": X, "Y": far, **plain, "mask": np.array([[[True, True, False]]])}
    yield {
        "X": X,
        "Y": np.array([[[50, 50], [50.05, 50]]]),
        **plain,
        "mask": np.ones((1, 1, 2), dtype=bool),
    }


def writer_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """One word; three at once; one after another; in pieces; then batches."""
    rng = np.random.default_rng(seed)
    cuts = [(1, [1], 2, 1), (1, [3], 2, 1), (1, [1, 1, 1], 2, 1), (1, [1, 2], 2, 1)]
    cuts += [(2, [2, 1], 4, 2), (3, [1, 3, 2], 6, 3)]
    if large:
        cuts += [(2, [4, 3, 1, 5], 8, 2), (1, [1] * 9, 4, 4), (5, [6], 4, 1)]
    for B, pieces, D, H in cuts:
        X = rng.normal(size=(B, sum(pieces), D))
        yield {"X": X, "pieces": pieces, **_square(rng, D), "H": H}


# --- the class of task 3 ---


def by_clocks(clocks: Callable) -> Likely:
    """A right writer with the reader's clocks: what comes if they are all that is wrong."""

    def answer(X, pieces, W_Q, W_K, W_V, W_O, H):
        T, D = X.shape[1:]
        places, start = [], 0
        for n in pieces:
            places.append(np.asarray(clocks(n, D, start)))
            start += n
        mask = np.tril(np.ones((len(X), T, T), dtype=bool))
        placed = X + np.concatenate(places)
        return multi_head_loops(placed, placed, W_Q, W_K, W_V, W_O, H, mask)[0]

    return Likely(answer, "your writer adds what your `clocks` says: get task 1 right first")


def in_pieces(made: Callable) -> Callable:
    """A reader's class as a function of X (B, T, D) and how many words each call gets."""

    def answer(X, pieces, W_Q, W_K, W_V, W_O, H):
        writer, start, found = made(W_Q, W_K, W_V, W_O, H), 0, []
        for n in pieces:
            found.append(np.asarray(writer(X[:, start : start + n])))
            start += n
        return np.concatenate(found, axis=1)

    answer.__name__ = getattr(made, "__name__", "Writer")
    return answer


class _Counted(np.ndarray):
    """A matrix that notes how many vectors it and its parts multiply, and is no more than that.

    A part that has half of its numbers, and multiplies a vector, counts a half.
    """

    seen: list
    whole: tuple

    def __array_finalize__(self, source):
        self.seen = getattr(source, "seen", [])
        self.whole = getattr(source, "whole", self.shape)

    def _note(self, others):
        rows, columns = self.whole
        share = self.size / (rows * columns)
        self.seen.extend(x.size / rows * share for x in others if not isinstance(x, _Counted))

    def __array_ufunc__(self, ufunc, method, *inputs, **named):
        if ufunc is np.matmul:
            self._note(map(np.asanyarray, inputs))
        return getattr(ufunc, method)(*_free(inputs), **named)

    def __array_function__(self, function, types, arguments, named):
        if function in (np.dot, np.einsum, np.tensordot):
            self._note(x for x in arguments if isinstance(x, np.ndarray))
        return function(*_free(arguments), **named)


def _free(x):
    """Without the counting, in tuples and lists too."""
    if isinstance(x, tuple | list):
        return type(x)(map(_free, x))
    return np.asarray(x) if isinstance(x, _Counted) else x


def check_fresh(made: Callable, seed: int) -> None:
    """Refuse a class whose second writer begins with what the first one kept."""
    rng = np.random.default_rng(seed)
    matrices, word = list(_square(rng, 4).values()), rng.normal(size=(2, 1, 4))
    writers = [_made(made, matrices, 2) for _ in range(2)]
    one, two = (_told(writer, word) for writer in writers)
    holds(
        one.shape == two.shape and np.allclose(one, two, rtol=0, atol=1e-9, equal_nan=True),
        "two writers hear the same first word and say two things: the second remembers what the "
        "first one wrote. Each writer keeps words of its own",
    )


def check_thrift(made: Callable, seed: int) -> None:
    """Refuse a class that projects a word to keys or values once more at a later step."""
    rng = np.random.default_rng(seed)
    B, T, D = 2, 5, 4
    X, matrices = rng.normal(size=(B, T, D)), _square(rng, D)
    for name in ("W_K", "W_V"):
        counted = matrices[name].view(_Counted)
        writer = _made(made, list((matrices | {name: counted}).values()), 2)
        for t in range(T):
            counted.seen.clear()
            _told(writer, X[:, t : t + 1])
            vectors = round(sum(counted.seen))
            holds(
                vectors <= B,
                f"step {t} brings {B} new words, one a sentence, and {vectors} vectors "
                f"are multiplied by {name}: keep what the earlier words gave, and project the new "
                "ones only",
            )


def _made(made, matrices, H):
    with blamed_on(made.__name__):
        return made(*matrices, H)


def _told(writer, words):
    name, given = type(writer).__name__, words.copy()
    with blamed_on(name, given=f", given words of shape {words.shape},"):
        told = np.array(writer(given))
    holds(np.array_equal(given, words), f"{name} changes its argument x: work on a copy")
    return told


# --- the reader's own test: does a layer see the future? ---


def _seen(weights_of: Callable) -> Callable:
    """A layer whose word t is the average of what a matrix (T, T) lets it see."""

    def layer(X):
        T = X.shape[1]
        weights = np.array([[float(weights_of(t, s, T)) for s in range(T)] for t in range(T)])
        return weights / np.maximum(weights.sum(1, keepdims=True), 1.0) @ X

    return layer


def _past(X):
    return _seen(lambda t, s, T: s <= t)(X)


def _rest(X):
    """What comes behind each word, summed; zeros at the last: (B, T, D)."""
    return X.sum(1, keepdims=True) - np.cumsum(X, axis=1)


def _one_feature(X):
    out = _past(X)
    out[..., -1] += _rest(X)[..., -1]
    return out


def _one_sentence(X):
    out = _past(X)
    out[-1] += _rest(X)[-1]
    return out


def _cancels(X):
    out, more = _past(X), _rest(X).sum(-1)
    out[..., 0] += more
    out[..., 1] -= more
    return out


def _normalised(X):
    """A layer normalization comes first, and then every word sees all."""
    less = X - X.mean(-1, keepdims=True)
    return _past(X) + _rest(less / np.sqrt((less**2).mean(-1, keepdims=True) + 1e-20))


def _turns(X):
    """What comes behind a word counts by its direction alone, not by its size."""
    return _past(X) + _rest(X / np.sqrt((X**2).mean(-1, keepdims=True) + 1e-20))


BOTH = [
    (_past, False, "a causal layer"),
    (_seen(lambda t, s, T: s == t), False, "a layer in which each word sees itself alone"),
    (lambda X: _past(X) * (1 + 1e-13 * np.tanh(X.sum())), False,
     "a causal layer, but for rounding in the twelfth digit"),
    (_seen(lambda t, s, T: True), True, "a layer in which every word sees all"),
    (_seen(lambda t, s, T: s >= t), True, "a layer with the mask the wrong way round"),
    (_seen(lambda t, s, T: s <= t + 1), True, "a layer in which each word sees the next one"),
    (_seen(lambda t, s, T: s <= t or (s == t + 1 < T - 1)), True,
     "a layer in which each word sees the next one, but nobody the last"),
    (_seen(lambda t, s, T: s <= t or (t == T - 2)), True,
     "a layer in which only the last word but one sees the last"),
    (_seen(lambda t, s, T: s <= t or (t == 0 and s == 1)), True,
     "a layer in which only the first word sees the next one"),
    (_one_sentence, True, "a layer that sees the future in the last sentence only"),
    (_one_feature, True, "a layer that sees the future in one number of each vector only"),
    (_cancels, True, "a layer that is too high in one number and too low in another"),
    (lambda X: _past(X) + 1e-3 * _rest(X), True, "a layer that sees the future very faintly"),
    (_normalised, True, "a layer that sees the future through a layer normalization"),
    (_turns, True, "a layer that sees of the future each word's direction, but not its size"),
    (_seen(lambda t, s, T: s <= t or s == t + 2), True,
     "a layer in which each word sees the next but one, and not the next"),
    (_seen(lambda t, s, T: s <= t or (t == 0 and s == T - 1)), True,
     "a layer in which the first word sees the last, and none sees the next"),
    (_seen(lambda t, s, T: s <= t or (t == (T - 1) // 2 and s == t + 1)), True,
     "a layer in which only a word in the middle sees the next one"),
]  # fmt: skip
HINTS = {
    0: "compare only words before the place where you change something",
    1: "compare only words before the place where you change something",
    2: "compare with a tolerance, for instance 1e-6",
    6: "change more than the last word",
    7: "look at every word",
    8: "look at every word: which change can the first one notice?",
    9: "look at every sentence",
    10: "look at every number",
    11: "compare number by number: in sums and means errors cancel",
    12: "rounding is far smaller than that; mind your tolerance",
    13: "it takes away what all numbers of a word have in common, and how large they are: make "
    "another kind of change",
    14: "a word that is only made larger or smaller looks the same to it: make another kind of "
    "change",
    15: "what a word sees may be further off than the next word",
    16: "what a word sees may be far off",
    17: "look at every word, those in the middle too",
}


def finds_leaks(answer: Callable, seed: int, large: bool = False) -> None:
    """Give a reader's test layers that are causal and layers that are not, and see what it says.

    The test is a function of a layer, from (B, T, D) to (B, T, D), and of words X (B, T, D), and
    returns whether the layer lets some word see a later one.
    """
    rng, name = np.random.default_rng(seed), getattr(answer, "__name__", "your test")
    for B, T, D in [(2, 5, 4), (1, 3, 4), *([(3, 7, 3), (1, 4, 6)] if large else [])]:
        X = rng.normal(size=(B, T, D))
        for i, (layer, sees, what) in enumerate(BOTH):
            given = X.copy()
            with blamed_on(name):
                said = answer(_strict(layer), given)
            holds(np.array_equal(given, X), f"{name} changes X: work on a copy")
            holds(
                isinstance(said, bool | np.bool_),
                f"{name} returns a {type(said).__name__}; it should return True or False",
            )
            does = f"{name} says {bool(said)} of {what}{', given one sentence' * (B == 1)}"
            hint = f": {HINTS[i]}" if i in HINTS else ""
            holds(bool(said) is sees, does + hint + "." * (not hint.endswith("?")))


def _strict(inner):
    def layer(X):
        holds(np.ndim(X) == 3, "the layer wants a batch (B, T, D), of one sentence too")
        return inner(copy.deepcopy(np.asarray(X, dtype=float)))

    return layer
