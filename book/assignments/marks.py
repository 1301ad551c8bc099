"""What a person adds to the grades: points for answers in words, corrections, and comments.

They stand in GRADES/answers.csv, a row for each answer with two columns to fill, points and
comment. Whatever a person has entered there is kept when the grader runs again.
"""

import csv
import io
import math
import re
from dataclasses import dataclass
from pathlib import Path

from results import Result

FILE = "answers.csv"
COLUMNS = ["page", "student", "assignment", "question", "of", "points", "comment", "answer", "note"]
ADJUST = "adjust"  # a question of this name is added to the total: a day late, say


@dataclass
class Mark:
    """What a person has entered for one question of one notebook."""

    points: float | None
    comment: str
    row: dict[str, str]


Marks = dict[tuple[str, str], Mark]


class MarksError(Exception):
    """A file of marks cannot be used; the message says which line, and why."""


def read(path: Path) -> Marks:
    """The marks of a file, as this module or a spreadsheet has written it.

    Raises
    ------
    MarksError
        When a column is missing, or a mark is no number.
    """
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:  # of a spreadsheet on Windows
        text = raw.decode("cp1252", errors="replace")
    head = text.split("\n", 1)[0]
    table = csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=head.count))
    missing = {"page", "question", "points"} - set(table.fieldnames or ())
    if missing:
        raise MarksError(f"{path} has no column {', '.join(sorted(missing))}")
    marks: Marks = {}
    for row in table:
        row = {key: value or "" for key, value in row.items() if isinstance(key, str)}
        where = f"{path}, line {table.line_num}"
        points, comment = _number(row["points"], where), row.get("comment", "").strip()
        if row["page"] and (points is not None or comment):
            key = row["page"], row["question"].strip()
            if key in marks:
                raise MarksError(f"{where}: {key[1]} of {key[0]} is marked twice")
            marks[key] = Mark(points, comment, row)
    return marks


def _number(text: str, where: str) -> float | None:
    if not text.strip():
        return None
    try:
        number = float(text.strip().replace(",", "."))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise MarksError(f"{where}: {text!r} is no number of points")
    return number


def check(results: list[Result], marks: Marks) -> list[str]:
    """What is strange about the marks, a sentence each.

    Raises
    ------
    MarksError
        When more points are given than there are.
    """
    known = {each.page: each for each in results}
    strange = []
    for (page, question), mark in marks.items():
        result = known.get(page)
        if result is None:
            strange.append(f"there is a mark for {page}, of whom nothing is handed in now")
        elif question == ADJUST:
            continue
        elif question not in result.most:
            names = ", ".join([*result.most, ADJUST])
            raise MarksError(f"{page} has no question {question!r}, only {names}")
        elif not 0 <= (mark.points or 0) <= result.most[question]:
            most = result.most[question]
            raise MarksError(f"{page}: {mark.points:g} points for {question}, of {most:g}")
        elif _bare(mark.row.get("answer", "")) != _bare(result.words.get(question, "")):
            strange.append(f"{page}: {question} is not the text that was marked")
    return strange


def merged(result: Result, marks: Marks) -> dict[str, float | None]:
    """The points of a notebook, a person's in place of the grader's."""
    points = dict(result.points)
    for question in [*result.points, ADJUST]:
        mark = marks.get((result.page, question))
        if mark and mark.points is not None:
            points[question] = mark.points
    return points


def total(points: dict[str, float | None]) -> float:
    """All points together, never less than none."""
    return max(0.0, sum(each or 0.0 for each in points.values()))


def write(results: list[Result], marks: Marks, out: Path) -> None:
    """Write all answers in words, by the question, with what a person has entered so far."""
    rows = []
    left = dict(marks)
    for each in results:
        for question, text in each.words.items():
            mark = left.pop((each.page, question), None)
            row = {
                "page": each.page,
                "student": each.student,
                "assignment": each.assignment,
                "question": question,
                "of": f"{each.most[question]:g}",
                "answer": text,
            }
            if mark:
                row |= _entered(mark)
                if _bare(mark.row.get("answer", "")) != _bare(text):
                    row["note"] = "marked when the answer was another"
            if text or mark:
                rows.append(row)
    rows.sort(key=lambda row: (row["assignment"], row["question"]))
    for (page, question), mark in left.items():  # corrections; those who are no longer there
        rows.append({**mark.row, "page": page, "question": question, **_entered(mark)})
    with (out / FILE).open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        table.writeheader()
        table.writerows({key: harmless(value) for key, value in row.items()} for row in rows)


def _entered(mark: Mark) -> dict[str, str]:
    return {
        "points": "" if mark.points is None else f"{mark.points:g}",
        "comment": mark.comment,
        "note": mark.row.get("note", ""),
    }


def harmless(text: str) -> str:
    """A cell of a table that no spreadsheet takes for a formula."""
    is_number = re.fullmatch(r"-?[\d.,]+", text)
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t") and not is_number else text


def _bare(text: str) -> str:
    return "".join(re.findall(r"\w+", text))
