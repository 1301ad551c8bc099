"""A memory that fades: what is left of each word in a state that keeps a share of itself."""

from typing import Any

import traitlets as tr

from attnlib.explore.figure import Figure, FigureError, within

WORDS = ("A", "man", "in", "a", "red", "shirt", "rides", "a", "white", "horse")


class MemoryFigure(Figure):
    r"""Read words into one vector, :math:`h_s = z h_{s-1} + x_s`, and see what is left of each.

    Every word is taken for a new one, with a coordinate of its own. The share z that is kept at
    each step is the same for all of them, as in chapter 01's halving rule, where it is 0.5.

    Parameters
    ----------
    words : 2 to 16 short words
    kept : float from 0.1 to 1
        The share z.
    read : int from 1 to the number of words; all unless given
        How many words have been read.
    decimals : int from 1 to 4
        With how many decimals the vector is looked at.

    Raises
    ------
    FigureError
        (a ValueError) when one of them is out of its range.

    Examples
    --------
    >>> figure = MemoryFigure(["a", "red", "shirt"], decimals=1)
    >>> figure, figure.traces
    (MemoryFigure(3 of 3 words, 0.5 kept, 1 decimals), [0.25, 0.5, 1.0])
    >>> MemoryFigure(decimals=2).visible
    8
    """

    module = "memory"
    state_names = ("words", "kept", "read", "decimals")

    words: tr.List[Any] = tr.List().tag(sync=True)
    kept = tr.Float(0.5).tag(sync=True)
    read = tr.Int(1).tag(sync=True)
    decimals = tr.Int(2).tag(sync=True)

    def __init__(self, words=WORDS, kept=0.5, read=None, decimals=2):
        words = [str(word) for word in words]
        if not 2 <= len(words) <= 16:
            raise FigureError(f"words must be 2 to 16, got {len(words)}")
        read = len(words) if read is None else read
        super().__init__(
            words=words,
            kept=within("kept", float(kept), 0.1, 1),
            read=within("read", read, 1, len(words)),
            decimals=within("decimals", decimals, 1, 4),
        )

    @property
    def traces(self) -> list[float]:
        """What is left of each word that was read: the last in full."""
        return [self.kept ** (self.read - 1 - s) for s in range(self.read)]

    @property
    def visible(self) -> int:
        """How many words leave a trace that does not round to zero."""
        return sum(trace >= 0.5 * 10.0**-self.decimals for trace in self.traces)

    def table(self):
        rows = [
            [word, f"{trace + 1e-9:.{self.decimals}f}"]  # a tie goes up, as in the figure
            for word, trace in zip(self.words, self.traces, strict=False)
        ]
        caption = f"What is left of each word when a share of {self.kept:g} is kept at each step"
        return caption, ["word", "left"], rows

    def __repr__(self):
        return (
            f"MemoryFigure({self.read} of {len(self.words)} words, {self.kept:g} kept,"
            f" {self.decimals} decimals)"
        )
