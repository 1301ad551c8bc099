"""What the extensions share that look after styles and fonts."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.varLib import instancer

TOKEN = re.compile(
    r"""/\*.*?\*/|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\\.|url\([^"')]*\)|[{};]""", re.S
)
CONTENT = re.compile(r"""(?:content|--[\w-]*icon[\w-]*):\s*["']((?:[^"'\\]|\\.)*)["']""")


def statements(style: str) -> Iterator[tuple[str, str | None]]:
    """Split a style sheet into what stands before each outer brace and what stands between them."""
    start = depth = 0
    opened = None
    for token in TOKEN.finditer(style):
        mark = token[0]
        if mark == "{":
            depth += 1
            if depth == 1:
                opened = token.start()
        elif mark == "}":
            depth -= 1
            if depth == 0:
                yield style[start:opened].strip(), style[opened + 1 : token.start()]
                start = token.end()
        elif mark == ";" and depth == 0:
            yield style[start : token.end()].strip(), None
            start = token.end()


def characters(style: str) -> set[int]:
    """The characters that a style sheet writes, as `content` or as a variable for an icon."""
    found: set[int] = set()
    for content in CONTENT.findall(style):
        text = re.sub(r"\\([0-9A-Fa-f]+) ?", lambda code: chr(int(code[1], 16)), content)
        found.update(map(ord, text.replace("\\", "")))
    return found


Range = float | tuple[float, float]


def write_font(path: Path, target: Path, wanted: set[int], **axes: Range) -> None:
    """Write a font with the wanted characters alone; as it is if it has none of them.

    A variable font's axes are cut to what is named: `wght=(400, 700)` or `wght=400`.
    """
    data = BytesIO(path.read_bytes())
    if axes:
        font = instancer.instantiateVariableFont(TTFont(data), axes)
        font.flavor = None
        data = BytesIO()
        font.save(data)
        data.seek(0)
    with TTFont(data) as font:
        if wanted & set(font.getBestCmap()):
            cutter = subset.Subsetter()
            cutter.populate(unicodes=wanted)
            cutter.subset(font)
        font.flavor = target.suffix.removeprefix(".")
        font.save(target)
