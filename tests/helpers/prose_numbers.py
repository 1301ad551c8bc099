"""Numbers of the prose that no output near them shows, worked out again or looked up.

The arithmetic that chapters and their solutions do with a pencil, settings of the library, and
entries of results files that a sentence quotes and its section does not print. For each chapter:
what it is, and the numbers that come of it. A test holds the prose to them, and sees that none is
listed here that no chapter prints.
"""

import json
from math import e, log, log2
from pathlib import Path

import numpy as np

from attnlib.training import AttentionConfig, Loss

RESULTS = Path(__file__).parents[2] / "book/results"


def stored(name: str, *path):
    """An entry of a results file: a number, or a list of them."""
    found = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    for step in path:
        found = found[step]
    return found


def captions(name: str) -> dict:
    """The row of a variant of the captioner."""
    return next(row for row in stored("captioning", "runs") if row["name"] == name)


def softmax(scores) -> np.ndarray:
    """By the definition: with a pencil no score is so large that it would need care."""
    return np.exp(scores) / np.exp(scores).sum()


def norm(x) -> np.ndarray:
    """The mean taken away, divided by the standard deviation."""
    return (x - np.mean(x)) / np.std(x)


STATES = np.array([[-1, 1], [2, -1], [2, 0]])  # of "a red shirt"
SHEET = softmax(STATES @ [1, 0] + [1, -1, 0])  # scores 0, 1, 2
WITH_DOT = softmax([0, 1, 2, 0])  # and a full stop, all zeros
GENDERS = softmax([-2, 0, 2, 0])  # of "a red shirt .", as the first word sees them
TANH = np.tanh(np.array([1, 1]) + STATES)
ADDITIVE = softmax(TANH.sum(1))
TRIPLES = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 2]])  # of "a red shirt" in chapter 09
READ = [softmax(TRIPLES @ [0, 0, -4 * x[2]] / 3**0.5) @ TRIPLES for x in TRIPLES]
SHORT = np.eye(3)  # with the noun as long as the others
SHORT_SUMS = [x + softmax(SHORT @ [0, 0, -4 * x[2]] / 3**0.5) @ SHORT for x in SHORT]
MATRIX = 512**2 / 1e6  # millions of weights
EMBEDDING, ATTENTION, FEED_FORWARD = 37_000 * 512 / 1e6, 4 * MATRIX, 2 * 4 * MATRIX

GATE = 0.5 ** (1 / 20)  # of which half is left after twenty steps

LOCAL = np.array([2, 0, 0, 1, 3])  # scores in the window of exercise 5.1
GAUSS = np.exp(-2 * np.arange(-2, 3) ** 2 / 2**2)

SUMS = {
    "01_bottleneck": {
        "ex-01-hand": [0.5**2, 1 + 0.5, 0.5**3, 0.5 * (1 + 0.5), 0.001, 0.11],  # two in binary
        "ex-01-fade": [0.9**20, 1.1**20, 2 * (1 - 0.99**2), 0.99, GATE, log(GATE / (1 - GATE))],
        "ex-01-enough": [log2(30_000), 60 * log2(30_000) / 1000],
        "what is left of the first word": [2.0**-12],
    },
    "02_by_hand": {
        "the sheet": [  # with the weights as printed
            *(SHEET.round(3)[:, None] * STATES).ravel(),
            *(SHEET.round(3) @ STATES),
        ],
        "what the first word sees": [*np.exp([-2, 0, 2]), np.exp([-2, 0, 2, 0]).sum(), *GENDERS],
        "a temperature for pencils": [1 / log(2), e],
        "half the temperature": [*softmax([0, 2, 4])],
        "ex-02-horse": [np.exp(-1), np.exp([-1, 1, 0, 0]).sum(), *softmax([-1, 1, 0, 0])],
        "ex-02-fourth": [
            np.exp([0, 1, 2, 0]).sum(),
            *WITH_DOT,
            np.exp([0, 1, 2]).sum(),
            np.exp([0, 1, 2]).sum() / np.exp([0, 1, 2, 0]).sum(),
            *(WITH_DOT[:3] @ STATES),
        ],
    },
    "03_bahdanau": {
        "the idea on three tokens": [
            *TANH.ravel(),
            *np.exp(TANH.sum(1)),
            np.exp(TANH.sum(1)).sum(),
            *ADDITIVE,
        ],
        "ex-03-v": [
            *np.exp(TANH[:, 0]),
            np.exp(TANH[:, 0]).sum(),
            *softmax(TANH[:, 0]),
        ],
        "ex-03-prepare": [256 * 512 * 20 * 22 / 1e6, 256 * 512 * 20 / 1e6],
    },
    "03b_alignment": {
        "ex-03-em": [1 + 0.5, 0.75 / 1.25, 0.5 / 1.25, 2 / 3, (2 / 3) / (2 / 3 + 0.4)],
    },
    "04_luong": {
        "ex-04-budget": [
            run[mark] for run in stored("longer", "runs") for mark in ("exact", "error")
        ],
        "ex-04-own": [run["exact"] for run in stored("own_score", "runs")],
    },
    "05_global_local": {
        "the window at 4.2": [4.2 - 2, 4.2 + 2, np.exp(-(0.8**2) / 2), 4.2 / 6, 0.7 * 6],
        "at the border": [np.exp(-2)],
        "ex-05-hand": [
            *np.exp(LOCAL),
            np.exp(LOCAL).sum(),
            *GAUSS,
            *(softmax(LOCAL) * GAUSS),
            (softmax(LOCAL) * GAUSS).sum(),
        ],
        "ex-05-pull": [
            3.2 - 2,
            3.2 + 2,
            4 * (5 - 3.2) / 2**2,
            3.2 * (1 - 3.2 / 6),
            4 * (5 - 3.2) / 2**2 * 3.2 * (1 - 3.2 / 6),
            np.exp(LOCAL).sum(),
            np.exp(LOCAL).sum() - np.exp(2),
            log(np.exp(LOCAL).sum() / (np.exp(LOCAL).sum() - np.exp(2))),
        ],
    },
    "06_soft_hard": {
        "the moving average": [Loss().baseline_decay, 1 - Loss().baseline_decay],
        "a floor": [log(4)],
        "the temperature falls": [AttentionConfig().final_temperature],
        "ex-06-order": [
            2 * log(2) + 0.5 * log(5) + 0.5 * sum((6 - k) / 15 * log(6 - k) for k in range(1, 6)),
        ],
        "soft on glimpses": [
            np.mean(
                [
                    run["end"]["right"]
                    for run in stored("soft_hard", "runs")
                    if (run["task"], run["how"]) == ("glimpses", "soft")
                ]
            )
        ],
    },
    "07_show_attend_tell": {
        "doubly stochastic": [
            captions(name)[mark]
            for name in ("soft", "doubly stochastic")
            for mark in ("given_pointing_game", "given_attention_inside")
        ],
        "ex-07-cheat": [
            *stored("looking", "one_noun", "true").values(),
            *stored("looking", "one_noun", "ahead"),
        ],
        "ex-07-shut": [
            *stored("looking", "sizes", "one size", "another", "right", "a"),
            *stored("looking", "article", "a", "pointing"),
            *stored("looking", "article", "a_on_any_thing"),
            *stored("looking", "article", "centre"),
            log(2),
        ],
        "ex-07-held": [
            *stored("looking", "given", "test"),
            *stored("looking", "given", "held_out"),
        ],
        "ex-07-veto": [
            end
            for name in ("asked after", "asked after, word once", "asked after, words hidden")
            for mark in ("true_captions", "true_captions_held_out")
            for end in captions(name)[mark]
        ]
        + [
            row["true_captions_held_out"][0]
            for row in stored("captioning", "runs")
            if row["name"] == "asked after"
        ],
    },
    "08_self_attention": {
        "three words ask": [e, e**2, e**2 + 2, e + 2, e**2 / (e**2 + 2), e / (e + 2)],
        "ex-08-hand": [*softmax([0, 1]), *softmax([2, 0]), *softmax([0, 2]), *softmax([4, 0])],
    },
    "09_transformer": {
        "ex-09-post": np.ravel(
            [
                READ,
                SHORT_SUMS,
                *([norm(row) for row in rows] for rows in (TRIPLES + READ, SHORT_SUMS)),
            ]
        ),
        "ex-09-prune": [
            stored("heads", "pruned", "all"),
            *np.ravel(stored("heads", "pruned", "without")),
        ],
        "ex-09-base": [
            EMBEDDING,
            ATTENTION,
            FEED_FORWARD,
            ATTENTION + FEED_FORWARD,
            6 * (ATTENTION + FEED_FORWARD),
            6 * (2 * ATTENTION + FEED_FORWARD),
            EMBEDDING + 6 * (3 * ATTENTION + 2 * FEED_FORWARD),
        ],
    },
}
