"""Assignment 10, planted bugs: those that a suite meets only when it is graded (chapter 10b).

You are free to read on. You will know what to test, and will not have found it out.
"""

from collections.abc import Callable

from attnlib.checks import a10
from attnlib.checks import a10_code as code
from attnlib.checks.a10 import Planted

UNSEEN = (
    Planted(code.SeesTheNext, "a causal mask lets each word see the next one",
            "change one word after another, not all that follow a distant place"),
    Planted(code.ScaledByTheWhole, "scores are divided by the root of the whole width",
            "is your scale that of one head, for any width and number of heads?", 12, 3),
    Planted(code.PaddingOfTheFirst, "the padding of the first sentence is taken for that of all",
            "let the sentences of a batch have other lengths, and the first be the longest"),
    Planted(code.KeysForValues, "the values are made of the keys",
            "give it values that are not its keys"),
    Planted(code.DropsPadding, "the padding mask is dropped where no weights are asked for",
            "ask each property on both paths"),
    Planted(code.ShowsOthers, "the weights that come back are those without any mask",
            "the weights are promised, too: of a hidden key 0, and their average the context"),
    Planted(code.LowFloor, "what is hidden keeps a weight of some thousandths or less",
            "nothing means nothing: mind your tolerance, and change much"),
    Planted(code.RemembersTheMask, "the first padding mask is kept for later batches of its size",
            "call it twice, with other masks"),
    Planted(code.LearnsNoLook, "no gradient reaches the queries' and keys' matrices",
            "ask for gradients: which of the four matrices has one that is not 0?"),
    Planted(code.HidesItself, "a causal mask hides each word from itself",
            "a mask may also hide too much: does what should be seen have an effect?"),
    Planted(code.HeadTwice, "all heads have the weights of the first",
            "are two heads with other matrices two heads?"),
    Planted(code.LikesTheNear, "nearer keys get more, though positions were not asked for",
            "without positions the order of the keys changes nothing"),
)  # fmt: skip


def finds(suite: Callable, least: int, seed: int, closed: bool = False) -> None:
    """As `a10.finds`, for the bugs that are not seen."""
    a10.finds(suite, least, seed, UNSEEN, closed, quiet=True)
