"""The book's drawings: each a function that returns a `Canvas`, which shows itself in a cell."""

from attnlib.drawing.canvas import Canvas

__all__ = ["Canvas"]
