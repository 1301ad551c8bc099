"""Assignment 6, choose one: what is right, and cases that grow (chapter 6).

The loops here say what is right, and are slow and plain on purpose; nothing else may call them.
Shapes: S keys, N draws; scores (S,) and uniform numbers u (N,) that choose, in NumPy. The last task
is in PyTorch: B questions, scores (B, S), log-probabilities, baselines and choices (B,).
"""

from collections.abc import Callable, Iterator

import numpy as np

from attnlib.checks.a06_given import Asked, Rewards, value_and_slopes
from attnlib.checks.compare import Likely, as_arrays, blamed_on, holds
from attnlib.checks.reach import ask

__all__ = ["value_and_slopes"]  # the notebook's, from the file beside


# --- what is right ---


def softmax_loops(scores):
    """The weights (S,) of scores (S,)."""
    exps = [np.exp(e - max(scores)) for e in scores]
    return np.array([x / sum(exps) for x in exps])


def gradients_loops(scores, values, wanted):
    """Slopes by the scores (S,): of the reward of the average, and of the expected reward."""
    a = softmax_loops(scores)
    c = sum(a[s] * values[s] for s in range(len(a)))
    r = [-((v - wanted) ** 2) / 2 for v in values]
    expected = sum(a[s] * r[s] for s in range(len(a)))
    average = [(wanted - c) * a[s] * (values[s] - c) for s in range(len(a))]
    choice = [a[s] * (r[s] - expected) for s in range(len(a))]
    return np.array(average), np.array(choice)


def chosen_loops(a, u):
    """The first key whose weight and those before it sum to more than u; else the last."""
    total = 0.0
    for s in range(len(a)):
        total += a[s]
        if u < total:
            return s
    return len(a) - 1


def estimates_loops(scores, reward, u, b):
    """The score-function estimate of each draw (N, S), and the rewards earned (N,)."""
    a = softmax_loops(scores)
    slopes, earned = np.zeros((len(u), len(a))), np.zeros(len(u))
    for n in range(len(u)):
        key = chosen_loops(a, u[n])
        earned[n] = reward(key)
        for s in range(len(a)):
            slopes[n, s] = (earned[n] - b) * ((s == key) - a[s])
    return slopes, earned


def learn_loops(scores, reward, u, rate):
    """Scores (S,) and baseline after a step for each row of u (steps, N)."""
    e, b = np.array(scores, dtype=float), 0.0
    for row in u:
        slopes, earned = estimates_loops(e, reward, row, b)
        e = e + rate * sum(slopes) / len(slopes)
        b = 0.9 * b + 0.1 * sum(earned) / len(earned)
    return e, np.array(b)


def surrogate_loops(scores, chosen, log_p, b):
    """The loss, and its slopes by scores (B, S), log_p (B,) and b (B,)."""
    B = len(log_p)
    by_scores = np.zeros(scores.shape)
    for i in range(B):
        a = softmax_loops(scores[i])
        for s in range(len(a)):
            by_scores[i, s] = -(log_p[i] - b[i]) * ((s == chosen[i]) - a[s]) / B
    return np.array(-sum(log_p) / B), by_scores, np.full(B, -1 / B), np.zeros(B)


# --- what builds on task 2 ---


def by_estimates(estimates: Callable) -> Likely:
    """Right learning with the reader's estimates: what comes if they are all that is wrong."""

    def answer(scores, reward, u, rate):
        e, b = np.array(scores, dtype=float), 0.0
        for row in u:
            slopes, earned = ask(estimates, e.copy(), reward, row, b)
            e = e + rate * np.mean(slopes, axis=0)
            b = 0.9 * b + 0.1 * np.mean(earned)
        return e, np.array(b)

    return Likely(answer, "you learn from what your `estimates` says: get task 2 right first")


# --- cases, from small to large ---

HALF = np.log([2.0, 1.0, 1.0])  # the chapter's weights: a half and two quarters


def gradients_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's three keys, another wish, one far off, more keys; last, loud scores."""
    rng = np.random.default_rng(seed)
    values = np.array([0.0, 4.0, 8.0])
    yield {"scores": HALF, "values": values, "wanted": 2.0}
    yield {"scores": HALF, "values": values, "wanted": 5.0}
    yield {"scores": HALF, "values": values, "wanted": 1e8}
    for S in (2, 4, 7, *((1, 30) if large else ())):
        yield {
            "scores": rng.normal(size=S),
            "values": rng.normal(size=S) * 2,
            "wanted": float(rng.normal()),
        }
    for scores in ([1000.0, 1001.0], [0.0, 3000.0]):
        yield {"scores": np.array(scores), "values": np.array([1.0, 2.0]), "wanted": 0.0}


def estimates_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's three draws with a baseline and without, both edges, any sizes, loud scores."""
    rng = np.random.default_rng(seed)
    three = np.array([0.3, 0.6, 0.9])
    reward = Rewards([-2, -2, -18])
    yield {"scores": HALF, "reward": reward, "u": three, "b": 0.0}
    yield {"scores": HALF, "reward": reward, "u": three, "b": -6.0}
    yield {"scores": HALF, "reward": reward, "u": np.array([0.4]), "b": -6.0}
    never = np.array([-1000.0, 0.0])
    loud = np.array([1000.0, 1001.0])
    yield {"scores": never, "reward": Rewards([1, 2]), "u": np.zeros(1), "b": 0.0}
    ten, below_1 = np.zeros(10), np.array([1 - 2.0**-53])
    yield {"scores": ten, "reward": Rewards(np.arange(10)), "u": below_1, "b": 1.0}
    for N, S in [(4, 2), (3, 5), (2, 2), *([(50, 8), (1, 1)] if large else [])]:
        yield {
            "scores": rng.normal(size=S),
            "reward": Rewards(rng.normal(size=S) * 3),
            "u": rng.random(N),
            "b": float(rng.normal()),
        }
    for each in (loud, np.array([0.0, 3000.0])):
        yield {"scores": each, "reward": Rewards([1, 2]), "u": np.array([0.2, 0.8]), "b": 0.0}


def learn_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """One step of one draw, of three, two steps, then many."""
    rng = np.random.default_rng(seed)
    reward = Rewards([-2, -2, -18])
    yield {"scores": HALF, "reward": reward, "u": np.array([[0.3]]), "rate": 0.1}
    yield {"scores": HALF, "reward": reward, "u": np.array([[0.3, 0.6, 0.9]]), "rate": 0.1}
    yield {"scores": HALF, "reward": reward, "u": np.array([[0.3], [0.9]]), "rate": 0.1}
    for steps, N, S in [(3, 2, 2), (5, 4, 3), *([(40, 8, 5)] if large else [])]:
        yield {
            "scores": rng.normal(size=S),
            "reward": Rewards(rng.normal(size=S) - 2),
            "u": rng.random((steps, N)),
            "rate": 0.2,
        }


def surrogate_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's second key with its baseline, the first without, batches, loud scores."""
    import torch

    rng = np.random.default_rng(seed)

    def double(x):
        return torch.tensor(np.array(x), dtype=torch.float64)

    for chosen, b in (([1], [-6.0]), ([0], [0.0])):
        yield {
            "scores": double([HALF]),
            "chosen": torch.tensor(chosen),
            "log_p": double([-2.0]),
            "b": double(b),
        }
    for B, S in [(2, 2), (3, 3), (2, 5), *([(8, 12), (1, 1)] if large else [])]:
        yield {
            "scores": double(rng.normal(size=(B, S))),
            "chosen": torch.tensor(rng.integers(S, size=B)),
            "log_p": double(-rng.random(B) * 4),
            "b": double(-rng.random(B) * 4),
        }
    for scores in ([[1000.0, 0.0]], [[0.0, 3000.0]]):
        yield {
            "scores": double(scores),
            "chosen": torch.tensor([1]),
            "log_p": double([-2.0]),
            "b": double([-3.0]),
        }


# --- what many draws say ---


def check_asks(answer: Callable, seed: int) -> None:
    """Refuse estimates that ask for keys not drawn, ask twice, or write on what was earned."""
    rng = np.random.default_rng(seed)
    scores, u = np.log([4.0, 2, 1, 1]), np.array([0.2, 0.6, 0.4])  # keys 0, 1 and 0
    reward = Asked(rng.normal(size=4))
    name = getattr(answer, "__name__", "the answer")
    with blamed_on(name):
        ask(answer, scores, reward, u, 0.5)
    others = sorted({*reward.keys} - {0, 1})
    holds(
        not others,
        f"{name} asks what key {others[0] if others else ''} earns, and no draw has chosen it: "
        "only the keys that are drawn can be asked for",
    )
    holds(
        sorted(reward.keys) == [0, 0, 1],
        f"{name} asks for {len(reward.keys)} rewards, and there are 3 draws: ask once for each",
    )
    holds(
        reward.untouched(),
        f"{name} writes on the rewards that it was given: work on a copy",
    )


def check_thrift(answer: Callable, estimates: Callable, seed: int) -> None:
    """Refuse learning that asks for more rewards than its estimates do, or writes on them."""
    rng = np.random.default_rng(seed)
    scores, of_keys, u = rng.normal(size=3), rng.normal(size=3), rng.random((3, 2))
    reward, needed = Asked(of_keys), Asked(of_keys)
    with blamed_on("estimates"):
        by_estimates(estimates).answer(scores, needed, u, 0.1)
    name = getattr(answer, "__name__", "the answer")
    with blamed_on(name):
        ask(answer, scores, reward, u, 0.1)
    holds(
        len(reward.keys) <= len(needed.keys),
        f"{name} asks for {len(reward.keys)} rewards, and its estimates need {len(needed.keys)}: "
        "they return what the draws have earned, and a reward is dear",
    )
    holds(
        reward.untouched() or not needed.untouched(),
        f"{name} writes on the rewards that were earned: leave the array as it is",
    )


def check_draws(answer: Callable, seed: int, quiet: bool = False) -> None:
    """Average 20,000 estimates: the mean is exact with any baseline, the variance is not alike."""
    u = np.random.default_rng(seed).random(20_000)
    exact, spread = gradients_loops(HALF, np.array([0.0, 4.0, 8.0]), 2.0)[1], {}
    for b in (0.0, -6.0, 10.0):
        slopes, _ = ask(answer, HALF.copy(), Rewards([-2, -2, -18]), u.copy(), b)
        found = np.asarray(as_arrays(slopes))
        error = found.std(0) / np.sqrt(len(u))
        holds(
            bool((abs(found.mean(0) - exact) < 4 * error).all()),
            f"with b = {b:g} the mean of 20,000 draws is {found.mean(0).round(2)}, and should be "
            f"{exact.round(2)} up to chance",
        )
        spread[b] = found.var(0)[0]
        if not quiet:
            mean = ", ".join(f"{x:.2f}" for x in found.mean(0))
            print(f"b = {b:g}: mean of 20,000 draws {mean}; variance of the first {spread[b]:.1f}")
    holds(spread[-6.0] < spread[0.0] < spread[10.0], "a good baseline should lower the variance")
