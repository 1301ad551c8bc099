"""Grade a class: one command, offline, one broken notebook stops nobody.

    python book/assignments/grade.py SUBMISSIONS --out GRADES
    python book/assignments/grade.py --out GRADES --marks GRADES/answers.csv

SUBMISSIONS is a folder with a folder or a notebook for each student, or what Moodle and Canvas
export, as a folder or a zip. Each notebook is repaired (`repair.py`), checked by nbgrader with the
hidden checks in it, and reported: GRADES/points.csv, a page for each student in GRADES/feedback,
what was repaired, and files to upload. The second command adds the points for answers in words,
which a person enters in GRADES/answers.csv, and runs no notebook.

**This does not sandbox.** A student's code runs with your rights. For a class that you do not trust
run it in a container without a network: `Dockerfile`, and the guide for instructors.
"""

import argparse
import json
import re
import secrets
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import handed_in
import kit
import look
import marks as by_hand
import nbformat
import python_cells
import repair
import report
import results as kept
from guards import repeats
from handed_in import Handed
from nbgraded import NOT_RUN, Nbgrader
from results import Result


class Limits(NamedTuple):
    """How a class is graded."""

    timeout: int = 30  # seconds for a cell
    memory: int = 4096  # MiB for a notebook
    workers: int = 2  # notebooks at a time
    seed: int | None = None  # of the hidden cases; by default those of the source


USUAL = Limits()
CHANGED = f"{NOT_RUN}: another notebook changed the checks of this run; grade it again"


# --- one submission ---


def grade_one(handed: Handed, releases: dict, nbgrader: Nbgrader) -> Result:
    """Repair and grade one notebook.

    A student may hand in several: each is graded as that of a student of its own.
    """
    result = _result(handed)
    if handed.path is None:
        return result
    try:
        notebook = repair.read(handed.path)
        name = repair.which(notebook, releases)
    except repair.UnreadableError as problem:
        result.problem = str(problem)
        return result
    mended = repair.repair(notebook, releases[name])
    guarded = nbgrader.source(name)
    result.assignment, result.words = name, mended.words
    result.repairs = mended.repairs + [f"{file}: not used" for file in handed.beside]
    result.prints = look.fingerprints(mended.notebook, releases[name], mended.words)
    result.look = look.replaced(mended.tampered)
    result.look += look.suspicious(mended.notebook) + look.copied(mended.notebook)
    for cell in guarded.cells:
        about = cell.metadata.get("nbgrader", {})
        if about.get("grade"):
            cell_name = about["grade_id"]
            result.most[cell_name] = float(about["points"])
            result.points[cell_name] = None if mended.words.get(cell_name) else 0.0
            if about.get("solution") and not mended.words.get(cell_name):
                result.said[cell_name] = "Not answered."
    result.problem, graded = nbgrader.grade(f"s{secrets.token_hex(8)}", name, mended.notebook)
    if graded.exists():
        read_checks(nbformat.read(graded, 4), result, nbgrader)
    return result


def _result(handed: Handed) -> Result:
    """A result with nothing in it yet."""
    student, number, platform = handed.owner
    return Result(
        student=student,
        id=number,
        platform=platform,
        late=handed.late,
        page=handed.page,
        file=handed.file,
        problem=handed.problem,
    )


def read_checks(graded: nbformat.NotebookNode, result: Result, nbgrader: Nbgrader) -> None:
    """Read from a graded notebook which checks have passed, and what the others said."""
    said_last = re.compile(rf"^{re.escape(nbgrader.mark)} (\{{.*\}})$", re.M)
    guarded = nbgrader.source(result.assignment)
    sources = {repair.name_of(cell): cell.source for cell in guarded.cells}
    answer = None
    for cell in graded.cells:
        about = cell.metadata.get("nbgrader", {})
        name = about.get("grade_id")
        if cell.cell_type == "code" and about.get("solution"):
            answer = cell
        if name not in result.most or about.get("solution"):
            continue
        text = "".join(str(out.text) for out in cell.outputs if out.output_type == "stream")
        found = said_last.findall(text)
        how: dict = {"passed": False, "fixed": [], "changed": []}
        if found:
            how = json.loads(found[-1])
        failed = any(out.output_type == "error" for out in cell.outputs)
        if cell.source != sources[name]:
            failed, result.problem = True, CHANGED
        lines = []
        if how["passed"] and not failed:
            result.points[name] = result.most[name]
        else:
            lines.append(explain(cell, answer, nbgrader.timeout))
        used = set(re.findall(r"\w+", answer.source if answer else ""))
        if names := " and ".join(name for name in how["fixed"] if name in used):
            lines.append(f"(Checked with a right {names} in the place of yours.)")
        result.said[name] = "\n".join(lines)
        if repeats(result.said[name], guarded):
            result.said[name] = "Its message repeats the check's own code, and is left out."
            result.look.append(f"{name}: its message repeats the check's code")
        result.look += [f"{name}: puts another in the place of {each}" for each in how["changed"]]
        if "ready-made answer" in result.said[name]:
            result.look.append(f"{name}: calls a ready-made answer")


def explain(check, answer, timeout: int) -> str:
    """Why a check failed, in a student's words."""
    source = answer.source if answer else ""
    if wrong := python_cells.syntax_error(source):
        return f"This cell is not Python: {wrong}."
    name, told = _error(check)
    first, first_told = _error(answer) if answer else ("", "")
    if "KeyboardInterrupt" in (name, first) or "CellTimeoutError" in (name, first):
        return f"Time ran out after {timeout} s."
    if name == "SystemExit":
        return "It ends Python (exit, quit or SystemExit) instead of returning."
    missing = re.match(r"name '(\w+)' is not defined", told) if name == "NameError" else None
    if first and (missing or not name):
        return f"Your cell stops with {first}: {first_told}"
    if missing:
        there = ", ".join(sorted(python_cells.defined(source))) or "no function"
        return f"Nothing is defined under the name {missing[1]}; your cell defines {there}."
    if not name:
        return "The check did not run to its end."
    return told if name == "CheckError" else f"{name}: {told[:300]}".removesuffix(": ")


def _error(cell) -> tuple[str, str]:
    """The error that a cell ended with."""
    for out in cell.outputs:
        if out.output_type == "error":
            return out.ename, re.sub(r"\x1b\[[0-9;]*m", "", out.get("evalue") or "")
    return "", ""


# --- the class ---


def grade(
    folder: Path, out: Path, limits: Limits = USUAL, marks: Path | None = None, add: bool = False
) -> list[Result]:
    """Grade all notebooks of a class, and write points, feedback and repairs.

    Parameters
    ----------
    folder : Path
        What was handed in, a folder or a zip.
    out : Path
        Where to write. What a person has entered in answers.csv there is kept.
    limits : Limits
        How.
    marks : Path, optional
        Points for answers in words.
    add : bool
        Keep the results of earlier runs: late work, or a notebook that is graded again.
    """
    if not kit.sources():
        raise SystemExit(
            f"no assignment with hidden checks in {kit.SOURCE}: a copy for students has none. "
            "Grade with your own copy, or with the zip of make instructor."
        )
    entered = read_marks(out, marks)  # before hours of work
    releases = {name: kit.release(name) for name in kit.sources()}
    with tempfile.TemporaryDirectory() as opened:
        try:
            found = handed_in.collect(folder, Path(opened))
        except handed_in.BROKEN as error:
            raise SystemExit(f"{folder} cannot be opened: {error}") from None
        if not found:
            raise SystemExit(f"nothing is handed in below {folder}")
        results = _grade_all(found, releases, limits)
    if add:
        results = kept.merge(kept.load(out), results)
    _fill_in(results)
    for line in report.excuse_edited(results):
        print(f"Note: {line}")
    write(results, entered, out)
    return results


def _grade_all(found: list[Handed], releases: dict, limits: Limits) -> list[Result]:
    """Grade one notebook after another, several at a time."""
    results = []
    with (
        tempfile.TemporaryDirectory() as courses,
        ThreadPoolExecutor(limits.workers) as pool,
    ):
        idle: SimpleQueue[Nbgrader] = SimpleQueue()
        hands = [
            Nbgrader(Path(courses) / str(n), limits.timeout, limits.memory, limits.seed)
            for n in range(limits.workers)
        ]
        for hand in hands:
            idle.put(hand)

        def one(handed: Handed) -> Result:
            hand = idle.get()
            try:
                return grade_one(handed, releases, hand)
            except Exception as error:  # whatever happens to one, the class goes on
                result = _result(handed)
                result.problem = f"{type(error).__name__}: {error}"
                return result
            finally:
                idle.put(hand)

        for job in [pool.submit(one, each) for each in found]:
            result = job.result()
            results.append(result)
            points = by_hand.total(result.points)
            print(f"{result.page}: {points:g} points {result.problem}".rstrip(), flush=True)
        for hand in hands:
            hand.stop()
    return results


def _fill_in(results: list[Result]) -> None:
    """Whoever handed in no notebook has none of the points, if the class has one assignment."""
    points = {each.assignment: each.most for each in results if each.assignment}
    if len(points) == 1:
        ((name, most),) = points.items()
        for each in results:
            if not each.assignment:
                each.assignment, each.most = name, dict(most)
                each.points = dict.fromkeys(most, 0.0)


def read_marks(out: Path, marks: Path | None) -> by_hand.Marks:
    """What a person has entered: in the folder of grades, and in a file of marks."""
    paths = [path for path in (out / by_hand.FILE,) if path.exists()] + ([marks] if marks else [])
    entered: by_hand.Marks = {}
    for path in paths:
        entered |= by_hand.read(path)
    return entered


def write(results: list[Result], entered: by_hand.Marks, out: Path) -> None:
    """Write everything, and take away the pages of those who are no longer there."""
    strange = by_hand.check(results, entered)
    out.mkdir(parents=True, exist_ok=True)
    pages = {each.page for each in results}
    for each in kept.load(out):
        if each.page not in pages:
            (out / "feedback" / f"{each.page}.md").unlink(missing_ok=True)
    kept.save(results, out)
    by_hand.write(results, entered, out)
    report.write(results, entered, out)
    for line in strange:
        print(f"Note: {line}")
    waiting = sum(p is None for each in results for p in by_hand.merged(each, entered).values())
    if stopped := sum(each.problem.startswith(NOT_RUN) for each in results):
        print(f"Note: {stopped} notebooks could not be run, and have no points: see `problem`")
    print(f"{len(results)} rows: {out / 'points.csv'}")
    if waiting:
        print(f"{waiting} answers in words wait for points: {out / by_hand.FILE}")


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("submissions", type=Path, nargs="?", help="a folder, or a zip")
    parser.add_argument("--out", type=Path, default=Path("grades"))
    parser.add_argument("--marks", type=Path, help="answers.csv with points entered")
    parser.add_argument("--add", action="store_true", help="keep the results of earlier runs")
    parser.add_argument("--timeout", type=int, default=30, help="seconds a cell, 30 by default")
    parser.add_argument("--memory", type=int, default=4096, help="MiB a notebook, 4096 by default")
    parser.add_argument("--workers", type=int, default=2, help="notebooks at a time")
    parser.add_argument(
        "--seed", type=int, help="of the hidden cases, as make instructor SEED=; else one is drawn"
    )
    options = parser.parse_args(arguments)
    for path in (options.submissions, options.marks):
        if path is not None and not path.exists():
            parser.error(f"there is no {path}")
    try:
        if options.submissions is None:
            results = kept.load(options.out)
            if not results:
                parser.error(f"name what was handed in: nothing is graded yet in {options.out}")
            write(results, read_marks(options.out, options.marks), options.out)
        else:
            seed = options.seed
            if seed is None:
                seed = secrets.randbelow(1_000_000)
                print(
                    f"Hidden cases are drawn with the seed {seed}: --seed {seed} draws them again"
                )
            limits = Limits(options.timeout, options.memory, options.workers, seed)
            grade(options.submissions, options.out, limits, options.marks, options.add)
    except by_hand.MarksError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
