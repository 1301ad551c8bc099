"""What the assignments' checks call: compare an answer with an oracle, and say what went wrong.

`agrees` tries an answer on growing cases, and stops at the first, the smallest, that fails: it
prints what was expected and what came, and, where the answer is wrong in a way that others were
wrong before, what was probably done. It never shows a solution. While an answer runs, the oracle
and whatever else the assignment names are `out_of_reach`: an answer that calls them is refused.
"""

from attnlib.checks.compare import CheckError, Likely, agrees, holds
from attnlib.checks.reach import out_of_reach

__all__ = ["CheckError", "Likely", "agrees", "holds", "out_of_reach"]
