"""Sends a query frontend what the model has counted itself: once a second, never for a query."""

from __future__ import annotations

import sys
from typing import Protocol

from clipper_nb.protocol.model_metrics import encode_reports

_INTERVAL_S = 1.0
_MODULE = "clipper_nb.metrics"
"""Most models count nothing, and never import it."""


class ReportConnection(Protocol):
    """The connection that reports are sent through."""

    @property
    def session(self) -> object:
        """A new object for each session with the query frontend."""

    @property
    def accepts_metrics(self) -> bool:
        """Whether a report can be sent now."""

    def send_metrics(self, payload: bytes) -> bool:
        """Send a report; return whether that succeeded."""


class MetricsReporter:
    """Reports one model's metrics.

    All go to one query frontend, the first; when several share a port each of them shows the sum over all. While it
    cannot be reached, the replica keeps what it counts.
    """

    def __init__(self) -> None:
        self._due_s = 0.0
        self._session: object = None

    def report(self, connection: ReportConnection, *, now_s: float, at_once: bool = False) -> None:
        """Send what is new, if that is due; everything to a session that knows nothing yet."""
        module = sys.modules.get(_MODULE)
        if module is None or (now_s < self._due_s and not at_once) or not connection.accepts_metrics:
            return
        self._due_s = now_s + _INTERVAL_S
        reports = module.pending_reports(everything=connection.session is not self._session)
        if reports and connection.send_metrics(encode_reports(reports)):
            module.confirm_reports(reports)
            self._session = connection.session


def begin_counting() -> None:
    """Let this replica count from 0, now that it has loaded the model and answered the samples."""
    module = sys.modules.get(_MODULE)
    if module is not None:
        module.begin_counting()
