"""Assignment 10, planted bugs: what a test meets, and what is said of it (chapter 10b).

A test is a function of one `a10_given.UnknownAttention`: it raises an AssertionError or returns
False where it has found a bug. A suite is a list of such; it must pass all attentions that are
right, and is worth the share of the wrong ones that it finds.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from attnlib.checks import a10_code as code
from attnlib.checks.a10_given import UnknownAttention
from attnlib.checks.compare import CheckError, as_arrays, blamed_on, holds
from attnlib.checks.reach import ask


class Planted(NamedTuple):
    """An attention: its class, its size, what is said of it, and what to ask to find it."""

    kind: Any
    what: str
    hint: str
    width: int = 8
    heads: int = 2

    def made(self, seed: int) -> UnknownAttention:
        """A fresh one, with first weights drawn by the seed."""
        torch.manual_seed(seed)
        module = self.kind(self.width, self.heads)
        forward = module.forward
        return UnknownAttention(lambda *given: forward(*given), code.parameters(module), self.heads)


MEANT = (
    "read again what is promised, and what is not. Does it compare with a tolerance, say atol=1e-5?"
)
SIZE = "take width and heads from the attention, not from one that you know"
ROUNDING = (
    "it computes the same sums in another order: numbers that differ in the seventh digit are no "
    "bug. Compare with a tolerance, for instance 1e-5"
)
RIGHT = (
    Planted(code.RightAttention, "step by step, 8 wide, with 2 heads", MEANT),
    Planted(code.OnePath, "12 wide, with 3 heads", SIZE, 12, 3),
    Planted(code.RightAttention, "16 wide, with 4 heads", SIZE, 16, 4),
    Planted(code.OnePath, "6 wide, with one head", SIZE, 6, 1),
    Planted(code.OneByOne, "sentence by sentence", ROUNDING),
    Planted(code.ByEinsum, "by einsum, all heads at once", ROUNDING, 12, 2),
    Planted(code.PyTorchs, "PyTorch's own, behind nn.MultiheadAttention", MEANT),
)

VISIBLE = (
    Planted(code.OnQueries, "the padding mask lies on the query axis",
            "change what stands at the padding; do the outputs of real words move?"),
    Planted(code.NeverCausal, "a causal mask is promised, and there is none",
            "change the last word; do earlier outputs move?"),
    Planted(code.DropsCausalMask, "the causal mask is dropped where weights are asked for",
            "it has two paths, with weights and without: ask both"),
    Planted(code.ScaledByHeads, "scores are divided by the root of the number of heads",
            "no property of masks shows a scale: compute what must come, from the matrices or "
            "from numbers that you put into them"),
    Planted(code.OverQueries, "the softmax runs over the queries",
            "what do the weights of a query sum to, with more keys than queries?"),
    Planted(code.JoinedByView, "heads are joined by a view, without a permutation",
            "a word gets pieces of other sentences: what does a sentence give alone?"),
)  # fmt: skip

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
BUGS = {"visible": VISIBLE, "unseen": UNSEEN}


class Said(NamedTuple):
    """What one test said of one attention: whether it passed it, and its words if not."""

    passed: bool
    words: str


def say(test: Callable, one: Planted) -> Said:
    """Let a test meet a fresh attention; its own draws begin alike each time.

    A wrong attention has the weights of a right one of its size, and the test draws the same: so
    none is known by its numbers, and where rounding makes a test refuse a right one, it does so
    before it is graded.

    Raises
    ------
    CheckError
        Where the test stops, calls what is ready-made, or returns neither True nor False.
    """
    name = getattr(test, "__name__", type(test).__name__)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        seed = [(each.width, each.heads) for each in RIGHT].index((one.width, one.heads))
        attention = one.made(seed)
        torch.manual_seed(len(RIGHT) + seed)
        state = np.random.get_state()
        np.random.seed(seed)
        try:
            with blamed_on(name):
                try:
                    said = as_arrays(ask(test, attention))
                except CheckError as error:
                    raise CheckError(f"{name} cannot be run: {error}") from None
                except AssertionError as error:
                    return Said(False, f"{error}".strip().split("\n")[0][:200])
        finally:
            np.random.set_state(state)
    flag = np.ndim(said) == 0 and np.asarray(said).dtype == bool
    holds(
        bool(said is None or flag),
        f"{name} returns a {type(said).__name__}; a test asserts, or returns True or False",
    )
    return Said(said is None or bool(said), "it returns False")


def tests_of(suite: Callable) -> Sequence[Callable]:
    """The tests that a suite returns, refused if they are none."""
    name = getattr(suite, "__name__", "the suite")
    with blamed_on(name):
        tests = ask(suite)
    holds(
        isinstance(tests, list | tuple) and all(map(callable, tests)),
        f"{name} returns a {type(tests).__name__}; it should return a list of functions",
    )
    holds(len(tests) > 0, f"{name} returns no test: an empty list finds no bug")
    holds(len(tests) <= 40, f"{name} returns {len(tests)} tests; forty are plenty")
    return tests


def judged(tests: Sequence[Callable], some: Sequence[Planted], seed: int) -> list[str]:
    """Of each wrong attention the first test that refuses it, and its words, or nothing.

    They are met in an order that is drawn, and among them the right ones, all of which must pass.
    """
    met = [*RIGHT, *some]
    refused = [""] * len(met)
    for i in np.random.default_rng(seed).permutation(len(met)):
        for test in tests:
            said = say(test, met[i])
            if not said.passed:
                name = getattr(test, "__name__", type(test).__name__)
                refused[i] = f"{name} ({said.words})" if said.words else name
                break
    right, wrong = refused[: len(RIGHT)], refused[len(RIGHT) :]
    if all(right) and all(wrong):
        raise CheckError(
            f"your tests refuse every attention, right or wrong, the first by {right[0]}"
        )
    for one, by in zip(RIGHT, right, strict=True):
        holds(
            not by,
            f"{by} refuses an attention that is right, {one.what}: {one.hint}",
        )
    return wrong


def finds(suite: Callable, which: str, least: int, seed: int, quiet: bool = False) -> None:
    """Refuse a suite that fails a right attention, or finds fewer than `least` of the bugs.

    Parameters
    ----------
    suite : callable
        Returns a list of tests.
    which : "visible" or "unseen"
    least : int
    quiet : bool
        Say nothing where all is well.
    """
    some, tests = BUGS[which], tests_of(suite)
    wrong = judged(tests, some, seed)
    found = sum(map(bool, wrong))
    lines = [
        f"{'found ' if by else 'missed'}  {one.what}" + (f"  [{by.split(' (')[0]}]" if by else "")
        for one, by in zip(some, wrong, strict=True)
    ]
    if found < least:
        (first, *_) = [one for one, by in zip(some, wrong, strict=True) if not by]
        raise CheckError(
            "\n".join(
                [
                    f"your tests pass all {len(RIGHT)} right attentions, and find {found} of "
                    f"{len(some)} {which} bugs; here {least} are wanted:",
                    *lines,
                    f"For the first one missed: {first.hint}",
                ]
            )
        )
    if not quiet:
        print(f"Right: {len(RIGHT)} right attentions pass, {found} of {len(some)} bugs are found.")
        print(*lines, sep="\n")


def ready(suite: Callable, least: int) -> None:
    """Say what a suite will meet when it is graded; refuse one that is none."""
    number = len(tests_of(suite))
    print(
        f"Your suite of {number} test{'s' * (number > 1)} will meet {len(RIGHT)} right attentions "
        f"and {len(UNSEEN)} bugs that you have not seen; here {least} are to be found."
    )
