"""What a person is told to look at: every cheat we know, and no honest answer."""

import importlib
import re
from textwrap import dedent

import homework
import pytest

pytest.importorskip("nbgrader")
assert homework.FOLDER  # the grader's folder is on the path from here on
import kit  # noqa: E402
import look  # noqa: E402
import python_cells  # noqa: E402


@pytest.mark.parametrize("name", kit.sources())
def test_no_honest_answer_is_named(name):
    every = importlib.import_module(f"mutants.{name}")
    cells = [code for right in every.RIGHT for code in right.cells.values()]
    cells += [c.source for c in kit.source(name).cells if "BEGIN SOLUTION" in c.source]
    ready_made = re.compile(r"attnlib|scipy|\ba\d\d")
    cells += [each.code for each in every.WRONG if not ready_made.search(each.code)]
    for code in map(dedent, cells):
        assert look.unusual(code, look.IMPORTS | {"torch"}) == set(), code


@pytest.mark.parametrize(
    "code",
    [
        "a03.BOTH = ()",
        "from attnlib.checks.common import soft",
        "import runpy; runpy.run_path(a02.__file__)",
        "%run {a02.__file__}",
        "ｅｘｅｃ('1')",
        "import pickle",
        "class Lazy:\n    def detach(self):\n        return 1",
        "import traceback; traceback.walk_stack(None)",
        "import sys; sys.setprofile(print)",
        "checks.agrees.__kwdefaults__['tolerance'] = 9e9",
        "np._core.numeric.isclose = print",
        "np.random.default_rng = print",
        "a02.softmax_loops.__module__ = 'string'",
        "globals()['_ch' + 'eck'] = print",
        "text = open('../../../source/a02.ipynb').read()",
        "from pathlib import Path",
        "class A:\n    def __eq__(self, other):\n        return True",
        "class A:\n    def __array_ufunc__(self, *a):\n        pass",
        "import subprocess",
        "import scipy",
        "f = getattr(np, 'ab' + 's')",
        "for name in ('_a', 'W_K'):\n    getattr(x, name)",
        "name = 'ab'\nfor name in ('W_Q', 'W_K'):\n    getattr(x, name)",
        "for name in ('W_Q', 'W_K'):\n    pass\ndef f(name):\n    getattr(x, name)",
        f"x = '{'a' * 200}'",
    ],
)
def test_what_no_answer_needs_is_named(code):
    assert look.unusual(f"{code}\nx = np.exp(1)")


@pytest.mark.parametrize(
    "code",
    ["# In the first step we exec: this requests gc", "_, w = 1, 2", "model.eval()",
     "%matplotlib inline\n%timeit 1", "class A:\n    def f(self):\n        return self._x",
     "_mine = 3\nprint(_mine)", "for name in ('W_Q', 'W_K'):\n    W = getattr(x, name).grad",
     "[getattr(x, name) for name in ['W_Q', 'W_K']]",
     "def f(x):\n    'It opens eval(x).'\n    return x"],
)  # fmt: skip
def test_prose_and_honest_code_are_not(code):
    assert look.unusual(code) == set()


def test_a_copy_of_the_loops_is_named():
    from inspect import getsource

    from attnlib.checks.a02 import masked_loops

    copy = getsource(masked_loops).replace("masked_loops", "masked_softmax").replace("seen", "s_")
    notebook = homework.answer(masked_softmax=copy)
    assert look.copied(notebook) == ["masked_softmax: masked_softmax is a copy of a02.masked_loops"]
    assert look.copied(homework.solved()) == []


def test_answers_that_differ_in_names_and_comments_are_alike():
    one = "def softmax(scores):\n    exps = np.exp(scores)\n    return exps / exps.sum(-1)"
    renamed = one.replace("exps", "e").replace("scores", "x").replace("\n", "  # mine\n")
    other = one.replace("exps.sum(-1)", "np.sum(exps, -1)")
    stub = homework.named(homework.released(), "softmax").source
    prints = [
        look.fingerprints(homework.answer(softmax=code), homework.released(), {})
        for code in (one, renamed, other, stub)
    ]
    rows = look.alike([(n, "a02", p) for n, p in zip("abcd", prints)], {})
    assert (rows[0].cell, rows[0].students, rows[0].of) == ("softmax", ["a", "b"], 3)


def test_a_cell_is_read_as_python_reads_it():
    assert python_cells.syntax_error("def f(:") == "line 1: invalid syntax"
    assert python_cells.syntax_error("%timeit 1\n!ls\nx = 1") == ""
    assert python_cells.unwritten("def f(x):\n    pass", "def f(x):\n    raise NotImplementedError")
    assert not python_cells.unwritten("def f(x):\n    return x", "def f(x):\n    pass")
