"""Several runs on one machine: rehearsed on the CPU, with a run that fails, stopped, gone on."""

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from attnlib import evaluation, pretrained, training
from attnlib.data import files
from attnlib.training import loop, queue, recipes, shipping

PROGRAM = Path(__file__).parent / "helpers" / "tiny_queue.py"
GOOD = ("one", "after-one", "last")


def start(folder, *more):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, str(PROGRAM), *more, "--folder", str(folder), "--device", "cpu"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*command, "--workers", "0"], env=environment, **pipes)


def finish(process):
    out, err = process.communicate(timeout=500)
    return process.returncode, out.splitlines(), err.splitlines()


def processes_of(folder):
    """The ids of the processes that train there."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = line.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(folder).encode() in words and b"--run" in words:
            found.append(int(line.parent.name))
    return found


@pytest.fixture(scope="module")
def stopped_and_gone_on(tmp_path_factory):
    """Started side by side, stopped by a signal, for want of time, and gone on to the end."""
    folder = tmp_path_factory.mktemp("queue")
    first = start(folder, "--queue", "gpu", "--jobs", "3")
    while first.poll() is None and not (folder / "one" / "log.csv").exists():
        time.sleep(0.02)
    first.send_signal(signal.SIGTERM)
    told = [finish(first)]
    alive = processes_of(folder)
    told.append(finish(start(folder, "--queue", "gpu", "--jobs", "2", "--budget", "0")))
    told.append(finish(start(folder, "--queue", "gpu", "--jobs", "2")))
    return folder, told, alive


@pytest.mark.slow
def test_a_queue_goes_on_where_it_was_stopped(stopped_and_gone_on):
    folder, (first, second, third), alive = stopped_and_gone_on
    assert first[0] == 143 and not alive
    assert first[1][:3] == ["started   one", "started   bad", "started   last"]  # not after-one
    assert first[2][-1].startswith("attnlib train: the queue was stopped; the same command goes on")
    assert second[0] == 0 and not second[1]
    assert third[0] == 1
    finished = {line.split()[1] for line in third[1] if line.startswith("finished")}
    assert finished | {"one", "last"} == set(GOOD)  # these may have been done before
    for name in GOOD:
        card = json.loads((folder / name / "model" / "card.json").read_text())
        assert card["metrics"]["val.loss"] > 0 and card["unmeasured"] == []
        assert (folder / name / "log.csv").read_text().count("\n") == 5


@pytest.mark.slow
def test_a_run_that_fails_stops_no_other_and_is_told_at_the_end(stopped_and_gone_on):
    folder, (*_, third), _ = stopped_and_gone_on
    bad, after = (line for line in third[2] if "failed" in line)
    assert bad.startswith("attnlib train: bad failed, exit code 1: attnlib train: bad: the ")
    assert bad.endswith(f"(see {folder}/bad/output.txt)")
    assert after == "attnlib train: after-bad failed, starts from bad, which failed"
    assert not (folder / "bad" / "model").exists()


@pytest.mark.slow
def test_runs_side_by_side_learn_what_they_learn_one_by_one(stopped_and_gone_on, tmp_path):
    folder, *_ = stopped_and_gone_on
    code, out, _ = finish(start(tmp_path, "--queue", "cpu"))
    assert code == 1 and [line.split()[1] for line in out if line.startswith("started")] == [
        "one", "bad", "after-one", "last"]  # fmt: skip
    for name in GOOD:
        ours, theirs = (base / name / "model/model.safetensors" for base in (folder, tmp_path))
        assert ours.read_bytes() == theirs.read_bytes(), name


@pytest.mark.slow
def test_two_processes_do_not_train_in_one_folder(tmp_path):
    with training.environment.only_one(tmp_path / "one"):
        code, _, err = finish(start(tmp_path, "--run", "one"))
    assert code == 2
    assert err[-1] == f"attnlib train: another process trains in {tmp_path}/one: wait for it"


def test_the_tiny_queue_changes_nothing_where_it_is_imported():
    def held():
        return recipes.QUEUE, recipes.QUEUES, queue.PROGRAM, loop.prepare, shipping.prepare

    before = held()
    runpy.run_path(str(PROGRAM), run_name="tiny_queue")  # as pytest does, for its examples
    assert all(now is then for now, then in zip(held(), before, strict=True))


def test_the_queues_name_runs_each_after_that_which_it_starts_from():
    for names in recipes.QUEUES.values():
        assert len(set(names)) == len(names) and set(names) <= set(recipes.QUEUE)
        for place, name in enumerate(names):
            base = recipes.QUEUE[name].start_from
            assert base is None or base in names[:place], name
            shipping.check_shippable(recipes.QUEUE[name])
    assert recipes.QUEUES["gpu"][:3] == tuple(f"en-fr-transformer-seed{n}" for n in (1, 2, 3))


@pytest.mark.parametrize(
    "free, cores, jobs", [(80e9, 16, 12), (11e9, 16, 5), (1e9, 16, 1), (80e9, 1, 1)]
)
def test_a_gpu_bears_as_many_runs_as_its_memory_and_the_cores_do(monkeypatch, free, cores, jobs):
    assert queue.side_by_side("cpu") == 1
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free, 85e9))
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert queue.side_by_side(None) == jobs and queue.side_by_side("cpu") == 1


# Without what is not there ---------------------------------------------------------------------

ABSENT = ("pooch", "sacremoses", "anywidget", "ipywidgets", "sklearn", "torchvision", "sacrebleu")
BARE = f"""
import json, sys
sys.modules.update(dict.fromkeys({(*ABSENT, "matplotlib")!r}))
import torch
from attnlib import training
torch.set_num_threads(1)
config = training.FIRST_PART.replace(name="tiny", width=8, hidden=8, updates=2,
                                     sentences=200, vocab_size=300, validate_every=2)
run = training.Run(config, sys.argv[1] + "/tiny", device="cpu", quiet=True)
assert run.run()
training.ship(run, sys.argv[1] + "/tiny/model")
"""


@pytest.mark.slow
def test_a_machine_without_the_packages_trains_and_ships(tmp_path, monkeypatch, capsys):
    """From a mirror of the data; what it cannot measure is measured elsewhere, later."""
    mirror = files.fetch("multi30k/train.en.gz").parent.parent
    for name in files.names("multi30k/"):
        files.fetch(name)
    environment = {**os.environ, "ATTNLIB_DATA": str(mirror), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", BARE, str(tmp_path)]
    subprocess.run(command, check=True, timeout=300, env=environment)
    folder = tmp_path / "tiny" / "model"
    card = json.loads((folder / "card.json").read_text())
    assert set(card["metrics"]) == {"val.loss"}
    assert len(card["unmeasured"]) == 1 and card["unmeasured"][0].startswith("all but val.loss")
    before = (folder / "model.safetensors").read_bytes()

    def evaluate(shipped):
        score = training.shipping.metrics.Estimate(12.5, "by hand")
        return evaluation.Evaluation("test_2016_flickr", ["a"], ["b"], ["b"], {"bleu": score})

    monkeypatch.setattr(evaluation, "evaluate", evaluate)
    assert training.main(["--measure", "tiny", "--folder", str(tmp_path)]) == 0
    told, card = json.loads(capsys.readouterr().out), pretrained.read(folder).card
    assert card["metrics"]["bleu"] == told["metrics"]["bleu"] == 12.5
    assert card["unmeasured"] == [] and card["metrics"].keys() == card["signatures"].keys()
    assert (folder / "model.safetensors").read_bytes() == before
