"""Sphinx extension: roles for words in the colours of the book, as {attn-query}`query`."""

from docutils import nodes

MEANINGS = {
    "query": "what asks, and is compared with every key",
    "key": "what a query is compared with; how well they fit is a score",
    "value": "what a position gives, in proportion to its weight",
    "context": "what is taken home, the average of the values by their weights",
}


def coloured(kind: str):
    def role(name, rawtext, text, lineno, inliner, options=None, content=()):
        return [nodes.inline(rawtext, text, classes=["attn-word", f"attn-{kind}"])], []

    return role


def setup(app):
    for kind in MEANINGS:
        app.add_role(f"attn-{kind}", coloured(kind))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
