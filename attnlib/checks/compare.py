"""Compare an answer with an oracle on growing cases, and say what went wrong at the smallest."""

import copy
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from attnlib.checks.reach import OutOfReachError, ask, borrowed

LIBRARIES = {"torch": "PyTorch", "scipy": "SciPy"}


class CheckError(AssertionError):
    """An answer is not right; the message says where, and what was probably done."""


class Likely(NamedTuple):
    """A mistake that many make: what it computes, and what to say to who computes the same."""

    answer: Callable
    hint: str
    within: float = 0.0  # how far an answer may be off and still count as the same


def agrees(
    answer: Callable,
    oracle: Callable,
    cases: Iterable[dict[str, Any]],
    *,
    likely: Sequence[Likely] = (),
    tolerance: float = 1e-6,
    hidden: int | None = None,
    without: Sequence[str] = (),
    quiet: bool = False,
) -> None:
    """Check that an answer gives what the oracle gives, on all cases, the smallest first.

    Parameters
    ----------
    answer : callable
        What the reader wrote.
    oracle : callable
        What is right, called with the same arguments, as NumPy arrays.
    cases : iterable of dict
        Arguments by name, from small to large. Tensors and arrays are copied before each call: an
        answer that changes its arguments is told so.
    likely : sequence of Likely
        Common mistakes. The hint of the first one that gives what the answer gave is shown.
    tolerance : float
        How far a number may be off, absolutely and relatively to the largest expected one.
    hidden : int, optional
        The output, counted from 0, that has weights: where the oracle says 0, nothing but 0 is
        right, however small it is.
    without : sequence of str
        Libraries that the answer may not use, of "torch" and "scipy". attnlib is never in reach.
    quiet : bool
        Say nothing where all is well.

    Raises
    ------
    CheckError
        At the first case that fails.

    Examples
    --------
    >>> agrees(lambda x: x + x, lambda x: 2 * x, [{"x": np.array([1.0, 2.0])}])
    Right: 1 case.
    >>> agrees(lambda x: x * x, lambda x: 2 * x, [{"x": np.array([1.0, 2.0])}])
    Traceback (most recent call last):
    attnlib.checks.compare.CheckError: <lambda> is wrong at the smallest case that fails:
      x = [1. 2.]
    expected
      [2. 4.]
    got
      [1. 4.]
    """
    name = getattr(answer, "__name__", type(answer).__name__)
    if library := borrowed(answer, without):
        raise CheckError(
            f"{name} uses {LIBRARIES[library]}: in this task NumPy and Python are enough"
        )
    passed: list[tuple[dict, Any]] = []
    for case in cases:
        got = _called(answer, case, name)
        expected = as_arrays(oracle(**{key: as_arrays(value) for key, value in case.items()}))
        wrong = difference(got, expected, tolerance)
        if not wrong and hidden is not None and not _zeros(got, expected, hidden):
            wrong = "a very small weight, where nothing may be seen and the weight is exactly 0"
        if wrong:
            lines = _report(name, case, expected, got, wrong)
            lines += _hints([*passed, (case, got)], likely, tolerance)
            raise CheckError("\n".join(lines))
        passed.append((case, expected))
    if not passed:
        raise ValueError("there is no case to check")
    if not quiet:
        print(f"Right: {len(passed)} case{'s' if len(passed) > 1 else ''}.")


def holds(condition: bool, hint: str) -> None:
    """Check a property, and say in a sentence what is wrong where it does not hold."""
    if not condition:
        raise CheckError(hint)


def meet(
    name: str, both: Sequence[tuple], said_of: Callable, told: Callable, rng: np.random.Generator
) -> None:
    """Let a reader's own test meet what is right and what is not, in an order that is drawn.

    Parameters
    ----------
    name : str
        Of the test.
    both : sequence of (thing, bool, str, str)
        What it meets; what it should say; what that is, in words; and a hint, or nothing.
    said_of : callable
        What the test says of a thing.
    told : callable
        A sentence for what it said, wrongly, of what: the first in the order of `both` is told.
    rng : numpy.random.Generator
        Draws the order.
    """
    said = {}
    for i in rng.permutation(len(both)):
        with blamed_on(name):
            said[i] = as_arrays(said_of(both[i][0]))
        holds(
            isinstance(said[i], bool | np.bool_),
            f"{name} returns a {type(said[i]).__name__}; it should return True or False",
        )
    for i, (_, right, what, hint) in enumerate(both):
        does = told(bool(said[i]), what) + (f": {hint}" if hint else "")
        holds(bool(said[i]) is right, does + "." * (not hint.endswith("?")))


def as_arrays(value: Any) -> Any:
    """Tensors and kinds of arrays as NumPy arrays, in tuples, lists and dicts too.

    By the types themselves, not by what a value says of itself: no method of the value's is called.
    """
    torch = sys.modules.get("torch")  # to import it would take seconds
    if torch and type(value) in (torch.Tensor, torch.nn.Parameter):
        tensor = torch.Tensor
        return tensor.numpy(tensor.cpu(tensor.detach(value)))
    if isinstance(value, np.ndarray) and type(value) is not np.ndarray:
        return np.ndarray.view(value, np.ndarray)
    if type(value) is tuple:
        return tuple(as_arrays(each) for each in value)
    if type(value) is list:
        return [as_arrays(each) for each in value]
    if type(value) is dict:
        return {key: as_arrays(each) for key, each in value.items()}
    return value


PLAIN = (np.ndarray, bool, int, float, complex, str, type(None))


def _strange(value: Any) -> str:
    """The type of what is neither array nor number, nor a tuple or list of such; or nothing."""
    if type(value) in (tuple, list):
        return next(filter(None, map(_strange, value)), "")
    fine = type(value) in PLAIN or isinstance(value, np.generic)
    return "" if fine else type(value).__name__


def difference(got: Any, expected: Any, tolerance: float) -> str:
    """What is wrong with an output, in a few words; nothing if it is right."""
    if isinstance(expected, tuple):
        if not isinstance(got, tuple | list) or len(got) != len(expected):
            count = len(got) if isinstance(got, tuple | list) else 1
            return f"{count} output{'s' if count > 1 else ''} instead of {len(expected)}"
        wrong = (difference(g, e, tolerance) for g, e in zip(got, expected, strict=True))
        return next(filter(None, wrong), "")
    if got is None:
        return "nothing came back: is there a return?"
    want = np.asarray(expected)
    try:
        have = np.asarray(got)
    except ValueError:  # rows of unequal lengths
        return "rows of unequal lengths"
    if have.dtype == object:
        return f"a {type(got).__name__} instead of numbers"
    if have.shape != want.shape:
        return f"shape {have.shape} instead of {want.shape}"
    if want.dtype.kind in "fc" or have.dtype.kind in "fc":
        if not np.isfinite(have[np.isfinite(want)]).all():
            return "not a number (NaN) or infinite"
        room = tolerance * max(1.0, float(np.abs(want[np.isfinite(want)]).max(initial=0)))
        return "" if np.allclose(have, want, rtol=0, atol=room, equal_nan=True) else "other numbers"
    return "" if np.array_equal(have, want) else "other values"


def unwritten(error: NotImplementedError, name: str) -> str:
    """Which of the reader's functions or classes is a stub: it may be one that the answer calls."""
    frame = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    own = frame.f_globals.get("__name__") == "__main__"  # a notebook's cell
    return frame.f_code.co_qualname.split("<locals>.")[-1].split(".")[0] if own else name


@contextmanager
def blamed_on(name: str, given: str = "", at: str = "") -> Iterator[None]:
    """Within it, what a reader's function raises becomes a `CheckError` that names the function.

    Parameters
    ----------
    name : str
        Of the function or class.
    given, at : str
        What it was given, said behind its name, and at which case, said last, where it stops.

    Raises
    ------
    CheckError
        When it is a stub, calls what is out of its reach, or stops.
    """
    try:
        yield
    except OutOfReachError as error:
        raise CheckError(f"{name} {error}") from None
    except NotImplementedError as error:
        raise CheckError(f"{unwritten(error, name)} is not written yet") from None
    except CheckError:
        raise
    except SystemExit:
        why = "ends Python (exit, quit or SystemExit) instead of returning"
        raise CheckError(f"{name}{given} {why}{at}") from None
    except KeyboardInterrupt:  # that is how a cell is stopped that takes too long
        raise KeyboardInterrupt from None
    except BaseException as error:
        shown = f"{type(error).__name__}: {error}".strip().split("\n")[0][:200]
        raise CheckError(f"{name}{given} stops with {shown}{at}") from error


def _called(answer: Callable, case: dict, name: str) -> Any:
    arguments = copy.deepcopy({k: _free(v) for k, v in case.items()})
    with blamed_on(name, at=f"\nat the case\n{_shown(case)}"):
        got = as_arrays(ask(answer, **arguments))
    if strange := _strange(got):
        raise CheckError(f"{name} returns a {strange} instead of arrays")
    for key, value in arguments.items():
        if difference(as_arrays(value), as_arrays(case[key]), 0.0):
            raise CheckError(f"{name} changes its argument {key}: work on a copy")
    return got


def _zeros(got: Any, expected: Any, output: int) -> bool:
    """Say whether weights are 0 where they should be, and not merely small."""
    if isinstance(expected, tuple):
        got, expected = got[output], expected[output]
    weights = np.asarray(got, dtype=float)  # in single precision 1e-300 would be 0
    return bool((np.abs(weights[np.asarray(expected) == 0]) < 1e-300).all())


def _free(value: Any) -> Any:
    return value.detach().clone() if hasattr(value, "detach") else value


def _report(name: str, case: dict, expected: Any, got: Any, wrong: str) -> list[str]:
    lines = [f"{name} is wrong at the smallest case that fails:", _shown(case)]
    lines += ["expected", _indented(expected), "got", _indented(got)]
    if wrong not in ("other numbers", "other values"):
        lines.append(f"That is: {wrong}.")
    elif _text(got) == _text(expected):
        lines.append(f"The largest difference is {_distance(got, expected):.1g}.")
    if "float32" in _kinds(got) and "float32" not in _kinds(expected):
        lines.append("Yours are single-precision numbers (float32), with seven digits.")
    return lines


def _distance(got: Any, expected: Any) -> float:
    """How far two outputs of the same shapes are from each other, in their worst number."""
    if isinstance(expected, tuple):
        return max(_distance(g, e) for g, e in zip(got, expected, strict=True))
    return float(np.abs(np.asarray(got) - np.asarray(expected)).max(initial=0))


def _kinds(value: Any) -> set[str]:
    """The types of an output's arrays."""
    if isinstance(value, tuple | list):
        return set().union(*map(_kinds, value))
    return {str(value.dtype)} if hasattr(value, "dtype") else set()


def _hints(seen: Sequence[tuple[dict, Any]], likely: Sequence[Likely], tolerance: float) -> list:
    """The hint of the first mistake that gives what the answer gave, on all cases so far."""
    for mistake in likely:
        room = max(tolerance, mistake.within)
        if all(_same(mistake.answer, case, got, room) for case, got in reversed(seen)):
            return [f"Probably: {mistake.hint}{'' if mistake.hint.endswith('?') else '.'}"]
    return []


def _same(answer: Callable, case: dict, got: Any, tolerance: float) -> bool:
    try:
        with np.errstate(all="ignore"):
            same = as_arrays(answer(**copy.deepcopy(case)))
    except Exception:  # a mistake may fail where the answer does not
        return False
    return not difference(got, same, tolerance) or _both_strange(got, same)


def _both_strange(got: Any, same: Any) -> bool:
    """Say whether both have one shape and NaN at the same places, and the rest agrees."""
    if isinstance(same, tuple):
        return (
            isinstance(got, tuple | list)
            and len(got) == len(same)
            and all(_both_strange(g, s) for g, s in zip(got, same, strict=True))
        )
    try:
        if np.shape(got) != np.shape(same):
            return False
        return bool(np.allclose(got, same, rtol=0, atol=1e-6, equal_nan=True))
    except (TypeError, ValueError):
        return False


def _shown(case: dict) -> str:
    return "\n".join(f"  {key} = {_text(value)}" for key, value in case.items())


def _indented(value: Any) -> str:
    return "  " + _text(value)


def _text(value: Any) -> str:
    value = as_arrays(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, tuple):
        if all(isinstance(each, int) for each in value):  # a shape
            return repr(value)
        return "\n  ".join(_text(each) for each in value)
    if isinstance(value, np.ndarray) or (isinstance(value, list) and value):
        try:
            array = np.asarray(value)
        except ValueError:  # rows of unequal lengths
            return repr(value)
        shown = np.array2string(array, precision=4, suppress_small=True, threshold=60)
        return shown.replace("\n", "\n  ")
    return repr(value)
