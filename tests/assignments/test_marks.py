"""What a person enters is added to the grades, and never lost."""

import csv

import homework
import pytest

pytest.importorskip("nbgrader")
assert homework.FOLDER  # the grader's folder is on the path from here on
import grade  # noqa: E402
import kit  # noqa: E402
import marks  # noqa: E402
import nbgraded  # noqa: E402
import report  # noqa: E402
import results as kept  # noqa: E402
from results import Result  # noqa: E402


def result(student="Ada King", number="7", platform="Moodle", text="As if nothing were hidden."):
    return Result(
        student,
        number,
        platform,
        page=f"{student.replace(' ', '_')}_{number}-a02",
        file="a02.ipynb",
        assignment=homework.NAME,
        points={"check_softmax": 3.0, "check_masked_softmax": 0.0, "why": None if text else 0.0},
        most={"check_softmax": 3.0, "check_masked_softmax": 5.0, "why": 1.0},
        said={"check_masked_softmax": "Time ran out after 30 s."},
        words={"why": text},
    )


CLASS = [result(), result("Bo", "8", "Canvas", "=1+1"), result("Cy", "9", text="")]


def table(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def enter(out, delimiter=",", **entered):
    """Fill in answers.csv as a spreadsheet does."""
    rows = table(out / marks.FILE)
    for row in rows:
        row |= entered.get(row["page"].split("_")[0].split("-")[0], {})
    with (out / marks.FILE).open("w", newline="", encoding="utf-8") as file:
        made = csv.DictWriter(file, marks.COLUMNS, delimiter=delimiter)
        made.writeheader()
        made.writerows(rows)


def again(out, results=CLASS, file=None):
    grade.write(results, grade.read_marks(out, file), out)
    return {row["student"]: row for row in table(out / "points.csv")}


def test_answers_in_words_are_collected_with_columns_to_fill(tmp_path):
    rows = again(tmp_path)
    assert [row["to read by hand"] for row in rows.values()] == ["why", "why", ""]
    collected = table(tmp_path / marks.FILE)
    assert [(row["student"], row["of"], row["points"]) for row in collected] == [
        ("Ada King", "1", ""),
        ("Bo", "1", ""),
    ]
    assert collected[1]["answer"] == "'=1+1", "a spreadsheet would compute it"
    questions = (tmp_path / f"questions-{homework.NAME}.md").read_text("utf-8")
    assert "Rubric:" in questions and "Your answer here" not in questions


@pytest.mark.parametrize("delimiter, half", [(",", "0.5"), (";", "0,5")])
def test_marks_are_merged_into_totals_pages_and_uploads(tmp_path, delimiter, half):
    again(tmp_path)
    enter(tmp_path, delimiter, Ada={"points": half, "comment": "Who sees it?"})
    row = again(tmp_path)["Ada King"]
    assert (row["points"], row["why"], row["to read by hand"]) == ("3.5", "0.5", "")
    page = (tmp_path / "feedback" / "Ada_King_7-a02.md").read_text("utf-8")
    assert "**3.5 of 9 points.**" in page and "Who sees it?" in page
    assert "**2. With a mask**: 0 of 5\n\n      Time ran out after 30 s." in page
    moodle = table(tmp_path / f"moodle-{homework.NAME}.csv")
    assert moodle[0]["Identifier"] == "Participant 7" and moodle[0]["Grade"] == "3.5"
    canvas = table(tmp_path / f"canvas-{homework.NAME}.csv")
    assert canvas[0]["ID"] == "8" and canvas[0][homework.NAME] == "3"


def test_another_run_keeps_what_was_entered(tmp_path):
    again(tmp_path)
    enter(tmp_path, Ada={"points": "1"}, Bo={"comment": "Half a sentence."})
    for _ in range(2):
        assert again(tmp_path)["Ada King"]["points"] == "4"
    changed = [result(text="Another text."), *CLASS[1:]]
    assert again(tmp_path, changed)["Ada King"]["points"] == "4"
    ada, bo = table(tmp_path / marks.FILE)
    assert ada["note"] == "marked when the answer was another"
    assert bo["comment"] == "Half a sentence." and not bo["note"]
    again(tmp_path, CLASS[1:])
    assert "1" in [row["points"] for row in table(tmp_path / marks.FILE)], "a mark is lost"


def test_a_person_has_the_last_word(tmp_path):
    file = tmp_path / "mine.csv"
    lines = "Ada_King_7-a02,check_masked_softmax,4,Right but for -10^12", "Cy_9-a02,adjust,-1,late"
    file.write_text("\n".join(["page,question,points,comment", *lines]), "utf-8")
    rows = again(tmp_path, file=file)
    assert rows["Ada King"]["points"] == "7" and rows["Cy"]["points"] == "2"
    page = (tmp_path / "feedback" / "Ada_King_7-a02.md").read_text("utf-8")
    assert "Points given by hand." in page and "Right but for" in page
    assert again(tmp_path)["Cy"]["points"] == "2", "kept without naming the file again"


@pytest.mark.parametrize(
    "line, error",
    [
        ("Ada_King_7-a02,why,two", "'two' is no number"),
        ("Ada_King_7-a02,why,2", "2 points for why, of 1"),
        ("Ada_King_7-a02,wyh,1", "no question 'wyh'"),
        ("Ada_King_7-a02,why,1\nAda_King_7-a02,why,0", "marked twice"),
    ],
)
def test_a_mark_that_cannot_be_is_refused(tmp_path, line, error):
    file = tmp_path / "mine.csv"
    file.write_text(f"page,question,points\n{line}\n", "utf-8")
    with pytest.raises(marks.MarksError, match=error):
        again(tmp_path, file=file)
    assert not (tmp_path / "points.csv").exists()


def test_late_work_is_added_and_old_pages_go(tmp_path):
    again(tmp_path)
    later = [result("Dee", "10", text=""), result("Bo", "8", "Canvas", "Better.")]
    rows = again(tmp_path, kept.merge(kept.load(tmp_path), later))
    assert list(rows) == ["Ada King", "Bo", "Cy", "Dee"]
    assert [row["answer"] for row in table(tmp_path / marks.FILE)][1] == "Better."
    again(tmp_path, later)
    assert {page.stem for page in (tmp_path / "feedback").iterdir()} == {"Dee_10-a02", "Bo_8-a02"}


def test_of_two_versions_the_better_counts(tmp_path):
    first, second = result(), result()
    second.page, second.points = "Ada_King_7-a02_2", {**first.points, "check_masked_softmax": 5.0}
    assert report.counts([first, second], {}) == {"Ada_King_7-a02_2"}
    again(tmp_path, [first, second])
    assert len(table(tmp_path / "points.csv")) == 2
    assert [row["Grade"] for row in table(tmp_path / f"moodle-{homework.NAME}.csv")] == ["8"]


def test_who_hands_in_no_notebook_has_none_of_all_points():
    nothing = Result("Eve", problem="an empty folder", page="Eve")
    grade._fill_in([CLASS[0], nothing])
    assert sum(nothing.most.values()) == 9 and marks.total(nothing.points) == 0


def test_an_assignment_edited_since_is_told_from_cheats():
    line = "check_softmax was replaced by: checks.agrees(softmax)"
    several = [result() for _ in range(4)]
    for each in several[:3]:
        each.look = [line]
    assert report.excuse_edited(several[1:3]) == []
    assert several[1].look == [line]
    assert "3 of 4 notebooks" in report.excuse_edited(several)[0]
    assert not any(each.look for each in several) and "edited" in several[0].repairs[0]


def test_what_stops_the_grader_is_one_line_and_not_passed_over(tmp_path, capsys):
    log = "Traceback\n  File x\nsqlalchemy.exc.OperationalError: no room\nmore\n"
    log += "nbgrader.converters.base.NbGraderException: see above"
    assert nbgraded.short(log) == "it could not be run: OperationalError: no room"
    assert nbgraded.short("") == ""
    assert "does a kernel start" in nbgraded.short(log.split("more\n")[1])
    compile(nbgraded.PROGRAM, "program", "exec")
    stopped = result("Dee")
    stopped.problem = nbgraded.short(log)
    again(tmp_path, [stopped])
    assert "1 notebooks could not be run" in capsys.readouterr().out


def test_a_copy_for_students_says_what_it_lacks(tmp_path, monkeypatch):
    monkeypatch.setattr(kit, "SOURCE", tmp_path)
    with pytest.raises(SystemExit, match="a copy for students has none"):
        grade.grade(tmp_path, tmp_path / "grades")
    with pytest.raises(SystemExit, match="no assignment in"):
        kit.main(["release"])


def test_the_command_merges_without_running_a_notebook(tmp_path, capsys):
    again(tmp_path)
    file = tmp_path / "mine.csv"
    file.write_text("page,question,points\nAda_King_7-a02,why,1\n", "utf-8")
    assert grade.main(["--out", str(tmp_path), "--marks", str(file)]) == 0
    assert "1 answers in words wait" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        grade.main(["--out", str(tmp_path / "elsewhere"), "--marks", str(file)])
    assert "nothing is graded yet" in capsys.readouterr().err
