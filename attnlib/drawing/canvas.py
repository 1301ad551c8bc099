"""A canvas for the book's drawings: boxes, arrows, vectors and matrices, as SVG.

A drawing is a function that puts these on a `Canvas` and returns it. As the last expression of a
cell it shows itself: inline SVG whose lines and letters take the colour of the page's text, so
that one picture serves a light and a dark page, a running notebook and Colab.

The canvas is narrow and its type large on purpose. On a phone of 390 pixels a picture of 440 units
is drawn at eight tenths of its size, and its smallest letters are then of 11 pixels.
"""

import math
import re
from collections.abc import Sequence
from html import escape

WIDEST = 440  # units
SMALLEST = 14  # units, of type
ROLES = {
    "query": "#0072b2",
    "key": "#e69f00",
    "value": "#009e73",
    "context": "#cc79a7",
    "ink": "currentColor",
}
# In these the page may set other shades of the four, for its dark theme.
_COLOURS = {
    name: f"var(--attn-{name}, {colour})" if name != "ink" else colour
    for name, colour in ROLES.items()
}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
HEAD = 7  # length of an arrow's head
SCRIPTS = re.compile(r"([_^])(?:\{([^}]*)\}|(\S))")


class Canvas:
    """What a drawing is drawn on; y grows downwards, and all lengths are in units.

    Every method that draws returns the canvas, so that calls can follow each other. Where a `role`
    is asked for it is one of query, key, value, context and ink, and gives the colour. In a text
    ``_`` and ``^`` set the next sign, or what stands in braces, below or above the line, and
    letters between two ``*`` are slanted: ``"*h*_{t-1}"``.

    Parameters
    ----------
    width, height : float
        The size; at most 440 units wide.
    alt : str
        The picture in words, for who cannot see it.

    Raises
    ------
    ValueError
        When the picture is too wide for a phone, its type too small, a colour unknown, or the words
        for who cannot see it are missing.

    Examples
    --------
    >>> canvas = Canvas(200, 60, "A box named encoder, and an arrow from it to the right.")
    >>> canvas.box(10, 10, 90, 40, "encoder", role="key").arrow((100, 30), (190, 30))
    Canvas(200 x 60: A box named encoder, and an arrow from it to the right.)
    """

    def __init__(self, width: float, height: float, alt: str):
        if width > WIDEST:
            raise ValueError(f"a canvas is at most {WIDEST} units wide, got {width:g}")
        if len(alt) < 20:
            raise ValueError(f"say in words what the picture shows, got {alt!r}")
        self.width, self.height, self.alt = width, height, alt
        self.parts: list[str] = []

    # --- what is drawn ---

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 15,
        anchor: str = "middle",
        role: str = "ink",
        bold: bool = False,
        faint: bool = False,
    ) -> "Canvas":
        """Words whose middle line is at `y`; `anchor` is "start", "middle" or "end"."""
        if size < SMALLEST:
            raise ValueError(f"type of {size:g} units is too small to read: at least {SMALLEST}")
        if anchor not in ("start", "middle", "end"):
            raise ValueError(f"anchor is start, middle or end, got {anchor!r}")
        more = ' font-weight="600"' if bold else ""
        more += ' opacity="0.7"' if faint else ""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" dy="0.35em" font-size="{size:g}" text-anchor="{anchor}"'
            f' fill="{_ink(role)}"{more}>{_spans(words)}</text>'
        )
        return self

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        words: str | Sequence[str] = "",
        *,
        role: str = "ink",
        size: float = 15,
        shade: float = 0.14,
        dashed: bool = False,
        bold: bool = False,
    ) -> "Canvas":
        """A box with its top left corner at (x, y), its words in the middle, a line each."""
        colour, rim = _colour(role), ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"'
            f' fill="{colour}" fill-opacity="{shade:g}" stroke="{colour}" stroke-width="1.5"{rim}/>'
        )
        lines = [words] if isinstance(words, str) else list(words)
        for i, line in enumerate(lines):
            if line:
                middle = y + height / 2 + (i - (len(lines) - 1) / 2) * size * 1.25
                self.text(x + width / 2, middle, line, size=size, bold=bold)
        return self

    def circle(
        self,
        x: float,
        y: float,
        radius: float,
        words: str = "",
        *,
        role: str = "ink",
        size: float = 15,
        shade: float = 0.14,
    ) -> "Canvas":
        """A circle around (x, y), its words in the middle."""
        colour = _colour(role)
        self.parts.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{colour}"'
            f' fill-opacity="{shade:g}" stroke="{colour}" stroke-width="1.5"/>'
        )
        return self.text(x, y, words, size=size) if words else self

    def line(
        self,
        *points: tuple[float, float],
        role: str = "ink",
        thick: float = 1.5,
        dashed: bool = False,
        faint: bool = False,
    ) -> "Canvas":
        """A line through the points."""
        if len(points) < 2:
            raise ValueError(f"a line goes through two points or more, got {len(points)}")
        self._path(_through(points), role, thick, dashed, faint)
        return self

    def arrow(
        self,
        *points: tuple[float, float],
        role: str = "ink",
        thick: float = 1.5,
        dashed: bool = False,
        faint: bool = False,
        bend: float = 0.0,
    ) -> "Canvas":
        """An arrow through the points; with two, it may `bend` to its left by so many units."""
        if len(points) < 2:
            raise ValueError(f"an arrow goes through two points or more, got {len(points)}")
        (x0, y0), (x1, y1) = points[-2:]
        if bend:
            if len(points) > 2:
                raise ValueError("only an arrow between two points can bend")
            length = math.hypot(x1 - x0, y1 - y0) or 1.0
            middle = (
                (x0 + x1) / 2 + (y1 - y0) / length * 2 * bend,
                (y0 + y1) / 2 - (x1 - x0) / length * 2 * bend,
            )
            path = f"M{x0:.1f} {y0:.1f}Q{middle[0]:.1f} {middle[1]:.1f} {{end}}"
            x0, y0 = middle
        else:
            path = "".join([_through(points[:-1]), "L{end}"])
        length = math.hypot(x1 - x0, y1 - y0) or 1.0
        ahead = (x1 - x0) / length, (y1 - y0) / length
        size = HEAD + thick
        base = x1 - ahead[0] * size, y1 - ahead[1] * size
        self._path(path.format(end=f"{base[0]:.1f} {base[1]:.1f}"), role, thick, dashed, faint)
        wing = -ahead[1] * size * 0.45, ahead[0] * size * 0.45
        corners = (
            (x1, y1),
            (base[0] + wing[0], base[1] + wing[1]),
            (base[0] - wing[0], base[1] - wing[1]),
        )
        shown = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        pale = ' opacity="0.45"' if faint else ""
        self.parts.append(f'<polygon points="{shown}" fill="{_colour(role)}"{pale}/>')
        return self

    def vector(
        self,
        x: float,
        y: float,
        values: Sequence[float] | int,
        *,
        role: str = "ink",
        cell: float = 16,
        upright: bool = True,
        written: bool = False,
        digits: int = 1,
        size: float = SMALLEST,
    ) -> "Canvas":
        """A vector of cells from (x, y) on, shaded by size where numbers are given.

        `written` writes the numbers into the cells: a cell must then be wide enough for them.
        """
        rows: Sequence[Sequence[float]] | tuple[int, int]
        if isinstance(values, int):
            rows = (values, 1) if upright else (1, values)
        else:
            rows = [[value] for value in values] if upright else [list(values)]
        return self.matrix(
            x, y, rows, role=role, cell=cell, written=written, digits=digits, size=size
        )

    def matrix(
        self,
        x: float,
        y: float,
        values: Sequence[Sequence[float]] | tuple[int, int],
        *,
        role: str = "ink",
        negative: str | None = None,
        cell: float | tuple[float, float] = 16,
        written: bool = False,
        digits: int = 1,
        size: float = SMALLEST,
        hidden: Sequence[Sequence[bool]] | None = None,
        zeros: bool = True,
    ) -> "Canvas":
        """A matrix of cells from (x, y) on: its numbers as shades, or its shape (rows, columns).

        Numbers are shaded by their share of the largest one, in the colour of `role`, those below
        zero in that of `negative` if one is given; `cell` is the side of a cell, or its width and
        height; cells that are `hidden` are left empty and crossed out. Without `zeros` a number
        that would be written as 0 is not.
        """
        numbers: list[list[float]] | None
        if isinstance(values, tuple) and all(isinstance(n, int) for n in values):
            (rows, columns), numbers = values, None
        else:
            numbers = [[float(value) for value in row] for row in values]  # type: ignore[union-attr]
            rows, columns = len(numbers), len(numbers[0])
            if any(len(row) != columns for row in numbers):
                raise ValueError("the rows of a matrix must be of one length")
        wide, high = cell if isinstance(cell, tuple) else (cell, cell)
        above, below = _colour(role), _colour(negative or role)
        largest = max((abs(n) for row in numbers or [] for n in row), default=0) or 1.0
        for i in range(rows):
            for j in range(columns):
                left, top = x + j * wide, y + i * high
                colour = below if numbers is not None and numbers[i][j] < 0 else above
                empty = hidden is not None and hidden[i][j]
                share = 0.22 if numbers is None else 0.04 + 0.76 * abs(numbers[i][j]) / largest
                if written:
                    share *= 0.6  # the numbers must stay readable
                self.parts.append(
                    f'<rect x="{left:g}" y="{top:g}" width="{wide:g}" height="{high:g}"'
                    f' fill="{colour}" fill-opacity="{0 if empty else share:.2f}"'
                    f' stroke="{colour}" stroke-opacity="0.8"/>'
                )
                if empty:
                    self.parts.append(
                        f'<path d="M{left + 4:g} {top + 4:g}L{left + wide - 4:g}'
                        f" {top + high - 4:g}M{left + wide - 4:g} {top + 4:g}L{left + 4:g}"
                        f' {top + high - 4:g}" stroke="currentColor" opacity="0.4"/>'
                    )
                elif written and numbers is not None:
                    shown = f"{numbers[i][j]:.{digits}f}".replace("-", "\N{MINUS SIGN}")
                    if zeros or float(f"{numbers[i][j]:.{digits}f}"):
                        self.text(left + wide / 2, top + high / 2, shown, size=size)
        return self

    def _path(self, path: str, role: str, thick: float, dashed: bool, faint: bool) -> None:
        more = ' stroke-dasharray="5 4"' if dashed else ""
        more += ' opacity="0.45"' if faint else ""
        self.parts.append(
            f'<path d="{path}" fill="none" stroke="{_colour(role)}" stroke-width="{thick:g}"'
            f' stroke-linecap="round" stroke-linejoin="round"{more}/>'
        )

    # --- what is shown ---

    def to_svg(self) -> str:
        """The picture as an SVG element."""
        return (
            f'<svg class="attn-drawing" xmlns="http://www.w3.org/2000/svg" role="img"'
            f' aria-label="{escape(self.alt)}" viewBox="0 0 {self.width:g} {self.height:g}"'
            f' style="display:block;width:100%;max-width:{self.width * 1.3:g}px;height:auto;'
            f'margin:0.5rem auto" font-family="{escape(FONT)}">' + "".join(self.parts) + "</svg>"
        )

    def _repr_html_(self) -> str:
        return self.to_svg()

    def __repr__(self):
        return f"Canvas({self.width:g} x {self.height:g}: {self.alt})"


def _colour(role: str) -> str:
    if role not in _COLOURS:
        raise ValueError(f"unknown role {role!r}: one of {', '.join(_COLOURS)}")
    return _COLOURS[role]


def _ink(role: str) -> str:
    """The shade of a colour that is read as text, which the page sets; else the text's own."""
    _colour(role)
    return "currentColor" if role == "ink" else f"var(--attn-{role}-ink, {_darker(ROLES[role])})"


def _darker(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(0.72 * part):02x}" for part in (red, green, blue))


def _through(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _spans(words: str) -> str:
    """The words with their scripts and slants as spans of SVG."""
    out = []
    for i, part in enumerate(words.split("*")):
        shown, at = "", 0
        for found in SCRIPTS.finditer(part):
            shown += escape(part[at : found.start()], quote=False)
            shift = "4" if found[1] == "_" else "-6"
            script = escape(found[2] or found[3] or "", quote=False)
            back = "-4" if found[1] == "_" else "6"
            # an empty span moves the line back: baseline-shift is not drawn by every browser
            shown += f'<tspan dy="{shift}" font-size="78%">{script}</tspan>'
            shown += f'<tspan dy="{back}">\N{ZERO WIDTH SPACE}</tspan>'
            at = found.end()
        shown += escape(part[at:], quote=False)
        out.append(f'<tspan font-style="italic">{shown}</tspan>' if i % 2 else shown)
    return "".join(out)
