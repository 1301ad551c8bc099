"""Put functions out of an answer's reach, under whatever name it holds them."""

import functools
import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType


class OutOfReachError(Exception):
    """An answer called what it was to write itself."""


def _functions(module) -> Iterator[FunctionType]:
    """The functions and methods that a module defines."""
    for each in vars(module).values():
        if isinstance(each, FunctionType) and each.__module__ == module.__name__:
            yield each
        elif inspect.isclass(each) and each.__module__ == module.__name__:
            for member in vars(each).values():
                inner = getattr(member, "__func__", getattr(member, "fget", member))
                if isinstance(inner, FunctionType):
                    yield inner


@contextmanager
def out_of_reach(*modules: str):
    """Within it, every function and method of the named modules refuses to run.

    The code of the functions is exchanged, not their names: a function that was imported before,
    under another name or through another module, refuses too.

    Parameters
    ----------
    modules : str
        Full names, such as "attnlib.reference".

    Raises
    ------
    OutOfReachError
        In whoever calls one of the functions.

    Examples
    --------
    >>> from attnlib.reference import softmax as mine
    >>> with out_of_reach("attnlib.reference"):
    ...     mine([1.0, 2.0])
    Traceback (most recent call last):
    attnlib.checks.reach.OutOfReachError
    >>> mine([0.0, 0.0]).tolist()
    [0.5, 0.5]
    """
    kept: list[tuple[FunctionType, CodeType]] = []
    for name in modules:
        for function in _functions(importlib.import_module(name)):
            kept.append((function, function.__code__))
    # A function's code can only be exchanged for code that closes over as many names.
    try:
        for function, code in kept:
            function.__code__ = _refusal(len(code.co_freevars))
        yield
    finally:
        for function, code in kept:
            function.__code__ = code


@functools.cache
def _refusal(closed: int) -> CodeType:
    """Code that refuses, and closes over so many names."""
    if not closed:
        return _refuse.__code__
    names = [f"name_{i}" for i in range(closed)]
    source = (
        f"def outer({', '.join(names)}):\n"
        "    def refuse(*_, **__):\n"
        f"        ({', '.join(names)},)\n"
        "        from attnlib.checks.reach import OutOfReachError\n"
        "        raise OutOfReachError\n"
        "    return refuse\n"
    )
    made: dict = {}
    exec(source, made)
    return made["outer"](*names).__code__


def _refuse(*_, **__):
    from attnlib.checks.reach import OutOfReachError  # in the function's own globals there is none

    raise OutOfReachError
