r"""Spoken digits: a score by content against one that sees where attention was (chapter 11).

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/speech.py

The listener of `attnlib.beyond.speech`, trained on strings of 3 to 6 digits and tested on 1 to 10
and on 20. With each seed another speaker is held out, so an interval over seeds is one over voices
too. The kinds of rows:

* ``model``: one a score, setting and seed: errors and alignment by number of digits, in voices that
  were trained on (other recordings) and in the new voice, for random digits and for one digit over
  and over. Settings: the paper's ``reach``; a ``short reach``, less than the way from one digit to
  the next; ``longer``, twice the updates;
* ``turned``: a trained model with one dial turned at test time: ``no previous`` (the weights of the
  step before taken away), ``window`` (attention only near where it was), ``sharper`` (scores
  doubled: section 2.3 of the paper);
* ``untrained``: the alignment of networks that have learned nothing; ``baseline``: of uniform
  weights, and of as many equal slices as there are digits.

An ``example`` has the weights of two strings, for a figure. What is in ``speech.json`` already is
not measured again, so a stopped run goes on. Half an hour of one core, and 1.7 minutes a training
(3.4 with twice the updates).
"""

import copy
import random
import time
from functools import cache, partial
from pathlib import Path

import torch
from _record import begin, record

from attnlib.attention import Attention
from attnlib.beyond import speech
from attnlib.data import spoken
from attnlib.windows import Following

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/speech.py"
UPDATES = 800
SEEDS = (1, 2, 3)
HELD_OUT = dict(zip(SEEDS, spoken.SPEAKERS))
UNTRAINED = 8  # seeds
STRINGS = 100  # of each number of digits
DIGITS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20)
REPEATED = (3, 6, 10)
SETTINGS = {  # score, updates, reach of its filters
    ("content", "paper"): (UPDATES, 0),
    ("location-aware", "paper"): (UPDATES, speech.REACH),
    ("location-aware", "short reach"): (UPDATES, 10),
    ("content", "longer"): (2 * UPDATES, 0),
    ("location-aware", "longer"): (2 * UPDATES, speech.REACH),
}
WINDOW = 20  # positions to either side, 0.8 seconds
TURNED = {
    "content": ("window", "sharper"),
    "location-aware": ("no previous", "window", "sharper"),
}


@cache
def sounds(held_out: str, part: str, digits: int, repeated: bool = False) -> spoken.Sounds:
    """The same strings for every model that has not heard this speaker."""
    rng = random.Random(f"{part} {digits} {repeated}")
    clips = spoken.voices(held_out, part)
    found = spoken.strings(rng, clips, STRINGS, digits, digits, repeated)
    return spoken.collate(found)


@cache
def trained(score: str, setting: str, seed: int) -> tuple[speech.Listener, float]:
    """A model, and the seconds its training took."""
    updates, reach = SETTINGS[score, setting]
    begun = time.process_time()
    model = speech.listener(score, seed, reach=reach)
    speech.fit(model, spoken.voices(HELD_OUT[seed], "train"), updates, seed)
    return model, time.process_time() - begun


@torch.no_grad()
def measured(model: speech.Listener, which: spoken.Sounds) -> dict:
    """Errors in what it writes, and the alignment when it is told the digits before."""
    weights = model(which.heard, which.lengths, which.target_in)[1]
    return speech.error_rate(model, which) | speech.alignment(weights, which)


def of_model(score: str, setting: str, seed: int) -> dict:
    """One training, and all its tests."""
    model, seconds = trained(score, setting, seed)
    row: dict = {"held_out": HELD_OUT[seed], "seconds": round(seconds)}
    for part in ("known", "new"):
        for repeated, numbers in ((False, DIGITS), (True, REPEATED)):
            row[f"{part}, repeated" if repeated else part] = {
                str(n): measured(model, sounds(HELD_OUT[seed], part, n, repeated)) for n in numbers
            }
    row["parameters"] = sum(p.numel() for p in model.parameters())
    return row


def turned(model: speech.Listener, how: str) -> speech.Listener:
    """A copy with one dial at another setting."""
    model = copy.deepcopy(model)
    attention = model.decoder.attention
    with torch.no_grad():
        if how == "no previous":
            attention.score.F.weight.zero_()
        elif how == "sharper":
            attention.score.v.weight.mul_(2)
        else:
            model.decoder.attention = Attention(attention.score, Following(WINDOW))
    return model


def of_turned(score: str, how: str, seed: int) -> dict:
    """The same model, its dial turned."""
    model = turned(trained(score, "paper", seed)[0], how)
    return {
        part: {str(n): measured(model, sounds(HELD_OUT[seed], part, n)) for n in (6, 10, 20)}
        for part in ("known", "new")
    }


@torch.no_grad()
def of_untrained(score: str, seed: int) -> dict:
    """Where a network looks that has learned nothing."""
    model = speech.listener(score, 100 + seed).eval()
    found = {}
    for n in (6, 10):
        which = sounds(HELD_OUT[1], "known", n)
        weights = model(which.heard, which.lengths, which.target_in)[1]
        found[str(n)] = speech.alignment(weights, which)
    return {"known": found}


def of_baseline(name: str, seed: int) -> dict:
    """Weights that nobody computed: uniform ones, and equal slices."""
    found = {}
    for n in (6, 10, 20):
        which = sounds(HELD_OUT[seed], "known", n)
        s = torch.arange(which.heard.shape[1])
        real = s < which.lengths[:, None, None]  # (N, 1, S)
        weights = real.expand(-1, n, -1).float()
        if name == "slices":
            mine = (s * n / which.lengths[:, None, None]).floor()
            weights = weights * (mine == torch.arange(n)[:, None])
            middle = (torch.arange(n) + 0.5)[:, None] * which.lengths[:, None, None] / n
            weights = weights * (1 - 1e-3 * (s + 0.5 - middle).abs())  # largest in the middle
        found[str(n)] = speech.alignment(weights / weights.sum(-1, keepdim=True), which)
        if name == "uniform":
            del found[str(n)]["missed"]  # none is the largest
    return {"known": found}


def example(seed: int = 1) -> list[dict]:
    """Two strings of a voice that was trained on, as both models attend to them."""
    clips = [clip for clip in spoken.voices(HELD_OUT[seed], "known") if clip.speaker == "jackson"]
    rng = random.Random(11)
    found = []
    for one in (
        *spoken.strings(rng, clips, 1, 9, 9),
        spoken.join(rng, [clip for clip in clips if clip.digit == 7]),
    ):
        which = spoken.collate([one])
        row: dict = {
            "speaker": one.speaker,
            "digits": [spoken.DIGITS[digit] for digit in one.digits],
            "seconds": [[round(s / spoken.RATE, 3) for s in border] for border in one.borders],
            "positions": int(which.lengths[0]),
        }
        for score in speech.SCORES:
            model, _ = trained(score, "paper", seed)
            with torch.no_grad():
                weights = model(which.heard, which.lengths, which.target_in)[1][0]
            row[score] = {
                "written": speech.write_down(model, which)[0],
                "weights": [[round(float(a), 3) for a in line] for line in weights],
            }
        found.append(row)
    return found


def rounded(value, digits: int = 4):
    """Numbers rounded, in dictionaries too."""
    if isinstance(value, dict):
        return {name: rounded(each, digits) for name, each in value.items()}
    return round(value, digits) if isinstance(value, float) else value


def plan(seeds) -> list[tuple[dict, partial]]:
    """Every row: what it is, and how it is measured."""
    rows = []
    for seed in seeds:
        for score, setting in SETTINGS:
            said = {"kind": "model", "score": score, "setting": setting, "seed": seed}
            rows.append((said, partial(of_model, score, setting, seed)))
        for score, dials in TURNED.items():
            for how in dials:
                said = {"kind": "turned", "score": score, "how": how, "seed": seed}
                rows.append((said, partial(of_turned, score, how, seed)))
        for name in ("uniform", "slices"):
            said = {"kind": "baseline", "name": name, "seed": seed}
            rows.append((said, partial(of_baseline, name, seed)))
    for seed in range(1, UNTRAINED + 1):
        for score in speech.SCORES:
            said = {"kind": "untrained", "score": score, "seed": seed}
            rows.append((said, partial(of_untrained, score, seed)))
    return rows


def main() -> None:
    """Do what is left, and write the file as it goes."""
    options, results = begin(__doc__, RESULTS, {"runs": [], "example": []})
    runs, shown = results["runs"], results["example"]
    for said, measure in plan([seed for seed in options.seeds if seed in SEEDS]):
        if any(said.items() <= run.items() for run in runs):
            continue
        runs.append(rounded(said | measure()))
        print(said, flush=True)
        record(options.out, COMMAND, {"runs": runs, "example": shown}, one_a_line="runs")
    if not shown:
        record(options.out, COMMAND, {"runs": runs, "example": example()}, one_a_line="runs")


if __name__ == "__main__":
    main()
