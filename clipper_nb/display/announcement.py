"""Says one sentence to the user: in the cell, and in the log."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from html import escape

from clipper_nb.display.cell import show_in_cell

_logger = logging.getLogger("clipper_nb.progress")


@dataclass(frozen=True)
class Announcement:
    """A sentence that a cell shows without quotes."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.text)}</p>"


def announce(text: str) -> None:
    """Show a sentence in the running cell, and log it at INFO."""
    _logger.info("%s", text)
    show_in_cell(Announcement(text))
