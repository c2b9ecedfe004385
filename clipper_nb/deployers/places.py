"""Where something of the notebook is: a line of a cell or a file, and the one that assigned a variable last."""

from __future__ import annotations

import ast
import contextlib
import linecache
import sys
from collections.abc import Iterator, Sequence
from types import FunctionType
from typing import Any


def find_assignment(function: FunctionType, name: str) -> str:
    """Return where a variable that *function* reads from outside was assigned; empty when that cannot be told."""
    code = function.__code__
    is_global = name not in code.co_freevars
    if is_global and function.__globals__.get("__name__") == "__main__":
        for number, cell in reversed(list(enumerate(_cells()))):
            lines = list(_assigned_lines(cell, name, is_global=True))
            if lines:
                return f"Cell In[{number}], line {lines[-1]}"
    lines = list(_assigned_lines("".join(linecache.getlines(code.co_filename)), name, is_global=is_global))
    if not lines:
        return ""
    before = [line for line in lines if line < code.co_firstlineno]
    return format_place(code.co_filename, (before or lines)[-1])


def format_place(filename: str, line: int) -> str:
    """Return cell, or file, and line: ``"Cell In[3], line 2"``."""
    with contextlib.suppress(Exception):  # IPython's names of cells are a help, not more
        told = _shell().compile.format_code_name(filename)
        if told:
            return f"{' '.join(told)}, line {line}"
    return f"{filename}, line {line}"


def _cells() -> Sequence[str]:
    """Return what was run in the notebook so far, numbered as there."""
    with contextlib.suppress(Exception):  # IPython's history is a help, not more
        return [str(cell) for cell in _shell().history_manager.input_hist_parsed]
    return ()


def _shell() -> Any:
    """Return the notebook's shell, or ``None``."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython() if get_ipython else None


def _assigned_lines(text: str, name: str, *, is_global: bool) -> Iterator[int]:
    """Give the lines that assign *name*; of a global one those outside functions and classes alone."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop(0)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == name:
            yield node.lineno
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
            yield node.lineno
        if isinstance(node, ast.arg) and node.arg == name:
            yield node.lineno
        is_scope = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda))
        if not (is_global and is_scope):
            todo += ast.iter_child_nodes(node)
