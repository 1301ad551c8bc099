"""How long a sequence fits into one vector? Exact match by length on copy and reverse, chapter 01.

Run from the root of the repository, on one thread, about 7 minutes::

    OMP_NUM_THREADS=1 python book/results/bottleneck.py

It writes ``bottleneck.json`` beside itself after every run, and skips the runs already there. All
models have the same size (to 2 %) and the same number of updates on the same sequences; what
differs is said by `SETTINGS`. Training sequences have 1 to 12 symbols, test sequences 2 to 20:
beyond 12 is longer than anything seen in training.
"""

import argparse
import dataclasses
import json
import platform
import random
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


def make_model(setting: Setting, budget: Budget) -> Translator:
    """A `Translator`; parts exchanged where the setting has a plainer or a faster one."""
    attention = None
    if setting.attention:
        attention = Attention(AdditiveScore(setting.hidden, 2 * setting.hidden, setting.hidden))
    model = Translator(
        vocab_size=budget.symbols + 4,
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
    return model.eval(), sum(losses[-100:]) / 100


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


def main() -> None:
    """Do what is left of the sweep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    budget = Budget()
    results = {"runs": []}
    if arguments.out.exists():
        results = json.loads(arguments.out.read_text())
        if results["budget"] != json.loads(json.dumps(dataclasses.asdict(budget))):
            raise SystemExit(f"{arguments.out} is of another budget: delete it to start again")
    results |= {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "seeds": arguments.seeds,
        "budget": dataclasses.asdict(budget),
        "settings": {" / ".join(k): dataclasses.asdict(v) for k, v in SETTINGS.items()},
    }
    done = {(run["task"], run["setting"], run["seed"]) for run in results["runs"]}
    for seed in results["seeds"]:
        for (task, name), setting in SETTINGS.items():
            if (task, name, seed) in done:
                continue
            model, loss = train(task, setting, budget, seed)
            run = {
                "task": task,
                "setting": name,
                "seed": seed,
                "parameters": sum(p.numel() for p in model.parameters()),
                "train_loss": round(loss, 4),
                "exact": evaluate(task, setting, budget, seed, model),
            }
            results["runs"].append(run)
            record(arguments.out, COMMAND, results)
            print(
                task,
                "/",
                name,
                seed,
                run["parameters"],
                run["train_loss"],
                run["exact"],
                flush=True,
            )


if __name__ == "__main__":
    main()
