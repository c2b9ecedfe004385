"""Panels beside a cluster that stands still: what they call is recorded, and the test says when they are painted."""

from __future__ import annotations

import threading
from typing import Any

from clipper_nb.panels.cluster_state import ClusterState
from clipper_nb.panels.panel import Panel
from clipper_nb.panels.poller import Poller
from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.records import Prediction
from clipper_nb.protocol.traffic import ApplicationTraffic, TrafficTarget


class StandingManager:
    """What panels ask a container manager."""

    cluster_name = "tests"

    def get_query_url(self) -> str:
        return "http://127.0.0.1:1337"

    def get_query_token(self) -> None:
        return None

    def get_tls_identity(self) -> None:
        return None

    def get_log_tail(self, name: str, max_lines: int) -> str:
        return f"the log of {name}"


class StandingConnection:
    """Records what panels call; ``predict`` gives *answer*, or raises it."""

    connected = True

    def __init__(self) -> None:
        self.cm = StandingManager()
        self.calls: list[tuple[Any, ...]] = []
        self.weights: dict[str, float] = {}
        """Those of the traffic of each application; and so are these."""
        self.scores: dict[str, float] = {}
        self.policy: Policy | None = None
        self.answer: Prediction | Exception = Prediction(1.0, False, None, None, 7, 0.004, "net:1")

    def predict(self, *arguments: Any, version: str | None = None) -> Prediction:
        self.calls.append(("predict", *arguments, version))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def get_traffic(self, application: str) -> ApplicationTraffic:
        targets = (
            TrafficTarget(target, target, weight, 0.0, 1, self.scores.get(target), 100.0)
            for target, weight in self.weights.items()
        )
        return ApplicationTraffic(application, tuple(targets), self.policy)

    def records(self, method: str) -> StandingConnection:
        return self

    def get_linked_models(self, application: str) -> list[str]:
        return ["net"]

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **options: self.calls.append((name, *arguments, *([options] if options else [])))


def make_panel(kind: type[Panel], state: ClusterState) -> tuple[Any, StandingConnection]:
    """Return a painted panel and its connection."""
    conn = StandingConnection()
    poller = Poller(conn)  # type: ignore[arg-type]
    panel = kind(conn, poller)  # type: ignore[arg-type]
    show(panel, state)
    return panel, conn


def show(panel: Any, state: ClusterState) -> None:
    """Paint another state of the cluster."""
    panel._poller.state = state
    panel._poller.num_polls += 1
    panel.paint()
    settle(panel)


def settle(panel: Any) -> None:
    """Let actions end, and do what is to be done in the thread that changes widgets."""
    while True:
        for thread in threading.enumerate():
            if thread.name == "clipper-action":
                thread.join(5)
        if panel._poller._calls.empty():
            return
        panel._poller._calls.get()()


def click(panel: Any, button: Any) -> None:
    """Click on a button, and see what comes of it."""
    button.click()
    settle(panel)


def click_in_row(panel: Any, action: str, key: str) -> None:
    """Click on a button in a row of the picture, and see what comes of it."""
    panel._picture._handle_custom_msg({"action": action, "key": key}, [])
    settle(panel)


def outcome(panel: Any) -> str:
    """Return the line that says how the last action went."""
    return str(panel._outcome.value)


def is_asked(panel: Any) -> bool:
    """Return whether the panel shows a question."""
    return bool(panel._question.widget.layout.display == "flex")
