"""Attention is asked before the word is known, Model 1 is given it: does that make the difference?

Run from the root of the repository, two minutes of one core::

    OMP_NUM_THREADS=1 python book/results/given_the_word.py

By Bayes' rule a translator can be given the word, too. Its weight on annotation s, made before word
t, is a prior; p(word t | the context is annotation s) is a likelihood, from the same state and the
same readout; their product over its sum is a posterior. `hansards-bahdanau` is read in these three
ways on the 447 gold sentences, beside the posteriors of IBM Model 1 (of equal words the nearer),
with source words competing and not. Controls: a word drawn from elsewhere in the gold French takes
the word's place in the likelihood, and Model 1 is given attention's weights as its prior.

The five models of ``alignment.py`` are trained again and read in the same way (on another machine
the third decimal may differ), and their missed determiners are counted by word and place at once.

Intervals: 95 % by bootstrap over sentences, differences paired. It needs the Hansards, and writes
``given_the_word.json`` beside this file.
"""

from pathlib import Path

import alignment
import hansards
import numpy as np
import torch
from _record import record
from torch import Tensor

from attnlib import ibm1, metrics, pretrained
from attnlib.data import hansards as debates
from attnlib.data import toy
from attnlib.data.batches import collate

RESULTS = Path(__file__).with_suffix(".json")
COMMAND = "OMP_NUM_THREADS=1 python book/results/given_the_word.py"
SHOWN = range(5, 8)  # words of the sentence that is shown, on both sides


@torch.no_grad()
def readings(model, batch, words: Tensor) -> tuple[Tensor, Tensor]:
    """Weights and log p(word | annotation s alone), both (B, T, S), for words (B, T).

    The step before each word is the model's own: the true words before it, its own contexts. Only
    the context of the step itself is replaced by one annotation.
    """
    memory = model.encode(batch.source, batch.source_lengths)
    decoder, state = model.decoder, model.decoder.start(memory)
    assert decoder.timing == "before" and decoder.feeding == "context"
    annotations = memory.annotations
    S = annotations.shape[1]
    looked, likely = [], []
    for t, embedded in enumerate(model.embedding(batch.target_in).unbind(1)):
        each = embedded.unsqueeze(1).expand(-1, S, -1)  # (B, S, E)
        before = state.hidden.unsqueeze(1).expand(-1, S, -1)
        given = torch.cat([each, annotations], -1).flatten(0, 1)
        hidden = decoder.cell(given, before.flatten(0, 1)).view(before.shape)
        vectors = decoder.attentional(torch.cat([hidden, annotations, each], -1))
        logs = model.output(vectors).log_softmax(-1)  # (B, S, V)
        asked = words[:, t, None, None].expand(-1, S, 1)
        likely.append(logs.gather(-1, asked)[..., 0])
        _, weights, state = decoder.advance(embedded, state, memory, t)
        looked.append(weights)
    logs = torch.stack(likely, 1).masked_fill(~memory.mask.unsqueeze(1), -torch.inf)
    return torch.stack(looked, 1), logs


def given(weights: Tensor, likelihoods: Tensor) -> Tensor:
    """Bayes' rule: the weights as a prior, over the source (B, T, S)."""
    return (likelihoods + weights.clamp_min(1e-12).log()).softmax(-1)


def with_prior(shares: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Posteriors (T, S) of Model 1 whose prior is not even but `prior` (T, S).

    Its `shares` (T, 1 + S) are in proportion to t(f | e); NULL, to which the prior gives nothing,
    is left out.
    """
    product = shares[:, 1:] * prior
    return product / product.sum(axis=1, keepdims=True).clip(1e-12)


def on_debates(model: pretrained.Pretrained, gold) -> dict[str, list[np.ndarray]]:
    """Word weights of each gold sentence, (T, S), by each reading."""
    sides = [[" ".join(words) for words in side] for side in (gold.source, gold.target)]
    french = torch.tensor([i for text in sides[1] for i in model.ids(text, "a target", 1)])
    draw = torch.Generator().manual_seed(0)
    found: dict[str, dict[int, np.ndarray]] = {}
    for rows, batch in model._forced(*sides):
        shape = batch.target_out.shape
        elsewhere = french[torch.randint(len(french), shape, generator=draw)]
        weights, true = readings(model.model, batch, batch.target_out)
        _, other = readings(model.model, batch, elsewhere)
        read = {
            "weights": weights,
            "weights, given the word": given(weights, true),
            "even weights, given the word": true.softmax(-1),
            "weights, given a word from elsewhere": given(weights, other),
        }
        for row, i in enumerate(rows):
            S, T = int(batch.source_lengths[row]), int(batch.target_lengths[row]) - 1
            source = model.tokenizer.tokens(batch.source[row, :S].tolist())
            target = model.tokenizer.tokens(batch.target_in[row, 1 : T + 1].tolist())
            words = metrics.word_indices(source), metrics.word_indices(target)
            for what, values in read.items():
                between = metrics.word_weights(values[row, :T, :S].numpy(), *words)
                found.setdefault(what, {})[i] = between
    return {what: [each[i] for i in range(len(gold))] for what, each in found.items()}


def determiners(examples, found) -> dict[str, dict[str, list[int]]]:
    """Missed determiners, and all of them, by English word and its place in the sentence."""
    counts: dict[str, dict[str, list[int]]] = {}
    for example, predicted in zip(examples, found, strict=True):
        for t, s in example.alignment:
            word = example.source[s]
            if word in alignment.KINDS["determiner"]:
                places = counts.setdefault(word, {"first": [0, 0], "later": [0, 0]})
                missed = places["later" if t else "first"]
                missed[0] += (t, s) not in predicted
                missed[1] += 1
    return counts


def missed_first(examples, found) -> int:
    """The first sentence of eight words whose first word, *the*, is linked to its noun instead."""

    def wanted(example, predicted) -> bool:
        noun = next(i for i, word in enumerate(example.source) if word in alignment.NOUNS)
        return example.source[0] == "the" and (0, noun) in predicted

    return next(
        i
        for i, (example, predicted) in enumerate(zip(examples, found, strict=True))
        if len(example.source) == 8 and wanted(example, predicted)
    )


def on_grammar(seed: int) -> dict:
    """Alignment error of one model of the small grammar, before and after it is given the word."""
    model = alignment.trained(alignment.config("additive", seed)).averaged_model()
    examples = alignment.held_out()
    batch = collate(toy.vocabulary("phrases").pairs(examples))
    weights, likely = readings(model, batch, batch.target_out)
    gold = [set(example.alignment) for example in examples]
    row: dict = {"seed": seed}
    for what, values in (("weights", weights), ("given the word", given(weights, likely))):
        found = [
            alignment.links(w[: len(x.target), : len(x.source) + 1].numpy())
            for w, x in zip(values, examples, strict=True)
        ]
        row[what] = round(metrics.alignment_error_rate(found, gold, gold).value, 4)
        row[f"{what}, missed determiners"] = determiners(examples, found)
        if what == "weights" and seed == alignment.SEEDS[0]:
            shown = missed_first(examples, found)
            example = examples[shown]
            row["example"] = {
                "source": example.source,
                "target": example.target,
                "alignment": example.alignment,
                "weights": [
                    [round(float(w), 4) for w in row[: len(example.source) + 1]]
                    for row in values[shown, : len(example.target)]
                ],
            }
    return row


def first_word(model: pretrained.Pretrained, source: list[str], target: list[str]) -> dict:
    """Weights and likelihoods of every source token, </s> too, for the first word written."""
    ((_, batch),) = model._forced([" ".join(source)], [" ".join(target)])
    weights, logs = readings(model.model, batch, batch.target_out)
    return {
        "source": model.tokenizer.tokens(batch.source[0].tolist()),
        "target": model.tokenizer.tokens(batch.target_out[0, :1].tolist()),
        "weights": [float(f"{w:.4g}") for w in weights[0, 0]],
        "likelihoods": [float(f"{p:.4g}") for p in logs[0, 0].exp()],
    }


def typical(gold, errors: dict[str, list[set]]) -> int:
    """The sentence of the length wanted whose errors are nearest to those of the corpus."""
    every = range(len(gold))
    means = {what: hansards._score(links, gold, every)["value"] for what, links in errors.items()}

    def far(i: int) -> float:
        return sum(
            abs(hansards._score(links, gold, [i])["value"] - means[what])
            for what, links in errors.items()
        )

    short = [i for i in every if len(gold.source[i]) in SHOWN and len(gold.target[i]) in SHOWN]
    return min(short, key=far)


def main() -> None:
    """Measure, and write the file."""
    torch.set_num_threads(1)
    gold, model = debates.gold("test"), pretrained.load(hansards.MODEL)
    found = on_debates(model, gold)
    pairs = [(x.split(), y.split()) for x, y in debates.corpus("train")]
    counted = ibm1.train(pairs, hansards.ROUNDS)
    words = list(zip(gold.source, gold.target, strict=True))
    found["IBM Model 1, attention's prior"] = [
        with_prior(counted.shares(x, y), prior)
        for (x, y), prior in zip(words, found["weights"], strict=True)
    ]
    links = {what: [hansards.strongest(w) for w in each] for what, each in found.items()}
    competing = {
        f"{what}, source words compete": [
            hansards.strongest(hansards.competing(w)) for w in found[what]
        ]
        for what in ("weights", "weights, given the word", "IBM Model 1, attention's prior")
    }
    links |= competing
    links["IBM Model 1"] = [counted.links(x, y, nearest=True) for x, y in words]
    every = range(len(gold))
    rows = [{"what": what} | hansards._score(each, gold, every) for what, each in links.items()]
    after = "weights, given the word"
    differences = []
    for first, second in (
        (after, "weights"),
        (after, "even weights, given the word"),
        (after, "IBM Model 1"),
        (f"{after}, source words compete", "IBM Model 1"),
        (after, "IBM Model 1, attention's prior"),
        (
            f"{after}, source words compete",
            "IBM Model 1, attention's prior, source words compete",
        ),
        ("weights, given a word from elsewhere", "weights"),
    ):
        apart = metrics.alignment_error_difference(
            links[first], links[second], gold.sure, gold.possible, resamples=hansards.RESAMPLES
        )
        differences.append({"first": first, "minus": second} | hansards._rounded(apart))
    three = {what: links[what] for what in ("weights", after, "IBM Model 1")}
    shown = typical(gold, three)
    shares = counted.shares(*words[shown])[:, 1:]
    example = {
        "source": gold.source[shown],
        "target": gold.target[shown],
        "sure": sorted(gold.sure[shown]),
        "possible": sorted(set(gold.possible[shown]) - set(gold.sure[shown])),
        "weights": found["weights"][shown].round(4).tolist(),
        "given the word": found[after][shown].round(4).tolist(),
        "IBM Model 1": shares.round(4).tolist(),
        "first word": first_word(model, gold.source[shown], gold.target[shown]),
    }
    grammar = [on_grammar(seed) for seed in alignment.SEEDS]
    content = {
        "model": hansards.MODEL,
        "sentences": len(gold),
        "rows": rows,
        "differences": differences,
        "example": example,
        "grammar": grammar,
    }
    record(RESULTS, COMMAND, content)
    for row in [*rows, *differences, *grammar]:
        print(row)


if __name__ == "__main__":
    main()
