"""What query frontends have counted, as tests of metrics that outlive them count and read it."""

from __future__ import annotations

from collections.abc import Mapping

from clipper_nb.clients.metrics_text import parse_samples
from clipper_nb.errors import StateUnavailableError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.model_metrics import MetricReport, define_metric
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Application, Configuration, ModelVersion, Replica
from clipper_nb.runtime.metrics.counters import QueryFrontendMetrics
from clipper_nb.runtime.state.memory_counts import MemoryCounts

MODEL = ModelId("net", "1")
REPLICA = Replica(*MODEL, 0, InputType.INTEGERS)
APP = Application("app", InputType.INTEGERS, "-1", 100_000, 10.0)
QUERIES, LATENCY = "clipper_app_queries_total", "clipper_app_latency_seconds_count"
LOST, WORDS = "clipper_model_lost_replicas_total", "clipper_user_words_total"


def configuration(app: Application = APP) -> Configuration:
    """Return one with an application and a version."""
    version = ModelVersion("net", "1", InputType.INTEGERS, "net:1", (), -1, registered_at=20.0)
    return Configuration(applications={"app": app}, versions={MODEL: version})


class Counted:
    """The metrics of a process of a query frontend that knows the application and a replica."""

    def __init__(self, *, counts_replicas: bool = True) -> None:
        self.metrics = QueryFrontendMetrics(counts_replicas=counts_replicas)
        self.application = self.metrics.application("app", 0.1)
        self.metrics.replica_joined(REPLICA)

    def count(self, num_answers: int) -> None:
        """Count answers, a lost replica, and what its model counted."""
        for _ in range(num_answers):
            self.application.query_answered(0.01, None)
        self.metrics.replica_reported(REPLICA, [MetricReport(define_metric("words", "counter"), [((), [2.0])])])
        self.metrics.replica_lost(REPLICA, was_leaving=False)


class CountsThatAreAway(MemoryCounts):
    """A store that does not answer as long as it is told, or as often."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.num_failures = 0

    def _answer(self) -> None:
        if self.is_away or self.num_failures:
            self.num_failures = max(0, self.num_failures - 1)
            raise StateUnavailableError("Redis is away")

    async def keep(self, run: str, counts: str) -> bool:
        self._answer()
        return await super().keep(run, counts)

    async def read(self) -> Mapping[str, str]:
        self._answer()
        return await super().read()

    async def merge(self, ended: Mapping[str, str], past: str | None, merged: str) -> bool:
        self._answer()
        return await super().merge(ended, past, merged)


def values(parts: list[bytes]) -> dict[str, float]:
    """Return what a text says, by the names of metrics, without what is 0."""
    return {name: value for name, _, value in parse_samples(b"".join(parts).decode()) if value}


def of(shown: Mapping[str, float]) -> list[float]:
    """Return the answered queries, the observed latencies, the lost replicas, and the words of the model."""
    return [shown.get(name, 0.0) for name in (QUERIES, LATENCY, LOST, WORDS)]
