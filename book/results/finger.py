"""What does local-p do with its centre? The shipped model, forced through the captions.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/finger.py

It gives ``en-fr-luong`` the references of Multi30k's test set, token by token, and notes the centre
p_t and what the weights of the step sum to; by what kind of token is due: the first of a word, a
further one of the same word, or a mark of punctuation. To see whether a small sum is meant, the
same references are forced four times more, with the weights of some steps changed:

* *divided* by their sum, as an average has them, where the sum was under one half;
* *zeroed*, so that the context is zero, at the same steps;
* *silenced*: zeroed too, but at the other steps. If a zero cost little there as well, that it costs
  little at the first would say nothing;
* *doubled* at the other steps. There nothing was switched off, so what this costs is the price of
  weights larger than the model was trained with, and has nothing to do with a switch.

Each change is compared with the model as it was trained, at the steps that were changed: the mean
difference of the loss, with a 95 % bootstrap interval over captions. Beside it stands the share of
these tokens to which the model, unchanged, gives a probability above one half.

Does a dim step inside a word, one whose weights sum to under one half, just look past its word? We
take the source word that the first piece of the same target word looked at most, where that piece's
weights sum to more than 0.8, and put the window of one step

* on that *word*;
* *elsewhere*: on a random position out of reach of that word.

Other tokens are at other distances, so both are done at the steps that are not dim, too. A window
that moves also changes what the weights sum to, and the network may take harm from that alone: both
moves are made once with the sum that the step had (*kept*), and once as they come (*free*).

It writes ``finger.json`` beside this file.
"""

from pathlib import Path

import numpy as np
import torch
from _record import record
from torch.nn.functional import cross_entropy

from attnlib import metrics, pretrained, storage
from attnlib.data.batches import collate
from attnlib.data.corpora import multi30k
from attnlib.data.tokenizer import WORD_START
from attnlib.metrics.intervals import with_interval
from attnlib.selection import Soft
from attnlib.windows import Predictive

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/finger.py"
MODEL, TEST = "en-fr-luong", "test_2016_flickr"
KINDS = ("first of a word", "further in a word", "punctuation")
RESAMPLES = 1000


def kind(token: str) -> str:
    """What is due: one of `KINDS`."""
    if not any(map(str.isalnum, token)):
        return KINDS[2]
    return KINDS[0] if token.startswith(WORD_START) else KINDS[1]


CHANGES = {  # what is done to the weights of a step, and whether to those that sum to under 1/2
    "divided": (lambda weights: weights / weights.sum(-1, keepdim=True), True),
    "zeroed": (torch.zeros_like, True),
    "silenced": (torch.zeros_like, False),
    "doubled": (lambda weights: 2 * weights, False),
}


class Changed(Soft):
    """The average, with the weights of some steps of one sentence changed before."""

    def __init__(self, change, chosen: list[bool]):
        super().__init__()
        self.change, self.chosen, self.step = change, chosen, 0

    def forward(self, weights, values, draws=None):
        chosen, self.step = self.chosen[self.step], self.step + 1
        return super().forward(self.change(weights) if chosen else weights, values)


def forced(model, pair: tuple[list[int], list[int]]) -> tuple[list[float], np.ndarray]:
    """Loss (nats) and weights of each step of a reference, the last step writing </s>."""
    batch = collate([pair])
    with torch.no_grad():
        logits, weights = model(batch.source, batch.source_lengths, batch.target_in)
    loss = cross_entropy(logits[0], batch.target_out[0], reduction="none")
    return loss.tolist(), weights[0].numpy()


class Rescaled(Soft):
    """The average, with the weights of one step scaled to a given sum before."""

    def __init__(self, chosen: int, total: float):
        super().__init__()
        self.chosen, self.total, self.step = chosen, total, 0

    def forward(self, weights, values, draws=None):
        if self.step == self.chosen:
            weights = self.total * weights / weights.sum(-1, keepdim=True)
        self.step += 1
        return super().forward(weights, values)


def words_of(kinds: list[str], weights: np.ndarray) -> dict[int, int]:
    """For each further piece of a word, where its first piece looked most, if it looked at all."""
    found, first = {}, None
    for t, what in enumerate(kinds):
        if what == KINDS[0]:
            first = t
        elif what == KINDS[1] and first is not None and weights[first].sum() > 0.8:
            found[t] = int(weights[first].argmax())
    return found


def moved(model: pretrained.Pretrained, pairs) -> list[list[dict]]:
    """The further pieces of each reference: how far the window is from the word, and the losses."""
    attention, found = model.model.decoder.attention, []
    window, plain = attention.window, attention.selection
    rng = np.random.default_rng(0)

    def standing(centres, step=None, place=None):
        """Local-p's centre, written down, and of one step replaced."""

        def centre(queries, lengths, start):
            its = Predictive.centre(window, queries, lengths, start).clone()
            if step is not None and start <= step < start + its.shape[1]:
                its[0, step - start] = place
            centres.extend(its.flatten().tolist())
            return its

        return centre

    for source, target in pairs:
        pair = model.tokenizer.encode(source), model.tokenizer.encode(target)
        centres: list[float] = []
        window.centre = standing(centres)
        loss, weights = forced(model.model, pair)
        kinds = [kind(token) for token in model.tokenizer.tokens(pair[1])]
        rows = []
        for t, word in words_of(kinds, weights).items():
            total = float(weights[t].sum())
            row = {"sum": total, "away": abs(centres[t] - word), "as trained": loss[t]}
            out = [s for s in range(weights.shape[1]) if abs(s - word) > window.reach]
            places = {"word": word, "elsewhere": int(rng.choice(out)) if out else None}
            for name, place in places.items():
                for how in ("kept", "free") if place is not None else ():
                    window.centre = standing([], t, place)
                    attention.selection = Rescaled(t, total) if how == "kept" else plain
                    row[f"{name}, {how}"] = forced(model.model, pair)[0][t]
            attention.selection = plain
            rows.append(row)
        del window.centre
        found.append(rows)
    return found


def moves(captions: list[list[dict]], reach: int) -> list[dict]:
    """What moving the window does to the loss, at dim steps and at the others."""
    rows = []
    for dim in (True, False):
        some = [[step for step in steps if (step["sum"] < 0.5) == dim] for steps in captions]
        count = sum(map(len, some))
        row = {
            "what": "dim" if dim else "other",
            "tokens": count,
            "out_of_reach": round(sum(s["away"] > reach for c in some for s in c) / count, 4),
            "harm": {},
        }
        for name in ("word, kept", "word, free", "elsewhere, kept", "elsewhere, free"):
            change = mean_of(
                some,
                lambda step, name=name: step[name] - step["as trained"],
                lambda step, name=name: name in step,
            )
            row["harm"][name] = _rounded(change)
        rows.append(row)
    return rows


def steps(model: pretrained.Pretrained, pairs) -> list[list[dict]]:
    """The steps of each reference: kind of token, sum, distance of centre and best key, losses."""
    attention, found = model.model.decoder.attention, []
    window, plain = attention.window, attention.selection
    centres: list[float] = []

    def recording(queries, lengths, start):
        centre = Predictive.centre(window, queries, lengths, start)
        centres.extend(centre.flatten().tolist())
        return centre

    for source, target in pairs:
        pair = model.tokenizer.encode(source), model.tokenizer.encode(target)
        centres.clear()
        window.centre = recording
        loss, weights = forced(model.model, pair)
        del window.centre
        sums = weights.sum(-1)
        rows = [
            {
                "kind": kind(token),
                "sum": float(sums[t]),
                "gap": abs(centres[t] - int(weights[t].argmax())),
                "as trained": loss[t],
            }
            for t, token in enumerate(model.tokenizer.tokens(pair[1]))
        ]
        for name, (change, small) in CHANGES.items():
            attention.selection = Changed(change, [(total < 0.5) == small for total in sums])
            for row, nats in zip(rows, forced(model.model, pair)[0], strict=False):
                row[name] = nats
        attention.selection = plain
        found.append(rows)
    return found


def mean_of(captions: list[list[dict]], value, chosen) -> metrics.Estimate:
    """The mean of `value` over all steps that are chosen; its interval resamples the captions."""
    counts = np.array(
        [
            [sum(map(value, some)), len(some)]
            for some in ([step for step in steps if chosen(step)] for steps in captions)
        ]
    )

    def formula(sums):
        return sums[..., 0] / np.maximum(sums[..., 1], 1)

    estimate = metrics.Estimate(float(formula(counts.sum(0))), "mean of steps")
    return with_interval(estimate, counts, formula, RESAMPLES, seed=0)


def row(captions: list[list[dict]], name: str) -> dict:
    """What is found of one kind of token."""
    all_steps = [step for steps in captions for step in steps if step["kind"] == name]
    total = mean_of(captions, lambda step: step["sum"], lambda step: step["kind"] == name)
    return {
        "what": name,
        "tokens": len(all_steps),
        "sum": _rounded(total),
        "under_half": round(sum(step["sum"] < 0.5 for step in all_steps) / len(all_steps), 4),
        "gap": round(sum(step["gap"] for step in all_steps) / len(all_steps), 3),
        "changes": {change: harm(captions, name, change) for change in CHANGES},
    }


def harm(captions: list[list[dict]], name: str, change: str) -> dict:
    """What a change does to the loss at the steps of one kind that were changed."""
    small = CHANGES[change][1]

    def chosen(step):
        return step["kind"] == name and (step["sum"] < 0.5) == small

    before = mean_of(captions, lambda step: step["as trained"], chosen)
    after = mean_of(captions, lambda step: step[change], chosen)
    guessed = mean_of(captions, lambda step: step["as trained"] < np.log(2), chosen)
    difference = mean_of(captions, lambda step: step[change] - step["as trained"], chosen)
    return {
        "before": round(before.value, 4),
        "after": round(after.value, 4),
        "guessed": round(guessed.value, 4),
        "harm": _rounded(difference),
    }


def main() -> None:
    """Measure, and write the file."""
    torch.set_num_threads(1)
    model = pretrained.load(MODEL)
    pairs = list(multi30k(TEST))
    captions = steps(model, pairs)
    content = {
        "model": MODEL,
        "sha256": model.card["sha256"][storage.MODEL],
        "captions": len(pairs),
        "rows": [row(captions, name) for name in KINDS],
        "moved": moves(moved(model, pairs), model.model.decoder.attention.window.reach),
    }
    print(*content["rows"], *content["moved"], sep="\n")
    record(RESULTS, COMMAND, content)


def _rounded(estimate: metrics.Estimate) -> list[float]:
    """The value and the two ends of its interval."""
    return [round(float(x), 4) for x in (estimate.value, *estimate.interval)]


if __name__ == "__main__":
    main()
