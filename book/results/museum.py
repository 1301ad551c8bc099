"""The bug museum, trained: what each bug does to the loss, and what it costs. Chapter 10.

Run from the root of the repository, on one thread, about ten minutes::

    OMP_NUM_THREADS=1 python book/results/museum.py

A small transformer (one block to read, one to write) learns to write sequences of letters in
reverse. In each run the attentions of one of its three places are those of a room of
`attnlib.checks.museum`: of the encoder, of what is written, or of what the writer reads. The twin
of all is the same model with `RightAttention`, from the same first weights, on the same sequences
in the same order. Of each run: the training loss (mean of 25 updates), and of 500 new sequences
the share that are written without a mistake, each alone and in a batch that is padded to 20.

Where a room has no place in such a run, what it does is measured on the twin:

*scaled by the heads*
    trained weights are loaded into it, as happened there;
*nothing to see*
    one sequence in a hundred has no letters, and its mask hides all of it; the twin gets it too;
*dropped on one path*
    the loss is given on both paths: with weights, on which it was trained, and without;
*the encoder is not read*
    on sentences of the small grammar, where a language model has something to guess;
*the other divergence*
    the attention of the writer is also drawn to the letter that is copied, by either divergence:
    the share of written letters whose most attended source letter is the same letter;
*the weights of another hypothesis*
    that share for a twin of the room before, trained for 150 updates, so that it is in doubt; by
    the weights that a beam of 4 shows, and by those it has when it is given its own words.

Every room has three seeds. The page asks of five of them what their loss is after 225 updates. A
question of order wants more seeds, so these and the twin get eight more, which end there:
``early``, by room, place and seed, is the mean loss of updates 201 to 225.

It writes ``museum.json`` beside itself after every run, and skips the runs already there.
"""

import itertools
import random
from pathlib import Path

import torch
from _record import begin, record
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from attnlib.checks import museum, museum_code
from attnlib.checks.museum_code import RightAttention
from attnlib.data import toy
from attnlib.data.batches import Batch, collate, pad
from attnlib.data.tokenizer import BOS, EOS, PAD

RESULTS = Path(__file__).with_name("museum.json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/museum.py"
WIDTH, HEADS, POSITIONS = 32, 2, 40
BATCH, UPDATES, EARLY, YOUNG, EVERY = 32, 800, 225, 150, 25
MORE = 4, 5, 6, 7, 8, 9, 10, 11  # seeds
LONGEST, TESTED, PADDED, BEAMED = 8, 500, 20, 200
LETTERS = toy.vocabulary("reverse", 10)


class Block(nn.Module):
    """Pre-norm: attention to itself, attention to a source if it has one, feed-forward."""

    def __init__(self, itself: type, source: type | None = None):
        super().__init__()
        self.itself = itself(WIDTH, HEADS)
        self.source = None if source is None else source(WIDTH, HEADS)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3))
        self.forwards = nn.Sequential(
            nn.Linear(WIDTH, 2 * WIDTH), nn.ReLU(), nn.Linear(2 * WIDTH, WIDTH)
        )

    def forward(self, x, real=None, causal=False, memory=None, need_weights=True):
        """States (B, T, D); `real` is of the source where there is one, else of the states."""
        y = self.norms[0](x)
        own = None if memory is not None else real
        x = x + self.itself(y, y, y, own, causal, need_weights)[0]
        looked = None
        if memory is not None:
            y = self.norms[1](x)
            read, looked = self.look(y, memory, real)
            x = x + read
        return x + self.forwards(self.norms[2](x)), looked

    def look(self, y, memory, real):
        """Cross-attention, with its weights."""
        return self.source(y, memory, memory, real)


class Ignores(Block):
    """The block of the room in which the encoder is not read."""

    def look(self, y, memory, real):
        return self.source(y, y, y, None, True)


class Reverser(nn.Module):
    """Reads (B, S) with one block, writes (B, T) with one: log-probabilities are a softmax away."""

    def __init__(
        self, words: int, reads=RightAttention, writes=RightAttention, looks=RightAttention
    ):
        super().__init__()
        self.words = nn.Embedding(words, WIDTH)
        self.places = nn.Embedding(POSITIONS, WIDTH)
        self.reader = Block(reads)
        self.writer = (Block if looks is not None else Ignores)(writes, looks or RightAttention)
        self.norm = nn.LayerNorm(WIDTH)
        self.output = nn.Linear(WIDTH, words)

    def embed(self, ids: Tensor) -> Tensor:
        """Words with their places."""
        return self.words(ids) + self.places(torch.arange(ids.shape[1]))

    def forward(self, source: Tensor, lengths: Tensor, written: Tensor, need_weights: bool = True):
        """Scores of the next words (B, T, V), and where each looked (B, H, T, S)."""
        real = torch.arange(source.shape[1]) < lengths.unsqueeze(1)
        memory, _ = self.reader(self.embed(source), real)
        x, looked = self.writer(self.embed(written), real, True, memory, need_weights)
        return self.output(self.norm(x)), looked


def examples(task: str, split: str, count: int, seed: int) -> list:
    """Pairs of ids."""
    rng = random.Random(f"museum {task} {split} {seed}")
    if task == "reverse":
        return LETTERS.pairs(toy.reverse(rng, count, 10, 1, LONGEST, split))
    return toy.vocabulary("phrases").pairs(toy.phrases(rng, count, deepest=0, split=split))


def loss_of(model, batch: Batch, need_weights: bool = True) -> tuple[Tensor, Tensor]:
    """Nats for each word, and where it looked."""
    scores, looked = model(batch.source, batch.source_lengths, batch.target_in, need_weights)
    return cross_entropy(scores.flatten(0, 1), batch.target_out.flatten(), ignore_index=PAD), looked


def fit(
    model,
    pairs: list,
    seed: int,
    updates: int,
    extra=None,
    empty: bool = False,
    stop: int | None = None,
) -> list[float]:
    """Train; the mean loss of every 25 updates. An empty source comes once in a hundred.

    With `stop` it ends early, with the learning rate of the whole.
    """
    rng = random.Random(f"museum order {seed}")
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    curve, recent = [], []
    for update in range(updates if stop is None else stop):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, (update + 1) / 50, 2 * (1 - update / updates))
        batch = collate(rng.sample(pairs, BATCH))
        if empty and update % 3 == 2:  # 1 sequence of 96
            batch.source_lengths[0] = 0
        loss, looked = loss_of(model, batch)
        total = loss if extra is None else loss + extra(looked, batch)
        optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent.append(loss.item())
        if len(recent) == EVERY:
            curve.append(round(sum(recent) / EVERY, 4))
            recent = []
    return curve


@torch.no_grad()
def write(model, source: Tensor, lengths: Tensor) -> Tensor:
    """The likeliest words (B, T) one after another."""
    written = torch.full((len(source), 1), BOS)
    for _ in range(LONGEST + 4):
        scores, _ = model(source, lengths, written)
        written = torch.cat([written, scores[:, -1:].argmax(-1)], 1)
    return written[:, 1:]


def right(model, pairs: list, padded: bool) -> float:
    """The share that is written without a mistake: in batches padded to one length, or alone."""
    count = 0
    size = 50 if padded else 1
    for i in range(0, len(pairs), size):
        source, lengths = pad([[*x, EOS] for x, _ in pairs[i : i + size]])
        if padded:
            source = nn.functional.pad(source, (0, PADDED - source.shape[1]), value=PAD)
        rows = write(model, source, lengths).tolist()
        for row, (_, y) in zip(rows, pairs[i : i + size], strict=True):
            count += row[: len(y) + 1] == [*y, EOS]
    return round(count / len(pairs), 4)


def test_loss(model, pairs: list, need_weights: bool = True) -> float | None:
    """Nats for each word, the words before it given; None where that is no number."""
    with torch.no_grad():
        loss = loss_of(model, collate(pairs), need_weights)[0].item()
    return round(loss, 4) if loss == loss else None


def pulled(divergence):
    """A second loss: the weights, mean over heads, are drawn to the letter that is written."""

    def loss(looked: Tensor, batch: Batch) -> Tensor:
        S = batch.source.shape[1]
        real = torch.arange(S) < batch.source_lengths.unsqueeze(1)
        rows, targets = [], []
        weights = looked.mean(1)
        for b, length in enumerate((batch.source_lengths - 1).tolist()):  # letters
            gold = torch.eye(length + 1)[:length].flip(0)  # the t-th written was the last but t
            gold = nn.functional.pad(gold, (0, S - length - 1))
            targets.append(0.9 * gold + 0.1 * real[b] / real[b].sum())
            rows.append(weights[b, :length])
        target, learnt = torch.cat(targets), torch.cat(rows)
        seen = target > 0
        tiny = torch.finfo(target.dtype).tiny
        return divergence(
            torch.where(seen, target, tiny), torch.where(seen, learnt, tiny).clamp_min(tiny)
        )

    return loss


@torch.no_grad()
def pointed(model, pairs: list, search: type) -> dict[str, float]:
    """By a beam of 4: sequences that are right, and letters whose weights point at their like.

    ``as shown`` is of the weights that the search gives, ``as written`` of those that the model has
    when it is given the same words, ``apart`` the share of sequences where some weight of the two
    is more than 0.01 apart.
    """
    exact, shown, written, letters, apart = 0, 0, 0, 0, 0
    for x, y in pairs:
        source, lengths = pad([[*x, EOS]])

        def step(prefixes, words, source=source, lengths=lengths):
            prefixes = torch.cat([prefixes, words.unsqueeze(1)], 1)
            K = len(prefixes)
            scores, looked = model(source.expand(K, -1), lengths.expand(K), prefixes)
            return prefixes, scores[:, -1].log_softmax(-1), looked[:, :, -1].mean(1)

        start = torch.zeros(0, dtype=torch.long)
        words, weights = search(step, beam=4)(start, BOS, len(y) + 1)
        exact += words.tolist() == [*y, EOS]
        given = torch.cat([torch.tensor([BOS]), words])[None, :-1]
        again = model(source, lengths, given)[1][0].mean(0)
        apart += bool((again - weights).abs().max() > 0.01)
        letters += len(words)
        shown += int((source[0, weights.argmax(-1)] == words).sum())
        written += int((source[0, again.argmax(-1)] == words).sum())
    return {
        "exact": round(exact / len(pairs), 4),
        "as shown": round(shown / letters, 4),
        "as written": round(written / letters, 4),
        "apart": round(apart / len(pairs), 4),
    }


def kinds(name: str) -> type:
    """The class of a room."""
    return type(museum.rooms()[name].broken())


TWIN = "twin"
PLANS: dict[
    tuple[str, str], dict[str, str | None]
] = {  # what is trained: the room, and where its attention is
    (TWIN, ""): {},
    ("on the query axis", "reads"): {"reads": "on the query axis"},
    ("dropped on one path", "writes"): {"writes": "dropped on one path"},
    ("never causal", "writes"): {"writes": "never causal"},
    ("scaled by the heads", "everywhere"): dict.fromkeys(
        ("reads", "writes", "looks"), "scaled by the heads"
    ),
    ("over the queries", "reads"): {"reads": "over the queries"},
    ("over the queries", "looks"): {"looks": "over the queries"},
    ("over one number", "reads"): {"reads": "over one number"},
    ("over one number", "looks"): {"looks": "over one number"},
    ("joined by a view", "reads"): {"reads": "joined by a view"},
    ("joined by a view", "looks"): {"looks": "joined by a view"},
    ("across the batch", "reads"): {"reads": "across the batch"},
    ("nothing to see", "everywhere"): {"reads": "nothing to see", "looks": "nothing to see"},
    (TWIN, "nothing to see"): {},
    ("the encoder is not read", "looks"): {"looks": None},
    (TWIN, "the encoder is not read"): {},
    ("the other divergence", "looks"): {},
    (TWIN, "the other divergence"): {},
    ("the weights of another hypothesis", ""): {},
}


ASKED = (  # after 225 updates
    (TWIN, ""),
    ("on the query axis", "reads"),
    ("never causal", "writes"),
    ("over the queries", "looks"),
    ("over the queries", "reads"),
    ("joined by a view", "looks"),
)


def started(room: str, place: str, seed: int, words: int) -> Reverser:
    """A model that has not been trained."""
    torch.manual_seed(seed)
    places = {
        where: None if name is None else kinds(name) for where, name in PLANS[room, place].items()
    }
    return Reverser(words, **places)


def early(room: str, place: str, seed: int) -> float:
    """The loss after 225 updates."""
    model = started(room, place, seed, len(LETTERS))
    curve = fit(model, examples("reverse", "train", 4000, seed), seed, UPDATES, stop=EARLY)
    return curve[-1]


def trained(room: str, place: str, seed: int) -> dict:
    """Train one model, and say what came of it."""
    topic = place if room == TWIN else room
    task = "phrases" if topic == "the encoder is not read" else "reverse"
    words = toy.vocabulary(task, 10)
    model = started(room, place, seed, len(words))
    young = topic == "the weights of another hypothesis"
    extra = None
    if young or topic == "the other divergence":
        turned = room == "the other divergence"
        extra = pulled(museum_code.kl_turned if turned else museum_code.kl)
    learn, updates = examples(task, "train", 4000, seed), YOUNG if young else UPDATES
    curve = fit(model, learn, seed, updates, extra, topic == "nothing to see")
    test = examples(task, "test", TESTED, seed)
    found = {"room": room, "place": place, "seed": seed, "loss": test_loss(model, test)}
    if task == "reverse":
        found |= {name: right(model, test, name == "padded") for name in ("alone", "padded")}
    else:
        found["words"] = words_right(model, test)
    if topic == "dropped on one path":
        found["loss without weights"] = test_loss(model, test, False)
    if topic == "the other divergence":
        found["BeamSearch"] = pointed(model, test[:BEAMED], museum_code.BeamSearch)
    if topic == "":
        everywhere = PLANS["scaled by the heads", "everywhere"]
        other = Reverser(len(words), **{place: kinds(name) for place, name in everywhere.items()})
        other.load_state_dict(model.state_dict())
        loaded = {"loss": test_loss(other, test), "alone": right(other, test, False)}
        found["loaded into scaled by the heads"] = loaded
    if young:
        for kind in (museum_code.BeamSearch, museum_code.BeamLooksElsewhere):
            found[kind.__name__] = pointed(model, test[:BEAMED], kind)
    return found | {"curve": [x if x == x else None for x in curve]}


@torch.no_grad()
def words_right(model, pairs: list) -> float:
    """The share of words that are the likeliest, those before them given."""
    batch = collate(pairs)
    scores, _ = model(batch.source, batch.source_lengths, batch.target_in)
    real = batch.target_out != PAD
    return round(float((scores.argmax(-1) == batch.target_out)[real].double().mean()), 4)


def main() -> None:
    """Train what is not in the file yet."""
    options, results = begin(__doc__, RESULTS, {"runs": []})
    runs, soon = results["runs"], results.get("early", {})
    settings = {
        "updates": UPDATES,
        "asked": EARLY,
        "young": YOUNG,
        "batch": BATCH,
        "width": WIDTH,
        "heads": HEADS,
    }
    settings |= {
        "every": EVERY,
        "longest": LONGEST,
        "tested": TESTED,
        "padded": PADDED,
        "beamed": BEAMED,
    }

    def keep() -> None:
        record(options.out, COMMAND, settings | {"runs": runs, "early": soon}, one_a_line="runs")

    for seed, (room, place) in itertools.product(options.seeds[:3], PLANS):
        if (room, place, seed) not in {(x["room"], x["place"], x["seed"]) for x in runs}:
            runs.append(trained(room, place, seed))
            keep()
    for seed, (room, place) in itertools.product(MORE, ASKED):
        found = soon.setdefault(room, {}).setdefault(place, {})
        if str(seed) not in found:
            found[str(seed)] = early(room, place, seed)
            keep()


if __name__ == "__main__":
    main()
