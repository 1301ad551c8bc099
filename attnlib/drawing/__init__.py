"""The book's drawings: each a function that returns a `Canvas`, which shows itself in a cell."""

from attnlib.drawing.canvas import Canvas
from attnlib.drawing.windows import four_windows, pulls, stops

__all__ = ["Canvas", "four_windows", "pulls", "stops"]
