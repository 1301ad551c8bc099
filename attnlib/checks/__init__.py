"""What the assignments' checks call: compare an answer with an oracle, and say what went wrong.

`agrees` tries an answer on growing cases, and stops at the first, the smallest, that fails: it
prints what was expected and what came, and, where the answer is wrong in a way that others were
wrong before, what was probably done. It never shows a solution. While an answer runs, all of
attnlib is out of its reach (`reach.ask`): an answer that calls what is ready-made is refused.
"""

from attnlib.checks.compare import CheckError, Likely, agrees, holds

__all__ = ["CheckError", "Likely", "agrees", "holds"]
