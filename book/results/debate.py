r"""Is attention an explanation? The experiments of the debate, small and complete (chapter 10).

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/debate.py

The classifier of Jain and Wallace (2019), `attnlib.evidence`, with and without context, on
generated sentences whose evidence is known and on two sets of real ones. The kinds of rows:

* ``model``: one a task, encoder, weights and seed, and for untrained networks: accuracy; Kendall's
  tau of the weights with other measures of importance, sentence by sentence, and whether each
  measure's first word is evidence (E1); other weights with the same prediction, searched for and
  exact (E2); uniform frozen weights (E3); erasing until the decision flips (E5);
* ``imposed``: a token-wise network that has its weights from elsewhere (E4);
* ``adversary``: a network trained to predict the same with other weights (E4); ``base first``, with
  the divergence the other way round; ``another seed``, an honest one;
* ``longer``: the task that needs attention, with a larger budget (E3).

What is in ``debate.json`` already is not measured again, so a stopped run goes on. A quarter of an
hour of one core.
"""

from functools import cache, partial
from pathlib import Path

import torch
from _record import begin, record
from scipy.stats import kendalltau
from torch import Tensor

from attnlib import adversary, evidence
from attnlib.attribution import gradient_times_input, jensen_shannon, leave_one_out
from attnlib.data.batches import pad
from attnlib.explore.figure import rounded

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/debate.py"
UNTRAINED = 8  # seeds
MEASURED = 150  # test sentences, for all but the accuracy
EPSILON = 0.05  # largest change of the probability
SHUFFLES = 100
BINS = 14  # of the divergence, from 0 to log 2
SETTINGS = {  # updates, learning rate, width of the embeddings, width of the GRU each way
    "plain": (200, 0.01, 16, 16),
    "negated": (300, 0.01, 16, 16),
    "asked": (400, 0.01, 16, 16),
    "genres": (200, 0.01, 16, 16),
    "swapped": (1000, 0.005, 32, 32),
}
STRENGTHS = (0.0, 0.01, 0.1)  # lambda of the adversarial training
CHOSEN = 0.01  # whose weights are imposed
IMITATING = {"negated": 3}  # times the budget, where without the divergence it does not yet imitate
LONGER = 3  # times the budget of `asked`
SOURCES = ("own", "recurrent", "uniform", "adversary", "shuffled", "untrained")


@cache
def texts(task: str) -> tuple[int, dict[str, evidence.Texts]]:
    """Size of the vocabulary, and the splits."""
    found = {split: evidence.sentences(task, split) for split in ("train", "test")}
    words = evidence.vocabulary(found["train"])
    return len(words), {split: evidence.encode(each, words) for split, each in found.items()}


@cache
def few(task: str) -> evidence.Texts:
    """The test sentences that everything but the accuracy is measured on."""
    return texts(task)[1]["test"][torch.arange(MEASURED)]


def new(task: str, encoder: str, weights: str, seed: int) -> evidence.AttentionClassifier:
    """A network as it begins."""
    torch.manual_seed(seed)
    _, _, width, hidden = SETTINGS[task]
    return evidence.AttentionClassifier(
        texts(task)[0], encoder, weights, width, hidden, asked=task == "asked"
    )


def train(task: str, model, seed: int, times: int = 1, **more) -> evidence.AttentionClassifier:
    """Trained with so many times the task's budget."""
    updates, lr, _, _ = SETTINGS[task]
    return evidence.fit(model, texts(task)[1]["train"], times * updates, lr, seed=seed, **more)


@cache
def trained(task: str, encoder: str, weights: str, seed: int) -> evidence.AttentionClassifier:
    """The base model, trained once."""
    return train(task, new(task, encoder, weights, seed), seed)


@torch.no_grad()
def read(model, which: evidence.Texts, weights=None) -> evidence.Reading:
    """A reading of all sentences."""
    return model(which, weights)


# What a word is worth (E1) --------------------------------------------------------------------


def gradients(model, which, weights: Tensor | None) -> Tensor:
    """|gradient x input| of the embeddings (N, S), weights held fixed where they are given."""

    def logits(embedded: Tensor) -> Tensor:
        return model.read(embedded, which.lengths, weights).logits

    return gradient_times_input(logits, model.embedding(which.ids)).abs()


def without_each(model, which, weights: Tensor | None = None) -> Tensor:
    """|change of the probability| where a word is deleted and all is read again, (N, S).

    Given weights (N, S) stay with their words; those of the words that are left sum to 1 again.
    """
    found = torch.zeros(which.ids.shape, dtype=torch.float64)
    for i, (ids, n) in enumerate(zip(which.ids.tolist(), which.lengths.tolist(), strict=True)):
        given = None if weights is None else deleted(weights[i, :n])

        def probabilities(several: list[list[int]], given=given) -> Tensor:
            padded, lengths = pad(several)
            with torch.no_grad():
                return model.read(model.embedding(padded), lengths, given).logits.sigmoid()

        found[i, :n] = leave_one_out(probabilities, ids[:n]).abs()
    return found


def deleted(weights: Tensor) -> Tensor:
    """Weights (S,) of a sentence, and of it without each word in turn: (1 + S, S), padded."""
    S = len(weights)
    rows = [weights, *(torch.cat([weights[:s], weights[s + 1 :]]) for s in range(S))]
    found = weights.new_zeros(1 + S, S)
    for row, left in zip(found, rows, strict=True):
        row[: len(left)] = left / left.sum()
    return found


def shuffled(weights: Tensor, mask: Tensor, generator) -> Tensor:
    """Each sentence's weights, among its words in another order."""
    keys = torch.rand(weights.shape, generator=generator).masked_fill(~mask, 2.0)
    return weights.gather(1, keys.argsort(1)) * mask


def agreement(one: Tensor, other: Tensor, lengths: Tensor) -> dict:
    """Kendall's tau sentence by sentence: its mean, and the share that is significant."""
    found = [
        kendalltau(a[:n].numpy(), b[:n].numpy())
        for a, b, n in zip(one, other, lengths.tolist(), strict=True)
    ]
    able = [tau for tau in found if tau.statistic == tau.statistic]  # no tau where all is tied
    return {
        "tau": sum(tau.statistic for tau in able) / max(len(able), 1),
        "significant": sum(tau.pvalue < 0.05 for tau in able) / max(len(able), 1),
    }


def hits(importance: Tensor, which) -> float | None:
    """Of the sentences with evidence, how many have it in their first-ranked word."""
    known = which.evidence.any(1)
    if not known.any():
        return None
    first = importance.masked_fill(~which.mask, -1.0).argmax(1, keepdim=True)
    return float(which.evidence.gather(1, first)[known].double().mean())


def worth(model, which, reading, generator) -> dict:
    """E1: the weights beside other measures; and the same for weights that are shuffled."""
    own, lengths = reading.weights, which.lengths
    alone = model.alone(reading.states).detach()
    dealt = shuffled(own, which.mask, generator)
    measures = {
        "attention": own,
        "gradient": gradients(model, which, own),
        "gradient through": gradients(model, which, None),
        "leave one out": without_each(model, which),
        "states": own * (alone - model.readout[0].bias).abs().detach(),  # |h . dy/dh|
    }
    found = {
        f"with {name}": agreement(own, each, lengths)
        for name, each in measures.items()
        if name != "attention"
    }
    found["gradient with leave one out"] = agreement(
        measures["gradient"], measures["leave one out"], lengths
    )
    found["shuffled with gradient"] = agreement(dealt, gradients(model, which, dealt), lengths)
    found["shuffled with leave one out"] = agreement(
        dealt, without_each(model, which, dealt), lengths
    )
    first = {name: hits(each, which) for name, each in measures.items()}
    known = which.evidence.any(1)
    share = which.evidence.sum(1) / lengths
    first["chance"] = float(share[known].mean()) if known.any() else None
    return {"agreement": found, "hits": first}


# Other weights, the same prediction (E2) ------------------------------------------------------


def others(model, which, reading, generator, seed: int, searching: bool) -> dict:
    """E2: how far the weights can go, and what shuffling them does to the prediction."""
    own, mask = reading.weights, which.mask
    alone, p = model.alone(reading.states).detach(), reading.logits.sigmoid()
    best = adversary.furthest(alone, own, mask, EPSILON)
    strict = adversary.furthest(alone, own, mask, 4 * EPSILON, scale="logit")
    told = which.evidence.any(1)
    found = {
        "exact": spread(best.divergence),
        "exact, logits": spread(strict.divergence),
        "confidence": float((p - 0.5).abs().mean() + 0.5),
        "alone enough": float(
            (((alone.sigmoid() - p.unsqueeze(1)).abs() <= EPSILON) & mask).sum() / mask.sum()
        ),
    }
    if told.any():
        for name, weights in (("own", own), ("exact", best.weights)):
            on = (weights * which.evidence).sum(1)[told]
            found[f"on evidence, {name}"] = float(on.mean())
    if searching:
        search = adversary.search(model, reading, mask, EPSILON, seed=seed)
        found["search"] = spread(search.divergence)
    changes = torch.stack(
        [
            (model.decide(reading.states, shuffled(own, mask, generator)).sigmoid() - p).abs()
            for _ in range(SHUFFLES)
        ]
    ).detach()
    median, largest = changes.median(0).values, own.amax(1)
    found["shuffled"] = {
        "median change": float(median.mean()),
        "by largest weight": [
            [float(median[at].mean()) if at.any() else None, int(at.sum())]
            for at in ((largest > low) & (largest <= low + 0.25) for low in (0, 0.25, 0.5, 0.75))
        ],
    }
    return found


def spread(divergence: Tensor) -> dict:
    """Mean, share above 0.5, and the histogram from 0 to log 2."""
    counts = torch.histc(divergence, BINS, 0, torch.tensor(2.0).log().item())
    return {
        "mean": float(divergence.mean()),
        "above 0.5": float((divergence > 0.5).double().mean()),
        "histogram": [int(count) for count in counts],
    }


# Erasing (E5) ---------------------------------------------------------------------------------


def erasing(model, which, reading, generator) -> dict:
    """E5: the share erased until the decision flips; the largest weight against another one."""
    own, mask, logits = reading.weights, which.mask, reading.logits
    alone = model.alone(reading.states).detach()
    slope = alone * logits.sign().unsqueeze(1)  # of the decision, by the weights
    rankings = {
        "attention": own,
        "gradient": slope,
        "product": own * slope,
        "random": torch.rand(own.shape, generator=generator, dtype=own.dtype),
    }
    found = {
        name: float(adversary.erased(alone, own, mask, each).mean())
        for name, each in rankings.items()
    }
    top = own.argmax(1, keepdim=True)
    drawn = torch.rand(own.shape, generator=generator).masked_fill(~mask, -1).scatter(1, top, -1)
    p = adversary.probabilities(logits)
    far, flips = [], []
    for gone in (top, drawn.argmax(1, keepdim=True)):
        left = own.scatter(1, gone, 0.0)
        after = ((left / left.sum(1, keepdim=True)) * alone).sum(1)
        far.append(jensen_shannon(p, adversary.probabilities(after)))
        flips.append((after > 0) != (logits > 0))
    found["largest moves more"] = float((far[0] > far[1]).double().mean())
    found["difference"] = float((far[0] - far[1]).mean())
    found["flips"] = {
        f"largest {'flips' if a else 'stays'}, other {'flips' if b else 'stays'}": float(
            ((flips[0] == a) & (flips[1] == b)).double().mean()
        )
        for a in (True, False)
        for b in (True, False)
    }
    return found


# Rows -----------------------------------------------------------------------------------------


def of_model(task: str, encoder: str, weights: str, seed: int, is_trained: bool = True) -> dict:
    """One network, and all that is asked of it."""
    base = trained if is_trained else new
    model, test = base(task, encoder, weights, seed), texts(task)[1]["test"]
    row = {"accuracy": evidence.accuracy(read(model, test).logits, test.labels)}
    if task == "asked" or weights == "uniform":
        return row
    generator = torch.Generator().manual_seed(seed)
    model, which = model.double(), few(task)  # saturated predictions have small differences
    reading = read(model, which)
    row |= worth(model, which, reading, generator)
    row["others"] = others(model, which, reading, generator, seed, is_trained)
    row["erased"] = erasing(model, which, reading, generator)
    model.float()
    return row


@cache
def opponent(
    task: str, strength: float, seed: int, base_first: bool = False
) -> evidence.AttentionClassifier:
    """A recurrent network trained to predict as the base does, with other weights."""
    base = read(trained(task, "recurrent", "learned", seed), texts(task)[1]["train"])
    loss = adversary.adversarial_loss(base, strength, base_first)
    fresh = new(task, "recurrent", "learned", 100 + seed)
    return train(task, fresh, seed, IMITATING.get(task, 1), loss=loss)


def of_adversary(task: str, strength: float, seed: int, base_first: bool = False) -> dict:
    """How far a trained adversary went, beside the same task learned from another seed."""
    test = texts(task)[1]["test"]
    base = read(trained(task, "recurrent", "learned", seed), test)
    model = opponent(task, strength, seed, base_first)
    return compared(base, read(model, test), test)


def of_seed(task: str, _: float, seed: int) -> dict:
    """The control: an honest network of another seed."""
    test = texts(task)[1]["test"]
    base = read(trained(task, "recurrent", "learned", seed), test)
    return compared(base, read(trained(task, "recurrent", "learned", seed % 5 + 1), test), test)


def compared(base, reading, test) -> dict:
    """One reading beside another."""
    change = (base.logits.sigmoid() - reading.logits.sigmoid()).abs()
    return {
        "accuracy": evidence.accuracy(reading.logits, test.labels),
        "change": float(change.mean()),
        "divergence": spread(jensen_shannon(base.weights.double(), reading.weights.double())),
        "hit": hits(reading.weights, test),
        "hit, base": hits(base.weights, test),
    }


def of_imposed(task: str, source: str, seed: int) -> dict:
    """A token-wise network with weights from elsewhere, in training and in the test."""
    splits = texts(task)[1]
    models = {
        "recurrent": partial(trained, task, "recurrent", "learned", seed),
        "shuffled": partial(trained, task, "recurrent", "learned", seed),
        "adversary": partial(opponent, task, CHOSEN, seed),
        "untrained": partial(new, task, "recurrent", "learned", 200 + seed),
        "uniform": partial(new, task, "recurrent", "uniform", seed),
    }
    weights: dict[str, Tensor | None] = {"train": None, "test": None}
    if source in models:
        model = models[source]()
        weights = {split: read(model, each).weights for split, each in splits.items()}
    if source == "shuffled":
        generator = torch.Generator().manual_seed(seed)
        for split, each in splits.items():
            weights[split] = shuffled(weights[split], each.mask, generator)
    student = train(task, new(task, "token-wise", "learned", seed), seed, imposed=weights["train"])
    logits = read(student, splits["test"], weights["test"]).logits
    return {"accuracy": evidence.accuracy(logits, splits["test"].labels)}


def of_longer(task: str, weights: str, seed: int) -> dict:
    """A larger budget for the task that needs attention."""
    model = train(task, new(task, "recurrent", weights, seed), seed, LONGER)
    test = texts(task)[1]["test"]
    return {"accuracy": evidence.accuracy(read(model, test).logits, test.labels)}


def plan(seeds) -> list[tuple[dict, partial]]:
    """Every row: what it is, and how it is measured."""
    rows: list[tuple[dict, partial]] = []

    def add(measure, kind, arguments, **said):
        rows.append(({"kind": kind, **said}, partial(measure, *arguments)))

    for seed in seeds:
        for task in SETTINGS:
            for encoder in evidence.ENCODERS:
                for weights in evidence.WEIGHTS:
                    said = {"task": task, "encoder": encoder, "weights": weights, "seed": seed}
                    add(of_model, "model", tuple(said.values()), **said)
            if task == "asked":
                for weights in evidence.WEIGHTS:
                    said = {"task": task, "weights": weights, "seed": seed}
                    add(of_longer, "longer", tuple(said.values()), **said)
                continue
            for strength in STRENGTHS if task != "swapped" else (CHOSEN,):
                said = {"task": task, "strength": strength, "seed": seed}
                add(of_adversary, "adversary", tuple(said.values()), **said)
            said = {"task": task, "strength": CHOSEN, "seed": seed, "base_first": True}
            add(of_adversary, "base first", tuple(said.values()), **said)
            add(of_seed, "another seed", (task, 0.0, seed), task=task, seed=seed)
            for source in SOURCES:
                said = {"task": task, "source": source, "seed": seed}
                add(of_imposed, "imposed", tuple(said.values()), **said)
    for seed in range(1, UNTRAINED + 1):
        for task in SETTINGS:
            for encoder in evidence.ENCODERS:
                if task != "asked":
                    said = {"task": task, "encoder": encoder, "weights": "learned", "seed": seed}
                    add(of_model, "untrained", (*said.values(), False), **said)
    return rows


def main() -> None:
    """Do what is left, and write the file as it goes."""
    options, results = begin(__doc__, RESULTS, {"runs": []})
    runs = results["runs"]
    for said, measure in plan(options.seeds):
        if any(said.items() <= run.items() for run in runs):
            continue
        runs.append(rounded(said | measure(), 5))
        print(said, runs[-1].get("accuracy"), flush=True)
        record(options.out, COMMAND, {"runs": runs}, one_a_line="runs")


if __name__ == "__main__":
    main()
