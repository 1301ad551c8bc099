"""What live figures show before the models are there: computed in Python, with a page's numbers."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from attnlib import pretrained
from attnlib.captioning import Captioner
from attnlib.data.batches import pad
from attnlib.data.tokenizer import BOS, EOS, SPECIALS, UNK
from attnlib.decoding import Hypothesis, greedy
from attnlib.explore.figure import rounded
from attnlib.explore.live.bundle import in_the_page
from attnlib.metrics import entropy
from attnlib.seq2seq import Translator
from attnlib.transformer import Transformer

LIKELY = 5  # words that are told of each step


def answers(name: str, sentences: Sequence[str]) -> list[dict]:
    """What the page's model says of sentences, each decoded by itself, greedily."""
    found, told = in_the_page(name), []
    for text in sentences:
        ids = [*found.ids(text), EOS]
        source, lengths = pad([ids])
        best = _greedily(found, ids)
        with torch.no_grad():
            logits, weights = found.model(source, lengths, torch.tensor([[BOS, *best.ids]]))
        tokens = found.tokenizer.tokens
        told.append(
            {
                "text": found.tokenizer.decode(best.ids),
                "source": [
                    {"text": token, "unknown": token == SPECIALS[UNK]} for token in tokens(ids)
                ],
                "score": rounded(best.score),
                "steps": [
                    _step(row, id_, looked, tokens)
                    for row, id_, looked in zip(
                        logits[0].log_softmax(-1), [*best.ids, EOS], weights[0], strict=True
                    )
                ],
            }
        )
    return told


@torch.no_grad()
def without_one(name: str, text: str, heads: Sequence[str]) -> dict[str, tuple[str, float]]:
    """What a transformer translates when one of its heads is off, by "kind block head".

    A head's part of the context goes through its own columns of W_O: they are set to zero. Beside
    the translation stands the cost: how many bits less likely the one with all heads has become.
    """
    found = in_the_page(name)
    model = found.model
    assert isinstance(model, Transformer)
    ids = [*found.ids(text), EOS]
    whole = _greedily(found, ids).ids

    def bits() -> float:
        logits, _ = model(*pad([ids]), torch.tensor([[BOS, *whole]]))
        given = torch.tensor([*whole, EOS])
        return -float(logits[0].log_softmax(-1).gather(1, given[:, None]).sum()) / math.log(2)

    least, said = bits(), {}
    for key in heads:
        kind, block, head = key.split()
        stack = model.encoder if kind == "encoder" else model.decoder.stack
        of = stack.blocks[int(block)]
        attention = of.cross_attention if kind == "cross" else of.self_attention
        assert attention is not None
        weight, width = attention.W_O.weight, attention.width // attention.heads
        columns = slice(int(head) * width, (int(head) + 1) * width)
        kept = weight[:, columns].clone()
        weight[:, columns] = 0
        best, cost = _greedily(found, ids), bits() - least
        weight[:, columns] = kept
        said[key] = found.tokenizer.decode(best.ids), rounded(cost)
    return said


@torch.no_grad()
def alone(name: str, text: str, answer: dict, word: int) -> list[list]:
    """The likeliest words (S, LIKELY) of a step, with all weight on one source word at a time.

    `answer` is one of `answers`, and the step is that of its word number `word`.
    """
    found = in_the_page(name)
    model = found.model
    assert isinstance(model, Translator)
    memory = model.encode(*pad([[*found.ids(text), EOS]]))
    state, token = model.start(memory), BOS
    for step in answer["steps"][:word]:
        _, _, state = model.step(torch.tensor([token]), state, memory)
        token = step["id"]
    context = memory.annotations[0]  # (S, 2H): row s is the context that looks at s alone
    S = len(context)
    embedded = model.embedding(torch.tensor([token])).expand(S, -1)
    hidden = model.decoder.cell(torch.cat([embedded, context], -1), state.hidden.expand(S, -1))
    vector = model.decoder.attentional(torch.cat([hidden, context, embedded], -1))
    chances, ids = model.output(vector).softmax(-1).topk(LIKELY)
    return [
        [[token, rounded(p)] for token, p in zip(found.tokenizer.tokens(row), each)]
        for row, each in zip(ids.tolist(), chances.tolist(), strict=True)
    ]


@torch.no_grad()
def captions(name: str, pictures: Sequence[np.ndarray]) -> list[dict]:
    """What the page's captioner writes of pictures, greedily, with each word's look and gate."""
    found = in_the_page(name)
    model, tokens = found.model, found.tokenizer.tokens
    assert isinstance(model, Captioner)
    told = []
    for picture in pictures:
        image = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
        lengths = torch.tensor([math.prod(found.grid)])
        ids = greedy(model, image, lengths, pretrained.MAX_CAPTION)[0].ids
        memory = model.encode(image, lengths)
        state, steps = model.start(memory), []
        for before, id_ in zip([BOS, *ids], [*ids, EOS], strict=True):
            logits, weights, state = model.step(torch.tensor([before]), state, memory)
            step = _step(logits[0].log_softmax(-1), id_, weights[0], tokens)
            steps.append(step | {"gate": rounded(float(model.decoder.beta(state.hidden)))})
        told.append({"text": found.tokenizer.decode(ids), "steps": steps})
    return told


def _greedily(found: pretrained.Pretrained, ids: list[int]) -> Hypothesis:
    """The translation of one sentence, as long as a page's may be."""
    slope, more = pretrained.LONGEST
    return greedy(found.model, *pad([ids]), slope * len(ids) + more)[0]


def _step(log: Tensor, id_: int, weights: Tensor, tokens) -> dict:
    best = log.topk(LIKELY).indices.tolist()
    return {
        "id": id_,
        "token": tokens([id_])[0],
        "p": rounded(log[id_].exp()),
        "likely": [[token, rounded(log[i].exp())] for token, i in zip(tokens(best), best)],
        "entropy": rounded(float(entropy(log.exp()))),
        "weights": rounded(weights.tolist()),
    }
