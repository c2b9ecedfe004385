"""A predictor with a loop that the test turns, and configurations for it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

from prometheus_client.parser import text_string_to_metric_families

from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.batching.dispatcher import Dispatcher
from clipper_nb.runtime.batching.model_pool import ModelPool
from clipper_nb.runtime.metrics.counters import QueryFrontendMetrics
from clipper_nb.runtime.metrics.exposition import format_families
from clipper_nb.runtime.query_frontend.prediction_cache import PredictionCache
from clipper_nb.runtime.query_frontend.predictor import Predictor
from tests.support.fake_clock import FakeLoop
from tests.support.fake_replica import MODEL_ID, FakeReplica
from tests.support.records import make_application, make_configuration, make_version

OTHER_ID = ModelId("digits-net", "2")

LINKED = make_configuration(
    make_version(), applications=(make_application(slo_micros=100_000),), links={"digits": "digits-net"}
)


class Bench:
    """A query frontend without a wire, a store or time of its own."""

    def __init__(self, configuration=LINKED, *, cache_size_bytes=0, choosers=None):
        self.loop = FakeLoop()
        self.metrics = QueryFrontendMetrics()
        self.cache = PredictionCache(cache_size_bytes)
        self.pool = ModelPool(
            self._make_dispatcher,
            on_replicas_changed=lambda: None,
            on_forgotten=self.metrics.forget_model,
        )
        self.predictor = Predictor(self.loop, self.pool, self.cache, self.metrics, choosers=choosers)
        self.answers = []  # (query, when)
        self._replica_ids = itertools.count()
        self.predictor.apply(configuration)

    def join(self, model_id=MODEL_ID, replica_type=FakeReplica):
        replica = replica_type(next(self._replica_ids), model_id)
        self.pool.replica_joined(replica)
        self.loop.end_turn()
        return replica

    def ask(self, *payloads, application="digits", version=None, arrived_s=None):
        served = self.predictor.find_application(application)
        target = self.predictor.find_target(served, version)
        queries = [
            self.predictor.predict(
                served,
                target,
                payload,
                arrived_s=self.loop.time() if arrived_s is None else arrived_s,
                on_answered=lambda query: self.answers.append((query, self.loop.time())),
            )
            for payload in payloads
        ]
        self.loop.end_turn()
        return queries

    def answer(self, replica, *outputs):
        self.pool.batch_answered(replica.replica, list(outputs))
        self.loop.end_turn()

    def value(self, name, **labels):
        """Return a metric's value, or ``None`` when there is no such series."""
        text = format_families(self.metrics.families()).decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return next((sample.value for sample in samples if (sample.name, sample.labels) == (name, labels)), None)

    def _make_dispatcher(self, model_id, batch_size):
        return Dispatcher(
            model_id,
            batch_size=batch_size,
            observer=partial(self.metrics.model, model_id),
            clock=self.loop.time,
            call_soon=self.loop.call_soon,
            call_at=self.loop.call_at,
        )


def outcomes(queries):
    return [(query.reason or query.output) if query.is_answered else None for query in queries]


TWO_VERSIONS = replace(
    make_configuration(make_version(), make_version(version="2")),
    applications=LINKED.applications,
    routes=LINKED.routes,
)
