"""Make the checks of an assignment hard to talk out of failing."""

import re
from pathlib import Path

import in_kernel
import nbformat
from repair import DEFINED, name_of

MARK = "ATTNLIB_GRADER_MARK"  # the variable that brings the mark into the kernel
MARKER = re.compile(r"^ *### (BEGIN|END) (SOLUTION|HIDDEN TESTS) *\n?", re.M)
BEFORE = """# what the grader adds before the first cell
import os as _o, warnings as _w
try:
    import resource as _r
    _r.setrlimit(_r.RLIMIT_DATA, ({memory} * 2**20,) * 2)
except (ImportError, ValueError):
    pass
import numpy as _n, numpy.random
import attnlib.reference, attnlib.checks, attnlib.checks.compare, attnlib.checks.reach{modules}
_w.simplefilter("ignore")
_space = {{"__name__": "attnlib_grader"}}
exec({program!r}, _space)
_remember, _keep, _check = _space["start"](
    get_ipython(), _o.environ.pop({variable!r}), {setup!r}, {digests!r}
)
del _space
_n.seterr(all="ignore")
"""


def with_guards(notebook: nbformat.NotebookNode, memory: int) -> nbformat.NotebookNode:
    """A source notebook whose set-up cell loads `in_kernel.py`, and whose checks run in it."""
    modules = "".join(
        f", attnlib.checks.{name}"
        for cell in notebook.cells
        for name in re.findall(r"from attnlib\.checks import (\w+)", cell.source)
    )
    setup = {"checks", "reference", *re.findall(r"checks\.(\w+)", modules)} | {
        name
        for cell in notebook.cells
        if name_of(cell) == "setup"
        for name in re.findall(r"(?m)^(?:import \w+ as )?(\w+)(?: =|$)", cell.source)
    }
    digests = _guard_checks(notebook)
    program = (Path(__file__).parent / "in_kernel.py").read_text("utf-8")
    for cell in notebook.cells:
        if name_of(cell) == "setup":
            before = BEFORE.format(
                memory=memory,
                modules=modules,
                program=program,
                variable=MARK,
                setup=sorted(setup),
                digests=digests,
            )
            cell.source = f"{before}{cell.source}\n_remember(globals())"
    return notebook


def _guard_checks(notebook: nbformat.NotebookNode) -> list[str]:
    """Let each check run in `in_kernel.check`; the digests of what it is called with."""
    solutions: dict[str, str] = {}
    digests = []
    task = ""
    for cell in notebook.cells:
        about = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and about.get("solution"):
            task = name_of(cell)
            solutions[task] = MARKER.sub("", cell.source)
        elif cell.cell_type == "code" and about.get("grade"):
            earlier = {name: text for name, text in solutions.items() if name != task}
            wanted = DEFINED.findall(solutions.get(task, ""))
            source = MARKER.sub("", cell.source)
            digests.append(in_kernel.digest(task, wanted, source, earlier))
            cell.source = f"_check(globals(), {task!r}, {wanted!r}, {source!r}, {earlier!r})"
    return digests


def repeats(text: str, guarded: nbformat.NotebookNode) -> bool:
    """Say whether a text holds a line of a check's own code, as an answer may print it."""
    lines = {
        line.strip()
        for cell in guarded.cells
        if cell.metadata.get("nbgrader", {}).get("grade") and cell.cell_type == "code"
        for line in cell.source.split("\\n")
    }
    return any(len(line) > 24 and line in text for line in lines)
