"""Notebooks as students hand them in: the released one, solved, changed, mistreated."""

import json
import re
import sys
from pathlib import Path

import nbformat

FOLDER = Path(__file__).parents[2] / "book" / "assignments"
sys.path.insert(0, str(FOLDER))
import kit  # noqa: E402
import repair  # noqa: E402

NAME = "a02_softmax"
WORDS = "It gives the softmax of the scores as if nothing were hidden."
WRONG_SOFTMAX = "def softmax(scores):\n    return np.exp(scores) / np.exp(scores).sum()"


def released():
    return kit.release(NAME)


def solved():
    """The released notebook with the solutions in it."""
    made = released()
    for cell, source in zip(made.cells, kit.source(NAME).cells, strict=True):
        if "YOUR CODE HERE" in cell.source:
            cell.source = re.sub(r" *### (BEGIN|END) SOLUTION\n?", "", source.source)
        elif "YOUR ANSWER HERE" in cell.source:
            cell.source = WORDS
    return made


def named(notebook, name):
    return next(c for c in notebook.cells if repair.name_of(c) == name)


def answer(**cells):
    made = solved()
    for name, source in cells.items():
        named(made, name).source = source
    return made


def without_names(notebook):
    for cell in notebook.cells:
        cell.metadata = {}
    return notebook


def without(notebook, *names):
    notebook.cells = [c for c in notebook.cells if repair.name_of(c) not in names]
    return notebook


def copied(notebook, name, source=None):
    again = nbformat.from_dict(json.loads(json.dumps(named(notebook, name))))
    if source is not None:
        again.source = source
    notebook.cells.insert(notebook.cells.index(named(notebook, name)) + 1, again)
    return notebook


def retyped(notebook, name, kind):
    cell = named(notebook, name)
    cell.cell_type = kind
    for key in ("outputs", "execution_count"):
        cell.pop(key, None)
    return notebook


def added(notebook, source, first=False, after="", kind="code"):
    """With a cell of their own: the fourth, the first, or after a named one."""
    cell = getattr(nbformat.v4, f"new_{kind}_cell")(source)
    place = notebook.cells.index(named(notebook, after)) + 1 if after else 0 if first else 3
    notebook.cells.insert(place, cell)
    return notebook


def colab(notebook):
    """As Colab saves it: other metadata, ids and outputs of its own."""
    notebook.metadata = {"colab": {"provenance": []}, "kernelspec": {"name": "python3"}}
    for cell in notebook.cells:
        cell.metadata["id"] = "aBcDeF"
        cell.metadata["colab"] = {"base_uri": "https://localhost:8080/"}
    return notebook
