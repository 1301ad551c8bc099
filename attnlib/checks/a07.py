"""Assignment 7, where did the captioner look: what is right, and cases that grow (chapter 7).

The loops here say what is right, and are slow and plain on purpose; nothing else may call them.
Shapes: B captions, T words, S cells of a grid (rows, columns), counted row by row; pictures are
(height, width), cut evenly into the boxes of the cells.
"""

from collections.abc import Iterator

import numpy as np

# --- what is right ---


def spread_loops(weights, grid, size):
    """Maps (T, height, width): the weight of each cell, shared by the pixels of its box."""
    (rows, columns), (height, width) = grid, size
    h, w = height // rows, width // columns
    maps = np.zeros((len(weights), height, width))
    for t, y, x in np.ndindex(maps.shape):
        cell = (y // h) * columns + x // w
        maps[t, y, x] = weights[t, cell] / (h * w)
    return maps


def read_loops(h, cells, f, b):
    """Weights (B, S), gates (B,) and what is read (B, D): chapter 7's step, with the dot score."""
    weights, gates, read = np.zeros(cells.shape[:2]), np.zeros(len(h)), np.zeros(h.shape)
    for i in range(len(h)):
        weights[i] = _softmax([sum(h[i] * cell) for cell in cells[i]])
        gates[i] = 1 / (1 + np.exp(-(sum(f * h[i]) + b)))
        for s in range(len(cells[i])):
            read[i] += gates[i] * weights[i, s] * cells[i, s]
    return weights, gates, read


def _softmax(scores):
    exps = [np.exp(e - max(scores)) for e in scores]
    return np.array([x / sum(exps) for x in exps])


def evenness_loops(scores, lengths, kappa):
    """The doubly stochastic term of each caption (B,), and its slopes by the scores (B, T, S)."""
    penalties, slopes = np.zeros(len(scores)), np.zeros(scores.shape)
    for b in range(len(scores)):
        weights = [_softmax(scores[b, t]) for t in range(lengths[b])]
        got = [sum(a[s] for a in weights) for s in range(scores.shape[2])]
        penalties[b] = sum((kappa - x) ** 2 for x in got)
        for t, a in enumerate(weights):
            by_weight = [-2 * (kappa - x) for x in got]
            mean = sum(a[s] * by_weight[s] for s in range(len(a)))
            for s in range(len(a)):
                slopes[b, t, s] = a[s] * (by_weight[s] - mean)
    return penalties, slopes


def marks_loops(weights, masks, grid):
    """Hits (T,) of the pointing game, by the rule of the half, and the mass inside (T,)."""
    rows, columns = grid
    h, w = masks.shape[1] // rows, masks.shape[2] // columns
    hits, inside = np.zeros(len(weights)), np.zeros(len(weights))
    for t, row in enumerate(weights):
        covered = [
            int(masks[t, y * h : (y + 1) * h, x * w : (x + 1) * w].sum())
            for y in range(rows)
            for x in range(columns)
        ]
        on = [n > 0 and 2 * n >= max(covered) for n in covered]
        most = [s for s in range(len(row)) if row[s] == max(row)]
        hits[t] = sum(on[s] for s in most) / len(most)
        inside[t] = sum(row[s] * covered[s] / (h * w) for s in range(len(row)))
    return hits, inside


# --- cases, from small to large ---


def spread_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's four cells, boxes that are no squares, grids that are none, several words."""
    rng = np.random.default_rng(seed)
    red = np.exp([2.0, 0, 0, 0]) / (np.exp(2.0) + 3)
    yield {"weights": red[None], "grid": (2, 2), "size": (4, 4)}
    one = np.array([[0.1, 0.4, 0.2, 0.3]])
    yield {"weights": one, "grid": (2, 2), "size": (2, 2)}
    yield {"weights": one, "grid": (2, 2), "size": (2, 6)}
    sizes = [(1, 2, 3, 2, 3), (1, 3, 2, 6, 6), (2, 1, 4, 2, 4), (3, 2, 3, 6, 6)]
    for T, rows, columns, height, width in [*sizes, *([(5, 4, 7, 8, 21)] if large else [])]:
        weights = _rows(rng, T, rows * columns)
        yield {"weights": weights, "grid": (rows, columns), "size": (height, width)}
    gated = _rows(rng, 2, 6) * [[0.5], [0.9]]
    yield {"weights": gated, "grid": (3, 2), "size": (9, 4)}


def _rows(rng, T, S):
    rows = rng.random((T, S)) ** 3 + 0.01
    return rows / rows.sum(1, keepdims=True)


def read_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """The chapter's four cells and a gate at 0.1, then batches, then scores too loud for exp."""
    rng = np.random.default_rng(seed)
    cells = np.array([[[2.0, 0], [0, 0], [0, 0], [0, 2]]])
    nearly_shut = np.array([-np.log(9.0), 0.0])
    yield {"h": np.array([[1.0, 0.0]]), "cells": cells, "f": nearly_shut, "b": 0.0}
    yield {"h": np.array([[1.0, 1.0]]), "cells": cells, "f": nearly_shut, "b": 1.0}
    for B, S, D in [(2, 2, 2), (1, 3, 4), (3, 5, 2), *([(5, 9, 6), (1, 1, 1)] if large else [])]:
        yield _batch(rng, B, S, D)
    loud = np.array([[[1000.0, 0], [1001, 0]]])
    yield {"h": np.array([[1.0, 0.0]]), "cells": loud, "f": nearly_shut, "b": 0.0}
    far = np.array([[[1000.0, 0], [-1000, 0]]])
    yield {"h": np.array([[1.0, 0.0]]), "cells": far, "f": nearly_shut, "b": 0.0}
    two = {"h": np.array([[1.0, 0.0], [-1, 0]]), "cells": np.concatenate([loud, loud])}
    yield two | {"f": nearly_shut, "b": 0.0}
    yield _batch(rng, 2, 4, 3) | {"cells": rng.normal(size=(2, 4, 3)) * 1000}


def _batch(rng, B, S, D) -> dict:
    h, cells = rng.normal(size=(B, D)), rng.normal(size=(B, S, D))
    return {"h": h, "cells": cells, "f": rng.normal(size=D), "b": float(rng.normal())}


def evenness_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """Three steps over the chapter's cells, both targets, padding, a target of 10,000, batches."""
    rng = np.random.default_rng(seed)
    steps = np.array([[[2.0, 0, 0, 0], [2, 0, 0, 0], [2, 0, 0, 2]]])
    yield {"scores": steps, "lengths": np.array([3]), "kappa": 1.0}
    yield {"scores": steps, "lengths": np.array([3]), "kappa": 0.75}
    yield {"scores": steps, "lengths": np.array([2]), "kappa": 1.0}
    yield {"scores": steps, "lengths": np.array([3]), "kappa": 1e4}
    sizes = [(2, 3, 3), (3, 4, 2), (2, 2, 5)]
    for B, T, S in [*sizes, *([(4, 9, 16), (1, 1, 1)] if large else [])]:
        lengths = rng.integers(1, T + 1, size=B)
        lengths[0] = T
        yield {"scores": rng.normal(size=(B, T, S)), "lengths": lengths, "kappa": T / S}


def marks_cases(seed: int, large: bool = False) -> Iterator[dict]:
    """Half a picture, the chapter's small cross, a thin thing, ties, baselines, random masks.

    Among them are two weights that nearly tie, a row that sums to a half, and a thing unseen.
    """
    rng = np.random.default_rng(seed)
    dot = np.array([[[True, True, False, False]] * 2])
    yield {"weights": np.array([[0.75, 0.25]]), "masks": dot, "grid": (1, 2)}
    looks = np.array([[0.2, 0.3, 0.2, 0.2, 0.1], [0.2, 0.2, 0.3, 0.2, 0.1]])
    yield {"weights": looks, "masks": _strip(2, 4, 5, [16, 12, 9, 0, 0]), "grid": (1, 5)}
    looks = np.array([[0.1, 0.5, 0.2, 0.1, 0.1]])
    yield {"weights": looks, "masks": _strip(1, 4, 5, [16, 4, 9, 0, 0]), "grid": (1, 5)}
    cross = _strip(3, 10, 10, [53, 59, 39, 28])
    looks = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.4, 0.3], [0.1, 0.2, 0.3, 0.4]])
    yield {"weights": looks, "masks": cross, "grid": (1, 4)}
    wide = np.array([[[True, True, True, False]] * 2])
    yield {"weights": np.array([[0.4, 0.6]]), "masks": wide, "grid": (1, 2)}
    thin = np.zeros((2, 4, 6), dtype=bool)
    thin[0, 0, 0], thin[1, :, 2:] = True, True
    yield {
        "weights": np.array([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3]]),
        "masks": thin,
        "grid": (1, 3),
    }
    first = np.array([[[True, False, False]]])
    yield {"weights": np.array([[0.399, 0.401, 0.2]]), "masks": first, "grid": (1, 3)}
    yield {"weights": np.array([[0.3998, 0.4003, 0.1999]]), "masks": first, "grid": (1, 3)}
    quarter = np.array([[[True] * 5 + [False] * 3]])  # 4 pixels of one cell, one of the other
    yield {"weights": np.array([[0.0, 1.0]]), "masks": quarter, "grid": (1, 2)}
    yield {"weights": np.array([[0.3, 0.1, 0.1]]), "masks": first, "grid": (1, 3)}
    yield {"weights": np.array([[0.5, 0.3, 0.2]]), "masks": ~first & False, "grid": (1, 3)}
    corner = np.zeros((1, 4, 4), dtype=bool)
    corner[0, :2, 2:] = True
    yield {"weights": np.array([[0.1, 0.4, 0.2, 0.3]]), "masks": corner, "grid": (2, 2)}
    left = np.zeros((1, 4, 4), dtype=bool)
    left[0, :, :2] = True
    both = np.concatenate([corner, left])
    yield {"weights": np.full((2, 4), 0.25), "masks": both, "grid": (2, 2)}
    middle = np.zeros((1, 8))
    middle[0, [1, 2, 5, 6]] = 0.25
    above = np.zeros((1, 4, 8), dtype=bool)
    above[0, :2, 4:] = True
    yield {"weights": middle, "masks": above, "grid": (2, 4)}
    sizes = [(2, 3, 2, 2), (3, 2, 3, 3)]
    for T, rows, columns, side in [*sizes, *([(6, 5, 4, 4)] if large else [])]:
        masks = rng.random((T, rows * side, columns * side)) < rng.random((T, 1, 1)) * 0.6
        masks[:, 0, 0] = True
        weights = _rows(rng, T, rows * columns)
        yield {"weights": weights, "masks": masks, "grid": (rows, columns)}


def _strip(T, height, width, pixels):
    """The same mask for T words: a row of boxes, each with so many pixels of the thing."""
    boxes = np.arange(height * width) < np.array(pixels)[:, None]
    return np.repeat(np.hstack(list(boxes.reshape(-1, height, width)))[None], T, axis=0)
