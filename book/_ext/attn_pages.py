"""Sphinx extension: a description of each page, for search engines and shared links.

The page's `description` in its front matter, else the first paragraph of its text.
"""

import html
import re

from docutils import nodes

LONGEST = 200


def cut(text: str) -> str:
    """The sentences of a text that fit; of a first one that is too long, the words that do.

    >>> cut("A score says how well a key matches. " * 6)[-23:]
    'how well a key matches.'
    """
    sentences = re.match(rf"(.{{80,{LONGEST - 1}}}[.?!])\s", text)
    return sentences[1] if sentences else text[:LONGEST].rsplit(" ", 1)[0] + " …"


def description(doctree) -> str:
    """Return the first paragraph that is text of the page, cut at a sentence, or at a word."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if len(text) < 40 or isinstance(paragraph.parent, nodes.Admonition):
            continue
        if len(text) > LONGEST:
            text = cut(text)
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
