"""Sphinx extension: collect garbage seldom while the book is built.

Sphinx reads every page's tree back twice, some 300,000 objects each. Python looks for garbage again
and again meanwhile, and that took half of the build. Here it looks after every `EVERY` pages.
"""

import gc
import itertools

EVERY = 25


def setup(app):
    pages = itertools.count(1)

    def after_a_page(*_):
        if next(pages) % EVERY == 0:
            gc.collect()

    gc.disable()
    app.connect("doctree-read", after_a_page)
    app.connect("doctree-resolved", after_a_page)
    app.connect("build-finished", lambda *_: gc.enable())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
