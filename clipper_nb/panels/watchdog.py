"""The part of a panel that runs in the page: it reports when the panel is visible, and when the kernel is silent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

_STATIC = Path(__file__).parent / "static"


class Watchdog(anywidget.AnyWidget):
    """Signals the page that the kernel is alive, and the kernel that the page is visible.

    Parameters
    ----------
    snapshot_id : str
        Id of the element that a saved notebook shows instead; hidden while this is on the page.
    on_seen : callable
        Called every few seconds while the panel is visible.
    """

    _esm = (_STATIC / "watchdog.js").read_text()
    _css = (_STATIC / "panel.css").read_text()
    snapshot_id = traitlets.Unicode().tag(sync=True)
    tick = traitlets.Int().tag(sync=True)
    clock = traitlets.Unicode().tag(sync=True)
    is_closed = traitlets.Bool().tag(sync=True)

    def __init__(self, snapshot_id: str, on_seen: Callable[[], None]) -> None:
        super().__init__(snapshot_id=snapshot_id)
        self._on_seen = on_seen
        self.on_msg(self._hear)

    def beat(self, clock: str) -> None:
        """Signal that the kernel is alive."""
        with self.hold_sync():
            self.clock = clock
            self.tick += 1

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if isinstance(content, dict) and content.get("seen"):
            self._on_seen()
