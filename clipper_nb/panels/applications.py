"""The panel of applications: what they promise, how they keep it, and which model answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import ipywidgets

from clipper_nb.display.html import Html
from clipper_nb.panels.cluster_state import ApplicationState, ClusterState
from clipper_nb.panels.markup import (
    badge,
    code,
    format_ms,
    format_rate,
    format_share,
    paragraph,
    row_actions,
    shortened,
    sparkline,
    table,
    two_lines,
)
from clipper_nb.panels.panel import Panel, dropdown, offer, row

_HEAD = ("Application", "Model", "Status", "SLO ms", "p50 ms", "p99 ms", "Defaults", "Queries/s, 40\u00a0s")


_MAX_DEFAULT_LENGTH = 24


class ApplicationsPanel(Panel):
    """Shows applications; links and unlinks models, and unregisters.

    Attributes
    ----------
    on_try : callable or None
        Called with an application to query, where the frame has a panel for it.
    """

    title: ClassVar[str] = "Applications"
    on_try: Callable[[str], None] | None = None

    def render(self) -> Html:
        """Return a table of applications."""
        state = self._poller.state
        return _table(state, _HEAD, [_row(application, state) for application in state.applications])

    def _render_live(self) -> Html:
        state = self._poller.state
        rows = [[*_row(application, state), self._row_actions(application)] for application in state.applications]
        return _table(state, (*_HEAD, "Actions"), rows)

    def _row_actions(self, application: ApplicationState) -> Html:
        labels = {"try": "Try"} if self.on_try else {}
        labels |= {"link": "Link…"} if application.linked_model is None else {"unlink": "Unlink"}
        return row_actions(application.name, {**labels, "unregister": "Unregister"}, is_enabled=not self._is_acting)

    def _act_on_row(self, action: str, key: str) -> None:
        if self._is_acting or self._poller.state.application(key) is None:
            return
        if action == "try" and self.on_try is not None:
            self.on_try(key)
        elif action == "link":
            self._poller.call_soon(lambda: self._choose(key))
        elif action == "unlink":
            self._unlink(key)
        elif action == "unregister":
            self._unregister(key)

    def _choose(self, application: str) -> None:
        self._application.value = application
        self._model.focus()

    def _make_controls(self) -> list[ipywidgets.Widget]:
        self._application = dropdown("Application", name="application")
        self._model = dropdown("Model", name="link-model")
        return [
            row(
                self._application,
                self._model,
                self._button("Link", self._link, name="link", tooltip="Send the application's queries to the model"),
                self._button(
                    "Unlink", lambda: self._unlink(self._application.value), name="unlink",
                    tooltip="The application answers its default output then",
                ),
                self._button(
                    "Unregister", lambda: self._unregister(self._application.value), name="unregister",
                    tooltip="Remove the application",
                ),
            ),
        ]  # fmt: skip

    def _offer(self, state: ClusterState) -> None:
        offer(self._application, [(found.name, found.name) for found in state.applications])
        offer(self._model, [(name, name) for name in state.model_names])

    def _is_possible(self, button: ipywidgets.Button) -> bool:
        application = self._poller.state.application(self._application.value)
        if application is None:
            return False
        if button.description == "Unlink":
            return application.linked_model is not None
        is_linked = self._model.value == application.linked_model and not application.split
        return button.description != "Link" or not (self._model.value is None or is_linked)

    def _link_of(self, application: str) -> Callable[[], object]:
        """Return what tells whether an application is there, and its link: what a question about it depends on."""

        def look() -> object:
            found = self._poller.state.application(application)
            return None if found is None else (found.name, found.linked_model, found.split)

        return look

    def _link(self) -> None:
        application, model = self._application.value, self._model.value
        found = self._poller.state.application(application)

        def relink() -> None:
            self._act(f"Linking {application} to {model}", lambda: self._relink(application, model))

        if found is None or found.linked_model is None:
            relink()
        else:
            question = f"{application} is linked to {found.split or found.linked_model}. Link it to {model} instead?"
            self._ask(question, relink, self._link_of(application))

    def _relink(self, application: str, model: str) -> str:
        self._remove_links(application)
        self._conn.link_model_to_app(application, model)
        return f"{application} is linked to {model}."

    def _unlink(self, application: str) -> None:
        self._ask(
            f"Unlink {application}? It answers its default output then.",
            lambda: self._act(f"Unlinking {application}", lambda: self._unlink_now(application)),
            self._link_of(application),
        )

    def _unlink_now(self, application: str) -> str:
        self._remove_links(application)
        return f"{application} is linked to no model."

    def _remove_links(self, application: str) -> None:
        for linked in self._conn.get_linked_models(application):
            self._conn.unlink_model_from_app(application, linked)

    def _unregister(self, application: str) -> None:
        self._ask(
            f"Unregister {application}? Its clients get errors then.",
            lambda: self._act(f"Unregistering {application}", lambda: self._unregister_now(application)),
            self._link_of(application),
        )

    def _unregister_now(self, application: str) -> str:
        self._conn.unregister_application(application)
        return f"{application} is unregistered."


def _table(state: ClusterState, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    if not rows:
        return paragraph("No applications yet: call register_application(), or create_endpoint() of a deployer.")
    keys = [application.name for application in state.applications] if "Actions" in head else ()
    return table(head, rows, caption="Applications", numbers=(3, 4, 5, 7), keys=keys)


def _row(application: ApplicationState, state: ClusterState) -> list[str]:
    traffic = application.traffic
    current = state.current_version(application.linked_model)
    model = application.split or (current.model_id if current else application.linked_model or "")
    reasons = ", ".join(f"{reason} {format_share(share)}" for reason, share in sorted((traffic.defaults or {}).items()))
    line = sparkline(application.recent_rates, label=f"Queries per second of {application.name}")
    default = shortened(application.default_output, _MAX_DEFAULT_LENGTH)
    return [
        two_lines(application.name, f"{application.input_type}, default {default}"),
        code(model) if model else "none",
        badge(application.status),
        f"{application.slo_s * 1e3:,g}",
        format_ms(traffic.p50_s),
        format_ms(traffic.p99_s),
        reasons or ("none" if traffic.rate_per_s else "-"),
        Html(f"{format_rate(traffic.rate_per_s)}{line}"),
    ]
