"""The panel of metrics: latency beside the SLO, throughput, batches, queue and cache, live."""

from __future__ import annotations

from typing import ClassVar

import ipywidgets

from clipper_nb.display.html import Html
from clipper_nb.panels.charts import Chart, Charts, Line
from clipper_nb.panels.cluster_state import ClusterState
from clipper_nb.panels.history import Traffic
from clipper_nb.panels.markup import format_ms, format_rate, format_share, paragraph, table
from clipper_nb.panels.panel import Panel, dropdown, offer, row

_HEAD = ("", "per second", "p50 ms", "p99 ms", "Defaults", "Batch size", "Queue", "Cache hits")


class MetricsPanel(Panel):
    """Draws the last two minutes of one application, with the model version that answers, or of one version."""

    title: ClassVar[str] = "Metrics"

    def render(self) -> Html:
        """Return a table of the latest figures."""
        state = self._poller.state
        rows = [_row(found.name, found.traffic) for found in state.applications]
        rows += [_row(found.model_id, found.traffic) for found in state.versions if found.num_connected]
        if not rows:
            return paragraph("Nothing to measure yet.")
        return table(_HEAD, rows, caption="Figures of the last ten seconds", numbers=range(1, len(_HEAD)))

    def paint(self) -> None:
        """Draw the charts; the figures are in their legends."""
        self._offer(self._poller.state)
        self._charts.draw(self._poller.history.ages_s, self._make_charts())

    def _make_controls(self) -> list[ipywidgets.Widget]:
        self._picture.layout.display = "none"
        self._subject = dropdown("Show", name="subject", width="320px")
        self._subject.observe(lambda _change: self._poller.call_soon(self.paint), "value")
        self._charts = Charts()
        return [row(self._subject), self._charts]

    def _offer(self, state: ClusterState) -> None:
        applications = [(f"application {found.name}", ("application", found.name)) for found in state.applications]
        versions = [(f"version {found.model_id}", ("version", found.model_id)) for found in state.versions]
        offer(self._subject, applications + versions)

    def _make_charts(self) -> list[Chart]:
        if self._subject.value is None:
            return []
        kind, name = self._subject.value
        if kind == "version":
            points = self._poller.history.version_points(name)
            return [*_version_charts(name, points), *_batching_charts(name, points)]
        application = self._poller.state.application(name)
        if application is None:
            return []
        points = self._poller.history.application_points(name)
        current = self._poller.state.current_version(application.linked_model)
        charts = _application_charts(application.slo_s, points)
        if current is not None:
            charts += _batching_charts(current.model_id, self._poller.history.version_points(current.model_id))
        return charts


def _application_charts(slo_s: float, points: list[Traffic]) -> list[Chart]:
    return [
        Chart(
            "Latency",
            "ms",
            [
                Line("p50", [_ms(point.p50_s) for point in points]),
                Line("p99", [_ms(point.p99_s) for point in points]),
                Line("SLO", [slo_s * 1e3] * len(points)),
            ],
        ),
        Chart(
            "Throughput",
            "queries/s",
            [
                Line("answers", [point.rate_per_s for point in points]),
                Line("defaults", [point.rate_per_s * point.default_share for point in points]),
            ],
        ),
    ]


def _version_charts(model_id: str, points: list[Traffic]) -> list[Chart]:
    return [
        Chart(
            f"Batch latency of {model_id}",
            "ms",
            [
                Line("p50", [_ms(point.p50_s) for point in points]),
                Line("p99", [_ms(point.p99_s) for point in points]),
            ],
        ),
        Chart(
            f"Predictions of {model_id}",
            "inputs/s",
            [
                Line("predictions", [point.rate_per_s for point in points]),
                Line("errors", [point.errors_per_s for point in points]),
            ],
        ),
    ]


def _batching_charts(model_id: str, points: list[Traffic]) -> list[Chart]:
    return [
        Chart(f"Batch size of {model_id}", "inputs", [Line("mean", [point.batch_size for point in points])]),
        Chart(f"Queue of {model_id}", "inputs", [Line("waiting", [point.queue_length for point in points])]),
        Chart(
            f"Cache hits of {model_id}",
            "%",
            [Line("hits", [_percent(point.cache_hit_share) for point in points])],
        ),
    ]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def _percent(share: float | None) -> float | None:
    return None if share is None else share * 100


def _row(name: str, traffic: Traffic) -> list[str]:
    return [
        name,
        format_rate(traffic.rate_per_s),
        format_ms(traffic.p50_s),
        format_ms(traffic.p99_s),
        "-" if traffic.defaults is None else format_share(traffic.default_share),
        "-" if traffic.batch_size is None else f"{traffic.batch_size:.1f}",
        f"{traffic.queue_length:.0f}",
        format_share(traffic.cache_hit_share),
    ]
