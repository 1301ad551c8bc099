"""Run the tests and the notebooks as other processors would.

    make test-elsewhere                                  all of it: hours
    python tests/elsewhere.py --processor sse4           one processor
    python tests/elsewhere.py --threads 2 --what check-notebooks

What a float32 sum comes to depends on the order of its terms, and with it on the instructions of
the processor and on the number of threads. Four processors are emulated, each by telling the
libraries below PyTorch and NumPy which instructions they may use; each runs with one thread and
with two. Before anything is run, a Jupyter kernel is asked what it got: an emulation that does not
reach the kernels is an error. The end is a table, and the names of all that failed; the whole
output of each run is in _build/elsewhere.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOGS = ROOT / "_build" / "elsewhere"
# The instructions that PyTorch's own kernels, oneDNN, MKL, OpenBLAS and NumPy's loops may use.
# None: what the library finds.
LIBRARIES = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_CBWR",
    "OPENBLAS_CORETYPE",
    "NPY_DISABLE_CPU_FEATURES",
)
PROCESSORS = {
    "own": (None, None, None, None, None),
    "avx2": ("avx2", "AVX2", None, "Haswell", "X86_V4 AVX512_ICL"),
    "sse4": ("default", "SSE41", "COMPATIBLE", "Nehalem", "X86_V3 X86_V4 AVX512_ICL"),
    "mixed": ("default", "AVX2", "COMPATIBLE", None, None),
}
THREADS = (1, 2)
WHAT = ("unit", "check-notebooks")  # of the Makefile
PROBE = """
import os, json, torch, threadpoolctl, numpy
blas = [pool for pool in threadpoolctl.threadpool_info() if pool["internal_api"] == "openblas"]
print(json.dumps({
    "torch": torch.backends.cpu.get_cpu_capability(),
    "threads": torch.get_num_threads(),
    "blas": blas[0]["architecture"] if blas else None,
}))
"""


def environment(processor: str, threads: int) -> dict[str, str]:
    """What a process is to find in its environment to compute as on that processor."""
    kept = {name: value for name, value in os.environ.items() if name not in LIBRARIES}
    told = dict(zip(LIBRARIES, PROCESSORS[processor], strict=True))
    counts = ("THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    # Threads that wait for work sleep: pytest's workers share the cores.
    return (
        kept
        | {name: value for name, value in told.items() if value is not None}
        | {name: str(threads) for name in counts}
        | {"OMP_WAIT_POLICY": "PASSIVE"}
    )


def probe(processor: str, threads: int) -> dict:
    """Ask a Jupyter kernel, as nbval starts them, which instructions and threads it has."""
    script = (
        "import nbclient, nbformat\n"
        f"book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell({PROBE!r})])\n"
        "nbclient.NotebookClient(book, kernel_name='python3', timeout=300).execute()\n"
        "print(book.cells[0].outputs[0].text)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(processor, threads),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def check(processor: str, threads: int) -> str:
    """Say in words what the emulation came to.

    Raises
    ------
    SystemExit
        If the kernels did not get what the emulation asks for.
    """
    found = probe(processor, threads)
    aten, *_, core, _ = PROCESSORS[processor]
    if found["threads"] != threads:
        raise SystemExit(f"{processor}: {threads} threads asked for, torch has {found['threads']}")
    computes = {"NO AVX": "DEFAULT"}.get(found["torch"], found["torch"])  # as torch 2.4 says it
    if aten and computes != aten.upper():
        raise SystemExit(f"{processor}: torch computes with {computes}, not {aten.upper()}")
    if core and found["blas"] not in (core, None):
        raise SystemExit(f"{processor}: OpenBLAS takes this for {found['blas']}, not for {core}")
    return f"torch {computes}, OpenBLAS {found['blas']}"


def run(target: str, processor: str, threads: int) -> tuple[dict, list[str]]:
    """Run a target of the Makefile; return a row of the table, and the names of what failed."""
    log = LOGS / f"{processor}-{threads}-{target}.log"
    start = time.perf_counter()
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            ["make", target, f"THREADS={threads}"],
            cwd=ROOT,
            env=environment(processor, threads) | {"PYTEST_ADDOPTS": "--color=no"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    text = log.read_text("utf-8", errors="replace")
    failed = re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", text, re.M)
    passed = re.findall(r"^=+ .*?\b(\d+) passed\b.* =+$", text, re.M)
    if done.returncode and not failed:
        failed = [f"make {target} ended with {done.returncode}: see {log}"]
    return {
        "passed": int(passed[-1]) if passed else 0,
        "failed": len(failed),
        "minutes": (time.perf_counter() - start) / 60,
    }, failed


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--processor", nargs="+", choices=PROCESSORS, default=list(PROCESSORS))
    parser.add_argument("--threads", nargs="+", type=int, default=list(THREADS))
    parser.add_argument("--what", nargs="+", choices=WHAT, default=list(WHAT))
    options = parser.parse_args(arguments)
    if platform.machine().lower() not in ("x86_64", "amd64"):
        parser.error(f"it emulates processors on x86-64, and this is {platform.machine()}")
    LOGS.mkdir(parents=True, exist_ok=True)
    lines, failures = [], []
    for processor in options.processor:
        for threads in options.threads:
            about = check(processor, threads)
            for target in options.what:
                row, failed = run(target, processor, threads)
                lines.append(
                    f"{processor:9}  {threads:7}  {target:15}  {row['passed']:6}  {row['failed']:6}"
                    f"  {row['minutes']:7.1f}  {about}"
                )
                print(lines[-1], *failed, sep="\n    ", flush=True)
                failures += failed
    print("\nprocessor  threads  what             passed  failed  minutes  computes with")
    print(*lines, sep="\n")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
