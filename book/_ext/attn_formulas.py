"""Sphinx extension: set the formulas while the book is built, by MathJax itself.

MathJax runs here in the JavaScript engine of the pip package `mini-racer`, without a browser. Its
files come from the pip package `sphinx-mathjax-offline` (MathJax 3.2.2, Apache License 2.0). A page
gets the markup that MathJax would have made in the reader's browser, and the same formula in MathML
for those who have it read aloud; one style sheet; and of MathJax's fonts the characters that the
book's formulas have. It needs no script for its formulas.
"""

import html
import json
import re
from functools import cache
from importlib import metadata
from pathlib import Path

from attn_styles import characters, statements, write_font
from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util import logging

logger = logging.getLogger(__name__)

PACKAGE = "sphinx-mathjax-offline"
FIRST = "startup.js"
FOLDER, STYLE = "vendor/mathjax", "formulas.css"
LOADED = ["adaptors/liteDOM", "input/tex-full", "output/chtml", "output/chtml/fonts/tex"]
LOADED += ["a11y/assistive-mml"]
TEX = ["base", "ams", "newcommand", "html", "boldsymbol", "configmacros"]
FONTS = "output/chtml/fonts/woff-v2"
NOTICE = """\
MathJax 3.2.2, https://www.mathjax.org, (c) the MathJax Consortium,
under the Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0
Of its fonts only the characters of this book's formulas are here.
"""
START = """
globalThis.global = globalThis;
globalThis.console = {log() {}, info() {}, warn() {}, error() {}};
globalThis.MathJax = CONFIG;
const files = FILES;
MathJax.loader.require = (path) => {
  const name = Object.keys(files).find((each) => path.endsWith(`/${each}.js`));
  if (!name) throw new Error(`MathJax asks for ${path}`);
  (0, eval)(files[name]);
};
"""
SET = """
(tex, display) => {
  const { adaptor } = MathJax.startup;
  const set = MathJax.tex2chtml(tex, { display, containerWidth: 1e6 });
  const wrong = adaptor.tags(set, "mjx-merror")[0];
  if (wrong) throw new Error(adaptor.getAttribute(wrong, "data-mjx-error"));
  if (display) adaptor.setAttribute(set, "tabindex", "0");  // a wide one scrolls, by keys, too
  return adaptor.outerHTML(set);
}
"""
DELIMITED = re.compile(r"\\\((.*?)\\\)(?=</span>)|\\\[(.*?)\\\](?=</div>)", re.DOTALL)
GLYPH = re.compile(r"\bmjx-c[0-9A-F]+(?:[ .]TEX-\w+)?")  # in a page, or in a selector
FACE = re.compile(r"font-family: MJX(ZERO|TEX(?:-\w+)?);")
ALWAYS = {"ZERO", "TEX", "TEX-S1", "TEX-S2", "TEX-S3", "TEX-S4"}  # letters, and tall brackets


def package_folder() -> Path:
    """Return the folder of MathJax in the installed package (whose name is no module name)."""
    for path in metadata.files(PACKAGE) or []:
        if path.name == FIRST:
            return Path(str(path.locate())).parent
    raise ExtensionError(f"{PACKAGE} has no {FIRST}: was another version installed?")


def source(name: str) -> str:
    path = package_folder() / name
    if not path.exists():
        raise ExtensionError(f"{PACKAGE} has no {name}: was another version installed?")
    return path.read_text("utf-8")


class MathJax:
    """MathJax without a browser: `markup` sets a formula, `style` is the style sheet of all."""

    def __init__(self, macros: dict):
        from py_mini_racer import MiniRacer

        config = {
            "loader": {"load": LOADED, "paths": {"mathjax": "mathjax"}},
            "startup": {"typeset": False},
            "tex": {"packages": TEX, "macros": macros},
            "chtml": {"fontURL": ".", "adaptiveCSS": False},
        }
        files = {name: source(f"{name}.js") for name in ["core", *LOADED]}
        self.engine = MiniRacer()
        start = START.replace("CONFIG", json.dumps(config)).replace("FILES", json.dumps(files))
        self.engine.eval(start)
        self.engine.eval(source(FIRST))
        self.engine.eval("MathJax.startup.promise").get(timeout=60)
        self.engine.eval(f"const set = {SET}")
        self.markup = cache(self._markup)

    def _markup(self, tex: str, display: bool) -> str:
        return self.engine.call("set", tex, display)

    def style(self) -> str:
        """The style sheet with every character that MathJax knows."""
        return self.engine.eval("MathJax.startup.adaptor.textContent(MathJax.chtmlStylesheet())")


@cache
def mathjax(macros: str) -> MathJax:
    """MathJax with these macros, as JSON; started when the first formula is met."""
    return MathJax(json.loads(macros))


def of(config) -> MathJax:
    return mathjax(json.dumps((config.mathjax3_config or {}).get("tex", {}).get("macros", {})))


def typeset(made: str, engine: MathJax) -> str:
    """What Sphinx wrote for a reader's MathJax, with its formulas set."""

    def one(found: re.Match) -> str:
        display = found[1] is None
        return engine.markup(html.unescape(found[2] if display else found[1]).strip(), display)

    return DELIMITED.sub(one, made)


def visitor(kind: str):
    """A visitor of formulas, inline or display, that sets what Sphinx's own would leave."""

    def visit(self, node):
        renderers = getattr(self.builder.app.registry, f"html_{kind}_math_renderers")
        start = len(self.body)
        try:
            renderers["mathjax"][0](self, node)
        except nodes.SkipNode:
            made = "".join(self.body[start:])
            try:
                self.body[start:] = [typeset(made, of(self.config))]
            except Exception as error:
                said = str(error).split("\n", 1)[0]
                logger.warning("%s in the formula %s", said, node.astext(), location=node)
            raise

    return visit


def add_style(app, pagename, templatename, context, doctree):
    """Ask for the style sheet on the pages that have a formula."""
    if "<mjx-container" in context.get("body", ""):
        app.add_css_file(f"../{FOLDER}/{STYLE}")


def needed(style: str, glyphs: set[str]) -> str:
    """Of MathJax's style sheet the rules of these characters, and those that are of none."""
    faces = ALWAYS.union(glyph.split()[1] for glyph in glyphs if " " in glyph)
    rules = []
    for selector, body in statements(style):
        selector, body = (" ".join((each or "").split()) for each in (selector, body))
        named = {glyph.replace(".", " ") for glyph in GLYPH.findall(selector)}
        face = FACE.search(body) if selector.startswith("@font-face") else None
        if named <= glyphs and (face is None or face[1] in faces):
            rules.append(f"{selector} {{ {body} }}")
    return "\n".join(rules) + "\n"


def write_style(app, exception):
    """Write the style sheet and the fonts, for the characters of all pages."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    glyphs: set[str] = set()
    for page in out.rglob("*.html"):
        text = page.read_text("utf-8")
        if "<mjx-container" in text:
            glyphs.update(GLYPH.findall(text))
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    style = needed(of(app.config).style(), glyphs)
    style = re.sub(r'\.woff"\) format\("woff"\)', '.woff2") format("woff2")', style)
    wanted = characters(style)
    for name in re.findall(r'url\("\./([^"]+)"\)', style):
        path = package_folder() / FONTS / Path(name).with_suffix(".woff")
        if not path.exists():
            raise ExtensionError(f"{PACKAGE} has no {name}: was another version installed?")
        write_font(path, folder / name, wanted)
    (folder / STYLE).write_text(style, "utf-8")
    (folder / "NOTICE").write_text(NOTICE, "utf-8")


def setup(app):
    app.add_html_math_renderer("attn_formulas", (visitor("inline"), None), (visitor("block"), None))
    app.connect("html-page-context", add_style)
    app.connect("build-finished", write_style)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
