"""Tracks whether a cell of the notebook runs."""

from __future__ import annotations

import sys
from typing import Any


class RunningCell:
    """Follows the notebook's cells from now on; outside a notebook none ever runs."""

    def __init__(self) -> None:
        get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
        shell = get_ipython() if get_ipython else None
        self.is_running = shell is not None  # the cell that creates this
        if shell is not None:
            shell.events.register("pre_run_cell", self._begun)
            shell.events.register("post_run_cell", self._ended)

    def _begun(self, _info: Any) -> None:
        self.is_running = True

    def _ended(self, _result: Any) -> None:
        self.is_running = False
