"""A chapter's formulas as Colab's MathJax reads them: without the book's macros and classes."""

import re

from sphinx.errors import SphinxError

COLOURS = {  # the classes of the page's formulas
    "attn-query": "#0072B2",
    "attn-key": "#E69F00",
    "attn-value": "#009E73",
    "attn-context": "#CC79A7",
}
SELF_NUMBERED = ("align", "align*", "equation", "equation*", "gather", "gather*")


class MarkupError(SphinxError):
    """The chapter uses something that this writer cannot say in plain Markdown."""

    category = "Colab error"


def group(text: str, start: int) -> tuple[str, int]:
    """Return the TeX argument at `start` and where it ends: a {group}, a command or a letter."""
    while start < len(text) and text[start].isspace():
        start += 1
    if start == len(text):
        raise MarkupError(f"an argument is missing at the end of {text!r}")
    if text[start] != "{":
        command = re.compile(r"\\(?:[A-Za-z]+|.)|.").match(text, start)
        return command.group(), command.end()
    depth = 0
    for end in range(start, len(text)):
        escaped = text[end - 1] == "\\" and text[end - 2 : end] != "\\\\"
        if text[end] in "{}" and not escaped:
            depth += 1 if text[end] == "{" else -1
            if depth == 0:
                return text[start + 1 : end], end + 1
    raise MarkupError(f"a brace is not closed in {text!r}")


def expand(formula: str, macros: dict) -> str:
    r"""Write out the book's own TeX macros, and its colour classes as colours.

    >>> expand(r"\R^d", {"R": r"\mathbb{R}"})
    '\\mathbb{R}^d'
    >>> expand(r"\query{q_{t}} + 1", {"query": [r"\class{attn-query}{#1}", 1]})
    '{\\color{#0072B2}{q_{t}}} + 1'
    """
    out, at = [], 0
    for match in re.finditer(r"\\([A-Za-z]+)", formula):
        if match.start() < at:
            continue
        name, end = match.group(1), match.end()
        if name == "class":
            kind, end = group(formula, end)
            inside, end = group(formula, end)
            if kind not in COLOURS:
                raise MarkupError(f"no colour for the class {kind} in {formula!r}")
            text = rf"{{\color{{{COLOURS[kind]}}}{{{expand(inside, macros)}}}}}"
        elif name in macros:
            body, count = macros[name] if isinstance(macros[name], list) else (macros[name], 0)
            for number in range(1, count + 1):
                argument, end = group(formula, end)
                body = body.replace(f"#{number}", argument)
            text = expand(body, macros)
            if re.search(r"\\[A-Za-z]+$", text) and formula[end : end + 1].isalpha():
                text += " "
        else:
            continue
        out += [formula[at : match.start()], text]
        at = end
    return "".join(out) + formula[at:]


def plain_formula(formula: str, macros: dict) -> str:
    """Expand macros, and keep < and > from being read as HTML."""
    formula = expand(formula.strip(), macros)
    return re.sub(r"\s*<\s*", r" \\lt ", re.sub(r"(?<![-=])\s*>\s*", r" \\gt ", formula))


def display(formula: str, number: str | None, macros: dict) -> str:
    """Write a displayed formula, with its number as the page has it."""
    lines = [line for line in plain_formula(formula, macros).split("\n") if line.strip()]
    text = "\n".join(lines)
    outer = re.fullmatch(r"\\begin\{([a-z]+\*?)\}(.*)\\end\{\1\}", text, re.DOTALL)
    if outer and outer.group(1) in SELF_NUMBERED:
        text = re.sub(r"\\(?:nonumber|notag|label\{[^}]*\})", "", outer.group(2)).strip()
        if outer.group(1).startswith("gather"):
            text = rf"\begin{{gathered}}{text}\end{{gathered}}"
    if r"\\" in text and not re.match(r"\\begin\{(aligned|split|gathered)\}", text):
        text = f"\\begin{{aligned}}\n{text}\n\\end{{aligned}}"
    tag = f" \\tag{{{number}}}" if number else ""
    return f"$$\n{text}{tag}\n$$"
