"""Sphinx extension: a search that leads to sections, with the words marked.

Sphinx's own search knows of each word only the pages it is on, puts functions before chapters, and
is loaded by every page of this theme. Here the finished pages are read once more, section by
section (an exercise, a solution and a function count as sections), into `attn_sections.js`, which
the search page alone loads. `attn_search.js` ranks them; `attn_marks.js` marks the words on the
page that a result leads to. All of it works on pages opened from a folder.

`synonyms.yml` names, for sections, the words under which readers look for them.
"""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import yaml
from attn_files import add_static
from sphinx.errors import ExtensionError

HERE = Path(__file__).parent
SCRIPTS = "attn_marks.js", "attn_search.js"
INDEX = "attn_sections.js"
VOID = {"area", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
# What is no text of the page: scripts and drawings, printed results, figures to play with, buttons.
LEFT_OUT = {"script", "style", "svg", "attn-fig", "button", "nav", "select"}
LEFT_OUT_CLASSES = {"headerlink", "viewcode-link", "hide", "citation", "sig-paren", "sig-param"}
HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
LONGEST_TERM = 40


class Section:
    """What the search knows of a section."""

    def __init__(self, anchor: str, kind: str):
        self.anchor, self.kind = anchor, kind
        self.ids = {anchor}
        self.title, self.text = "", ""
        self.code: set[str] = set()
        self.terms: list[str] = []  # in bold where they are introduced


class Frame(NamedTuple):
    """An open element: of which section it is, and what its text is for."""

    tag: str
    section: Section | None
    use: str  # "text", "title", "term", "code", or "" for nothing


def readable(tex: str) -> str:
    r"""A formula as far as it can be read in a line.

    >>> readable(r"\(\frac{q^\top k_s}{\sqrt D}\)")
    'q^ k_s D'
    """
    return " ".join(re.sub(r"\\[a-zA-Z]+|\\.|[{}$&]", " ", tex).split())


class Page(HTMLParser):
    """The sections of a page of the book."""

    def __init__(self, html: str):
        super().__init__()
        self.sections: list[Section] = []
        self.stack: list[Frame] = []
        self.inside = False
        self.term: list[str] = []
        self.feed(html)
        self.close()
        for each in self.sections:
            each.title, each.text = (" ".join(t.split()) for t in (each.title, each.text))

    def open_section(self, anchor: str, kind: str) -> Section:
        self.sections.append(Section(anchor, kind))
        return self.sections[-1]

    def handle_starttag(self, tag, attributes):
        if tag == "article":
            self.inside = True
        if not self.inside or tag in VOID:
            return
        found = dict(attributes)
        classes = set((found.get("class") or "").split())
        name = found.get("id") or ""
        above = self.stack[-1] if self.stack else Frame("", None, "text")
        section, use = above.section, above.use
        if tag == "section" and name and not name.endswith("-content"):
            section = self.open_section(name if self.sections else "", "section")
            section.ids.add(name)
        elif tag == "div" and name and classes & {"exercise", "solution"}:
            section = self.open_section(name, min(classes & {"exercise", "solution"}))
        elif tag == "dt" and "sig" in classes and name:
            section = self.open_section(name, "api")
            section.title = name
            self.stack[-1] = self.stack[-1]._replace(section=section)  # what follows is about it
        elif name and section:
            section.ids.add(name)
        if tag in LEFT_OUT or classes & LEFT_OUT_CLASSES or "cell_output" in classes:
            use = ""
        if "cell_output" in classes or tag in {"figcaption", "caption"}:
            use = "figure" if "cell_output" in classes else "text"
        elif "highlight" in classes or tag == "pre":
            use = "code" if use in ("text", "code") else ""
        elif "math" in classes and use:
            use = "math" if tag == "span" else ""  # a formula of its own cannot be read in a line
        elif use == "text":
            untitled = section is not None and not section.title
            if tag in HEADINGS or ("admonition-title" in classes and untitled):
                use = "title"
            elif "sig" in classes:
                use = ""
            elif tag == "strong":
                use, self.term = "term", []
        if "cell_input" in classes:
            use = "code"
        self.stack.append(Frame(tag, section, use))
        if section and use == "text":
            section.text += " " if tag not in {"em", "a", "span", "code", "sub", "sup"} else ""

    def handle_endtag(self, tag):
        if tag == "article":
            self.inside = False
        if not self.inside or tag in VOID:
            return
        while self.stack:
            closed = self.stack.pop()
            if closed.use == "term" and closed.tag == "strong" and closed.section:
                term = " ".join("".join(self.term).split())
                if len(term) <= LONGEST_TERM:
                    closed.section.terms.append(term)
            if closed.tag == tag:
                break

    def handle_data(self, data):
        if not (self.inside and self.stack):
            return
        _, section, use = self.stack[-1]
        if section is None:
            return
        if use == "title":
            section.title += data
        elif use in ("text", "term"):
            section.text += data
            if use == "term":
                self.term.append(data)
        elif use == "math":
            section.text += readable(data)
        elif use == "code":
            section.code.update(re.findall(r"[A-Za-z_]{4,}", data))


def kind_of(name: str) -> str:
    """Which part of the book a page belongs to."""
    if re.match(r"book/(\d|intro)", name):
        return "chapter"
    if name.startswith("book/appendix/api"):
        return "api"
    return "course" if name.startswith("book/course") else "appendix"


def index_of(pages: dict[str, str], synonyms: dict[str, list[str]]) -> dict:
    """The index of pages, given by their names, with the sections that other words mean."""
    titles, sections, places = [], [], {}
    for name, html in pages.items():
        found = Page(html).sections
        if not found:
            continue
        titles.append([f"{name}.html", found[0].title, kind_of(name)])
        for each in found:
            for anchor in each.ids:
                places[f"{name}#{anchor}"] = len(sections)
            text = each.text.lower()
            code = " ".join(sorted(word for word in each.code if word.lower() not in text))
            sections.append(
                [len(titles) - 1, each.anchor, each.title, each.text, code, each.terms, each.kind]
            )
    means: dict[str, list[int]] = {}
    for place, words in synonyms.items():
        if place not in places:
            raise ExtensionError(f"synonyms.yml: there is no section {place}")
        for word in words:
            means.setdefault(word.lower(), []).append(places[place])
    return {"pages": titles, "sections": sections, "synonyms": means}


def write_index(app, exception):
    """Write the index of the finished pages."""
    if exception or app.builder.format != "html":
        return
    folder = Path(app.outdir)
    synonyms = yaml.safe_load((HERE / "synonyms.yml").read_text("utf-8"))
    names = sorted(app.env.found_docs)
    pages = {name: (folder / f"{name}.html").read_text("utf-8") for name in names}
    index = json.dumps(index_of(pages, synonyms), ensure_ascii=False, separators=(",", ":"))
    (folder / "_static" / INDEX).write_text(f"attnSearch({index});\n", "utf-8")


def write_scripts(app, config):
    texts = {name: (HERE / name).read_text("utf-8") for name in SCRIPTS}
    add_static(app, config, "search", texts)


def add_scripts(app, pagename, templatename, context, doctree):
    """Every page marks what was searched for; the search page alone has the index."""
    app.add_js_file("attn_marks.js", loading_method="defer")
    if pagename == "search":
        app.add_js_file("attn_search.js", loading_method="defer", priority=810)
        app.add_js_file(INDEX, loading_method="defer", priority=820)


def setup(app):
    app.connect("config-inited", write_scripts)
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", write_index, priority=940)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
