"""Assignment 8, many heads, no future: what is right, and cases that grow (chapter 8).

The loops here say what is right, and are slow and plain on purpose; nothing else may call them.
Shapes: B sentences, T queries, S keys, D the width, H heads of width D / H; the four matrices are
(D, D), and a row of vectors is multiplied from the left, X W_Q.
"""

from collections.abc import Callable, Iterator

import numpy as np

from attnlib.checks.a08_given import Counted, in_pieces, strict
from attnlib.checks.compare import Likely, as_arrays, blamed_on, holds, meet
from attnlib.checks.reach import ask

__all__ = ["in_pieces"]  # the notebook's, from the file beside

MATRICES = ("W_Q", "W_K", "W_V", "W_O")


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
    one, two = np.full((1, 1, 2), 50.0), np.array([[[50.0, 50], [51, 51]]])
    for asks, asked in (
        (X, np.array([[[50, 50], [50.05, 50]]])),
        (one, np.concatenate([one, -one], axis=1)),  # one key far above the other
        (one * [1, -1], two),  # one head far above the other
        (np.concatenate([one, -one], axis=1), two),  # one query far above the other
        (np.concatenate([one, -one]), np.concatenate([two, two])),  # one sentence
    ):
        mask = np.ones((len(asks), asks.shape[1], 2), dtype=bool)
        yield {"X": asks, "Y": asked, **plain, "mask": mask}


def writer_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """One word; three at once; one after another; in pieces; batches; a long text."""
    rng = np.random.default_rng(seed)
    cuts = [(1, [1], 2, 1), (1, [3], 2, 1), (1, [1, 1, 1], 2, 1), (1, [1, 2], 2, 1)]
    cuts += [(2, [2, 1], 4, 2), (3, [1, 3, 2], 6, 3)]
    if large:
        cuts += [(2, [4, 3, 1, 5], 8, 2), (1, [1] * 9, 4, 4), (5, [6], 4, 1)]
    cuts += [(1, [30, 15], 2, 1)]
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
            places.append(np.asarray(as_arrays(ask(clocks, n, D, start))))
            start += n
        mask = np.tril(np.ones((len(X), T, T), dtype=bool))
        placed = X + np.concatenate(places)
        return multi_head_loops(placed, placed, W_Q, W_K, W_V, W_O, H, mask)[0]

    return Likely(answer, "your writer adds what your `clocks` says: get task 1 right first")


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
        counted = matrices[name].view(Counted)
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


def check_kept(made: Callable, seed: int) -> None:
    """Refuse a class whose kept keys or values change when the matrices do, after they were made.

    Between two calls the matrix of the keys, or of the values, is exchanged for another one, in
    place. The earlier words must stand as they were; the new one is projected by the new matrix.
    """
    rng = np.random.default_rng(seed)
    B, n, D, H = 2, 3, 4, 2
    X, square = rng.normal(size=(B, n + 1, D)), _square(rng, D)
    for name in ("W_K", "W_V"):
        later = square | {name: rng.normal(size=(D, D))}
        given = {key: W.copy() for key, W in square.items()}
        writer = _made(made, list(given.values()), H)
        _told(writer, X[:, :n])
        given[name][:] = later[name]
        told = _told(writer, X[:, n:])[:, 0]
        right, again, copied = (
            np.allclose(told, _last_context(X, *pair, H), rtol=0, atol=1e-6)
            for pair in ((square, later), (later, later), (square, square))
        )
        holds(
            not again,
            f"a call projects the earlier words by {name} again: keep the keys and values that "
            "they gave, not the words",
        )
        holds(
            not copied,
            f"a copy of {name} is used: the check exchanges the matrix between two calls, to see "
            "what is kept, so use the matrices as they are given",
        )
        holds(right, f"between two calls {name} is exchanged, and what was kept changes with it")


def _last_context(X, first: dict, then: dict, H: int):
    """The context (B, D) of the last word, where the words before it were projected earlier."""
    T, D = X.shape[1:]
    placed, d, contexts = X + clocks_loops(T, D, 0), D // H, []
    for words in placed:
        k, v = (np.vstack([words[:-1] @ first[W], words[-1:] @ then[W]]) for W in ("W_K", "W_V"))
        q, found = words[-1] @ then["W_Q"], []
        for own in (slice(h * d, (h + 1) * d) for h in range(H)):
            exps = np.exp(k[:, own] @ q[own] / np.sqrt(d))
            found.append(exps / exps.sum() @ v[:, own])
        contexts.append(np.concatenate(found) @ then["W_O"])
    return np.array(contexts)


def _made(made, matrices, H):
    with blamed_on(made.__name__):
        return ask(made, *matrices, H)


def _told(writer, words):
    name, given = type(writer).__name__, words.copy()
    with blamed_on(name, given=f", given words of shape {words.shape},"):
        told = np.array(as_arrays(ask(writer, given)))
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


def _sizes(X):
    """What comes behind a word counts by its size alone."""
    return _past(X) + _rest(np.sqrt((X**2).sum(-1, keepdims=True)))


def _number(i):
    """What comes behind a word counts by one of its numbers alone."""
    return lambda X: _past(X) + _rest(X[..., [i]])


BOTH = (
    (_past, False, "a causal layer",
     "compare only words before the place where you change something"),
    (_seen(lambda t, s, T: s == t), False, "a layer in which each word sees itself alone",
     "compare only words before the place where you change something"),
    (lambda X: _past(X) * (1 + 1e-13 * np.tanh(X.sum())), False,
     "a causal layer, but for rounding in the twelfth digit",
     "compare with a tolerance, for instance 1e-6"),
    (_seen(lambda t, s, T: True), True, "a layer in which every word sees all",
     ""),
    (_seen(lambda t, s, T: s >= t), True, "a layer with the mask the wrong way round",
     ""),
    (_seen(lambda t, s, T: s <= t + 1), True, "a layer in which each word sees the next one",
     ""),
    (_seen(lambda t, s, T: s <= t or (s == t + 1 < T - 1)), True,
     "a layer in which each word sees the next one, but nobody the last",
     "change more than the last word"),
    (_seen(lambda t, s, T: s <= t or (t == T - 2)), True,
     "a layer in which only the last word but one sees the last",
     "look at every word"),
    (_seen(lambda t, s, T: s <= t or (t == 0 and s == 1)), True,
     "a layer in which only the first word sees the next one",
     "look at every word: which change can the first one notice?"),
    (_one_sentence, True, "a layer that sees the future in the last sentence only",
     "look at every sentence"),
    (_one_feature, True, "a layer that sees the future in one number of each vector only",
     "look at every number"),
    (_cancels, True, "a layer that is too high in one number and too low in another",
     "compare number by number: in sums and means errors cancel"),
    (lambda X: _past(X) + 1e-3 * _rest(X), True, "a layer that sees the future very faintly",
     "rounding is far smaller than that; mind your tolerance"),
    (_normalised, True, "a layer that sees the future through a layer normalization",
     "it takes away what all numbers of a word have in common, and how large they are: make"
     " another kind of change"),
    (_turns, True, "a layer that sees of the future each word's direction, but not its size",
     "a word that is only made larger or smaller looks the same to it: make another kind of"
     " change"),
    (_seen(lambda t, s, T: s <= t or s == t + 2), True,
     "a layer in which each word sees the next but one, and not the next",
     "what a word sees may be further off than the next word"),
    (_seen(lambda t, s, T: s <= t or (t == 0 and s == T - 1)), True,
     "a layer in which the first word sees the last, and none sees the next",
     "what a word sees may be far off"),
    (_seen(lambda t, s, T: s <= t or (t == (T - 1) // 2 and s == t + 1)), True,
     "a layer in which only a word in the middle sees the next one",
     "look at every word, those in the middle too"),
    (_sizes, True, "a layer that sees of the future how large each word is, but no direction",
     "a word that is only turned looks the same to it: make another kind of change"),
    (_number(0), True, "a layer that sees the first number of each later word only",
     "change every number of a word"),
    (_number(1), True, "a layer that sees the second number of each later word only",
     "change every number of a word"),
    (_number(-2), True, "a layer that sees the last number but one of each later word only",
     "change every number of a word"),
    (_number(-1), True, "a layer that sees the last number of each later word only",
     "change every number of a word"),
)  # fmt: skip


def finds_leaks(answer: Callable, seed: int, large: bool = False) -> None:
    """Give a reader's test layers that are causal and layers that are not, and see what it says.

    The test is a function of a layer, from (B, T, D) to (B, T, D), and of words X (B, T, D), and
    returns whether the layer lets some word see a later one.
    """
    rng, name = np.random.default_rng(seed), getattr(answer, "__name__", "your test")
    for B, T, D in [(2, 5, 4), (1, 3, 4), *([(3, 7, 3), (1, 4, 6)] if large else [])]:
        X = rng.normal(size=(B, T, D))

        def said_of(layer, X=X):
            given = X.copy()
            said = ask(answer, strict(layer), given)
            holds(np.array_equal(given, X), f"{name} changes X: work on a copy")
            return said

        meet(
            name,
            BOTH,
            said_of,
            lambda said, what, B=B: (
                f"{name} says {said} of {what}{', given one sentence' * (B == 1)}"
            ),
            rng,
        )
