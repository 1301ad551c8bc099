"""Where a run happens: processes, signals, random numbers, the machine, the checkout."""

import contextlib
import datetime
import os
import platform
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PROCESSES_WAIT = datetime.timedelta(hours=2)  # the first one may be measuring what it ships


@contextlib.contextmanager
def bf16_products(device: torch.device | str = "cpu") -> Iterator[None]:
    """Matrix products in bf16, summed in float32, where the processor has them; else in float32.

    On a CPU, where the fused attention is 15 times slower with them, it is left out: a step of a
    transformer then takes two thirds of its time (``make bench``). Evaluate outside of it.
    """
    before = torch.get_float32_matmul_precision()
    plain = torch.device(device).type == "cpu"
    torch.set_float32_matmul_precision("medium")
    try:
        with sdpa_kernel(SDPBackend.MATH) if plain else contextlib.nullcontext():
            yield
    finally:
        torch.set_float32_matmul_precision(before)


class Stopped(KeyboardInterrupt):
    """A signal stopped a run between two updates, after its checkpoint was written.

    Attributes
    ----------
    number : int
        The signal; a command that it ends exits with 128 more, as a shell has it.
    """

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.number = number


class StopSignals:
    """SIGINT (Ctrl-C) and SIGTERM as a flag, to be read where it is safe to stop.

    A context manager: the handlers that were there before come back at its end. The first signal
    sets `number`. Another one, a second or more later (torchrun may pass on what the terminal sent
    already), is given to the handler that was there before, which as a rule ends the process at
    once. A signal that is ignored stays ignored, and outside of the main thread, where Python
    allows no handlers, nothing is changed.
    """

    def __init__(self):
        self.number, self._at, self._before = 0, 0.0, {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):
                    self._before[number] = before
                    signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, before in self._before.items():
            signal.signal(number, before)

    def _note(self, number, frame):
        if not self.number:
            self.number, self._at = number, time.monotonic()
        elif time.monotonic() - self._at >= 1:
            self.__exit__()
            signal.raise_signal(number)


@dataclass(frozen=True)
class Processes:
    """The processes that train one model together, and which of them this is.

    What all of them have to agree on travels between processors (gloo), whatever they compute on.
    """

    rank: int = 0  # among all
    local_rank: int = 0  # among those of this machine
    world: int = 1  # how many there are

    @classmethod
    def join(cls) -> "Processes":
        """Those that torchrun started, or this one alone."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1:
            return cls()
        if not dist.is_initialized():
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            dist.init_process_group(backend, timeout=PROCESSES_WAIT)
        rank = dist.get_rank()
        return cls(rank, int(os.environ.get("LOCAL_RANK", rank)), world)

    @staticmethod
    def leave() -> None:
        """End what `join` began, when all processes have come this far.

        Waiting for them matters with torch 2.4: a thread that still lets go of the numbers of the
        last sum wants Python's lock, which the end of the group would hold while it waits for it.
        """
        if dist.is_initialized():
            dist.barrier()
            dist.destroy_process_group()

    def device(self, name: str | None = None) -> torch.device:
        """Where this process computes: on a GPU of its own where there are GPUs, unless named."""
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", self.local_rank)
        return device

    def largest(self, *numbers: int) -> list[int]:
        """The largest of each number over all processes: the same answer for all of them."""
        if self.world == 1:
            return list(numbers)
        shared = torch.tensor(numbers)
        dist.all_reduce(shared, op=dist.ReduceOp.MAX)
        return shared.tolist()

    def gathered(self, value) -> list:
        """The value of every process, in the order of their ranks."""
        if self.world == 1:
            return [value]
        found = [None] * self.world
        dist.all_gather_object(found, value)
        return found


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Let one process at a time train in a folder (Unix); it may end in any way.

    Raises
    ------
    ValueError
        If another process does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ValueError(f"another process trains in {folder}: wait for it") from error
        yield


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Where the generators stand that a run on this device draws from."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    """Put the generators back where `random_state` found them."""
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


def hardware(device: torch.device | str = "cpu") -> str:
    """What a result was measured on, in words."""
    device = torch.device(device)
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # not Linux: the platform's own word will do
    threads = torch.get_num_threads()
    return f"{name}, {threads} thread{'s' * (threads > 1)}, torch {torch.__version__}"


def commit() -> str:
    """The commit of the checkout this code runs from, or ``unknown``."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
