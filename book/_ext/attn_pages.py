"""Sphinx extension: give each page a description, for search engines and shared links.

It is the page's `description` in its front matter, else the first paragraph of its text.
"""

import html

from docutils import nodes

LONGEST = 200


def description(doctree) -> str:
    """Return the first paragraph that is text of the page, cut at a word."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if len(text) < 40 or isinstance(paragraph.parent, nodes.Admonition):
            continue
        if len(text) > LONGEST:
            text = text[:LONGEST].rsplit(" ", 1)[0] + " …"
        return text
    return ""


def add_description(app, pagename, templatename, context, doctree):
    if doctree is None:
        return
    text = (context.get("meta") or {}).get("description") or description(doctree)
    if text:
        tag = f'\n    <meta name="description" content="{html.escape(text)}" />'
        context["metatags"] = context.get("metatags", "") + tag


def setup(app):
    app.connect("html-page-context", add_description)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
