r"""An average against a choice, where the right choice is known: three tasks and one small model.

Every task gives S keys with a value each and asks for something that one of the values tells:

* `needles`: one key of twelve matches the query; the label is written on its value;
* `glimpses`: one tile of nine holds a handwritten digit, the others scraps of digits;
* `either`: two of four objects are marked, and the label is colour and shape of one of the two.

`Chooser` attends once, with any selection, and reads the label off the context; `fit` trains it.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from attnlib import scores, selection
from attnlib.attention import Attention
from attnlib.settings import make_selection

HOW = ("soft", "hard", "no baseline", "gumbel", "marginal")
DECAY = 0.9  # of the baseline, a batch (Xu et al. 2015, section 4.1)


@dataclass(frozen=True)
class Task:
    """N questions.

    queries (N, 1, D_q), keys (N, S, D_k), values (N, S, D_v); gold (N, S), True for the right keys;
    says (N, S, L), what each key's value says, one of `classes[l]` for each of L answers; labels
    (N, L), the same of a right key.
    """

    queries: Tensor
    keys: Tensor
    values: Tensor
    gold: Tensor
    says: Tensor
    labels: Tensor
    classes: tuple[int, ...]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, rows) -> "Task":
        fields = ("queries", "keys", "values", "gold", "says", "labels")
        return dataclasses.replace(self, **{name: getattr(self, name)[rows] for name in fields})


def needles(number: int, seed: int, keys: int = 12, width: int = 8, noise: float = 0.3) -> Task:
    """A needle among distractors: the key that, turned by a fixed rotation, is nearly the query.

    Every value names one of ten classes; the label is the class of the needle.

    >>> task = needles(100, seed=0)
    >>> task.keys.shape, int(task.gold.sum()), bool((task.values[task.gold].argmax(-1, True) ==
    ...     task.labels).all())
    (torch.Size([100, 12, 8]), 100, True)
    """
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(width, width)))[0]
    places, classes = rng.integers(keys, size=number), rng.integers(10, size=(number, keys))
    found = rng.normal(size=(number, keys, width))
    rows = np.arange(number)
    queries = found[rows, places] @ rotation + noise * rng.normal(size=(number, width))
    return Task(
        _floats(queries[:, None]),
        _floats(found),
        _floats(np.eye(10)[classes]),
        torch.tensor(np.arange(keys) == places[:, None]),
        torch.tensor(classes[:, :, None]),
        torch.tensor(classes[rows, places][:, None]),
        (10,),
    )


def glimpses(number: int, seed: int, train: bool = True, tiles: int = 9) -> Task:
    """A digit among clutter: tiles of 8 by 8 pixels, all but one of them made of other digits.

    The digits are scikit-learn's; the first 1,200 are for training, the other 597 for testing. A
    tile of clutter has its four quarters from four digits.
    Keys and values are the same pixels, from 0 to 1; the query is always 1.

    Raises
    ------
    ImportError
        If scikit-learn is missing.
    """
    from sklearn.datasets import load_digits

    images, names = load_digits(return_X_y=True)
    chosen = slice(None, 1200) if train else slice(1200, None)
    images, names = images[chosen].reshape(-1, 8, 8) / 16, names[chosen]
    rng = np.random.default_rng(seed)
    shown = images[rng.integers(len(images), size=(number, tiles, 4))]  # four digits a tile
    quarters = [(slice(4 * i, 4 * i + 4), slice(4 * j, 4 * j + 4)) for i in (0, 1) for j in (0, 1)]
    found = np.empty((number, tiles, 8, 8))
    for i, (rows, columns) in enumerate(quarters):
        found[:, :, rows, columns] = shown[:, :, i, rows, columns]
    places, digits = rng.integers(tiles, size=number), rng.integers(len(images), size=number)
    found[np.arange(number), places] = images[digits]
    pixels = _floats(found.reshape(number, tiles, 64))
    return Task(
        torch.ones(number, 1, 1),
        pixels,
        pixels,
        torch.tensor(np.arange(tiles) == places[:, None]),
        torch.tensor(names[digits])[:, None, None].expand(-1, tiles, -1),
        torch.tensor(names[digits])[:, None],
        (10,),
    )


def either(number: int, seed: int, objects: int = 4, kinds: int = 6) -> Task:
    """Two marked objects of four: name the colour and the shape of either, but of one and the same.

    A value is a colour and a shape, each one of `kinds`; the marked two differ in both. A key is
    the value and the mark. The label is that of one of the two, by the toss of a coin.
    """
    rng = np.random.default_rng(seed)
    looks = rng.integers(kinds, size=(number, objects, 2))
    order = rng.permuted(np.tile(np.arange(objects), (number, 1)), axis=1)
    rows = np.arange(number)
    one, two = order[:, 0], order[:, 1]
    looks[rows, two] = (looks[rows, one] + rng.integers(1, kinds, size=(number, 2))) % kinds
    gold = np.zeros((number, objects), dtype=bool)
    gold[rows, one] = gold[rows, two] = True
    values = np.eye(kinds)[looks].reshape(number, objects, 2 * kinds)
    return Task(
        torch.ones(number, 1, 1),
        _floats(np.concatenate([values, gold[:, :, None]], -1)),
        _floats(values),
        torch.tensor(gold),
        torch.tensor(looks),
        torch.tensor(looks[rows, one]),  # the order was drawn: either of the two
        (kinds, kinds),
    )


TASKS = {"needles": needles, "glimpses": glimpses, "either": either}


class Chooser(nn.Module):
    r"""Attend once, and read the label off the context.

    Parameters
    ----------
    task : Task
        For its sizes.
    how : str
        ``soft``; ``hard`` (score function, with its baseline) or ``no baseline``; ``gumbel``; or
        ``marginal``, which reads every value by itself and averages the *answers*,
        :math:`\log p(y) = \log \sum_s a_s\, p(y \mid v_s)` (Deng et al. 2018, section 3): what the
        other choices only estimate.
    hidden : int
        Width of the additive score's hidden layer, and of the readout's.
    expectation, entropy : float
        What else Xu et al. (2015, section 4.1) train hard attention with: the share of the
        questions that use the average instead of a choice, and :math:`\lambda_e`, the weight of the
        entropy of the weights. Both matter only to ``hard`` and ``no baseline``.

    Raises
    ------
    ValueError
        If `how` is unknown.
    """

    def __init__(
        self,
        task: Task,
        how: str = "soft",
        hidden: int = 32,
        expectation: float = 0.0,
        entropy: float = 0.0,
    ):
        super().__init__()
        if how not in HOW:
            raise ValueError(f"unknown way to choose {how!r}: one of {', '.join(HOW)}")
        self.how, self.classes, self.entropy = how, task.classes, entropy
        D_q, D_k = task.queries.shape[-1], task.keys.shape[-1]
        if D_q == 1:  # nothing to compare with: what makes a key right is in the key
            score: scores.Score = scores.AdditiveScore(D_q, D_k, hidden)
        else:
            score = scores.GeneralScore(D_q, D_k)
        chosen = {"soft": "soft", "gumbel": "gumbel"}.get(how, "hard")
        settings = {"expectation": expectation} if chosen == "hard" else {}
        self.attention = Attention(score, selection=make_selection(chosen, **settings))
        self.readout = nn.Sequential(
            nn.Linear(task.values.shape[-1], hidden),
            nn.ReLU(),
            nn.Linear(hidden, sum(self.classes)),
        )

    def read(self, contexts: Tensor) -> list[Tensor]:
        """Log-probabilities (..., classes) of each answer, from contexts (..., D_v)."""
        return [x.log_softmax(-1) for x in self.readout(contexts).split(self.classes, -1)]

    def forward(self, task: Task, draws: Tensor | None = None) -> tuple[list[Tensor], Tensor]:
        """Log-probabilities (N, classes) of each answer, and weights (N, S).

        Where it may choose and no draws are given, the key of most weight is taken.
        """
        contexts, weights = self.attention(task.queries, task.keys, task.values, draws=draws)
        return self.read(contexts[:, 0]), weights[:, 0]

    def log_p(self, answers: list[Tensor], labels: Tensor) -> Tensor:
        """Log-probability (...) of all the labels (..., L) together."""
        each = zip(answers, labels.unbind(-1), strict=True)
        return torch.stack([x.gather(-1, y.unsqueeze(-1)).squeeze(-1) for x, y in each]).sum(0)

    def marginal(self, task: Task) -> Tensor:
        """The exact log p(y), (N,), of choosing one key: no sampling, but S times the reading."""
        scored = self.attention.score(task.queries, task.keys)[:, 0].log_softmax(-1)
        labels = task.labels.unsqueeze(1).expand(-1, task.values.shape[1], -1)
        return (scored + self.log_p(self.read(task.values), labels)).logsumexp(-1)

    def loss(self, task: Task) -> Tensor:
        """The mean cross-entropy, in nats; its gradient has what the selection adds to it."""
        if self.how == "marginal":
            return -self.marginal(task).mean()
        hard = self.attention.selection
        if not isinstance(hard, selection.Hard):
            answers, _ = self(task)
            return -self.log_p(answers, task.labels).mean()
        draws = hard.draw(task.queries, 1)
        answers, weights = self(task, draws)
        log_p = self.log_p(answers, task.labels)
        reward = log_p.detach()
        learned = ((reward - hard.baseline) * hard.log_prob(weights[:, None], draws)[:, 0]).mean()
        if self.entropy:
            learned = learned - self.entropy * torch.xlogy(weights, weights).sum(-1).mean()
        if self.how == "hard":
            hard.update_baseline(reward.mean(), DECAY)
        return -log_p.mean() - (learned - learned.detach())


def fit(
    chooser: Chooser,
    task: Task,
    updates: int,
    lr: float = 0.01,
    batch: int = 64,
    seed: int = 0,
    every: int = 0,
    watch=None,
) -> list:
    """Train on batches drawn with `seed`; what `watch(chooser)` says first and after each `every`.

    Adam; the Gumbel selection's temperature goes down as training goes on.
    """
    torch.manual_seed(seed)
    optimiser = torch.optim.Adam(chooser.parameters(), lr=lr)
    seen = []
    for update in range(updates):
        if every and update % every == 0:
            seen.append(watch(chooser))
        if isinstance(chooser.attention.selection, selection.StraightThroughGumbel):
            chooser.attention.selection.anneal(update / updates)
        loss = chooser.loss(task[torch.randint(len(task), (batch,))])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return [*seen, watch(chooser)] if every else seen


@torch.no_grad()
def marks(chooser: Chooser, task: Task) -> dict[str, float]:
    """How good it is, by what the task knows.

    Returns
    -------
    dict
        ``right``: share of questions whose likeliest answer fits a right key, read with its own
        selection (a choice: the key of most weight); ``average`` and ``choice``: the same, read
        with the average or with that key, whatever it was trained for. ``chosen``: that key is a
        right one; ``weight``: weight on right keys. ``fits``: the probability that an answer drawn
        from the model, key and all, fits a right key. ``nll``: mean -log p(y), the key summed over,
        in nats.
    """
    weights = chooser.attention.score(task.queries, task.keys)[:, 0].softmax(-1)  # (N, S)
    best = one_hot(weights.argmax(-1), weights.shape[-1]).to(weights.dtype)
    read = {
        name: (w[:, None] @ task.values)[:, 0]
        for name, w in (("average", weights), ("choice", best))
    }
    right = {name: float(_said_right(chooser, contexts, task)) for name, contexts in read.items()}
    if chooser.how == "soft":
        contexts, shares = read["average"][:, None], torch.ones(len(task), 1)
    else:
        contexts, shares = task.values, weights
    answers = [x.unsqueeze(2) for x in chooser.read(contexts)]  # (N, M, 1, classes)
    M, S = contexts.shape[1], task.keys.shape[1]
    labels = task.says.unsqueeze(1).expand(-1, M, -1, -1)
    p = chooser.log_p([x.expand(-1, -1, S, -1) for x in answers], labels).exp()  # (N, M, S)
    p = (shares.unsqueeze(-1) * p).sum(1)  # of what each key says
    ours = (task.says == task.labels[:, None]).all(-1) & task.gold
    return {
        "right": right["average" if chooser.how == "soft" else "choice"],
        **right,
        "chosen": float((best * task.gold).sum(-1).mean()),
        "weight": float((weights * task.gold).sum(-1).mean()),
        "fits": float((p * task.gold).sum(-1).mean()),
        "nll": float(-p.masked_fill(~ours, 0).amax(-1).log().mean()),
    }


def _said_right(chooser: Chooser, contexts: Tensor, task: Task) -> Tensor:
    said = torch.stack([x.argmax(-1) for x in chooser.read(contexts)], -1)  # (N, L)
    fits = (task.says == said[:, None]).all(-1) & task.gold
    return fits.any(-1).double().mean()


def _floats(array) -> Tensor:
    return torch.tensor(np.asarray(array), dtype=torch.float32)
