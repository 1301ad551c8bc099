"""The reader's own adversary: move the weights of a sentence, and keep the prediction."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import traitlets as tr
from torch import Tensor

from attnlib import adversary
from attnlib.attribution import jensen_shannon
from attnlib.evidence import AttentionClassifier, Labelled, encode
from attnlib.explore.figure import Figure, FigureError, index, numbers, one_of, rounded, within
from attnlib.explore.rows import models_of

LABELS = ("0", "1")
MOST = 40  # words


class MovedWeights(Figure):
    r"""Other weights, the same prediction: how far can you go? (Jain and Wallace 2019, 4.2.2).

    A classifier attended to each of several sentences with weights :math:`a_t`; word t, had it all
    the weight, would give the logit :math:`l_t`, and the prediction is
    :math:`\hat y = \sigma(\sum_t a_t l_t)`. The reader moves the weights, one bar a word, and sees
    how far they are from the model's (Jensen-Shannon divergence) and how much the prediction has
    changed (total variation distance). The computer's answer is the furthest there is,
    `adversary.furthest`.

    Parameters
    ----------
    sentences : sequence of dict
        Each with ``words``, ``evidence`` (positions) and ``readings``: by the name of a model its
        ``weights`` and ``alone``, the numbers :math:`l_t`, one a word. `readings_of` makes them.
    labels : two str
        What the prediction calls the labels 0 and 1.
    sentence : int
        Which one is shown.
    model : str, optional
        The name of a model; the first unless given.
    moved : sequence of float, optional
        The reader's weights; the model's own unless given.
    epsilon : float
        How much the prediction may change.

    Raises
    ------
    FigureError
        (a ValueError) when these do not fit together.

    Examples
    --------
    >>> reading = {"weights": [0.1, 0.8, 0.1], "alone": [2.0, 2.5, -1.0]}
    >>> said = {"words": ["so", "very", "good"], "evidence": [2], "readings": {"a GRU": reading}}
    >>> figure = MovedWeights([said], moved=[0.8, 0.1, 0.1])
    >>> figure
    MovedWeights('so very good', a GRU: divergence 0.310, change 0.039 of at most 0.05)
    >>> figure.furthest, round(figure.distance(figure.furthest), 3)
    ([1.0, 0.0, 0.0], 0.526)
    """

    module = "moved_weights"
    state_names = ("sentences", "labels", "sentence", "model", "moved", "epsilon")

    sentences: tr.List[Any] = tr.List(read_only=True).tag(sync=True)
    labels: tr.List[Any] = tr.List(read_only=True).tag(sync=True)
    sentence = tr.Int(0).tag(sync=True)
    model = tr.Unicode().tag(sync=True)
    moved: tr.List[Any] = tr.List().tag(sync=True)
    epsilon = tr.Float(0.05).tag(sync=True)

    def __init__(
        self,
        sentences: Sequence[Mapping[str, Any]],
        labels: Sequence[str] = LABELS,
        sentence: int = 0,
        model: str | None = None,
        moved: Sequence[float] = (),
        epsilon: float = 0.05,
    ):
        if not sentences:
            raise FigureError("there is no sentence to show")
        if len(labels) != 2:
            raise FigureError(f"labels must be two names, got {list(labels)!r}")
        checked = [_checked(each, i) for i, each in enumerate(sentences)]
        names = models_of(checked, "sentence")
        self.set_trait("sentences", checked)
        self.set_trait("labels", list(labels))
        super().__init__(
            sentence=index("sentence", sentence, len(checked)),
            model=names[0] if model is None else model,
            moved=list(moved),
            epsilon=epsilon,
        )

    @tr.validate("sentence")
    def _check_sentence(self, proposal):
        return index("sentence", proposal.value, len(self.sentences))

    @tr.validate("model")
    def _check_model(self, proposal):
        return one_of("model", proposal.value, list(self.sentences[0]["readings"]))

    @tr.validate("epsilon")
    def _check_epsilon(self, proposal):
        return rounded(within("epsilon", proposal.value, 0, 1))

    @tr.validate("moved")
    def _check_moved(self, proposal):
        if not proposal.value:
            return []
        S = len(self.sentences[self.sentence]["words"])
        return rounded(_weights("moved", proposal.value, S))

    # --- what the page computes

    @property
    def _reading(self) -> dict[str, list[float]]:
        return self.sentences[self.sentence]["readings"][self.model]

    @property
    def own(self) -> list[float]:
        """The model's weights, divided by their sum: a page stores four decimals."""
        return _shares(self._reading["weights"])

    @property
    def weights(self) -> list[float]:
        """The reader's weights; the model's own as long as there are none."""
        return _shares(self.moved) if self.moved else self.own

    def predict(self, weights: Sequence[float]) -> float:
        """The probability of label 1 under these weights."""
        logit = sum(a * e for a, e in zip(weights, self._reading["alone"], strict=True))
        return torch.tensor(logit, dtype=torch.float64).sigmoid().item()

    @property
    def change(self) -> float:
        """The total variation distance of the two predictions."""
        return abs(self.predict(self.weights) - self.predict(self.own))

    def distance(self, weights: Sequence[float]) -> float:
        """The Jensen-Shannon divergence of these weights from the model's own, in nats."""
        return jensen_shannon(_row(self.own), _row(weights)).item()

    @property
    def divergence(self) -> float:
        """The same of the reader's weights."""
        return self.distance(self.weights)

    @property
    def furthest(self) -> list[float]:
        """The weights furthest from the model's own that keep the prediction."""
        alone, own = _row(self._reading["alone"]), _row(self.own)
        everywhere = torch.ones_like(own).bool()
        return adversary.furthest(alone, own, everywhere, self.epsilon).weights[0].tolist()

    # --- as text

    def table(self):
        said = self.sentences[self.sentence]
        alone = [1 / (1 + math.exp(-e)) for e in self._reading["alone"]]
        columns = [self.own, self.weights, self.furthest, alone]
        rows = [
            [word + (" (evidence)" if t in said["evidence"] else ""), *map(_short, numbers)]
            for t, (word, *numbers) in enumerate(zip(said["words"], *columns, strict=True))
        ]
        head = ["", "the model’s weight", "your weight", "the furthest", "prediction alone"]
        before, after = (self.predict(a) for a in (self.own, self.weights))
        caption = (
            f"{self.model}: the probability of “{self.labels[1]}” is {_short(before)}; with your "
            f"weights {_short(after)}, at a divergence of {_short(self.divergence)} of at most "
            f"{_short(math.log(2))}; the furthest is {_short(self.distance(self.furthest))}"
        )
        return caption, head, rows

    def __repr__(self):
        words = " ".join(self.sentences[self.sentence]["words"])
        return (
            f"MovedWeights({words!r}, {self.model}: divergence {_short(self.divergence)}, "
            f"change {_short(self.change)} of at most {self.epsilon:g})"
        )


@torch.no_grad()
def readings_of(
    models: Mapping[str, AttentionClassifier], said: Sequence[Labelled], words
) -> list[dict]:
    """What `MovedWeights` shows of sentences: each with its reading by each of the models.

    Parameters
    ----------
    models : mapping of str to AttentionClassifier
    said : sequence of Labelled
    words : Vocabulary
        The one that the models were trained with.
    """
    texts = encode(said, words)
    readings: list[dict[str, dict]] = [{} for _ in said]
    for name, model in models.items():
        reading = model(texts)
        alone = model.alone(reading.states)
        for i, n in enumerate(texts.lengths.tolist()):
            weights = reading.weights[i, :n].tolist()
            readings[i][name] = {"weights": weights, "alone": alone[i, :n].tolist()}
    return [
        {"words": list(one.words), "evidence": sorted(one.evidence), "readings": each}
        for one, each in zip(said, readings, strict=True)
    ]


def _checked(each: Mapping[str, Any], i: int) -> dict:
    """One sentence as a page stores it."""
    words = list(each["words"])
    if not 2 <= len(words) <= MOST:
        raise FigureError(f"sentence {i} must have 2 to {MOST} words, got {len(words)}")
    if not each["readings"]:
        raise FigureError(f"sentence {i} has no reading")
    readings = {
        name: {
            "weights": rounded(_weights(f"weights of {name}", reading["weights"], len(words))),
            "alone": rounded(numbers(f"alone of {name}", reading["alone"], len(words))),
        }
        for name, reading in each["readings"].items()
    }
    evidence = [index(f"evidence of sentence {i}", t, len(words)) for t in each["evidence"]]
    return {"words": words, "evidence": evidence, "readings": readings}


def _weights(name: str, value, S: int) -> list[float]:
    """S numbers of which none is negative, that add up to more than 0."""
    found = numbers(name, value, S)
    if min(found) < 0 or sum(found) < 0.001:
        raise FigureError(f"{name} must not be negative and must add up to more than 0")
    return found


def _shares(weights: Sequence[float]) -> list[float]:
    return [a / sum(weights) for a in weights]


def _row(values: Sequence[float]) -> Tensor:
    return torch.tensor([list(values)], dtype=torch.float64)


def _short(x: float) -> str:
    return f"{rounded(x, 3):.3f}"
