"""Grade a class: one command, offline, one broken notebook stops nobody.

    python book/assignments/grade.py SUBMISSIONS --out GRADES

SUBMISSIONS is a folder with a folder or a notebook for each student, or what Moodle and Canvas
export. Each notebook is repaired (`repair.py`), checked by nbgrader with the hidden checks in it,
and reported: GRADES/points.csv, a page for each student in GRADES/feedback, and in
GRADES/repairs.txt what was repaired.

**This does not sandbox.** A student's code runs with your rights. For a class that you do not trust
run the command in a container without a network, as an ordinary user:

    docker run --rm --network none --user 1000 -v "$PWD:/course" -w /course python:3.12 ...
"""

import argparse
import csv
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import kit
import nbformat
import repair

MARK = "ATTNLIB_GRADER_MARK"  # the variable that brings the mark into the kernel
GUARD = '''# what the grader adds before the first cell
import builtins as _b, os as _o, sys as _s, warnings as _w
try:
    import resource as _r
    _r.setrlimit(_r.RLIMIT_DATA, ({memory} * 2**20,) * 2)
except (ImportError, ValueError):
    pass
import numpy as _n
import attnlib.reference, attnlib.checks, attnlib.checks.compare, attnlib.checks.reach{modules}
_w.simplefilter("ignore")


def _make_guard(shell, mark):
    kept = {{
        each: dict(vars(each))
        for name, each in list(_s.modules.items())
        if name in ("builtins", "numpy", "torch", "attnlib.reference")
        or name.startswith("attnlib.checks")
    }}
    codes = [
        (value, value.__code__)
        for module, names in kept.items()
        if module.__name__.startswith("attnlib")
        for value in names.values()
        if hasattr(value, "__code__")
    ]
    own = {{}}

    def guard(names):
        """Put back what the checks rest on, wherever the code before has changed it."""
        for module, then in kept.items():
            space = vars(module)
            for name in [n for n in space if n not in then and not n.startswith("__")]:
                if module.__name__.startswith("attnlib"):
                    del space[name]
            for name, value in then.items():
                if space.get(name) is not value and name != "_":
                    space[name] = value
        for function, code in codes:
            if function.__code__ is not code:
                function.__code__ = code
        for name, value in own.items():
            names[name] = value
        shell.custom_exceptions = ()
        for name in ("showtraceback", "run_code", "showsyntaxerror"):
            shell.__dict__.pop(name, None)
        _w.simplefilter("ignore")
        _s.stdout, _s.stderr = out, err
        names.update(_guard=guard, _passed=passed)

    def remember(names, wanted):
        own.update({{name: names[name] for name in wanted if name in names}})

    def passed(print=print):
        print(mark)

    out, err = _s.stdout, _s.stderr
    return guard, remember, passed


_guard, _remember, _passed = _make_guard(get_ipython(), _o.environ.pop({variable!r}))
_n.seterr(all="ignore")
'''


class Result(NamedTuple):
    """What one submission earned."""

    student: str
    assignment: str
    points: dict[str, float | None]
    most: dict[str, float]
    said: dict[str, str]
    repairs: list[str]
    look: list[str]
    problem: str


# --- whose is it? ---


def submissions(folder: Path) -> Iterable[tuple[str, Path]]:
    """Each student's notebooks: in folders of their own, flat, as from Moodle or Canvas."""
    for path in sorted(folder.rglob("*.ipynb")):
        inner = path.relative_to(folder)
        if ".ipynb_checkpoints" in inner.parts or inner.name.startswith("."):
            continue
        first = inner.parts[0] if len(inner.parts) > 1 else inner.stem
        if moodle := re.match(r"(.+?)_\d+_assignsubmission_", first):
            first = moodle[1]
        elif len(inner.parts) == 1 and (canvas := re.match(r"([^_]+)_(?:LATE_)?\d+_\d+_", first)):
            first = canvas[1]
        yield first.strip().replace(" ", "_"), path


# --- one submission ---


def with_guards(notebook, memory: int):
    """A source notebook whose checks are hard to talk out of failing.

    Before each check what it rests on is put back; behind it a mark is printed, which stands in no
    cell, and so is printed only by a check that ran to its end. A kernel keeps no secret from the
    code in it: who uses names by which one would look for it is reported (`repair.suspicious`).
    """
    modules = "".join(
        f", attnlib.checks.{name}"
        for cell in notebook.cells
        for name in re.findall(r"from attnlib\.checks import (\w+)", cell.source)
    )
    shared = {
        name
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "setup"
        for name in re.findall(r"(?m)^(?:import \w+ as )?(\w+)(?: =|$)", cell.source)
    } | {"checks", "reference", *re.findall(r"checks\.(\w+)", modules)}
    for cell in notebook.cells:
        about = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and about.get("grade_id") == "setup":
            cell.source = (
                GUARD.format(memory=memory, modules=modules, variable=MARK)
                + cell.source
                + f"\n_remember(globals(), {sorted(shared)!r})"
            )
        elif cell.cell_type == "code" and about.get("grade"):
            cell.source = f"_guard(globals())\n{cell.source}\n_passed()"
    return notebook


PROGRAM = """
import json, os, sys
from traitlets.config import Config
from nbgrader.apps import NbGraderAPI
answers, sys.stdout = sys.stdout, open(os.devnull, "w")
course, timeout = sys.argv[1], int(sys.argv[2])
c = Config()
c.CourseDirectory.root = course
c.CourseDirectory.db_url = f"sqlite:///{course}/gradebook.db"
c.Execute.timeout = timeout
api, made = NbGraderAPI(config=c), set()
for line in sys.stdin:
    student, name = json.loads(line)
    problem = ""
    try:
        steps = [(api.autograde, (name, student))]
        if name not in made:
            steps.insert(0, (api.generate_assignment, (name,)))
        for step, arguments in steps:
            done = step(*arguments)
            if not done["success"]:
                problem = str(done.get("error") or done.get("log") or "nbgrader failed")
                break
            made.add(name)
    except BaseException as error:
        problem = f"{type(error).__name__}: {error}"
    print(json.dumps(problem.strip()[-300:]), file=answers, flush=True)
"""


class Nbgrader:
    """A course of nbgrader's with a process that grades one student of it after another.

    Parameters
    ----------
    course : Path
        A folder of its own, which it fills.
    timeout : int
        Seconds for a cell.
    memory : int
        MiB for a notebook.
    seed : int, optional
        Of the hidden cases; by default those of the source.
    """

    def __init__(self, course: Path, timeout: int, memory: int, seed: int | None = None):
        self.course, self.timeout, self.memory, self.seed = course, timeout, memory, seed
        self.mark = "passed " + secrets.token_hex(16)
        self.guarded: dict[str, nbformat.NotebookNode] = {}
        self.process: subprocess.Popen | None = None

    def source(self, name: str) -> nbformat.NotebookNode:
        """An assignment with its hidden checks and the guards, as this course has it."""
        if name not in self.guarded:
            made = with_guards(kit.source(name, self.seed), self.memory)
            path = self.course / "source" / name / f"{name}.ipynb"
            path.parent.mkdir(parents=True)
            path.write_text(nbformat.writes(made), "utf-8")
            self.guarded[name] = made
        return self.guarded[name]

    def start(self) -> None:
        """Start the process, or start it anew."""
        self.stop()
        bin_folder = str(Path(sys.executable).parent)  # alembic must be found
        path = bin_folder + os.pathsep + os.environ.get("PATH", "")
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self.course), str(self.timeout)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={
                **os.environ,
                "PATH": path,
                "OMP_NUM_THREADS": "1",
                "MKL_NUM_THREADS": "1",
                MARK: self.mark,
            },
        )

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def grade(self, student: str, name: str, handed: nbformat.NotebookNode) -> tuple[str, Path]:
        """Grade what a student handed in: what went wrong, or nothing; and the graded notebook."""
        self.source(name)
        graded = self.course / "autograded" / student / name / f"{name}.ipynb"
        path = self.course / "submitted" / student / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(nbformat.writes(handed), "utf-8")
        if self.process is None or self.process.poll() is not None:
            self.start()
        assert self.process and self.process.stdin and self.process.stdout
        late = threading.Timer(60 + 30 * self.timeout, self.process.kill)
        late.start()
        try:
            print(json.dumps([student, name]), file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline()
        except OSError:
            answer = ""
        finally:
            late.cancel()
        return json.loads(answer) if answer else "the grader gave no answer in time", graded


def grade_one(student: str, path: Path, releases: dict, nbgrader: Nbgrader) -> Result:
    """Repair and grade one notebook.

    A student may hand in several: each is graded as that of a student of its own.
    """
    try:
        notebook = repair.read(path)
        name = repair.which(notebook, releases)
    except repair.UnreadableError as problem:
        return Result(student, "", {}, {}, {}, [], [], str(problem))
    mended = repair.repair(notebook, releases[name])
    guarded, mark = nbgrader.source(name), nbgrader.mark
    problem, graded = nbgrader.grade(f"s{secrets.token_hex(8)}", name, mended.notebook)
    points, most, said = {}, {}, {}
    for cell in guarded.cells:
        about = cell.metadata.get("nbgrader", {})
        if about.get("grade"):
            most[about["grade_id"]] = float(about["points"])
            points[about["grade_id"]] = None if about.get("solution") else 0.0
    if graded.exists():
        for cell in nbformat.read(graded, 4).cells:
            about = cell.metadata.get("nbgrader", {})
            cell_name = about.get("grade_id")
            if cell_name in most and not about.get("solution"):
                passed = any(
                    out.output_type == "stream" and mark in out.get("text", "")
                    for out in cell.outputs
                ) and not any(out.output_type == "error" for out in cell.outputs)
                points[cell_name] = most[cell_name] if passed else 0.0
                said[cell_name] = "" if passed else _told(cell, mark)
            elif cell_name in most and repair.STUB.search(cell.source):
                points[cell_name] = 0.0
                said[cell_name] = "not answered"
    look = repair.suspicious(mended.notebook)
    return Result(student, name, points, most, said, mended.repairs, look, problem)


def _told(cell, mark: str) -> str:
    """What a check said that failed."""
    for out in cell.outputs:
        if out.output_type == "error":
            told = re.sub(r"\x1b\[[0-9;]*m", "", out.get("evalue") or "")
            return f"{out.ename}: {told}" if told else out.ename
    return "did not run to its end"


# --- the class ---


def grade(
    folder: Path,
    out: Path,
    timeout: int = 30,
    memory: int = 4096,
    workers: int = 2,
    seed: int | None = None,
) -> list[Result]:
    """Grade all notebooks below a folder, and write points, feedback and repairs."""
    releases = {name: kit.release(name) for name in kit.sources()}
    found = list(submissions(folder))
    if not found:
        raise SystemExit(f"no notebook below {folder}")
    results = []
    with tempfile.TemporaryDirectory() as courses, ThreadPoolExecutor(workers) as pool:
        hands = [Nbgrader(Path(courses) / str(n), timeout, memory, seed) for n in range(workers)]
        idle: SimpleQueue[Nbgrader] = SimpleQueue()
        for hand in hands:
            idle.put(hand)

        def one(student: str, path: Path) -> Result:
            hand = idle.get()
            try:
                return grade_one(student, path, releases, hand)
            except Exception as error:  # whatever happens to one, the class goes on
                return Result(student, "", {}, {}, {}, [], [], f"{type(error).__name__}: {error}")
            finally:
                idle.put(hand)

        for job in [pool.submit(one, *each) for each in found]:
            result = job.result()
            results.append(result)
            line = f"{result.student}: {_sum(result):g} points {result.problem}"
            print(line.rstrip(), flush=True)
        for hand in hands:
            hand.stop()
    report(results, out)
    return results


def _sum(result: Result) -> float:
    return sum(points or 0.0 for points in result.points.values())


def report(results: list[Result], out: Path) -> None:
    """Write what was earned: a table, a page for each student, the repairs."""
    (out / "feedback").mkdir(parents=True, exist_ok=True)
    with (out / "points.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(
            ["student", "assignment", "points", "of", "to read by hand", "look at", "problem"]
        )
        for each in results:
            open_ones = [n for n, p in each.points.items() if p is None]
            most = sum(each.most.values())
            table.writerow(
                [each.student, each.assignment, f"{_sum(each):g}", f"{most:g}", " ".join(open_ones),
                 "; ".join(each.look), each.problem]
            )  # fmt: skip
    with (out / "repairs.txt").open("w", encoding="utf-8") as file:
        for each in results:
            for line in each.repairs:
                file.write(f"{each.student}: {line}\n")
    for each in results:
        lines = [f"# {each.assignment or 'A notebook that could not be graded'}", ""]
        if each.problem:
            lines += [f"There was a problem: {each.problem}.", ""]
        for name, most in each.most.items():
            points = each.points[name]
            earned = "to be read" if points is None else f"{points:g}"
            lines += [f"- **{name}**: {earned} of {most:g}"]
            if each.said.get(name):
                lines += ["", *("      " + line for line in each.said[name].split("\n")), ""]
        lines += ["", *(f"(Repaired: {line}.)" for line in each.repairs)]
        page = out / "feedback" / f"{each.student}-{each.assignment or 'unread'}.md"
        page.write_text("\n".join(lines) + "\n", "utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("submissions", type=Path)
    parser.add_argument("--out", type=Path, default=Path("grades"))
    parser.add_argument("--timeout", type=int, default=30, help="seconds a cell, 30 by default")
    parser.add_argument("--memory", type=int, default=4096, help="MiB a notebook, 4096 by default")
    parser.add_argument("--workers", type=int, default=2, help="notebooks at a time")
    parser.add_argument(
        "--seed", type=int, help="hidden cases of your own, as make instructor SEED="
    )
    options = parser.parse_args(arguments)
    if not options.submissions.is_dir():
        parser.error(f"{options.submissions} is no folder")
    limits = options.timeout, options.memory, options.workers, options.seed
    results = grade(options.submissions, options.out, *limits)
    print(f"{len(results)} notebooks: {options.out / 'points.csv'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
