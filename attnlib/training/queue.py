"""Several runs on one machine, a process each: side by side, in order, and stopped in time."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from attnlib import storage
from attnlib.training import recipes
from attnlib.training.environment import Stopped, StopSignals

PROGRAM = (sys.executable, "-m", "attnlib.training")  # trains one run
OUTPUT = "output.txt"  # in a run's folder: what its process printed
RUN_BYTES = 2e9  # of a GPU's memory; 13 runs of the book took 1.1 to 1.4 GB each of an H100
LOOK = 0.2  # seconds from one look at the processes to the next
GRACE = 30.0  # seconds to finish an update and to write a checkpoint


@dataclass
class Job:
    """A run that is being trained."""

    name: str
    process: subprocess.Popen
    output: Path


def side_by_side(device: str | None) -> int:
    """How many runs a machine bears: one on the CPU; on a GPU as its memory and the cores allow.

    Small models keep a GPU waiting for the CPU that starts its kernels: each run keeps a core busy
    with that, and some have a worker that makes batches. With 16 cores a small transformer did some
    20 updates a second on an H100 beside 12 other runs, and 19 on an H200 beside 7. Both had
    NVIDIA's Multi-Process Service (``nvidia-cuda-mps-control -d``), with which the kernels of
    several processes share a card; without it they take turns.
    """
    if device == "cpu" or not torch.cuda.is_available():
        return 1
    free, _ = torch.cuda.mem_get_info()
    return max(1, min((os.cpu_count() or 1) * 3 // 4, int(free / RUN_BYTES)))


def train(
    names: Sequence[str],
    folder: Path,
    jobs: int,
    minutes: float | None = None,
    options: Sequence[str] = (),
    niceness: int = 0,
) -> dict[str, str]:
    """Train what is left of some runs; a run that fails does not stop the others.

    Every finished run is shipped by its own process, at once. A run that starts from another one
    waits for it. When time is over each process gets SIGTERM, which it answers with a checkpoint:
    called again, this goes on where it was.

    Parameters
    ----------
    names : sequence of str
        Of `recipes.QUEUE`, in the order in which to start.
    folder : path
        Where each run has its folder.
    jobs : int
        How many processes there are at most at a time.
    minutes : float, optional
    options : sequence of str
        More arguments of each process.
    niceness : int
        How far to stand back behind other programs of the machine (Unix).

    Returns
    -------
    dict
        The runs that failed, and why.

    Raises
    ------
    Stopped
        After SIGINT or SIGTERM, when all processes have ended.
    """
    until = None if minutes is None else time.monotonic() + 60 * minutes
    waiting = [name for name in names if not shipped(folder / name)]
    running: list[Job] = []
    failed: dict[str, str] = {}
    with StopSignals() as signals, _ended(running):
        while waiting or running:
            for job in [job for job in running if job.process.poll() is not None]:
                running.remove(job)
                if job.process.returncode or not shipped(folder / job.name):
                    failed[job.name] = _why(job)
                print(f"{'failed' if job.name in failed else 'finished'}  {job.name}", flush=True)
            if signals.number or (until is not None and time.monotonic() >= until):
                break
            for name in list(waiting):
                base = recipes.QUEUE[name].start_from
                if base in failed:
                    waiting.remove(name)
                    failed[name] = f"starts from {base}, which failed"
                elif len(running) < jobs and base not in (*waiting, *(job.name for job in running)):
                    waiting.remove(name)
                    running.append(_start(name, folder, options, niceness))
                    print(f"started   {name}", flush=True)
            time.sleep(LOOK)
    if signals.number:
        raise Stopped(signals.number, "the queue was stopped; the same command goes on from there")
    return failed


def shipped(folder: Path) -> bool:
    """Whether a run's folder holds its finished model, and its card says how good it is."""
    card = folder / "model" / storage.CARD
    return card.exists() and bool(json.loads(card.read_text("utf-8")).get("metrics"))


def _start(name: str, folder: Path, options: Sequence[str], niceness: int) -> Job:
    output = folder / name / OUTPUT
    output.parent.mkdir(parents=True, exist_ok=True)
    stand_back = (lambda: os.nice(niceness)) if niceness and hasattr(os, "nice") else None
    with output.open("a") as file:
        process = subprocess.Popen(
            [*PROGRAM, "--run", name, "--folder", str(folder), *options],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the queue, which passes it on
            preexec_fn=stand_back,
        )
    return Job(name, process, output)


def _why(job: Job) -> str:
    lines = job.output.read_text(errors="replace").replace("\r", "\n").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "it printed nothing")
    return f"exit code {job.process.returncode}: {last.strip()} (see {job.output})"


@contextlib.contextmanager
def _ended(running: list[Job]) -> Iterator[None]:
    """All processes have ended after this, those that train with a checkpoint."""
    try:
        yield
    finally:
        for job in running:
            job.process.terminate()
        until = time.monotonic() + GRACE
        for job in running:
            try:
                job.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                job.process.kill()
                job.process.wait()
