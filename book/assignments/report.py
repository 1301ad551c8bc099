"""Write what was earned: tables, a page for each student, files to upload."""

import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import kit
import look
import marks as by_hand
import repair
from guards import MARKER
from marks import Marks, harmless
from results import Result

LONGEST = 3000  # characters of what a check said


@dataclass
class Titles:
    """What students read in place of the names of cells."""

    assignment: str
    parts: dict[str, str]


def titles(name: str) -> Titles:
    """The headings of an assignment, by the cells that give points."""
    parts, last, first = {}, "", ""
    for cell in kit.release(name).cells:
        for heading in (
            re.findall(r"(?m)^#+ (.+)$", cell.source) if cell.cell_type != "code" else ()
        ):
            last = re.sub(r" *\(\d+ points?\)", "", heading)
            first = first or heading
        if cell.metadata.get("nbgrader", {}).get("grade"):
            parts[repair.name_of(cell)] = last
    return Titles(first, parts)


def write(results: list[Result], marks: Marks, out: Path) -> None:
    """Write everything that is made anew in each run; marks are written by `marks.write`."""
    (out / "feedback").mkdir(parents=True, exist_ok=True)
    names = sorted({each.assignment for each in results if each.assignment})
    known = {name: titles(name) for name in names}
    for each in results:
        page = feedback(each, marks, known.get(each.assignment))
        (out / "feedback" / f"{each.page}.md").write_text(page, "utf-8")
    counted = counts(results, marks)
    points_table(results, marks, counted, out / "points.csv")
    (out / "repairs.txt").write_text(
        "".join(f"{each.page}: {line}\n" for each in results for line in each.repairs), "utf-8"
    )
    alike_table(results, names, out / "alike.csv")
    for name in names:
        (out / f"questions-{name}.md").write_text(questions(name), "utf-8")
        graded = [each for each in results if each.assignment == name and each.page in counted]
        uploads(name, graded, marks, out)


def counts(results: list[Result], marks: Marks) -> set[str]:
    """The page that counts of each student and assignment: the one with the most points."""
    best: dict[tuple[str, str, str], Result] = {}
    for each in results:
        key = (each.student, each.id, each.assignment)
        before = best.get(key)
        if before is None or _total(each, marks) > _total(before, marks):
            best[key] = each
    return {each.page for each in best.values()}


def _total(result: Result, marks: Marks) -> float:
    return by_hand.total(by_hand.merged(result, marks))


def points_table(results: list[Result], marks: Marks, counted: set[str], path: Path) -> None:
    """A row for each notebook, and for each student without one."""
    cells = list(dict.fromkeys(name for each in results for name in each.most))
    rows = []
    for each in results:
        points = by_hand.merged(each, marks)
        row = {
            "student": each.student,
            "id": each.id,
            "late": "late" if each.late else "",
            "assignment": each.assignment,
            "points": f"{_total(each, marks):g}",
            "of": f"{sum(each.most.values()):g}",
            "to read by hand": " ".join(name for name, p in points.items() if p is None),
            "counts": "yes" if each.page in counted else "no, another has more points",
            "look at": "; ".join(each.look),
            "problem": each.problem,
            "page": each.page,
            "file": each.file,
        }
        row |= {name: f"{p:g}" for name, p in points.items() if p is not None}
        rows.append(row)
    columns = ["student", "id", "late", "assignment", "points", "of", "to read by hand", "counts"]
    columns += ["look at", "problem", *cells, by_hand.ADJUST, "page", "file"]
    _table(path, columns, rows)


def _table(
    path: Path, columns: list[str], rows: list[dict[str, str]], encoding: str = "utf-8-sig"
) -> None:
    """Write a table; by default with the byte-order mark by which spreadsheets know UTF-8."""
    with path.open("w", newline="", encoding=encoding) as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows({key: harmless(value) for key, value in row.items()} for row in rows)


def feedback(result: Result, marks: Marks, known: Titles | None) -> str:
    """A student's page."""
    who = f"{result.student}{f' ({result.id})' if result.id else ''}"
    lines = [f"# {known.assignment if known else 'What you handed in could not be graded'}", ""]
    lines += [f"{who}{f', {result.file}' if result.file else ''}{', late' * result.late}", ""]
    points = by_hand.merged(result, marks)
    unread = sum(result.most[name] for name, p in points.items() if p is None)
    if result.most:
        so_far = " so far" if unread else ""
        lines += [f"**{_total(result, marks):g} of {sum(result.most.values()):g} points{so_far}.**"]
        lines += [f"Not in them yet: {unread:g} for your words." if unread else "", ""]
    if result.problem:
        lines += [f"There was a problem: {result.problem}.", ""]
    for name, most in result.most.items() if known else ():
        earned = "to be read, up to" if points[name] is None else f"{points[name]:g} of"
        lines += [f"- **{known.parts[name] if known else name}**: {earned} {most:g}"]
        mark = marks.get((result.page, name))
        told = result.said.get(name, "")
        if mark and mark.points is not None and result.points.get(name) is not None:
            told = f"Points given by hand.\n{told}"
        for text in filter(None, [told, mark.comment if mark else ""]):
            lines += ["", *(f"      {line}" for line in text[:LONGEST].split("\n")), ""]
    adjust = marks.get((result.page, by_hand.ADJUST))
    if adjust and adjust.points is not None:
        lines += [f"- **Adjusted**: {adjust.points:+g}. {adjust.comment}"]
    if result.repairs:
        lines += ["", "Before your notebook was graded, this was put right:", ""]
        lines += [f"- {line}" for line in result.repairs]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def alike_table(results: list[Result], names: list[str], path: Path) -> None:
    """Answers that are the same in several notebooks, or the published one."""
    solutions = {}
    for name in names:
        source = kit.source(name)
        for cell in source.cells:
            cell.source = MARKER.sub("", cell.source)
        solutions[name] = look.fingerprints(source, kit.release(name), {})
    theirs = [(each.student, each.assignment, each.prints) for each in results]
    rows = [
        {
            "assignment": each.assignment,
            "answer": each.cell,
            "notebooks": f"{len(each.students)}",
            "of": f"{each.of}",
            "the published solution": "yes" if each.published else "",
            "students": ", ".join(each.students),
        }
        for each in look.alike(theirs, solutions)
    ]
    columns = ["assignment", "answer", "notebooks", "of", "the published solution", "students"]
    _table(path, columns, rows)


def questions(name: str) -> str:
    """The questions in words, each with the answer and the rubric."""
    lines, asked = [f"# {titles(name).assignment}: answers and rubric", ""], ""
    for cell in kit.source(name).cells:
        if cell.cell_type != "code" and cell.metadata.get("nbgrader", {}).get("solution"):
            answer = repair.PLACEHOLDER.sub("", MARKER.sub("", cell.source)).strip()
            lines += [asked, "", f"**In answers.csv:** `{repair.name_of(cell)}`", "", answer, ""]
        asked = cell.source
    return "\n".join(lines)


def uploads(name: str, results: list[Result], marks: Marks, out: Path) -> None:
    """The columns that Moodle's grading worksheet and Canvas' gradebook read."""
    moodle = [each for each in results if each.platform == "Moodle"]
    canvas = [each for each in results if each.platform == "Canvas"]
    if moodle:
        rows = [
            {
                "Identifier": f"Participant {each.id}",
                "Full name": each.student,
                "Grade": f"{_total(each, marks):g}",
                "Maximum Grade": f"{sum(each.most.values()):g}",
                "Last modified (grade)": "",
                "Feedback comments": feedback(each, marks, titles(name)),
            }
            for each in moodle
        ]
        _table(out / f"moodle-{name}.csv", list(rows[0]), rows, "utf-8")
    if canvas:
        rows = [
            {
                "Student": each.student,
                "ID": each.id,
                "SIS User ID": "",
                "SIS Login ID": "",
                "Section": "",
                name: f"{_total(each, marks):g}",
            }
            for each in canvas
        ]
        _table(out / f"canvas-{name}.csv", list(rows[0]), rows, "utf-8")


def excuse_edited(results: list[Result]) -> list[str]:
    """Where most notebooks have a check in one other form, the assignment was edited since.

    That is said once, and no longer of each student.
    """
    of = Counter(each.assignment for each in results)
    texts = Counter(
        (each.assignment, line)
        for each in results
        for line in set(each.look)
        if look.REPLACED in line
    )
    notes = []
    for (name, line), many in texts.items():
        if many > 2 and many > of[name] / 2:
            notes.append(f"{many} of {of[name]} notebooks of {name}: {line}. Edited since?")
            for each in results:
                if each.assignment == name and line in each.look:
                    each.look.remove(line)
                    each.repairs.append("a check as it was before the assignment was edited")
    return notes
