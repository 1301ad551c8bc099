"""Write a plain notebook for Colab from every chapter: `_build/colab/book/NN_name.ipynb`.

    python book/_tools/colab.py

Colab shows plain Markdown and `$...$`, not MyST: roles, directives and labels would stand there as
raw text. So Sphinx reads the whole book once with the book's own configuration and resolves every
number, reference and citation, and this builder writes the resolved tree of each chapter back as
Markdown, with the code cells and their stored outputs in their places. The page and the notebook
thus have the same numbers, and a chapter that uses a construct this file does not know is an error.

QuantEcon's sphinx-tojupyter does the same from the same tree. Tried (0.6.0) on a chapter of this
kind, it turned every code cell into Markdown (myst-nb marks them `python`, it looks for
`ipython3`), lost outputs and cell metadata, unfolded the solutions, made a level-one heading of
every admonition, and it needs dask. Mending that would be longer than the writer below.

Each notebook begins with a set-up cell that installs attnlib from the repository named in
`_config.yml`, without touching the torch that is already there. A small file of `book/` that a
chapter reads is written out by a cell of its own, so the notebook runs alone in an empty folder.
"""

import argparse
import ast
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlparse

import nbformat
import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.util.docutils import docutils_namespace

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from colab_markdown import MarkdownWriter, anchor, escape, folded
from colab_tex import MarkupError
from compare import TAG
from notebooks import METADATA, cell_id

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "_build" / "colab"
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
BRANCH = "colab"
LARGEST_FILE = 200_000  # bytes of a result file that a notebook may carry with it
OUTPUT_KINDS = ("image/png", "image/jpeg", "image/svg+xml", "text/html", "text/plain")
# Outputs are copied, but myst-nb wants an order.
PRIORITIES = [("colab", kind, number) for number, kind in enumerate(OUTPUT_KINDS)]


# --- addresses: all from the one in _config.yml ---


def repository_url(root: Path = ROOT) -> str:
    """Return the repository's address as _config.yml has it."""
    return yaml.safe_load((root / "_config.yml").read_text("utf8"))["repository"]["url"].rstrip("/")


def pages_url(repository: str) -> str:
    """Return the address of the published pages that belongs to a GitHub repository."""
    owner, name = urlparse(repository).path.strip("/").split("/")[:2]
    home = f"https://{owner.lower()}.github.io"
    return home if name.lower() == f"{owner.lower()}.github.io" else f"{home}/{name}"


def notebook_url(repository: str, docname: str) -> str:
    """Return the address that opens a generated notebook in Colab."""
    path = urlparse(repository).path.strip("/")
    return f"https://colab.research.google.com/github/{path}/blob/{BRANCH}/{docname}.ipynb"


def requirement(repository: str) -> str:
    """Return what the set-up cell installs."""
    return f"attnlib[book] @ git+{repository}"


def setup_cell(repository: str, note: str) -> nbformat.NotebookNode:
    """Return the cell that installs attnlib, and nothing that is there already."""
    return nbformat.v4.new_code_cell(
        "#@title Set-up: run this cell first. It installs attnlib and leaves torch as it is\n"
        f"# {note}\n"
        f'%pip install -q "{requirement(repository)}"'
    )


class Chapter(MarkdownWriter):
    """The Markdown and code cells of one chapter."""

    def __init__(self, builder: "ColabBuilder", docname: str, doctree: nodes.document):
        super().__init__(builder, docname, doctree)
        self.source = nbformat.read(self.env.doc2path(docname), 4)
        self.folder = Path(self.env.doc2path(docname)).parent
        self.cells: list[nbformat.NotebookNode] = []
        self.pending: list[str] = []

    # cells

    def flush(self) -> None:
        """Close the Markdown cell that is being written."""
        text = "\n\n".join(part for part in self.pending if part.strip())
        self.pending = []
        if text:
            self.add(nbformat.v4.new_markdown_cell(text))

    def add(self, cell: nbformat.NotebookNode) -> None:
        self.cells.append(cell)

    def notebook(self) -> nbformat.NotebookNode:
        """Return the chapter as a notebook for Colab."""
        self.add(self.setup_cell())
        files = self.files_cell()
        if files is not None:
            self.add(files)
        for node in self.doctree.children:
            self.flow(node)
        if self.elsewhere:
            self.flush()
            entries = sorted(self.elsewhere.items(), key=lambda item: item[1].astext())
            lines = [f"- {anchor(name)}{self.inline(entry)}" for name, entry in entries]
            self.pending = ["## References", "\n".join(lines)]
        self.flush()
        whole = nbformat.v4.new_notebook(cells=self.cells, metadata=METADATA)
        whole.metadata["colab"] = {"provenance": [], "toc_visible": True}
        taken: set[str] = set()
        for cell in whole.cells:
            cell.id = cell_id(cell.cell_type + cell.source, taken)
        return whole

    def setup_cell(self) -> nbformat.NotebookNode:
        """Install attnlib, and nothing that is there already."""
        repository = self.builder.repository
        return setup_cell(
            repository, f"The chapter as a page: {pages_url(repository)}/{self.docname}.html"
        )

    def files_cell(self) -> nbformat.NotebookNode | None:
        """Write out the small files of the book that the chapter's code names."""
        found = sorted({path for cell in self.source.cells for path in self.named_files(cell)})
        if not found:
            return None
        lines = [
            "#@title The small result files that this chapter reads",
            "from pathlib import Path",
        ]
        lines += [""]
        for path in found:
            name, text = self.place(path), path.read_text("utf8")
            if path.suffix == ".json":  # one long line: where forms do not fold, it stays short
                text = json.dumps(json.loads(text), separators=(",", ":"))
            if len(text.encode()) > LARGEST_FILE:
                raise MarkupError(f"{self.docname}: {name} is too large to carry along")
            lines += [f'Path("{name}").parent.mkdir(parents=True, exist_ok=True)']
            plain = not re.search(r"\\|\"\"\"|\"\Z", text)
            value = f'"""\\\n{text}"""' if plain else repr(text)
            lines += [f'Path("{name}").write_text({value}, encoding="utf-8");']
        cell = nbformat.v4.new_code_cell("\n".join(lines))
        cell.metadata["cellView"] = "form"
        return cell

    def place(self, path: Path) -> str:
        """Return where a file is written: below the notebook, that of an appendix too."""
        home = next(home for home in self.homes() if path.is_relative_to(home))
        return path.relative_to(home).as_posix()

    def homes(self) -> list[Path]:
        """Return the folders whose files a chapter may read: its own, and the book's around it."""
        own = self.folder.resolve()
        return [own, own.parent] if (own.parent / "results").is_dir() else [own]

    def named_files(self, cell: nbformat.NotebookNode) -> list[Path]:
        """Return the book's files that stand as strings in code, also as Path("a") / "b".

        The code may be a cell's, or that of a solution, which a reader runs in a cell of their own.
        """
        blocks = [cell.source] if cell.cell_type == "code" else FENCE.findall(cell.source)
        names = set()
        for block in blocks:
            try:
                tree = ast.parse(re.sub(r"(?m)^(\s*)[%!]", r"\1# ", block))
            except SyntaxError:
                continue
            names |= {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
        names = {
            name for name in names if isinstance(name, str) and re.fullmatch(r"[\w./-]+", name)
        }
        homes = self.homes()
        tries = [self.folder / name for name in names]
        tries += [home / "results" / name for home in homes for name in names]
        files = (path.resolve() for path in tries if path.suffix and path.is_file())
        return [path for path in files if any(path.is_relative_to(home) for home in homes)]

    # blocks at the level of the chapter

    def flow(self, node: nodes.Node) -> None:
        """Add a block; headings and code begin new cells."""
        if isinstance(node, nodes.section):
            self.depth += 1
            self.flush()
            for child in node.children:
                self.flow(child)
            self.depth -= 1
        elif isinstance(node, nodes.Element) and node.get("nb_element") == "cell_code":
            self.flush()
            self.code(node)
        elif type(node).__name__.startswith("exercise_"):
            self.flush()
            self.pending.append(self.block(node))
        else:
            self.pending.append(self.block(node))

    def code(self, node: nodes.Element) -> None:
        """Add a code cell with its stored outputs; its caption becomes a cell below it."""
        stored = self.source.cells[node["cell_index"]]
        tags = set(stored.metadata.get("tags", []))
        outputs = [
            o for o in stored.outputs if "<attn-fig" not in o.get("data", {}).get("text/html", "")
        ]
        cell = nbformat.v4.new_code_cell(stored.source, outputs=outputs)
        cell.execution_count = stored.execution_count
        if TAG in tags:
            cell.metadata["tags"] = [TAG]
        figure = next(iter(node.findall(nodes.figure)), None)
        label = self.number(figure, "figure", "Fig. %s") if figure is not None else ""
        if tags & {"hide-input", "hide-cell", "remove-input", "remove-cell"}:
            if not stored.source.startswith("%%"):
                what = f"The code of {label}" if label else "The code of this cell"
                cell.source = f"#@title {what} (double click to read it)\n{cell.source}"
            cell.metadata["cellView"] = "form"
        self.add(cell)
        if figure is not None:
            caption = self.caption(figure, label)
            alt = stored.metadata.get("mystnb", {}).get("image", {}).get("alt")
            if alt:
                caption += "\n\n" + folded("The picture in words", escape(str(alt)))
            self.pending.append(caption)
            self.flush()


class ColabBuilder(Builder):
    """Sphinx builder that writes each notebook of the book again, in plain Markdown."""

    name = "colab"
    format = ""
    epilog = "The notebooks are in %(outdir)s."
    supported_image_types = ("image/svg+xml", "image/png", "image/jpeg", "image/gif")

    def init(self):
        self.repository = repository_url(Path(self.srcdir))

    def is_chapter(self, docname: str) -> bool:
        return str(self.env.doc2path(docname)).endswith(".ipynb")

    def get_outdated_docs(self):
        return self.env.found_docs

    def prepare_writing(self, docnames):
        pass

    def get_target_uri(self, docname, typ=None):
        """Chapters lead to their Colab notebooks, all else to the published pages."""
        if self.is_chapter(docname):
            return notebook_url(self.repository, docname)
        return f"{pages_url(self.repository)}/{docname}.html"

    def get_relative_uri(self, from_, to, typ=None):
        return "" if from_ == to else self.get_target_uri(to, typ)

    def write_doc(self, docname, doctree):
        if not self.is_chapter(docname):
            return
        path = Path(self.outdir) / f"{docname}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        notebook = Chapter(self, docname, doctree).notebook()
        nbformat.validate(notebook)
        path.write_text(nbformat.writes(notebook) + "\n", "utf8")


def setup(app):
    """Make the builder known to Sphinx."""
    app.add_builder(ColabBuilder)
    return {"parallel_read_safe": True}


def contents(root: Path) -> tuple[str, list[str]]:
    """The table of contents without its globs, and their patterns: pages of the API by module.

    No chapter names one of those, and to read them takes longer than all the others.
    """
    patterns = []

    def without(entry):
        if isinstance(entry, list):
            patterns.extend(x["glob"] for x in entry if "glob" in x)
            return [without(x) for x in entry if "glob" not in x]
        if isinstance(entry, dict):
            found = {name: without(value) for name, value in entry.items()}
            return {name: value for name, value in found.items() if value != []}
        return entry

    toc = without(yaml.safe_load((root / "_toc.yml").read_text("utf8")))
    return yaml.safe_dump(toc, sort_keys=False), patterns


def convert(root: Path = ROOT, out: Path = OUT) -> list[Path]:
    """Write the Colab notebooks of the book at `root`; returns their paths. Warnings are errors."""
    from jupyter_book.config import get_final_config

    folder = os.getcwd()
    os.chdir(root)  # the paths of _config.yml are meant from there
    scratch = tempfile.TemporaryDirectory()
    try:
        toc, left_out = contents(root)
        path = Path(scratch.name) / "_toc.yml"
        path.write_text(toc, "utf8")
        options = {"external_toc_path": str(path), "latex_individualpages": False}
        config, _ = get_final_config(
            user_yaml=root / "_config.yml", sourcedir=root, cli_config=options
        )
        config["extensions"] = [*config["extensions"], "colab"]
        config["nb_mime_priority_overrides"] = [
            *config.get("nb_mime_priority_overrides", []),
            *PRIORITIES,
        ]
        config["exclude_patterns"] = [*config.get("exclude_patterns", []), *left_out]
        with docutils_namespace():
            app = Sphinx(
                srcdir=root,
                confdir=None,
                outdir=out,
                doctreedir=Path(scratch.name) / "doctrees",
                buildername="colab",
                confoverrides=config,
                status=None,
                warning=sys.stderr,
                freshenv=True,
                warningiserror=True,
                keep_going=True,  # tell all of them
            )
            app.build(force_all=True)
            if app.statuscode:
                raise SystemExit(app.statuscode)
    finally:
        os.chdir(folder)
        scratch.cleanup()
    return sorted(path for path in out.glob("book/*.ipynb"))


def assignments(root: Path = ROOT, out: Path = OUT) -> list[Path]:
    """Write the released assignments with a set-up cell; returns their paths.

    What nbgrader needs to know of a cell stays in it, so that the notebook may be handed in.
    """
    repository = repository_url(root)
    page = f"{pages_url(repository)}/book/course/assignments.html"
    written = []
    for path in sorted((root / "book" / "assignments" / "release").glob("*/*.ipynb")):
        notebook = nbformat.read(path, 4)
        notebook.cells.insert(0, setup_cell(repository, f"All assignments: {page}"))
        notebook.cells[0].id = "set-up"
        notebook.metadata["colab"] = {"provenance": []}
        place = out / "book" / "assignments" / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(nbformat.writes(notebook) + "\n", "utf8")
        written.append(place)
    return written


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder of _config.yml")
    parser.add_argument("--out", type=Path, default=OUT, help="default: _build/colab")
    options = parser.parse_args(arguments)
    for write in convert, assignments:
        for path in write(options.root.resolve(), options.out.resolve()):
            print(os.path.relpath(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
