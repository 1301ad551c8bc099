"""The loop: what it minimises, that it learns, and that stopping it changes nothing."""

import contextlib
import inspect
import json
import multiprocessing
import os
import re
import subprocess
import sys
import textwrap
from itertools import pairwise

import pytest
import torch
from torch.nn.functional import cross_entropy

from attnlib import selection, settings, training
from attnlib.data import corpora, toy
from attnlib.data.batches import collate
from attnlib.data.tokenizer import EOS, PAD, Tokenizer
from attnlib.settings import make_attention, make_selection, make_transformer, make_translator
from attnlib.training import (
    AttentionConfig,
    CaptionerConfig,
    DataConfig,
    Loss,
    Objective,
    Optimisation,
    Run,
    RunConfig,
    TransformerConfig,
    TranslatorConfig,
)

TINY = RunConfig.of(
    "tiny",
    corpus="copy",
    sentences=200,
    max_length=5,
    width=8,
    hidden=8,
    updates=12,
    tokens=100,
    warmup=2,
    average=3,
    validate_every=6,
)


def weights(run):
    return torch.cat([p.detach().flatten() for p in run.averaged_model().parameters()])


def test_objective_is_the_smoothed_cross_entropy_of_real_tokens():
    torch.manual_seed(0)
    model = make_translator(12, width=6, hidden=4, score="dot", decoder_hidden=8).double()
    batch = collate([([5, 6], [7, 8, 9]), ([4], [10])])
    got = Objective(model, 0.1)(
        batch.source, batch.source_lengths, batch.target_in, batch.target_out
    )
    logits, _ = model(batch.source, batch.source_lengths, batch.target_in)
    want = 0.0
    for row, gold in zip(logits.log_softmax(-1).flatten(0, 1), batch.target_out.flatten()):
        if gold != PAD:  # by the definition: 0.9 on the gold token, 0.1 shared by all 12
            want -= 0.9 * row[gold] + 0.1 * row.mean()
    assert got.item() == pytest.approx(want.item(), abs=1e-4)  # cross-entropy runs in float32
    plain = cross_entropy(logits.flatten(0, 1), batch.target_out.flatten(), ignore_index=PAD)
    pairs = [([5, 6], [7, 8, 9]), ([4], [10])]
    assert training.validation_loss(model, pairs) == pytest.approx(plain.item(), abs=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_and_its_gradient_are_pytorchs(smoothing):
    torch.manual_seed(0)
    shapes = (300, 6), (11, 6), (11,)  # more rows than one chunk
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    wanted = torch.randint(11, (300,))
    got = training.SmoothedCrossEntropy.apply(*inputs, wanted, smoothing)
    want = cross_entropy(
        torch.nn.functional.linear(*inputs), wanted, label_smoothing=smoothing, reduction="sum"
    )
    torch.testing.assert_close(got, want, rtol=1e-12, atol=0)
    for ours, theirs in zip(
        torch.autograd.grad(3 * got, inputs), torch.autograd.grad(3 * want, inputs), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_r_drop_has_the_gradient_of_both_divergences(smoothing):
    """Liang et al. 2021, eq. 1 to 3, by PyTorch's own losses; their sum for two passes, halved."""
    torch.manual_seed(0)
    shapes = (2, 150, 6), (11, 6), (11,)  # more rows than one chunk
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    wanted, alpha = torch.randint(11, (150,)), 3.0
    first, second = torch.nn.functional.linear(*inputs)
    nll = sum(
        cross_entropy(z, wanted, label_smoothing=smoothing, reduction="sum")
        for z in (first, second)
    )
    one, other = first.log_softmax(-1), second.log_softmax(-1)
    apart = sum(
        torch.nn.functional.kl_div(b, a, reduction="sum", log_target=True)  # KL(a, b)
        for a, b in ((one, other), (other, one))
    )
    want = torch.autograd.grad((nll + alpha * apart / 2) / 2, inputs)
    got = training.SmoothedCrossEntropy.apply(*inputs, wanted, smoothing, alpha)
    torch.testing.assert_close(got, nll / 2, rtol=1e-12, atol=0)
    for ours, theirs in zip(torch.autograd.grad(got, inputs), want, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


def test_with_r_drop_two_draws_of_dropout_are_one_batch():
    """Without dropout both passes are the same: nothing is added, and each counts for one half."""
    batch = collate([([5, 6], [7, 8, 9]), ([4], [10])])
    found = {}
    for dropout, r_drop in ((0.0, 0.0), (0.0, 5.0), (0.5, 5.0)):
        torch.manual_seed(0)
        model = make_translator(12, width=6, hidden=4, score="dot", decoder_hidden=8).double()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = dropout
        objective = Objective(model.train(), 0.1, r_drop=r_drop)
        loss = objective(batch.source, batch.source_lengths, batch.target_in, batch.target_out)
        gradient = torch.autograd.grad(loss, model.embedding.weight)[0]
        found[dropout, r_drop] = loss.item(), gradient
        if dropout:  # nothing is dropped in evaluation, and one pass is enough
            objective.eval()
            with torch.no_grad():
                plain = objective(
                    batch.source, batch.source_lengths, batch.target_in, batch.target_out
                )
            assert plain.item() == pytest.approx(found[0.0, 0.0][0], rel=1e-6)
    alone, twice, dropped = found.values()
    assert twice[0] == pytest.approx(alone[0], rel=1e-6)
    torch.testing.assert_close(twice[1], alone[1], rtol=0, atol=1e-6)
    assert not torch.allclose(dropped[1], alone[1], rtol=0, atol=1e-3)


def test_products_in_bf16_end_with_their_context_and_change_little():
    torch.manual_seed(0)
    model = make_transformer(30, width=32, heads=2, dropout=0.0)
    batch = collate([([5, 6, 7], [7, 8, 9]), ([4], [10])])
    state = torch.get_float32_matmul_precision(), torch.backends.cuda.flash_sdp_enabled()

    def loss():
        with torch.no_grad():
            return Objective(model)(
                batch.source, batch.source_lengths, batch.target_in, batch.target_out
            ).item()

    exact = loss()
    with pytest.raises(ZeroDivisionError), training.bf16_products():
        assert torch.get_float32_matmul_precision() == "medium"
        assert not torch.backends.cuda.flash_sdp_enabled()  # the fused attention of a CPU, too
        assert loss() == pytest.approx(exact, rel=0.01)  # bf16 has 8 bits
        _ = 1 / 0
    assert state == (
        torch.get_float32_matmul_precision(),
        torch.backends.cuda.flash_sdp_enabled(),
    )
    assert loss() == exact


def test_learning_rate_rises_then_falls_to_nothing():
    how = Optimisation(lr=1.0, warmup=10, updates=110)
    rates = [training.learning_rate(u, how) for u in range(110)]
    assert rates[0] == pytest.approx(0.1) and rates[10] == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.5)  # half way down the cosine
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert rates[-1] < 1e-3


def test_snapshots_are_the_last_fifth_and_end_with_the_last():
    how = Optimisation(updates=1000, average=10)
    assert sorted(training.snapshots(how)) == list(range(820, 1001, 20))


def averaged_by(run) -> list[torch.Tensor]:
    """Let a run finish; the weights that joined its average, in order."""
    taken, keep = [], run._average

    def spy():
        taken.append(torch.cat([p.detach().flatten().clone() for p in run.model.parameters()]))
        keep()

    run._average = spy
    assert run.run()
    return taken


def test_averaged_weights_are_the_mean_of_the_snapshots(tmp_path):
    run = Run(TINY, tmp_path, device="cpu", quiet=True)
    taken = averaged_by(run)
    assert len(taken) == 3
    torch.testing.assert_close(weights(run), torch.stack(taken).mean(0), rtol=0, atol=1e-6)


def test_a_moving_average_keeps_a_share_of_itself(tmp_path):
    run = Run(TINY.replace(ema=0.75), tmp_path, device="cpu", quiet=True)
    taken = averaged_by(run)
    assert len(taken) == TINY.optimisation.updates
    mean = taken[0]
    for number, values in enumerate(taken[1:], 2):
        share = max(1 / number, 0.25)  # the mean of the first four, then three parts of it
        mean = (1 - share) * mean + share * values
    torch.testing.assert_close(weights(run), mean, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="ema must be at least 0, below 1, got 1"):
        TINY.replace(ema=1.0)


def test_a_stopped_run_ends_at_the_same_weights(tmp_path):
    whole = Run(TINY, tmp_path / "whole", device="cpu", quiet=True)
    whole.run()
    for _ in range(50):  # a budget of nothing: one update a call
        part = Run(TINY, tmp_path / "part", device="cpu", quiet=True)
        if part.run(minutes=0):
            break
    assert part.finished and part.progress.update == TINY.optimisation.updates
    assert torch.equal(weights(part), weights(whole))
    logs = [(tmp_path / name / "log.csv").read_text().splitlines() for name in ("whole", "part")]
    assert [line.split(",")[0] for line in logs[1]] == [line.split(",")[0] for line in logs[0]]


def test_a_run_killed_while_it_writes_a_checkpoint_goes_on_from_the_one_before(
    tmp_path, monkeypatch
):
    whole = Run(TINY, tmp_path / "whole", device="cpu", quiet=True)
    whole.run()
    run = Run(TINY, tmp_path / "killed", device="cpu", quiet=True)
    run.run(minutes=0)
    good = (tmp_path / "killed" / training.CHECKPOINT).read_bytes()

    def half(checkpoint, path):
        path.write_bytes(good[: len(good) // 2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half)
        with pytest.raises(KeyboardInterrupt):
            run.run()
    assert (tmp_path / "killed" / training.CHECKPOINT).read_bytes() == good
    again = Run(TINY, tmp_path / "killed", device="cpu", quiet=True)
    assert again.progress.update == 1
    again.run()
    assert torch.equal(weights(again), weights(whole))


def test_a_folder_of_another_run_or_a_damaged_checkpoint_is_refused(tmp_path):
    Run(TINY, tmp_path, device="cpu", quiet=True).run(minutes=0)
    other = TINY.replace(lr=0.5)
    with pytest.raises(
        ValueError, match=r"belongs to another run \(optimisation.lr was 0.001, is 0.5\)"
    ):
        Run(other, tmp_path, device="cpu", quiet=True)
    (tmp_path / training.CHECKPOINT).write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="is damaged: delete it to start again"):
        Run(TINY, tmp_path, device="cpu", quiet=True)


def forget(path, *settings):
    """Make a checkpoint look as if it were written before these settings existed."""
    checkpoint = torch.load(path, weights_only=True)
    for name in settings:
        *parts, last = name.split(".")
        part = checkpoint["config"]
        for each in parts:
            part = part[each]
        del part[last]
    torch.save(checkpoint, path)


DIALS = "model.attention."
NEW = {DIALS + "expectation": 0.5, DIALS + "temperature": 1.0, DIALS + "final_temperature": 0.5}
NEW |= {"loss.baseline_decay": 0.9}


def test_a_checkpoint_from_before_a_setting_existed_was_made_with_its_default(tmp_path):
    whole = Run(TINY, tmp_path / "whole", device="cpu", quiet=True)
    whole.run()
    Run(TINY, tmp_path / "old", device="cpu", quiet=True).run(minutes=0)
    forget(tmp_path / "old" / training.CHECKPOINT, *NEW)
    for name, default in NEW.items():
        other = TINY.replace(**{name.rpartition(".")[2]: 0.25})
        with pytest.raises(ValueError, match=rf"another run \({name} was {default}, is 0.25\)"):
            Run(other, tmp_path / "old", device="cpu", quiet=True)
    again = Run(TINY, tmp_path / "old", device="cpu", quiet=True)
    assert again.progress.update == 1
    again.run()
    assert torch.equal(weights(again), weights(whole))


def test_a_checkpoint_with_settings_of_a_later_version_is_refused(tmp_path):
    Run(TINY, tmp_path, device="cpu", quiet=True).run(minutes=0)
    checkpoint = torch.load(tmp_path / training.CHECKPOINT, weights_only=True)
    checkpoint["config"]["data"]["colours"] = 6
    torch.save(checkpoint, tmp_path / training.CHECKPOINT)
    with pytest.raises(ValueError, match=r"another run \(colours: unknown in a DataConfig\)"):
        Run(TINY, tmp_path, device="cpu", quiet=True)


def test_the_settings_of_a_choice_reach_the_parts_they_set(tmp_path):
    config = TINY.replace(
        expectation=0.25, temperature=2.0, final_temperature=0.25, baseline_decay=0.5
    )
    hard = Run(config.replace(selection="hard"), tmp_path / "h", device="cpu")
    assert hard.model.decoder.attention.selection.expectation == 0.25
    assert hard.objective.baseline_decay == 0.5
    run = Run(config.replace(selection="gumbel"), tmp_path / "g", device="cpu")
    gumbel, seen = run.model.decoder.attention.selection, []
    update = run._update
    run._update = lambda batch: (update(batch), seen.append(gumbel.temperature.item()))[0]
    run.run()
    updates = TINY.optimisation.updates
    want = [2.0 * (0.25 / 2.0) ** (u / updates) for u in range(updates)]
    assert seen == pytest.approx(want, rel=1e-6)  # geometric, from the one towards the other


def test_the_defaults_of_a_run_are_those_of_the_parts():
    """A card without a setting and a run without it mean the same model."""
    for kind, make in (("translator", make_translator), ("transformer", make_transformer)):
        parts = inspect.signature(make).parameters
        ours = RunConfig.of("any", architecture=kind).arguments(9)
        for name in ours.keys() & parts.keys() - {"vocab_size"}:
            assert ours[name] == parts[name].default, (kind, name)
    dials, parts = AttentionConfig(), inspect.signature(make_attention).parameters
    assert {"window", "selection", "max_source", "reach"} < set(settings.DIALS)
    for name in set(settings.DIALS) - {"max_source"}:
        assert getattr(dials, name) == parts[name].default, name
    hard, gumbel = make_selection("hard"), make_selection("gumbel")
    assert hard.expectation == dials.expectation == selection.Hard().expectation
    assert (gumbel.first, gumbel.final) == (dials.temperature, dials.final_temperature)
    assert Objective(None).baseline_decay == Loss().baseline_decay


def test_a_checkpoint_of_another_vocabulary_is_refused(tmp_path):
    """The ids would mean other words: the data has changed under the run."""
    data = training.prepare(TINY)
    Run(TINY, tmp_path, data, device="cpu", quiet=True).run(minutes=0)
    words = data.tokenizer.words[4:]  # without the specials
    swapped = toy.Vocabulary([words[1], words[0], *words[2:]])
    with pytest.raises(ValueError, match="was trained with another vocabulary"):
        Run(TINY, tmp_path, training.TextData(swapped, data.train, data.val), "cpu", quiet=True)
    Run(TINY, tmp_path, data, device="cpu", quiet=True)


def test_a_run_may_start_from_the_weights_of_another(tmp_path):
    first = Run(TINY, tmp_path / "tiny", device="cpu", quiet=True)
    second = TINY.replace(name="more", start_from="tiny", dropout=0.5)
    with pytest.raises(ValueError, match=r"more starts from .*: train that run first"):
        Run(second, tmp_path / "more", device="cpu", quiet=True)
    first.run()
    run = Run(second, tmp_path / "more", device="cpu", quiet=True)
    started = torch.cat([p.detach().flatten() for p in run.model.parameters()])
    assert torch.equal(started, weights(first)) and run.progress.update == 0
    assert run.progress.tokens == first.progress.tokens > 0  # the card counts both parts
    assert run.progress.seconds == first.progress.seconds > 0


def test_unknown_data_lists_what_there_is():
    with pytest.raises(
        ValueError, match="unknown data 'wmt': one of multi30k, tatoeba, hansards, copy"
    ):
        training.prepare(TINY.replace(corpus="wmt"))


def test_the_old_tricks_rearrange_the_source_only():
    plain = training.prepare(TINY).train
    backwards = training.prepare(TINY.replace(reverse_source=True)).train
    double = training.prepare(TINY.replace(double_source=True)).train
    for (x, y), (r, yr), (d, yd) in zip(plain, backwards, double, strict=True):
        assert r == x[::-1] and d == x + x and y == yr == yd


def test_the_queue_builds_and_respects_the_size_limit():
    for config in training.QUEUE.values():
        model = config.build(config.data.vocab_size)
        assert sum(p.numel() for p in model.parameters()) <= 4_500_000, config.name
    attentive, fixed = (
        sum(p.numel() for p in make_translator(**config.arguments(8000)).parameters())
        for config in (training.ATTENTIVE, training.FIXED_CONTEXT)
    )
    assert abs(fixed / attentive - 1) < 0.01


UNFIT = {
    "corpus": (
        "copy",
        "tiny cannot be shipped: its data, 'copy', is not one of multi30k, ",
    ),
    "reverse_source": (True, "tiny cannot be shipped: it was trained with reverse_source"),
    "double_source": (True, "tiny cannot be shipped: it was trained with double_source"),
}


@pytest.mark.parametrize("setting", UNFIT)
def test_a_model_that_could_not_be_used_is_not_shipped(setting, tmp_path, monkeypatch, capsys):
    value, message = UNFIT[setting]
    config = TINY.replace(**{"corpus": "multi30k", setting: value})
    run = Run(config, tmp_path / "run", training.prepare(TINY), device="cpu", quiet=True)
    with pytest.raises(ValueError, match=message):
        training.ship(run, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    monkeypatch.setattr(training.recipes, "QUEUE", {"tiny": config})
    for which in (["--run", "tiny"], ["--queue", "all"]):
        assert training.main([*which, "--folder", str(tmp_path / "runs")]) == 2  # not trained
        assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "runs").exists()


def test_all_of_the_queue_can_be_shipped():
    for config in training.QUEUE.values():
        training.check_shippable(config)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["corpus='copy', sentences=200, max_length=5, tokens=100", "corpus='scenes', images=7"]
)
def test_two_processes_learn_what_one_does(tmp_path, kind):
    """Gradients of two gloo processes add up to those of one, so losses and weights agree."""
    script = tmp_path / "two.py"
    script.write_text(
        textwrap.dedent(
            """
            import json, sys, torch
            from attnlib.training import Run, RunConfig
            torch.set_num_threads(1)
            config = RunConfig.of("two", KIND, width=8, hidden=8,
                               updates=6, average=1, validate_every=3,
                               dropout=0.0, output_dropout=0.0)
            run = Run(config, sys.argv[1], device="cpu", quiet=True)
            losses = []
            update = run._update
            def spy(batch):
                loss, lr = update(batch)
                losses.append(loss)
                return loss, lr
            run._update = spy
            run.run()
            if run.rank == 0:
                weights = [p.detach().double().sum().item() for p in run.model.parameters()]
                print("RESULT", json.dumps({"losses": losses, "weights": weights}))
            """
        ).replace("KIND", kind)
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    results = []
    for count in (1, 2):
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        command = [sys.executable, *(launcher if count > 1 else []), str(script)]
        done = subprocess.run(
            [*command, str(tmp_path / str(count))],
            capture_output=True,
            text=True,
            env=environment,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
        results.append(json.loads(line.removeprefix("RESULT")))
    assert results[1]["losses"] == pytest.approx(results[0]["losses"], rel=1e-4)
    assert results[1]["weights"] == pytest.approx(results[0]["weights"], rel=1e-3, abs=1e-4)


def test_bpe_dropout_cuts_words_anew_each_epoch_and_never_for_validation():
    text = ["a red shirt and a white horse", "two red horses and a shirt"] * 30
    corpus = corpora.Corpus(text, text[::-1], ("en", "en"))
    tokenizer = Tokenizer.train(text, vocab_size=60)
    pairs = [(tokenizer.encode(x), tokenizer.encode(y)) for x, y in corpus]
    data = training.TextData(tokenizer, pairs, pairs[:4], corpus)

    def epoch(number, data=data, workers=0, **changes):
        config = TINY.replace(**changes)
        batches = data.epoch(config, number, workers=workers)
        return [row for b in batches for row in b.source.tolist() + b.target_out.tolist()]

    whole, cut = epoch(0), epoch(0, bpe_dropout=0.3)
    assert sorted(map(sorted, epoch(1))) == sorted(map(sorted, whole))  # the same words
    assert cut == epoch(0, bpe_dropout=0.3)  # so that a resumed run meets the same
    assert cut != epoch(0, bpe_dropout=0.3, seed=2) and cut != epoch(1, bpe_dropout=0.3)
    assert {tokenizer.decode(row) for row in cut} == {tokenizer.decode(row) for row in whole}
    held = [row for batch in data.validation() for row in batch.target_out.tolist()]
    assert {tuple(i for i in row if i > EOS) for row in held} == {tuple(y) for _, y in pairs[:4]}
    with contextlib.closing(data):  # a worker cuts ahead, from any epoch on, what is cut without it
        for number in (0, 1, 3, 4, 2):
            assert epoch(number, workers=1, bpe_dropout=0.3) == epoch(number, bpe_dropout=0.3)
    assert not multiprocessing.active_children()


def test_bpe_dropout_is_refused_where_there_are_no_subwords(tmp_path):
    config = TINY.replace(bpe_dropout=0.1)
    with pytest.raises(ValueError, match="BPE-dropout needs text that is cut into subwords"):
        Run(config, tmp_path, device="cpu", quiet=True).run()


FLAT = {  # as a card had it when all settings stood in one row
    "name": "old",
    "data": "multi30k",
    "target": "de",
    "network": "transformer",
    "width": 128,
    "hidden": 256,
    "score": "additive",
    "reach": 10,
    "word_positions": "rotary",
    "positions": True,
    "eye_rate": 1.0,
    "output_dropout": 0.5,
    "dropout": 0.2,
    "updates": 12000,
    "beta2": 0.98,
    "label_smoothing": 0.0,
    "told": 0.0,
    "seed": 3,
}


def test_a_configuration_from_before_the_parts_is_read():
    config = RunConfig.from_dict(FLAT)
    assert config == RunConfig(
        "old",
        data=DataConfig(target="de"),
        model=TransformerConfig(width=128, positions="rotary", dropout=0.2),
        optimisation=Optimisation(updates=12000, beta2=0.98),
        loss=Loss(label_smoothing=0.0),
        seed=3,
    )
    fixed = RunConfig.from_dict({"name": "f", "score": None, "window": "everywhere", "hidden": 9})
    assert fixed == RunConfig("f", model=TranslatorConfig(hidden=9, attention=None))
    eyes = {"data": "mosaics", "eye_rate": 0.0, "fast_eye": True, "words": 0.5, "cell": 16}
    seen = RunConfig.from_dict({"name": "m", **eyes, "word_positions": "sinusoidal"})
    assert seen == RunConfig(
        "m",
        data=DataConfig("mosaics"),
        model=CaptionerConfig(cell=16),
        optimisation=Optimisation(encoder_lr_scale=0.0, encoder_bf16=True),
        loss=Loss(word_detection=0.5),
    )
    with pytest.raises(ValueError, match="old: a transformer has no colours"):
        RunConfig.from_dict(FLAT | {"colours": 6})


def test_every_run_of_the_book_survives_being_written():
    for config in [*training.QUEUE.values(), *training.PHOTOGRAPHS.values()]:
        written = json.loads(json.dumps(config.as_dict()))
        assert RunConfig.from_dict(written) == config and not config.differences(written)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"corpus": "scenes", "architecture": "translator"}, "a translator cannot read scenes"),
        ({"architecture": "captioner"}, "a captioner cannot read multi30k, which is text"),
        ({"word_detection": 1.0}, "word_detection is for a captioner, got 1.0"),
        ({"encoder_bf16": True}, "encoder_bf16 is for a captioner, got True"),
        ({"fixed": "first_state"}, "fixed is for a model without attention"),
        ({"score": None, "window": "monotonic"}, "without attention .* has no window"),
        ({"updates": 0}, "updates must be at least 1, got 0"),
        ({"architecture": "rnn"}, "unknown architecture 'rnn': one of translator, transformer"),
    ],
)
def test_a_setting_that_could_do_nothing_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        RunConfig.of("any", **settings)
