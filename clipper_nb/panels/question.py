"""Asks before an action that cannot be undone; what happens meanwhile takes the question back."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

import ipywidgets

if TYPE_CHECKING:
    from clipper_nb.panels.poller import Poller


def _nothing() -> None:
    return None


class Question:
    """A line with *Yes* and *No*, shown while there is something to confirm.

    Parameters
    ----------
    poller : Poller
    """

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._on_yes: Callable[[], None] = _nothing
        self._about: Callable[[], object] = _nothing
        self._facts: object = None
        self._text = ipywidgets.HTML()
        self.yes = ipywidgets.Button(description="Yes", button_style="danger", layout={"width": "auto"})
        self.no = ipywidgets.Button(description="No", layout={"width": "auto"})
        self.yes.add_class("cl-yes")
        self.no.add_class("cl-no")
        self.yes.on_click(lambda _button: self._confirm())
        self.no.on_click(lambda _button: self.dismiss())
        self.widget = ipywidgets.HBox([self._text, self.yes, self.no], layout={"display": "none"})
        self.widget.add_class("cl-question")

    def ask(self, text: str, on_yes: Callable[[], None], about: Callable[[], object]) -> None:
        """Show the question; *on_yes* is called when the answer is yes.

        What *about* returns is what the question depends on: when that changes, the question is taken back.
        """
        self._on_yes, self._about, self._facts = on_yes, about, about()
        self._poller.call_soon(lambda: self._show(f'<span role="alert">{escape(text)}</span>', "flex"))

    def dismiss(self) -> None:
        """Take the question back: a late *Yes* does nothing."""
        self._on_yes, self._about, self._facts = _nothing, _nothing, None
        self._poller.call_soon(lambda: self._show("", "none"))

    def dismiss_if_outdated(self) -> None:
        """Take the question back if what it depends on has changed."""
        if self._about() != self._facts:
            self.dismiss()

    def _confirm(self) -> None:
        on_yes, is_outdated = self._on_yes, self._about() != self._facts
        self.dismiss()
        if not is_outdated:
            on_yes()

    def _show(self, html: str, display: str) -> None:
        self._text.value = html
        self.widget.layout.display = display
