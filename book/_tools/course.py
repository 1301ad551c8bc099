"""The tables of the page for lecturers, from the chapters, the assignments, and the plan below.

    python book/_tools/course.py            writes them into book/course/use.ipynb
    python book/_tools/course.py --check    writes nothing, fails if one would change

What is an estimate stands here: minutes to read, minutes of a lecture, and of its parts. What can
be read is read: minutes of exercises from the chapters, minutes and points from the assignments.
A table stands on the page between two comments with its name; tests/test_course.py holds it
against this file.
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple

import nbformat

BOOK = Path(__file__).resolve().parents[1]
PAGE = BOOK / "course" / "use.ipynb"
LEVEL = re.compile(r"\*(?:Warm-up|Core|Open)(?:, build it)?, (\d+) minutes\.\*")
LABEL = re.compile(r"\{exercise\} [^\n]*\n(?:---\n)?:?label:? ?(ex-[\w-]+)")
SHARE = 1 / 3  # of a chapter's exercises, that a course sets


class Part(NamedTuple):
    """Some sections of a chapter that can be taught without the rest."""

    minutes: int
    words: str


class Chapter(NamedTuple):
    """One chapter: its page, minutes to read, what it is for, and its lecture in parts."""

    page: str
    read: int
    goal: str
    parts: dict[str, Part]

    @property
    def lecture(self) -> int:
        return sum(part.minutes for part in self.parts.values())


CHAPTERS = {
    "1": Chapter("01_bottleneck", 30, "say why one vector fails", {
        "start": Part(15, "to {numref}`fig-01-memory`"),
        "rest": Part(60, "from {ref}`sec-01-seq2seq` on"),
    }),
    "2": Chapter("02_by_hand", 30, "compute attention by hand, write the layer", {
        "sheet": Part(60, "all but {ref}`sec-02-special`"),
        "special": Part(15, "{ref}`sec-02-special`"),
    }),
    "3": Chapter("03_bahdanau", 25, "write a decoder that looks back", {
        "all": Part(75, "all"),
    }),
    "3b": Chapter("03b_alignment", 20, "measure whether weights align words", {
        "all": Part(40, "all"),
    }),
    "4": Chapter("04_luong", 30, "change one setting at a time", {
        "all": Part(50, "all"),
    }),
    "5": Chapter("05_global_local", 25, "say what a window saves and loses", {
        "step": Part(20, "{ref}`sec-05-idea`"),
        "rest": Part(40, "from {ref}`sec-05-equations` on"),
    }),
    "6": Chapter("06_soft_hard", 30, "find a gradient for a choice", {
        "choice": Part(30, "to {numref}`fig-06-explore`"),
        "rest": Part(45, "from {ref}`sec-06-xu` on"),
    }),
    "7": Chapter("07_show_attend_tell", 30, "mark where a model looks, and doubt it", {
        "all": Part(60, "all"),
    }),
    "7b": Chapter("07b_photographs", 20, "tell an encoder's mistake from a decoder's", {
        "all": Part(30, "all"),
    }),
    "8": Chapter("08_self_attention", 30, "write multi-head attention and its mask", {
        "core": Part(60, "without {ref}`sec-08-root`, {ref}`sec-08-path` and {ref}`sec-08-cost`"),
        "rest": Part(15, "{ref}`sec-08-root`, {ref}`sec-08-path`, {ref}`sec-08-cost`"),
    }),
    "9": Chapter("09_transformer", 25, "draw and compute a transformer block", {
        "block": Part(25, "{ref}`sec-09-parts` and {ref}`sec-09-idea`"),
        "train": Part(25, "{ref}`sec-09-parallel` and {ref}`sec-09-norm`"),
        "measure": Part(40, "from {ref}`sec-09-translate` on"),
    }),
    "10": Chapter("10_reading_attention", 25, "say what a weight explains, and test it", {
        "all": Part(55, "all"),
    }),
    "10b": Chapter("10b_bug_museum", 25, "test an attention before training it", {
        "all": Part(35, "all"),
    }),
    "11": Chapter("11_beyond", 25, "use attention where there are no words", {
        "memory": Part(25, "{ref}`sec-11-memory` and {ref}`sec-11-hops`"),
        "speech": Part(20, "{ref}`sec-11-speech`"),
        "rest": Part(15, "from {ref}`sec-11-tree` on"),
    }),
    "11b": Chapter("11b_seeing", 25, "hold a module against a plain rule", {
        "maps": Part(20, "to {ref}`sec-11b-tiles`"),
        "patches": Part(15, "from {ref}`sec-11b-patches` on"),
    }),
    "11c": Chapter("11c_without", 25, "say when fixed weights would do", {
        "all": Part(30, "all"),
    }),
}  # fmt: skip


class Week(NamedTuple):
    """What one week teaches (chapter: parts, all if none is named) and sets."""

    taught: dict[str, tuple[str, ...]]
    assignment: int | None = None


SYLLABI: dict[str, list[Week]] = {
    "three": [
        Week({"1": ("start",), "2": ("sheet",)}, 2),
        Week({"3": ()}, 3),
        Week({"8": ("core",), "9": ("block",)}, 8),
    ],
    "six": [
        Week({"1": ()}, 1),
        Week({"2": ()}, 2),
        Week({"3": ()}, 3),
        Week({"4": (), "5": ("step",)}, 4),
        Week({"6": ("choice",), "7": ()}, 7),
        Week({"8": ("core",), "9": ("block",)}, 8),
    ],
    "twelve": [
        Week({"1": ()}, 1),
        Week({"2": ()}, 2),
        Week({"3": ()}, 3),
        Week({"3b": (), "4": ()}, 4),
        Week({"5": ()}, 5),
        Week({"6": ()}, 6),
        Week({"7": (), "7b": ()}, 7),
        Week({"8": ()}, 8),
        Week({"9": ()}),
        Week({"10": (), "10b": ()}, 9),
        Week({"11": ()}),
        Week({"11b": (), "11c": ()}),
    ],
}

# A goal, the chapters that teach it, exercises, and the graded cells of assignments that assess it.
GOALS: list[tuple[str, str, tuple[str, ...], dict[int, tuple[str, ...]]]] = [
    ("Say why one fixed vector fails, and measure it", "1", ("ex-01-bits",),
     {1: ("check_encode", "check_copy_task", "check_by_length", "check_perplexity", "why")}),
    ("Compute attention by hand", "2, 8", ("ex-02-fourth", "ex-08-hand"), {2: ("check_attend",)}),
    ("Derive the gradient of a lookup", "2, 5", ("ex-02-covariance",), {5: ("check_pull",)}),
    ("Write an attention layer with a mask", "2, 3", ("ex-02-attend", "ex-02-class"),
     {2: ("check_softmax", "check_masked_softmax", "why"), 3: ("check_AdditiveScore",)}),
    ("Write a decoder that looks back", "3, 4", ("ex-03-step", "ex-04-feed"),
     {3: ("check_additive_scores", "check_step"),
      4: ("check_early", "check_late", "check_greedy")}),
    ("Train on batches, and find a forgotten mask", "3", ("ex-03-mask",),
     {3: ("check_same_alone",), 4: ("check_shift",)}),
    ("Search for a sentence with a beam", "3", ("ex-03-beam",), {}),
    ("Say what each paper changed", "4, 9", ("ex-04-feed", "ex-09-three"),
     {3: ("why",), 4: ("why",)}),
    ("Say what a window saves and what it loses", "5", ("ex-05-pull", "ex-05-build"),
     {5: ("check_local_m", "check_predict_centres", "check_local_p", "why")}),
    ("Find a gradient for a choice", "6", ("ex-06-draws", "ex-06-build"),
     {6: ("check_gradients", "check_estimates", "check_learn", "check_surrogate", "why")}),
    ("Doubt a picture: mark attention, beside baselines", "3b, 7", ("ex-03-aer", "ex-07-play"),
     {7: ("check_read", "check_spread", "check_evenness", "check_marks", "why")}),
    ("Write multi-head attention that sees no future", "8", ("ex-08-build", "ex-08-mask"),
     {8: ("check_clocks", "check_multi_head", "check_writer", "check_sees_future", "why")}),
    ("Write a block of a transformer", "9", ("ex-09-norm", "ex-09-post"), {}),
    ("Say what a weight explains, and test it", "10", ("ex-10-loo", "ex-10-claims"),
     {9: ("check_lost", "check_gradient_times_input", "check_divergence", "check_furthest",
          "check_claim", "why")}),
    ("Test an attention before it is trained", "10b", ("ex-10b-leak", "ex-10b-gradient"),
     {10: ("check_half", "check_visible", "check_a_third", "check_two_thirds", "check_all",
           "why")}),
    ("Build attention into another task", "11", ("ex-11-score", "ex-11-which"), {}),
    ("Say where something simpler than attention does", "11b, 11c",
     ("ex-11b-contrast", "ex-11c-which"), {}),
    ("Read the papers", "3 to 11", (), {}),
]  # fmt: skip


class Assignment(NamedTuple):
    """What an assignment says of itself: its last chapter, minutes, points of graded cells."""

    chapter: str
    minutes: int
    points: dict[str, int]

    @property
    def by_hand(self) -> int:
        return sum(n for cell, n in self.points.items() if not cell.startswith("check_"))


def exercises(chapter: str) -> tuple[int, set[str]]:
    """Minutes of all exercises of a chapter, and their labels."""
    cells = nbformat.read(BOOK / f"{CHAPTERS[chapter].page}.ipynb", 4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return sum(map(int, LEVEL.findall(text))), set(LABEL.findall(text))


def assignments() -> dict[int, Assignment]:
    """Every assignment, by its number."""
    found = {}
    for path in sorted(BOOK.glob("assignments/release/*/*.ipynb")):
        cells = nbformat.read(path, 4).cells
        minutes = re.search(r"\*\*Time:\*\* about (\d+) minutes", cells[0].source)
        needs = re.search(r"\*\*Needs:\*\* (.+?)\*\*Time", cells[0].source)
        graded = [cell.metadata["nbgrader"] for cell in cells if "nbgrader" in cell.metadata]
        points = {each["grade_id"]: each["points"] for each in graded if each.get("points")}
        found[int(path.stem[1:3])] = Assignment(
            re.findall(r"\b\d+b?\b", needs[1])[-1], int(minutes[1]), points
        )
    return found


def lines(head: list[str], rows: list[list]) -> str:
    """A table in Markdown."""
    every = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in every)


def link(chapter: str) -> str:
    return f"[{chapter}](../{CHAPTERS[chapter].page}.ipynb)"


def minutes() -> str:
    """Chapters: slides, and minutes to read, to teach, and to exercise."""
    given = {each.chapter: number for number, each in assignments().items()}
    rows, total = [], [0, 0, 0]
    for name, chapter in CHAPTERS.items():
        row = [chapter.read, chapter.lecture, exercises(name)[0]]
        total = [a + b for a, b in zip(total, row, strict=True)]
        slides = f'<a href="../../slides/{chapter.page}.html">slides</a>'
        rows.append([f"{name} {{doc}}`../{chapter.page}` ({slides})", *row, given.get(name, "")])
    rows.append(["all", *total, ""])
    return lines(["chapter", "read", "lecture", "exercises", "graded"], rows)


def week_minutes(week: Week) -> tuple[int, int]:
    """Minutes in class, and of a student's own work."""
    class_, own = 0, 0.0
    for name, parts in week.taught.items():
        chapter = CHAPTERS[name]
        taught = sum(chapter.parts[part].minutes for part in parts or chapter.parts)
        class_ += taught
        share = taught / chapter.lecture
        own += share * (chapter.read + SHARE * exercises(name)[0])
    own += assignments()[week.assignment].minutes if week.assignment else 0
    return class_, 5 * round(own / 5)


def hours(name: str) -> tuple[float, float]:
    """Hours of a syllabus in class, and of a student's own work."""
    weeks = [week_minutes(week) for week in SYLLABI[name]]
    return sum(w[0] for w in weeks) / 60, sum(w[1] for w in weeks) / 60


def syllabus(name: str) -> str:
    """A syllabus, week by week."""
    rows = []
    for number, week in enumerate(SYLLABI[name], 1):
        if not week.taught:
            rows.append([number, "students present their projects", "", "", "", ""])
            continue
        taught = []
        for chapter, parts in week.taught.items():
            words = ", ".join(CHAPTERS[chapter].parts[part].words for part in parts)
            taught.append(f"{link(chapter)}" + (f" {words}" if parts else ""))
        goals = "; ".join(CHAPTERS[chapter].goal for chapter in week.taught)
        rows.append([number, "; ".join(taught), goals, *week_minutes(week), week.assignment or ""])
    in_class, own = hours(name)
    low, high = ((in_class + own) / each for each in (30, 25))
    head = ["week", "chapters", "goal", "class", "own work", "graded"]
    total = (
        f"Together {in_class:.0f} hours in class and {own:.0f} of own work: "
        f"{low:.1f} to {high:.1f} ECTS."
    )
    return lines(head, rows) + "\n\n" + total


def goals() -> str:
    """Learning goals, and what assesses each."""
    given = assignments()
    rows = []
    for goal, chapters, own, graded in GOALS:
        names = ", ".join(f"{{ref}}`{label}`" for label in own) or "–"
        points = [
            f"{number}: {sum(given[number].points[cell] for cell in cells)}"
            for number, cells in graded.items()
        ]
        rows.append([goal, chapters, names, "; ".join(points) or "none"])
    return lines(["goal", "chapters", "exercises", "assignment: points"], rows)


def grading() -> str:
    """Points of each assignment: by machine and by hand."""
    given = assignments()
    rows = [
        [number, each.minutes, sum(each.points.values()) - each.by_hand, each.by_hand]
        for number, each in given.items()
    ]
    rows.append(["all", *(sum(row[i] for row in rows) for i in (1, 2, 3))])
    return lines(["assignment", "minutes", "points by machine", "by hand"], rows)


TABLES = {
    "minutes": minutes,
    "goals": goals,
    "grading": grading,
    **{name: lambda name=name: syllabus(name) for name in SYLLABI},
}


def filled(text: str) -> str:
    """A text with every table in it as it should be."""

    def table(match: re.Match) -> str:
        return f"{match[1]}\n{TABLES[match[2]]()}\n\n{match[3]}"

    return re.sub(r"(<!-- table (\w+) -->).*?(<!-- end -->)", table, text, flags=re.S)


def main(arguments: list[str]) -> int:
    """Run from the command line."""
    notebook = nbformat.read(PAGE, 4)
    changed = False
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (new := filled(cell.source)) != cell.source:
            cell.source, changed = new, True
    if changed and "--check" not in arguments:
        nbformat.write(notebook, PAGE)
        print(f"written; now run python book/_tools/notebooks.py {PAGE.relative_to(BOOK.parent)}")
    return int(changed and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
