"""Other weights, the same output: how far can they go? For `instruments.py` (Brunner et al. 2020).

The weights of one head for one query are moved so that they stay weights (none is negative, the sum
is kept) and the head's average stays what it was, exactly or within a share of its length. By
linear programming: the least weight that the most attended key can be left with (exact), and
weights as far away as possible in total variation. That is a convex function to be made large, for
which a linear program climbs to a local end: a lower bound of how far one can go.
"""

import numpy as np
import torch
from scipy.optimize import linprog

from attnlib import attribution, pretrained
from attnlib.data.batches import collate
from attnlib.data.tokenizer import EOS

STARTS = 3  # of the climb
PRECISION = 1e-5  # what counts as the same output, of its length


def feasible(values: np.ndarray, weights: np.ndarray, slack: float) -> dict:
    """The constraints on moved weights, as `linprog` takes them.

    `slack` is the share of the output's length by which it may move; 0 for not at all.
    """
    _, S = len(values), len(weights)
    conditions = {"A_eq": np.ones((1, S)), "b_eq": [weights.sum()], "bounds": (0, None)}
    U, sizes, _ = np.linalg.svd(values, full_matrices=False)
    kept = sizes > 1e-12 * sizes[0]
    space = U[:, kept] * sizes[kept]  # (S, rank): the values in a basis of their own
    if slack == 0:
        conditions["A_eq"] = np.vstack([space.T, np.ones((1, S))])
        conditions["b_eq"] = [*(weights @ space), weights.sum()]
        return conditions
    reach = slack * np.linalg.norm(weights @ values) / np.sqrt(space.shape[1])
    near = weights @ space
    conditions["A_ub"] = np.vstack([space.T, -space.T])
    conditions["b_ub"] = np.concatenate([near + reach, reach - near])
    return conditions


def least_top(values: np.ndarray, weights: np.ndarray, slack: float = 0.0) -> float:
    """The least weight that the most attended key can have, everything else as it must be."""
    cost = np.zeros(len(weights))
    cost[weights.argmax()] = 1
    found = linprog(cost, **feasible(values, weights, slack), method="highs")
    return float(found.fun) if found.success else float(weights.max())


def furthest(
    values: np.ndarray, weights: np.ndarray, slack: float = 0.0, rng=None, starts: int = STARTS
) -> np.ndarray:
    """Weights far from these with the same output: each step moves along the signs of the last."""
    rng = np.random.default_rng(0) if rng is None else rng
    conditions, best = feasible(values, weights, slack), weights
    for start in range(starts):
        signs = rng.choice([-1.0, 1.0], len(weights))
        if start == 0:
            signs = np.ones(len(weights))
            signs[weights.argmax()] = -1
        reached = -1.0
        while True:
            found = linprog(-signs, **conditions, method="highs")
            if not found.success:
                break
            moved = np.clip(found.x, 0, None)
            far = np.abs(moved - weights).sum() / 2
            if far <= reached + 1e-9:
                break
            reached, signs = far, np.sign(moved - weights)
            if far > np.abs(best - weights).sum() / 2:
                best = moved
    return best


def long_source(model: pretrained.Pretrained, texts, length: int) -> list[int]:
    """The first ids of captions one after another, so many with </s>."""
    ids: list[int] = []
    for text in texts:
        ids += model.ids(text, "a caption")
        if len(ids) >= length - 1:
            return [*ids[: length - 1], EOS]
    raise ValueError(f"{len(ids)} ids, not {length}")


@torch.no_grad()
def heads(model: pretrained.Pretrained, source: list[int], target: list[int]):
    """Each block's head: values (S, D / H) and weights (T, S) of the cross-attention, float64."""
    ids, lengths = torch.tensor([source]), torch.tensor([len(source)])
    given = collate([([], target)]).target_in[:, :-1]
    maps = model.model.attention_maps(ids, lengths, given)
    memory = model.model.encode(ids, lengths)
    for block, prepared in enumerate(memory.prepared):
        for head in range(maps.cross.shape[2]):
            values = prepared.values[0, head].double()
            weights = maps.cross[0, block, head].double()
            yield block, head, values, weights / weights.sum(-1, keepdim=True)


def measure(model, sources, targets, lengths, number: int, queries: int, slacks) -> list[dict]:
    """By length of the source: the null space, and how far weights can move with the same output.

    `number` sources of each length, each head of the last block, `queries` target positions.
    """
    rows, last = [], len(model.model.decoder.stack.blocks) - 1
    for length in lengths:
        rng = np.random.default_rng(length)
        free, moved, error = [], {slack: [] for slack in slacks}, 0.0
        for i in range(number):
            some = slice(8 * i, 8 * i + 8)
            source = long_source(model, sources[some], length)
            target = long_source(model, targets[some], length)[:-1]
            for block, _, values, weights in heads(model, source, target):
                free.append(len(attribution.free_directions(values, 1e-9)))
                if block != last:
                    continue
                for t in rng.choice(len(weights), queries, replace=False):
                    x, a = values.numpy(), weights[t].numpy()
                    for slack in slacks:
                        fixed = slack == 0 and not free[-1]  # nothing can move
                        far = a if fixed else furthest(x, a, slack, rng)
                        if slack == 0:
                            apart = np.linalg.norm((far - a) @ x) / np.linalg.norm(a @ x)
                            error = max(error, float(apart))
                        distance = float(np.abs(far - a).sum() / 2)
                        least = float(a.max()) if fixed else least_top(x, a, slack)
                        moved[slack].append((i, distance, float(a.max()), least))
        assert error < PRECISION, error
        row = {"subwords": length, "sources": number, "heads": len(free) // number}
        row["free_directions"] = [min(free), max(free)]
        row["rows"] = len(moved[slacks[0]])
        row["largest_weight"] = round(float(np.mean([x[2] for x in moved[slacks[0]]])), 4)
        row["output_moved"] = float(f"{error:.1e}")
        for slack in slacks:
            of_source = [[x for x in moved[slack] if x[0] == i] for i in range(number)]
            row[f"slack {slack:g}"] = {
                "total_variation": [[x[1] for x in its] for its in of_source],
                "least_of_the_largest": [[x[3] for x in its] for its in of_source],
            }
        rows.append(row)
        print(length, row["free_directions"], flush=True)
    return rows


def recurrent_rank(model, sources, length: int, number: int) -> dict:
    """Free directions of a recurrent translator's annotations at the same length."""
    free = []
    for i in range(number):
        ids = torch.tensor([long_source(model, sources[8 * i : 8 * i + 8], length)])
        with torch.no_grad():
            memory = model.model.encode(ids, torch.tensor([length]))
        free.append(len(attribution.free_directions(memory.annotations[0].double(), 1e-9)))
    return {"subwords": length, "sources": number, "free_directions": [min(free), max(free)]}
