"""The emulation of other processors reaches the kernels, and its table tells what failed."""

import platform
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import elsewhere

x86 = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="emulated on x86-64 only"
)


def test_the_environment_of_the_caller_does_not_count(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    found = elsewhere.environment("own", 2)
    assert not set(elsewhere.LIBRARIES) & set(found)
    assert found["OMP_NUM_THREADS"] == found["THREADS"] == "2"
    assert elsewhere.environment("sse4", 1)["OPENBLAS_CORETYPE"] == "Nehalem"


def test_at_least_three_processors_with_one_thread_and_with_two():
    settings = list(elsewhere.PROCESSORS.values())
    assert len(set(settings)) == len(settings) >= 3
    assert set(elsewhere.THREADS) >= {1, 2}


@x86
@pytest.mark.slow
def test_a_kernel_computes_as_the_processor_that_is_emulated():
    assert elsewhere.check("sse4", 2) == "torch DEFAULT, OpenBLAS Nehalem"


@pytest.mark.parametrize(
    "found, message",
    [
        ({"torch": "AVX512", "threads": 2, "blas": "Nehalem"}, "torch computes with AVX512"),
        ({"torch": "DEFAULT", "threads": 1, "blas": "Nehalem"}, "2 threads asked for"),
        ({"torch": "DEFAULT", "threads": 2, "blas": "Haswell"}, "OpenBLAS takes this for Haswell"),
    ],
)
def test_an_emulation_that_does_not_reach_the_kernels_is_an_error(monkeypatch, found, message):
    monkeypatch.setattr(elsewhere, "probe", lambda processor, threads: found)
    with pytest.raises(SystemExit, match=message):
        elsewhere.check("sse4", 2)


def make(output: str, code: int):
    """A stand-in for make, and for the kernel that is asked before it."""

    def run(command, stdout, **options):
        stdout.write(output)
        return SimpleNamespace(returncode=code)

    return run


@pytest.fixture
def small(monkeypatch, tmp_path):
    monkeypatch.setattr(elsewhere, "LOGS", tmp_path)
    monkeypatch.setattr(elsewhere, "check", lambda *_: "torch DEFAULT")
    monkeypatch.setattr(elsewhere.platform, "machine", lambda: "x86_64")

    def table(output, code):
        monkeypatch.setattr(elsewhere.subprocess, "run", make(output, code))
        return elsewhere.main(["--processor", "sse4", "--threads", "2", "--what", "unit"])

    return table


def test_the_table_counts_and_names_what_failed(small, capsys):
    output = "FAILED tests/test_a.py::test_b[1] - assert 1 == 2\n== 1 failed, 12 passed in 3s ==\n"
    assert small(output, 2) == 1
    printed = capsys.readouterr().out
    assert "sse4             2  unit                 12       1" in printed
    assert "tests/test_a.py::test_b[1]\n" in printed


def test_a_run_without_failures_passes_and_one_that_breaks_off_does_not(small, capsys):
    assert small("==== 12 passed, 3 skipped in 3s ====\n", 0) == 0
    assert small("make: *** No rule\n", 2) == 1
    assert "make unit ended with 2" in capsys.readouterr().out
