"""The HTML of a panel in the page: a poll changes only what differs, long tables have a filter, and rows can act."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

_STATIC = Path(__file__).parent / "static"


class Picture(anywidget.AnyWidget):
    """Shows HTML.

    Parameters
    ----------
    label : str
        What a screen reader calls it.
    on_action : callable
        Called with the action and the key of its row when a button of :func:`~clipper_nb.panels.markup.row_actions`
        is clicked.
    """

    _esm = (_STATIC / "picture.js").read_text()
    value = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)

    def __init__(self, label: str, on_action: Callable[[str, str], None] = lambda _action, _key: None) -> None:
        super().__init__(label=label)
        self._on_action = on_action
        self.on_msg(self._hear)

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if isinstance(content, dict) and {"action", "key"} <= content.keys():
            self._on_action(str(content["action"]), str(content["key"]))
