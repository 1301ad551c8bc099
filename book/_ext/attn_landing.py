"""Sphinx extension: the first page has buttons, and its table of chapters is a map with pictures.

The notebook's own Markdown stays what any program can show: a line of links separated by dots, and
a table of chapters, questions and minutes. On the page the line becomes buttons, and each row of
the table a card with the chapter's figure (`make cards`) and its minutes: to read alone, as the
page for lecturers has them (`book/_tools/course.py`), and with the code run, from the table.
"""

import html
import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.errors import ExtensionError

HEAD = "chapter and question"
SEPARATOR = "·"
SIZE = 'width="480" height="300"'
ROW = re.compile(r"(?P<number>[\d.]+?)\.? (?P<title>.+?): (?P<question>[^:]+\?)")


def minutes_to_read() -> dict[str, int]:
    """How long each chapter takes to read, by its page's name."""
    tools = str(Path(__file__).parents[1] / "_tools")
    if tools not in sys.path:
        sys.path.append(tools)
    import course

    return {chapter.page: chapter.read for chapter in course.CHAPTERS.values()}


def is_line_of_links(paragraph: nodes.paragraph) -> bool:
    """Say whether a paragraph has nothing but links, and dots between them."""
    links = [node for node in paragraph.children if isinstance(node, nodes.reference)]
    rest = [node.astext().strip() for node in paragraph.children if node not in links]
    return len(links) >= 2 and set(rest) == {SEPARATOR}


def make_buttons(paragraph: nodes.paragraph, first: bool) -> None:
    """Take the dots away, and name what the style makes buttons of."""
    paragraph["classes"] += ["attn-buttons", *(["attn-start"] if first else [])]
    for node in list(paragraph.children):
        if isinstance(node, nodes.Text):
            paragraph.replace(node, nodes.Text(" "))


def card(uri: str, words: str, minutes: int, to_read: int, root: str) -> str:
    """One chapter of the map."""
    name = uri.split("#")[0].removesuffix(".html")
    found = ROW.fullmatch(words)
    if found is None:
        raise ExtensionError(f"the map of chapters: not like '1. Title: question?': {words}")
    number, title, question = (html.escape(found[key]) for key in ("number", "title", "question"))
    pictures = "".join(
        f'<img class="plot-{theme}" loading="lazy" {SIZE} alt="A figure from chapter {number}" '
        f'src="{root}_static/cards/{name}-{theme}.png">'
        for theme in ("light", "dark")
    )
    return (
        f'<li><a href="{uri}">{pictures}<span class="attn-map-title">{number}. {title}</span> '
        f'<span class="attn-map-question">{question}</span> '
        f'<span class="attn-map-minutes">{to_read} minutes to read, {minutes} with its code</span>'
        f"</a></li>"
    )


def map_of(table: nodes.table, root: str) -> nodes.raw:
    """The map that shows what a table of chapters says."""
    to_read = minutes_to_read()
    cards = []
    for row in table.findall(nodes.row):
        if isinstance(row.parent, nodes.thead):
            continue
        link = next(row.findall(nodes.reference))
        words, minutes = (entry.astext() for entry in row.children)
        name = link["refuri"].split("#")[0].removesuffix(".html")
        cards.append(card(link["refuri"], words, int(minutes), to_read[name], root))
    return nodes.raw("", f'<ol class="attn-map">{"".join(cards)}</ol>', format="html")


def furnish(app, doctree, docname):
    """Make buttons and the map of the first page."""
    if app.builder.format != "html" or docname != app.config.root_doc:
        return
    lines = list(filter(is_line_of_links, doctree.findall(nodes.paragraph)))
    for number, paragraph in enumerate(lines):
        make_buttons(paragraph, number == 0)
    for table in list(doctree.findall(nodes.table)):
        if table.astext().strip().startswith(HEAD):
            table.replace_self(map_of(table, "../" * docname.count("/")))


def setup(app):
    app.connect("doctree-resolved", furnish, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
