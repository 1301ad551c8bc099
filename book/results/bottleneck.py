"""How long a sequence fits into one vector? Exact match by length on copy and reverse, chapter 01.

Run from the root of the repository, on one thread, a good hour for the whole plan::

    OMP_NUM_THREADS=1 python book/results/bottleneck.py

It writes ``bottleneck.json`` beside itself after every run, and skips the runs already there. All
models have the same size (to 2 %); at one budget they have the same number of updates on the same
sequences. What differs is said by `SETTINGS`, and how long which setting is trained by `PLAN`. A
larger budget has more sequences in the same measure: each is seen about five times. The learning
rate rises and falls within each budget, so a run is never the beginning of a longer one. Training
sequences have 1 to 12 symbols, test sequences 2 to 20: beyond 12 is longer than anything seen in
training.

A run also says how the gradient of the last letter's loss is shared out among the letters of the
source (`gradient_shares`); ``untrained`` says the same of models that have learned nothing.
"""

import argparse
import dataclasses
import json
import platform
import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from _record import record
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from attnlib.attention import Attention
from attnlib.data import toy
from attnlib.data.batches import by_tokens, collate, pad
from attnlib.data.tokenizer import EOS
from attnlib.decoding import greedy
from attnlib.metrics import exact_match
from attnlib.scores import AdditiveScore
from attnlib.seq2seq import RecurrentDecoder, RecurrentMemory, Translator
from attnlib.training import Objective
from attnlib.training.environment import hardware

RESULTS = Path(__file__).with_name("bottleneck.json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/bottleneck.py"


@dataclass(frozen=True)
class Setting:
    """One model: what it is told of the source, and how the source is given to it."""

    attention: bool = False
    fixed: str = "every_step"  # how a fixed context is used; see attnlib.seq2seq.RecurrentDecoder
    one_way: bool = False  # the encoder reads forwards only, as in 2014
    source: str = "plain"  # or reversed, or doubled
    hidden: int = 32  # chosen so that all models have the same number of parameters


SETTINGS = {  # what the chapter compares; the task is copy, or reverse
    ("copy", "attention"): Setting(attention=True, hidden=32),
    ("reverse", "attention"): Setting(attention=True, hidden=32),
    ("copy", "fixed"): Setting(hidden=34),
    ("reverse", "fixed"): Setting(hidden=34),
    ("copy", "fixed, first state"): Setting(fixed="first_state", hidden=34),
    ("copy", "one way"): Setting(one_way=True, hidden=30),
    ("copy", "one way, reversed source"): Setting(one_way=True, source="reversed", hidden=30),
    ("copy", "one way, doubled source"): Setting(one_way=True, source="doubled", hidden=30),
}


@dataclass(frozen=True)
class Budget:
    """What is the same for all runs."""

    symbols: int = 10
    shortest: int = 1
    longest: int = 12
    sequences: int = 10000
    width: int = 32
    updates: int = 800
    tokens: int = 500  # target symbols a batch, </s> and padding included
    lr: float = 8e-3
    clip: float = 1.0
    test_lengths: tuple[int, ...] = tuple(range(2, 21, 2))
    test_sequences: int = 200  # of each length

    def times(self, updates: int) -> "Budget":
        """Another number of updates, and sequences in the same measure."""
        sequences = round(self.sequences * updates / self.updates)
        return dataclasses.replace(self, updates=updates, sequences=sequences)


FIXED, ATTENTION = ("copy", "fixed"), ("copy", "attention")
REVERSE = [("reverse", "fixed"), ("reverse", "attention")]
TRICKS = [(task, name) for task, name in SETTINGS if name not in ("fixed", "attention")]
PLAN = [  # (updates, settings, seeds), in the order in which they are trained
    (800, list(SETTINGS), (1, 2, 3)),
    (4000, [FIXED], (1, 2, 3)),
    (200, [FIXED, ATTENTION], (1, 2, 3)),
    (400, [FIXED, ATTENTION], (1, 2, 3)),
    (100, [ATTENTION], (1, 2, 3)),
    (1600, [FIXED], (1, 2, 3)),
    (8000, [FIXED], (1, 2, 3)),
    (4000, [ATTENTION, REVERSE[0]], (1, 2, 3)),
    (800, [FIXED, ATTENTION], (4, 5)),
    (4000, [FIXED], (4, 5)),
    (200, [FIXED, ATTENTION], (4, 5)),
    (400, [FIXED, ATTENTION], (4, 5)),
    (100, [ATTENTION], (4, 5)),
    (1600, [FIXED], (4, 5)),
    (8000, [FIXED], (4, 5)),
    (4000, TRICKS, (1,)),
    (800, [*REVERSE, *TRICKS], (4, 5)),
    (4000, TRICKS, (2, 3)),
    (4000, REVERSE[1:], (1, 2, 3)),
    (4000, [ATTENTION, *REVERSE, *TRICKS], (4, 5)),
]
PATHS = {  # whose gradients are looked at before training
    "attention": Setting(attention=True, hidden=32),
    "fixed": Setting(hidden=34),
    "fixed, first state": Setting(fixed="first_state", hidden=34),
    "one way": Setting(one_way=True, hidden=30),
    "one way, first state": Setting(one_way=True, fixed="first_state", hidden=30),
}
PATH_LENGTHS = (4, 8, 12)  # and 24 for the untrained
UNTRAINED_SEEDS = tuple(range(1, 9))


class OneWayEncoder(nn.Module):
    """A GRU that reads forwards only, its last state the summary (Cho et al. 2014, section 2.2)."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.rnn = nn.GRU(width, hidden, batch_first=True)

    def forward(self, embedded: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Read embedded tokens (B, S, E): annotations (B, S, H) and summary (B, H)."""
        packed = pack_padded_sequence(
            embedded, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        annotations, final = self.rnn(packed)
        annotations, _ = pad_packed_sequence(
            annotations, batch_first=True, total_length=embedded.shape[1]
        )
        return annotations, final[0]


class FixedDecoder(RecurrentDecoder):
    """The decoder of a fixed context, its teacher forcing in one call: same weights, less time."""

    def all_steps(self, inputs: Tensor, first: Tensor) -> Tensor:
        """The states (B, T, H) of the cell on inputs (B, T, D), from the first state (B, H)."""
        cell = self.cell
        weights = [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh]
        options = True, 1, 0.0, self.training, False, True  # biases, layers, ..., batch first
        return torch.gru(inputs, first.unsqueeze(0), weights, *options)[0]

    def forward(self, embedded: Tensor, memory: RecurrentMemory) -> tuple[Tensor, Tensor]:
        """All steps on given words (B, T, E), as `RecurrentDecoder` has them one by one."""
        state = self.start(memory)
        context, nowhere = self.attend(state.hidden, memory, 0)
        context, nowhere = (
            x.unsqueeze(1).expand(-1, embedded.shape[1], -1) for x in (context, nowhere)
        )
        states = self.all_steps(torch.cat([embedded, context], -1), state.hidden)
        vectors = self.attentional(torch.cat([states, context, embedded], -1))
        return self.dropout(vectors), nowhere


def make_model(setting: Setting, budget: Budget, words: int | None = None) -> Translator:
    """A `Translator`; parts exchanged where the setting has a plainer or a faster one."""
    attention = None
    if setting.attention:
        attention = Attention(AdditiveScore(setting.hidden, 2 * setting.hidden, setting.hidden))
    model = Translator(
        vocab_size=words or budget.symbols + 4,
        width=budget.width,
        hidden=setting.hidden,
        attention=attention,
        fixed=setting.fixed,
    )
    if setting.one_way:
        model.encoder = OneWayEncoder(budget.width, 2 * setting.hidden)
    if not setting.attention:
        model.decoder.__class__ = FixedDecoder  # it adds no weights
    return model


def arranged(source: list[int], how: str) -> list[int]:
    """The source as it is given: plain, reversed, or twice."""
    return {"plain": source, "reversed": source[::-1], "doubled": source + source}[how]


def sequences(task: str, setting: Setting, budget: Budget, seed: int, split: str, lengths, count):
    """Pairs of ids of a toy task, the source arranged as the setting wants it."""
    make = {"copy": toy.copy, "reverse": toy.reverse}[task]
    rng = random.Random(f"{split} {seed} {lengths}")
    examples = make(rng, count, budget.symbols, *lengths, split=split)
    pairs = toy.vocabulary(task, budget.symbols).pairs(examples)
    return [(arranged(x, setting.source), y) for x, y in pairs]


def train(task: str, setting: Setting, budget: Budget, seed: int) -> tuple[Translator, float]:
    """The trained model, and its mean loss in nats a symbol over the last 100 updates."""
    lengths = (budget.shortest, budget.longest)
    pairs = sequences(task, setting, budget, seed, "train", lengths, budget.sequences)
    torch.manual_seed(seed)
    model = make_model(setting, budget)
    return model, fit(model, pairs, budget, seed)


def fit(model: Translator, pairs: list, budget: Budget, seed: int) -> float:
    """Train on pairs of ids; the mean loss in nats a symbol over the last 100 updates."""
    objective = Objective(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=budget.lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, budget.lr, total_steps=budget.updates, pct_start=0.1
    )
    losses, epoch = [], 0
    while len(losses) < budget.updates:
        epoch += 1
        for rows in by_tokens(pairs, budget.tokens, random.Random(f"{seed} {epoch}")):
            batch = collate([pairs[i] for i in rows])
            loss = objective(batch.source, batch.source_lengths, batch.target_in, batch.target_out)
            loss = loss / batch.target_tokens
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), budget.clip)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
            if len(losses) == budget.updates:
                break
    model.eval()
    return sum(losses[-100:]) / 100


def evaluate(task: str, setting: Setting, budget: Budget, seed: int, model: Translator) -> dict:
    """Share of test sequences of each length that greedy search gets right to the last symbol."""
    shares = {}
    for length in budget.test_lengths:
        test = sequences(
            task, setting, budget, seed, "test", (length, length), budget.test_sequences
        )
        source, lengths = pad([[*x, EOS] for x, _ in test])
        found = greedy(model, source, lengths, max_length=length + 5)
        shares[length] = exact_match([h.ids for h in found], [list(y) for _, y in test]).value
    return shares


def gradient_shares(
    task: str, setting: Setting, budget: Budget, seed: int, model: Translator, lengths=PATH_LENGTHS
) -> dict[int, list[float]]:
    """How the gradient of the last letter's loss is shared out among the letters of the source.

    For each length, one share a source position (</s> left out): the norm of the gradient with
    respect to the letter's embedding as the encoder reads it, over the sum of these norms; the mean
    over test sequences. The decoder is given the correct letters before the last.
    """
    shares = {}
    for length in lengths:
        test = sequences(
            task, setting, budget, seed, "test", (length, length), budget.test_sequences
        )
        batch = collate(test)
        read = model.embedding(batch.source).detach().requires_grad_()
        # the encoder's input is a tensor of its own: the target reads the same table
        hook = model.encoder.register_forward_pre_hook(lambda _, given, read=read: (read, given[1]))
        logits, _ = model(batch.source, batch.source_lengths, batch.target_in)
        hook.remove()
        last = nn.functional.cross_entropy(logits[:, length - 1], batch.target_out[:, length - 1])
        (gradient,) = torch.autograd.grad(last, read)
        norms = gradient[:, : batch.source.shape[1] - 1].norm(dim=-1)  # (B, S)
        mean = (norms / norms.sum(1, keepdim=True)).mean(0)
        shares[length] = [float(f"{x:.3g}") for x in mean.tolist()]
    return shares


def wrong_letters(
    task: str, setting: Setting, budget: Budget, seed: int, model: Translator, lengths=PATH_LENGTHS
) -> dict[int, list[float]]:
    """Of each target position, the share of letters that are not the model's first choice.

    Over test sequences of each length; the decoder is given the correct letters before.
    """
    shares = {}
    for length in lengths:
        test = sequences(
            task, setting, budget, seed, "test", (length, length), budget.test_sequences
        )
        batch = collate(test)
        with torch.no_grad():
            logits, _ = model(batch.source, batch.source_lengths, batch.target_in)
        wrong = (logits.argmax(-1) != batch.target_out)[:, :length]
        shares[length] = [round(x, 4) for x in wrong.double().mean(0).tolist()]
    return shares


def untrained(budget: Budget) -> list[dict]:
    """`gradient_shares` of models as they are drawn."""
    rows = []
    for name, setting in PATHS.items():
        for seed in UNTRAINED_SEEDS:
            torch.manual_seed(seed)
            model = make_model(setting, budget).eval()
            shares = gradient_shares(
                "reverse", setting, budget, seed, model, (*PATH_LENGTHS, 2 * budget.longest)
            )
            rows.append({"setting": name, "seed": seed, "gradient": shares})
    return rows


def main() -> None:
    """Do what is left of the plan."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no run after")
    arguments = parser.parse_args()
    began = time.monotonic()
    base = Budget()
    results = {"runs": []}
    if arguments.out.exists():
        results = json.loads(arguments.out.read_text())
        if results["budget"] != json.loads(json.dumps(dataclasses.asdict(base))):
            raise SystemExit(f"{arguments.out} is of another budget: delete it to start again")
    results |= {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "budget": dataclasses.asdict(base),
        "settings": {" / ".join(k): dataclasses.asdict(v) for k, v in SETTINGS.items()},
    }
    if "untrained" not in results:
        results["untrained"] = untrained(base)
    done = {(run["task"], run["setting"], run["updates"], run["seed"]) for run in results["runs"]}
    for updates, settings, seeds in PLAN:
        budget = base.times(updates)
        for seed in seeds:
            for task, name in settings:
                if (task, name, updates, seed) in done:
                    continue
                if time.monotonic() - began > 60 * arguments.minutes:
                    return
                start = time.monotonic()
                setting = SETTINGS[task, name]
                model, loss = train(task, setting, budget, seed)
                run = {
                    "task": task,
                    "setting": name,
                    "updates": updates,
                    "seed": seed,
                    "parameters": sum(p.numel() for p in model.parameters()),
                    "train_loss": round(loss, 4),
                    "exact": evaluate(task, setting, budget, seed, model),
                    "hardware": hardware("cpu"),
                }
                run["wrong"] = wrong_letters(task, setting, budget, seed, model)
                if setting.source == "plain":
                    run["gradient"] = gradient_shares(task, setting, budget, seed, model)
                results["runs"].append(run)
                record(arguments.out, COMMAND, results, one_a_line="runs", grows=True)
                seconds = time.monotonic() - start
                print(f"{seconds:.0f} s", *list(run.values())[:7], flush=True)


if __name__ == "__main__":
    main()
