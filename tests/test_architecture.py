"""The direction of the imports: a module knows only the layers below it."""

import ast
import json
import re
from pathlib import Path

import pytest

import attnlib

LAYERS = {
    "reference": 0,
    "linear": 0,
    "masks": 0,
    "scores": 1,
    "windows": 1,
    "selection": 1,
    "positions": 1,
    "attention": 2,
    "multihead": 3,
    "block": 4,
    "vision": 2,
    "efficientnet": 5,
    "autoregressive": 3,
    "decoding": 4,
    "seq2seq": 4,
    "captioning": 5,
    "transformer": 5,
    "data": 1,
    "ibm1": 4,
    "metrics": 4,
    "plotting": 4,
    "drawing": 4,
    "tables": 4,
    "checks": 1,
    "storage": 4,
    "attribution": 6,
    "settings": 6,
    "choosing": 7,
    "evidence": 7,
    "adversary": 8,
    "beyond": 8,
    "pretrained": 7,
    "evaluation": 8,
    "training": 9,
    "explore": 9,
    "text": 9,
    "cli": 10,
}
PACKAGE = Path(attnlib.__file__).parent


def imports(path):
    """The modules of attnlib that a file imports, functions' own imports included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: import by full name, not relatively"
            if node.module == "attnlib":
                yield from (alias.name for alias in node.names if not alias.name.startswith("_"))
            elif node.module and node.module.startswith("attnlib."):
                yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("attnlib."))


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] not in ("__init__", "__main__"):
            yield parts[0], path


def test_every_module_has_a_layer():
    assert {name for name, _ in modules()} == set(LAYERS)


def test_modules_import_only_from_lower_layers():
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {other}"
        for name, path in modules()
        for other in imports(path)
        if other != name and LAYERS[other] >= LAYERS[name]
    ]
    assert not wrong


def test_nothing_in_the_package_imports_the_oracle():
    assert not [path.name for _, path in modules() if "reference" in imports(path)]


def test_two_public_classes_never_bear_one_name():
    """Who reads of a `Decoder` in an error or on a page of the API knows which."""
    where = {}
    for _, path in modules():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert not {name: paths for name, paths in where.items() if len(paths) > 1}


def test_the_package_docstring_names_every_module():
    assert not [name for name in LAYERS if f"``{name}``" not in attnlib.__doc__]


BOOK = PACKAGE.parent / "book"
MAP = BOOK / "appendix/map.ipynb"


def cells(path, kind):
    """The text of a notebook's cells of one kind."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return "\n".join("".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == kind)


def taught():
    """The chapters of the map's table, each with the modules that it teaches."""
    rows = re.findall(r"^\| \{doc\}`\.\./(\w+)` \| (.+) \|$", cells(MAP, "markdown"), re.M)
    return {chapter: re.findall(r"`([a-z_0-9]+)[`.]", row) for chapter, row in rows}


@pytest.mark.skipif(not MAP.exists(), reason="the package without the book")
def test_the_map_has_every_chapter_and_every_module():
    assert list(taught()) == sorted(path.stem for path in BOOK.glob("[0-9]*.ipynb"))
    prose = set(re.findall(r"`([a-z_0-9]+)`", cells(MAP, "markdown")))
    assert not set(LAYERS) - prose - set().union(*taught().values())


@pytest.mark.skipif(not MAP.exists(), reason="the package without the book")
def test_a_chapter_uses_the_modules_that_it_teaches():
    for chapter, names in taught().items():
        code = cells(BOOK / f"{chapter}.ipynb", "code")
        used = set(re.findall(r"from attnlib\.(\w+)", code))
        for several, one in re.findall(r"from attnlib import (?:\(([^)]*)\)|(.+))", code):
            used.update(re.findall(r"\w+", several + one))
        assert names and set(names) & set(LAYERS) <= used, chapter


def test_a_file_can_be_read_in_one_sitting():
    folders = [PACKAGE, *(BOOK / name for name in ("_ext", "_tools", "results"))]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in files}
    long = {path.name: n for path, n in lines.items() if n > 560 and path.parent.name != "data"}
    assert not long
    assert lines[PACKAGE / "training" / "loop.py"] <= 360
