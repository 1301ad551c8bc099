"""A run that is stopped, at any moment and by anything, loses nothing and learns the same.

What needs signals or several processes happens in `stopped_runs`, in processes of its own.
"""

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import stopped_runs
import torch

from attnlib import cli, training
from attnlib.training import Run, RunConfig, Stopped, StopSignals, loop, recipes

SMALL = stopped_runs.SMALL.replace(updates=12, validate_every=4, average=2)
DATA = training.prepare(SMALL)


def make(folder):
    return Run(SMALL, folder, DATA, "cpu", quiet=True)


def weights(run):
    return torch.cat([p.detach().flatten() for p in run.averaged_model().parameters()])


def log(folder):
    """Without the columns of the clock."""
    lines = (folder / training.LOG).read_text().splitlines()
    return [line.split(",")[:5] for line in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run without a stop."""
    run = make(tmp_path_factory.mktemp("whole"))
    run.run()
    return run


def scenarios(kind, folder):
    script = Path(__file__).parent / "helpers" / "stopped_runs.py"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, str(script), str(folder), kind], check=True, timeout=600, env=environment
    )
    return json.loads((folder / "found.json").read_text())


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return scenarios("alone", tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    return scenarios("together", tmp_path_factory.mktemp("together"))


# Signals and kills ----------------------------------------------------------------------------

PLACES = ("forward", "before the step", "after the step", "validation", "checkpoint")


def same(found, name):
    """All that decides how the run goes on, bit for bit, and the log, each row once."""
    assert found[name]["digest"] == found["whole"]["digest"], name
    assert found[name]["log"] == found["whole"]["log"], name
    assert [row[0] for row in found["whole"]["log"][1:]] == ["7", "14", "21", "28", "35", "40"]


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name, code", [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_lets_the_update_end_and_its_checkpoint_be_written(alone, name, code, place):
    found = alone[f"{name} {place}"]
    assert found["codes"] == [143, code, 0]
    assert found["stopped"] == (14 if place == "validation" else 17)  # the update it came in
    same(alone, f"{name} {place}")


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_kill_costs_what_was_done_since_the_last_checkpoint(alone, place):
    found = alone[f"SIGKILL {place}"]
    assert found["codes"] == [143, -9, 0]
    assert found["stopped"] == (15 if place == "checkpoint" else 4)  # rows of 7 and 14 are later
    same(alone, f"SIGKILL {place}")


@pytest.mark.slow
def test_a_second_signal_does_not_wait(alone):
    assert alone["twice"]["codes"] == [-15, 0] and alone["twice"]["stopped"] == 4
    same(alone, "twice")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_signals_and_kills_at_random_moments_change_nothing(alone, seed):
    found = alone[f"random {seed}"]
    assert len(found["codes"]) > 1 and found["codes"][-1] == 0
    same(alone, f"random {seed}")


@pytest.mark.slow
@pytest.mark.parametrize("name, code", [("SIGINT", 130), ("SIGTERM", 143)])
def test_the_command_says_how_to_go_on(alone, name, code):
    """The signal goes to the whole group, as Ctrl-C does: to the worker that draws scenes too."""
    found = alone[f"command {name}"]
    assert found["codes"] == [code] and found["update"] == 3
    lines = found["stderr"].splitlines()
    assert lines[-1] == (
        f"attnlib train: scenes-tiny was stopped by {name} after update 3 of 6; the same command "
        "goes on from there"
    )
    assert all("it/s" in line or "s/it" in line for line in lines[:-1] if line)  # the bar


# Several processes ----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, codes",
    [
        ("signal", [143, 143, 0, 0]),  # one gets it, both stop
        ("kill", [143, 143, 11, -9, 0, 0]),  # the other one fails, and saves nothing
        ("first late", [10, 10, 0, 0]),  # the clock of the first process counts
        ("second late", [0, 0]),
        ("nan", [3, 3, 0, 0]),  # in the loss of one: none of them takes the step
    ],
)
def test_two_processes_stop_together_and_go_on_exactly(together, name, codes):
    """Two gloo processes add two numbers, in either order: bit for bit."""
    assert together[name]["codes"] == codes
    same(together, name)
    assert together["first late"]["stopped"] == 1 and together["nan"]["stopped"] == 8


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(together):
    """The same batches: without dropout the same weights, but for rounding."""
    found = together["other number"]
    assert found["codes"] == [10, 10, 0] and found["update"] == 40
    assert "was written by 2 process(es) and is read by 1: the run goes on" in found["warning"]
    assert found["weights"] == pytest.approx(together["plain"]["weights"], rel=1e-3, abs=1e-4)
    assert together["again 1"]["digest"] == together["again 2"]["digest"]
    assert together["again 1"]["digest"] != together["whole"]["digest"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one row", "pictures", "frozen"])
def test_a_batch_may_have_fewer_rows_than_there_are_processes(together, kind):
    """One sentence a batch; seven pictures in threes; and with an image encoder that is frozen."""
    assert together[kind]["codes"] == [0, 0]
    alone = together[f"{kind} alone"]
    assert together[kind]["update"] == alone["update"]
    assert together[kind]["weights"] == pytest.approx(alone["weights"], rel=1e-3, abs=1e-4)
    for ours, theirs in zip(together[kind]["log"][1:], alone["log"][1:], strict=True):
        assert [float(x) for x in ours] == pytest.approx([float(x) for x in theirs], abs=2e-4)


@pytest.mark.slow
def test_the_first_process_decides_for_the_queue_and_ships(together):
    """The clock of the second says that time is over, and it waits while the first one ships."""
    assert together["queue"] == {"codes": [0, 0], "shipped": ["one", "two"]}


def test_each_process_has_a_gpu_of_its_machine(monkeypatch):
    """On a second machine the global rank is not the number of a GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    third = training.Processes(rank=9, local_rank=1, world=16)
    assert third.device() == third.device("cuda") == torch.device("cuda:1")
    assert third.device("cuda:3") == torch.device("cuda:3")
    assert third.device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert third.device() == torch.device("cpu")
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 9)
    monkeypatch.setenv("WORLD_SIZE", "16")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert training.Processes.join() == third


# Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["draws", "step", "average", "validation"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_error_saves_nothing_that_is_not_whole(whole, tmp_path, monkeypatch, place, error):
    run = make(tmp_path)
    run.run(minutes=0)  # a checkpoint of update 1
    good = (tmp_path / training.CHECKPOINT).read_bytes()

    def failing(function, when):
        def wrapped(*arguments, **named):
            result = function(*arguments, **named)
            if run.progress.update >= when:
                raise error
            return result

        return wrapped

    with monkeypatch.context() as patch:
        if place == "validation":
            patch.setattr(loop, "mean_loss", failing(loop.mean_loss, 8))
        else:
            owner, name, when = {
                "draws": (run.objective, "forward", 6),
                "step": (run.optimizer, "step", 6),
                "average": (run, "_average", 11),
            }[place]
            patch.setattr(owner, name, failing(getattr(owner, name), when))
        with pytest.raises(error):
            run.run()
    assert (tmp_path / training.CHECKPOINT).read_bytes() == good
    with pytest.raises(RuntimeError, match="small was interrupted inside of an update: make the r"):
        run.run()
    again = make(tmp_path)
    assert again.run()
    assert torch.equal(weights(again), weights(whole))
    assert log(tmp_path) == log(whole.folder)


@pytest.mark.parametrize("where", ["loss", "norm of the gradient"])
def test_a_number_that_is_not_finite_leaves_the_last_good_checkpoint(whole, tmp_path, where):
    run = make(tmp_path)
    forward = run.objective.forward

    def spoiled(*arguments):
        loss = forward(*arguments)
        if run.progress.update == 8 and where == "loss":
            return loss * math.nan
        if run.progress.update == 8:  # worth nothing, with a gradient that is not finite
            return loss + (run.model.bias.sum() * 0).sqrt()
        return loss

    run.objective.forward = spoiled
    with pytest.raises(FloatingPointError, match=rf"small: the {where} is nan at update 9; the la"):
        run.run(checkpoint_seconds=0)
    again = make(tmp_path)
    assert again.progress.update == 8
    assert all(p.isfinite().all() for p in again.model.parameters())
    assert again.run()
    assert torch.equal(weights(again), weights(whole))


@pytest.mark.parametrize("command", [training.main, lambda given: cli.main(["train", *given])])
def test_the_command_explains_in_one_line_what_is_wrong(command, tmp_path, monkeypatch, capsys):
    config = RunConfig.of("tiny", corpus="scenes", width=8, hidden=8, annotation_dim=8, images=3)
    monkeypatch.setattr(recipes, "QUEUE", {"tiny": config})
    monkeypatch.setattr(
        training.Objective, "forward", lambda self, *_: self.model.bias[0] * math.nan
    )
    given = ["--run", "tiny", "--folder", str(tmp_path), "--device", "cpu", "--workers", "0"]
    assert command(given) == 1
    lines = [x for x in capsys.readouterr().err.splitlines() if "it/s" not in x and "?" not in x]
    assert [line for line in lines if line] == [
        "attnlib train: tiny: the loss is nan at update 1; the last checkpoint is as it was"
    ]
    (tmp_path / "tiny" / training.CHECKPOINT).write_bytes(b"?")
    assert command(given) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "given, message",
    [
        (["--updates", "0"], "--updates: must be a whole number, at least 1, got '0'"),
        (["--updates", "-5"], "--updates: must be a whole number, at least 1, got '-5'"),
        (["--budget", "-1"], "--budget: must be minutes, at least 0, got '-1'"),
        (["--budget", "nan"], "--budget: must be minutes, at least 0, got 'nan'"),
        (["--threads", "0"], "--threads: must be a whole number, at least 1, got '0'"),
        (["--workers", "-1"], "--workers: must be a whole number, at least 0, got '-1'"),
    ],
)
def test_an_impossible_number_is_refused(given, message, capsys):
    with pytest.raises(SystemExit) as exit:
        training.main(["--run", "en-fr-luong", *given])
    assert exit.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"attnlib train: error: argument {message}"


def test_a_run_has_an_update_at_least():
    for updates in (0, -5):
        with pytest.raises(ValueError, match=f"updates must be at least 1, got {updates}"):
            SMALL.replace(updates=updates)


def test_a_run_without_a_batch_is_refused(tmp_path):
    run = Run(SMALL, tmp_path, dataclasses.replace(DATA, train=[]), "cpu", quiet=True)
    with pytest.raises(ValueError, match="small has no training data"):
        run.run()


def test_help_is_for_who_types_the_command(capsys):
    with pytest.raises(SystemExit):
        training.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "the same command goes on from the last checkpoint" in text and "torchrun" in text
    assert "`" not in text and "TextData" not in text


@pytest.mark.parametrize(
    "typed, hint",
    [
        ("en-fr-bahdanu", "did you mean en-fr-bahdanau"),
        ("scenes-sofft", "did you mean scenes-soft"),
        ("xyzzy", "none is called like it; --list prints all"),
    ],
)
def test_an_unknown_run_is_answered_with_names_like_it(typed, hint, capsys):
    with pytest.raises(SystemExit):
        training.main(["--run", typed])
    (line,) = [x for x in capsys.readouterr().err.splitlines() if "unknown" in x]
    assert f"unknown run {typed!r}: {hint}" in line and len(line) < 200


# The flag -------------------------------------------------------------------------------------


def test_the_handlers_of_before_come_back():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            signal.raise_signal(signal.SIGINT)
            assert not signals.number  # it was ignored before
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)  # at once: the same, passed on
            assert signals.number == signal.SIGTERM and not seen
        signal.raise_signal(signal.SIGTERM)
        assert seen == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, ignored)


def test_a_stopped_run_goes_on_in_the_same_process(whole, tmp_path):
    """As in a notebook; other random numbers are drawn in between."""
    run = make(tmp_path)
    update = run._update
    run._update = lambda batch: (
        signal.raise_signal(signal.SIGINT) if run.progress.update == 4 else None,
        update(batch),
    )[1]
    with pytest.raises(KeyboardInterrupt) as stopped:
        run.run()
    assert isinstance(stopped.value, Stopped) and stopped.value.number == signal.SIGINT
    assert run.progress.update == 5
    torch.rand(3)
    make(tmp_path / "other").run(minutes=0)
    assert run.run()
    assert torch.equal(weights(run), weights(whole))
    assert log(tmp_path) == log(whole.folder)


def test_a_signal_after_the_last_update_is_not_lost(tmp_path):
    run = make(tmp_path)
    save = run._save
    run._save = lambda: (save(), signal.raise_signal(signal.SIGTERM))[0]
    with pytest.raises(Stopped, match="stopped by SIGTERM after update 12 of 12"):
        run.run()
    assert make(tmp_path).finished


def test_outside_of_the_main_thread_no_handler_is_touched(whole, tmp_path):
    run, found = make(tmp_path), []
    handler = signal.getsignal(signal.SIGTERM)

    def work():
        found.append(run.run())

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        assert signal.getsignal(signal.SIGTERM) is handler
        time.sleep(0.01)
    assert found == [True] and torch.equal(weights(run), weights(whole))


# The log and old checkpoints ------------------------------------------------------------------


def test_a_log_without_its_checkpoint_begins_again(whole, tmp_path):
    (tmp_path / training.LOG).write_text("update,epoch\n4,0,1.0,1.0,0.1,1,1\n8,0")
    assert make(tmp_path).run()
    assert log(tmp_path) == log(whole.folder)


def test_a_checkpoint_of_the_first_version_goes_on(whole, tmp_path):
    """It held the generator of one process, and no sums of the loss."""
    make(tmp_path).run(minutes=0)
    path = tmp_path / training.CHECKPOINT
    checkpoint = torch.load(path, weights_only=True)
    checkpoint |= {"rng": checkpoint.pop("random")[0]["cpu"], "cuda_rng": []}
    for name in ("loss_sum", "loss_tokens", "logged_seconds"):
        del checkpoint["progress"][name]
    torch.save(checkpoint, path)
    run = make(tmp_path)
    assert run.progress.update == 1 and run.run()
    assert torch.equal(weights(run), weights(whole))


# Settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "setting",
    [
        {"window": "predictive"},
        {"window": "nonsense"},
        {"selection": "hard"},
        {"reach": 5},
        {"score_hidden": 7},
        {"expectation": 0.1},
        {"temperature": 2.0},
        {"doubly_stochastic": 1.0},
    ],
)
def test_without_attention_its_dials_are_refused(setting):
    (name,) = setting
    with pytest.raises(ValueError, match=f"{name} is for attention|without .* has no {name}"):
        SMALL.replace(score=None, **setting)
    SMALL.replace(score=None, fixed="first_state").build(9)
    with pytest.raises(ValueError, match="fixed is for a model without attention"):
        SMALL.replace(fixed="first_state").arguments(9)
