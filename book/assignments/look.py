"""What a person should look at: names that no answer needs, checks replaced, answers alike.

None of it is a proof of anything.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import nbformat
import python_cells
from repair import name_of

# No answer needs these.
UNUSUAL = re.compile(
    r"\b(get_ipython|In|_remember|_keep|_check|__closure__|environ|_getframe|gc|inspect|ctypes"
    r"|builtins|__code__|__globals__|__builtins__|__import__|importlib|sys\.modules|f_back"
    r"|attnlib\.reference|settrace|os\._exit|set_custom_exc|subprocess|socket|urllib|requests"
    r"|exec|eval|setattr|__eq__|__ne__|__bool__|__array\w*__|__torch_function__"
    r"|__instancecheck__|__class__)(?!\w)"
)
FILES = re.compile(r"\b(open|glob|listdir|scandir|walk|read_text|read_bytes)\s*\(")
ASSIGNS = re.compile(r"\b((?:checks|compare|np|numpy|torch|attnlib)(?:\.\w+)+)\s*=(?!=)")


def suspicious(notebook: nbformat.NotebookNode) -> list[str]:
    """Names in a student's code that no answer needs."""
    found = []
    for cell in notebook.cells:
        about = cell.get("metadata", {}).get("nbgrader", {})
        if cell["cell_type"] != "code" or about.get("locked"):
            continue
        source = re.sub(r"^_keep\(globals.*", "", cell["source"])  # the grader's own
        names = set(UNUSUAL.findall(source))
        names |= {f"{name}(" for name in FILES.findall(source)}
        names |= {f"assigns to {name}" for name in ASSIGNS.findall(source)}
        found += [f"{name_of(cell) or 'a cell of their own'}: {name}" for name in sorted(names)]
    return found


def replaced(tampered: dict[str, str]) -> list[str]:
    """Checks of which something was taken out, and what stood there instead."""
    return [f"{name} was replaced by: {_short(text)}" for name, text in tampered.items()]


def _short(text: str, most: int = 80) -> str:
    text = " / ".join(text.split("\n"))
    return text if len(text) <= most else text[: most - 1] + "…"


class Alike(NamedTuple):
    """An answer that several students gave."""

    assignment: str
    cell: str
    students: list[str]
    of: int  # so many answered it
    published: bool  # the solution in the repository


def alike(
    answers: Iterable[tuple[str, str, dict[str, str]]], published: dict[str, dict[str, str]]
) -> list[Alike]:
    """Answers that are the same but for names, comments and layout, the rarest first.

    Parameters
    ----------
    answers : iterable of (student, assignment, answers)
        Each student's answers by the cell, as `fingerprints` gives them.
    published : dict
        The same of the solutions, by the assignment.
    """
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    of: dict[tuple[str, str], int] = defaultdict(int)
    for student, assignment, theirs in answers:
        for cell, print_ in theirs.items():
            groups[assignment, cell, print_].append(student)
            of[assignment, cell] += 1
    found = [
        Alike(name, cell, who, of[name, cell], published.get(name, {}).get(cell) == print_)
        for (name, cell, print_), who in groups.items()
    ]
    found = [each for each in found if len(set(each.students)) > 1 or each.published]
    return sorted(found, key=lambda each: (each.assignment, len(each.students) / each.of))


def fingerprints(
    notebook: nbformat.NotebookNode, release: nbformat.NotebookNode, words: dict[str, str]
) -> dict[str, str]:
    """A short number for each answer, the same for answers that compute the same in one way."""
    stubs = {name_of(cell): cell["source"] for cell in release.cells}
    texts = {name: "".join(re.findall(r"\w+", text.lower())) for name, text in words.items()}
    for cell in notebook.cells:
        about = cell.get("metadata", {}).get("nbgrader", {})
        if about.get("solution") and cell["cell_type"] == "code":
            name = name_of(cell)
            if not python_cells.unwritten(cell["source"], stubs[name]):
                texts[name] = python_cells.normal(cell["source"])
    return {
        name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in texts.items() if text
    }
