"""A quick question with a few answers; each answer, once chosen, says why it is right or wrong."""

from collections.abc import Sequence
from typing import Any

import traitlets as tr

from attnlib.explore.figure import Figure, FigureError


class Quiz(Figure):
    """A question between two sections: choose an answer, and read why it is right or wrong.

    Parameters
    ----------
    question : str
        One sentence.
    answers : 2 to 5 triples (answer, right, why)
        What can be chosen; whether it is right, which exactly one is; what is said once it is
        chosen: why it is right, or what one mixes up who thinks so.
        Text between two ``$`` is set as a formula, in the notation of the figures: ``$a_{ts}$``.

    Raises
    ------
    FigureError
        (a ValueError) when not exactly one answer is right, or one gives no reason.

    Examples
    --------
    >>> Quiz(
    ...     "Over what does a row of weights sum to 1?",
    ...     [
    ...         ("The keys", True, "Each query shares out one unit of attention among the keys."),
    ...         ("The queries", False, "One key may get more than 1 from all queries together."),
    ...     ],
    ... )
    Quiz(Over what does a row of weights sum to 1?)
    """

    module = "quiz"
    state_names = ("question", "answers")

    question = tr.Unicode().tag(sync=True)
    answers: tr.List[Any] = tr.List().tag(sync=True)

    def __init__(self, question: str, answers: Sequence[tuple[str, bool, str]]):
        rows = [list(answer) for answer in answers]
        if not 2 <= len(rows) <= 5 or any(len(row) != 3 for row in rows):
            raise FigureError("a quiz has 2 to 5 answers, each (answer, right, why)")
        if [bool(right) for _, right, _ in rows].count(True) != 1:
            raise FigureError("exactly one answer of a quiz is right")
        for answer, _, why in rows:
            if not str(answer).strip() or len(str(why)) < 10:
                raise FigureError(f"the answer {answer!r} must say why it is right or wrong")
        super().__init__(
            question=str(question),
            answers=[
                {"answer": str(answer), "right": bool(right), "why": str(why)}
                for answer, right, why in rows
            ],
        )

    def state(self) -> dict:
        """What the module needs: the texts, as they are."""
        return {"question": self.question, "answers": [dict(each) for each in self.answers]}

    def table(self):
        rows = [
            [each["answer"], f"{'Right' if each['right'] else 'No'}. {each['why']}"]
            for each in self.answers
        ]
        return self.question, ["answer", "why"], rows

    def __repr__(self):
        return f"Quiz({self.question})"
