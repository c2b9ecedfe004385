"""Where a variable was made: the cell, or the line of the file, that assigned it last."""

from __future__ import annotations

import ast
import contextlib
import linecache
import sys
from collections.abc import Iterator, Sequence
from types import FunctionType


def find_assignment(function: FunctionType, name: str) -> str:
    """Return where a variable that *function* reads from outside was assigned; empty when that cannot be told."""
    code = function.__code__
    if name not in code.co_freevars:
        for number, cell in reversed(list(enumerate(_cells()))):
            lines = list(_assigned_lines(cell, name, is_global=True))
            if lines:
                return f"Cell In[{number}], line {lines[-1]}"
    lines = list(
        _assigned_lines("".join(linecache.getlines(code.co_filename)), name, is_global=name not in code.co_freevars)
    )
    before = [line for line in lines if line < code.co_firstlineno]
    if not lines:
        return ""
    return f"{_file_or_cell(code.co_filename)}, line {(before or lines)[-1]}"


def _cells() -> Sequence[str]:
    """Return what was run in the notebook so far, numbered as there."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get_ipython() if get_ipython else None
    if shell is None:
        return ()
    with contextlib.suppress(Exception):  # IPython's history is a help, not more
        return [str(cell) for cell in shell.history_manager.input_hist_parsed]
    return ()


def _file_or_cell(filename: str) -> str:
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get_ipython() if get_ipython else None
    with contextlib.suppress(Exception):
        told = shell.compile.format_code_name(filename)  # type: ignore[union-attr]
        if told:
            return " ".join(told)
    return filename


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
