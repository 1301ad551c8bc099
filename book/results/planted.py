"""Would our own tests have caught them? Public bugs of attention, planted in the package.

Run from the root of the repository::

    OMP_NUM_THREADS=1 python book/results/planted.py [--only NAME]

``planted.toml`` lists the bugs that others found in public code: 33 rows, some with several
mistakes. Each is a patch that makes the same mistake where it would stand in attnlib. The script
copies package and tests to a temporary folder, plants one bug at a time there, and runs the quick
tests of the files that should notice, up to the first that fails.

``caught`` says whether one failed, ``by`` which, at which ``statement`` of it, and ``kind`` what
kind of test that is, by KINDS. A bug that the tests did not notice at first has ``added``, the test
that was written for it: ``caught_without_it`` is from a run that leaves this test out. Of a bug in
an attention, ``checks`` are those of `attnlib.checks.attention` that fail on the patched layer;
None where the bug is in no attention. ``control`` is the package as it is: all of these tests, and
the checks of every layer, must pass.

The file is written after every bug, and a run goes on where the last one stopped: a bug is planted
again when its patch, the package or its tests have changed.
"""

import argparse
import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from pathlib import Path

from _record import record

ROOT = Path(__file__).parents[2]
RESULTS, LIST = Path(__file__).with_suffix(".json"), Path(__file__).with_suffix(".toml")
COMMAND = "OMP_NUM_THREADS=1 python book/results/planted.py"
QUICK = "not slow and not benchmark"
MARK = "WHAT WAS SEEN "  # begins the line that a run inside of the copy reports

# The kinds of test, each with the test functions that are of it, or one statement of a function.
KINDS = {
    "loops of attnlib.reference": (
        "test_attention_matches_the_loops",
        "test_many_heads_match_the_loops",
        "test_a_whole_transformer_matches_the_loops",
        "test_a_whole_captioner_matches_the_loops",
        "test_the_doubly_stochastic_term_matches_the_loops",
    ),
    "PyTorch's own": (
        "test_scaled_dot_equals_pytorch",
        "test_many_heads_equal_pytorchs_module",
    ),
    "every parameter learns": (
        "test_every_setting_trains_and_ignores_padding: assert not unused",
        "test_every_setting_trains_all_of_it_and_ignores_padding: assert not unused",
    ),
    "a batch is its sentences one by one": (
        "test_every_setting_trains_and_ignores_padding",
        "test_every_setting_trains_all_of_it_and_ignores_padding",
    ),
    "batch": ("test_a_sentence_does_not_mind_its_batch",),
    "padding": ("test_nobody_attends_to_padding",),
    "future": ("test_the_future_changes_nothing",),
    "property": ("test_weights_sum_to_one_or_are_all_zero",),
    "exhaustive search": ("test_a_wide_beam_is_exhaustive",),
    "the equation in plain Python": (
        "test_the_adversarial_loss_is_its_equation_with_the_divergence_its_way_round",
    ),
    "forced decoding": ("test_probabilities_and_weights_are_those_of_the_sentence",),
    "initialisation": ("test_v_starts_with_either_sign",),
    "refusal": ("test_settings_that_make_no_sense_are_refused",),
    "picture": ("test_alignment_shows_target_down_source_across_on_a_fixed_scale",),
}


def bugs() -> list[dict]:
    """The bugs of the list, in its order."""
    return tomllib.loads(LIST.read_text(encoding="utf-8"))["bug"]


def patched(text: str, bug: dict) -> str:
    """The text of a bug's file with the bug in it.

    Raises
    ------
    ValueError
        If the text to replace does not occur exactly once.

    Examples
    --------
    >>> patched("a + b", {"name": "minus", "file": "sum.py", "old": "+", "new": "-"})
    'a - b'
    """
    count = text.count(bug["old"])
    if count != 1:
        raise ValueError(
            f"{bug['name']!r}: its old text occurs {count} times in {bug['file']}, not once; bring "
            f"{LIST.name} along with the code"
        )
    return text.replace(bug["old"], bug["new"])


def kind(test: str, statement: str) -> str:
    """The kind of a test that failed at a statement, by the name of its function and by this."""
    name = test.rpartition("::")[2].partition("[")[0]
    found = [kind for kind, names in KINDS.items() if f"{name}: {statement}" in names]
    found += [kind for kind, names in KINDS.items() if name in names]
    if not found:
        raise KeyError(f"of which kind is {name}? Add it to KINDS in {Path(__file__).name}")
    return found[0]


def statement(text: str, line: int) -> str:
    """The innermost statement that has a line of a file; of one with a body, what comes before it.

    Examples
    --------
    >>> statement("for x in y:\\n    assert (\\n        x\\n    )", line=3)
    'assert ( x )'
    """
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.stmt)]
    within = [n for n in nodes if n.lineno <= line <= (n.end_lineno or n.lineno)]
    one = min(within, key=lambda n: (n.end_lineno or n.lineno) - n.lineno)
    body = getattr(one, "body", None)
    end = body[0].lineno - 1 if body else one.end_lineno
    return " ".join(" ".join(text.splitlines()[one.lineno - 1 : end]).split())


# Inside of the copy ---------------------------------------------------------------------------


def layers() -> dict[str, tuple]:
    """The attentions that are asked about, with what `checks.attention` is told of them."""
    from attnlib import scores, windows
    from attnlib.attention import Attention
    from attnlib.multihead import MultiHeadAttention

    return {
        "one head": (Attention(scores.ScaledDotScore()), {}),
        "additive": (Attention(scores.AdditiveScore(4, 3, 7)), {"width": (4, 3, 6)}),
        "concat": (Attention(scores.ConcatScore(4, 3, 7)), {"width": (4, 3, 6)}),
        "heads": (MultiHeadAttention(12, 3), {}),
        "causal heads": (MultiHeadAttention(8, 2, windows.Causal()), {"causal": True}),
    }


def ask(names: Iterable[str]) -> dict[str, list[str]]:
    """Which checks fail, of each layer."""
    import torch

    from attnlib import checks

    torch.manual_seed(0)
    made, found = layers(), {}
    for name in names:
        module, options = made[name]
        try:
            found[name] = list(checks.attention(module, **options).failed)
        except Exception as error:  # a bug may break a layer altogether
            found[name] = [f"raises {type(error).__name__}"]
    return found


class Watch:
    """What pytest ran, and the first test that failed."""

    def __init__(self):
        self.passed, self.failed, self.error, self.seconds = 0, None, None, None
        self.statement = None
        self.began = time.perf_counter()

    def pytest_collectreport(self, report):
        """A file that cannot be imported is no test that failed."""
        if report.failed:
            self.error = str(report.longrepr)

    def pytest_runtest_logreport(self, report):
        """Count, and keep the first failure."""
        self.passed += report.when == "call" and report.passed
        if report.failed and self.failed is None:
            self.failed, file = report.nodeid, report.nodeid.partition("::")[0]
            places = [each.reprfileloc for each in report.longrepr.reprtraceback.reprentries]
            line = [place.lineno for place in places if place and place.path == file][-1]
            self.statement = statement(Path(file).read_text(encoding="utf-8"), line)
            self.seconds = round(time.perf_counter() - self.began, 1)


def inside(names: list[str], arguments: list[str]) -> None:
    """Ask about layers and run tests on the package of this folder; print what was seen."""
    import pytest

    import attnlib

    here = Path(attnlib.__file__).resolve().parents[1]
    assert here == Path.cwd().resolve(), f"the package of {here} was imported"
    found = ask(names)
    watch = Watch()
    pytest.main([*arguments, "-x", "-q", "-m", QUICK, "-p", "no:cacheprovider"], plugins=[watch])
    found = {"checks": found, "passed": watch.passed, "by": watch.failed, "error": watch.error}
    found |= {"statement": watch.statement, "seconds": watch.seconds}
    print(f"\n{MARK}{json.dumps(found)}", flush=True)


# Outside --------------------------------------------------------------------------------------


def copied(folder: Path) -> None:
    """Package and tests, and links to what neither patches nor tests change."""
    rubbish = shutil.ignore_patterns("__pycache__", "weights")
    for name in ("attnlib", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=rubbish)
    (folder / "attnlib" / "weights").symlink_to(ROOT / "attnlib" / "weights")
    for name in ("book", "pyproject.toml", "README.md", "Makefile", "requirements.txt"):
        (folder / name).symlink_to(ROOT / name)


def run(folder: Path, names: list[str], tests: list[str], without: str | None = None) -> dict:
    """What a process sees that imports the package of a folder."""
    arguments = [f"tests/{each}" for each in tests]
    if without:
        arguments += ["--deselect", without]
    command = [sys.executable, str(Path(__file__).resolve()), "--inside", json.dumps(names)]
    more = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, json.dumps(arguments)],
        cwd=folder,
        env=os.environ | more,
        capture_output=True,
        text=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if not lines:
        raise RuntimeError(f"nothing was seen:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    found = json.loads(lines[-1].removeprefix(MARK))
    if found["error"]:
        raise RuntimeError(f"a file of tests could not be read:\n{found['error'][-2000:]}")
    return found


def plant(folder: Path, bug: dict) -> dict:
    """The row of one bug."""
    path = folder / "attnlib" / bug["file"]
    correct = path.read_text(encoding="utf-8")
    names = [bug["layer"]] if "layer" in bug else []
    path.write_text(patched(correct, bug), encoding="utf-8")
    try:
        found = run(folder, names, bug["tests"])
        before = run(folder, [], bug["tests"], bug["added"])["by"] if "added" in bug else None
    finally:
        path.write_text(correct, encoding="utf-8")
    row = {key: bug[key] for key in ("row", "name", "sources", "where")}
    row |= {"nearest": bug.get("nearest"), "caught": found["by"] is not None, "by": found["by"]}
    row |= {key: found[key] for key in ("statement", "seconds")}
    row |= {"kind": kind(found["by"], found["statement"]) if found["by"] else None}
    row |= {"checks": found["checks"].get(bug.get("layer"))}
    if "added" in bug:
        row |= {"added": bug["added"], "caught_without_it": before is not None}
    return row


def stamp(bug: dict) -> str:
    """A checksum of a bug, the package and its tests."""
    files = sorted((ROOT / "attnlib").rglob("*.py")) + [ROOT / "tests" / x for x in bug["tests"]]
    whole = hashlib.sha256(json.dumps(bug, sort_keys=True).encode("utf-8"))
    for path in files:
        whole.update(path.read_bytes())
    return whole.hexdigest()[:12]


def main() -> None:
    """Plant what is asked for, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="NAME", help="plant this bug alone, whatever is known")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(*map(json.loads, options.inside))
        return
    every = bugs()
    if options.only and options.only not in [bug["name"] for bug in every]:
        names = "\n  ".join(bug["name"] for bug in every)
        parser.error(f"unknown bug {options.only!r}; the names are\n  {names}")
    known = json.loads(options.out.read_text("utf-8")) if options.out.exists() else {"rows": []}
    rows = {row["name"]: row for row in known["rows"]}
    control = {
        "layers": sorted({bug["layer"] for bug in every if "layer" in bug}),
        "tests": sorted({test for bug in every for test in bug["tests"]}),
    }
    stamps = {bug["name"]: stamp(bug) for bug in every}
    control["stamp"] = stamp({"name": "nothing", **control})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copied(folder)
        if known.get("control", {}).get("stamp") != control["stamp"] and not options.only:
            found = run(folder, control["layers"], control["tests"])
            wrong = [found["by"], *(x for checks in found["checks"].values() for x in checks)]
            if any(wrong):
                raise SystemExit(f"the package itself fails: {wrong}")
            known["control"] = control | {"passed": found["passed"], "failed": 0}
            print("control", known["control"], flush=True)
        for bug in every:
            old = rows.get(bug["name"], {}).get("stamp")
            again = old != stamps[bug["name"]] if not options.only else bug["name"] == options.only
            if again:
                rows[bug["name"]] = plant(folder, bug) | {"stamp": stamps[bug["name"]]}
                print(rows[bug["name"]], flush=True)
                known["rows"] = [rows[x["name"]] for x in every if x["name"] in rows]
                record(options.out, COMMAND, summary(known), one_a_line="rows")


def summary(known: dict) -> dict:
    """What was found, with the counts that the rows add up to."""
    rows = known["rows"]
    whole = {
        n: [row["caught"] for row in rows if row["row"] == n] for n in {r["row"] for r in rows}
    }
    asked = [row for row in rows if row["checks"] is not None]
    counts = {
        "listed": len(whole),
        "listed_caught": sum(map(all, whole.values())),
        "planted": len(rows),
        "caught": sum(row["caught"] for row in rows),
        "caught_at_first": sum(row.get("caught_without_it", row["caught"]) for row in rows),
        "in_an_attention": len(asked),
        "seen_by_the_checks": sum(bool(row["checks"]) for row in asked),
    }
    return {"counts": counts, "control": known.get("control"), "rows": rows}


if __name__ == "__main__":
    main()
