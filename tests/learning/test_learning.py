"""Every timing and feeding must learn to reverse; a fixed context of the same size must not."""

import random

import pytest
import torch

from attnlib.data import toy
from attnlib.data.batches import pad
from attnlib.data.tokenizer import EOS
from attnlib.decoding import greedy
from attnlib.metrics import alignment_from_weights, exact_match
from attnlib.training import Run, RunConfig

REVERSE = RunConfig.of(
    "reverse",
    corpus="reverse",
    sentences=6000,
    max_length=10,
    width=32,
    hidden=32,
    dropout=0.0,
    output_dropout=0.0,
    label_smoothing=0.0,
    updates=450,
    tokens=800,
    lr=1e-2,
    warmup=50,
    average=3,
    validate_every=450,
)


def learn(config, folder):
    """Train, then reverse 100 unseen sequences of 8 to 10 symbols: share right, and alignments."""
    run = Run(config, folder, device="cpu", quiet=True)
    run.run()
    model, vocabulary = run.averaged_model(), run.data.tokenizer
    test = toy.reverse(random.Random(0), 100, shortest=8, longest=10, split="test")
    source, lengths = pad([[*vocabulary.encode(example.source), EOS] for example in test])
    found = greedy(model, source, lengths, max_length=20)
    right = exact_match([h.ids for h in found], [vocabulary.encode(e.target) for e in test]).value
    return right, [(hypothesis, example) for hypothesis, example in zip(found, test, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "timing, feeding", [("before", "context"), ("after", "input"), ("after", "none")]
)
def test_attention_learns_to_reverse(timing, feeding, tmp_path):
    torch.set_num_threads(1)
    config = REVERSE.replace(timing=timing, feeding=feeding, seed=1)
    right, pairs = learn(config, tmp_path)
    assert right >= 0.8
    if timing == "after":  # the state that has read a word asks for the next: it must look there
        hits = total = 0
        for hypothesis, example in pairs:
            looked = alignment_from_weights(hypothesis.weights)
            hits += len(set(looked) & set(example.alignment))
            total += len(example.alignment)
        assert hits / total >= 0.5


@pytest.mark.slow
def test_a_fixed_context_of_the_same_size_falls_short(tmp_path):
    torch.set_num_threads(1)
    right, _ = learn(REVERSE.replace(score=None, hidden=34), tmp_path)
    assert right <= 0.5
