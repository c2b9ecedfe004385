"""The panel of applications: what they promise, how they keep it, and which model answers."""

from __future__ import annotations

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
    sparkline,
    table,
    two_lines,
)
from clipper_nb.panels.panel import Panel, Question, dropdown, offer, row

_HEAD = ("Application", "Model", "Status", "SLO ms", "p50 ms", "p99 ms", "Defaults", "Queries/s", "Last 40 s")


class ApplicationsPanel(Panel):
    """Shows applications; links and unlinks models, and unregisters."""

    title: ClassVar[str] = "Applications"

    def render(self) -> Html:
        """Return a table of applications."""
        state = self._poller.state
        if not state.applications:
            return paragraph("No applications yet: call register_application(), or create_endpoint() of a deployer.")
        rows = [_row(application, state) for application in state.applications]
        return table(_HEAD, rows, caption="Applications", numbers=(3, 4, 5, 7))

    def _make_controls(self) -> list[ipywidgets.Widget]:
        self._application = dropdown("Application", name="application")
        self._model = dropdown("Model", name="link-model")
        self._question = Question(self._poller)
        return [
            row(
                self._application,
                self._model,
                self._button("Link", self._link, name="link", tooltip="Send the application's queries to the model"),
                self._button(
                    "Unlink", self._unlink, name="unlink", tooltip="The application answers its default output then"
                ),
                self._button("Unregister", self._unregister, name="unregister", tooltip="Remove the application"),
            ),
            self._question.widget,
        ]

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

    def _link(self) -> None:
        application, model = self._application.value, self._model.value
        found = self._poller.state.application(application)
        if found is not None and found.linked_model is not None:
            self._question.ask(
                f"{application} is linked to {found.split or found.linked_model}. Link it to {model} instead?",
                lambda: self._act(f"Linking {application} to {model}", lambda: self._relink(application, model)),
            )
        else:
            self._act(f"Linking {application} to {model}", lambda: self._relink(application, model))

    def _relink(self, application: str, model: str) -> str:
        self._remove_links(application)
        self._conn.link_model_to_app(application, model)
        return f"{application} is linked to {model}."

    def _unlink(self) -> None:
        application = self._application.value
        self._question.ask(
            f"Unlink {application}? It answers its default output then.",
            lambda: self._act(f"Unlinking {application}", lambda: self._unlink_now(application)),
        )

    def _unlink_now(self, application: str) -> str:
        self._remove_links(application)
        return f"{application} is linked to no model."

    def _remove_links(self, application: str) -> None:
        for linked in self._conn.get_linked_models(application):
            self._conn.unlink_model_from_app(application, linked)

    def _unregister(self) -> None:
        application = self._application.value
        self._question.ask(
            f"Unregister {application}? Its clients get errors then.",
            lambda: self._act(f"Unregistering {application}", lambda: self._unregister_now(application)),
        )

    def _unregister_now(self, application: str) -> str:
        self._conn.unregister_application(application)
        return f"{application} is unregistered."


def _row(application: ApplicationState, state: ClusterState) -> list[str]:
    traffic = application.traffic
    current = state.current_version(application.linked_model)
    model = application.split or (current.model_id if current else application.linked_model or "")
    reasons = ", ".join(f"{reason} {format_share(share)}" for reason, share in sorted((traffic.defaults or {}).items()))
    return [
        two_lines(application.name, f"{application.input_type}, default {application.default_output}"),
        code(model) if model else "none",
        badge(application.status),
        f"{application.slo_s * 1e3:,g}",
        format_ms(traffic.p50_s),
        format_ms(traffic.p99_s),
        reasons or ("none" if traffic.rate_per_s else "-"),
        format_rate(traffic.rate_per_s),
        sparkline(application.recent_rates, label=f"Queries per second of {application.name}"),
    ]
