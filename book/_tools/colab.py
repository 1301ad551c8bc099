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
import base64
import json
import mimetypes
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
from sphinx.errors import SphinxError
from sphinx.util.docutils import docutils_namespace

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from compare import TAG
from notebooks import METADATA, cell_id

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "_build" / "colab"
BRANCH = "colab"
LARGEST_FILE = 200_000  # bytes of a result file that a notebook may carry with it
COLOURS = {  # the classes of the page's formulas
    "attn-query": "#0072B2",
    "attn-key": "#E69F00",
    "attn-value": "#009E73",
    "attn-context": "#CC79A7",
}
OUTPUT_KINDS = ("image/png", "image/jpeg", "image/svg+xml", "text/html", "text/plain")
SELF_NUMBERED = ("align", "align*", "equation", "equation*", "gather", "gather*")


class MarkupError(SphinxError):
    """The chapter uses something that this writer cannot say in plain Markdown."""

    category = "Colab error"


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


# --- formulas ---


def group(text: str, start: int) -> tuple[str, int]:
    """Return the TeX argument at `start` and where it ends: a {group}, a command or a letter."""
    while start < len(text) and text[start].isspace():
        start += 1
    if start == len(text):
        raise MarkupError(f"an argument is missing at the end of {text!r}")
    if text[start] != "{":
        command = re.compile(r"\\(?:[A-Za-z]+|.)|.").match(text, start)
        return command.group(), command.end()
    depth = 0
    for end in range(start, len(text)):
        escaped = text[end - 1] == "\\" and text[end - 2 : end] != "\\\\"
        if text[end] in "{}" and not escaped:
            depth += 1 if text[end] == "{" else -1
            if depth == 0:
                return text[start + 1 : end], end + 1
    raise MarkupError(f"a brace is not closed in {text!r}")


def expand(formula: str, macros: dict) -> str:
    r"""Write out the book's own TeX macros, and its colour classes as colours.

    >>> expand(r"\R^d", {"R": r"\mathbb{R}"})
    '\\mathbb{R}^d'
    >>> expand(r"\query{q_{t}} + 1", {"query": [r"\class{attn-query}{#1}", 1]})
    '{\\color{#0072B2}{q_{t}}} + 1'
    """
    out, at = [], 0
    for match in re.finditer(r"\\([A-Za-z]+)", formula):
        if match.start() < at:
            continue
        name, end = match.group(1), match.end()
        if name == "class":
            kind, end = group(formula, end)
            inside, end = group(formula, end)
            if kind not in COLOURS:
                raise MarkupError(f"no colour for the class {kind} in {formula!r}")
            text = rf"{{\color{{{COLOURS[kind]}}}{{{expand(inside, macros)}}}}}"
        elif name in macros:
            body, count = macros[name] if isinstance(macros[name], list) else (macros[name], 0)
            for number in range(1, count + 1):
                argument, end = group(formula, end)
                body = body.replace(f"#{number}", argument)
            text = expand(body, macros)
            if re.search(r"\\[A-Za-z]+$", text) and formula[end : end + 1].isalpha():
                text += " "
        else:
            continue
        out += [formula[at : match.start()], text]
        at = end
    return "".join(out) + formula[at:]


def plain_formula(formula: str, macros: dict) -> str:
    """Expand macros, and keep < and > from being read as HTML."""
    formula = expand(formula.strip(), macros)
    return re.sub(r"\s*<\s*", r" \\lt ", re.sub(r"(?<![-=])\s*>\s*", r" \\gt ", formula))


def display(formula: str, number: str | None, macros: dict) -> str:
    """Write a displayed formula, with its number as the page has it."""
    lines = [line for line in plain_formula(formula, macros).split("\n") if line.strip()]
    text = "\n".join(lines)
    outer = re.fullmatch(r"\\begin\{([a-z]+\*?)\}(.*)\\end\{\1\}", text, re.DOTALL)
    if outer and outer.group(1) in SELF_NUMBERED:
        text = re.sub(r"\\(?:nonumber|notag|label\{[^}]*\})", "", outer.group(2)).strip()
        if outer.group(1).startswith("gather"):
            text = rf"\begin{{gathered}}{text}\end{{gathered}}"
    if r"\\" in text and not re.match(r"\\begin\{(aligned|split|gathered)\}", text):
        text = f"\\begin{{aligned}}\n{text}\n\\end{{aligned}}"
    tag = f" \\tag{{{number}}}" if number else ""
    return f"$$\n{text}{tag}\n$$"


# --- from the resolved tree to Markdown ---


def escape(text: str) -> str:
    """Keep plain words from being read as Markdown, HTML or a formula."""
    text = re.sub(r"([\\`*_$])", r"\\\1", text.replace("<", "&lt;"))
    return text.replace("](", "]&#40;")


def code_span(text: str) -> str:
    """Write inline code, with more backticks around it than in it."""
    ticks = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{ticks} {text} {ticks}" if "`" in text else f"`{text}`"


def wrapped(text: str, mark: str) -> str:
    """Put a mark around the words, not around the spaces at their ends."""
    core = text.strip()
    if not core:
        return text
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{before}{mark}{core}{mark}{after}"


def indented(text: str, first: str) -> str:
    """Hang a block behind a bullet or a number."""
    pad = " " * len(first)
    return first + "\n".join(pad + line if line else "" for line in text.split("\n")).lstrip(" ")


def quoted(text: str) -> str:
    """Make a block quote."""
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def folded(summary: str, body: str) -> str:
    """Make a block that opens on a click. The empty lines let Markdown in."""
    return f"<details>\n<summary>{summary}</summary>\n\n{body}\n\n</details>"


def html_title(text: str) -> str:
    """Turn the Markdown of a title into HTML, for places where Markdown is not read."""
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
    text = re.sub(r"(?<![\w\\])\*(.+?)\*", r"<i>\1</i>", text)
    text = re.sub(r"`(.+?)`", r"<code>\1</code>", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"\\([\\`*_$])", r"\1", text)


class Chapter:
    """The Markdown and code cells of one chapter."""

    def __init__(self, builder: "ColabBuilder", docname: str, doctree: nodes.document):
        self.builder = builder
        self.env = builder.env
        self.docname = docname
        self.doctree = doctree
        self.source = nbformat.read(self.env.doc2path(docname), 4)
        self.folder = Path(self.env.doc2path(docname)).parent
        self.macros = (builder.config.mathjax3_config or {}).get("tex", {}).get("macros", {})
        self.wanted = {
            node["refid"] for node in doctree.findall(nodes.reference) if "refid" in node
        }
        for node in doctree.findall(nodes.reference):
            if node.get("refuri", "").startswith("#"):
                self.wanted.add(node["refuri"][1:])
        self.wanted |= {n["refid"] for n in doctree.findall(nodes.footnote_reference)}
        self.elsewhere: dict[str, nodes.Element] = {}  # citations listed on another page
        self.cells: list[nbformat.NotebookNode] = []
        self.pending: list[str] = []
        self.depth = 0

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
        page = f"{pages_url(repository)}/{self.docname}.html"
        source = (
            "#@title Set-up: run this cell first. It installs attnlib and leaves torch as it is\n"
            f"# The chapter as a page: {page}\n"
            f'%pip install -q "{requirement(repository)}"'
        )
        return nbformat.v4.new_code_cell(source)

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
            name, text = path.relative_to(self.folder).as_posix(), path.read_text("utf8")
            if len(text.encode()) > LARGEST_FILE:
                raise MarkupError(f"{self.docname}: {name} is too large to carry along")
            if path.suffix == ".json":  # one long line: where forms do not fold, it stays short
                text = json.dumps(json.loads(text))
            lines += [f'Path("{name}").parent.mkdir(parents=True, exist_ok=True)']
            plain = not re.search(r"\\|\"\"\"|\"\Z", text)
            value = f'"""\\\n{text}"""' if plain else repr(text)
            lines += [f'Path("{name}").write_text({value}, encoding="utf-8");']
        cell = nbformat.v4.new_code_cell("\n".join(lines))
        cell.metadata["cellView"] = "form"
        return cell

    def named_files(self, cell: nbformat.NotebookNode) -> list[Path]:
        """Return the book's files that stand as strings in a code cell, also as Path("a") / "b"."""
        if cell.cell_type != "code":
            return []
        try:
            tree = ast.parse(re.sub(r"(?m)^(\s*)[%!]", r"\1# ", cell.source))
        except SyntaxError:
            return []
        names = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
        names = {
            name for name in names if isinstance(name, str) and re.fullmatch(r"[\w./-]+", name)
        }
        tries = [self.folder / name for name in names]
        tries += [self.folder / "results" / name for name in names]
        home = self.folder.resolve()
        files = (path.resolve() for path in tries if path.suffix and path.is_file())
        return [path for path in files if path.is_relative_to(home)]

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

    def caption(self, figure: nodes.Element, label: str) -> str:
        text = "".join(self.inline(n) for n in figure.children if isinstance(n, nodes.caption))
        legend = [self.blocks(n) for n in figure.children if isinstance(n, nodes.legend)]
        first = (
            f"{self.anchors(figure)}**{label}.** {text}" if label else self.anchors(figure) + text
        )
        return "\n\n".join([first, *legend])

    def number(self, node: nodes.Element, kind: str, pattern: str) -> str:
        """Return the label that the page shows, such as "Fig. 2.1", or nothing."""
        numbers = self.env.toc_fignumbers.get(self.docname, {}).get(kind, {})
        found = next((numbers[i] for i in node["ids"] if i in numbers), None)
        return pattern % ".".join(map(str, found)) if found else ""

    def anchors(self, node: nodes.Element) -> str:
        return "".join(anchor(name) for name in node.get("ids", []) if name in self.wanted)

    # blocks anywhere

    def blocks(self, node: nodes.Element) -> str:
        parts = [self.block(child) for child in node.children]
        return "\n\n".join(part for part in parts if part.strip())

    def block(self, node: nodes.Node) -> str:
        """Write one block as Markdown."""
        for kind in type(node).__mro__:
            method = getattr(self, f"block_{kind.__name__}", None)
            if method:
                return method(node)
        if isinstance(node, nodes.Inline | nodes.Text):
            return self.inline(node)
        where = f"{self.docname}, line {node.line}" if node.line else self.docname
        raise MarkupError(f"{where}: no plain Markdown for a {node.tagname}: {node.astext()[:80]}")

    def block_comment(self, node):
        return ""

    block_target = block_substitution_definition = block_index = block_meta = block_comment
    block_toctree = block_pending = block_comment

    def block_section(self, node):
        return self.blocks(node)

    block_compound = block_glossary = block_section

    def block_title(self, node):
        level = min(max(self.depth, 1), 6)
        return self.lead(node.parent) + "#" * level + " " + self.inlines(node)

    def lead(self, node: nodes.Element) -> str:
        found = self.anchors(node)
        return found + "\n\n" if found else ""

    def block_paragraph(self, node):
        text = self.inlines(node).strip()
        text = re.sub(r"^(\d*)([#+.)-])(?=\s)", r"\1\\\2", text)  # no list, no heading
        return self.anchors(node) + text

    def block_rubric(self, node):
        return self.anchors(node) + wrapped(self.inlines(node), "**")

    def block_math_block(self, node):
        number = None
        if node.get("label") and node.get("number"):
            number = self.number(node, "displaymath", "%s") or str(node["number"])
        return self.lead(node) + display(node.astext(), number, self.macros)

    def block_literal_block(self, node):
        text = node.astext().strip("\n")
        language = node.get("language", "")
        language = language if re.fullmatch(r"\w+", language) and language != "default" else ""
        runs = re.findall("(?m)^`{3,}", text)
        fence = "`" * max([3, *(len(run) + 1 for run in runs)])
        return f"{fence}{'' if language == 'none' else language}\n{text}\n{fence}"

    def block_doctest_block(self, node):
        return f"```python\n{node.astext()}\n```"

    def block_block_quote(self, node):
        return quoted(self.blocks(node))

    def block_attribution(self, node):
        return "(" + self.inlines(node) + ")"

    def block_line_block(self, node):
        return "  \n".join(self.inlines(line) for line in node.children)

    def block_bullet_list(self, node):
        return self.items(node, lambda number: "- ")

    def block_enumerated_list(self, node):
        start = node.get("start", 1)
        return self.items(node, lambda number: f"{start + number}. ")

    def items(self, node: nodes.Element, mark) -> str:
        texts = [indented(self.blocks(item), mark(i)) for i, item in enumerate(node.children)]
        loose = any("\n\n" in text for text in texts)
        return ("\n\n" if loose else "\n").join(texts)

    def block_definition_list(self, node):
        lines = []
        for item in node.children:
            terms = [self.inlines(n) for n in item.children if isinstance(n, nodes.term)]
            body = [self.blocks(n) for n in item.children if isinstance(n, nodes.definition)]
            name = ", ".join(wrapped(term, "**") for term in terms)
            lines.append(indented(f"{name}: " + "\n\n".join(body), "- "))
        return "\n".join(lines)

    def block_transition(self, node):
        return "" if "footnotes" in node["classes"] else "---"

    def block_raw(self, node):
        return node.astext() if "html" in node.get("format", "") else ""

    def block_container(self, node):
        if node.get("design_component") == "dropdown":
            first, rest = node.children[0], node.children[1:]
            title = html_title(self.inlines(first)) if node.get("has_title") else "More"
            rest = rest if node.get("has_title") else node.children
            return folded(title, "\n\n".join(self.block(child) for child in rest))
        if node.get("nb_element"):
            return self.block_unknown(node)
        return self.lead(node) + self.blocks(node)

    def block_unknown(self, node):
        raise MarkupError(
            f"{self.docname}: a code cell inside a list or a box: {node.astext()[:80]}"
        )

    def block_Admonition(self, node):
        """Write a box as a quotation with a bold title."""
        title, rest = type(node).__name__.capitalize(), node.children
        if rest and isinstance(rest[0], nodes.title):
            title, rest = self.inlines(rest[0]).strip(), rest[1:]
        body = "\n\n".join(filter(None, (self.block(child) for child in rest)))
        if "dropdown" in node["classes"]:
            return self.lead(node) + folded(f"<b>{html_title(title)}</b>", body)
        return self.lead(node) + quoted(f"**{title}**\n\n{body}".strip())

    block_topic = block_sidebar = block_Admonition

    def block_exercise_node(self, node):
        """Write an exercise as a heading of its own, with the number of the page."""
        number = self.number(node, "exercise", "%s")
        name, title = "Exercise", ""
        if isinstance(node.children[0], nodes.title):
            title = self.inlines(node.children[0]).strip()
        heading = f"{name} {number}".strip()
        if title and not title.startswith(name):
            heading += f" {title}"
        level = min(max(self.depth, 1) + 1, 6)
        body = "\n\n".join(self.block(child) for child in node.children[1:])
        return f"{self.lead(node)}{'#' * level} {heading}\n\n{body}"

    block_exercise_enumerable_node = block_exercise_node

    def block_solution_node(self, node):
        title = " ".join(html_title(self.inlines(node.children[0])).split())
        body = "\n\n".join(self.block(child) for child in node.children[1:])
        return self.lead(node) + folded(f"<b>{title}</b>", body)

    def block_figure(self, node):
        pictures = [
            self.block(n) for n in node.children if not isinstance(n, nodes.caption | nodes.legend)
        ]
        return "\n\n".join([*pictures, self.caption(node, self.number(node, "figure", "Fig. %s"))])

    def block_image(self, node):
        """Put a picture of the book into the notebook itself."""
        uri = node["uri"]
        if "://" in uri or uri.startswith("data:"):
            raise MarkupError(f"{self.docname}: the picture {uri} is on another site")
        path = Path(self.env.srcdir) / uri
        kind = mimetypes.guess_type(path.name)[0] or "image/png"
        data = base64.b64encode(path.read_bytes()).decode()
        alt = escape(node.get("alt", "")).replace("[", "(").replace("]", ")").replace("\n", " ")
        if not alt:
            raise MarkupError(f"{self.docname}: the picture {uri} has no alt text")
        return f"![{alt}](data:{kind};base64,{data})"

    def block_table(self, node):
        """Write a pipe table; Markdown has no joined cells, so neither may the chapter."""
        title = next((n for n in node.children if isinstance(n, nodes.title)), None)
        rows, heads = [], 0
        for row in node.findall(nodes.row):
            if any("morecols" in entry or "morerows" in entry for entry in row.children):
                raise MarkupError(f"{self.docname}: a table with joined cells")
            rows.append([self.table_cell(entry) for entry in row.children])
            heads += isinstance(row.parent, nodes.thead)
        if heads != 1:
            rows.insert(0, [""] * len(rows[0]))
        aligns = [self.alignment(entry) for entry in next(iter(node.findall(nodes.row))).children]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|" + "|".join(aligns) + "|")
        text = "\n".join(lines)
        if title is None:
            return self.lead(node) + text
        label = self.number(node, "table", "Table %s")
        start = f"**{label}.** " if label else ""
        return f"{self.anchors(node)}{start}{self.inlines(title)}\n\n{text}"

    def table_cell(self, entry: nodes.Element) -> str:
        text = self.blocks(entry)
        if "```" in text or "$$" in text:
            raise MarkupError(f"{self.docname}: a block of code or mathematics in a table")
        parts = re.split(r"(\$[^$]+\$)", text)
        parts = [p.replace("|", r"\vert " if p.startswith("$") else r"\|") for p in parts]
        return "".join(parts).replace("\n\n", "<br>").replace("\n", " ")

    @staticmethod
    def alignment(entry: nodes.Element) -> str:
        classes = entry.get("classes", [])
        if "text-right" in classes:
            return "---:"
        return ":---:" if "text-center" in classes else "---"

    def block_citation(self, node):
        names = [self.citation(self.docname, name) for name in node["ids"]]
        links = "".join(anchor(f"ref-{found.key}") for found in names if found)
        return f"- {links}" + " ".join(self.entry(node))

    def citation(self, docname: str, name: str):
        """Return sphinxcontrib-bibtex's record of the citation with an id on a page, or None."""
        for found in self.env.get_domain("cite").citations:
            if (found.bibliography_key.docname, found.citation_id) == (docname, name):
                return found
        return None

    def entry(self, node: nodes.Element) -> list[str]:
        paragraphs = [n for n in node.children if isinstance(n, nodes.paragraph)]
        return [self.inlines(paragraph).strip() for paragraph in paragraphs]

    def block_footnote(self, node):
        label = node.children[0].astext()
        body = "\n\n".join(self.block(child) for child in node.children[1:])
        return f"{self.anchors(node)}**{label}.** {body}"

    # inline

    def inlines(self, node: nodes.Element) -> str:
        return "".join(self.inline(child) for child in node.children)

    def inline(self, node: nodes.Node) -> str:
        """Write what stands in a line."""
        if isinstance(node, nodes.Text):
            return escape(str(node))
        for kind in type(node).__mro__:
            method = getattr(self, f"inline_{kind.__name__}", None)
            if method:
                return method(node)
        if isinstance(node, nodes.image | nodes.raw):
            return self.block(node)
        raise MarkupError(
            f"{self.docname}: no plain Markdown for {node.tagname}: {node.astext()[:80]}"
        )

    def inline_inline(self, node):
        if "bibtex-citation" not in node["classes"]:
            colour = next((COLOURS[name] for name in node["classes"] if name in COLOURS), None)
            text = self.anchors(node) + self.inlines(node)  # Colab drops style attributes
            return f'<font color="{colour}">{text}</font>' if colour else text
        round_brackets = str.maketrans("[]", "()")  # Bahdanau et al. (2015)
        return self.anchors(node) + "".join(
            self.inline(child).translate(round_brackets)
            if isinstance(child, nodes.Text)
            else self.inline(child)
            for child in node.children
        )

    inline_caption = inline_term = inline_abbreviation = inline_title_reference = inline_inline
    inline_generated = inline_inline

    def inline_target(self, node):
        return self.anchors(node) + self.inlines(node)

    def inline_comment(self, node):
        return ""

    inline_index = inline_comment

    def inline_emphasis(self, node):
        return wrapped(self.inlines(node), "*")

    def inline_strong(self, node):
        return wrapped(self.inlines(node), "**")

    def inline_literal(self, node):
        return code_span(node.astext())

    def inline_math(self, node):
        return f"${plain_formula(node.astext(), self.macros).strip()}$"

    def inline_subscript(self, node):
        return f"<sub>{self.inlines(node)}</sub>"

    def inline_superscript(self, node):
        return f"<sup>{self.inlines(node)}</sup>"

    def inline_footnote_reference(self, node):
        return f"<sup>[{node.astext()}](#{node['refid']})</sup>"

    def inline_reference(self, node):
        text = self.inlines(node)
        uri = node.get("refuri") or "#" + node["refid"]
        if "#" in uri and self.cited(uri):
            uri = "#" + self.cited(uri)
        core = text.strip()
        return text.replace(core, f"[{core}]({uri})") if core else text

    def cited(self, uri: str) -> str:
        """Return the anchor of a citation; what another page lists is noted, to list it here."""
        page, name = uri.split("#", 1)
        domain = self.env.get_domain("cite")
        homes = {key.docname for key in domain.bibliographies} if page else {self.docname}
        for home in sorted(homes):
            found = self.citation(home, name)
            if found and (not page or self.builder.get_target_uri(home) == page):
                if page:
                    text = found.formatted_entry.text.render(domain.backend)
                    self.elsewhere[f"ref-{found.key}"] = nodes.inline("", "", *text)
                return f"ref-{found.key}"
        return ""


def anchor(name: str) -> str:
    """Make a place that a link can lead to, in Colab and in Jupyter."""
    return f'<a id="{name}" name="{name}"></a>'


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


def convert(root: Path = ROOT, out: Path = OUT) -> list[Path]:
    """Write the Colab notebooks of the book at `root`; returns their paths. Warnings are errors."""
    from jupyter_book.config import get_final_config

    options = {
        "external_toc_path": str(root / "_toc.yml"),
        "latex_individualpages": False,
    }
    folder = os.getcwd()
    os.chdir(root)  # the paths of _config.yml are meant from there
    try:
        config, _ = get_final_config(
            user_yaml=root / "_config.yml", sourcedir=root, cli_config=options
        )
        config["extensions"] = [*config["extensions"], "colab"]
        config["nb_mime_priority_overrides"] = [  # outputs are copied, but myst-nb wants an order
            *config.get("nb_mime_priority_overrides", []),
            *(("colab", kind, number) for number, kind in enumerate(OUTPUT_KINDS)),
        ]
        with tempfile.TemporaryDirectory() as scratch, docutils_namespace():
            app = Sphinx(
                srcdir=root,
                confdir=None,
                outdir=out,
                doctreedir=Path(scratch) / "doctrees",
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
    return sorted(path for path in out.glob("book/*.ipynb"))


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder of _config.yml")
    parser.add_argument("--out", type=Path, default=OUT, help="default: _build/colab")
    options = parser.parse_args(arguments)
    for path in convert(options.root.resolve(), options.out.resolve()):
        print(os.path.relpath(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
