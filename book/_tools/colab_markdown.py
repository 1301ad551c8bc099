"""The resolved tree of a page, written back as Markdown that Colab and Jupyter show alike.

Sphinx has resolved every number, reference and citation before. A construct that this writer does
not know is an error, so nothing is lost in silence.
"""

import base64
import mimetypes
import re
from pathlib import Path

from colab_tex import COLOURS, MarkupError, display, plain_formula
from docutils import nodes


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


def anchor(name: str) -> str:
    """Make a place that a link can lead to, in Colab and in Jupyter."""
    return f'<a id="{name}" name="{name}"></a>'


class MarkdownWriter:
    """The blocks and inline pieces of one page as Markdown.

    Parameters
    ----------
    builder : sphinx.builders.Builder
        It says where a link to another page leads.
    docname : str
    doctree : docutils.nodes.document
        The page, resolved.
    """

    def __init__(self, builder, docname: str, doctree: nodes.document):
        self.builder = builder
        self.env = builder.env
        self.docname = docname
        self.doctree = doctree
        self.macros = (builder.config.mathjax3_config or {}).get("tex", {}).get("macros", {})
        self.wanted = {
            node["refid"] for node in doctree.findall(nodes.reference) if "refid" in node
        }
        for node in doctree.findall(nodes.reference):
            if node.get("refuri", "").startswith("#"):
                self.wanted.add(node["refuri"][1:])
        self.wanted |= {n["refid"] for n in doctree.findall(nodes.footnote_reference)}
        self.elsewhere: dict[str, nodes.Element] = {}  # citations listed on another page
        self.depth = 0

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
