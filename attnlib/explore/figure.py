"""What the interactive figures share: one ES module each, and the twin that pages store."""

import base64
import binascii
import html
import json
import math
import re
import sys
from functools import cache
from pathlib import Path

import anywidget
from traitlets import TraitError

HERE = Path(__file__).parent
BASE, LIVE, LOOK = "base.mjs", "live.mjs", "base.css"  # what the figures share
IMPORTS = re.compile(r'^import \{[^}]*\} from "\./(\w+\.mjs)";\n', re.M)
ENGINE = ("numbers", "text", "search", "recurrent", "transformer", "captioner", "worker")
DIGITS = 4  # of every number a page stores: the last bits differ between machines


class FigureError(TraitError, ValueError):
    """A figure was given data it cannot draw."""


def engine_file(name: str) -> str:
    """One of the files of `attnlib/explore/live`, the models in JavaScript."""
    return (HERE / "live" / f"{name}.mjs").read_text("utf-8")


@cache
def engine() -> str:
    """The models in JavaScript, `attnlib/explore/live`, as one script: a worker is one file."""
    parts = "\n".join(engine_file(name) for name in ENGINE)
    joined = re.sub(r"^import .*? from .*?;\n", "", parts, flags=re.M | re.S)
    return re.sub(r"^export ", "", joined, flags=re.M)


@cache
def sources() -> dict[str, str]:
    """The files that draw, by name: an ES module for each figure, what they import, and the look.

    Raises
    ------
    ValueError
        When a module imports otherwise than by one line ``import { … } from "./NAME.mjs";``.
    """
    paths = sorted([*HERE.glob("*.mjs"), *HERE.glob("*.css")])
    found = {path.name: path.read_text("utf-8") for path in paths}
    for name, source in found.items():
        if len(re.findall(r"^import\b", source, re.M)) != len(IMPORTS.findall(source)):
            raise ValueError(f'{name} must import by lines like import {{ h }} from "./{BASE}";')
    found[LIVE] = found[LIVE].replace('"__ENGINE__"', json.dumps(engine()), 1)
    return found


@cache
def modules() -> dict[str, str]:
    """The source of every figure's ES module, by name, each complete in itself.

    A notebook loads a module from a blob, from which a relative import cannot work: what a module
    imports takes the place of the line that imports it.

    >>> print(*sorted(modules())[:4])
    alignment caption_steps five_dials heads
    """
    figures = (name for name, source in sources().items() if "\nexport default {" in source)
    return {Path(name).stem: _inlined(name, set()) for name in figures}


def _inlined(name: str, done: set[str]) -> str:
    """A file with what it imports in the place of its imports; what is `done` stands above."""

    def imported(line: re.Match) -> str:
        if line[1] in done:
            return ""
        done.add(line[1])
        return _inlined(line[1], done)

    return IMPORTS.sub(imported, sources()[name])


class Figure(anywidget.AnyWidget):
    """An anywidget whose stored output also runs on a page that has no kernel.

    A subclass names its `module` (a key of `modules()`), the traits that make up its `state`, and
    gives `table()`, what is shown where neither a kernel nor the book's script is at hand.
    """

    module: str
    state_names: tuple[str, ...]

    def __init_subclass__(cls, **kwargs):
        if "module" in cls.__dict__:
            cls._esm = modules()[cls.module]
            cls._css = sources()[LOOK]
        super().__init_subclass__(**kwargs)

    def state(self) -> dict:
        """What the module needs to draw the figure: plain lists, rounded to 4 decimals."""
        return {name: rounded(getattr(self, name)) for name in self.state_names}

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """The figure as a table: caption, column names, rows of text."""
        raise TypeError(f"{type(self).__name__} must define table")

    def to_html(self) -> str:
        """The element that the book's pages bring to life, with a readable table in it."""
        caption, columns, rows = self.table()
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in columns)
        body = "".join(
            f'<tr><th scope="row">{html.escape(first)}</th>'
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in rest)
            + "</tr>"
            for first, *rest in rows
        )
        state = json.dumps(self.state(), ensure_ascii=False, allow_nan=False, sort_keys=True)
        return (
            f'<attn-fig data-module="{self.module}">'
            f'<script type="application/json">{state.replace("<", chr(92) + "u003c")}</script>'
            f"<table><caption>{html.escape(caption)} (interactive in the book and in a running "
            f"notebook)</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            "</attn-fig>"
        )

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None or "google.colab.output" in sys.modules:
            return bundle  # Colab would show the twin below the figure
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return data | {"text/html": self.to_html()}, metadata


def one_of(what: str, value, names):
    """The value, if it is one of the names."""
    if value not in names:
        raise FigureError(f"unknown {what} {value!r}: one of {', '.join(names)}")
    return value


def within(what: str, value, low, high):
    """The number, if it lies from `low` to `high`."""
    if not low <= value <= high:
        raise FigureError(f"{what} must be from {low:g} to {high:g}, got {value:g}")
    return value


def index(what: str, value: int, things: int, more: str = "") -> int:
    """The index, if there is such a thing."""
    if not 0 <= value < things:
        raise FigureError(f"{what} {value} of {things}, from 0{more}")
    return value


def rounded(value, digits: int = DIGITS):
    """Numbers rounded, in lists and dictionaries too; a negative zero becomes zero.

    >>> rounded([0.123456, [1, -0.00001]])
    [0.1235, [1, 0.0]]
    """
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, dict):
        return {name: rounded(each, digits) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each, digits) for each in value]
    return round(float(value), digits) + 0.0


def text_of(data: bytes) -> str:
    """Bytes as a page stores them: base64."""
    return base64.b64encode(data).decode("ascii")


def bytes_of(name: str, text: str) -> bytes:
    """What `text_of` made text of.

    >>> bytes_of("samples", text_of(b"seven"))
    b'seven'
    """
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise FigureError(f"{name} must be base64 where they are text ({error})") from None


def numbers(name: str, value, *shape: int | None) -> list:
    """Nested lists of finite floats of the given shape; None stands for any length but zero."""

    def check(part, lengths, where):
        if not lengths:
            try:
                number = float(part)
            except (TypeError, ValueError):
                raise FigureError(f"{where} must be a number, got {part!r}") from None
            if not math.isfinite(number):
                raise FigureError(f"{where} must be finite, got {number}")
            return number
        part = part.tolist() if hasattr(part, "tolist") else part
        if not isinstance(part, list | tuple):
            raise FigureError(f"{where} must be a list, got {part!r}")
        if len(part) != lengths[0] and not (lengths[0] is None and part):
            wanted = "at least one entry" if lengths[0] is None else f"{lengths[0]} entries"
            raise FigureError(f"{where} must have {wanted}, got {len(part)}")
        return [check(each, lengths[1:], f"{where}[{i}]") for i, each in enumerate(part)]

    return check(value, shape, name)
