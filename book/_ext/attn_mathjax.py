"""Sphinx extension: put MathJax beside the pages, so that they ask no other site for it.

The files come from the pip package `sphinx-mathjax-offline` (MathJax 3.2.2, Apache License 2.0).
They land in `vendor/mathjax` of the site, not in `_static`, because Jupyter Book loads every script
it finds there on every page.
"""

import shutil
from importlib import metadata
from pathlib import Path

from sphinx.errors import ExtensionError

PACKAGE = "sphinx-mathjax-offline"
WANTED = [  # of 24 MB: the component itself, its fonts, the TeX commands it loads when they are met
    "tex-mml-chtml.js",
    "output/chtml/fonts/woff-v2",
    "input/tex/extensions",
    "a11y",
    "sre/mathmaps/en.json",
    "sre/mathmaps/base.json",
]
NOTICE = """\
MathJax 3.2.2, https://www.mathjax.org, (c) the MathJax Consortium,
under the Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0
"""


def package_folder() -> Path:
    """Return the folder of MathJax in the installed package (whose name is no module name)."""
    for path in metadata.files(PACKAGE) or []:
        if path.name == WANTED[0]:
            return Path(path.locate()).parent
    raise ExtensionError(f"{PACKAGE} has no {WANTED[0]}: was another version installed?")


def copy_mathjax(app, exception):
    if exception or app.builder.format != "html":
        return
    source, target = package_folder(), Path(app.outdir) / "vendor" / "mathjax"
    for name in WANTED:
        if not (source / name).exists():
            raise ExtensionError(f"{PACKAGE} has no {name}: was another version installed?")
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
        else:
            shutil.copy2(source / name, target / name)
    (target / "NOTICE").write_text(NOTICE, "utf-8")


def setup(app):
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
