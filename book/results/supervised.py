"""An open exercise of chapter 03, tried: does teaching the alignment help the translation?

Run from the root of the repository, on one thread, about two minutes::

    OMP_NUM_THREADS=1 python book/results/supervised.py

The chapter's small model on the small grammar, with few sentences, so that it does not translate
perfectly, and a term in the loss that rewards weight on the true links (ex-03-supervise): minus
lambda times the mean logarithm of the weight on a link. It writes ``supervised.json`` beside
itself after every run, and skips the runs already there.
"""

import random
from pathlib import Path

import torch
from _record import begin, record
from torch import Tensor, nn

from attnlib import metrics
from attnlib.attention import Attention
from attnlib.data import toy
from attnlib.data.batches import collate
from attnlib.data.tokenizer import PAD
from attnlib.decoding import greedy
from attnlib.scores import AdditiveScore
from attnlib.seq2seq import Translator

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/supervised.py"
SENTENCES, TESTED, UPDATES, TOGETHER = 400, 300, 500, 60
WEIGHTS = (0.0, 0.1, 1.0)
WORDS = toy.vocabulary("phrases")


def link_weights(examples: list[toy.Example], rows: int, columns: int) -> Tensor:
    """1 at every true link, else 0: (B, T, S)."""
    links = torch.zeros(len(examples), rows, columns)
    for weights, example in zip(links, examples, strict=True):
        for t, s in example.alignment:
            weights[t, s] = 1
    return links


def loss_of(model: Translator, examples: list[toy.Example], lam: float) -> Tensor:
    """Cross-entropy of the words, and `lam` times the mean of -log weight over the true links."""
    batch = collate(WORDS.pairs(examples))
    logits, weights = model(batch.source, batch.source_lengths, batch.target_in)
    loss = nn.functional.cross_entropy(
        logits.flatten(0, 1), batch.target_out.flatten(), ignore_index=PAD
    )
    links = link_weights(examples, *weights.shape[1:])
    return loss - lam * (links * (weights + 1e-9).log()).sum() / links.sum()


def train(lam: float, seed: int, updates: int = UPDATES) -> Translator:
    """The chapter's small model on the sentences of a seed."""
    rng = random.Random(f"supervised {seed}")
    learn = toy.phrases(rng, SENTENCES, deepest=0, split="train")
    torch.manual_seed(seed)
    score = AdditiveScore(query_dim=64, key_dim=64, hidden_dim=32)
    model = Translator(
        len(WORDS), width=32, hidden=32, decoder_hidden=64, attention=Attention(score)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, updates)
    for _ in range(updates):
        loss = loss_of(model, rng.sample(learn, TOGETHER), lam)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()


def marks(model: Translator, examples: list[toy.Example]) -> dict[str, float]:
    """Share of translations exactly right, and alignment error."""
    batch = collate(WORDS.pairs(examples))
    written = greedy(model, batch.source, batch.source_lengths)
    exact = metrics.exact_match(
        [WORDS.decode(each.ids) for each in written], [each.target for each in examples]
    )
    with torch.no_grad():
        _, weights = model(batch.source, batch.source_lengths, batch.target_in)
    looked = [
        metrics.alignment_from_weights(
            w[: len(each.target), : len(each.source) + 1], [*range(len(each.source)), None]
        )
        for w, each in zip(weights, examples, strict=True)
    ]
    gold = [set(each.alignment) for each in examples]
    error = metrics.alignment_error_rate(looked, gold, gold)
    return {"exact": round(exact.value, 4), "error": round(error.value, 4)}


def main() -> None:
    """Do what is left of the runs."""
    arguments, results = begin(__doc__, RESULTS, {"runs": []})
    results |= {"sentences": SENTENCES, "tested": TESTED, "updates": UPDATES}
    done = {(run["lambda"], run["seed"]) for run in results["runs"]}
    held_out = toy.phrases(random.Random("supervised"), TESTED, deepest=0, split="test")
    for seed in arguments.seeds:
        for lam in WEIGHTS:
            if (lam, seed) in done:
                continue
            run = {"lambda": lam, "seed": seed} | marks(train(lam, seed), held_out)
            results["runs"].append(run)
            record(arguments.out, COMMAND, results, one_a_line="runs", grows=True)
            print(*run.values(), flush=True)


if __name__ == "__main__":
    main()
