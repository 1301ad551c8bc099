"""A memory asked in several hops, and addressed by content and place.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/memory.py

`attnlib.beyond.memory` on `attnlib.data.stories`, whose supporting sentences are known. The kinds
of rows:

* ``trained``: one a setting and seed. Right answers and where each hop looks, by the number of
  facts a question rests on: on stories as long as those of the training (8 to 16 sentences); on
  longer ones (17 to 24, 25 to 40), and on the same ones cut to their last 16 sentences, where all
  facts are among these; on stories of people who were never seen, beside the same stories of known
  ones; and on questions of two facts by the verb that says who has the thing;
* ``lent``: are strangers not found because their vectors are as short as they began? Each gets one
  as long as people's are, in another direction;
* ``example``: where the hops of a trained one look in the first test story of eight sentences and
  three facts;
* ``untrained``: the same networks as they begin, 8 seeds;
* ``guesses``: what answers without a network are worth, on the same stories;
* ``recall`` and ``walk``: nothing is learned. How often a noisy key brings back the row that it was
  made of, by its sharpness; and how much weight is where it should be after so many shifts.

What is in ``memory.json`` already is not measured again, so a stopped run goes on. Half an hour of
one core; a training takes 15 to 40 seconds, with three times the updates three times as many.
"""

import random
from functools import cache
from pathlib import Path

import torch
from _record import begin, record
from torch.nn.functional import normalize

from attnlib.beyond import memory
from attnlib.data import stories
from attnlib.explore.figure import rounded

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/memory.py"
STORIES = {"train": 20000, "test": 3000, "longer": 1500}
LENGTHS = {"8 to 16": (8, 16), "17 to 24": (17, 24), "25 to 40": (25, 40)}
LONGEST = 16  # sentences, in training
UNTRAINED = 8  # seeds
BASE = {
    "hops": 3,
    "embeddings": "apart",
    "ordered": True,
    "timed": True,
    "linear": 3000,
    "updates": 9000,
}
SETTINGS = [
    BASE,
    BASE | {"hops": 2},
    BASE | {"hops": 1},
    BASE | {"linear": 0},
    BASE | {"embeddings": "shared"},
    BASE | {"embeddings": "shared", "linear": 0},
    BASE | {"ordered": False},
    BASE | {"timed": False},
]
LONGER = [
    BASE | {"linear": 0, "updates": 27000},
    BASE | {"embeddings": "shared", "updates": 27000},
]
MARKED = {"test": "8 to 16", "strangers": "strangers"}  # where the hops' looks are kept
LENT = [BASE, BASE | {"embeddings": "shared", "linear": 0}]
SHARPNESS = (1, 2, 5, 10, 20, 50)
NOISE = (0.0, 0.1, 0.2, 0.3)  # the share of a key's signs that are turned
ROWS, WIDTH, KEYS = 32, 16, 2000  # of the memory that is recalled from
LEAK, STEPS = 0.05, 20  # share of a shift that goes to either side of where it should
POWERS = (1.0, 1.2, 1.5, 2.0)


@cache
def told(which: str) -> list[stories.Story]:
    """Stories of the training, or of a test by the lengths, the people."""
    if which == "train":
        return stories.stories(random.Random("train"), STORIES["train"])
    if which in LENGTHS:
        shortest, longest = LENGTHS[which]
        count = STORIES["test" if longest == LONGEST else "longer"]
        rng = random.Random(f"test {which}")
        return stories.stories(rng, count, shortest=shortest, longest=longest, split="test")
    people = {"strangers": stories.STRANGERS, "known": stories.PEOPLE[: stories.CAST]}[which]
    rng = random.Random("people")  # the same stories, but for the names
    return stories.stories(rng, STORIES["longer"], split="all", people=people)


@cache
def asked(which: str) -> stories.Questions:
    """The same as tensors."""
    return stories.encode(told(which))


def cut(which: stories.Questions) -> tuple[stories.Questions, stories.Questions]:
    """The stories whose facts are among the last sentences: whole, and these sentences only."""
    whole = which[which.facts.amax(1) < LONGEST]
    few = stories.Questions(
        whole.sentences[:, :LONGEST],
        whole.lengths.clamp(max=LONGEST),
        whole.questions,
        whole.answers,
        whole.facts,
    )
    return whole, few


# Networks -------------------------------------------------------------------------------------


def new(setting: dict, seed: int) -> memory.MemoryNetwork:
    """A network as it begins."""
    torch.manual_seed(seed)
    dials = {k: v for k, v in setting.items() if k not in ("linear", "updates")}
    return memory.MemoryNetwork(len(stories.vocabulary()), **dials)


def rights(model: memory.MemoryNetwork, which: stories.Questions) -> dict[int, float]:
    """The share of right answers by the number of facts."""
    return {kind: found["right"] for kind, found in memory.marks(model, which).items()}


@torch.no_grad()
def right(model: memory.MemoryNetwork, which: stories.Questions) -> float:
    """The share of right answers."""
    return float((model(which).logits.argmax(-1) == which.answers).double().mean())


def by_verb(model: memory.MemoryNetwork) -> dict[str, float]:
    """Right answers to questions of two facts, by how the thing came to who has it."""
    found = {}
    for verb in ("took", "sent"):
        some = [
            story
            for story in told("8 to 16")
            if len(story.facts) == 2 and story.sentences[story.facts[0]][1] == verb
        ]
        found[verb] = right(model, stories.encode(some))
    return found


def of_trained(setting: dict, seed: int) -> dict:
    """Train one, and ask it everything."""
    model = new(setting, seed)
    learning = {name: setting[name] for name in ("updates", "linear")}
    memory.fit(model, asked("train"), seed=seed, **learning)
    found = {which: memory.marks(model, asked(name)) for which, name in MARKED.items()}
    found["right"] = {which: rights(model, asked(which)) for which in (*LENGTHS, "known")}
    found["right"]["train"] = rights(model, asked("train")[torch.arange(STORIES["test"])])
    for which in list(LENGTHS)[1:]:
        whole, few = cut(asked(which))
        found["right"] |= {
            f"{which}, facts among the last": rights(model, whole),
            f"{which}, cut": rights(model, few),
        }
    found["verb"] = by_verb(model)
    return found


@torch.no_grad()
def lend(model: memory.MemoryNetwork, seed: int) -> None:
    """Give each stranger, in each table, the mean of people and a difference as long as theirs."""
    generator = torch.Generator().manual_seed(seed)
    words = stories.vocabulary()
    for table in model.words:
        people = table[words.encode(stories.PEOPLE)]
        mean = people.mean(0)
        length = (people - mean).norm(dim=1).mean()
        new = torch.randn(len(stories.STRANGERS), table.shape[1], generator=generator)
        table[words.encode(stories.STRANGERS)] = mean + length * normalize(new)


def of_lent(setting: dict, seed: int) -> dict:
    """Strangers before and after their vectors were lent."""
    model = new(setting, seed)
    learning = {name: setting[name] for name in ("updates", "linear")}
    memory.fit(model, asked("train"), seed=seed, **learning)
    found = {"before": memory.marks(model, asked("strangers"))}
    lend(model, seed)
    return found | {"after": memory.marks(model, asked("strangers"))}


def example(seed: int) -> dict:
    """Where each hop looks in one story; sentences in the order of time."""
    model = new(BASE, seed)
    learning = {name: BASE[name] for name in ("updates", "linear")}
    memory.fit(model, asked("train"), seed=seed, **learning)
    found = (s for s in told("8 to 16") if len(s.facts) == 3 and len(s.sentences) == 8)
    story = next(found)
    with torch.no_grad():
        answered = model(stories.encode([story]))
    return {
        "sentences": [" ".join(sentence) for sentence in story.sentences],
        "question": " ".join(story.question),
        "answer": story.answer,
        "facts": list(story.facts),
        "said": stories.vocabulary().decode([int(answered.logits.argmax())])[0],
        "weights": answered.weights[0].flip(1).tolist(),
    }


# Without a network ----------------------------------------------------------------------------


def guesses(which: str) -> dict:
    """What it is worth to guess; and a sentence drawn at random, as a fact."""
    found = {}
    for kind in stories.KINDS:
        some = [story for story in told(which) if len(story.facts) == kind]
        moves = [[s for s in story.sentences if s[1] == "went"] for story in some]
        who = [story.sentences[story.facts[-1]][0] for story in some]

        def mean(shares) -> float:
            shares = list(shares)
            return sum(shares) / len(shares)

        found[kind] = {
            "stories": len(some),
            "the last place": mean(m[-1][-1] == s.answer for m, s in zip(moves, some)),
            "a place of the story": mean(
                mean(move[-1] == s.answer for move in m) for m, s in zip(moves, some)
            ),
            "a place of the right person": mean(
                mean(move[-1] == s.answer for move in m if move[0] == w)
                for m, s, w in zip(moves, some, who)
            ),
            "a sentence, as a fact": mean(1 / len(s.sentences) for s in some),
        }
    return found


def recall(noise: float, sharpness: float) -> dict:
    """The share of keys whose reading has the signs of the row that they were made of."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(KEYS, ROWS, WIDTH, generator=generator).sign()
    turned = torch.rand(KEYS, WIDTH, generator=generator) < noise
    keys = torch.where(turned, -rows[:, 0], rows[:, 0])
    weights = memory.by_content(keys, rows, sharpness)
    got = memory.read(rows, weights)
    return {
        "weight": float(weights[:, 0].mean()),
        "looked at": float((weights.argmax(1) == 0).double().mean()),
        "read": float((got.sign() == rows[:, 0]).all(1).double().mean()),
    }


def walk(power: float) -> dict:
    """The weight at the right place after each of so many shifts that leak to both sides."""
    weights = torch.zeros(1, STEPS, dtype=torch.float64)
    weights[0, 0] = 1.0
    shifts = torch.tensor([[0.0, 0.0, LEAK, 1 - 2 * LEAK, LEAK]], dtype=torch.float64)
    found = []
    for step in range(1, STEPS + 1):
        weights = memory.sharpen(memory.shift(weights, shifts), power)
        found.append(float(weights[0, step % STEPS]))
    return {"weight": found}


def plan(seeds):
    """Every row: what it is, and how it is measured."""
    for which in LENGTHS:
        yield {"kind": "guesses", "length": which}, lambda w=which: {"found": guesses(w)}
    for noise in NOISE:
        for sharpness in SHARPNESS:
            said = {"kind": "recall", "noise": noise, "sharpness": sharpness}
            yield said, lambda n=noise, s=sharpness: recall(n, s)
    for power in POWERS:
        yield {"kind": "walk", "power": power}, lambda p=power: walk(p)
    for seed in range(1, UNTRAINED + 1):
        for hops in (1, 2, 3):
            said = {"kind": "untrained", "hops": hops, "seed": seed}
            setting = BASE | {"hops": hops}
            yield (
                said,
                lambda s=setting, n=seed: {"test": memory.marks(new(s, n), asked(MARKED["test"]))},
            )
    for seed in seeds:
        for setting in SETTINGS:
            said = {"kind": "trained", **setting, "seed": seed}
            yield said, lambda s=setting, n=seed: of_trained(s, n)
    for seed in seeds:
        for setting in LONGER:
            said = {"kind": "trained", **setting, "seed": seed}
            yield said, lambda s=setting, n=seed: of_trained(s, n)
        for setting in LENT:
            said = {"kind": "lent", **setting, "seed": seed}
            yield said, lambda s=setting, n=seed: of_lent(s, n)
    yield {"kind": "example", "seed": 1}, lambda: example(1)


def main() -> None:
    """Do what is left, and write the file as it goes."""
    options, results = begin(__doc__, RESULTS, {"runs": []})
    runs = results["runs"]
    for said, measure in plan(options.seeds):
        if any(said.items() <= run.items() for run in runs):
            continue
        runs.append(rounded(said | measure(), 4))
        if said["kind"] == "trained":
            test = runs[-1]["test"]
            print(said, {k: v["right"] for k, v in test.items()}, flush=True)
        record(options.out, COMMAND, {"runs": runs}, one_a_line="runs")


if __name__ == "__main__":
    main()
