"""The panel of models: their versions and replicas, with roll-back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import ipywidgets

from clipper_nb.display.html import Html
from clipper_nb.display.long_lists import count
from clipper_nb.panels.cluster_state import ClusterState, VersionState
from clipper_nb.panels.markup import (
    badge,
    format_day_time,
    format_ms,
    format_rate,
    paragraph,
    preformatted,
    row_actions,
    table,
    unbroken,
)
from clipper_nb.panels.own_metrics import own_metrics_table
from clipper_nb.panels.panel import Panel, dropdown, offer, row
from clipper_nb.panels.picture import Picture

_HEAD = ("Model", "Version", "", "Status", "Replicas", "Deployed", "Predictions/s", "Batch p99 ms")
_MAX_LOG_LINES = 60
_MAX_REPLICAS = 64


class ModelsPanel(Panel):
    """Shows versions; makes another one current, sets replicas, stops versions, and shows their logs."""

    title: ClassVar[str] = "Models"

    def render(self) -> Html:
        """Return a table of versions."""
        state = self._poller.state
        shown = _table(state, _HEAD, [_row(version, state.seen_at) for version in state.versions])
        return Html(shown + own_metrics_table(state.versions))

    def _render_live(self) -> Html:
        state = self._poller.state
        rows = [[*_row(version, state.seen_at), self._row_actions(version)] for version in state.versions]
        return _table(state, (*_HEAD, "Actions"), rows)

    def _row_actions(self, version: VersionState) -> Html:
        labels = {} if version.is_containerless else {"logs": "Logs", "scale": "Scale…"}
        if not version.is_current:
            labels["make-current"] = "Make current"
        return row_actions(version.model_id, {**labels, "stop": "Stop"}, is_enabled=not self._is_acting)

    def _act_on_row(self, action: str, key: str) -> None:
        version = next((found for found in self._poller.state.versions if found.model_id == key), None)
        if self._is_acting or version is None:
            return
        if action == "logs":
            self._show_logs(version)
        elif action == "scale":
            self._poller.call_soon(lambda: self._choose(version))
        elif action == "make-current":
            self._switch_to(version)
        elif action == "stop":
            self._stop(version)

    def _choose(self, version: VersionState) -> None:
        self._model.value = version.model_name
        self._offer(self._poller.state)
        self._version.value = version.version
        self.paint()
        self._num_replicas.focus()

    def _make_controls(self) -> list[ipywidgets.Widget]:
        self._model = dropdown("Model", name="model")
        self._version = dropdown("Version", name="version")
        self._num_replicas = ipywidgets.BoundedIntText(
            description="Replicas", min=0, max=_MAX_REPLICAS, layout={"width": "130px"},
            style={"description_width": "initial"},
        )  # fmt: skip
        self._num_replicas.add_class("cl-replicas")
        self._own = Picture("What models count themselves")
        self._log = ipywidgets.HTML()
        self._log.add_class("cl-log")
        self._roll_back_button = self._button(
            "Roll back", self._roll_back, name="rollback", tooltip="Make the version before the current one current"
        )
        self._shown: tuple[str, str] | None = None
        self._model.observe(lambda _change: self._poller.call_soon(self.paint), "value")
        self._version.observe(lambda _change: self._poller.call_soon(self.paint), "value")
        act = self._version_button
        return [
            row(self._model, self._roll_back_button),
            row(
                self._version,
                act("Make current", self._switch_to, "make-current", "Send all queries to this version"),
                self._num_replicas,
                act("Set replicas", self._set_replicas, "set-replicas", "Have as many of this version"),
                act("Logs", self._show_logs, "logs", "Show what its replicas wrote last"),
                act("Stop version", self._stop, "stop-version", "Unregister and stop it"),
            ),
            self._own,
            self._log,
        ]

    def _version_button(
        self, label: str, act: Callable[[VersionState], None], name: str, tooltip: str
    ) -> ipywidgets.Button:
        """Return a button that acts on the chosen version."""

        def on_click() -> None:
            chosen = self._chosen()
            if chosen is not None:
                act(chosen)

        return self._button(label, on_click, name=name, tooltip=tooltip)

    def _offer(self, state: ClusterState) -> None:
        self._own.value = own_metrics_table(state.versions)
        self._own.layout.display = None if self._own.value else "none"
        offer(self._model, [(name, name) for name in state.model_names])
        versions = state.versions_of(self._model.value)
        labels = [(f"{v.version} (current)" if v.is_current else v.version, v.version) for v in versions]
        current = state.current_version(self._model.value)
        offer(self._version, labels, current.version if current else None)
        chosen = self._chosen()
        if chosen is not None and self._shown != (chosen.model_name, chosen.version):
            self._shown = (chosen.model_name, chosen.version)
            self._num_replicas.value = chosen.num_wanted
        earlier = self._earlier()
        self._roll_back_button.description = f"Roll back to {earlier.version}" if earlier else "Roll back"

    def _is_possible(self, button: ipywidgets.Button) -> bool:
        chosen = self._chosen()
        if button is self._roll_back_button:
            return self._earlier() is not None
        if chosen is None:
            return False
        if button.description == "Make current":
            return not chosen.is_current
        return button.description in ("Stop version",) or not chosen.is_containerless

    def _chosen(self) -> VersionState | None:
        versions = self._poller.state.versions_of(self._model.value)
        return next((version for version in versions if version.version == self._version.value), None)

    def _earlier(self) -> VersionState | None:
        """Return the version that was registered before the current one."""
        current = self._poller.state.current_version(self._model.value)
        if current is None:
            return None
        versions = self._poller.state.versions_of(self._model.value)
        return next((version for version in versions if version.registered_at < current.registered_at), None)

    def _roll_back(self) -> None:
        earlier = self._earlier()
        if earlier is not None:
            self._switch_to(earlier)

    def _look_of(self, version: VersionState) -> Callable[[], object]:
        """Return what tells whether a version is there, and current: what a question about it depends on."""
        return lambda: next(
            (found.is_current for found in self._poller.state.versions if found.model_id == version.model_id), None
        )

    def _switch_to(self, target: VersionState) -> None:
        current = self._poller.state.current_version(target.model_name)
        # A version whose replicas were all stopped gets as many as the one that it takes over from.
        num_replicas = max(current.num_wanted if current else 1, 1)
        is_stopped = not target.is_containerless and target.num_wanted == 0

        def switch() -> str:
            self._conn.set_model_version(target.model_name, target.version, num_replicas if is_stopped else None)
            return f"Version {target.version} of {target.model_name} is current."

        self._act(f"Making {target.model_id} current", switch)

    def _set_replicas(self, chosen: VersionState) -> None:
        number = self._num_replicas.value

        def scale() -> str:
            self._conn.set_num_replicas(chosen.model_name, number, chosen.version)
            ended = " Its autoscaling has ended." if chosen.autoscaling else ""
            return f"{chosen.model_id} has {count(number, 'replica')}.{ended}"

        if number == 0 and chosen.is_current:
            self._ask(
                f"Stop all replicas of {chosen.model_id}? It is current: its applications answer defaults then.",
                lambda: self._act(f"Stopping the replicas of {chosen.model_id}", scale),
                self._look_of(chosen),
            )
        else:
            self._act(f"Setting {chosen.model_id} to {number} replicas", scale)

    def _stop(self, chosen: VersionState) -> None:
        def stop() -> str:
            self._conn.stop_versioned_models({chosen.model_name: [chosen.version]})
            return f"{chosen.model_id} is stopped and unregistered."

        warning = " It is current: its applications answer defaults then." if chosen.is_current else ""
        self._ask(
            f"Stop and unregister {chosen.model_id}?{warning}",
            lambda: self._act(f"Stopping {chosen.model_id}", stop),
            self._look_of(chosen),
        )

    def _show_logs(self, chosen: VersionState) -> None:
        def read() -> str:
            tails = {
                container.name: self._conn.cm.get_log_tail(container.name, max_lines=_MAX_LOG_LINES)
                for container in chosen.containers
            }
            text = "\n".join(f"{name}:\n{tail.rstrip() or '(nothing)'}\n" for name, tail in tails.items())
            html = preformatted(text or "There is no replica.", label=f"Logs of {chosen.model_id}")
            self._poller.call_soon(lambda: setattr(self._log, "value", html))
            return f"The last lines of {count(len(tails), 'replica')} of {chosen.model_id}."

        self._act(f"Reading the logs of {chosen.model_id}", read)


def _table(state: ClusterState, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    if not rows:
        return paragraph("No models yet: call deploy_python_closure(), or use %%deploy.")
    keys = [version.model_id for version in state.versions] if "Actions" in head else ()
    return table(head, rows, caption="Model versions", numbers=(4, 6, 7), keys=keys)


def _replicas(version: VersionState) -> str:
    """Return how many replicas are connected, of how many: the number, or the bounds of autoscaling."""
    if version.autoscaling is not None:
        return unbroken(f"{version.num_connected} of {version.autoscaling.bounds}")
    return f"{version.num_connected} / {version.num_wanted}"


def _row(version: VersionState, now: float) -> list[str]:
    return [
        version.model_name,
        version.version,
        unbroken("★ current") if version.is_current else "",
        badge(version.status),
        _replicas(version),
        unbroken(format_day_time(version.registered_at, now)),
        format_rate(version.traffic.rate_per_s),
        format_ms(version.traffic.p99_s),
    ]
