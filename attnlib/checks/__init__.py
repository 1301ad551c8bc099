"""What the assignments' checks call: compare an answer with an oracle, and say what went wrong.

`agrees` tries an answer on growing cases, and stops at the first, the smallest, that fails: it
prints what was expected and what came, and, where the answer is wrong in a way that others were
wrong before, what was probably done. It never shows a solution. While an answer runs, all of
attnlib is out of its reach (`reach.ask`): an answer that calls what is ready-made is refused.

`attention` asks any attention, of this package or another, what is broken in it (`layer`), and
`museum` keeps twelve bugs that were once in public code, with the smallest test that finds each.
"""

import importlib
from typing import TYPE_CHECKING

from attnlib.checks.compare import CheckError, Likely, agrees, holds

if TYPE_CHECKING:
    from attnlib.checks.layer import attention
    from attnlib.checks.subject import AttentionReport

__all__ = ["AttentionReport", "CheckError", "Likely", "agrees", "attention", "holds"]
LATER = {"attention": "layer", "AttentionReport": "subject"}  # PyTorch takes seconds to import


def __getattr__(name: str):
    if name not in LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"attnlib.checks.{LATER[name]}"), name)


def __dir__():
    return sorted({*globals(), *LATER})
