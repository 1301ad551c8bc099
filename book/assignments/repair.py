"""Bring a student's notebook back into the shape of the released one, before it is graded.

What students do to notebooks breaks graders: cells are copied, deleted, retyped from code to text,
run through programs that lose their metadata. Here the released notebook is the frame. Its locked
cells stand as they were; into the cells for answers goes what the student wrote, found by the
cell's name, or, where names are lost or another cell was used, by the function that it defines or
the question that it stands under. What else the student wrote (an import, a helper) keeps its
place. Every repair is listed.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

import nbformat
import python_cells

DEFINED = re.compile(r"^(?:def|class)\s+(\w+)", re.M)
INSTALLS = re.compile(r"^\s*[%!]\s*(pip|conda|mamba|apt|apt-get)\b", re.M)
PLACEHOLDER = re.compile(r"[*_]*(your answer here\b[.:]?)[*_]*", re.I)


class UnreadableError(Exception):
    """A submission is no notebook; the message says why."""


class Repaired(NamedTuple):
    """A notebook that can be graded, and what was done to it."""

    notebook: nbformat.NotebookNode
    repairs: list[str]
    words: dict[str, str]  # answers in words, by the question; empty where there are none
    tampered: dict[str, str]  # checks of which something was taken out: what stands there instead


class Extra(NamedTuple):
    """A cell of the student's own, and the released cell that it stands after."""

    after: str
    source: str


def read(path: Path) -> nbformat.NotebookNode:
    """A notebook as a student handed it in: with a byte-order mark, of an older format, from Colab.

    Raises
    ------
    UnreadableError
        When it is no notebook.
    """
    raw = path.read_bytes()
    if not raw.strip():
        raise UnreadableError("the file is empty")
    text = raw.decode("utf-8-sig", errors="replace").replace("\r\n", "\n")
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        kind = "a web page" if text.lstrip()[:1] == "<" else "no JSON"
        raise UnreadableError(
            f"it is {kind}, not a notebook ({error.msg}, line {error.lineno})"
        ) from None
    if not isinstance(data, dict) or not isinstance(
        data.get("cells", data.get("worksheets")), list
    ):
        raise UnreadableError("it has no cells")
    try:
        if data.get("nbformat", 4) < 4:
            return nbformat.convert(nbformat.from_dict(data), 4)
        data.setdefault("nbformat", 4)
        cells = [cell for cell in data["cells"] if isinstance(cell, dict)]
        return nbformat.from_dict({**data, "cells": [_whole(cell) for cell in cells]})
    except Exception as error:
        raise UnreadableError(f"its cells cannot be read ({error})") from None


def _whole(cell: dict) -> dict:
    """A cell with all that a cell must have."""
    source = cell.get("source", "")
    source = "".join(source) if isinstance(source, list) else str(source)
    kind = cell.get("cell_type")
    kind = kind if kind in ("code", "markdown", "raw") else "code"
    metadata = cell.get("metadata")
    return {
        "cell_type": kind,
        "metadata": metadata if isinstance(metadata, dict) else {},
        "source": source.replace("\r\n", "\n").replace("\xa0", " "),
    }


def name_of(cell) -> str:
    """The name of a cell of an assignment; nothing if it has none."""
    about = cell["metadata"].get("nbgrader", {})
    return about.get("grade_id", "") if isinstance(about, dict) else ""


def is_answer(cell) -> bool:
    """Say whether a cell of the released notebook is for an answer."""
    return bool(cell["metadata"].get("nbgrader", {}).get("solution"))


class Frame:
    """The released notebook, by the names of its cells."""

    def __init__(self, release: nbformat.NotebookNode):
        self.cells = release.cells
        self.named = {name_of(cell): cell for cell in release.cells if name_of(cell)}
        self.order = list(self.named)
        self.by_text = {_bare(cell["source"]): name_of(cell) for cell in release.cells}
        text = (cell["source"] for cell in release.cells if cell["cell_type"] != "code")
        self.lines = {_bare(line) for source in text for line in source.splitlines()}

    def locked(self, name: str) -> bool:
        """Say whether a cell is released, and not for an answer."""
        return name in self.named and not is_answer(self.named[name])

    def check_of(self, name: str) -> int:
        """Where the check of an answer stands in the order of the cells."""
        start = self.order.index(name)
        for place in range(start + 1, len(self.order)):
            if self.named[self.order[place]]["metadata"]["nbgrader"].get("grade"):
                return place
        return len(self.order)

    def own_words(self, source: str) -> str:
        """What in a text is the student's: no line of the released text, and no "your answer"."""
        lines = [line for line in source.splitlines() if _bare(line) not in self.lines]
        own = PLACEHOLDER.sub("", "\n".join(lines)).strip()
        return own if re.search(r"\w", own) else ""


class Student:
    """What a student wrote, cell by cell."""

    def __init__(self, notebook: nbformat.NotebookNode, frame: Frame):
        self.repairs: list[str] = []
        self.tampered: dict[str, str] = {}
        self.found: dict[str, list[Extra]] = {}  # cells that have the name of an answer
        self.code: list[Extra] = []  # code cells of their own
        self.text: list[Extra] = []  # text of their own, in cells of their own
        self.seen: set[str] = set()
        last = ""
        for cell in notebook.cells:
            source = cell["source"]
            name = name_of(cell)
            if name not in frame.named:
                name = frame.by_text.get(_bare(source), "")
            if frame.locked(name):
                self._locked(cell, frame, name)
            elif name:
                kind, was = frame.named[name]["cell_type"], cell["cell_type"]
                if was != kind:
                    self.repairs.append(f"{name}: was {was}, is {kind} again")
                self.found.setdefault(name, []).append(Extra(last, source))
            elif _bare(source) in frame.by_text:
                continue
            elif cell["cell_type"] == "code" and INSTALLS.search(source):
                self.repairs.append("a cell that installs: left out")
            elif cell["cell_type"] == "code" and source.strip():
                self.code.append(Extra(last, source))
            elif own := frame.own_words(source):
                self.text.append(Extra(last, own))
            if name and name not in self.seen:
                last = name
            self.seen |= {name} - {""}

    def _locked(self, cell, frame: Frame, name: str) -> None:
        """Compare a released cell with what became of it."""
        released, source = frame.named[name], cell["source"]
        if released["cell_type"] != "code":
            if _bare(source) != _bare(released["source"]):
                self.repairs.append(f"{name}: its text was changed, and put back as released")
                if own := frame.own_words(source):
                    self.text.append(Extra(name, own))
            return
        if cell["cell_type"] != "code":
            self.repairs.append(f"{name}: was {cell['cell_type']}, is code again")
        if _bare(source) == _bare(released["source"]):
            return
        now = python_cells.statements(source)
        then = python_cells.statements(released["source"])
        added = [each for each in now if each not in then]
        gone = [each for each in then if each not in now]
        is_check = released["metadata"]["nbgrader"].get("grade")
        if gone and is_check:
            self.tampered[name] = "\n".join(added) or "nothing"
        if not gone and not added:
            self.repairs.append(f"{name}: the same code, written otherwise")
            return
        self.repairs.append(f"{name}: its code was changed, and put back as released")
        if added and not is_check:  # an import, a helper
            self.repairs[-1] += "; what was added stands below it"
            self.code.append(Extra(name, "\n".join(added)))


def repair(student: nbformat.NotebookNode, release: nbformat.NotebookNode) -> Repaired:
    """The released notebook with the student's answers in it."""
    frame = Frame(release)
    theirs = Student(student, frame)
    repairs = theirs.repairs
    words: dict[str, str] = {}
    answers: dict[str, str] = {}
    before = ""
    for name, cell in frame.named.items():
        if not is_answer(cell):
            if name not in theirs.seen:
                repairs.append(f"{name}: was missing, and put back as released")
            before = name
        elif cell["cell_type"] == "code":
            answers[name] = _code_answer(name, before, frame, theirs)
        else:
            words[name] = _words(name, before, frame, theirs)
            answers[name] = words[name] or cell["source"]
    cells = []
    for cell in frame.cells:
        name = name_of(cell)
        made = nbformat.from_dict(json.loads(json.dumps(cell)))
        made["source"] = answers.get(name, cell["source"])
        cells += [made, *_below(name, frame, theirs, answers)]
    # What stood before the first released cell: before the answers.
    start = next((i for i, cell in enumerate(cells) if is_answer(cell)), len(cells))
    cells[start:start] = [_code(extra.source) for extra in theirs.code if not extra.after]
    made = nbformat.v4.new_notebook(cells=cells, metadata=release.metadata)
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number}"
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
        else:
            for key in ("outputs", "execution_count"):
                cell.pop(key, None)
    return Repaired(made, repairs, words, theirs.tampered)


def _code_answer(name: str, before: str, frame: Frame, theirs: Student) -> str:
    """The code that answers a question: in its own cell, else in one that defines the same."""
    released = frame.named[name]["source"]
    found = theirs.found.get(name, [])
    written = [each for each in found if not python_cells.unwritten(each.source, released)]
    if written:
        if len(found) > 1:
            theirs.repairs.append(_twice(name, found, written))
        for other in written[1:]:
            if _bare(other.source) != _bare(written[0].source):
                theirs.code.append(other)
        return written[0].source
    wanted = set(DEFINED.findall(released))
    others = [
        each
        for each in theirs.code
        if wanted
        and wanted <= set(DEFINED.findall(each.source))
        and not python_cells.unwritten(each.source, released)
    ]
    if not others:
        if not found:
            theirs.repairs.append(f"{name}: was deleted, and is empty again")
        return found[0].source if found else released
    # The last one near the question; if there is none, the last of all.
    chosen = ([each for each in others if each.after in (before, name)] or others)[-1]
    theirs.code.remove(chosen)
    why = "not written in its own cell" if found else "its name was lost"
    several = f"; {len(others)} cells define it, this is the last" if len(others) > 1 else ""
    theirs.repairs.append(f"{name}: {why}, taken from a cell that defines it{several}")
    return chosen.source


def _twice(name: str, found: list[Extra], written: list[Extra]) -> str:
    """What to say of an answer whose cell was copied."""
    if len({_bare(each.source) for each in found}) == 1:
        return f"{name}: stood {len(found)} times, once is enough"
    if len(written) == 1:
        return f"{name}: stood {len(found)} times, the one with an answer is kept"
    return (
        f"{name}: stood {len(found)} times with different answers, the first is kept as the answer"
    )


def _below(name: str, frame: Frame, theirs: Student, answers: dict[str, str]) -> list:
    """The student's own cells after a released one.

    Where one of them defines an answer again before its check, one of the two must be right: the
    cell in between keeps the first (`in_kernel.check`).
    """
    cells = []
    for extra in [each for each in theirs.code if name and each.after == name]:
        place, again = frame.order.index(name), python_cells.defined(extra.source)
        for answer in answers:
            wanted = set(DEFINED.findall(frame.named[answer]["source"]))
            if not wanted & again or place < frame.order.index(answer):
                continue
            if place < frame.check_of(answer):
                cells.append(_code(f"_keep(globals(), {sorted(wanted)!r})"))
                theirs.repairs.append(f"{answer}: defined again before its check; either may pass")
            else:
                theirs.repairs.append(f"{answer}: defined again after its check, does not count")
        cells.append(_code(extra.source))
    return cells


def _words(name: str, before: str, frame: Frame, theirs: Student) -> str:
    """The answer to a question in words, wherever in the notebook it is."""
    here = list(dict.fromkeys(frame.own_words(each.source) for each in theirs.found.get(name, [])))
    here = [each for each in here if each]
    below = [each.source for each in theirs.text if each.after == name]
    above = [each.source for each in theirs.text if each.after == before]
    prose = [e for e in theirs.code if e.after in (before, name) and not _computes(e.source)]
    if here:
        if below:
            theirs.repairs.append(f"{name}: the text below its cell is read too")
        return "\n\n".join(here + below)
    places = (
        (above + below, "the text in a cell beside it is taken as the answer"),
        ([each.source for each in prose], "the text in a code cell is taken as the answer"),
        ([each.source for each in theirs.text], "no text at its place; all other text is shown"),
    )
    for texts, why in places:
        if texts:
            theirs.repairs.append(f"{name}: {why}")
            for each in prose if texts == [each.source for each in prose] else []:
                theirs.code.remove(each)
            return "\n\n".join(texts)
    if name not in theirs.found:
        theirs.repairs.append(f"{name}: was deleted, and is empty again")
    return ""


def _computes(source: str) -> bool:
    """Say whether a code cell holds code, rather than words or comments."""
    return bool(python_cells.parsed(source)) and not python_cells.unwritten(source, "")


def _code(source: str):
    return nbformat.v4.new_code_cell(source)


def _bare(source: str) -> str:
    return re.sub(r"\s+", "", source)


def which(student: nbformat.NotebookNode, releases: dict[str, nbformat.NotebookNode]) -> str:
    """The assignment that a notebook answers: by the names of its cells, else by its text.

    Raises
    ------
    UnreadableError
        When it resembles none.
    """

    def likeness(release) -> float:
        names = {name_of(c) for c in release.cells} - {""}
        found = len(names & {name_of(c) for c in student.cells})
        texts = {_bare(c["source"]) for c in release.cells}
        return 2 * found + len(texts & {_bare(c["source"]) for c in student.cells})

    scores = {name: likeness(release) for name, release in releases.items()}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] == 0:
        defined = {d for c in student.cells for d in DEFINED.findall(c["source"])}
        shared = {
            name: len(defined & {d for c in r.cells for d in DEFINED.findall(c["source"])})
            for name, r in releases.items()
        }
        best = max(shared, key=lambda name: shared[name])
        if shared[best] == 0:
            raise UnreadableError("it is no notebook of these assignments")
    return best
