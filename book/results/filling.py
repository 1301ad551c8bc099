"""Blanks in captions: an encoder trained on masked words, what else could fill them, and recall.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/filling.py

`attnlib.beyond.filling` and `attnlib.beyond.without` on the English captions of Multi30k: every
word of the 1,000 test captions is a blank in turn, if it is among the words that occur five times
in the training captions. Function words and content words are counted apart. The kinds of rows:

* ``counting``: the commonest word, and counts of the words beside the blank;
* ``trained``: one a model and seed. ``attention`` sees both sides, ``next`` the left alone (a
  causal model of the same size with as many updates); ``table``, ``taps``, ``states`` and ``sum``
  have another matrix in the place of attention; ``near``: taps in one layer that reach one word to
  each side. ``forty`` hides 40 % of the words in training, not
  15 %; ``longer`` has three times the updates. Where a blank looks, by layer; of the causal model
  also what it finds if it reads the whole sentence with each of its 50 likeliest words (one blank a
  caption). ``two blanks``: neighbours, filled at once or one after the other, and how often the
  pair that is written was seen in training;
* ``untrained``: where a blank looks, 8 seeds;
* ``recall``: the share of keys whose value is found, by the number of pairs, after training on 2 to
  16 pairs (``narrow``; ``wide``: twice the width), up to so many at ``most``, or on so many
  ``alone``; ``longer``: three times the updates, also of all (``16 most longer``). There
  taps reach all words;
* ``shown``: the matrices of the first layer that one network of each kind has learned, of the first
  words of a caption: a head each, or the eight channels whose matrix is largest.

What is in ``filling.json`` already is not measured again, so a stopped run goes on. Two hours of
one core; a training takes a minute, that of the causal model two.
"""

import time
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import torch
from _record import begin, record
from torch.nn.functional import cross_entropy

from attnlib.beyond import filling, without
from attnlib.data import corpora
from attnlib.explore.figure import rounded
from attnlib.transformer import LanguageModel
from attnlib.windows import Causal

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/filling.py"
SEEDS = (1, 2, 3)
UNTRAINED = 8  # seeds
UPDATES, RATE = 4000, 0.004
WIDTH, LAYERS, HEADS, REACH = 64, 2, 4, 3
CANDIDATES, RESCORED = 50, 1000
PAIRS = (2, 4, 8, 16)
RECALL_UPDATES, RECALL_RATE, RECALL_WIDTH, TESTED = 1500, 0.003, 64, 200
LONGEST = 2 * max(PAIRS)
LEARNED = without.MIXINGS[:4]  # all but the sum


# Captions -------------------------------------------------------------------------------------


@cache
def captions():
    """The vocabulary, the training sentences, and the blanks of the test sentences."""
    texts = {split: corpora.multi30k(split).source for split in ("train", "test_2016_flickr")}
    words = filling.vocabulary(texts["train"])
    train, test = (filling.encode(each, words) for each in texts.values())
    return words, train, test, filling.blanks(test)


@cache
def function() -> torch.Tensor:
    """Which blanks ask for a function word."""
    words, _, _, asked = captions()
    return torch.tensor([words.words[i] in filling.FUNCTION for i in asked.words.tolist()])


@cache
def one_a_caption() -> torch.Tensor:
    """Numbers of blanks, one of each caption, drawn once for all."""
    asked = captions()[3]
    first = (asked.places[1:] <= asked.places[:-1]).nonzero()[:, 0] + 1
    starts = [0, *first.tolist(), len(asked.places)]
    generator = torch.Generator().manual_seed(0)
    return torch.tensor(
        [
            start + int(torch.randint(end - start, (), generator=generator))
            for start, end in pairwise(starts)
        ][:RESCORED]
    )


def shares(scores: torch.Tensor, rows: torch.Tensor | None = None) -> dict:
    """Of all blanks, of function words and of content words: right at once, and among five."""
    asked, functions = captions()[3], function()
    words = asked.words if rows is None else asked.words[rows]
    functions = functions if rows is None else functions[rows]
    found = {}
    for top in (1, 5):
        hit = filling.right(scores, words, top).double()
        found[f"top {top}"] = {
            "all": hit.mean().item(),
            "function": hit[functions].mean().item(),
            "content": hit[~functions].mean().item(),
        }
    return found


def of_counting() -> dict:
    """What needs no training."""
    words, train, _, asked = captions()
    counts = filling.Neighbours(train, len(words))
    return {
        "blanks": len(asked.places),
        "unknown": 1 - len(asked.places) / int(captions()[2].are_words.sum()),
        "function": function().double().mean().item(),
        "vocabulary": len(words),
    } | {name: shares(scores) for name, scores in counts.fill(asked).items()}


def new(mixing: str, seed: int, near: bool = False) -> LanguageModel:
    """A model as it begins; `near`: one layer, and taps that reach one word to each side."""
    torch.manual_seed(seed)
    words = captions()[0]
    if mixing == "next":
        return LanguageModel(
            len(words),
            WIDTH,
            layers=LAYERS,
            heads=HEADS,
            feed_forward=2 * WIDTH,
            window=Causal,
        )
    layers, reach = (1, 1) if near else (LAYERS, REACH)
    return without.encoder(
        mixing, len(words), WIDTH, layers, HEADS, 2 * WIDTH, reach=reach, dropout=0.0
    )


@torch.no_grad()
def rescored(model: LanguageModel, scores: torch.Tensor) -> dict:
    """One blank a caption, by the whole sentence with each of the model's likeliest words."""
    rows = one_a_caption()
    candidates = scores[rows].topk(CANDIDATES).indices
    whole = filling.rescore(model, filling.some(captions()[3], rows), candidates)
    after = torch.full_like(scores[rows], -torch.inf).scatter(1, candidates, whole)
    return {"before": shares(scores[rows], rows), "after": shares(after, rows)}


@cache
def seen_pairs() -> set:
    """Pairs of neighbours in the training captions."""
    ids = captions()[1].ids.tolist()
    return {pair for row in ids for pair in pairwise(row)}


@torch.no_grad()
def two_blanks(model: LanguageModel) -> dict:
    """Each known pair of neighbours of each tenth caption hidden: filled at once, or in turn."""
    asked = captions()[3]
    rows = [
        n
        for n in range(0, len(asked.places) - 1)
        if asked.places[n + 1] == asked.places[n] + 1  # the next blank is its neighbour
    ][::10]
    first = filling.some(asked, torch.tensor(rows))
    N, words = (
        torch.arange(len(rows)),
        torch.stack([first.words, asked.words[[n + 1 for n in rows]]], 1),
    )
    first.said.ids[N, first.places + 1] = filling.MASK
    second = first._replace(places=first.places + 1)
    log_p = torch.stack([filling.fill(model, each) for each in (first, second)], 1)  # (N, 2, V)
    at_once = log_p.argmax(-1)
    surer = log_p.amax(-1).argmax(-1)  # (N,) 0 or 1: which of the two
    ids = first.said.ids.clone()
    ids[N, first.places + surer] = at_once[N, surer]
    rest = filling.Blanks(
        filling.Sentences(ids, first.said.lengths), first.places + 1 - surer, words[:, 0]
    )
    in_turn = at_once.clone()
    in_turn[N, 1 - surer] = filling.fill(model, rest).argmax(-1)
    found = {"pairs": len(rows)}
    for name, said in (("truth", words), ("at once", at_once), ("in turn", in_turn)):
        found[name] = {
            "right": (said == words).all(1).double().mean().item(),
            "seen": sum(tuple(pair) in seen_pairs() for pair in said.tolist()) / len(rows),
        }
    return found


def of_trained(model: str, setting: str, seed: int) -> dict:
    """Train one, and let it fill every blank."""
    _, train, _, asked = captions()
    made, causal = new(model, seed, setting == "near"), model == "next"
    loss = filling.next_loss if causal else filling.masked_loss
    if setting == "forty":
        loss = partial(filling.masked_loss, share=0.4)
    begun = time.process_time()
    updates = UPDATES * (3 if setting == "longer" else 1)
    filling.fit(made, train, loss, updates, RATE, seed=seed)
    found = {
        "seconds": round(time.process_time() - begun),
        "parameters": sum(p.numel() for p in made.parameters()),
    }
    scores = filling.fill(made, asked, causal)
    found |= shares(scores)
    if causal:
        found["rescored"] = rescored(made, scores)
    elif model == "attention":
        found["one a caption"] = shares(scores[one_a_caption()], one_a_caption())
        found["looks"] = filling.looks(made, asked).tolist()
        found["two blanks"] = two_blanks(made)
    return found


def of_untrained(seed: int) -> dict:
    """Where a blank looks before anything was learned."""
    return {"looks": filling.looks(new("attention", 100 + seed).eval(), captions()[3]).tolist()}


SHOWN_WORDS = 8
SHOWN = (  # two captions of as many words
    "a man in a red shirt is running",
    "two young girls are playing in the snow",
)


def of_shown(model: str, seed: int) -> dict:
    """Train one, and write down what its first layer has come to."""
    words, train, _, _ = captions()
    made = new(model, seed)
    filling.fit(made, train, filling.masked_loss, UPDATES, RATE, seed=seed)
    if model == "attention":
        said = filling.encode(SHOWN, words)
        M = made.eval().attention_maps(said.ids, said.lengths)[:, 0]  # (2, H, T, T)
        return {"captions": SHOWN, "matrices": M[:, :, 1:-1, 1:-1].tolist()}
    M = made.stack.blocks[0].self_attention.matrix(SHOWN_WORDS + 2)[:, 1:-1, 1:-1]
    largest = M.flatten(1).norm(dim=1).argsort(descending=True)[:8]
    return {"matrices": M[largest].tolist()}


# Recall ---------------------------------------------------------------------------------------


@torch.no_grad()
def recalled(model: LanguageModel) -> dict:
    """The share of keys whose value is found, by the number of pairs."""
    found = {}
    for pairs in PAIRS:
        ids, answers = without.recall(pairs, TESTED, torch.Generator().manual_seed(pairs))
        said = model.output(model.hidden_forward(ids)[:, pairs:]).argmax(-1)
        found[str(pairs)] = (said == answers).double().mean().item()
    return found


def of_recall(model: str, setting: str, seed: int) -> dict:
    """Train on sequences of up to 16 pairs or of so many alone, a new one each time."""
    torch.manual_seed(seed)
    most, *more = setting.split()  # "8 alone", "8 alone longer", "8 most"; or of the width
    alone = int(most) if "alone" in more else None
    largest = int(most) if "most" in more else max(PAIRS)
    updates = RECALL_UPDATES * (3 if "longer" in more else 1)
    width = RECALL_WIDTH * (2 if setting == "wide" else 1)
    made = without.encoder(
        model,
        without.RECALL_WORDS,
        width,
        LAYERS,
        HEADS,
        2 * width,
        longest=LONGEST,
        reach=LONGEST - 1,  # every word within reach
        dropout=0.0,
    )
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(made.parameters(), lr=RECALL_RATE)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, updates)
    begun = time.process_time()
    for _ in range(updates):
        pairs = alone or int(torch.randint(2, largest + 1, (), generator=generator))
        ids, answers = without.recall(pairs, 64, generator)
        logits = made.output(made.hidden_forward(ids)[:, pairs:])
        lost = cross_entropy(logits.flatten(0, 1), answers.flatten())
        optimiser.zero_grad()
        lost.backward()
        torch.nn.utils.clip_grad_norm_(made.parameters(), 1.0)
        optimiser.step()
        falling.step()
    parameters = sum(p.numel() for p in made.parameters())
    return {
        "seconds": round(time.process_time() - begun),
        "parameters": parameters,
        "right": recalled(made.eval()),
    }


def plan(seeds) -> list[tuple[dict, partial]]:
    """Every row: what it is, and how it is measured."""
    rows = [({"kind": "counting"}, partial(of_counting))]

    def add(kind: str, model: str, setting: str, seed: int) -> None:
        said = {"kind": kind, "model": model, "setting": setting, "seed": seed}
        measure = of_trained if kind == "trained" else of_recall
        rows.append((said, partial(measure, model, setting, seed)))

    for seed in seeds:
        for model in (*without.MIXINGS, "next"):
            add("trained", model, "paper", seed)
        for model in without.MIXINGS:
            add("recall", model, "narrow", seed)
        add("trained", "attention", "forty", seed)
    for seed in range(1, UNTRAINED + 1):
        rows.append(({"kind": "untrained", "seed": seed}, partial(of_untrained, seed)))
    for seed in seeds:
        for pairs in PAIRS:
            for model in LEARNED:
                add("recall", model, f"{pairs} alone", seed)
    if seeds == list(SEEDS):
        for model in LEARNED[1:]:
            add("recall", model, "wide", 1)
            for setting in ("8 most", "8 alone longer", "16 alone longer", "16 most longer"):
                add("recall", model, setting, 1)
        for model in ("attention", "taps"):
            add("trained", model, "longer", 1)
        for model in LEARNED:
            rows.append(({"kind": "shown", "model": model, "seed": 1}, partial(of_shown, model, 1)))
        for seed in SEEDS[1:]:
            for model in LEARNED[1:]:
                add("recall", model, "16 most longer", seed)
        for seed in SEEDS:
            add("recall", "sum", "16 most longer", seed)
            for few in (2, 4):
                add("recall", "sum", f"{few} alone", seed)
            add("trained", "taps", "near", seed)
    return rows


def main() -> None:
    """Do what is left, and write the file as it goes."""
    options, results = begin(__doc__, RESULTS, {"runs": []})
    runs = results["runs"]
    for said, measure in plan([seed for seed in options.seeds if seed in SEEDS]):
        if any(said.items() <= run.items() for run in runs):
            continue
        runs.append(said | rounded(measure(), 5))
        print(said, runs[-1].get("top 1") or runs[-1].get("right"), flush=True)
        record(options.out, COMMAND, {"runs": runs}, one_a_line="runs", grows=True)


if __name__ == "__main__":
    main()
