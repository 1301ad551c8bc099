"""Nothing is left behind on the CPU: training, search and evaluation on a device that is not it."""

import dataclasses

import numpy as np
import pytest
import torch
from pretended import DEVICE, Pretended, machine

from attnlib import decoding, evaluation, masks, pretrained, seq2seq, training
from attnlib.data import images
from attnlib.data.batches import collate
from attnlib.decoding import beam_search, greedy
from attnlib.settings import SCORES
from attnlib.training import CaptionerConfig, DataConfig, Run, RunConfig, TransformerConfig

TEXT = RunConfig.of(
    "text",
    corpus="copy",
    sentences=12,
    max_length=5,
    width=8,
    hidden=8,
    updates=3,
    tokens=30,
    warmup=1,
    validate_every=2,
    average=2,
)
TRANSFORMER = dataclasses.replace(
    TEXT, model=TransformerConfig(width=8, layers=1, heads=2, feed_forward=8)
)
SCENES = dataclasses.replace(
    TEXT,
    data=DataConfig("scenes", sentences=6),
    model=CaptionerConfig(width=8, hidden=8, annotation_dim=8),
    optimisation=dataclasses.replace(TEXT.optimisation, images=3),
)
BOTH = {"hidden": 4, "decoder_hidden": 8}  # as wide as the annotations, which dot asks for
DIALS = {
    **{f"score {name}": {"score": name, **BOTH} for name in SCORES},
    **{f"window {name}": {"window": name, "reach": 2} for name in ("monotonic", "predictive")},
    "selection hard": {"selection": "hard"},
    "selection gumbel": {"selection": "gumbel"},
    "timing after, input feeding": {"timing": "after", "feeding": "input"},
    "no feeding": {"feeding": "none"},
    "fixed context": {"score": None},
    "first state": {"score": None, "fixed": "first_state"},
}
CONFIGS = {
    **{f"translator, {name}": TEXT.replace(**dials) for name, dials in DIALS.items()},
    **{
        f"transformer, {name}": TRANSFORMER.replace(**dials)
        for name, dials in {
            "plain": {},
            "after": {"norm": "after"},
            "monotonic": {"window": "monotonic", "reach": 2},
            "learned": {"positions": "learned"},
            "rotary": {"positions": "rotary"},
        }.items()
    },
    **{
        f"captioner, {name}": SCENES.replace(**dials)
        for name, dials in {
            "plain": {},
            "hard": {"selection": "hard"},
            "gumbel": {"selection": "gumbel"},
            "after": {"timing": "after"},
            "no attention": {"score": None},
            "all losses": {
                "doubly_stochastic": 0.1,
                "word_detection": 0.5,
                "supervised_attention": 0.5,
                "normed": True,
            },
            "slow encoder": {"encoder_lr_scale": 0.1},
            "frozen encoder": {"encoder_lr_scale": 0.0},
        }.items()
    },
}
DATA = {}


def data(config):
    if config.data.corpus not in DATA:
        DATA[config.data.corpus] = training.prepare(config)
        if config.data.corpus == "scenes":
            DATA["scenes"] = dataclasses.replace(DATA["scenes"], validated=3)
    return DATA[config.data.corpus]


def elsewhere(value):
    """Whether all tensors in here, however deep, are on the device."""
    if isinstance(value, torch.Tensor):
        return isinstance(value, Pretended)
    if isinstance(value, dict):
        value = value.values()
    return all(map(elsewhere, value)) if isinstance(value, (tuple, list, type({}.values()))) else 1


@pytest.fixture
def device(monkeypatch):
    monkeypatch.setattr(decoding, "NO_FLOAT64", ("mps", DEVICE))
    with machine(monkeypatch, no_float64=True) as device:
        yield device


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_training_and_search_leave_nothing_behind(name, device, tmp_path):
    config = CONFIGS[name]
    run = Run(config, tmp_path, data(config), str(device), quiet=True)
    assert elsewhere(list(run.model.state_dict().values())) and elsewhere(run.mean)
    assert run.run()  # with validation
    assert elsewhere(list(run.model.state_dict().values())) and elsewhere(run.mean)
    state = run.optimizer.state_dict()["state"].values()
    assert elsewhere([moments[name] for moments in state for name in ("exp_avg", "exp_avg_sq")])
    model = run.model.eval()
    batch = next(run.data.validation()).to(device)
    source, lengths = batch.source[:2], batch.source_lengths[:2]
    for search, more in ((greedy, {}), (beam_search, {"beam": 3})):
        found = search(model, source, lengths, max_length=4, **more)
        assert len(found) == 2
    with torch.no_grad():  # forced decoding
        _, weights = model(source, lengths, batch.target_in[:2])
    assert elsewhere(weights)


@pytest.mark.parametrize("name", ["translator, score additive", "transformer, plain"])
def test_a_search_finds_what_it_finds_on_the_cpu(name, monkeypatch):
    """The device computes the same numbers, so a float64 less may change a rounding, no word."""
    torch.manual_seed(0)
    config = CONFIGS[name]
    model = config.build(12).eval()
    batch = collate([([5, 6], [7, 8]), ([4], [10]), ([4, 9, 11, 3], [5])])
    want = beam_search(model, batch.source, batch.source_lengths, 6, beam=3)
    monkeypatch.setattr(decoding, "NO_FLOAT64", ("mps", DEVICE))
    with machine(monkeypatch, no_float64=True) as device:
        there = model.to(device)
        got = beam_search(
            there, batch.source.to(device), batch.source_lengths.to(device), 6, beam=3
        )
    for ours, theirs in zip(got, want, strict=True):
        assert [x.ids for x in ours] == [x.ids for x in theirs]
        np.testing.assert_allclose(
            [x.logprob for x in ours], [x.logprob for x in theirs], rtol=1e-5
        )
        np.testing.assert_allclose(ours[0].weights, theirs[0].weights, atol=1e-6)


@pytest.mark.parametrize("name", ["en-fr-bahdanau", "en-fr-luong", "en-fr-transformer"])
def test_a_shipped_translator_moves(name, device):
    loaded = pretrained.load(name)
    want = loaded.translate(["Two dogs play in the snow."])[0].text
    moved = dataclasses.replace(loaded, model=loaded.model.to(device))
    assert moved.translate(["Two dogs play in the snow."])[0].text == want
    assert moved.align(["Two dogs play."], ["Deux chiens jouent."])[0].weights.sum() > 0


def test_a_shipped_captioner_moves_and_is_evaluated(device):
    loaded = pretrained.load("scenes-soft")
    moved = dataclasses.replace(loaded, model=loaded.model.to(device))
    picture = images.load("scenes", "test").sample(0).image
    assert moved.caption([picture])[0].weights.sum() > 0
    assert evaluation.evaluate(moved, limit=3).scores["parses"].value > 0


def test_the_device_finds_a_mask_that_is_left_behind(device, monkeypatch, tmp_path):
    """What recurrent models did: lengths are on the CPU for packing, and so was the mask."""
    monkeypatch.setattr(
        seq2seq, "padding_mask", lambda lengths, S: masks.padding_mask(lengths.cpu(), S)
    )
    config = CONFIGS["translator, score additive"]
    with pytest.raises(RuntimeError, match="on cpu"):
        Run(config, tmp_path, data(config), str(device), quiet=True).run()


def test_the_device_refuses_float64(device):
    with pytest.raises(TypeError, match="no float64"):
        torch.zeros(1, dtype=torch.float64, device=device)
    with pytest.raises(TypeError, match="no float64"):
        torch.ones(1, device=device).double()
