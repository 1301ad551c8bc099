"""Sphinx extension: mend what the theme gets wrong, and fail when there is nothing to mend.

Each mend is a substitution in the finished pages, or in the theme's script. One that no longer
matches means that the theme has changed: the build then fails, so that the mend is looked at again
rather than silently lost.
"""

import re
from pathlib import Path
from typing import NamedTuple

from sphinx.errors import ExtensionError
from sphinx.util import logging

logger = logging.getLogger(__name__)
MENDED = "<!-- mended by attn_theme -->"


class Mend(NamedTuple):
    why: str
    pattern: str
    replacement: str
    required: bool = True  # False: only pages with a certain kind of content have it


MENDS = [
    Mend(
        "the icons are drawn by the theme's own web font; this script is 542 KB that does it again",
        r'\s*<script defer src="[^"]*scripts/fontawesome\.js[^"]*"></script>',
        "",
    ),
    Mend(
        "the book has a search of its own (attn_search), and no page else needs Sphinx's index",
        r'\s*<script src="[^"]*(?:searchtools|language_data|searchindex|sphinx_highlight)\.js'
        r'[^"]*"></script>',
        "",
    ),
    Mend(
        "a page says once how wide it is, and the theme and Sphinx say it two times more",
        r'\s*<meta name="viewport" content="width=device-width, initial-scale=1" ?/>',
        "",
    ),
    Mend(
        "the search button's accessible name must hold the words it shows",
        r'(<button class="btn search-button-field[^>]*?) aria-label="Search"',
        r"\1",
    ),
    Mend(
        "... and not the keys of its shortcut",
        r'<span class="search-button__kbd-shortcut">',
        r'<span class="search-button__kbd-shortcut" aria-hidden="true">',
    ),
    Mend(
        "the logo stands outside every landmark",
        r'(<div class="sidebar-primary-item">)(\s*<a class="navbar-brand)',
        r'<div class="sidebar-primary-item" role="navigation" aria-label="Home">\2',
    ),
    Mend(
        "the icons of the colour-scheme button are decoration",
        r'(<i class="theme-switch[^>]*?) title="[^"]*"',
        r'\1 aria-hidden="true"',
    ),
    Mend(
        "a list's children must be list items, and the entries of a bibliography are not",
        r'<div role="list" class="citation-list">',
        '<div class="citation-list">',
    ),
    Mend(
        "what opens and folds a part of the contents has no name",
        r'<summary>(?=<span class="toctree-toggle")',
        '<summary aria-label="Pages of this part">',
    ),
    Mend(
        "what folds code must be called by the words it shows",
        r'<summary aria-label="Toggle hidden content">',
        "<summary>",
        required=False,
    ),
    Mend(
        "an entry of a bibliography is no list item of the kind that this role asks for",
        r' role="doc-biblioentry"',
        "",
    ),
    Mend(
        "every exercise and every solution has the same id",
        r'<section id="(?:exercise|solution)-content">',
        "<section>",
        required=False,
    ),
    Mend(
        "a head without words is no head",
        r"<th\b[^>]*>(?:<p></p>)?</th>",
        "<td></td>",
        required=False,
    ),
    Mend(
        "without a script the page has the light theme's colours, not none",
        r'(<html[^>]* data-theme=)"auto"',
        r'\1"light"',
    ),
    Mend(
        "... and with one the right colours from the first",
        r'localStorage\.getItem\("theme"\) \|\| "auto"',
        'localStorage.getItem("theme") || '
        '(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")',
    ),
    Mend(
        "the logo's room is kept until it is there",
        r'<img (src="[^"]*" class="logo__image)',
        r'<img width="120" height="80" \1',
    ),
    Mend(
        "the logo in the menu of a rocket is wanted when the menu is opened",
        r'<img (?=alt="Colab logo")',
        '<img width="16" height="16" loading="lazy" ',
        required=False,
    ),
    Mend(
        "a tab's label may not say that it controls something",
        r' aria-controls="[^"]*"(?=[^>]*>[^<]*</label>)',
        "",
        required=False,
    ),
]


# The theme asks every box that may scroll whether it does, and tells it so, one by one: each
# question lays the page out again, half a second on a phone. An observer asks them all in one go,
# when the page has just been laid out; `o` lives on, for the theme asks again when it has changed.
FAR = "1000000px"  # from what is seen: all of them
WIDE = r"e\.scrollWidth>e\.clientWidth\|\|e\.scrollHeight>e\.clientHeight"
MENDED_SCRIPT = Mend(
    "boxes that scroll are asked one by one whether they do, and the page laid out for each",
    r"const e=\(\)=>\{document\.querySelectorAll\((\[[^]]*\]\.join\([^)]*\))\)"
    rf"\.forEach\(e=>\{{e\.tabIndex=({WIDE})\?0:-1\}}\)\}}",
    r"const o=new IntersectionObserver(l=>l.filter(e=>e.isIntersecting)"
    r".map(({target:e})=>[e,\2?0:-1])"
    r".forEach(([e,t])=>{o.unobserve(e),e.tabIndex!==t&&(e.tabIndex=t)}),"
    rf'{{rootMargin:"{FAR}"}}),'
    r"e=()=>{o.disconnect(),document.querySelectorAll(\1).forEach(e=>o.observe(e))}",
)


def mend_script(app, exception):
    """Mend the script of the theme, which is copied anew at each build."""
    if exception or app.builder.format != "html":
        return
    path = Path(app.outdir) / "_static" / "scripts" / "pydata-sphinx-theme.js"
    script = path.read_text("utf-8")
    script, count = re.subn(MENDED_SCRIPT.pattern, MENDED_SCRIPT.replacement, script)
    if count != 1:
        raise ExtensionError(f"nothing to mend in {path.name} ({MENDED_SCRIPT.why})")
    path.write_text(script, "utf-8")


def mend(page: str) -> tuple[str, list[int]]:
    """Return the mended page, and how often each mend was needed."""
    counts = []
    for each in MENDS:
        page, count = re.subn(each.pattern, each.replacement, page)
        counts.append(count)
    return page, counts


LATER = "doctools|clipboard.min|copybutton|sphinx-book-theme|togglebutton|design-tabs"
SCRIPT = re.compile(
    r'<script((?: data-[\w-]+="[^"]*")*) src="'
    rf'([^"]*/(?:{LATER.replace(".", "[.]")})[.]js[^"]*)"></script>'
)


def hurried(page: str) -> str:
    """The page with its text shown before the scripts that look after its buttons are there."""
    if 'class="sd-tab-set' not in page:
        page = re.sub(r'\s*<script src="[^"]*/design-tabs\.js[^>]*></script>', "", page)
    return SCRIPT.sub(r'<script\1 defer src="\2"></script>', page)


def mend_pages(app, exception):
    if exception or app.builder.format != "html":
        return
    totals = [0] * len(MENDS)
    fresh = 0
    for path in sorted(Path(app.outdir).rglob("*.html")):
        page = path.read_text("utf-8")
        if MENDED in page or "<body" not in page:
            continue  # left from an earlier build, or no page of the theme
        page, counts = mend(page)
        page = hurried(page)
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        path.write_text(page.rstrip("\n") + f"\n{MENDED}\n", "utf-8")
        fresh += 1
    if fresh == 0:
        return
    for each, total in zip(MENDS, totals, strict=True):
        if each.required and total == 0:
            raise ExtensionError(f"nothing to mend in {fresh} pages ({each.why}): {each.pattern}")
    logger.info("theme mended in %d pages: %s", fresh, totals)


def setup(app):
    app.connect("build-finished", mend_pages)
    app.connect("build-finished", mend_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
