"""What a cell shows: one panel, or several in tabs, below a line that sums up the cluster."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets

from clipper_nb.display.browser_url import browser_url
from clipper_nb.display.html import Html, Severity, as_html
from clipper_nb.display.long_lists import count
from clipper_nb.errors import InvalidRequestError
from clipper_nb.panels.cluster_state import ClusterState, Status
from clipper_nb.panels.markup import badge, format_clock, format_time
from clipper_nb.panels.panel import Panel
from clipper_nb.panels.picture import Picture
from clipper_nb.panels.poller import Poller
from clipper_nb.panels.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST_LOOK_TIMEOUT_S = 3.0
_SNAPSHOT_INTERVAL_S = 10.0


class Frame:
    """Panels of one cluster, live while they are on the page; show it by making it the last line of a cell.

    A saved notebook shows what they showed last as plain HTML, and a terminal one line.

    Parameters
    ----------
    poller : Poller
    panels : list of Panel
        Several are shown in tabs.
    """

    def __init__(self, poller: Poller, panels: Sequence[Panel]) -> None:
        self._poller = poller
        self._panels = list(panels)
        self._id = f"cl-snapshot-{uuid.uuid4().hex}"
        self._header = Picture("Cluster")
        self._watchdog = Watchdog(self._id, poller.seen)
        self._tabs: ipywidgets.Tab | None = None
        if len(self._panels) > 1:
            self._tabs = ipywidgets.Tab(
                [panel.widget for panel in self._panels], titles=[panel.title for panel in self._panels]
            )
            self._tabs.observe(lambda _change: self._change_tab(), "selected_index")
        body = self._tabs or self._panels[0].widget
        self.widget = ipywidgets.VBox([self._header, self._watchdog, body])
        self.widget.add_class("cl-panel")
        self._is_closed = False
        self._is_displayed = False
        self._next_snapshot_s = 0.0
        self._update_snapshot: Callable[[dict[str, str]], None] | None = None
        poller.watch(self._paint)

    def select(self, title: str) -> None:
        """Show one of several panels: ``dashboard.select("Models")``.

        Raises
        ------
        InvalidRequestError
            There is none of that title.
        """
        titles = [panel.title for panel in self._panels]
        if title not in titles:
            raise InvalidRequestError(f"There is no panel {title!r}; there are {', '.join(titles)}.")
        if self._tabs is not None:
            self._tabs.selected_index = titles.index(title)

    def close(self) -> None:
        """Stop; what it showed last stays on the page."""
        if self._is_closed:
            return
        self._is_closed = True
        self._poller.unwatch(self._paint)
        self._watchdog.is_closed = True
        self._keep_snapshot()

    def __enter__(self) -> Frame:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = self._poller.state
        what = self._panels[0].title if len(self._panels) == 1 else "Dashboard"
        return f"<{what} of cluster {state.cluster_name!r}: {_sum_up(state)}>"

    def _repr_html_(self) -> str:
        state = self._poller.state
        panels = "".join(f"<h4 style='margin:8px 0 2px'>{panel.title}</h4>{panel.render()}" for panel in self._panels)
        seen = f"as of {format_time(state.seen_at)}" if state.seen_at else "not seen yet"
        return (
            f'<div id="{self._id}"><strong>Cluster “{as_html(state.cluster_name)}”</strong>, {seen}: '
            f"{_sum_up(state)}.{_problem(state)}{panels}</div>"
        )

    def _ipython_display_(self) -> None:
        self._wait_for_first_look()
        get_ipython = _ipython()
        if getattr(get_ipython, "kernel", None) is None:
            print(repr(self))  # noqa: T201 - a terminal
            return
        from IPython.display import display

        # Two outputs: the live one, and what is in its place when the notebook is opened without its kernel.
        # Only the second is updated, since a new first one would take the focus from a user who types in it.
        live = self.widget._repr_mimebundle_()
        view = {key: value for key, value in live.items() if "widget-view" in key}
        # The empty HTML is for pages that show no widgets: the second output has all.
        display({**view, "text/html": "", "text/plain": repr(self)}, raw=True)
        if self._update_snapshot is None:
            handle = display(self._snapshot(), raw=True, display_id=self._id)
            self._update_snapshot = lambda bundle: handle.update(bundle, raw=True)
        else:
            display(self._snapshot(), raw=True)

    def _wait_for_first_look(self) -> None:
        deadline_s = time.monotonic() + _FIRST_LOOK_TIMEOUT_S
        while not self._poller.num_polls and time.monotonic() < deadline_s:
            time.sleep(0.01)

    def _paint(self, poller: Poller) -> None:
        if self._is_closed:
            return
        self._header.value = _header(poller.state)
        self._paint_panels()
        self._watchdog.beat(format_clock(time.time()))
        if time.monotonic() >= self._next_snapshot_s:
            self._keep_snapshot()

    def _change_tab(self) -> None:
        for panel in self._panels:
            panel.leave()
        self._poller.call_soon(self._paint_panels)

    def _paint_panels(self) -> None:
        if self._tabs is None:
            self._panels[0].paint()
        elif self._tabs.selected_index is not None:
            self._panels[self._tabs.selected_index].paint()

    def _snapshot(self) -> dict[str, str]:
        # Jupyter says that it has no widget in the output before, in place of the widget.
        without = f".jp-OutputArea-child:has(> .jupyter-widgets):has(+ .jp-OutputArea-child #{self._id})"
        html = f"<style>{without} {{ display: none }}</style>{self._repr_html_()}"
        return {"text/plain": repr(self), "text/html": html}

    def _keep_snapshot(self) -> None:
        self._next_snapshot_s = time.monotonic() + _SNAPSHOT_INTERVAL_S
        if self._update_snapshot is not None:
            with contextlib.suppress(Exception):  # the notebook's output is not ours
                self._update_snapshot(self._snapshot())


def _ipython() -> Any:
    import IPython

    return IPython.get_ipython()


def _sum_up(state: ClusterState) -> str:
    num_replicas = sum(version.num_connected for version in state.versions)
    counts = (
        (len(state.applications), "application"),
        (len(state.model_names), "model"),
        (len(state.versions), "version"),
        (num_replicas, "replica"),
    )
    return ", ".join(count(number, noun) for number, noun in counts)


def _header(state: ClusterState) -> Html:
    words: dict[Severity, str] = {"problem": "failing", "warning": "to look at"}
    worst = state.worst
    badges = "".join(
        badge(Status(level, f"{worst[level]} {word}")) for level, word in words.items() if worst.get(level)
    )
    if state.seen_at and not badges and not state.problem:
        badges = badge(Status("ok", "all well"))
    url = browser_url(state.query_url) if state.query_url else ""
    address = f'<a class="cl-small" href="{as_html(url)}/metrics" target="_blank">{as_html(url)}</a>' if url else ""
    clock = format_clock(state.seen_at) if state.seen_at else "not seen yet"
    return Html(
        f'<div class="cl-head"><span><span class="cl-name">clipper</span> {as_html(state.cluster_name)}</span>'
        f'<span class="cl-badges">{badges}</span>'
        f'<span class="cl-small">{_sum_up(state)}</span>{address}<span class="cl-clock">{clock}</span></div>'
        f"{_problem(state)}"
    )


def _problem(state: ClusterState) -> str:
    if not state.problem:
        return ""
    return f'<div class="cl-outcome"><div class="cl-failed" role="alert">✖ {as_html(state.problem)}</div></div>'
