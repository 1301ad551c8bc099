"""Sphinx extension: a page of the API for each module of attnlib, written when the book is built.

The modules themselves say which pages there are: `_toc.yml` names them all by one pattern, and the
directive `attn-modules` lists them on the page above them, lowest layer first, each with the first
line of its docstring. A module's page holds what `automodule` makes of it.
"""

import importlib
import json
import pkgutil
import re
from pathlib import Path

from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

import attnlib

OVERVIEW = "book/appendix/api.md"
FOLDER = "book/appendix/api"
# Packages of many modules alike, a figure or an assignment each: what they name in `__all__` stands
# on one page. (An assignment's module holds its oracle, which no student needs to see.)
WHOLE = "attnlib.checks", "attnlib.explore"

PAGE = """\
---
description: {description}
---

# {name}

```{{eval-rst}}
.. automodule:: {name}
   :members:
{options}```
"""


def public_modules() -> list[str]:
    """The names of all modules that have a page, packages before what is in them."""
    names = (module.name for module in pkgutil.walk_packages(attnlib.__path__, "attnlib."))
    return [
        name
        for name in sorted(names)
        if not name.startswith(tuple(f"{package}." for package in WHOLE))
        and not any(part.startswith("_") for part in name.split("."))
    ]


def summary(name: str) -> str:
    """The first paragraph of a module's docstring, in one line."""
    text = importlib.import_module(name).__doc__
    if not text:
        raise ExtensionError(f"{name} has no docstring, and its page nothing to say")
    return " ".join(text.strip().split("\n\n")[0].split())


def layers() -> list[str]:
    """The modules as attnlib's own docstring lists them: the lowest layer first."""
    return re.findall(r"^``(\w+)``", attnlib.__doc__, re.M)


def in_order() -> list[str]:
    """All pages' modules, lowest layer first."""
    order = layers()
    return sorted(public_modules(), key=lambda name: (order.index(name.split(".")[1]), name))


def page(name: str) -> str:
    """The text of a module's page."""
    module = importlib.import_module(name)
    is_package = hasattr(module, "__path__")
    # What a package takes from its modules stands on their pages.
    options = "   :ignore-module-all:\n" if is_package and name not in WHOLE else ""
    plain = re.sub(r":\w+(?::\w+)*:`|``?", "", summary(name))
    description = json.dumps(f"{name}, a module of the book's library: {plain}", ensure_ascii=False)
    return PAGE.format(name=name, description=description, options=options)


def write_pages(app, config):
    """Write the pages that are missing or have changed, and remove those of modules gone."""
    if not (Path(app.srcdir) / OVERVIEW).exists():
        return
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(exist_ok=True)
    wanted = {f"{name}.md": page(name) for name in public_modules()}
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


class Modules(SphinxDirective):
    """The list of all modules with a line on each, as definitions."""

    def run(self):
        lines = []
        for name in in_order():
            lines += [f":py:mod:`{name}`", f"    {summary(name)}", ""]
        source = ["```{eval-rst}", *lines, "```"]
        return self.parse_text_to_nodes("\n".join(source))


def setup(app):
    app.connect("config-inited", write_pages, priority=100)  # before the pages are looked for
    app.add_directive("attn-modules", Modules)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
