"""Sphinx extension: the notebook that a page's download button gives runs as it is.

A chapter's own notebook is MyST, which needs this book to be read, and it imports what is nowhere
installed. Its place in `_sources` is taken by the notebook that is made of it for Colab
(`book/_tools/colab.py`): plain Markdown, with a first cell that installs what the others need.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "_tools"))
from colab import PRIORITIES, ColabBuilder


def order_outputs(app, config):
    config.nb_mime_priority_overrides = [*config.nb_mime_priority_overrides, *PRIORITIES]


def write_notebooks(app, exception):
    if exception or app.builder.format != "html":
        return
    for each in app.env.get_domain("cite").bibliographies.values():
        for citation in each.citation_nodes.values():
            citation.children.clear()  # else the page's entry stands in it, and a second joins it
    page_builder, app.builder = app.builder, ColabBuilder(app, app.env)
    try:
        app.builder.outdir = Path(page_builder.outdir) / "_sources"
        app.builder.init()
        for name in sorted(app.env.found_docs):
            if app.builder.is_chapter(name):
                tree = app.env.get_and_resolve_doctree(name, app.builder)
                app.builder.write_doc(name, tree)
    finally:
        app.builder = page_builder


def setup(app):
    app.connect("config-inited", order_outputs)
    app.connect("build-finished", write_notebooks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
