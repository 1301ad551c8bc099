"""Every setting of a run reaches what it sets, and an update is the one that the book describes.

The loop is held against a plain one, written from the formulas: the loss of a batch is divided by
its tokens, the rate is that of this update, gradients are clipped before the step. Then each
setting is changed by itself, and what is trained must change with it.
"""

import csv
import dataclasses
import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from attnlib import training
from attnlib.data.batches import collate
from attnlib.data.tokenizer import PAD
from attnlib.training import AttentionConfig, DataConfig, Loss, Optimisation, Run, RunConfig, loop
from attnlib.training.config import MODELS
from attnlib.training.environment import Processes

TEXT = {
    "corpus": "copy",
    "sentences": 60,
    "max_length": 5,
    "width": 8,
    "hidden": 8,
    "updates": 4,
    "tokens": 60,
    "warmup": 2,
    "dropout": 0.0,
    "output_dropout": 0.0,
    "average": 1,
    "validate_every": 4,
}
TRANSFORMER = {k: v for k, v in TEXT.items() if k not in ("hidden", "output_dropout")}
TRANSFORMER |= {"architecture": "transformer", "layers": 1, "heads": 2, "feed_forward": 8}
SCENES = TEXT | {"corpus": "scenes", "images": 2, "updates": 2, "validate_every": 2, "warmup": 1}
# One change a setting: what it is called, its new value, and the run that it is changed in.
CHANGES = [
    ("corpus", "reverse", TEXT),
    ("sentences", 30, TEXT),
    ("min_length", 4, TEXT),
    ("max_length", 3, TEXT),
    ("width", 6, TEXT),
    ("hidden", 6, TEXT),
    ("decoder_hidden", 6, TEXT),
    ("score", "general", TEXT),
    ("window", "monotonic", TEXT | {"reach": 1}),
    ("selection", "hard", TEXT),
    ("timing", "after", TEXT),
    ("feeding", "input", TEXT),
    ("fixed", "first_state", TEXT | {"score": None}),
    ("score_hidden", 5, TEXT),
    ("reach", 2, TEXT | {"window": "monotonic"}),
    ("expectation", 0.0, TEXT | {"selection": "hard"}),
    ("temperature", 3.0, TEXT | {"selection": "gumbel"}),
    ("final_temperature", 0.1, TEXT | {"selection": "gumbel"}),
    ("layers", 2, TRANSFORMER),
    ("heads", 4, TRANSFORMER),
    ("feed_forward", 12, TRANSFORMER),
    ("norm", "after", TRANSFORMER),
    ("positions", "learned", TRANSFORMER),
    ("annotation_dim", 9, SCENES),
    ("field", "far", SCENES),
    ("positions", False, SCENES),
    ("cell", 16, SCENES),
    ("normed", True, SCENES),
    ("gate", False, SCENES),
    ("word_dropout", 0.5, SCENES),
    ("dropout", 0.5, TEXT),
    ("dropout", 0.5, TRANSFORMER),
    ("dropout", 0.5, SCENES),
    ("output_dropout", 0.5, TEXT),
    ("output_dropout", 0.5, SCENES),
    ("reverse_source", True, TEXT),
    ("double_source", True, TEXT),
    ("updates", 5, TEXT | {"validate_every": 5}),
    ("tokens", 30, TEXT),
    ("images", 3, SCENES),
    ("lr", 1e-2, TEXT),
    ("schedule", "inverse_sqrt", TEXT),
    ("beta2", 0.9, TEXT),
    ("encoder_lr_scale", 0.0, SCENES),
    ("encoder_lr_scale", 0.5, SCENES),
    ("warmup", 3, TEXT),
    ("weight_decay", 0.5, TEXT),
    ("label_smoothing", 0.3, TEXT),
    ("reward", 0.0, TEXT | {"selection": "hard"}),
    ("entropy", 1.0, TEXT | {"selection": "hard"}),
    ("baseline_decay", 0.0, TEXT | {"selection": "hard"}),
    ("doubly_stochastic", 1.0, SCENES),
    ("word_detection", 1.0, SCENES),
    ("supervised_attention", 1.0, SCENES),
    ("encoder_bf16", True, SCENES),
    ("clip", 1e-3, TEXT),
    ("average", 2, TEXT | {"updates": 10, "validate_every": 10}),
    ("ema", 0.5, TEXT),
    ("r_drop", 1.0, TEXT | {"dropout": 0.5}),
    ("seed", 2, TEXT),
    ("seed", 2, TRANSFORMER),
    ("seed", 2, SCENES),
]
ELSEWHERE = {
    "name": "a label",
    "source": "test_training.py: the languages of a corpus",
    "target": "test_training.py: the languages of a corpus",
    "vocab_size": "below, on text",
    "bpe_dropout": "test_training.py: words are cut anew each epoch",
    "files": "test_own_text.py",
    "valid_files": "test_own_text.py",
    "held_out": "test_own_text.py: sources that are not trained on",
    "sha256": "test_own_text.py: a file that changed",
    "size": "test_own_pictures.py: the size of a card",
    "validate_every": "below: the rows of the log",
    "start_from": "test_training.py: a run that starts from another",
    "encoder": "test_vision.py: encoders trained on ImageNet, which are not at hand here",
    "encoder_weights": "test_vision.py",
    "distilled": "test_training_distil.py",
    "train_encoder": "test_vision.py",
    "coverage_target": "test_training_captions.py: provably no difference to the gradient",
}


def trained(settings, folder) -> Run:
    config = RunConfig.of("tiny", **settings)
    data = training.prepare(config)
    if settings["corpus"] == "scenes":
        data = dataclasses.replace(data, validated=2)
    run = Run(config, folder, data, device="cpu", quiet=True)
    assert run.run()
    return run


def weights(run) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.averaged_model().parameters()])


def test_no_setting_is_left_out():
    parts = (RunConfig, DataConfig, AttentionConfig, *MODELS.values(), Optimisation, Loss)
    settings = {field.name for part in parts for field in dataclasses.fields(part)}
    named = {name for name, *_ in CHANGES} | ELSEWHERE.keys()
    assert named == settings - {"data", "model", "attention", "optimisation", "loss"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The weights after a run with these settings; each is trained once."""
    known = {}

    def after(settings):
        key = repr(sorted(settings.items()))
        if key not in known:
            known[key] = weights(trained(settings, tmp_path_factory.mktemp("plain")))
        return known[key]

    return after


@pytest.mark.parametrize("name, value, settings", CHANGES, ids=[f"{n}-{v}" for n, v, _ in CHANGES])
def test_a_setting_changes_what_is_learned(name, value, settings, plain, tmp_path):
    before = plain(settings)
    after = weights(trained(settings | {name: value}, tmp_path))
    assert before.shape != after.shape or not torch.allclose(before, after, rtol=0, atol=1e-6)


def test_the_log_has_a_row_each_so_many_updates(tmp_path):
    trained(TEXT | {"validate_every": 2}, tmp_path)
    with (tmp_path / "log.csv").open() as file:
        assert [int(row["update"]) for row in csv.DictReader(file)] == [2, 4]


def test_the_log_says_what_was_learned(tmp_path, monkeypatch):
    """Of each row: the mean loss of a token since the row before, that of validation, the rate."""
    done, update = [], Run._update

    def spied(self, batch):
        with torch.no_grad():
            logits, _ = self.model(batch.source, batch.source_lengths, batch.target_in)
        wanted = batch.target_out.flatten()
        loss = cross_entropy(
            logits.flatten(0, 1), wanted, ignore_index=PAD, reduction="sum", label_smoothing=0.2
        )
        done.append((float(loss), int((wanted != PAD).sum()), self.progress.epoch))
        return update(self, batch)

    monkeypatch.setattr(Run, "_update", spied)
    settings = TEXT | {"sentences": 20, "tokens": 20, "validate_every": 2, "label_smoothing": 0.2}
    run = trained(settings | {"lr": 0.1, "schedule": "cosine"}, tmp_path)
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row, two in zip(rows, (done[:2], done[2:]), strict=True):
        loss = sum(loss for loss, *_ in two) / sum(tokens for _, tokens, _ in two)
        assert float(row["train_loss"]) == pytest.approx(loss, abs=1e-4)
        lr = rate(int(row["update"]), dataclasses.asdict(run.config.optimisation))
        assert int(row["epoch"]) == two[-1][2] and float(row["tokens_per_s"]) > 0
        assert float(row["lr"]) == pytest.approx(lr, abs=1e-6)
    model, total, count = run.averaged_model(), 0.0, 0
    for source, target in run.data.val:
        batch = collate([(source, target)])
        logits, _ = model(batch.source, batch.source_lengths, batch.target_in)
        total += cross_entropy(logits[0], batch.target_out[0], reduction="sum").item()
        count += len(target) + 1
    assert float(rows[-1]["val_loss"]) == pytest.approx(total / count, abs=1e-4)
    assert run.progress.tokens == sum(tokens for _, tokens, _ in done)


def test_each_process_drops_out_its_own(tmp_path, monkeypatch):
    """They begin with the same weights, and draw other random numbers."""

    def begun(rank, world):
        alone = Processes(rank, rank, world)
        monkeypatch.setattr(Processes, "join", classmethod(lambda cls: alone))
        monkeypatch.setattr(loop, "DistributedDataParallel", lambda objective: objective)
        run = Run(RunConfig.of("tiny", **TEXT), tmp_path / f"{rank}", device="cpu", quiet=True)
        return weights_now(run), run._random["cpu"]

    (first, drawn), (second, other), (again, same) = begun(0, 3), begun(1, 3), begun(0, 3)
    assert first.equal(second) and first.equal(again)
    assert not drawn.equal(other) and drawn.equal(same)


def weights_now(run) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


# --- an update, from the formulas ---


def rate(update, config):
    """Linear warm-up, then half a cosine or one over the root, at the update numbered from 1."""
    if update <= config["warmup"]:
        return config["lr"] * update / config["warmup"]
    if config["schedule"] == "inverse_sqrt":
        return config["lr"] * math.sqrt(config["warmup"] / update)
    share = (update - 1 - config["warmup"]) / (config["updates"] - config["warmup"])
    return config["lr"] * (1 + math.cos(math.pi * share)) / 2


def trained_plainly(settings):
    """The mean of the last snapshots' weights, with AdamW written out (Loshchilov, Hutter 2019)."""
    config = RunConfig.of("tiny", **settings)
    data = training.prepare(config)
    torch.manual_seed(config.seed)
    model = config.build(len(data.tokenizer)).train()
    parameters = list(model.parameters())
    mean, square = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    batches = (batch for epoch in range(99) for batch in data.epoch(config, epoch))
    how, smoothing, kept = config.optimisation, config.loss.label_smoothing, []
    for update in range(1, how.updates + 1):
        batch = next(batches)
        logits, _ = model(batch.source, batch.source_lengths, batch.target_in)
        wanted = batch.target_out.flatten()
        loss = cross_entropy(
            logits.flatten(0, 1), wanted, ignore_index=PAD, label_smoothing=smoothing
        )  # the mean over all tokens of the batch
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        gradients = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients)]
        norm = math.sqrt(sum(float(g.double().pow(2).sum()) for g in gradients))
        scale = min(1.0, how.clip / norm)
        lr = rate(update, settings)
        with torch.no_grad():
            for p, g, m, v in zip(parameters, gradients, mean, square, strict=True):
                g = g * scale
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(how.beta2).add_((1 - how.beta2) * g * g)
                m_hat, v_hat = m / (1 - 0.9**update), v / (1 - how.beta2**update)
                p.mul_(1 - lr * how.weight_decay).sub_(lr * m_hat / (v_hat.sqrt() + 1e-8))
        kept.append(torch.cat([p.detach().flatten() for p in parameters]))
    return torch.stack(kept[-how.average :]).mean(0)


@pytest.mark.parametrize("network", [TEXT, TRANSFORMER], ids=["recurrent", "transformer"])
@pytest.mark.parametrize("schedule", ["cosine", "inverse_sqrt"])
def test_updates_are_those_of_the_formulas(network, schedule, tmp_path):
    """With a clip that is always in force, decay, smoothing, warm-up and an average of two."""
    settings = network | {
        "updates": 10,  # an average of the last two: a snapshot each fifth of a half
        "average": 2,
        "schedule": schedule,
        "lr": 3e-3,
        "warmup": 3,
        "beta2": 0.98,
        "weight_decay": 0.3,
        "clip": 0.2,
        "label_smoothing": 0.1,
        "validate_every": 10,
        "sentences": 100,
        "tokens": 50,
    }
    want = trained_plainly(settings)
    got = weights(trained(settings, tmp_path))
    assert float((got - want).abs().max()) < 3e-6
