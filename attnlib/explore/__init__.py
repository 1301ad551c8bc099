"""Interactive figures: in Jupyter and Colab widgets, on the book's pages the same without a kernel.

`SoftmaxLookup`, `FiveDials`, `AlignmentFigure`, `LocalWindows`, `SoftHard`, `CaptionSteps`,
`PositionsFigure`, `HeadsFigure`, `ModelsFigure`, `MemoryFigure`, `MovedWeights`, `Listening`,
`RelatedCells`, `Quiz`: each a Python class that checks its data and computes its numbers with
attnlib, and one ES module that draws. `modules()` gives the modules; `captioned` what a captioner
says, for `CaptionSteps`; `listening.recording` a spoken string, for `Listening`;
`related_cells.packed` features as a page stores them, for `RelatedCells`.
"""

from attnlib.explore.alignment import AlignmentFigure
from attnlib.explore.caption_steps import Captioned, CaptionSteps, captioned
from attnlib.explore.figure import FigureError, modules
from attnlib.explore.five_dials import FiveDials
from attnlib.explore.heads import HeadsFigure
from attnlib.explore.listening import Listening
from attnlib.explore.live_attention import LiveAttention
from attnlib.explore.live_heads import LiveHeads
from attnlib.explore.live_scene import LiveScene
from attnlib.explore.live_translator import LiveTranslator
from attnlib.explore.local_windows import LocalWindows
from attnlib.explore.memory import MemoryFigure
from attnlib.explore.models import ModelsFigure
from attnlib.explore.moved_weights import MovedWeights
from attnlib.explore.positions import PositionsFigure
from attnlib.explore.quiz import Quiz
from attnlib.explore.related_cells import RelatedCells
from attnlib.explore.soft_hard import SoftHard
from attnlib.explore.softmax_lookup import SoftmaxLookup

__all__ = [
    "AlignmentFigure",
    "CaptionSteps",
    "Captioned",
    "FigureError",
    "FiveDials",
    "HeadsFigure",
    "Listening",
    "LiveAttention",
    "LiveHeads",
    "LiveScene",
    "LiveTranslator",
    "LocalWindows",
    "MemoryFigure",
    "ModelsFigure",
    "MovedWeights",
    "PositionsFigure",
    "Quiz",
    "RelatedCells",
    "SoftHard",
    "SoftmaxLookup",
    "captioned",
    "modules",
]
