"""What a person should look at: code that no answer needs, checks replaced, answers alike.

None of it is a proof of anything.
"""

import ast
import functools
import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import nbformat
import python_cells
from repair import name_of

import attnlib

# What an answer may import beside what the set-up cell imports.
IMPORTS = {
    *("numpy", "math", "cmath", "random", "statistics", "itertools", "functools", "operator"),
    *("collections", "typing", "dataclasses", "string", "time", "warnings", "sys", "matplotlib"),
}
# Names that no answer needs: of the checks, of the grader, of Python's inside.
NAMES = re.compile(
    r"checks|a\d\d(_\w+)?|reference|attnlib|In|Out|get_ipython|exec|eval|compile|globals"
    r"|locals|vars|setattr|delattr|open|input|breakpoint|_[a-z]\w*|__\w+__"
)
ATTRIBUTES = {
    "setprofile",
    "settrace",
    "modules",
    "walk_stack",
    "walk_tb",
    "input_transformers_post",
}
# Methods by which an object pretends to be a number, a tensor, or equal to everything.
METHODS = re.compile(r"detach|numpy|cpu|__(eq|ne|bool|reduce\w*|array\w*|torch_function|class)__")
REPLACED = " was replaced by: "
USUAL_MAGIC = re.compile(r"\s*%+(matplotlib|pip|time|timeit|precision)\b")


def suspicious(notebook: nbformat.NotebookNode) -> list[str]:
    """What in a student's code no answer needs, read from its syntax tree."""
    setup = next((c["source"] for c in notebook.cells if name_of(c) == "setup"), "")
    allowed = IMPORTS | _imported(setup)
    found = []
    for cell in notebook.cells:
        about = cell.get("metadata", {}).get("nbgrader", {})
        if cell["cell_type"] != "code" or about.get("locked"):
            continue
        source = re.sub(r"^_keep\(globals.*", "", cell["source"])  # the grader's own
        where = name_of(cell) or "a cell of their own"
        found += [f"{where}: {each}" for each in sorted(unusual(source, allowed))]
    return found


def unusual(source: str, allowed: set[str] = IMPORTS) -> set[str]:
    """What in a cell no answer needs, but for imports that are allowed."""
    source = unicodedata.normalize("NFKC", source)
    magic = [line for line in source.splitlines() if re.match(r"\s*[%!]", line)]
    found = {line.split()[0] for line in magic if not USUAL_MAGIC.match(line)}
    plain = "\n".join("pass" if line in magic else line for line in source.splitlines())
    tree = python_cells.parsed(plain)
    if tree is None:
        return found
    finder = _Finder(allowed, _listed(tree))
    finder.visit(tree)
    own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and _stored(node)}
    own |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    own |= python_cells.defined(plain)
    return found | {each for each in finder.found if each not in own or not each.startswith("_")}


class _Finder(ast.NodeVisitor):
    """Collect what is unusual in a syntax tree."""

    def __init__(self, allowed: set[str], listed: set[str]):
        self.allowed, self.found, self.modules = allowed, set[str](), {"np", "torch", "math"}
        self.listed = listed

    def visit_Import(self, node):
        for each in node.names:
            self.modules.add(each.asname or each.name.split(".")[0])
            if each.name.split(".")[0] not in self.allowed:
                self.found.add(f"import {each.name}")

    def visit_ImportFrom(self, node):
        if (node.module or "").split(".")[0] not in self.allowed:
            self.found.add(f"from {node.module}")
        self.found |= {each.name for each in node.names if each.name in ATTRIBUTES}

    def visit_Name(self, node):
        if NAMES.fullmatch(node.id):
            self.found.add(node.id)

    def visit_Attribute(self, node):
        root = node
        while isinstance(root, ast.Attribute):
            root = root.value
        name = root.id if isinstance(root, ast.Name) else ""
        private = node.attr.startswith("_") and node.attr not in ("__init__", "__call__")
        if node.attr in ATTRIBUTES or (private and name not in ("self", "cls")):
            self.found.add(f".{node.attr}")
        if _stored(node) and name in self.modules:
            self.found.add(f"assigns to {ast.unparse(node)}")
        self.generic_visit(node)

    def visit_FunctionDef(self, node):
        if METHODS.fullmatch(node.name):
            self.found.add(f"def {node.name}")
        self.generic_visit(node)

    def visit_Call(self, node):
        called = node.func.id if isinstance(node.func, ast.Name) else ""
        name = node.args[1] if len(node.args) > 1 else None
        known = isinstance(name, ast.Constant) or (
            isinstance(name, ast.Name) and name.id in self.listed
        )
        if called == "getattr" and not known:
            self.found.add("getattr")
        self.generic_visit(node)

    def visit_Constant(self, node):
        text = node.value
        if isinstance(text, str | bytes) and len(text) > 150 and len(text.split()) == 1:
            self.found.add("a long text without spaces")


def _listed(tree: ast.AST) -> set[str]:
    """Names that only run over texts which a loop writes out, as ("W_Q", "W_K"), none private."""
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For | ast.comprehension)]
    listed = [
        node.target.id
        for node in loops
        if isinstance(node.target, ast.Name)
        and isinstance(node.iter, ast.Tuple | ast.List)
        and all(
            isinstance(each, ast.Constant)
            and isinstance(each.value, str)
            and each.value not in ATTRIBUTES
            and not each.value.startswith("_")
            for each in node.iter.elts
        )
    ]
    bound = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and _stored(node)]
    bound += [node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)]
    return {name for name in listed if bound.count(name) == listed.count(name)}


def _stored(node) -> bool:
    return isinstance(node.ctx, ast.Store | ast.Del)


def _imported(source: str) -> set[str]:
    """The packages that a cell imports, but for attnlib."""
    tree = python_cells.parsed(source)
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import)] if tree else []
    return {each.name.split(".")[0] for node in nodes for each in node.names} - {"attnlib"}


def copied(notebook: nbformat.NotebookNode) -> list[str]:
    """Longer functions that are, but for names, functions of attnlib."""
    found = []
    for cell in notebook.cells:
        if cell.get("metadata", {}).get("nbgrader", {}).get("solution"):
            for name, text in python_cells.functions(cell["source"]).items():
                if text in _package():
                    found.append(f"{name_of(cell)}: {name} is a copy of {_package()[text]}")
    return found


@functools.cache
def _package() -> dict[str, str]:
    """The longer functions of attnlib.checks and attnlib.reference, by what they compute."""
    folder = Path(attnlib.__file__).parent
    return {
        text: f"{path.stem}.{name}"
        for path in sorted([*folder.glob("checks/*.py"), folder / "reference.py"])
        for name, text in python_cells.functions(path.read_text("utf-8")).items()
    }


def replaced(tampered: dict[str, str]) -> list[str]:
    """Checks of which something was taken out, and what stood there instead."""
    return [f"{name}{REPLACED}{_short(text)}" for name, text in tampered.items()]


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
