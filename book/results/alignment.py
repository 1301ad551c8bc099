"""Attention against a fixed context on the small grammar, over training seeds (chapter 03).

    python book/results/alignment.py

trains ten small models in about three minutes of one idle core and writes ``alignment.json`` beside
this file: exact match, alignment error against the grammar's own links, and where the errors are.
"""

import random
import tempfile
from pathlib import Path

import torch
from _record import record

from attnlib import metrics
from attnlib.data import toy
from attnlib.data.batches import collate
from attnlib.decoding import greedy
from attnlib.training import Run, RunConfig, TextData

SEEDS = (1, 2, 3, 4, 5)
SENTENCES, TESTED, DEEPEST = 3000, 500, 0
KINDS = {
    "determiner": "the a this every some these two my",
    "adjective": "white black green blue grey red sad wet tired",
    "verb": "sees see follows follow wants want watches watch finds find carries carry "
    "paints paint sleeps sleep laughs laugh sings sing dances dance",
    "adverb": "never often always",
}
NOUNS = set(toy.lexicon()) - set(" ".join(KINDS.values()).split())
KINDS = {name: set(words.split()) for name, words in KINDS.items()} | {"noun": NOUNS}


def config(score: str | None, seed: int) -> RunConfig:
    """The chapter's small model, with an additive score or a fixed context."""
    return RunConfig.of(
        f"phrases-{score or 'fixed'}-{seed}",
        corpus="phrases",
        width=32,
        hidden=32,
        decoder_hidden=64,
        score=score,
        dropout=0.0,
        output_dropout=0.0,
        updates=600,
        tokens=600,
        lr=0.01,
        warmup=50,
        label_smoothing=0.0,
        average=1,
        validate_every=600,
        seed=seed,
    )


def trained(config: RunConfig) -> Run:
    """Train one model on sentences without modifiers: 3 to 10 words."""
    vocabulary, rng = toy.vocabulary("phrases"), random.Random(f"alignment {config.seed}")
    train, val = (
        vocabulary.pairs(toy.phrases(rng, number, deepest=DEEPEST, split=split))
        for split, number in (("train", SENTENCES), ("val", 100))
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Run(config, folder, TextData(vocabulary, train, val), "cpu", quiet=True)
        run.run(checkpoint_seconds=1e9)
        return run


def attention(model, examples) -> list:
    """Weights (T, S + 1) of every example, the correct words given; the last column is </s>."""
    batch = collate(toy.vocabulary("phrases").pairs(examples))
    with torch.no_grad():
        _, weights = model(batch.source, batch.source_lengths, batch.target_in)
    return [
        w[: len(example.target), : len(example.source) + 1].numpy()
        for w, example in zip(weights, examples, strict=True)
    ]


def links(weights) -> set[tuple[int, int]]:
    """Each target word with the source word it attends to most; </s> is no word."""
    return metrics.alignment_from_weights(weights, [*range(weights.shape[1] - 1), None])


def on_noun(examples, found) -> float:
    """Of the determiners that look away from their own, the share that look at their noun."""
    at_noun = []
    for example, predicted in zip(examples, found, strict=True):
        for t, s in example.alignment:
            if example.source[s] in KINDS["determiner"] and (t, s) not in predicted:
                noun = s + next(i for i, w in enumerate(example.source[s:]) if w in KINDS["noun"])
                at_noun.append((t, noun) in predicted)
    return sum(at_noun) / max(1, len(at_noun))


def held_out() -> list[toy.Example]:
    """The test sentences, the same for every model."""
    return toy.phrases(random.Random("alignment"), TESTED, deepest=DEEPEST, split="test")


def main() -> None:
    """Train, measure, write."""
    torch.set_num_threads(1)
    vocabulary = toy.vocabulary("phrases")
    examples = held_out()
    batch = collate(vocabulary.pairs(examples))
    gold = [set(example.alignment) for example in examples]
    kind = {word: name for name, words in KINDS.items() for word in words}
    results = {"seeds": SEEDS, "sentences": SENTENCES, "tested": TESTED, "updates": 600}
    for name, score in (("attention", "additive"), ("fixed", None)):
        rows = []
        for seed in SEEDS:
            model = trained(config(score, seed)).averaged_model()
            written = greedy(model, batch.source, batch.source_lengths)
            words = [vocabulary.decode(hypothesis.ids) for hypothesis in written]
            exact = metrics.exact_match(words, [example.target for example in examples])
            row = {"seed": seed, "exact": round(exact.value, 4)}
            row["parameters"] = sum(p.numel() for p in model.parameters())
            if score:
                weights = attention(model, examples)
                found = [links(w) for w in weights]
                error = metrics.alignment_error_rate(found, gold, gold)
                on_gold = [metrics.share_on_gold(w, g) for w, g in zip(weights, gold)]
                row["error"] = round(error.value, 4)
                row["share_on_gold"] = round(sum(on_gold) / TESTED, 4)
                row["missed_determiners_on_noun"] = round(on_noun(examples, found), 4)
                hits, seen = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
                for example, f, g in zip(examples, found, gold, strict=True):
                    for t, s in g:
                        seen[kind[example.source[s]]] += 1
                        hits[kind[example.source[s]]] += (t, s) in f
                row["error_of"] = {k: round(1 - hits[k] / seen[k], 4) for k in KINDS}
                if seed == SEEDS[0]:
                    shown = next(i for i, e in enumerate(examples) if len(e.source) == 8)
                    results["example"] = {
                        "source": examples[shown].source,
                        "target": examples[shown].target,
                        "alignment": examples[shown].alignment,
                        "weights": weights[shown].round(4).tolist(),
                    }
            rows.append(row)
            print(name, row)
        results[name] = rows
    record(Path(__file__).with_suffix(".json"), "python book/results/alignment.py", results)


if __name__ == "__main__":
    main()
