"""Sphinx extension: a card beside a citation, an equation's number and a coloured letter."""

import json
from pathlib import Path

from attn_files import add_static
from attn_words import MEANINGS

NAME = "attn_hover.js"


def write_script(app, config):
    script = (Path(__file__).parent / NAME).read_text("utf-8")
    texts = {NAME: script.replace('"__MEANINGS__"', json.dumps(MEANINGS))}
    add_static(app, config, "hover", texts)


def add_script(app, pagename, templatename, context, doctree):
    if doctree is not None:
        app.add_js_file(NAME, loading_method="defer")


def setup(app):
    app.connect("config-inited", write_script)
    app.connect("html-page-context", add_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
