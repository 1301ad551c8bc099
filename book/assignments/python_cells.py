"""Read a cell's code as Python reads it: is it written, is it the same as another?"""

import ast
import functools

from IPython.core.inputtransformer2 import TransformerManager


@functools.cache
def parsed(source: str) -> ast.Module | None:
    """A cell as a syntax tree, its lines with % and ! included; nothing if it is no Python."""
    try:
        return ast.parse(TransformerManager().transform_cell(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def syntax_error(source: str) -> str:
    """Where and why a cell is no Python; nothing if it is."""
    try:
        ast.parse(TransformerManager().transform_cell(source))
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error) or type(error).__name__
    return ""


def statements(source: str) -> list[str]:
    """The statements of a cell, without comments and layout; none if it is no Python."""
    tree = parsed(source)
    return [ast.unparse(each) for each in tree.body] if tree else []


def defined(source: str) -> set[str]:
    """The functions and classes that a cell defines."""
    tree = parsed(source)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {each.name for each in tree.body if isinstance(each, kinds)} if tree else set()


class _Bare(ast.NodeTransformer):
    """Take out what computes nothing: docstrings, `pass`, `...`, `raise NotImplementedError`."""

    def visit_Expr(self, node):
        return None if isinstance(node.value, ast.Constant) else node

    def visit_Pass(self, node):
        return None

    def visit_Raise(self, node):
        return None if node.exc and "NotImplementedError" in ast.unparse(node.exc) else node

    def visit_Return(self, node):
        empty = node.value is None or (
            isinstance(node.value, ast.Constant) and node.value.value is None
        )
        return None if empty else self.generic_visit(node)


class _Renamed(ast.NodeTransformer):
    """Number the names that a cell makes itself, in the order in which they appear."""

    def __init__(self, made: set[str]):
        self.made = made
        self.numbers: dict[str, str] = {}

    def _number(self, name: str) -> str:
        if name not in self.made:
            return name
        return self.numbers.setdefault(name, f"v{len(self.numbers)}")

    def visit_arg(self, node):
        node.arg, node.annotation = self._number(node.arg), None
        return node

    def visit_Name(self, node):
        node.id = self._number(node.id)
        return node


def bare(source: str) -> str | None:
    """What a cell computes, as text; nothing if it is no Python."""
    tree = parsed(source)
    return None if tree is None else ast.dump(_Bare().visit(_copy(tree)))


def unwritten(source: str, frame: str) -> bool:
    """Say whether a cell for an answer holds no more than it did when it was released."""
    return not source.strip() or bare(source) in (bare(frame), ast.dump(ast.parse("")))


def normal(source: str) -> str:
    """A cell's code without comments, docstrings and layout, its own names numbered."""
    tree = parsed(source)
    if tree is None:
        return " ".join(source.split())
    tree = _Bare().visit(_copy(tree))
    made = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    stores = (n for n in ast.walk(tree) if isinstance(n, ast.Name))
    made |= {node.id for node in stores if isinstance(node.ctx, ast.Store)}
    return ast.dump(_Renamed(made - {"self"}).visit(tree))


def functions(source: str, least: int = 60) -> dict[str, str]:
    """The functions in a cell or a file that have so many nodes, each as normal text."""
    tree = parsed(source)
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)] if tree else []
    texts = {}
    for node in found:
        if sum(1 for _ in ast.walk(node)) > least:
            bare_one = ast.parse(ast.unparse(node)).body[0]
            assert isinstance(bare_one, ast.FunctionDef)
            bare_one.name, bare_one.returns, bare_one.decorator_list = "f", None, []
            texts[node.name] = normal(ast.unparse(bare_one))
    return texts


def _copy(tree: ast.Module) -> ast.Module:
    return ast.parse(ast.unparse(tree))
