"""Sphinx extension: a page asks for one style sheet, and early for the font of its text.

The theme and the extensions bring a dozen style sheets, and a phone waits for each. Those that a
page links become one file, in their order; pages with the same ones share it. When all is at hand
the text is drawn once, in its own font: by http that is asked for before the style sheet is read.
From a folder it is there at once, and a browser would refuse to preload it. Sphinx's options, which
scripts in the page's head wait for, stand in the page.
"""

import hashlib
import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

from attn_trim import TEXT
from sphinx.util import logging

logger = logging.getLogger(__name__)

LINK = re.compile(r'\s*<link\b(?=[^>]*\brel="stylesheet")[^>]*\bhref="([^"?:]+)[^"]*"[^>]*>')
ADDRESS = re.compile(r"""url\((["']?)(?!data:|https?:|#)([^"')?#]+)([^"')]*)\1\)""")
IMPORT = re.compile(r"""@import\s+(?:url\()?["']([^"')]+)["']\)?\s*;""")
OPTIONS = re.compile(r'<script src="[^"]*/documentation_options\.js[^"]*"></script>')
EARLY = (
    '<script>if (location.protocol !== "file:") for (const font of {fonts})'
    ' document.head.insertAdjacentHTML("beforeend", `<link rel="preload" as="font"'
    ' type="font/woff2" crossorigin href="{folder}/${{font}}">`)</script>'
)


def moved(style: str, folder: str) -> str:
    """A style sheet of a folder as it reads from `_static`, its addresses changed."""

    def address(found: re.Match) -> str:
        path = posixpath.relpath(posixpath.join(folder, found[2]), "_static")
        return f'url("{path}{found[3]}")'

    return ADDRESS.sub(address, style)


def bundled(paths: Iterable[str], root: Path) -> str:
    """The text of style sheets (paths from the site's root), one after another.

    What one imports stands in its place: between others an import would count for nothing.
    """
    parts = []
    for path in paths:
        folder = posixpath.dirname(path)

        style = (root / path).read_text("utf-8").replace('@charset "UTF-8";', "")
        own, *rest = IMPORT.split(style)  # a name, and what follows it, by turns
        pieces = [moved(own, folder)]
        for name, more in zip(rest[::2], rest[1::2], strict=True):
            pieces += [bundled([posixpath.normpath(posixpath.join(folder, name))], root)]
            pieces += [moved(more, folder)]
        parts.append(f"/* {path} */\n{''.join(pieces)}")
    return "\n".join(parts)


def bundle(app, exception):
    """Write the style sheets together, and link them in every page of the theme."""
    if exception or app.builder.format != "html":
        return
    root = Path(app.outdir)
    options = (root / "_static/documentation_options.js").read_text("utf-8").strip()
    names: dict[tuple[str, ...], str] = {}
    for page in sorted(root.rglob("*.html")):
        text, folder = page.read_text("utf-8"), page.parent.relative_to(root).as_posix()
        links = [posixpath.normpath(posixpath.join(folder, href)) for href in LINK.findall(text)]
        if len(links) < 2 or folder.startswith("_static"):
            continue  # no page of the theme, or one of an earlier build
        key = tuple(dict.fromkeys(links))
        if key not in names:
            style = bundled(key, root)
            names[key] = f"bundle-{hashlib.sha256(style.encode()).hexdigest()[:10]}.css"
            (root / "_static" / names[key]).write_text(style, "utf-8")
        up = posixpath.relpath(".", folder)
        first = (
            f"\n    {EARLY.format(fonts=list(TEXT), folder=f'{up}/_static/fonts')}\n"
            f'    <link rel="stylesheet" href="{posixpath.join(up, "_static", names[key])}">'
        )
        text = OPTIONS.sub(lambda _: f"<script>{options}</script>", text)
        at = LINK.search(text).start()
        text = text[:at] + first + LINK.sub("", text[at:])
        page.write_text(text, "utf-8")
    logger.info("style sheets: %d, from %s", len(names), sorted(map(len, names)))


def setup(app):
    app.connect("build-finished", bundle, priority=960)  # after attn_trim
    return {"parallel_read_safe": True, "parallel_write_safe": True}
