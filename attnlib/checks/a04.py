"""Assignment 4, before or after: what is right, and cases that grow (chapters 3 and 4).

The loops here say what is right, and are slow and plain on purpose; nothing else may call them. As
in chapter 4 with a pencil, the score is the dot product and a step is a sum: the new state is the
old state and W x, where x is what the cell reads. Shapes: words (T, E), a state (D,), annotations
(S, D); ids 0, 1 and 2 are padding, the start token and the end token.
"""

import copy
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from attnlib.checks.a04_likely import EARLY, GREEDY, LATE, SHIFT
from attnlib.checks.compare import as_arrays, holds
from attnlib.checks.reach import ask

__all__ = ["EARLY", "GREEDY", "LATE", "SHIFT"]  # the notebook's, from the file beside

PAD, BOS, EOS = 0, 1, 2
THREE = np.array([[-1.0, 1.0], [2.0, -1.0], [2.0, 0.0]])  # a, red, shirt
READ = np.array([[0.0, 1.0], [1.0, 0.0], [-1.0, -2.0]])  # <s>, une, chemise
PLAIN = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0]])  # W, where nothing of what is fed gets in
HALF = np.array([[1.0, 0, 0.5, 0], [0, 1, 0, 0.5]])  # and where half of it does
READOUT = np.hstack([np.eye(2) / 2, np.eye(2) / 4, np.eye(2) / 8])  # of state, context, word


# --- what is right ---


def look_loops(query, annotations):
    """Weights (S,) and context (D,) of a lookup with the dot score."""
    scores = [sum(query * key) for key in annotations]
    highest = max(scores)
    exps = [np.exp(score - highest) for score in scores]
    weights = np.array([each / sum(exps) for each in exps])
    context = np.zeros(annotations.shape[1])
    for s in range(len(annotations)):
        context += weights[s] * annotations[s]
    return weights, context


def early_loops(words, state, annotations, W):
    """Bahdanau's order: states (T, D) after each step, and weights (T, S)."""
    states, rows = [], []
    for y in words:
        weights, context = look_loops(state, annotations)
        state = state + W @ np.concatenate([y, context])
        states.append(state)
        rows.append(weights)
    return np.array(states), np.array(rows)


def late_loops(words, state, annotations, W, W_c):
    """Luong's order with input feeding: attentional vectors (T, E), and weights (T, S)."""
    fed, vectors, rows = np.zeros(len(W_c)), [], []
    for y in words:
        state = state + W @ np.concatenate([y, fed])
        weights, context = look_loops(state, annotations)
        fed = np.tanh(W_c @ np.concatenate([state, context, y]))
        vectors.append(fed)
        rows.append(weights)
    return np.array(vectors), np.array(rows)


def shift_loops(targets):
    """What is given and what is wanted, (B, T + 1) each, for targets (B, T) with padding."""
    given = np.full((len(targets), targets.shape[1] + 1), PAD)
    wanted = np.full(given.shape, PAD)
    for b, row in enumerate(targets):
        words = [word for word in row if word != PAD]
        for t, word in enumerate([BOS, *words]):
            given[b, t] = word
        for t, word in enumerate([*words, EOS]):
            wanted[b, t] = word
    return given, wanted


def greedy_loops(annotations, lengths, states, E, W, W_c, longest):
    """The best words (B, longest), one after another, and weights (B, longest, S)."""
    B, S, _ = annotations.shape
    ids, rows = np.full((B, longest), PAD), np.zeros((B, longest, S))
    for b in range(B):
        state, previous, fed = states[b], BOS, np.zeros(E.shape[1])
        for t in range(longest):
            y = E[previous]
            state = state + W @ np.concatenate([y, fed])
            weights, context = look_loops(state, annotations[b, : lengths[b]])
            fed = np.tanh(W_c @ np.concatenate([state, context, y]))
            scores = [sum(row * fed) for row in E]
            previous = scores.index(max(scores))
            ids[b, t] = previous
            rows[b, t, : lengths[b]] = weights
            if previous == EOS:
                break
    return ids, rows


def first_look_is_blind(early: Callable, seed: int) -> None:
    """Ask an early decoder twice, with another first word: its first look must not move."""
    rng = np.random.default_rng(seed)
    words, state, annotations, W = (rng.normal(size=n) for n in ((2, 3), 3, (4, 3), (3, 6)))
    others = words + np.array([[1.0], [0.0]])
    rows = [np.asarray(ask(early, each, state, annotations, W)[1])[0] for each in (words, others)]
    holds(
        np.allclose(*rows),
        "the first look depends on the word that is read in that step: a decoder that asks before "
        "the step has not read it",
    )


def ids_are_whole(answer: Callable, cases: Iterable[dict], outputs: int) -> None:
    """Refuse ids, which are the first so many outputs, that are decimal numbers in some case."""
    for case in cases:
        for ids in as_arrays(ask(answer, **copy.deepcopy(case)))[:outputs]:
            kind = np.asarray(ids).dtype
            holds(
                kind.kind in "iu",
                f"the ids are {kind}, decimal numbers, and no array has a row 3.0: of what kind is "
                "an array that np.zeros makes?",
            )


# --- cases, from small to large ---


def early_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's three words, the same with half the context in the cell, then random ones."""
    rng = np.random.default_rng(seed)
    for W in (PLAIN, HALF):
        yield {"words": READ, "state": np.zeros(2), "annotations": THREE, "W": W}
    shapes = [(2, 3, 2, 2), (3, 2, 3, 2), (4, 5, 2, 3)]
    for T, S, D, E in [*shapes, (9, 7, 5, 4)] if large else shapes:
        yield {
            "words": rng.normal(size=(T, E)),
            "state": rng.normal(size=D),
            "annotations": rng.normal(size=(S, D)),
            "W": rng.normal(size=(D, E + D)) / 2,
        }


def late_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's three words, the same with half of what is fed, then random ones."""
    rng = np.random.default_rng(seed)
    for W in (PLAIN, HALF):
        case = {"words": READ, "state": np.zeros(2), "annotations": THREE, "W": W}
        yield case | {"W_c": READOUT}
    shapes = [(2, 3, 2, 2), (3, 2, 3, 2), (4, 5, 2, 3)]
    for T, S, D, E in [*shapes, (9, 7, 5, 4)] if large else shapes:
        yield {
            "words": rng.normal(size=(T, E)),
            "state": rng.normal(size=D),
            "annotations": rng.normal(size=(S, D)),
            "W": rng.normal(size=(D, 2 * E)) / 2,
            "W_c": rng.normal(size=(E, 2 * D + E)) / 2,
        }


def shift_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """One sentence, two of one length, unequal ones, a column of padding, then random ones."""
    rng = np.random.default_rng(seed)
    yield {"targets": np.array([[4, 5, 6]])}
    yield {"targets": np.array([[4, 5], [6, 7]])}
    yield {"targets": np.array([[4, 5, 6], [7, 0, 0]])}
    yield {"targets": np.array([[4, 5, 0, 0], [6, 0, 0, 0]])}
    for B, T in [(3, 2), (2, 5), (6, 9), (12, 20)] if large else [(3, 2), (2, 5)]:
        targets = rng.integers(3, 10, size=(B, T))
        lengths = rng.integers(1, T + 1, size=B)
        lengths[-1] = T
        yield {"targets": np.where(np.arange(T) < lengths[:, None], targets, PAD)}


def greedy_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's three words, a second sentence of one word and padding, then random ones.

    Last, the chapter's words with two steps, with large numbers in the padding, and with a word
    that scores far below zero.
    """
    rng = np.random.default_rng(seed)
    embeddings = np.array([[0.0, 0.0], [0, 1], [0.5, 1.5], [1, 0], [-1, -2], [-1, 2]])
    turned = np.array([[0.0, 0, 0, 0, -1, 1], [0, 0, 0, 0, -2, 0]])
    pencil = {"E": embeddings, "W": PLAIN, "W_c": turned, "longest": 6}
    yield {
        "annotations": THREE[None],
        "lengths": np.array([3]),
        "states": np.zeros((1, 2)),
    } | pencil
    two = np.stack([THREE, [[2.0, 0.0], [3.0, 3.0], [3.0, -2.0]]])
    case = {"annotations": two, "lengths": np.array([3, 1]), "states": np.zeros((2, 2))} | pencil
    yield case
    shapes = [(1, 2, 2, 2), (2, 3, 2, 2), (2, 4, 3, 2), (3, 5, 2, 4)]
    for B, S, D, E in [*shapes, (8, 7, 4, 5)] if large else shapes:
        yield _random_decoder(rng, B, S, D, E)
    yield case | {"longest": 2}
    loud = two.copy()
    loud[1, 1:] = [[4000.0, 4000.0], [4000.0, -4000.0]]
    yield case | {"annotations": loud}
    yield case | {"annotations": np.where(abs(loud) == 4000.0, loud * 1e9, loud)}
    low = two.copy()
    low[1, 0] = [0.0, -100.0]  # its score is -100, 100 and 100
    yield case | {"annotations": low}


def _random_decoder(rng, B, S, D, E) -> dict:
    """A case with several words, no padding among them; of several sentences some end, some not."""
    while True:
        case = {
            "annotations": rng.normal(size=(B, S, D)) * 2,
            "lengths": np.array([*rng.integers(1, S + 1, size=B - 1), S]),
            "states": rng.normal(size=(B, D)),
            "E": np.vstack([np.zeros((1, E)), rng.normal(size=(7, E))]),
            "W": rng.normal(size=(D, 2 * E)) / 2,
            "W_c": rng.normal(size=(E, 2 * D + E)) * np.repeat([1, 2], [2 * D, E]),
            "longest": 6,
        }
        ids, _ = greedy_loops(**case)
        ends = (ids == EOS).any(1)
        clean = all(PAD not in row[: [*row, EOS].index(EOS)] for row in ids.tolist())
        varied = len(np.unique(ids)) > 3 and not (ids[:, 0] == EOS).any()
        if clean and varied and (B == 1 or (ends.any() and not ends.all())):
            return case
