"""Softmax lookup: a query and a few keys in the plane, to drag; a temperature to turn."""

from typing import Any

import torch
import traitlets as tr

from attnlib.explore.figure import Figure, FigureError, numbers, one_of, within
from attnlib.masks import masked_softmax
from attnlib.settings import make_score

REACH = 3.0


class SoftmaxLookup(Figure):
    r"""Look up values by how well their keys match a query.

    The score is the dot product or the scaled one, the weights are
    :math:`\mathrm{softmax}(e / \tau)`, the context is the weighted sum of the values.

    Parameters
    ----------
    query : two numbers between -3 and 3
    keys : 2 to 6 pairs of numbers between -3 and 3
    values : as many rows as keys, each of 1 to 3 numbers
    labels : as many short names as keys; k0, k1, ... unless given
    temperature : float from 0.1 to 5
    score : "dot" or "scaled_dot"

    Raises
    ------
    FigureError
        (a ValueError) when these do not fit together.

    Examples
    --------
    >>> figure = SoftmaxLookup(query=[1, 0], keys=[[2, 0], [0, 2]], values=[[1], [0]])
    >>> figure
    SoftmaxLookup(2 keys, dot, temperature 1.0)
    >>> [round(a, 3) for a in figure.weights], round(figure.context[0], 3)
    ([0.881, 0.119], 0.881)
    """

    module = "softmax_lookup"
    state_names = ("query", "key_vectors", "values", "labels", "temperature", "score")

    query: tr.List[Any] = tr.List().tag(sync=True)
    key_vectors: tr.List[Any] = tr.List().tag(sync=True)  # `keys` is a name that ipywidgets uses
    values: tr.List[Any] = tr.List().tag(sync=True)
    labels: tr.List[Any] = tr.List().tag(sync=True)
    temperature = tr.Float(1.0).tag(sync=True)
    score = tr.Unicode("dot").tag(sync=True)

    def __init__(
        self,
        query=(1.6, 1.0),
        keys=((2.2, -0.4), (1.0, 1.9), (-1.5, 1.3), (-0.8, -1.9)),
        values=((1.0, 0.1), (0.3, 0.9), (0.0, 0.5), (0.6, 0.0)),
        labels=None,
        temperature=1.0,
        score="dot",
    ):
        keys = numbers("keys", keys, None, 2)
        names = [f"k{s}" for s in range(len(keys))] if labels is None else list(labels)
        super().__init__(
            query=numbers("query", query, 2),
            key_vectors=keys,
            values=numbers("values", values, None, None),
            labels=names,
            temperature=float(temperature),
            score=score,
        )

    @tr.validate("query")
    def _check_query(self, proposal):
        return in_plane("query", numbers("query", proposal.value, 2))

    @tr.validate("key_vectors")
    def _check_keys(self, proposal):
        keys = numbers("keys", proposal.value, None, 2)
        if not 2 <= len(keys) <= 6:
            raise FigureError(f"keys must be 2 to 6 points, got {len(keys)}")
        return [in_plane(f"keys[{s}]", key) for s, key in enumerate(keys)]

    @tr.validate("values")
    def _check_values(self, proposal):
        values = numbers("values", proposal.value, None, None)
        widths = sorted({len(value) for value in values})
        if len(widths) > 1 or widths[0] > 3:
            raise FigureError(f"values must be rows of one width from 1 to 3, got widths {widths}")
        if len(values) != len(self.key_vectors):
            raise FigureError(f"{len(values)} values for {len(self.key_vectors)} keys")
        return values

    @tr.validate("labels")
    def _check_labels(self, proposal):
        if len(proposal.value) != len(self.key_vectors):
            raise FigureError(f"{len(proposal.value)} labels for {len(self.key_vectors)} keys")
        return [str(label) for label in proposal.value]

    @tr.validate("temperature")
    def _check_temperature(self, proposal):
        return within("temperature", proposal.value, 0.1, 5)

    @tr.validate("score")
    def _check_score(self, proposal):
        return one_of("score", proposal.value, ("dot", "scaled_dot"))

    def _tensor(self, name: str) -> torch.Tensor:
        return torch.tensor(getattr(self, name), dtype=torch.float64)

    @property
    def scores(self) -> list[float]:
        """The score of every key (S,), before the temperature divides it."""
        score = make_score(self.score, query_dim=2, key_dim=2)
        return score(self._tensor("query")[None, None], self._tensor("key_vectors")[None])[
            0, 0
        ].tolist()

    @property
    def weights(self) -> list[float]:
        """The weight of every key (S,)."""
        scores = torch.tensor(self.scores, dtype=torch.float64) / self.temperature
        return masked_softmax(scores[None, None])[0, 0].tolist()

    @property
    def context(self) -> list[float]:
        """The weighted sum of the values (D_v,)."""
        return (torch.tensor(self.weights, dtype=torch.float64) @ self._tensor("values")).tolist()

    def table(self):
        rows = [
            [label, pair(key), f"{e:.3f}", f"{a:.3f}", pair(value)]
            for label, key, e, a, value in zip(
                self.labels,
                self.key_vectors,
                self.scores,
                self.weights,
                self.values,
                strict=True,
            )
        ]
        rows.append(["context", "", "", "", pair(self.context, 3)])
        caption = f"Query {pair(self.query)}, {self.score.replace('_', ' ')} score, temperature "
        return caption + f"{self.temperature:.1f}", ["", "key", "score", "weight", "value"], rows

    def __repr__(self):
        count, score = len(self.key_vectors), self.score.replace("_", " ")
        return f"SoftmaxLookup({count} keys, {score}, temperature {self.temperature:.1f})"


def in_plane(name: str, point: list[float]) -> list[float]:
    """The point, if the plane shows it."""
    if any(abs(x) > REACH for x in point):
        raise FigureError(f"{name} must lie between -{REACH:g} and {REACH:g}, got {point}")
    return point


def pair(vector: list[float], digits: int = 2) -> str:
    """A vector as text."""
    return "(" + ", ".join(f"{x:.{digits}f}" for x in vector) + ")"
