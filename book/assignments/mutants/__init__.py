"""Answers that a grader must refuse, and answers that it must accept, for every assignment."""

from textwrap import dedent
from typing import NamedTuple


class Wrong(NamedTuple):
    """A wrong answer: the cell it stands in, its name, its code, what the message must say.

    The check that must fail is the one of the same cell, `check_<cell>`, unless another is named.
    """

    cell: str
    name: str
    code: str
    says: str
    fails: str = ""

    @property
    def check(self) -> str:
        return self.fails or f"check_{self.cell}"


class Right:
    """A right answer, written otherwise: the code of some cells, by their names."""

    def __init__(self, name: str, **cells: str):
        self.name = name
        self.cells = {cell: dedent(code) for cell, code in cells.items()}
