"""What the words of given captions cost when nothing is read at some of them: for `looking.py`."""

from collections.abc import Sequence

import numpy as np
import torch

from attnlib import metrics, pretrained
from attnlib.data import scenes
from attnlib.data.batches import collate
from attnlib.data.images import as_floats
from attnlib.metrics import pointing
from attnlib.metrics.intervals import with_interval

WRITTEN = ("a", *pointing.CLASSES)  # classes of words, in the order they are written
TOGETHER = {f"a and {name}": ("a", name) for name in pointing.CLASSES}
EVERY = "every word"


def rounded(score: metrics.Estimate) -> list[float]:
    """Value, low and high, to four digits."""
    low, high = score.interval
    return [round(float(x), 4) for x in (score.value, low, high)]


def classes(grammar, words: Sequence[str]) -> list[str | None]:
    """The class of each word; the article of a thing is one too."""
    return [
        "a" if word == "a" else name
        for word, name in zip(words, pointing.word_classes(grammar, words), strict=True)
    ]


def run(
    model: pretrained.Pretrained, samples, texts, shut=None, lent=None, glance=None
) -> tuple[list, list]:
    """Make the model write captions: log-probabilities at each word, and how far the gate was open.

    Parameters
    ----------
    shut : sequence of sequences of bool, optional
        For each word of each caption, whether nothing may be read while it is written.
    lent : sequence of tensors of shape (T, channels), optional
        For each word of each caption what is read in place of nothing.
    glance : "another" or a pair of tensors of shape (1, width), optional
        The first state and memory in place of the picture's own: those of the picture before it (of
        50 at a time), or these.
    """
    decoder = model.model.decoder
    attend, start, logs, gates = decoder.attend, decoder.start, [], []

    def moved(memory):
        """The first state, but with what another glance gave, or with the picture's own."""
        state = start(memory)
        if glance is None:
            return state
        if glance == "another":
            return state._replace(hidden=state.hidden.roll(1, 0), cell=state.cell.roll(1, 0))
        hidden, cell = (each.expand_as(state.hidden) for each in glance)
        return state._replace(hidden=hidden, cell=cell)

    for first in range(0, len(samples), 50):
        rows = slice(first, first + 50)
        ids = [model.tokenizer.encode(text) for text in texts[rows]]
        words = collate([([], each) for each in ids])
        images = torch.cat([as_floats(sample.image)[None] for sample in samples[rows]])
        opened = torch.ones(words.target_out.shape)
        for b, each in enumerate([] if shut is None else shut[rows]):
            opened[b, : len(each)] = 1 - torch.tensor(each, dtype=torch.float)
        others = torch.zeros(*opened.shape, model.card["model"]["width"])
        for b, each in enumerate([] if lent is None else lent[rows]):
            others[b, : len(each)] = each
        seen: list[torch.Tensor] = []

        def gated(hidden, memory, position, opened=opened, others=others, seen=seen):
            seen.append(decoder.beta(hidden))
            z, weights = attend(hidden, memory, position)
            part = opened[:, position : position + 1]
            return z * part + others[:, position] * (1 - part), weights

        decoder.attend, decoder.start = gated, moved
        try:
            with torch.no_grad():
                cells = torch.full((len(images),), 64)
                logits, _ = model.model(images, cells, words.target_in)
        finally:
            del decoder.attend, decoder.start
        for b, each in enumerate(ids):
            logs.append(logits[b, : len(each)].log_softmax(-1).numpy())
            gates.append(torch.cat(seen, 1)[b, : len(each)].numpy())
    return logs, gates


def nats(logs, ids: Sequence[int], among: Sequence[Sequence[int]]) -> list[float]:
    """Of each word what it costs among the words of its class."""
    rows = zip(logs, ids, among, strict=True)
    return [float(np.logaddexp.reduce(row[list(some)]) - row[i]) for row, i, some in rows]


def is_right(logs, ids: Sequence[int], among: Sequence[Sequence[int]]) -> list[float]:
    """Of each word whether it is the likeliest word of its class."""
    rows = zip(logs, ids, among, strict=True)
    return [float(row[i] == row[list(some)].max()) for row, i, some in rows]


def log_odds(logs, ids: Sequence[int], among: Sequence[Sequence[int]]) -> list[float]:
    """Of each word the log-odds against it among the words of its class."""
    rows = zip(logs, ids, among, strict=True)
    return [
        float(np.logaddexp.reduce(row[[j for j in some if j != i]]) - row[i])
        for row, i, some in rows
    ]


def beyond_the_sum(as_is, first, second, both) -> metrics.Estimate:
    """What both looks shut cost, less what each of them costs alone; a number for each picture.

    >>> as_is, alone, both = np.zeros(3), np.full(3, 0.1), np.array([0.9, 1.0, 1.1])
    >>> round(beyond_the_sum(as_is, alone, alone, both).value, 3)
    0.8
    """
    return metrics.mean_interval((both - as_is) - (first - as_is) - (second - as_is))


def closed(model, grammar, samples) -> dict:
    """What a class of words costs when nothing is read while those of some classes are written."""
    given = [sample.captions[0] for sample in samples]
    texts, names = [each.text for each in given], [classes(grammar, each.words) for each in given]
    numbers = [model.tokenizer.encode(word)[0] for word in grammar.numbers]
    of_class: dict[str | None, set] = {"number": set(numbers)}  # most of them are rarely said
    for each, its in zip(given, names, strict=True):
        for word, name in zip(each.words, its, strict=True):
            of_class.setdefault(name, set()).update(model.tokenizer.encode(word))
    ids = {name: sorted(of_class[name]) for name in WRITTEN[1:]}
    every = range(len(model.tokenizer))
    among = [[ids.get(name, every) for name in its] for its in names]
    encoded = [model.tokenizer.encode(text) for text in texts]

    def means(found):
        """By class the mean over its words in each picture that has some."""
        by_class = {}
        for name in WRITTEN[1:]:
            marks = zip(found, names, strict=True)
            some = [[x for x, one in zip(*each, strict=True) if one == name] for each in marks]
            by_class[name] = np.array([np.mean(each) for each in some if each])
        return by_class

    def measure(shut=None):
        """By class nats, how often the right word is the likeliest, and the log-odds against it."""
        logs, _ = run(model, samples, texts, shut)
        rows = list(zip(logs, encoded, among, strict=True))
        return [means([of(*row) for row in rows]) for of in (nats, is_right, log_odds)]

    def over(usual, shut, name):
        """What is lost beyond the sum, of one measure."""
        some = (shut[label][name] for label in ("a", name, f"a and {name}"))
        return rounded(beyond_the_sum(usual[name], *some))

    cost, right, odds = {}, {}, {}
    as_is, right["as it is"], odds_as_is = measure()
    for label, some in {**{name: (name,) for name in WRITTEN}, **TOGETHER}.items():
        shut = [[name in some for name in its] for its in names]
        cost[label], right[label], odds[label] = measure(shut)
    cost[EVERY], right[EVERY], _ = measure([[True] * len(its) for its in names])
    return {
        "scenes": len(samples),
        "pictures": {name: len(found) for name, found in as_is.items()},
        "nats": {name: rounded(metrics.mean_interval(found)) for name, found in as_is.items()},
        "right": {
            label: {name: round(float(np.mean(x)), 4) for name, x in its.items()}
            for label, its in right.items()
        },
        "more": {
            label: {name: rounded(metrics.mean_interval(its[name] - as_is[name])) for name in as_is}
            for label, its in cost.items()
        },
        "beyond_the_sum": {
            "nats": {name: over(as_is, cost, name) for name in as_is},
            "log-odds": {name: over(odds_as_is, odds, name) for name in as_is},
        },
    }


def read_at(model, grammar, samples, wanted=("a", "size")) -> dict[str, torch.Tensor]:
    """What is read at every word of these classes in the captions, by class."""
    decoder, found = model.model.decoder, {name: [] for name in wanted}
    with torch.no_grad():
        for sample in samples:
            words = sample.captions[0].words
            memory = model.model.encode(as_floats(sample.image)[None], torch.tensor([64]))
            state, last = model.model.start(memory), 1
            for t, (word, name) in enumerate(zip(words, classes(grammar, words), strict=True)):
                embedded = model.model.embedding(torch.tensor([last]))
                z, _, state = decoder.advance(embedded, state, memory, t)
                if name in found:
                    found[name].append(z[0])
                last = model.tokenizer.encode(word)[0]
    return {name: torch.stack(rows) for name, rows in found.items()}


def mean_start(model, samples) -> tuple[torch.Tensor, torch.Tensor]:
    """The first state and memory of these scenes, on average."""
    with torch.no_grad():
        images = torch.cat([as_floats(sample.image)[None] for sample in samples])
        memory = model.model.encode(images, torch.full((len(images),), 64))
        state = model.model.start(memory)
    return state.hidden.mean(0, keepdim=True), state.cell.mean(0, keepdim=True)


def sizes(model, grammar, samples, lenders) -> dict:
    """What the sizes cost without their looks: scenes of one size, and scenes that hold both."""
    given = [sample.captions[0] for sample in samples]
    texts, names = [each.text for each in given], [classes(grammar, each.words) for each in given]
    encoded = [model.tokenizer.encode(text) for text in texts]
    among = [model.tokenizer.encode(word)[0] for word in scenes.SIZES]
    held = np.array([len({thing.size for thing in sample.things}) for sample in samples])
    said = np.array(["size" in its for its in names])
    read, rng = read_at(model, grammar, lenders), np.random.default_rng(0)

    def lent(its, how):
        """For each word what is read there in other scenes; nothing where it is not asked."""
        rows = torch.zeros(len(its), read["a"].shape[1])
        for t, name in enumerate(its):
            if name in read:
                drawn = read[name][rng.integers(len(read[name]))]
                rows[t] = read[name].mean(0) if how == "mean" else drawn
        return rows

    glances = {"start": "another", "mean start": mean_start(model, lenders)}

    def measure(some, how):
        """Of the sizes of each picture nats, how often the right one is likelier, log-odds."""
        shut = [[some == EVERY or name in some for name in its] for its in names]
        others = [lent(its, how) for its in names] if how in ("mean", "another") else None
        logs, _ = run(model, samples, texts, shut, others, glances.get(how))
        found = []
        for of in (nats, is_right, log_odds):
            its = [
                of(rows, ids, [among if name == "size" else range(rows.shape[1]) for name in kinds])
                for rows, ids, kinds in zip(logs, encoded, names, strict=True)
            ]
            found.append(
                [
                    np.mean([x for x, name in zip(*each, strict=True) if name == "size"])
                    for each in zip(its, names, strict=True)
                    if "size" in each[1]
                ]
            )
        return np.array(found)

    looks = {"as it is": (), "a": ("a",), "size": ("size",), "a and size": ("a", "size")}
    of = {"nothing": {label: measure(some, "nothing") for label, some in looks.items()}}
    of["nothing"][EVERY] = measure(EVERY, "nothing")
    for how in ("mean", "another"):
        of[how] = {label: measure(some, how) for label, some in looks.items() if some}
    for how in glances:
        some = looks | {EVERY: EVERY}
        of[how] = {label: measure(its, how) for label, its in some.items()}
    found = {"scenes": len(samples), "lenders": len(lenders)}
    alone = [k for k, i in enumerate(np.flatnonzero(said)) if len(samples[i].things) == 1]
    example = int(np.flatnonzero(said)[alone[0]])
    found["example"] = {
        "scene": example,
        "caption": texts[example],
        "chance": {
            label: round(float(np.exp(-rows[0][alone[0]])), 4)
            for label, rows in of["nothing"].items()
        },
    }
    small = model.tokenizer.encode(next(iter(scenes.SIZES)))[0]
    for number, what in ((1, "one size"), (2, "both sizes")):
        kept = held[said] == number
        captions = (ids for ids, size in zip(encoded, held, strict=True) if size == number)
        words = [i for ids in captions for i in ids if i in among]
        found[what] = {
            "pictures": int(kept.sum()),
            "words": len(words),
            "small": round(words.count(small) / len(words), 4),
        }
        as_is = of["nothing"]["as it is"][:, kept]
        for how, its in of.items():
            cut = {label: rows[:, kept] for label, rows in its.items()}
            found[what][how] = {
                "nats": {k: rounded(metrics.mean_interval(v[0])) for k, v in cut.items()},
                "right": {k: rounded(metrics.mean_interval(v[1])) for k, v in cut.items()},
            }
            if "a and size" in cut:
                of_sum = [cut.get(label, as_is) for label in looks]
                found[what][how]["beyond_the_sum"] = {
                    "nats": rounded(beyond_the_sum(*(rows[0] for rows in of_sum))),
                    "log-odds": rounded(beyond_the_sum(*(rows[2] for rows in of_sum))),
                }
    return found


def stand_ins(model, grammar, samples, lenders, wanted=("colour", "noun")) -> dict:
    """How many words of a class are right when something else is read while they are written.

    ``nothing``, the ``mean`` of what is read at such words in other scenes, or what is read at one
    of them in ``another`` scene. ``believed`` is how many then become that scene's word (*star* and
    *stars* are one noun here), ``same`` how often the two scenes' words are the same anyway.
    Shares of the words of a picture, by picture.
    """
    given = [sample.captions[0] for sample in samples]
    texts, names = [each.text for each in given], [classes(grammar, each.words) for each in given]
    read, rng = read_at(model, grammar, lenders, wanted), np.random.default_rng(0)
    theirs: dict[str, list[str]] = {name: [] for name in wanted}
    for sample in lenders:
        words = sample.captions[0].words
        for word, name in zip(words, classes(grammar, words), strict=True):
            if name in theirs:
                theirs[name].append(word)
    one = {plural: noun for noun, plural in grammar.nouns.items()}
    found: dict = {"scenes": len(samples), "lenders": len(lenders)}
    for name in wanted:
        said = [(b, t) for b, its in enumerate(names) for t, x in enumerate(its) if x == name]
        words = sorted({given[b].words[t] for b, t in said})
        ids = [model.tokenizer.encode(word)[0] for word in words]
        drawn = {place: int(rng.integers(len(theirs[name]))) for place in said}
        shut = [[x == name for x in its] for its in names]

        def over(marks, said=said):
            """The mean over the pictures of the shares of their words."""
            by_picture: dict[int, list] = {}
            for (b, _), mark in zip(said, marks, strict=True):
                by_picture.setdefault(b, []).append(mark)
            return rounded(metrics.mean_interval([np.mean(x) for x in by_picture.values()]))

        right = {}
        for how in ("as it is", "nothing", "mean", "another"):
            others = [torch.zeros(len(its), read[name].shape[1]) for its in names]
            for b, t in said if how in ("mean", "another") else ():
                others[b][t] = read[name].mean(0) if how == "mean" else read[name][drawn[b, t]]
            logs, _ = run(model, samples, texts, None if how == "as it is" else shut, others)
            likeliest = [words[int(logs[b][t][ids].argmax())] for b, t in said]
            own = [given[b].words[t] for b, t in said]
            right[how] = over([x == y for x, y in zip(likeliest, own, strict=True)])
        lent = [theirs[name][drawn[place]] for place in said]
        found[name] = {
            "words": len(said),
            "right": right,
            "believed": over(
                [one.get(x, x) == one.get(y, y) for x, y in zip(likeliest, lent, strict=True)]
            ),
            "same": over([one.get(x, x) == one.get(y, y) for x, y in zip(own, lent, strict=True)]),
        }
    return found


def gate_and_harm(model, samples, least: int = 15, draws: int = 1000) -> dict:
    """How far the gate is open at each word, and what it costs to shut that one look.

    ``here`` is how far the word's own distribution moves (the Kullback-Leibler divergence from what
    it is with every look open, in nats), ``later`` the sum of the same over the words that follow.
    Means over a word's places in given captions, for words with at least `least`; ``rank`` is
    Spearman's correlation of gate and harm over these words, with an interval over words: their
    ranks are drawn `draws` times.
    """
    given = [sample.captions[0].words for sample in samples]
    texts = [sample.captions[0].text for sample in samples]
    as_is, gates = run(model, samples, texts)
    places = [(b, t) for b, words in enumerate(given) for t in range(len(words))]
    shut = [[t == i for i in range(len(given[b]))] for b, t in places]
    logs, _ = run(model, [samples[b] for b, _ in places], [texts[b] for b, _ in places], shut)
    rows = []  # gate, harm here and later, of each word of each caption
    for (b, t), its in zip(places, logs, strict=True):
        moved = (np.exp(as_is[b]) * (as_is[b] - its)).sum(1)
        assert abs(moved[:t]).max(initial=0) < 1e-3  # what comes before is the same
        rows.append((float(gates[b][t]), float(moved[t]), float(moved[t + 1 :].sum())))
    said = [given[b][t] for b, t in places]
    words = sorted({word for word in said if said.count(word) >= least})
    marks = np.array(
        [
            np.mean([row for its, row in zip(said, rows, strict=True) if its == word], axis=0)
            for word in words
        ]
    )
    gate, here, later = marks.T
    ranks = {
        name: x.argsort().argsort()
        for name, x in (("gate", gate), ("here", here), ("later", later), ("both", here + later))
    }

    def correlation(name):
        """Of the ranks of gate and harm, with its interval over words."""

        def of(drawn):
            """For each row of how often each word is drawn."""
            both = [np.cov(ranks["gate"], ranks[name], fweights=row.astype(int)) for row in drawn]
            return np.array([x[0, 1] / np.sqrt(x[0, 0] * x[1, 1]) for x in both])

        every = np.eye(len(words))
        value = metrics.Estimate(float(of(every.sum(0, keepdims=True))[0]), f"rank|{name}")
        return rounded(with_interval(value, every, of, draws, 0))

    return {
        "scenes": len(samples),
        "words": {
            word: {
                "places": said.count(word),
                **{
                    name: round(float(x), 4)
                    for name, x in zip(("gate", "here", "later"), marks[i], strict=True)
                },
            }
            for i, word in enumerate(words)
        },
        "rank": {name: correlation(name) for name in ("here", "later", "both")},
    }


def spoken_of(model, grammar, samples, wanted=("colour", "texture")) -> dict:
    """Of the words of a class the wrong ones, with every look open: are they another thing's?"""
    given = [sample.captions[0] for sample in samples]
    logs, _ = run(model, samples, [each.text for each in given])
    found = {}
    for name in wanted:
        ids = {
            word: model.tokenizer.encode(word)[0]
            for each in given
            for word, its in zip(each.words, classes(grammar, each.words), strict=True)
            if its == name
        }
        words = wrong = others = 0
        for sample, each, row in zip(samples, given, logs, strict=True):
            for t, its in enumerate(classes(grammar, each.words)):
                if its != name:
                    continue
                likeliest = max(ids, key=lambda word, its=row[t]: its[ids[word]])
                words, wrong = words + 1, wrong + (likeliest != each.words[t])
                if likeliest != each.words[t]:
                    others += any(getattr(thing, name) == likeliest for thing in sample.things)
        found[name] = {"words": words, "wrong": wrong, "of another thing": others}
    return {"scenes": len(samples)} | found


def let_in(model, samples, lenders, share: float = 0.5) -> dict:
    """How many sizes are right when the look at the size is let in by this share, not by its gate.

    In scenes whose things all have one size. The look is the word's ``own``, the ``mean`` of those
    at sizes in other scenes, or that at one size of ``another`` scene; ``usual`` is another's, let
    in as far as its own gate let it. ``same`` is how often the other scene's size is the same one.
    """
    decoder = model.model.decoder

    def looks(some):
        """By scene and place the context at each size, and how far the gate was open."""
        found = {}
        with torch.no_grad():
            for b, sample in enumerate(some):
                memory = model.model.encode(as_floats(sample.image)[None], torch.tensor([64]))
                state, last = model.model.start(memory), 1
                for t, word in enumerate(sample.captions[0].words):
                    embedded = model.model.embedding(torch.tensor([last]))
                    z, _, state = decoder.advance(embedded, state, memory, t)
                    if word in scenes.SIZES:
                        beta = decoder.beta(state.hidden)[0]
                        found[b, t] = z[0] / beta, float(beta), word
                    last = model.tokenizer.encode(word)[0]
        return found

    alone = [each for each in samples if len({thing.size for thing in each.things}) == 1]
    given = [each.captions[0] for each in alone]
    own, theirs = looks(alone), list(looks(lenders).values())
    rng = np.random.default_rng(0)
    drawn = {place: theirs[rng.integers(len(theirs))] for place in own}
    average = torch.stack([context for context, _, _ in theirs]).mean(0)
    read = {
        "own": {place: share * context for place, (context, _, _) in own.items()},
        "mean": dict.fromkeys(own, share * average),
        "another": {place: share * context for place, (context, _, _) in drawn.items()},
        "usual": {place: beta * context for place, (context, beta, _) in drawn.items()},
    }
    pair = {word: model.tokenizer.encode(word)[0] for word in scenes.SIZES}
    shut = [[word in pair for word in each.words] for each in given]

    def over(marks):
        """The mean over the scenes of the shares of their words."""
        of_scene: dict[int, list] = {}
        for (b, _), mark in marks.items():
            of_scene.setdefault(b, []).append(mark)
        return rounded(metrics.mean_interval([np.mean(its) for its in of_scene.values()]))

    right = {}
    for how, its in read.items():
        others = [torch.zeros(len(each.words), len(average)) for each in given]
        for (b, t), row in its.items():
            others[b][t] = row
        logs, _ = run(model, alone, [each.text for each in given], shut, others)
        right[how] = over(
            {
                (b, t): max(pair, key=lambda word, row=logs[b][t]: row[pair[word]]) == word
                for (b, t), (_, _, word) in own.items()
            }
        )
    return {
        "scenes": len(samples),
        "lenders": len(lenders),
        "pictures": len({b for b, _ in own}),
        "words": len(own),
        "share": share,
        "gate": round(float(np.mean([beta for _, beta, _ in own.values()])), 4),
        "right": right,
        "same": over({place: drawn[place][2] == its[2] for place, its in own.items()}),
    }
