"""When a replica reports what its model counts."""

from __future__ import annotations

import pytest

from clipper_nb import metrics
from clipper_nb.metrics import counter
from clipper_nb.protocol.model_metrics import decode_reports
from clipper_nb.runtime.model_container.metrics_reporter import MetricsReporter


class Connection:
    """Keeps what it is sent, unless it is broken."""

    def __init__(self) -> None:
        self.session: object = object()
        self.accepts_metrics = True
        self.is_broken = False
        self.sent: list[float] = []

    def send_metrics(self, payload: bytes) -> bool:
        if not self.is_broken:
            [report] = decode_reports(payload)
            self.sent.append(report.series[0][1][0])
        return not self.is_broken


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> metrics.Counter:
    monkeypatch.setattr(metrics, "_metrics", {})
    return counter("words")


def test_report_comes_once_a_second(words):
    reporter, connection = MetricsReporter(), Connection()
    for tenth in range(25):
        words.inc()
        reporter.report(connection, now_s=100 + tenth / 10)
    assert connection.sent == [1, 10, 10]


def test_nothing_new_is_not_reported(words):
    reporter, connection = MetricsReporter(), Connection()
    for now_s in range(5):
        reporter.report(connection, now_s=now_s)
    assert connection.sent == [0]


def test_last_report_comes_at_once(words):
    reporter, connection = MetricsReporter(), Connection()
    reporter.report(connection, now_s=0.0)
    words.inc()
    reporter.report(connection, now_s=0.1, at_once=True)
    assert connection.sent == [0, 1]


def test_replica_keeps_what_it_could_not_report(words):
    reporter, connection = MetricsReporter(), Connection()
    words.inc(3)
    connection.is_broken = True
    reporter.report(connection, now_s=0)
    connection.is_broken, connection.accepts_metrics = False, False
    reporter.report(connection, now_s=2)
    connection.accepts_metrics = True
    words.inc()
    reporter.report(connection, now_s=4)
    assert connection.sent == [4]


def test_new_session_learns_of_series_that_do_not_change(words):
    reporter, connection = MetricsReporter(), Connection()
    words.inc(3)
    reporter.report(connection, now_s=0)
    connection.session = object()
    reporter.report(connection, now_s=2)
    assert connection.sent == [3, 0]
