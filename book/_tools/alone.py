"""Lay out each page as Colab would open it, alone in an empty folder, for nbval to run.

    python book/_tools/alone.py book/03_bahdanau.ipynb book/appendix/own.ipynb

Below `_build/alone` come a fresh environment, with attnlib's wheel and what the wheel asks for and
nothing else; a kernel in it; and a folder for each page, with its Colab notebook and nothing else.
The notebook has the outputs and tags that are stored in the page. Behind it come the page's own
solutions, in a cell each: what one prints must be what the page says, and its exercise's check must
pass. So one run by nbval shows that the page says what is stored, that its Colab notebook runs
unedited where nothing but the wheel is installed, and that its solutions are right.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import colab
import nbformat
from colab import ROOT
from notebooks import IGNORED
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OUT = ROOT / "_build" / "alone"
KERNEL = "alone"


# --- a fresh environment ---


def built_wheel(folder: Path) -> Path:
    """Build attnlib's wheel from a copy, so that nothing is left in the repository."""
    source = folder / "source"
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "attnlib", source / "attnlib", ignore=skipped)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = ("pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, source)
    subprocess.run([sys.executable, "-m", *map(str, command)], check=True)
    shutil.rmtree(source)
    return next(folder.glob("attnlib-*.whl"))


def closure(requirements: list[str]) -> set[str]:
    """Return the names of all distributions that the requirements ask for, here and now."""
    wanted, left = set(), [Requirement(text) for text in requirements]
    seen = set()
    while left:
        asked = left.pop()
        name = canonicalize_name(asked.name)
        if (name, frozenset(asked.extras)) in seen:
            continue
        seen.add((name, frozenset(asked.extras)))
        wanted.add(name)
        for text in metadata.requires(name) or []:
            further = Requirement(text)
            extras = asked.extras or {""}
            if not further.marker or any(further.marker.evaluate({"extra": e}) for e in extras):
                left.append(further)
    return wanted


def link_distribution(name: str, target: Path) -> None:
    """Put an installed distribution into another environment, file by file."""
    for file in metadata.files(name) or []:
        source, copy = Path(file.locate()), target / file
        if ".." in file.parts or not source.is_file():
            continue  # scripts and manual pages
        if copy.exists():
            continue  # another distribution holds it too: all of NVIDIA's hold nvidia/__init__.py
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, copy)
        except OSError:  # another disk
            shutil.copy2(source, copy)


def fresh_environment(folder: Path) -> Path:
    """Make an environment with the wheel and what the wheel asks for; return the wheel.

    Installing torch anew would take minutes and a network. So the distributions that the wheel's
    own metadata ask for (and those that these ask for) are linked from this environment, then pip
    installs the wheel with no index at hand: what it does not ask for, the pages cannot import.
    """
    wheel = built_wheel(folder)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        about = metadata.PathDistribution(zipfile.Path(archive, name.rsplit("/", 1)[0] + "/"))
        asked = [Requirement(text) for text in about.requires]
    chosen = [r for r in asked if not r.marker or r.marker.evaluate({"extra": "book"})]
    target = next((folder / "venv" / "lib").glob("python3.*")) / "site-packages"
    for name in closure([f"{r.name}[{','.join(r.extras)}]" for r in chosen]):
        link_distribution(name, target)
    command = (python, "-m", "pip", "install", "-q", "--no-index", "--disable-pip-version-check")
    subprocess.run([*map(str, command), f"attnlib[book] @ {wheel.as_uri()}"], check=True)
    kernel = folder / "jupyter" / "kernels" / KERNEL
    kernel.mkdir(parents=True)
    spec = {
        "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": KERNEL,
        "language": "python",
        "env": {
            "PATH": f"{python.parent}{os.pathsep}${{PATH}}",
            "PYTHONPATH": "",
            "VIRTUAL_ENV": "",
            "IPYTHONDIR": str(folder / "ipython"),
            "PIP_NO_INDEX": "1",  # all that the wheel asks for is there already
        },
    }
    (kernel / "kernel.json").write_text(json.dumps(spec), "utf8")
    return wheel


def installed(folder: Path) -> dict[str, str]:
    """Return the distributions of that environment with their versions."""
    ask = "import json\nfrom importlib.metadata import distributions\n"
    ask += "print(json.dumps({d.name: d.version for d in distributions()}))"
    command = [str(folder / "venv" / "bin" / "python"), "-c", ask]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


# --- what a page's exercises say ---

SOLUTION = re.compile(r"<summary><b>Solution to (.*?)</b></summary>(.*?)</details>", re.DOTALL)
CODE = re.compile(r"^```python\n(.*?)^```(?:\s*^```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"# (attnlib/\S+\.py)\n")  # the first line of what is shown, not run
LONG = re.compile(r"# (?:takes )?(?:some|\d+) (?:minutes|hours)\b.*\n")


def text_of(notebook) -> str:
    """Return all that is written in a notebook, without its code cells."""
    return "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")


def solutions(notebook) -> dict[str, list[tuple[str, str]]]:
    """Blocks of code of each solution that has any, each with what the page says it prints."""
    found = {title: CODE.findall(body) for title, body in SOLUTION.findall(text_of(notebook))}
    return {title: blocks for title, blocks in found.items() if blocks}


def checks(notebook) -> dict[str, list[str]]:
    """The blocks of each exercise that begin with `# check`: a right answer passes them."""
    found = {}
    for number, body in re.findall(
        r"^#+ (Exercise [\d.]+)(.*?)(?=^#{2,} |<details>|\Z)", text_of(notebook), re.M | re.S
    ):
        found[number] = [code for code, _ in CODE.findall(body) if code.startswith("# check\n")]
    assert sum(map(len, found.values())) == text_of(notebook).count("```python\n# check\n")
    return found


AT_ONCE = f"""import os
from attnlib.training import Run

if not os.path.exists("book"):
    os.symlink({str(ROOT / "book")!r}, "book")  # "from the root of a checkout"
_whole = Run.run
Run.run = lambda self, *_, **__: _whole(self, minutes=0)  # one update
"""


def solution_cells(notebook) -> list[nbformat.NotebookNode]:
    """Return a cell for each solution, which runs its code in a copy of the page's names.

    Solutions that train for minutes train for one update. An exercise's own check follows.
    """
    cells, checked = [], checks(notebook)
    for title, blocks in solutions(notebook).items():
        lines = ["import contextlib, io", "_names = dict(globals())"]
        for code, printed in blocks:
            if QUOTED.match(code):
                continue
            lines += AT_ONCE.splitlines() if LONG.match(code) else []
            lines += [
                "with contextlib.redirect_stdout(io.StringIO()) as _said:",
                f"    exec(compile({code!r}, {title!r}, 'exec'), _names)",
            ]
            lines += ["Run.run = _whole"] if LONG.match(code) else []
            if printed:
                lines.append(f"assert _said.getvalue() == {printed!r}, _said.getvalue()")
        number = re.match(r"Exercise [\d.]+", re.sub(r"<[^>]+>", "", title))
        for code in checked.pop(number.group() if number else "", []):
            lines.append(f"exec(compile({code!r}, {title!r}, 'exec'), _names)")
        cells.append(unshown("\n".join(lines)))
    assert not any(checked.values()), "an exercise has a check, and its solution no code"
    return cells


# --- the notebooks ---


def unshown(source: str) -> nbformat.NotebookNode:
    """Return a cell whose errors count, and not what it shows."""
    return nbformat.v4.new_code_cell(source, metadata={"tags": [IGNORED]})


def with_stored_outputs(notebook, stored) -> None:
    """Give the last cells of a Colab notebook, which are the page's, its outputs and tags."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    pages = [cell for cell in stored.cells if cell.cell_type == "code"]
    for cell, page in zip(code[-len(pages) :], pages, strict=True):
        assert cell.source.endswith(page.source), page.source
        cell.outputs = page.outputs
        cell.metadata = {"tags": page.metadata.get("tags", [])}


def laid_out(notebook, stored, wheel: Path, packages: dict[str, str]):
    """Return what nbval is to run of a page: its Colab notebook, and its solutions."""
    notebook, added = nbformat.from_dict(notebook), solution_cells(notebook)
    with_stored_outputs(notebook, stored)
    setup, asked = notebook.cells[0], colab.requirement(colab.repository_url())
    assert setup.source.count(asked) == 1
    notebook.cells[0] = unshown(setup.source.replace(asked, f"attnlib[book] @ {wheel.as_uri()}"))
    unchanged = f"""import sys
from importlib.metadata import distributions
import attnlib
assert attnlib.__file__.startswith(sys.prefix), attnlib.__file__
_installed = {{d.name: d.version for d in distributions()}}
assert _installed == {packages!r}, "the set-up cell replaced a package"
"""
    notebook.cells += [*added, unshown(unchanged)]
    notebook.metadata.kernelspec = {"name": KERNEL, "display_name": KERNEL, "language": "python"}
    return notebook


def lay_out(pages: list[Path], out: Path = OUT) -> None:
    """Write the environment, its kernel, and a folder for each page below `out`."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with ThreadPoolExecutor(1) as beside, tempfile.TemporaryDirectory() as scratch:
        environment = beside.submit(fresh_environment, out)
        colab.convert(ROOT, Path(scratch))
        wheel = environment.result()
        packages = installed(out)
        for page in pages:
            written = Path(scratch) / page.resolve().relative_to(ROOT)
            notebook = laid_out(nbformat.read(written, 4), nbformat.read(page, 4), wheel, packages)
            folder = out / "pages" / page.stem
            folder.mkdir(parents=True)
            nbformat.write(notebook, folder / page.name)


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pages", nargs="+", type=Path, help="notebooks of the book")
    lay_out(parser.parse_args(arguments).pages)
    return 0


if __name__ == "__main__":
    sys.exit(main())
