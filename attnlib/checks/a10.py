"""Assignment 10, planted bugs: what a test meets, and what is said of it (chapter 10b).

A test is a function of one `a10_given.UnknownAttention`: it raises an AssertionError or returns
False where it has found a bug, or it stops. A suite is a list of such; it must pass all attentions
that are right, and is worth the share of the wrong ones that it finds. Those bugs that a reader
should not know before the suite meets them are in `a10_unseen`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from attnlib.checks import a10_code as code
from attnlib.checks.a10_given import UnknownAttention
from attnlib.checks.compare import CheckError, as_arrays, blamed_on, holds
from attnlib.checks.reach import OutOfReachError, ask


class Planted(NamedTuple):
    """An attention: its class, its size, what is said of it, and what to ask to find it."""

    kind: Any
    what: str
    hint: str
    width: int = 8
    heads: int = 2

    def made(self, seed: int, touched: list | None = None) -> UnknownAttention:
        """A fresh one, with first weights drawn by the seed; it notes who asks for its matrices."""
        torch.manual_seed(seed)
        module = self.kind(self.width, self.heads)
        forward = module.forward
        return UnknownAttention(
            lambda *given: forward(*given), code.parameters(module), self.heads, touched
        )


MEANT = (
    "read again what is promised, and what is not: no last digits (does it compare with a "
    "tolerance, say atol=1e-5?), and nothing about nan or infinity"
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

NUMBER_UNSEEN = 12


class Said(NamedTuple):
    """What one test said of one attention: whether it passed it, and its words if not."""

    passed: bool
    words: str
    touched: bool  # it asked for a matrix


def say(test: Callable, one: Planted) -> Said:
    """Let a test meet a fresh attention; its own draws begin alike each time.

    A test that stops on a wrong attention has found it, whatever the error: where no gradient
    arrives, `grad` is None, and most of what one would do with it stops. If it stops because it is
    wrong itself, it does so on a right one, too.

    A wrong attention has the weights of a right one of its size, and the test draws the same: so
    none is known by its numbers, and where rounding makes a test refuse a right one, it does so
    before it is graded.

    Raises
    ------
    CheckError
        Where the test stops on a right attention, calls what is ready-made, or returns neither True
        nor False.
    """
    name = getattr(test, "__name__", type(test).__name__)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        seed = [(each.width, each.heads) for each in RIGHT].index((one.width, one.heads))
        touched: list[str] = []
        attention = one.made(seed, touched)
        torch.manual_seed(len(RIGHT) + seed)
        state = np.random.get_state()
        np.random.seed(seed)
        try:
            with blamed_on(name):
                try:
                    said = as_arrays(ask(test, attention))
                except OutOfReachError:
                    raise
                except CheckError as error:
                    if one in RIGHT:
                        raise CheckError(f"{name} cannot be run: {error}") from None
                    return Said(False, _first(error), bool(touched))
                except AssertionError as error:
                    return Said(False, _first(error), bool(touched))
                except Exception as error:
                    if one in RIGHT:
                        raise
                    words = f"it stops with {type(error).__name__}: {_first(error)}"
                    return Said(False, words, bool(touched))
        finally:
            np.random.set_state(state)
    flag = np.ndim(said) == 0 and np.asarray(said).dtype == bool
    holds(
        bool(said is None or flag),
        f"{name} returns a {type(said).__name__}; a test asserts, or returns True or False",
    )
    return Said(said is None or bool(said), "it returns False", bool(touched))


def _first(error: Exception) -> str:
    """The first line of what an error says."""
    return f"{error}".strip().split("\n")[0][:200]


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


class By(NamedTuple):
    """The first test that refuses an attention, with its words, or nothing; and of which kind."""

    any: str
    closed: str  # the first that touches no matrix


def judged(tests: Sequence[Callable], some: Sequence[Planted], seed: int) -> list[By]:
    """Which tests refuse each wrong attention.

    They are met in an order that is drawn, and among them the right ones, all of which must pass.
    """
    met = [*RIGHT, *some]
    refused = [By("", "")] * len(met)
    for i in np.random.default_rng(seed).permutation(len(met)):
        for test in tests:
            said = say(test, met[i])
            if not said.passed:
                name = getattr(test, "__name__", type(test).__name__)
                by = f"{name} ({said.words})" if said.words else name
                refused[i] = By(refused[i].any or by, "" if said.touched else by)
                if i < len(RIGHT) or not said.touched:
                    break
    right, wrong = [by.any for by in refused[: len(RIGHT)]], refused[len(RIGHT) :]
    if all(right) and all(by.any for by in wrong):
        raise CheckError(
            f"your tests refuse every attention, right or wrong, the first by {right[0]}: read "
            "again what is promised, and what is not"
        )
    for one, by in zip(RIGHT, right, strict=True):
        holds(
            not by,
            f"{by} refuses an attention that is right, {one.what}: {one.hint}",
        )
    return wrong


def finds(
    suite: Callable,
    least: int,
    seed: int,
    some: Sequence[Planted] = VISIBLE,
    closed: bool = False,
    quiet: bool = False,
) -> None:
    """Refuse a suite that fails a right attention, or finds fewer than `least` of the bugs.

    Parameters
    ----------
    suite : callable
        Returns a list of tests.
    least : int
    some : sequence of Planted
    closed : bool
        Only tests that touch no matrix of an attention count as finding it.
    quiet : bool
        Say nothing where all is well.
    """
    wrong = judged(tests_of(suite), some, seed)
    by = [each.closed if closed else each.any for each in wrong]
    found, without = sum(map(bool, by)), sum(bool(each.closed) for each in wrong)
    lines = [
        f"{'found ' if by else 'missed'}  {one.what}" + (f"  [{by.split(' (')[0]}]" if by else "")
        for one, by in zip(some, by, strict=True)
    ]
    if found < least:
        missed = next(one for one, by in zip(some, by, strict=True) if not by)
        which = "tests that touch no matrix" if closed else "tests"
        raise CheckError(
            "\n".join(
                [
                    f"your tests pass all {len(RIGHT)} right attentions, and your {which} find "
                    f"{found} of {len(some)} bugs; here {least} are wanted:",
                    *lines,
                    f"For the first one missed: {missed.hint}",
                ]
            )
        )
    if not quiet:
        print(f"Right: {len(RIGHT)} right attentions pass, {found} of {len(some)} bugs are found.")
        print(*lines, sep="\n")
        print(f"Tests that touch no matrix find {without} of {len(some)}.")


def ready(suite: Callable, least: int, closed: bool = False) -> None:
    """Say what a suite will meet when it is graded; refuse one that is none."""
    number = len(tests_of(suite))
    by = " by tests that touch no matrix" if closed else ""
    print(
        f"Your suite of {number} test{'s' * (number > 1)} will meet {len(RIGHT)} right attentions "
        f"and {NUMBER_UNSEEN} bugs that you have not seen; here {least} are to be found{by}."
    )
