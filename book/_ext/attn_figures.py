"""Sphinx extension: run the interactive figures on pages without a kernel.

Puts one classic script, made of `attn_figures.js` and of every file in `attnlib/explore/` that
draws, on the pages that hold an `<attn-fig>` element.
"""

import json
from pathlib import Path

from attnlib.explore.figure import sources

HERE = Path(__file__).parent
SCRIPT = "attn_figures.js"


def script() -> str:
    """Return the host with the source of every figure module, and of what they share, in it."""
    host = (HERE / SCRIPT).read_text("utf-8")
    if host.count('"__SOURCES__"') != 1:
        raise ValueError(f"{SCRIPT} must hold the mark __SOURCES__ once")
    return host.replace('"__SOURCES__"', json.dumps(sources()).replace("</", "<\\/"))


def write_script(app, config):
    """Write the script where Sphinx finds it and Jupyter Book no longer looks for scripts."""
    folder = Path(app.doctreedir).parent / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SCRIPT).write_text(script(), "utf-8")
    config.html_static_path.append(str(folder))


def add_script(app, pagename, templatename, context, doctree):
    """Ask for the script on the pages that have a figure."""
    if "<attn-fig" in context.get("body", ""):
        app.add_js_file(SCRIPT, loading_method="defer")


def setup(app):
    app.connect("config-inited", write_script)
    app.connect("html-page-context", add_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
