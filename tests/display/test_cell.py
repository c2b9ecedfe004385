"""What is shown in a running cell, and only there."""

from __future__ import annotations

import IPython
import pytest

from clipper_nb.display.cell import show_in_cell


class Shell:
    def __init__(self, kernel: object) -> None:
        self.kernel = kernel


@pytest.mark.parametrize(("kernel", "expected"), [(object(), ["value"]), (None, [])])
def test_only_a_kernels_cell_shows_a_value(
    kernel: object, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[object] = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: Shell(kernel))
    monkeypatch.setattr("IPython.display.display", shown.append)
    show_in_cell("value")
    assert shown == expected
