"""Call an answer while all of attnlib, but what it is given, is out of its reach.

A student's code and the checks share one process, and there nothing can be kept from code that
means to find it: it may walk up the stack, patch NumPy or the notebook's own shell, or read this
package as a file. What an ordinary call reaches is refused here, under whatever name it is held:
the loops that are right, the mistakes, the rest of the library, copies made by running a file once
more. Anything beyond that is not fought. No honest answer needs it, so the grader lists such code
in its column "look at", and a person decides.
"""

import os
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

HOME = str(Path(__file__).parents[1]) + os.sep


class OutOfReachError(Exception):
    """An answer called what it was to write itself; the message says what it did."""


def ask(answer: Callable, /, *arguments: Any, **named: Any) -> Any:
    """Call an answer; whatever it calls of attnlib refuses, but for the modules `*_given`.

    Every call of a Python function is watched while the answer runs, as a debugger would. Code of
    attnlib may be entered only from code of attnlib, so that what is given may use the rest.

    Raises
    ------
    OutOfReachError
        When the answer calls the rest of attnlib, even if it catches the error, or ends the watch.

    Examples
    --------
    >>> from attnlib.reference import softmax as mine
    >>> ask(lambda scores: mine(scores), [1.0, 2.0])
    Traceback (most recent call last):
    attnlib.checks.reach.OutOfReachError: calls a ready-made answer, softmax: write it yourself
    >>> ask(lambda x: x + 1, 2)
    3
    """
    before, profile, refused = sys.gettrace(), sys.getprofile(), []

    def watch(frame, event, argument):
        code, caller = frame.f_code, frame.f_back.f_code
        if _ours(code) and not _given(code) and (caller is ask.__code__ or not _ours(caller)):
            refused.append(code.co_qualname)
            raise OutOfReachError

    sys.settrace(watch)
    try:
        got = answer(*arguments, **named)
        watched = sys.gettrace() is watch and sys.getprofile() is profile
    finally:
        sys.settrace(before)
        sys.setprofile(profile)
        if refused:
            name = refused[0].split(".<locals>")[0]
            raise OutOfReachError(f"calls a ready-made answer, {name}: write it yourself")
    if not watched:
        raise OutOfReachError("sets Python's trace function, as debuggers do: take that out")
    return got


def _ours(code: CodeType) -> bool:
    return code.co_filename.startswith(HOME)


def _given(code: CodeType) -> bool:
    return code.co_filename.endswith("_given.py")


def borrowed(answer: Any, libraries: Collection[str]) -> str:
    """Which of the libraries an answer uses, itself or in the notebook's functions that it calls.

    Examples
    --------
    >>> import torch
    >>> borrowed(lambda scores: torch.softmax(scores, -1), ["torch"])
    'torch'
    >>> borrowed(lambda scores: scores, ["torch"])
    ''
    """
    found: list[Any] = [getattr(answer, "__wrapped__", answer)]
    seen: list[Any] = []
    for each in found:
        if any(each is other for other in seen):
            continue
        seen.append(each)
        each = getattr(each, "__func__", each)
        if isinstance(each, type):
            found += vars(each).values()
        if not isinstance(each, FunctionType):
            continue
        for name in _names(each.__code__):
            value = each.__globals__.get(name)
            whose = value.__name__ if isinstance(value, ModuleType) else _module(value)
            for library in (whose.split(".")[0], name.split(".")[0]):
                if library in libraries:
                    return library
            if whose == each.__module__:
                found.append(value)
    return ""


def _module(value: Any) -> str:
    return str(getattr(value, "__module__", None) or "")


def _names(code: CodeType) -> list[str]:
    """Names that some code, and the functions in it, look up or import."""
    inner = [_names(each) for each in code.co_consts if isinstance(each, CodeType)]
    return sum(inner, list(code.co_names))
