"""Sliders for shares of a whole, one for each target; the kernel keeps their sum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets

_STATIC = Path(__file__).parent / "static"


class Sliders(anywidget.AnyWidget):
    """Shows a slider and a number for each target.

    Parameters
    ----------
    on_move : callable
        Called with a target and its share, from 0 to 1, while the user moves it.
    """

    _esm = (_STATIC / "sliders.js").read_text()
    shares: traitlets.List[Any] = traitlets.List().tag(sync=True)
    """Pairs of a target and its share in per cent."""
    is_enabled = traitlets.Bool(True).tag(sync=True)

    def __init__(self, on_move: Callable[[str, float], None]) -> None:
        super().__init__()
        self._on_move = on_move
        self.on_msg(self._hear)

    def show(self, shares: Mapping[str, float], *, is_enabled: bool) -> None:
        """Show shares, from 0 to 1, by target."""
        with self.hold_sync():
            self.shares = [[target, 100.0 * share] for target, share in shares.items()]
            self.is_enabled = is_enabled

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if not isinstance(content, dict):
            return
        target, per_cent = content.get("target"), content.get("per_cent")
        # What a page sends may be of an earlier state, or of an empty field.
        is_known = any(target == each for each, _ in self.shares)
        if self.is_enabled and is_known and isinstance(per_cent, (int, float)) and 0 <= per_cent <= 100:
            self._on_move(str(target), per_cent / 100.0)
