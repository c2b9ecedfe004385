"""Where a variable of a notebook was assigned."""

from __future__ import annotations

import pytest

from clipper_nb.closures.source_lines import _assigned_lines


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        ("x = 1\nx = 2", 2),
        ("a, (x, b) = 1, (2, 3)", 1),
        ("x: int = 1", 1),
        ("\nx += 1", 2),
        ("import x", 1),
        ("import os.path as x", 1),
        ("import x.y", 1),
        ("from os import (path,\n    sep as x)", 2),
        ("for x in range(3):\n    pass", 1),
        ("with open('f') as x:\n    pass", 1),
        ("if (x := 1):\n    pass", 1),
        ("try:\n    x = 1\nexcept ValueError:\n    x = 2", 4),
        ("def x():\n    pass", 1),
        ("class x:\n    pass", 1),
        ("get_ipython().run_cell_magic('time', '', 'a = 1\\nx = 2\\n')", 3),
    ],
)
def test_the_last_assignment_is_found(cell: str, line: int) -> None:
    assert _assigned_lines(cell, is_global=True)["x"][-1] == line


@pytest.mark.parametrize(
    "cell",
    [
        "y = 1",
        "y = x",
        "y.x = 1",
        "def f(x):\n    x = 1",
        "f = lambda x: x",
        "class C:\n    x = 1",
        "not python",
        "get_ipython().run_cell_magic('bash', '', 'echo x = 1; if\\n')",
    ],
)
def test_assignment_of_something_else_does_not_count(cell: str) -> None:
    assert "x" not in _assigned_lines(cell, is_global=True)
