"""Reading a chapter: its cells, its Markdown as tokens, its directives."""

import re
from pathlib import Path

import nbformat
import notebooks
import pytest
from markdown_it import MarkdownIt
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.myst_blocks import myst_block_plugin
from mdit_py_plugins.myst_role import myst_role_plugin

CHAPTERS = notebooks.chapters()
OPTIONS = re.compile(r"\A(---\n.*?\n---\n|(:[\w-]+:[^\n]*\n)*)", re.S)  # of a directive
NOT_PROSE = {"exercise", "solution", "bibliography", "math", "figure", "image", "raw", "code"}
chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list:
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def parser() -> MarkdownIt:
    plugins = colon_fence_plugin, dollarmath_plugin, myst_block_plugin, myst_role_plugin
    parser = MarkdownIt("commonmark").enable("table")
    for plugin in plugins:
        parser.use(plugin)
    return parser


def tokens(text: str):
    """Yield (token, names of the directives it stands in) for all of a Markdown text."""

    def walk(text, inside):
        for token in parser().parse(text):
            yield token, inside
            directive = re.match(r"\{([\w:-]+)\}", token.info.strip())
            if token.type in ("fence", "colon_fence") and directive:
                body = OPTIONS.sub("", token.content, count=1)
                yield from walk(body, (*inside, directive.group(1)))
            for child in token.children or []:
                yield child, inside

    yield from walk(text, ())


def markdown(path: Path):
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "markdown":
            yield from tokens(cell.source)


def prose(path: Path) -> int:
    """Count the words outside code, formulas, exercises, solutions and references."""
    texts = (
        token.content
        for token, inside in markdown(path)
        if token.type == "text" and not set(inside) & NOT_PROSE
    )
    return sum(len(re.findall(r"\w[\w'’-]*", text)) for text in texts)


def directives(path: Path, name: str) -> list:
    kinds = ("fence", "colon_fence")
    return [t for t, _ in markdown(path) if t.type in kinds and t.info.startswith("{" + name + "}")]


def citations(path: Path) -> set[str]:
    roles = [t for t, _ in markdown(path) if t.type == "myst_role" and "cite" in t.meta["name"]]
    captions = [
        str(cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", ""))
        for cell in code_cells(path)
    ]
    texts = [role.content for role in roles]
    texts += [key for text in captions for key in re.findall(r"\{cite:\w+\}`([^`]+)`", text)]
    return {key.strip() for text in texts for key in text.split(",")}
