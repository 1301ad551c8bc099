"""Sphinx extension: roles for words in the colours of the book, as {attn-query}`query`."""

from docutils import nodes

WORDS = ("query", "key", "value", "context")


def coloured(kind: str):
    def role(name, rawtext, text, lineno, inliner, options=None, content=()):
        return [nodes.inline(rawtext, text, classes=["attn-word", f"attn-{kind}"])], []

    return role


def setup(app):
    for kind in WORDS:
        app.add_role(f"attn-{kind}", coloured(kind))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
