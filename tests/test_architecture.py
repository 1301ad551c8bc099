"""The direction of the imports: a module knows only the layers below it."""

import ast
from pathlib import Path

import attnlib

LAYERS = {
    "reference": 0,
    "masks": 0,
    "scores": 1,
    "windows": 1,
    "selection": 1,
    "attention": 2,
    "writer": 2,
    "seq2seq": 3,
    "captioning": 4,
    "transformer": 4,
    "data": 4,
    "choosing": 4,
    "decoding": 4,
    "ibm1": 4,
    "metrics": 4,
    "plotting": 4,
    "backbones": 5,
    "pointing": 5,
    "pretrained": 6,
    "training": 7,
    "explore": 7,
    "cli": 8,
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


def test_the_package_docstring_names_every_module():
    assert not [name for name in LAYERS if f"``{name}``" not in attnlib.__doc__]
