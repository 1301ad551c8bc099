"""Sphinx extension: leave out what no page uses of the styles, the icons and the text's font.

The theme brings rules for all of Bootstrap and two fonts of 2,000 icons; the book's pages have a
tenth of the one and twenty of the other. A rule is left out if it speaks of a class or an id that
no page has and no script names. A font of icons keeps the characters that the rules left still
write, the font of the text those of the pages, and of its weights the ones that book.css asks for.
"""

import html
import re
from pathlib import Path

from attn_styles import characters, statements, write_font
from sphinx.errors import ExtensionError
from sphinx.util import logging

logger = logging.getLogger(__name__)

ICONS = "_static/vendor/fontawesome/webfonts"
FONTS = "fa-solid-900.woff2", "fa-brands-400.woff2"
TEXT = {"literata.woff2": (400, 700), "literata-italic.woff2": 400}  # of _static/fonts
REDRAWN = "_static/scripts/fontawesome.js"  # draws every icon again: no page loads it
ATTRIBUTE = re.compile(r'\b(?:class|id)="([^"]*)"')
WORD = re.compile(r"[A-Za-z_][\w-]*")
NAME = re.compile(r"[.#](-?[A-Za-z_][\w-]*)")
NESTED = "@media", "@supports", "@layer", "@container"


def selectors(prelude: str) -> list[str]:
    """The selectors of a rule, split at the commas that stand in no brackets."""
    parts, depth = [""], 0
    for letter in prelude:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def is_used(selector: str, known: set[str]) -> bool:
    """Say whether a selector's classes and ids are known; what stands in brackets is let pass."""
    if "\\" in selector:
        return True
    outside = selector
    while (shorter := re.sub(r"\([^()]*\)|\[[^\[\]]*\]", "", outside)) != outside:
        outside = shorter
    return known.issuperset(NAME.findall(outside))


def trimmed(style: str, known: set[str]) -> str:
    """The style sheet without the rules that nothing on a page can match."""
    kept = []
    for prelude, body in statements(style):
        bare = re.sub(r"/\*.*?\*/", "", prelude, flags=re.S).strip()
        if body is None:
            kept.append(bare)
        elif bare.startswith(NESTED):
            if inner := trimmed(body, known):
                kept.append(f"{bare}{{{inner}}}")
        elif bare.startswith("@"):
            kept.append(f"{bare}{{{body}}}")
        elif used := [each for each in selectors(bare) if is_used(each, known)]:
            kept.append(f"{','.join(used)}{{{body}}}")
    return "\n".join(kept)


def known_names(folder: Path) -> tuple[set[str], set[int]]:
    """The classes and ids of all pages with every word of the scripts; the pages' characters."""
    names: set[str] = set()
    letters: set[str] = set()
    for path in folder.rglob("*.html"):
        page = path.read_text("utf-8")
        letters.update(html.unescape(page))
        for value in ATTRIBUTE.findall(page):
            names.update(value.split())
    for path in (folder / "_static").rglob("*.js"):
        if path.parent.name != "live":
            names.update(WORD.findall(path.read_text("utf-8")))
    return names, set(map(ord, letters))


def trim(app, exception):
    if exception or app.builder.format != "html":
        return
    folder = Path(app.outdir)
    (folder / REDRAWN).unlink(missing_ok=True)
    known, text = known_names(folder)
    before = after = 0
    written: set[int] = set()
    for path in sorted((folder / "_static").rglob("*.css")):
        style = path.read_text("utf-8")
        short = trimmed(style, known)
        before, after = before + len(style), after + len(short)
        path.write_text(short, "utf-8")
        written |= characters(short)
    for name in FONTS:
        path = folder / ICONS / name
        if not path.exists():
            raise ExtensionError(f"the theme has no {name}: has it other icons now?")
        write_font(path, path, written)
    for name, weights in TEXT.items():
        path = folder / "_static" / "fonts" / name
        write_font(path, path, text, wght=weights)
    logger.info("styles trimmed from %d to %d characters", before, after)


def setup(app):
    app.connect("build-finished", trim, priority=950)  # when every page has been written
    return {"parallel_read_safe": True, "parallel_write_safe": True}
