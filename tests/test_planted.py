"""The planted bugs: every patch still fits the package, and every bug was caught."""

import ast
import json
import re
from pathlib import Path

import planted
import pytest
import torch

import attnlib
from attnlib.masks import causal_mask

PACKAGE, TESTS = Path(attnlib.__file__).parent, Path(__file__).parent
BUGS = planted.bugs()
each_bug = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug["name"])
FOUND = json.loads(planted.RESULTS.read_text(encoding="utf-8"))


@each_bug
def test_a_patch_fits_and_what_it_makes_compiles(bug):
    correct = (PACKAGE / bug["file"]).read_text(encoding="utf-8")
    wrong = planted.patched(correct, bug)
    compile(wrong, bug["file"], "exec")
    assert ast.dump(ast.parse(wrong)) != ast.dump(ast.parse(correct)), "it changes nothing"


def test_a_patch_that_no_longer_fits_says_so():
    bug = {"name": "minus", "file": "sum.py", "old": "+", "new": "-"}
    for text, count in (("a - b", 0), ("a + b + c", 2)):
        with pytest.raises(ValueError, match=f"'minus': its old text occurs {count} times in sum"):
            planted.patched(text, bug)


def test_the_list_has_its_33_rows_with_their_sources():
    assert sorted({bug["row"] for bug in BUGS}) == list(range(1, 34))
    assert [bug["row"] for bug in BUGS] == sorted(bug["row"] for bug in BUGS)
    assert len({bug["name"] for bug in BUGS}) == len(BUGS)
    source = r"[\w.-]+/[\w.-]+, (issues?|pull requests?) \d+( and \d+)?(, pull requests? \d+.*)?"
    assert not [x for bug in BUGS for x in bug["sources"] if not re.fullmatch(source, x)]
    assert all(bug["sources"] for bug in BUGS)


def defined(name):
    """The test functions of a file of tests."""
    parsed = ast.parse((TESTS / name).read_text(encoding="utf-8"))
    return {node.name for node in parsed.body if isinstance(node, ast.FunctionDef)}


def test_tests_and_layers_and_kinds_exist():
    names = set().union(*(defined(test) for bug in BUGS for test in bug["tests"]))
    kinds = [name for each in planted.KINDS.values() for name in each]
    assert {name.partition(":")[0] for name in kinds} <= names and len(set(kinds)) == len(kinds)
    assert {bug["layer"] for bug in BUGS if "layer" in bug} == set(planted.layers())
    added = [bug["added"].removeprefix("tests/").split("::") for bug in BUGS if "added" in bug]
    assert all(function in defined(file) for file, function in added)


def test_a_test_of_no_known_kind_is_named():
    with pytest.raises(KeyError, match="of which kind is test_of_nothing"):
        planted.kind("tests/test_masks.py::test_of_nothing[1-2]", "assert nothing")


def test_a_test_of_two_kinds_is_told_apart_by_its_statement():
    test = "tests/test_seq2seq.py::test_every_setting_trains_and_ignores_padding[dot]"
    assert planted.kind(test, "assert not unused") == "every parameter learns"
    assert planted.kind(test, "assert same") == "a batch is its sentences one by one"


def test_the_statement_of_a_line():
    text = (
        "def f():\n    with a(\n        b\n    ):\n        c = (1,\n             2)\n    assert d\n"
    )
    told = [planted.statement(text, line) for line in range(1, 8)]
    assert told == ["def f():", *["with a( b ):"] * 3, *["c = (1, 2)"] * 2, "assert d"]


def test_what_a_layer_fails_is_told():
    found = planted.ask(["one head", "causal heads"])
    assert found == {"one head": [], "causal heads": []}


def test_a_bug_in_a_layer_is_told(monkeypatch):
    def future(queries, keys, values, mask=None):
        mask = causal_mask(queries.shape[1], keys.shape[1]) if mask is None else mask
        return (mask / mask.sum(-1, keepdim=True).clamp(min=1)).to(values.dtype) @ values

    def broken(queries, keys, values, mask=None):
        raise RuntimeError("nothing goes")

    made = {"even": (future, {"width": 4}), "broken": (broken, {"width": 4})}
    monkeypatch.setattr(planted, "layers", lambda: made)
    found = planted.ask(made)
    assert {"keys", "queries"} <= set(found["even"]) and found["broken"] == ["raises ValueError"]


def test_every_bug_was_planted_and_caught():
    assert [row["name"] for row in FOUND["rows"]] == [bug["name"] for bug in BUGS]
    assert not [row["name"] for row in FOUND["rows"] if not row["caught"]]
    assert FOUND["control"]["failed"] == 0 and FOUND["control"]["passed"] > 1000
    assert set(FOUND["control"]["tests"]) == {test for bug in BUGS for test in bug["tests"]}
    for row, bug in zip(FOUND["rows"], BUGS, strict=True):
        assert (row["row"], row["sources"]) == (bug["row"], bug["sources"])
        assert row["kind"] == planted.kind(row["by"], row["statement"])
        assert (row["checks"] is None) == ("layer" not in bug)
        assert ("added" in row) == ("added" in bug)
        assert "added" not in row or not row["caught_without_it"]


def test_the_counts_are_those_of_the_rows():
    rows = [
        {"row": 1, "caught": True, "checks": ["padding"]},
        {"row": 1, "caught": False, "checks": None},
        {"row": 2, "caught": True, "checks": [], "caught_without_it": False},
    ]
    assert planted.summary({"rows": rows})["counts"] == {
        "listed": 2,
        "listed_caught": 1,
        "planted": 3,
        "caught": 2,
        "caught_at_first": 1,
        "in_an_attention": 2,
        "seen_by_the_checks": 1,
    }
    assert planted.summary(FOUND)["counts"] == FOUND["counts"]


def test_the_tests_see_the_copy(tmp_path):
    """A bug that nobody could miss is planted in a copy, and the package itself stays as it is."""
    planted.copied(tmp_path)
    path = tmp_path / "attnlib" / "masks.py"
    path.write_text(path.read_text(encoding="utf-8") + "\nraise SystemError('planted')\n", "utf-8")
    with pytest.raises(RuntimeError, match="planted"):
        planted.run(tmp_path, [], ["test_masks.py"])
    assert torch.equal(causal_mask(1, 1), torch.ones(1, 1, dtype=torch.bool))
