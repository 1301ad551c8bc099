"""Sphinx extension: small things that each page of the book needs.

* A description, for search engines and shared links: the page's `description` in its front matter,
  else the first paragraph of its text.
* On the search page, no excerpts of the pages found when the book is opened from its folder: a
  browser lets no page read another file there, and every result would be an error.
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


def leave_out_excerpts(app, pagename, templatename, context, doctree):
    if pagename == "search":
        only = "DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = location.protocol !== 'file:';"
        app.add_js_file(None, body=only)


def setup(app):
    app.connect("html-page-context", add_description)
    app.connect("html-page-context", leave_out_excerpts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
