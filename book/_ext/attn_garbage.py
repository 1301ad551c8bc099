"""Sphinx extension: collect garbage seldom while the book is built.

Sphinx reads every page's tree back, some 300,000 objects each, and keeps the trees of all pages
until they are written. Python looks for garbage again and again meanwhile, and that took half of
the build. Here it looks after every `EVERY` pages, and only among what has been made since it last
did: what then was needed mostly still is, and to look through all of it took a fifth of the build.
"""

import gc
import itertools

EVERY = 25
YOUNGEST = 0  # of Python's generations: what has been made since the last collection


def setup(app):
    pages = itertools.count(1)

    def after_a_page(*_):
        if next(pages) % EVERY == 0:
            gc.collect(YOUNGEST)

    def at_the_end(*_):
        gc.freeze()  # all that is there stays: it would be looked through once more
        gc.enable()

    gc.disable()
    app.connect("doctree-read", after_a_page)
    app.connect("doctree-resolved", after_a_page)
    app.connect("build-finished", at_the_end)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
