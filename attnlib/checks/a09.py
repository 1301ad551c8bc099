"""Assignment 9, because of this word: what is right, and cases that grow (chapter 10).

The loops here say what is right, and are slow and plain on purpose; nothing else may call them.
Shapes: S words of a sentence, T words of its translation, N sentences; weights (S,) sum to 1.
"""

from collections.abc import Callable, Iterator

import numpy as np

from attnlib.checks.a09_given import Reader, drawn, taken_out
from attnlib.checks.compare import Likely, as_arrays, blamed_on, difference, holds
from attnlib.checks.reach import ask

NEAR = 1e-9  # what is no further apart is equal, but for rounding

# --- what is right ---


def lost_loops(function, tokens, words):
    """What the output loses (words,) if all tokens of a word are deleted; -1: of no word."""
    (whole,) = function([list(tokens)])
    found = []
    for word in range(max(words) + 1):
        left = [token for token, of in zip(tokens, words, strict=True) if of != word]
        (without,) = function([left])
        found.append(whole - without)
    return np.array(found)


def softmax_loops(scores):
    """The weights (S,) of scores (S,)."""
    exps = [np.exp(e - max(scores)) for e in scores]
    return np.array([x / sum(exps) for x in exps])


def gradient_loops(x, k, v):
    """Gradient times input, (2, S): with the weights held fixed, and through the weights."""
    a = softmax_loops([sum(row * k) for row in x])
    says = [sum(row * v) for row in x]
    y = sum(a[s] * says[s] for s in range(len(x)))
    held, through = np.zeros(len(x)), np.zeros(len(x))
    for s, d in np.ndindex(x.shape):
        held[s] += x[s, d] * a[s] * v[d]
        through[s] += x[s, d] * (a[s] * v[d] + a[s] * (says[s] - y) * k[d])
    return np.array([held, through])


def divergence_loops(p, q):
    """The Jensen-Shannon divergence of rows (..., S), in nats: (...)."""
    found = np.zeros(np.shape(p)[:-1])
    for row in np.ndindex(found.shape):
        for a, b in zip(p[row], q[row], strict=True):
            m = (a + b) / 2
            for x in (a, b):
                if x > 0:
                    found[row] += x * np.log(x / m) / 2
    return found


def furthest_loops(alone, own, epsilon):
    """The weights (S,) furthest from one's own that change the sum by at most epsilon; how far."""
    S, y = len(own), sum(own * alone)
    best, far = own, -1.0
    for i in range(S):
        corners = [(i, i, 1.0)] if abs(alone[i] - y) <= epsilon + NEAR else []
        for j in range(S):
            for wanted in (y - epsilon, y + epsilon):
                if alone[i] != alone[j]:
                    share = (wanted - alone[j]) / (alone[i] - alone[j])
                    corners += [(i, j, share)] if 0 <= share <= 1 else []
        for one, other, share in corners:
            new = np.zeros(S)
            new[other] += 1 - share
            new[one] += share
            d = float(divergence_loops(new, own))
            best, far = (new, d) if d > far else (best, far)
    return best, np.array(far)


def claim_loops(weights, lost, others, draws):
    """What the most attended word costs more than another: mean, and a 95 % interval (3,)."""
    gains = []
    for a, nats, other in zip(weights, lost, others, strict=True):
        most = [list(row).index(max(row)) for row in a]
        gains.append([nats[t, most[t]] - nats[t, other[t]] for t in range(len(a))])

    def mean(sentences):
        words = [gain for n in sentences for gain in gains[n]]
        return sum(words) / len(words)

    low, high = np.percentile([mean(row) for row in draws], [2.5, 97.5])
    return np.array([mean(range(len(gains))), low, high])


# --- what builds on task 3 ---


def by_divergence(divergence: Callable) -> Likely:
    """A right search with the reader's divergence: what comes if it is all that is wrong."""

    def answer(alone, own, epsilon):
        S, y = len(own), own @ alone
        best, far = own, -np.inf
        for i, j in np.ndindex(S, S):
            shares = [1.0] if i == j and abs(alone[i] - y) <= epsilon + NEAR else []
            if alone[i] != alone[j]:
                ends = (np.array([y - epsilon, y + epsilon]) - alone[j]) / (alone[i] - alone[j])
                shares += [share for share in ends if 0 <= share <= 1]
            for share in shares:
                new = np.zeros(S)
                new[j] += 1 - share
                new[i] += share
                d = float(np.asarray(as_arrays(ask(divergence, new, own.copy()))))
                best, far = (new, d) if d > far else (best, far)
        return best, np.array(far)

    return Likely(answer, "you choose by what your `divergence` says: get task 3 right first")


# --- cases, from small to large ---


def lost_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's three words, a word of two tokens, a word twice, -1 anywhere, more."""
    rng = np.random.default_rng(seed)
    plain = Reader([0.0, 0.0, 8.0, 4.0], no=1)  # a full stop, "not", "lovely", "good"
    yield {"function": plain, "tokens": [2, 0], "words": [0, -1]}
    yield {"function": plain, "tokens": [1, 2, 0], "words": [0, 1, -1]}
    yield {"function": plain, "tokens": [3, 2, 0], "words": [0, 0, -1]}
    yield {"function": plain, "tokens": [3, 1, 3, 0], "words": [0, 1, 2, -1]}
    yield {"function": plain, "tokens": [0, 3, 2], "words": [-1, 0, 1]}
    yield {"function": plain, "tokens": [1, 2], "words": [0, 1]}
    yield {"function": plain, "tokens": [3, 0, 1, 2, 0], "words": [0, -1, 1, 2, -1]}
    yield {"function": plain, "tokens": [1, 3, 2, 0], "words": [0, 1, 0, -1]}
    for S in (4, 6, *((9, 15) if large else ())):
        reader = Reader(rng.normal(size=5).round(1), no=int(rng.integers(5)))
        words = np.sort([*range(S - 2), *rng.integers(S - 2, size=2)])  # two words of two tokens
        tokens = [int(token) for token in rng.integers(5, size=S + 1)]
        yield {"function": reader, "tokens": tokens, "words": [*words.tolist(), -1]}


def gradient_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's three words, one word, two, more and wider ones; last, loud scores."""
    rng = np.random.default_rng(seed)
    one, other = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    three = np.array([[0.0, -10.0], [np.log(8.0), 30.0], [0.0, 0.0]])
    yield {"x": three, "k": one, "v": other}
    yield {"x": np.array([[2.0, 3.0]]), "k": one, "v": other}
    yield {"x": np.array([[1.0, 2.0], [1.0, -2.0]]), "k": one, "v": other}
    for S, D in [(2, 2), (3, 1), (4, 3), *([(9, 6), (1, 4)] if large else [])]:
        yield {
            "x": rng.normal(size=(S, D)).round(1),
            "k": rng.normal(size=D).round(1),
            "v": rng.normal(size=D).round(1),
        }
    for scores in ([1000.0, 1001.0], [0.0, 3000.0]):
        yield {"x": np.array([[scores[0], 1.0], [scores[1], 2.0]]), "k": one, "v": other}


def divergence_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """Two pairs without zeros, the chapter's, zeros on one side and on both, rows, rows of rows."""
    rng = np.random.default_rng(seed)
    half, sure, turned = np.array([0.5, 0.5]), np.array([1.0, 0.0]), np.array([0.0, 1.0])
    yield {"p": half, "q": np.array([0.9, 0.1])}
    yield {"p": np.array([0.75, 0.25]), "q": half}
    yield {"p": half, "q": sure}
    yield {"p": sure, "q": turned}
    yield {"p": np.array([0.5, 0.5, 0.0]), "q": np.array([0.25, 0.75, 0.0])}
    yield {"p": np.array([half, sure]), "q": np.array([turned, sure])}
    for shape in [(3,), (2, 4), (2, 3, 5), *([(1,), (4, 1), (3, 2, 2, 7)] if large else [])]:
        p, q = rng.random((2, *shape)) ** 3 + 1e-3
        yield {"p": p / p.sum(-1, keepdims=True), "q": q / q.sum(-1, keepdims=True)}


def furthest_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's sentence with context, exactly and nearly; without; one word; more words."""
    rng = np.random.default_rng(seed)
    own = np.array([0.1, 0.8, 0.1])
    yield {"alone": np.array([-20.0, -30.0, -30.0]), "own": own, "epsilon": 0.0}
    yield {"alone": np.array([-20.0, -30.0, -30.0]), "own": own, "epsilon": 0.5}
    yield {"alone": np.array([-20.0, -30.0, -30.0]), "own": own, "epsilon": 2.0}
    yield {"alone": np.array([-10.0, 30.0, 0.0]), "own": own, "epsilon": 0.5}
    yield {"alone": np.array([3.0]), "own": np.array([1.0]), "epsilon": 0.1}
    yield {"alone": np.array([2.0, 2.0, 2.0]), "own": np.array([0.2, 0.5, 0.3]), "epsilon": 0.1}
    rounded = np.array([0.6, 0.3, 0.099999999999998])  # misses the sum anywhere
    yield {"alone": np.array([0.6, 0.6, 0.6]), "own": rounded, "epsilon": 0.0}
    for S in (3, 4, 5, 6, *((8, 12, 2) if large else ())):
        for epsilon in (0.0, 0.3):
            own = rng.random(S) ** 2 + 0.01
            yield {
                "alone": rng.normal(size=S).round(2),
                "own": own / own.sum(),
                "epsilon": epsilon,
            }


def claim_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """One sentence, two of unequal length, then more, each drawn anew by sentences."""
    rng = np.random.default_rng(seed)
    one = np.array([[0.7, 0.3], [0.4, 0.6]]), np.array([[3.0, 1.0], [1.5, -0.8]])
    two = np.array([[0.2, 0.8]]), np.array([[0.0, 8.0]])
    yield {
        "weights": one[:1],
        "lost": one[1:],
        "others": (np.array([1, 0]),),
        "draws": np.zeros((3, 1), dtype=int),
    }
    yield {
        "weights": (one[0], two[0]),
        "lost": (one[1], two[1]),
        "others": (np.array([1, 0]), np.array([0])),
        "draws": np.array([[0, 1], [0, 0], [1, 1], [1, 0], [0, 1]]),
    }
    for N, R in [(3, 20), (5, 40), *([(12, 200)] if large else [])]:
        sizes = [(int(rng.integers(1, 5)), int(rng.integers(2, 6))) for _ in range(N)]
        weights = tuple(rng.dirichlet(np.ones(S), size=T).round(4) for T, S in sizes)
        lost = tuple(rng.normal(1.0, 2.0, size=size).round(2) for size in sizes)
        yield {"weights": weights, "lost": lost} | drawn(weights, R, int(rng.integers(99)))


# --- beyond cases ---


def check_passes(answer: Callable, seed: int) -> None:
    """Refuse an answer that asks for more sentences than there are words, and the whole one."""
    rng = np.random.default_rng(seed)
    reader = Reader(rng.normal(size=5), no=1)
    tokens, words = [3, 1, 2, 2, 4, 0], [0, 1, 2, 2, 3, -1]
    name = getattr(answer, "__name__", "the answer")
    with blamed_on(name):
        ask(answer, reader, list(tokens), list(words))
    holds(
        len(reader.asked) <= 5,
        f"{name} gives the function {len(reader.asked)} sentences, and the whole one and one for "
        "each of 4 words are 5: a model's pass is dear",
    )


def measure(answer: Callable, seed: int, quiet: bool = False) -> None:
    """The claim on two real translators: what the most attended word costs more than another."""
    for text in ("captions", "debates"):
        case = taken_out(text)
        case |= drawn(case["weights"], 400, seed)
        with blamed_on(getattr(answer, "__name__", "the answer")):
            got = as_arrays(ask(answer, **case))
        wrong = difference(got, claim_loops(**case), 1e-6)
        holds(not wrong, f"measured on {text}, the claim comes out otherwise: {wrong}")
        if not quiet:
            words = sum(map(len, case["lost"]))
            print(
                f"{text}: {float(got[0]):.1f} nats [{float(got[1]):.1f}, {float(got[2]):.1f}] more "
                f"than another word, {words} words of {len(case['lost'])} sentences"
            )
