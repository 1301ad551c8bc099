"""The notebooks of the assignments: what students get, and what a lecturer keeps.

    python book/assignments/kit.py release                writes book/assignments/release
    python book/assignments/kit.py instructor OUT.zip     solutions, hidden checks, guide
    python book/assignments/kit.py instructor OUT.zip --seed 2027    with other hidden cases

The source of an assignment is an nbgrader notebook, with solutions and hidden checks in it.
nbgrader's own preprocessors take them out of what is released.
"""

import argparse
import re
import sys
import zipfile
from pathlib import Path

import nbformat
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearOutput,
    ClearSolutions,
    LockCells,
)

HERE = Path(__file__).resolve().parent
SOURCE, RELEASE = HERE / "source", HERE / "release"
HIDDEN_SEED = re.compile(r"(?<=seed=)(\d+)")


def _some_sources() -> dict[str, Path]:
    """The source notebooks, which a copy for students lacks."""
    if not sources():
        raise SystemExit(f"no assignment in {SOURCE}: it holds the solutions and hidden checks")
    return sources()


def sources() -> dict[str, Path]:
    """The source notebook of every assignment, by its name."""
    return {path.stem: path for path in sorted(SOURCE.glob("*/*.ipynb"))}


def source(name: str, seed: int | None = None) -> nbformat.NotebookNode:
    """An assignment with its solutions; with a seed, the hidden checks draw other cases."""
    notebook = nbformat.read(sources()[name], 4)
    if seed is None:
        return notebook
    other = 1000 * seed
    for cell in notebook.cells:
        head, begin, hidden = cell.source.partition("### BEGIN HIDDEN TESTS")
        cell.source = head + begin + HIDDEN_SEED.sub(lambda m: str(int(m[1]) + other), hidden)
    return notebook


def release(name: str) -> nbformat.NotebookNode:
    """An assignment as students get it: stubs for solutions, no hidden checks."""
    notebook = source(name)
    resources: dict = {}
    steps = (LockCells, ClearSolutions, ClearOutput, CheckCellMetadata, ClearHiddenTests)
    for step in steps:
        notebook, resources = step().preprocess(notebook, resources)
    return notebook


def write_release() -> list[Path]:
    """Write what students get, one notebook for each assignment."""
    written = []
    for name in _some_sources():
        path = RELEASE / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(nbformat.writes(release(name)) + "\n", "utf-8")
        written.append(path)
    return written


def write_instructor(path: Path, seed: int | None = None) -> None:
    """Write a zip with all that students must not have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in _some_sources():
            archive.writestr(f"source/{name}/{name}.ipynb", nbformat.writes(source(name, seed)))
            archive.writestr(f"release/{name}/{name}.ipynb", nbformat.writes(release(name)))
        patterns = ("*.py", "mutants/*.py", "*.md", "Dockerfile")
        for each in sorted(path for pattern in patterns for path in HERE.glob(pattern)):
            archive.write(each, each.relative_to(HERE))


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("release", "instructor"))
    parser.add_argument("out", nargs="?", type=Path)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args(arguments)
    if options.what == "release":
        print(*(path.relative_to(HERE) for path in write_release()), sep="\n")
    else:
        out = options.out or Path("instructor.zip")
        write_instructor(out, options.seed)
        print(f"{out}: solutions, hidden checks, grader and guide")
    return 0


if __name__ == "__main__":
    sys.exit(main())
