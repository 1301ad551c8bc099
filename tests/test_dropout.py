"""Dropout acts wherever it is promised, on what it is promised, and only in training.

A dropout layer that nobody calls, whose result nobody uses or that is called twice changes no
shape and no test of the mathematics, all of which run without it. So every call is written down
here, and every layer is made to drop all that it gets.
"""

from collections import Counter

import pytest
import torch
from torch import nn

from attnlib.attention import Attention
from attnlib.captioning import Captioner
from attnlib.scores import AdditiveScore
from attnlib.training import RunConfig
from attnlib.vision import ImageEncoder

V, B, S, T = 13, 2, 5, 4
WIDTH, HIDDEN, BLOCKS = 8, 6, 2
WORDS, OUTPUT = 0.25, 0.5  # two shares, so that one in the place of the other is seen
SETTINGS = {"width": WIDTH, "hidden": HIDDEN, "dropout": WORDS, "output_dropout": OUTPUT}
RECURRENT = {
    f"{timing}-{feeding}": RunConfig.of("recurrent", timing=timing, feeding=feeding, **SETTINGS)
    for timing in ("before", "after")
    for feeding in ("context", "input", "none")
} | {"fixed": RunConfig.of("fixed", score=None, **SETTINGS)}
TRANSFORMERS = {
    f"transformer-{norm}": RunConfig.of(
        f"transformer-{norm}",
        architecture="transformer",
        norm=norm,
        width=WIDTH,
        layers=BLOCKS,
        heads=2,
        feed_forward=6,
        dropout=WORDS,
    )
    for norm in ("before", "after")
}
CAPTIONERS = {
    timing: RunConfig.of(
        "captioner",
        corpus="scenes",
        timing=timing,
        annotation_dim=10,
        word_dropout=0.125,
        **SETTINGS,
    )
    for timing in ("before", "after")
}


def run(model, source, seed=0):
    torch.manual_seed(seed)
    lengths = torch.full((B,), 64 if source.dim() == 4 else S)
    given = torch.randint(4, V, (B, T), generator=torch.Generator().manual_seed(1))
    return model(source, lengths, given)[0]


def sentences(seed=2):
    return torch.randint(4, V, (B, S), generator=torch.Generator().manual_seed(seed))


def images():
    return torch.rand(B, 3, 64, 64, generator=torch.Generator().manual_seed(2))


def dropped(model, source, monkeypatch) -> Counter:
    """The share and the shape of each call of a dropout layer that drops something."""
    calls = Counter()

    def forward(self, x):
        if self.training and self.p:
            calls[self.p, tuple(x.shape)] += 1
        return x

    for kind in (nn.Dropout, nn.Dropout1d):
        monkeypatch.setattr(kind, "forward", forward)
    run(model, source)
    return calls


@pytest.mark.parametrize("config", RECURRENT.values(), ids=RECURRENT)
def test_a_translator_drops_embeddings_annotations_and_attentional_vectors(config, monkeypatch):
    model = config.build(V).train()
    calls = dropped(model, sentences(), monkeypatch)
    steps = Counter({(OUTPUT, (B, T, WIDTH)): 1})  # of all steps at once
    expected = steps + Counter(
        {(WORDS, (B, S, WIDTH)): 1, (WORDS, (B, T, WIDTH)): 1, (OUTPUT, (B, S, 2 * HIDDEN)): 1}
    )
    assert calls == expected
    assert not dropped(model.eval(), sentences(), monkeypatch)


@pytest.mark.parametrize("config", TRANSFORMERS.values(), ids=TRANSFORMERS)
def test_a_transformer_drops_embeddings_and_what_each_sublayer_adds(config, monkeypatch):
    model = config.build(V).train()
    calls = dropped(model, sentences(), monkeypatch)
    encoder, decoder = 1 + 2 * BLOCKS, 1 + 3 * BLOCKS  # the words, then each block's sublayers
    assert calls == {(WORDS, (B, S, WIDTH)): encoder, (WORDS, (B, T, WIDTH)): decoder}
    assert not dropped(model.eval(), sentences(), monkeypatch)


@pytest.mark.parametrize("config", CAPTIONERS.values(), ids=CAPTIONERS)
def test_a_captioner_drops_words_annotations_and_its_deep_output(config, monkeypatch):
    model = config.build(V).train()
    calls = dropped(model, images(), monkeypatch)
    whole_words = calls.pop((0.125, (B, T, WIDTH)))
    assert whole_words == 1
    assert calls[WORDS, (B, T, WIDTH)] == 1
    assert calls[OUTPUT, (B, 64, 10)] == 1
    assert calls[OUTPUT, (B, T, WIDTH)] == 1 and sum(calls.values()) == 3
    assert not dropped(model.eval(), images(), monkeypatch)


def everything_dropped(model, monkeypatch, shape):
    """Make every layer whose input has this shape return zeros in training."""

    def forward(self, x):
        return torch.zeros_like(x) if self.training and tuple(x.shape) == shape else x

    for kind in (nn.Dropout, nn.Dropout1d):
        monkeypatch.setattr(kind, "forward", forward)
    return model.train()


@pytest.mark.parametrize("config", RECURRENT.values(), ids=RECURRENT)
def test_what_a_translator_drops_is_what_it_goes_on_with(config, monkeypatch):
    model = config.build(V)
    with torch.no_grad():
        model.bias.normal_()
    everything_dropped(model, monkeypatch, (B, T, WIDTH))
    torch.testing.assert_close(run(model, sentences()), model.bias.expand(B, T, V))
    model = config.build(V)
    everything_dropped(model, monkeypatch, (B, S, WIDTH))  # no word of the source is read
    assert torch.equal(run(model, sentences(2)), run(model, sentences(3)))
    assert not torch.equal(run(model.eval(), sentences(2)), run(model, sentences(3)))


@pytest.mark.parametrize("config", TRANSFORMERS.values(), ids=TRANSFORMERS)
def test_what_a_transformer_drops_is_what_it_goes_on_with(config, monkeypatch):
    model = config.build(V)
    everything_dropped(model, monkeypatch, (B, T, WIDTH))  # neither words nor what sublayers add
    logits = run(model, sentences())
    assert torch.equal(logits, logits[:1, :1].expand_as(logits))
    model = config.build(V)
    everything_dropped(model, monkeypatch, (B, S, WIDTH))
    assert torch.equal(run(model, sentences(2)), run(model, sentences(3)))
    assert not torch.equal(run(model.eval(), sentences(2)), run(model, sentences(3)))


@pytest.mark.parametrize("config", CAPTIONERS.values(), ids=CAPTIONERS)
def test_what_a_captioner_drops_is_what_it_goes_on_with(config, monkeypatch):
    model = config.build(V)
    with torch.no_grad():
        model.bias.normal_()
    everything_dropped(model, monkeypatch, (B, T, WIDTH))
    torch.testing.assert_close(run(model, images()), model.bias.expand(B, T, V))


EVERY = {**RECURRENT, **TRANSFORMERS, **{f"captioner-{k}": v for k, v in CAPTIONERS.items()}}


@pytest.mark.parametrize("name", EVERY)
def test_dropout_differs_from_pass_to_pass_in_training_alone(name):
    model = EVERY[name].build(V)
    source = images() if name.startswith("captioner") else sentences()
    model.train()
    assert not torch.equal(run(model, source, seed=1), run(model, source, seed=2))
    assert torch.equal(run(model, source, seed=1), run(model, source, seed=1))
    model.eval()
    assert torch.equal(run(model, source, seed=1), run(model, source, seed=2))


def test_the_first_state_of_a_captioner_is_of_whole_annotations():
    """Dropout is on the annotations that are attended to, not on their mean."""
    torch.manual_seed(0)
    encoder = ImageEncoder(annotation_dim=6)
    attention = Attention(AdditiveScore(query_dim=5, key_dim=6, hidden_dim=5))
    sizes = {"vocab_size": 9, "width": 4, "hidden": 5, "output_dropout": 0.5}
    model = Captioner(**sizes, encoder=encoder, attention=attention).train()
    images = torch.rand(2, 3, 64, 64)
    memory = model.encode(images, torch.tensor([64, 64]))
    torch.testing.assert_close(memory.summary, encoder(images).mean(1))
    assert 0.3 < float((memory.annotations == 0).float().mean()) < 0.7
