"""What every panel is made of: a picture of the cluster, controls, and a line that says how the last action went."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import ipywidgets

from clipper_nb.display.html import Html
from clipper_nb.panels.picture import Picture
from clipper_nb.panels.question import Question

if TYPE_CHECKING:
    from clipper_nb.cluster.ports import PanelCalls
    from clipper_nb.panels.cluster_state import ClusterState
    from clipper_nb.panels.poller import Poller


_Kind = Literal["busy", "done", "warned", "failed"]
_SYMBOLS: dict[_Kind, str] = {"busy": "●", "done": "✓", "warned": "▲", "failed": "✖"}


@dataclass(frozen=True)
class Warned:
    """The sentence of an action that went through, with a result that the user should look at."""

    text: str


class Panel(ABC):
    """One panel, alone in a cell or in a tab of the dashboard.

    Callbacks of controls run in the kernel's main thread or another. They only begin an action, which has its own
    thread; what changes a widget then runs in the poller's thread.

    Parameters
    ----------
    conn : PanelCalls
    poller : Poller
    """

    title: ClassVar[str]

    def __init__(self, conn: PanelCalls, poller: Poller) -> None:
        self._conn = conn
        self._poller = poller
        self._picture = Picture(self.title, self._act_on_row)
        self._question = Question(poller)
        self._outcome = ipywidgets.HTML()
        self._outcome.add_class("cl-outcome")
        self._buttons: list[ipywidgets.Button] = []
        self._is_acting = False
        self.widget = ipywidgets.VBox(self._arrange(self._picture, self._make_controls(), self._outcome))
        self.widget.add_class(f"cl-{self.title.lower().replace(' ', '-')}")

    @abstractmethod
    def render(self) -> Html:
        """Return what it shows besides its controls; a saved notebook shows just this."""

    def _render_live(self) -> Html:
        """Return what a page shows that can act."""
        return self.render()

    def _act_on_row(self, action: str, key: str) -> None:  # noqa: B027 - a panel without such rows never hears of any
        """Begin what a button in a row of the picture stands for."""

    def _arrange(
        self, picture: ipywidgets.Widget, controls: Sequence[ipywidgets.Widget], outcome: ipywidgets.Widget
    ) -> Sequence[ipywidgets.Widget]:
        """Return all in the order from top to bottom."""
        return [picture, *controls, self._question.widget, outcome]

    def _make_controls(self) -> Sequence[ipywidgets.Widget]:
        """Return the controls; called once."""
        return ()

    def _offer(self, state: ClusterState) -> None:  # noqa: B027 - a panel without choices offers nothing
        """Update what the controls offer."""

    def paint(self) -> None:
        """Show the latest state; called in the poller's thread."""
        self._picture.value = self._render_live()
        self._offer(self._poller.state)
        self._question.dismiss_if_outdated()
        for button in self._buttons:
            button.disabled = self._is_acting or not self._is_possible(button)

    def leave(self) -> None:
        """Take back what is asked; called when another panel is opened."""
        self._question.dismiss()

    def _is_possible(self, button: ipywidgets.Button) -> bool:
        """Return whether a button makes sense in the current state."""
        return True

    def _button(
        self, label: str, on_click: Callable[[], None], *, name: str, tooltip: str, style: str = "", width: str = "auto"
    ) -> ipywidgets.Button:
        """Return a button that is greyed out while an action runs; *name* is its CSS class."""
        button = ipywidgets.Button(
            description=label, tooltip=tooltip, button_style=style, disabled=True, layout={"width": width}
        )
        button.add_class(f"cl-{name}")
        button.on_click(lambda _button: on_click())
        self._buttons.append(button)
        return button

    def _ask(self, text: str, on_yes: Callable[[], None], about: Callable[[], object]) -> None:
        """Ask before *on_yes*, unless an action runs; *about* returns what the question depends on."""
        if not self._is_acting:
            self._question.ask(text, on_yes, about)

    def _act(self, doing: str, call: Callable[[], str | Warned]) -> None:
        """Run *call* in its own thread, and show the sentence that it returns, or its error."""
        if self._is_acting:  # a second click came before the button was grey
            return
        self._is_acting = True
        self._question.dismiss()
        self._tell(f"{doing} …", "busy")
        threading.Thread(target=self._run_action, args=(call,), name="clipper-action", daemon=True).start()

    def _run_action(self, call: Callable[[], str | Warned]) -> None:
        try:
            said = call()
        except Exception as exc:  # in a thread it would be lost
            self._is_acting = False
            self._tell(f"{type(exc).__name__}: {exc}", "failed")
        else:
            self._is_acting = False
            if isinstance(said, Warned):
                self._tell(said.text, "warned")
            else:
                self._tell(said, "done")
        self._poller.poll_soon()

    def _tell(self, text: str, kind: _Kind) -> None:
        role = "alert" if kind == "failed" else "status"
        symbol = f'<span aria-hidden="true">{_SYMBOLS[kind]}</span>'
        html = f'<div role="{role}" class="cl-{kind}">{symbol} {escape(text)}</div>'
        self._poller.call_soon(lambda: self._show_outcome(html))

    def _show_outcome(self, html: str) -> None:
        self._outcome.value = html
        self.paint()


def offer(choice: ipywidgets.Dropdown, options: Sequence[tuple[str, Any]], preferred: Any = None) -> None:
    """Let *choice* offer the options, (label, value), and keep what is chosen while it is among them."""
    if tuple(choice.options) == tuple(options):
        return
    values = [value for _, value in options]
    chosen = choice.value if choice.value in values else preferred if preferred in values else None
    choice.options = tuple(options)
    if values:
        choice.value = chosen if chosen is not None else values[0]


def dropdown(label: str, *, name: str, width: str = "200px") -> ipywidgets.Dropdown:
    """Return an empty dropdown with a label; *name* is its CSS class."""
    made = ipywidgets.Dropdown(
        description=label, options=(), layout={"width": width}, style={"description_width": "initial"}
    )
    made.add_class(f"cl-{name}")
    return made


def row(*widgets: ipywidgets.Widget) -> ipywidgets.HBox:
    """Return controls side by side; they go on below where there is little room."""
    made = ipywidgets.HBox(widgets, layout={"flex_flow": "row wrap", "align_items": "center"})
    made.add_class("cl-row")
    return made
