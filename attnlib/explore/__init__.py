"""Interactive figures: in Jupyter and Colab widgets, on the book's pages the same without a kernel.

`SoftmaxLookup`, `FiveDials`, `AlignmentFigure`, `LocalWindows`, `SoftHard`, `CaptionSteps`:
each a Python class that checks its data and computes its numbers with attnlib, and one ES module
that draws. `modules()` gives the modules; `captioned` what a captioner says, for `CaptionSteps`.
"""

from attnlib.explore.alignment import AlignmentFigure
from attnlib.explore.caption_steps import Captioned, CaptionSteps, captioned
from attnlib.explore.figure import FigureError, modules
from attnlib.explore.five_dials import FiveDials
from attnlib.explore.local_windows import LocalWindows
from attnlib.explore.soft_hard import SoftHard
from attnlib.explore.softmax_lookup import SoftmaxLookup

__all__ = [
    "AlignmentFigure",
    "CaptionSteps",
    "Captioned",
    "FigureError",
    "FiveDials",
    "LocalWindows",
    "SoftHard",
    "SoftmaxLookup",
    "captioned",
    "modules",
]
