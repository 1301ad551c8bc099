"""What one notebook earned, and how it is kept between two runs of the grader."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

FILE = "results.json"


@dataclass
class Result:
    """What one notebook earned, before a person has read it."""

    student: str
    id: str = ""
    platform: str = ""
    late: bool = False
    page: str = ""  # the name of its page of feedback
    file: str = ""
    assignment: str = ""
    points: dict[str, float | None] = field(default_factory=dict)  # None: for a person to read
    most: dict[str, float] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    prints: dict[str, str] = field(default_factory=dict)  # look.fingerprints
    repairs: list[str] = field(default_factory=list)
    look: list[str] = field(default_factory=list)
    problem: str = ""


def save(results: list[Result], out: Path) -> None:
    """Keep results in the folder of grades."""
    text = json.dumps([asdict(each) for each in results], indent=1, ensure_ascii=False)
    (out / FILE).write_text(text + "\n", "utf-8")


def load(out: Path) -> list[Result]:
    """The results of the last run; none if there was none."""
    path = out / FILE
    if not path.exists():
        return []
    return [Result(**each) for each in json.loads(path.read_text("utf-8"))]


def merge(former: list[Result], new: list[Result]) -> list[Result]:
    """The results of two runs: what was handed in again replaces what it was.

    A student of whom something can be graded now is no longer listed as one without a notebook.
    """
    pages = {each.page for each in new}
    owners = {(each.student, each.id) for each in new}
    kept = [
        each
        for each in former
        if each.page not in pages and not (each.problem and (each.student, each.id) in owners)
    ]
    return sorted(kept + new, key=lambda each: (each.student, each.id, each.page))
