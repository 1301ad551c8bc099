"""Training on pictures: the same batches whoever makes them, and what a shipped model says."""

import dataclasses
import json
import math
import subprocess
import sys
from inspect import signature

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from attnlib import evaluation, pretrained, settings, training, vision
from attnlib.captioning import Captioner
from attnlib.data import images
from attnlib.data.batches import Batch
from attnlib.data.files import DataError
from attnlib.data.tokenizer import EOS, PAD, SPECIALS
from attnlib.settings import make_captioner
from attnlib.training import CaptionerConfig, Loss, Objective, Run, RunConfig

TINY = RunConfig.of(
    "tiny",
    corpus="scenes",
    width=8,
    hidden=8,
    annotation_dim=8,
    images=3,
    updates=5,
    warmup=2,
    average=2,
    validate_every=3,
)
DATA = dataclasses.replace(training.prepare(TINY), validated=3)


def scenes(split="train"):
    return images.load("scenes", split)


def some(batches, number):
    return [batch for batch, _ in zip(batches, range(number))]


def same(ours, theirs):
    return len(ours) == len(theirs) and all(
        torch.equal(getattr(a, field.name), getattr(b, field.name))
        for a, b in zip(ours, theirs)
        for field in dataclasses.fields(Batch)
    )


def weights(run):
    return torch.cat([p.detach().flatten() for p in run.averaged_model().parameters()])


# Batches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["scenes", "digits", "mosaics"])
def test_each_word_of_the_grammar_is_one_token_and_there_are_no_others(style):
    grammar = images.load(style, "test").grammar
    tokenizer = images.tokenizer(grammar.words)
    assert len(tokenizer) == len(SPECIALS) + len(set(grammar.words))
    for word in grammar.words:
        assert len(tokenizer.encode(word)) == 1, word
        assert tokenizer.decode(tokenizer.encode(word)) == word
    for i in range(0 if style == "mosaics" else 50):  # no photograph is needed here
        caption = images.load(style, "test").sample(i).captions[0]
        ids = tokenizer.encode(caption.text)
        assert [t.lstrip("▁") for t in tokenizer.tokens(ids)] == list(caption.words)


def test_a_batch_holds_the_pictures_and_their_captions():
    (batch,) = some(images.epoch(scenes(), DATA.tokenizer, cells=64, images=4), 1)
    assert batch.source.dtype == torch.float32 and batch.source.shape == (4, 3, 64, 64)
    assert batch.source_lengths.tolist() == [64] * 4
    for i in range(4):
        sample, length = scenes().sample(i), int(batch.target_lengths[i])
        want = sample.image.astype(np.float32).transpose(2, 0, 1) / np.float32(255)
        np.testing.assert_array_equal(batch.source[i].numpy(), want)
        assert DATA.tokenizer.decode(batch.target_out[i].tolist()) == sample.captions[0].text
        assert batch.target_out[i, length - 1] == EOS
        assert length == len(sample.captions[0].words) + 1
    assert batch.target_tokens == int(batch.target_lengths.sum())


@pytest.mark.parametrize("limit", [None, 11])
def test_batches_are_the_same_whoever_makes_them_and_wherever_one_begins(limit, monkeypatch):
    monkeypatch.setattr(images, "EPOCH", 4)
    how = {"images": 3, "seed": 7, "number": 2, "limit": limit}
    torch.manual_seed(0)
    whole = list(images.epoch(scenes(), DATA.tokenizer, 64, **how))
    assert len(whole) == 4 and sum(len(batch.source) for batch in whole) == (limit or 12)
    for workers in (0, 1, 2):
        for first in (0, 3, 4):
            part = images.epoch(scenes(), DATA.tokenizer, 64, first=first, workers=workers, **how)
            assert same(list(part), whole[first:])
    state = torch.get_rng_state()
    torch.manual_seed(0)
    assert torch.equal(state, torch.get_rng_state())  # none of this drew from torch's own


def test_without_a_limit_no_picture_comes_twice_and_with_it_all_do(monkeypatch):
    monkeypatch.setattr(images, "EPOCH", 2)

    def seen(number, **more):
        batches = images.epoch(scenes(), DATA.tokenizer, 64, images=3, number=number, **more)
        return [row.numpy().tobytes() for batch in batches for row in batch.source]

    assert len(set(seen(0) + seen(1) + seen(2))) == 18
    first, second = seen(0, limit=7), seen(1, limit=7)
    assert first != second and sorted(first) == sorted(second) and len(set(first)) == 7


def test_a_picture_with_several_captions_shows_another_from_epoch_to_epoch():
    pictures = images.load("scenes", "train", captions=5)
    seen = {
        batch.target_out.numpy().tobytes()
        for number in range(10)
        for batch in images.epoch(pictures, DATA.tokenizer, 64, 1, number=number, limit=1)
    }
    assert 1 < len(seen) <= len(pictures.sample(0).captions)


def test_impossible_batches_are_refused():
    for wrong in ({"images": 0}, {"images": 1, "limit": 0}, {"images": 1, "workers": -1}):
        (name, value) = list(wrong.items())[-1]
        with pytest.raises(ValueError, match=f"{name} must be at least [01], got {value}"):
            next(images.epoch(scenes(), DATA.tokenizer, 64, **wrong))
    with pytest.raises(ValueError, match="unknown pictures 'faces': one of scenes, digits, mosai"):
        images.load("faces", "train")


def test_grey_and_transparent_pictures_are_converted():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    colour = np.repeat(grey[..., None], 3, axis=2)
    alpha = np.dstack([colour, np.full((2, 3), 255, np.uint8)])
    want = images.as_floats(colour)
    assert torch.equal(images.as_floats(grey), want) and torch.equal(images.as_floats(alpha), want)
    alpha[0, 0, 3] = 0  # nothing there: white
    assert images.as_floats(alpha)[:, 0, 0].tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match=r"must be of bytes \(uint8\), got float64"):
        images.as_floats(np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match=r"must be \(H, W, 3\).*got \(2, 2, 2\)"):
        images.as_floats(np.zeros((2, 2, 2), np.uint8))


def test_a_batch_has_the_places_of_its_words_where_they_are_asked_for():
    batch = next(DATA.epoch(TINY, 0))
    assert batch.places is None and batch.to("cpu").places is None
    batch = next(DATA.epoch(TINY.replace(supervised_attention=1.0), 0))
    assert batch.places.shape == (*batch.target_out.shape, 64)
    assert torch.equal(batch.to("cpu").places, batch.places)
    for i, places in enumerate(batch.places.tolist()):
        sample = DATA.train.sample(i)
        caption, number = sample.captions[0], 8 * 8
        for row, named in zip(places, caption.things):
            assert sum(row) * number == pytest.approx(sample.masks[sorted(named)].any(0).sum())
        assert not np.any(places[len(caption.words) :])  # the end, and padding


def test_an_objective_says_what_it_needs_and_does_not_get():
    batch = next(DATA.epoch(TINY, 0))
    parts = batch.source, batch.source_lengths, batch.target_in, batch.target_out
    with pytest.raises(ValueError, match="needs batches with places"):
        Objective(TINY.build(len(DATA.tokenizer)), supervised_attention=1.0)(*parts)
    translator = settings.make_translator(9, 4, hidden=5)
    ids, lengths = torch.tensor([[5, 2]]), torch.tensor([2])
    with pytest.raises(TypeError, match="word_detection is for a captioner, got Translator"):
        Objective(translator, word_detection=1.0)(ids, lengths, ids, ids)


def test_photographs_have_no_masks_for_supervised_attention():
    config = RunConfig.of(
        "photographs", corpus="flickr8k", encoder="resnet18", supervised_attention=1.0
    )
    with pytest.raises(ValueError, match="flickr8k has no masks of the things in it"):
        training.prepare(config)


# The loop -------------------------------------------------------------------------------------


@pytest.mark.parametrize("selection", ["soft", "hard"])
@pytest.mark.parametrize("sentences", [None, 7])
def test_a_stopped_run_ends_at_the_same_weights(selection, sentences, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "EPOCH", 2)  # several epochs; with 7 pictures the third is short
    config = TINY.replace(selection=selection, sentences=sentences, doubly_stochastic=0.1)
    whole = Run(config, tmp_path / "whole", DATA, "cpu", quiet=True, workers=1)
    whole.run()
    for calls in range(1, 50):  # a budget of nothing: one update a call, in turn with and without
        part = Run(config, tmp_path / "part", DATA, "cpu", quiet=True, workers=calls % 2)
        if part.run(minutes=0):
            break
    assert part.finished and calls == TINY.optimisation.updates
    assert torch.equal(weights(part), weights(whole))
    assert part.progress.epoch == whole.progress.epoch == (2 if sentences is None else 1)


@pytest.mark.parametrize("rate", [0.0, 0.25, 1.0])
def test_an_image_encoder_learns_at_its_own_rate(rate, tmp_path):
    """The first step of Adam is as long as the rate, whatever the gradient."""
    config = TINY.replace(encoder_lr_scale=rate, updates=1, warmup=1, word_detection=1.0)
    run = Run(config, tmp_path, DATA, "cpu", quiet=True)
    before = {name: p.detach().clone() for name, p in run.model.named_parameters()}
    run.run()
    moved = {
        name: (p.detach() - before[name]).abs().max() for name, p in run.model.named_parameters()
    }
    lr = config.optimisation.lr
    assert float(moved["encoder.layers.0.weight"]) == pytest.approx(rate * lr, rel=1e-2)
    for name in ("encoder.P", "decoder.cell.weight_hh"):
        assert float(moved[name]) == pytest.approx(lr, rel=1e-2)
    again = Run(config, tmp_path, DATA, "cpu", quiet=True)
    assert again.finished and torch.equal(weights(again), weights(run))


@pytest.mark.slow
def test_a_run_learns_what_pictures_show(tmp_path):
    """Four scenes by heart, to a loss far below the words' own: which of four captions is it?"""
    config = TINY.replace(sentences=4, images=4, updates=250, lr=4e-3, width=32)
    config = config.replace(
        hidden=32,
        annotation_dim=32,
        dropout=0.0,
        output_dropout=0.0,
        label_smoothing=0.0,
        word_detection=1.0,
        validate_every=250,
        warmup=20,
    )
    run = Run(config, tmp_path, DATA, "cpu", quiet=True)
    run.run()
    batch = next(DATA.epoch(config, 0))
    words = 4 * math.log(4) / batch.target_tokens
    assert training.mean_loss(run.model, [batch]) < words / 4
    other = dataclasses.replace(batch, source=batch.source.flip(0))
    assert training.mean_loss(run.model, [other]) > 2 * words


def gradients(model, loss):
    """By the names of the parameters; zeros where the loss does not depend on one."""
    parameters = dict(model.named_parameters())
    found = torch.autograd.grad(loss, parameters.values(), allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if gradient is None else gradient
        for (name, parameter), gradient in zip(parameters.items(), found)
    }


def loss_of(objective, batch):
    """As `Run` has it: a token."""
    source = (batch.source, batch.source_lengths)
    total = objective(*source, batch.target_in, batch.target_out, batch.places)
    return total / batch.target_tokens


def looked_at(model, batch, target):
    """Equation 14 by its definition."""
    extra = 0.0
    weights = model(batch.source, batch.source_lengths, batch.target_in)[1]
    for row, length in zip(weights, batch.target_lengths):
        aim = 1.0 if target == "one" else length / weights.shape[2]
        extra += ((aim - row[:length].sum(0)) ** 2).sum()
    return extra


def missed(model, batch):
    """Whether each word is in the caption, asked of the cell that is surest: a cross-entropy."""
    extra = 0.0
    annotations = model.encode(batch.source, batch.source_lengths).annotations
    for row, wanted in zip(model.detect(annotations).sigmoid(), batch.target_out.tolist()):
        for word, share in enumerate(row):
            extra -= (share if word in wanted and word != PAD else 1 - share).log()
    return extra


def far_off(model, batch):
    """How far each word that names something is from its things: a cross-entropy, cell by cell."""
    extra = 0.0
    weights = model(batch.source, batch.source_lengths, batch.target_in)[1]
    for i, rows in enumerate(weights):
        sample = DATA.train.sample(i)
        for row, named in zip(rows, sample.captions[0].things):
            pixels = sample.masks[sorted(named)].any(axis=0)
            for cell in np.flatnonzero(np.full(64, bool(named))):
                y, x = divmod(int(cell), 8)
                share = pixels[8 * y : 8 * y + 8, 8 * x : 8 * x + 8].sum() / pixels.sum()
                extra -= share * row[cell].log()
    return extra


TERMS = {
    "one": ({"doubly_stochastic": 0.5}, lambda *known: looked_at(*known, "one")),
    "steps/cells": (
        {"doubly_stochastic": 0.5, "coverage_target": "steps/cells"},
        lambda *known: looked_at(*known, "steps/cells"),
    ),
    "word_detection": ({"word_detection": 0.5}, missed),
    "supervised_attention": ({"supervised_attention": 0.5}, far_off),
}


@pytest.mark.parametrize("term", TERMS)
def test_a_term_of_the_objective_is_in_its_gradient_alone(term):
    settings, by_definition = TERMS[term]
    torch.manual_seed(0)
    model = make_captioner(
        len(DATA.tokenizer), 8, hidden=8, annotation_dim=8, detector=True
    ).double()
    batch = next(DATA.epoch(TINY.replace(supervised_attention=1.0), 0))
    assert len(set(batch.target_lengths.tolist())) > 1  # there is padding
    plain, loss = loss_of(Objective(model), batch), loss_of(Objective(model, **settings), batch)
    assert loss.item() == plain.item()
    without, got = gradients(model, plain), gradients(model, loss)
    want = gradients(model, 0.5 * by_definition(model, batch) / batch.target_tokens)
    for name in want:
        torch.testing.assert_close(got[name] - without[name], want[name], rtol=0, atol=1e-9)
    assert want["encoder.layers.0.weight"].abs().max() > 1e-5  # far more than the tolerance
    loss = loss_of(Objective(model.eval(), **settings), batch)
    assert gradients(model, loss)["detector.weight"].abs().max() == 0  # in training only


@pytest.mark.parametrize("selection", ["soft", "hard"])
def test_the_weight_of_a_term_does_not_depend_on_the_batch_size(selection):
    """The same captions twice: the same gradient."""
    torch.manual_seed(0)
    dials = {"selection": selection, "expectation": 1.0, "detector": True}
    model = make_captioner(len(DATA.tokenizer), 8, hidden=8, annotation_dim=8, **dials).double()
    once = next(DATA.epoch(TINY.replace(supervised_attention=1.0), 0))
    twice = [torch.cat([getattr(once, f.name)] * 2) for f in dataclasses.fields(once)]
    twice = images.ImageBatch(*twice)
    objective = Objective(
        model, doubly_stochastic=1.0, word_detection=1.0, supervised_attention=1.0
    )
    ours, theirs = (gradients(model, loss_of(objective, batch)) for batch in (once, twice))
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-9)


def test_a_run_passes_its_settings_on(tmp_path):
    config = TINY.replace(
        doubly_stochastic=0.25,
        coverage_target="steps/cells",
        gate=False,
        field="far",
        positions=False,
    )
    config = config.replace(
        word_detection=0.75, encoder_bf16=True, supervised_attention=0.5, word_dropout=0.25
    )
    run = Run(config, tmp_path, DATA, "cpu", quiet=True)
    objective = run.objective
    assert objective.word_detection == 0.75 and objective.supervised_attention == 0.5
    assert run.model.encoder_bf16
    assert run.model.dropout[0].p == 0.25
    assert run.model.detector is not None and Run(TINY, tmp_path / "2", DATA).model.detector is None
    assert (objective.doubly_stochastic, objective.coverage_target) == (0.25, "steps/cells")
    assert run.model.decoder.f_beta is None and run.model.encoder.P is None
    assert run.model.encoder.receptive_field > make_captioner(9).encoder.receptive_field
    assert DATA.grid == (8, 8)


def test_the_defaults_of_a_run_are_those_of_the_captioner():
    parts = {**signature(Captioner).parameters, **signature(make_captioner).parameters}
    for name in ("annotation_dim", "field", "positions", "gate", "word_dropout"):
        assert getattr(CaptionerConfig(), name) == parts[name].default, name
    parts = signature(training.doubly_stochastic_loss).parameters
    assert Loss().coverage_target == parts["target"].default


def test_a_setting_of_the_other_kind_of_model_is_refused():
    with pytest.raises(ValueError, match="tiny: a captioner has no fixed"):
        TINY.replace(fixed="first_state")
    for name, value in {"gate": False, "word_dropout": 0.1, "cell": 16}.items():
        with pytest.raises(ValueError, match=f"any: a translator has no {name}"):
            RunConfig.of("any", **{name: value})
    for name, value in {"word_detection": 1.0, "supervised_attention": 1.0}.items():
        with pytest.raises(ValueError, match=f"any: {name} is for a captioner, got 1.0"):
            RunConfig.of("any", **{name: value})


@pytest.mark.slow
def test_training_needs_neither_downloads_nor_figures():
    absent = ("pooch", "sacremoses", "anywidget", "sklearn", "torchvision", "sacrebleu")
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); import attnlib.training"
    code += "; attnlib.training.prepare(attnlib.training.SCENES)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# Photographs ----------------------------------------------------------------------------------


@pytest.fixture
def flickr8k(tmp_path, monkeypatch):
    """Four, one and one drawings of one colour each, in the official format."""
    (tmp_path / "photographs").mkdir()
    (tmp_path / "annotations").mkdir()
    lines, colours = [], ("red", "green", "blue", "white", "red", "green")
    for number, colour in enumerate(colours):
        Image.new("RGB", (90, 70), colour).save(tmp_path / "photographs" / f"{number}.png")
        for n in range(2):
            lines.append(f"{number}.png#{n}\t{('A', 'One')[n]} {colour} wall with nothing on it .")
    (tmp_path / "annotations" / "Flickr8k.token.txt").write_text("\n".join(lines))
    for name, numbers in (("train", range(4)), ("dev", [4]), ("test", [5])):
        chosen = "".join(f"{number}.png\n" for number in numbers)
        (tmp_path / "annotations" / f"Flickr_8k.{name}Images.txt").write_text(chosen)
    for variable, folder in (("PHOTOGRAPHS", "photographs"), ("ANNOTATIONS", "annotations")):
        monkeypatch.setenv(f"ATTNLIB_{variable}", str(tmp_path / folder))
    return tmp_path


class Squares(vision.Grid, nn.Module):
    """Stands for a network of torchvision: the mean colour of each of 7 x 7 squares."""

    annotation_dim, size, asked = 3, 224, []
    stride = 32

    def __init__(self, name, size, weights=None, trainable=False):
        super().__init__()
        self.asked.append((name, size, weights, trainable))

    def forward(self, pictures):
        return nn.functional.adaptive_avg_pool2d(pictures, 7).flatten(2).transpose(1, 2)


def test_photographs_are_trained_on_by_one_command(flickr8k, monkeypatch, capsys):
    for module in (training.inputs, settings):
        monkeypatch.setattr(module, "Backbone", Squares)
    config = training.FLICKR8K.replace(
        width=8, hidden=8, images=3, updates=4, vocab_size=60, word_detection=1.0
    )
    monkeypatch.setitem(training.PHOTOGRAPHS, config.name, config)
    folder = flickr8k / "runs"
    assert (
        training.main(["--run", "flickr8k-soft", "--folder", str(folder), "--device", "cpu"]) == 0
    )
    assert ("resnet18", 224, "DEFAULT", False) in Squares.asked
    loaded = pretrained.read(folder / "flickr8k-soft" / "model")
    assert Squares.asked[-1] == ("resnet18", 224, None, False)  # nothing is downloaded again
    card = loaded.card
    assert card["pictures"] == "flickr8k" and "generated" not in card
    assert card["model"]["encoder"] == "resnet18" and card["metrics"].keys() == {"val.loss", "bleu"}
    assert "nrefs:2" in card["signatures"]["bleu"]
    assert card["model"]["vocab_size"] == len(loaded.tokenizer) <= 60
    (caption,) = loaded.caption([np.zeros((224, 224, 3), np.uint8)])
    assert caption.weights.shape == (len(caption.tokens), 49)
    batches = list(training.prepare(config).epoch(config, 0))
    assert [len(batch.source) for batch in batches] == [3, 1]  # an epoch ends


def test_photographs_are_not_in_the_queue_and_must_be_yours(monkeypatch, capsys):
    assert not training.PHOTOGRAPHS.keys() & training.QUEUE.keys()
    training.main(["--list"])
    assert "flickr8k-soft" in capsys.readouterr().out
    monkeypatch.delenv("ATTNLIB_PHOTOGRAPHS", raising=False)
    with pytest.raises(DataError, match="read from your own copy: set ATTNLIB_PHOTOGRAPHS"):
        training.prepare(training.FLICKR8K)


# Shipped --------------------------------------------------------------------------------------


def test_a_card_names_the_machine_that_trained_and_not_the_one_that_shipped(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "TESTED", 2)
    run = Run(TINY, tmp_path, DATA, "cpu", quiet=True)
    run.run()
    assert run.progress.device == "cpu" and "torch" in run.progress.hardware
    run.progress.device, run.progress.hardware = "cuda", "a good one"
    run._save()
    again = Run(TINY, tmp_path, DATA, "cpu", quiet=True)
    assert again.run()  # nothing left to do
    card = training.ship(again, tmp_path / "model")
    assert (card["device"], card["hardware"]) == ("cuda", "a good one")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A run of a few updates, shipped and measured on a few pictures; its folder."""
    folder = tmp_path_factory.mktemp("captions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "TESTED", 5)
        run = Run(TINY, folder / "run", DATA, "cpu", quiet=True)
        run.run()
        training.ship(run, folder / "scenes-tiny")
    return folder / "scenes-tiny"


def test_a_shipped_captioner_comes_back_and_captions(shipped, monkeypatch):
    monkeypatch.setattr(pretrained, "WEIGHTS", shipped.parent)
    loaded = pretrained.load("scenes-tiny")
    assert isinstance(loaded.model, Captioner) and not loaded.model.training
    pictures = [scenes("test").sample(i).image for i in range(5)]
    found = loaded.caption(pictures, beam=3)
    assert len(found) == 5 and loaded.grid == (8, 8)
    for picture, caption in zip(pictures, found):
        words = [t.lstrip("▁") for t in caption.tokens if t not in SPECIALS]
        assert caption.text == " ".join(words)
        assert caption.weights.shape == (len(caption.tokens), 64)
        np.testing.assert_allclose(caption.weights.sum(1), 1, rtol=0, atol=1e-5)
        (alone,) = loaded.caption([picture], beam=3)
        assert alone.tokens == caption.tokens
        np.testing.assert_allclose(alone.weights, caption.weights, rtol=0, atol=1e-5)
    floats = torch.stack([images.as_floats(picture) for picture in pictures])
    assert [c.tokens for c in loaded.caption(floats, beam=3)] == [c.tokens for c in found]
    assert loaded.caption([]) == []


def test_a_captioner_is_made_to_write_given_captions(shipped):
    """One by one, against the model's own logits."""
    model = pretrained.read(shipped)
    samples = [scenes("test").sample(i) for i in range(3)]
    pictures, texts = [s.image for s in samples], [s.captions[0].text for s in samples]
    for picture, text, found in zip(
        pictures, texts, model.force_decode(pictures, texts), strict=True
    ):
        ids = model.tokenizer.encode(text)
        pixels = images.as_floats(picture)[None]
        with torch.no_grad():
            logits, weights = model.model(pixels, torch.tensor([64]), torch.tensor([[1, *ids]]))
        log_p = logits[0].log_softmax(-1)
        score = sum(float(log_p[t, word]) for t, word in enumerate([*ids, 2]))
        assert (found.text, found.tokens) == (text, model.tokenizer.tokens(ids))
        assert found.score == pytest.approx(score, abs=1e-4)
        np.testing.assert_allclose(found.weights, weights[0, : len(ids)], atol=1e-6)
    with pytest.raises(ValueError, match="3 pictures but 2 captions"):
        model.force_decode(pictures, texts[:2])
    with pytest.raises(ValueError, match="caption 2 is empty"):
        model.force_decode(pictures, [texts[0], "", texts[2]])


def test_the_card_says_how_its_pictures_were_made(shipped):
    card = json.loads((shipped / "card.json").read_text())
    assert (card["architecture"], card["languages"], card["pictures"]) == (
        "captioner", ["en"], "scenes")  # fmt: skip
    assert card["data"] == {}  # no file was read
    assert card["generated"] == training.generated(TINY)
    assert card["generated"]["by"].startswith("attnlib.data.images.load('scenes'), attnlib ")
    assert card["generated"]["seeds"].startswith("train 1, val")
    metrics = {"val.loss", "true_captions", "parses", "true_captions_held_out", "bleu"}
    assert metrics <= card["metrics"].keys() == card["signatures"].keys()
    for name, split in (("true_captions", "test"), ("true_captions_held_out", "held_out")):
        signature = card["signatures"][name]
        assert signature.startswith("beam 5, true captions|")
        assert signature.endswith(f"|on:scenes {split} 0-4")
    assert card["config"] == TINY.as_dict()


def test_what_does_not_fit_a_model_is_refused(shipped):
    loaded = pretrained.read(shipped)
    good = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(ValueError, match="picture 2 has 64 x 32 pixels, this model wants 64 x 64"):
        loaded.caption([good, good[:, :32]])
    with pytest.raises(ValueError, match=r"picture 1: .* must be of bytes"):
        loaded.caption([good / 255])
    with pytest.raises(ValueError, match="64 x 64 pixels, got 32 x 32"):
        loaded.caption(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ValueError, match="tiny is a captioner: this is for a translator"):
        loaded.translate(["a red ring"])
    with pytest.raises(ValueError, match="en-fr-fixed is a translator: this is for a captioner"):
        pretrained.load("en-fr-fixed").caption([good])


def test_numbers_are_marked_apart_from_nouns_and_adjectives(shipped):
    """Two things are counted, and the number alone looks past them."""
    loaded, test = pretrained.read(shipped), scenes("test")
    sample = next(s for s in map(test.sample, range(200)) if "two" in s.captions[0].words)
    (caption,) = sample.captions
    masks = sample.masks.reshape(len(sample.masks), 8, 8, 8, 8).sum((2, 4)).reshape(-1, 64)
    looked = np.zeros((len(caption.words), 64))
    for row, word, named in zip(looked, caption.words, caption.things):
        on = masks[sorted(named)].sum(0) if named else masks.sum(0)
        row[on.argmin() if word == "two" else on.argmax()] = 1
    tokens = ["▁" + word for word in caption.words]
    found = [pretrained.CaptionFound(caption.text, tokens, looked, 0.0)]
    scores = evaluation._pointing(loaded, test.grammar, [sample], [sample.image], found)
    assert scores["pointing_game_number"].value < 1 == scores["pointing_game"].value


def test_captions_are_held_against_the_truth(shipped, monkeypatch):
    """Of four captions two are true; one is false, one is no caption."""
    loaded = pretrained.read(shipped)
    test, held_out = scenes("test"), scenes("held_out")
    said = {0: None, 1: None, 2: "four white stars", 3: "a red red ring"}
    assert not test.grammar.check(said[2], test.sample(2).things).true

    def caption(self, pictures, beam):
        found = []
        for i, picture in enumerate(pictures):
            sample = test.sample(i)
            if not np.array_equal(picture, sample.image):
                sample = held_out.sample(i)
                text = sample.captions[0].text
            else:
                text = said[i] or sample.captions[0].text
            tokens = ["▁" + word for word in text.split()]
            looked = np.zeros((len(tokens), 64))
            looked[:, 0] = 1
            link = test.grammar.link(text, sample.things)
            for row, named in zip(looked, link.things if link else ()):
                if named:  # at the first thing that is named, where most of it is
                    mask = sample.masks[min(named)].reshape(8, 8, 8, 8).sum((1, 3)).ravel()
                    row[:] = np.eye(64)[mask.argmax()]
            found.append(pretrained.CaptionFound(text, tokens, looked, 0.0))
        return found

    monkeypatch.setattr(pretrained.Pretrained, "caption", caption)
    found = evaluation.evaluate(loaded, limit=4)
    scores = {name: score.value for name, score in found.scores.items()}
    assert scores["true_captions"] == 0.5 and scores["parses"] == 0.75
    assert scores["true_captions_held_out"] == 1
    assert scores["pointing_game"] == 1 and "pictures:2" in found.scores["pointing_game"].signature
    assert scores["pointing_game_noun"] == scores["pointing_game_colour"] == 1
    assert 0 < scores["pointing_game_uniform"] < 1 and 0 <= scores["pointing_game_centre"] < 1
    assert scores["exact_match"] == 0.5
    assert scores["recognition"] > 0.5 and "pictures:3" in found.scores["recognition"].signature
    assert 0 <= scores["pointing_game_untrained"] < 1  # the weights in the file have no say in it
    given = found.scores["pointing_game_given"]
    assert 0 <= given.value < 1 and "pictures:4" in given.signature
    low, got, high = (scores[f"attention_inside{of}"] for of in ("_uniform", "", "_best"))
    assert 0 < low < got <= high <= 1
    assert [r[0] for r in found.references] == [test.sample(i).captions[0].text for i in range(4)]
    assert max(map(len, found.references)) == 5 and 0 < scores["bleu"] < 100
    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        evaluation.evaluate(loaded, limit=0)
