"""What the assignments' checks call: compare an answer with an oracle, and say what went wrong.

`agrees` tries an answer on growing cases, and stops at the first, the smallest, that fails: it
prints what was expected and what came, and, where the answer is wrong in a way that others were
wrong before, what was probably done. It never shows a solution. While an answer runs, all of
attnlib is out of its reach (`reach.ask`): an answer that calls what is ready-made is refused.

`attention` asks any attention, of this package or another, what is broken in it (`layer`), and
`museum` keeps twelve bugs that were once in public code, with the smallest test that finds each.
"""

from typing import TYPE_CHECKING

from attnlib.checks.compare import CheckError, Likely, agrees, holds

if TYPE_CHECKING:
    from attnlib.checks.layer import attention

__all__ = ["CheckError", "Likely", "agrees", "attention", "holds"]


def __getattr__(name: str):
    if name == "attention":  # PyTorch takes seconds to import, and an answer in NumPy needs it not
        from attnlib.checks.layer import attention

        return attention
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
