"""Shows something in the running cell of a notebook; a call that is not in a cell shows nothing."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def show_in_cell(value: Any) -> None:
    """Show *value* as the last line of a cell would be shown. IPython is not imported for this."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    if get_ipython is not None and getattr(get_ipython(), "kernel", None) is not None:
        importlib.import_module("IPython.display").display(value)
