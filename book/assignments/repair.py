"""Bring a student's notebook back into the shape of the released one, before it is graded.

What students do to notebooks breaks graders: cells are copied, deleted, retyped from code to text,
run through programs that lose their metadata. Here the released notebook is the frame. Its locked
cells stand as they were; into the cells for answers goes what the student wrote, found by the
cell's name, or, where names are lost, by the function that it defines or the heading that it stands
under. What else the student wrote (an import, a helper) keeps its place. Every repair is listed.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

import nbformat

STUB = re.compile(r"YOUR (CODE|ANSWER) HERE|Your answer here|raise NotImplementedError")
DEFINED = re.compile(r"^(?:def|class)\s+(\w+)", re.M)
INSTALLS = re.compile(r"^\s*[%!]\s*(pip|conda|mamba|apt|apt-get)\b", re.M)
# No answer needs these. They are no proof of anything, and for a person to look at.
UNUSUAL = re.compile(
    r"\b(get_ipython|In|_guard|_remember|_passed|__closure__|environ|_getframe|gc|inspect|ctypes|builtins|__code__|__globals__"
    r"|__builtins__|__import__|importlib|sys\.modules|f_back|attnlib\.reference|settrace|os\._exit"
    r"|set_custom_exc|subprocess|socket|urllib|requests|exec|eval)\b"
)


class UnreadableError(Exception):
    """A submission is no notebook; the message says why."""


class Repaired(NamedTuple):
    """A notebook that can be graded, and what was done to it."""

    notebook: nbformat.NotebookNode
    repairs: list[str]


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


def repair(student: nbformat.NotebookNode, release: nbformat.NotebookNode) -> Repaired:
    """The released notebook with the student's answers in it."""
    repairs: list[str] = []
    names = {name_of(cell) for cell in release.cells}
    locked = {name_of(c): c for c in release.cells if not is_answer(c)}
    answers: dict[str, str] = {}
    extras: list[tuple[str, str]] = []  # what stands after which named cell
    spares: list[tuple[str, str]] = []  # nameless text after which named cell
    last = ""
    for cell in student.cells:
        name, source = name_of(cell), cell["source"]
        if name in locked:
            last = name
            if cell["cell_type"] != locked[name]["cell_type"] or _differs(source, locked[name]):
                repairs.append(f"{name}: changed, and put back as released")
            continue
        if name in names:
            last = name
            frame = next(c for c in release.cells if name_of(c) == name)
            if cell["cell_type"] != frame["cell_type"]:
                repairs.append(f"{name}: was {cell['cell_type']}, is {frame['cell_type']} again")
            if name not in answers:
                answers[name] = source
            elif STUB.search(answers[name]) and not STUB.search(source):
                repairs.append(f"{name}: stood twice, the one with an answer is kept")
                answers[name] = source
            elif source.strip() != answers[name].strip():
                repairs.append(f"{name}: stood twice, the first is kept as the answer")
                if cell["cell_type"] == "code" and frame["cell_type"] == "code":
                    extras.append((last, source))
            else:
                repairs.append(f"{name}: stood twice, once is enough")
        elif cell["cell_type"] == "code" and INSTALLS.search(source):
            repairs.append("a cell that installs: left out")
        elif cell["cell_type"] == "code" and source.strip():
            extras.append((last, source))
        elif source.strip():
            spares.append((last, source))
    kept = {_bare(cell["source"]) for cell in release.cells}
    extras = [(after, source) for after, source in extras if _bare(source) not in kept]

    cells, before = [], ""
    for frame in release.cells:
        name = name_of(frame)
        cell = nbformat.from_dict(json.loads(json.dumps(frame)))
        if is_answer(frame):
            missing = name not in answers or STUB.search(answers[name])
            if missing and (found := _look_for(frame, name, before, extras, spares)):
                answers[name] = found
                repairs.append(f"{name}: its name was lost, found by what it holds")
            elif name not in answers:
                repairs.append(f"{name}: was deleted, and is empty again")
            cell["source"] = answers.get(name, frame["source"])
        elif name and name not in {name_of(c) for c in student.cells}:
            repairs.append(f"{name}: was missing, and put back as released")
        cells.append(cell)
        for after, source in list(extras):
            if after == name and (name or frame is release.cells[0]):
                cells.append(nbformat.v4.new_code_cell(source))
                extras.remove((after, source))
        before = name or before
    # What stood before the first named cell, or after one that is not known: before the answers.
    start = next((i for i, cell in enumerate(cells) if is_answer(cell)), len(cells))
    cells[start:start] = [nbformat.v4.new_code_cell(source) for _, source in extras]
    made = nbformat.v4.new_notebook(cells=cells, metadata=release.metadata)
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number}"
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
        else:
            for key in ("outputs", "execution_count"):
                cell.pop(key, None)
    return Repaired(made, repairs)


def _look_for(frame, name, before, extras, spares) -> str:
    """What answers a cell whose name is lost: it defines the same, or stands at the same place."""
    if frame["cell_type"] == "code":
        wanted = set(DEFINED.findall(frame["source"]))
        for after, source in reversed(extras):
            if wanted and wanted <= set(DEFINED.findall(source)) and not STUB.search(source):
                extras.remove((after, source))
                return source
        return ""
    for after, source in spares:
        if after == before and not source.lstrip().startswith("#"):
            return source
    return ""


def _bare(source: str) -> str:
    return re.sub(r"\s+", "", source)


def _differs(source: str, frame) -> bool:
    return _bare(source) != _bare(frame["source"])


def suspicious(notebook: nbformat.NotebookNode) -> list[str]:
    """Names in a student's code that no answer needs: for a person to look at."""
    found = []
    for cell in notebook.cells:
        frame = cell.get("metadata", {}).get("nbgrader", {})
        if cell["cell_type"] == "code" and (is_answer(cell) or not frame.get("locked")):
            for name in sorted(set(UNUSUAL.findall(cell["source"]))):
                found.append(f"{name_of(cell) or 'a cell of their own'}: {name}")
    return found


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
