"""Runs that are stopped, killed and shared, each in processes of its own; writes what came of them.

``python tests/helpers/stopped_runs.py FOLDER alone`` (or ``together``) writes FOLDER/found.json: of
each scenario the exit codes of its processes, the digest of the last checkpoint and the log. It is
run by test_training_stopped.py. torch is imported once, and each process is a fork of this one,
which therefore starts no thread: it never trains itself.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import random
import signal
import socket
import sys
import time
import traceback
import warnings
from pathlib import Path

import torch

from attnlib import storage, training
from attnlib.training import Run, RunConfig, environment, loop, recipes, shipping

SMALL = RunConfig.of(
    "small",
    corpus="copy",
    sentences=60,
    max_length=6,
    width=8,
    hidden=8,
    updates=40,
    tokens=60,
    warmup=2,
    dropout=0.3,
    output_dropout=0.3,
    validate_every=7,
    average=4,
)
PLAIN = SMALL.replace(dropout=0.0, output_dropout=0.0)
SCENES = RunConfig.of(
    "scenes-tiny",
    corpus="scenes",
    width=8,
    hidden=8,
    annotation_dim=8,
    images=3,
    sentences=7,
    updates=6,
    warmup=2,
    average=2,
    dropout=0.0,
    output_dropout=0.0,
    validate_every=3,
)
DATA = training.prepare(SMALL)
PICTURES = dataclasses.replace(training.prepare(SCENES), validated=3)
PLACES = ("forward", "before the step", "after the step", "validation", "checkpoint")


def forked(work, *arguments) -> int:
    """The id of a process that does this and exits with its result."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        code = int(work(*arguments) or 0)
    except training.Stopped as stopped:
        code = 128 + stopped.number
    except FloatingPointError:
        code = 3
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def code_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def alone(work, *arguments) -> int:
    return code_of(forked(work, *arguments))


def together(work, *arguments, world=2) -> list[int]:
    """The exit codes of processes that train together; work gets its rank first."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def member(rank):
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        os.environ |= {"WORLD_SIZE": str(world), "RANK": str(rank), "LOCAL_RANK": str(rank)}
        return work(rank, *arguments)

    return [code_of(pid) for pid in [forked(member, rank) for rank in range(world)]]


def make(folder, config=SMALL, data=DATA) -> Run:
    return Run(config, folder, data, "cpu", quiet=True)


def train(folder, config=SMALL, data=DATA, every=60.0, minutes=None) -> int:
    """0 if it is finished, 10 if there was no time."""
    return 0 if make(folder, config, data).run(minutes, every) else 10


def checkpoint(folder) -> dict:
    return torch.load(Path(folder) / training.CHECKPOINT, weights_only=True)


def digest(value) -> str:
    """Of everything that decides how a run goes on, and of the weights that it will give."""
    found = hashlib.sha256()

    def add(value):
        if isinstance(value, torch.Tensor):
            found.update(str((value.dtype, value.shape)).encode() + value.numpy().tobytes())
        elif isinstance(value, dict):
            for key in sorted(value, key=str):
                if key not in ("seconds", "logged_seconds"):
                    found.update(str(key).encode())
                    add(value[key])
        elif isinstance(value, (list, tuple)):
            for part in value:
                add(part)
        else:
            found.update(repr(value).encode())

    add(value)
    return found.hexdigest()


def outcome(folder, codes) -> dict:
    """What a scenario left: its log without what depends on the clock."""
    rows = (Path(folder) / training.LOG).read_text().splitlines()
    state = checkpoint(folder)
    return {
        "codes": codes,
        "digest": digest(state),
        "log": [row.split(",")[:5] for row in rows],
        "update": state["progress"]["update"],
        "weights": [float(x.double().sum()) for x in state["mean"]],
    }


def at(run: Run, place: str, number: int, act):
    """Do something at a place of the run's update number `number`."""

    def before(function):
        def spied(*arguments, **named):
            if run.progress.update == number:
                act()
            return function(*arguments, **named)

        return spied

    def after(function):
        def spied(*arguments, **named):
            result = function(*arguments, **named)
            if run.progress.update == number:
                act()
            return result

        return spied

    def half(save):
        def spied(content, path):
            save(content, path)
            if content["progress"]["update"] >= number:
                path.write_bytes(path.read_bytes()[:1000])
                act()
                save(content, path)

        return spied

    if place == "forward":
        run.objective.forward = after(run.objective.forward)
    elif place == "before the step":
        run.optimizer.step = before(run.optimizer.step)
    elif place == "after the step":
        run.optimizer.step = after(run.optimizer.step)
    elif place == "validation":
        loop.mean_loss = before(loop.mean_loss)
    else:
        torch.save = half(torch.save)


def signalled(folder, place, update, number, every=60.0) -> int:
    """The process sends itself a signal at a place of an update."""
    run = make(folder)
    at(run, place, update, lambda: os.kill(os.getpid(), number))
    return 0 if run.run(checkpoint_seconds=every) else 10


def twice(folder) -> int:
    """A signal that is in no hurry, and one that is."""
    run = make(folder)

    def act():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1.2)
        os.kill(os.getpid(), signal.SIGTERM)

    at(run, "forward", 5, act)
    return 0 if run.run() else 10


def disturbed(folder, rng, signals) -> list[int]:
    """Stop a run at random moments until it is done."""
    codes = []
    while not codes or codes[-1] != 0:
        pid = forked(train, folder, SMALL, DATA, rng.choice([0, 0.02]))
        time.sleep(rng.uniform(0, 0.2) * (1 + len(codes)))  # longer and longer: it has an end
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, rng.choice(signals))
        codes.append(code_of(pid))
    return codes


def command(folder, number) -> int:
    """`attnlib train`, Ctrl-C in its third update reaching it and its workers."""
    os.setsid()
    recipes.QUEUE = {SCENES.name: SCENES}
    loop.prepare = lambda config: PICTURES
    update = Run._update

    def spied(run, batch):
        if run.progress.update == 2:
            os.killpg(0, number)
        return update(run, batch)

    Run._update = spied
    errors = os.open(folder / "stderr", os.O_WRONLY | os.O_CREAT)
    os.dup2(errors, 2)
    return training.main(["--run", SCENES.name, "--folder", str(folder), "--device", "cpu"])


def run_alone(folder: Path) -> dict:
    found = {}
    found["whole"] = outcome(folder / "whole", [alone(train, folder / "whole")])
    for place in PLACES:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            name = f"{signal.Signals(number).name} {place}"
            update = 14 if place == "validation" else 16
            # a checkpoint of update 4, then none until the signal; or one every update
            codes = [alone(signalled, folder / name, "forward", 3, signal.SIGTERM)]
            every = 0.0 if place == "checkpoint" else 60.0
            codes.append(alone(signalled, folder / name, place, update, number, every))
            stopped = checkpoint(folder / name)["progress"]["update"]
            codes.append(alone(train, folder / name))
            found[name] = {**outcome(folder / name, codes), "stopped": stopped}
    alone(signalled, folder / "twice", "forward", 3, signal.SIGTERM)
    codes = [alone(twice, folder / "twice")]
    stopped = checkpoint(folder / "twice")["progress"]["update"]
    codes.append(alone(train, folder / "twice"))
    found["twice"] = {**outcome(folder / "twice", codes), "stopped": stopped}
    for seed in range(8):
        rng = random.Random(seed)
        signals = [[signal.SIGINT, signal.SIGTERM], [signal.SIGKILL]][seed % 2]
        codes = disturbed(folder / f"random {seed}", rng, signals)
        found[f"random {seed}"] = outcome(folder / f"random {seed}", codes)
    for number in (signal.SIGINT, signal.SIGTERM):
        name = f"command {signal.Signals(number).name}"
        (folder / name).mkdir()
        code = alone(command, folder / name, number)
        found[name] = {
            "codes": [code],
            "update": checkpoint(folder / name / SCENES.name)["progress"]["update"],
            "stderr": (folder / name / "stderr").read_text(),
        }
    return found


def shared(rank, folder, config=SMALL, data=DATA) -> int:
    return train(folder, config, data)


def one_is_signalled(rank, folder) -> int:
    return (signalled if rank == 1 else train)(folder, *(("forward", 9, 15) if rank == 1 else ()))


def one_is_killed(rank, folder) -> int:
    if rank == 1:
        return signalled(folder, "before the step", 20, signal.SIGKILL)
    try:
        return train(folder)
    except RuntimeError:  # the other one is gone
        return 11


def one_is_late(rank, folder, late, config=SMALL) -> int:
    """The first process has the clock."""
    return train(folder, config, minutes=0 if rank == late else None)


def one_has_nan(rank, folder) -> int:
    run = make(folder)
    forward = run.objective.module.forward

    def spied(*arguments):
        return forward(*arguments) * (float("nan") if rank and run.progress.update == 8 else 1)

    run.objective.module.forward = spied
    return 0 if run.run(checkpoint_seconds=0) else 10


def whole_queue(rank, folder) -> int:
    """`--queue all`: the first process ships for a while, and its clock alone counts."""
    environment.PROCESSES_WAIT = datetime.timedelta(seconds=20)
    names = ("one", "two")
    recipes.QUEUE = {name: SCENES.replace(name=name) for name in names}

    def ship(run, to):
        time.sleep(1)
        to.mkdir()
        (to / storage.CARD).write_text('{"metrics": {"loss": 1.0}}')
        return {"metrics": {}, "unmeasured": []}

    shipping.ship = ship
    loop.prepare = lambda config: PICTURES
    os.dup2(os.open(folder.parent / f"queue {rank}.txt", os.O_WRONLY | os.O_CREAT), 2)
    if rank:
        ahead = iter(range(10**9))
        monotonic = time.monotonic
        time.monotonic = lambda: monotonic() + 1000 * next(ahead)
    return training.main(["--queue", "all", "--folder", str(folder), "--budget", "5",
                          "--device", "cpu", "--workers", "0"])  # fmt: skip


def run_together(folder: Path) -> dict:
    found = {}

    def tell(name, codes, **more):
        found[name] = {**outcome(folder / name, codes), **more}

    tell("whole", together(shared, folder / "whole"))
    codes = together(one_is_signalled, folder / "signal")
    tell("signal", codes + together(shared, folder / "signal"))
    codes = together(one_is_signalled, folder / "kill") + together(one_is_killed, folder / "kill")
    tell("kill", codes + together(shared, folder / "kill"))
    codes = together(one_is_late, folder / "first late", 0)
    stopped = checkpoint(folder / "first late")["progress"]["update"]
    tell("first late", codes + together(shared, folder / "first late"), stopped=stopped)
    tell("second late", together(one_is_late, folder / "second late", 1))
    codes = together(one_has_nan, folder / "nan")
    stopped = checkpoint(folder / "nan")["progress"]["update"]
    tell("nan", codes + together(shared, folder / "nan"), stopped=stopped)

    # without dropout all numbers of processes learn the same, but for rounding
    tell("plain", [alone(train, folder / "plain", PLAIN)])
    codes = together(one_is_late, folder / "other number", 0, PLAIN)
    code = alone(warned, folder / "other number", folder / "warning")
    tell("other number", [*codes, code], warning=(folder / "warning").read_text())
    for name in ("again 1", "again 2"):  # with dropout: other numbers, the same each time
        codes = together(one_is_late, folder / name, 0)
        tell(name, [*codes, alone(train, folder / name)])
    one_row = PLAIN.replace(tokens=2)
    tell("one row alone", [alone(train, folder / "one row alone", one_row)])
    tell("one row", together(shared, folder / "one row", one_row))
    tell("pictures alone", [alone(train, folder / "pictures alone", SCENES, PICTURES)])
    tell("pictures", together(shared, folder / "pictures", SCENES, PICTURES))
    frozen = SCENES.replace(encoder_lr_scale=0.0)
    tell("frozen alone", [alone(train, folder / "frozen alone", frozen, PICTURES)])
    tell("frozen", together(shared, folder / "frozen", frozen, PICTURES))
    codes = together(whole_queue, folder / "queue")
    shipped = sorted(str(path.parent.parent.name) for path in (folder / "queue").glob("*/model/*"))
    found["queue"] = {"codes": codes, "shipped": shipped}
    return found


def warned(folder, told: Path) -> int:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        code = train(folder, PLAIN)
    told.write_text("\n".join(str(warning.message) for warning in caught))
    return code


if __name__ == "__main__":
    torch.set_num_threads(1)
    scenarios = {"alone": run_alone, "together": run_together}[sys.argv[2]]
    folder = Path(sys.argv[1])
    (folder / "found.json").write_text(json.dumps(scenarios(folder)))
