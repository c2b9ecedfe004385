"""Finds where code of the notebook is: the line of a cell or file, and the line that last assigned a variable."""

from __future__ import annotations

import ast
import contextlib
import functools
import linecache
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType
from typing import Any

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def find_assignment(function: FunctionType, name: str) -> str:
    """Return where a variable that *function* reads from outside was assigned; empty when that is unknown."""
    code = function.__code__
    is_global = name not in code.co_freevars
    if is_global and function.__globals__.get("__name__") == "__main__":
        for number, cell in reversed(list(enumerate(_cells()))):
            lines = _assigned_lines(cell, is_global=True).get(name)
            if lines:
                return f"Cell In[{number}], line {lines[-1]}"
    lines = _assigned_lines("".join(linecache.getlines(code.co_filename)), is_global=is_global).get(name)
    if not lines:
        return ""
    before = [line for line in lines if line < code.co_firstlineno]
    return format_place(code.co_filename, (before or lines)[-1])


def format_place(filename: str, line: int) -> str:
    """Return cell, or file, and line: ``"Cell In[3], line 2"``."""
    with contextlib.suppress(Exception):  # IPython's names of cells are optional
        told = _shell().compile.format_code_name(filename)
        if told:
            return f"{' '.join(told)}, line {line}"
    return f"{filename}, line {line}"


def _cells() -> Sequence[str]:
    """Return the cells run so far, at their numbers in the notebook."""
    with contextlib.suppress(Exception):  # IPython's history is optional
        return [str(cell) for cell in _shell().history_manager.input_hist_parsed]
    return ()


def _shell() -> Any:
    """Return the notebook's shell, or ``None``."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython() if get_ipython else None


@functools.lru_cache(maxsize=1000)
def _assigned_lines(text: str, *, is_global: bool) -> Mapping[str, Sequence[int]]:
    """Return the lines that assign each name, in order; for globals only those outside functions and classes."""
    found: dict[str, list[int]] = {}
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return found
    todo: list[tuple[ast.AST, int]] = [(tree, 0)]
    while todo:
        node, lines_before = todo.pop(0)
        for name, line in _assigned_by(node):
            found.setdefault(name, []).append(line + lines_before)
        if body := _body_of_cell_magic(node):
            todo.append((body, lines_before + 1))
        if not (is_global and isinstance(node, _SCOPES)):
            todo += ((inner, lines_before) for inner in ast.iter_child_nodes(node))
    return {name: sorted(lines) for name, lines in found.items()}


def _assigned_by(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the names that a syntax node itself assigns, with the line."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name, node.lineno
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id, node.lineno
    elif isinstance(node, ast.arg):
        yield node.arg, node.lineno
    elif isinstance(node, ast.alias):
        yield node.asname or node.name.partition(".")[0], node.lineno


def _body_of_cell_magic(node: ast.AST) -> ast.AST | None:
    """Return the code below a line such as ``%%time``, if a node calls one; ``None`` for other languages."""
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "run_cell_magic" and len(node.args) == 3:
        with contextlib.suppress(SyntaxError, ValueError):
            return ast.parse(str(ast.literal_eval(node.args[2])))
    return None
