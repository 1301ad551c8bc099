"""Sphinx extension: run the interactive figures on pages without a kernel.

A page that holds `<attn-fig>` elements gets classic scripts: the files of `attnlib/explore/` that
draw its own figures, each of which leaves its source, and `attn_figures.js`, which runs them.
"""

import json
import re
from pathlib import Path

from attn_files import add_static

from attnlib.explore.figure import IMPORTS, LOOK, sources

HOST = (Path(__file__).parent / "attn_figures.js").read_text("utf-8")
NAME = "attn_figures.js"


def script_of(name: str) -> str:
    """The name of the script that leaves a source."""
    return f"attn_figures.{Path(name).stem}.js"


def scripts() -> dict[str, str]:
    """Every script by name, in an order that works: sources, and then the host, with the look."""
    if HOST.count('"__LOOK__"') != 1:
        raise ValueError(f"{NAME} must hold the mark __LOOK__ once")
    made = {}
    for name, source in sources().items():
        if name != LOOK:
            text = json.dumps(source, ensure_ascii=False)
            made[script_of(name)] = f'(globalThis.attnFigures ??= {{}})["{name}"] = {text};\n'
    return made | {NAME: HOST.replace('"__LOOK__"', json.dumps(sources()[LOOK]))}


def needed(modules: set[str]) -> list[str]:
    """The scripts that figures of these modules need, what they import included."""
    names: set[str] = set()
    found = {f"{module}.mjs" for module in modules}
    while found:
        names |= found
        found = {each for name in found for each in IMPORTS.findall(sources()[name])} - names
    return [*map(script_of, sorted(names)), NAME]


def write_scripts(app, config):
    add_static(app, config, "figures", scripts())


def add_scripts(app, pagename, templatename, context, doctree):
    """Ask for the scripts of the figures that a page has."""
    if modules := set(re.findall(r'<attn-fig data-module="(\w+)"', context.get("body", ""))):
        for name in needed(modules):
            app.add_js_file(name, loading_method="defer")


def setup(app):
    app.connect("config-inited", write_scripts)
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
