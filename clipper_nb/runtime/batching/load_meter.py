"""Measures the load of a version's replicas: how long queries wait for one, and how long these are busy."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clipper_nb.protocol.autoscaling import VersionLoad
from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.batching.worker import Worker


class LoadMeter:
    """Counts from the first reading on, since most versions are never read; two readings tell what was in between.

    Parameters
    ----------
    workers : dict
        The version's replicas, which the dispatcher keeps.
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, workers: Mapping[int, Worker], *, clock: Callable[[], float]) -> None:
        self._workers = workers
        self._clock = clock
        self._is_read = False
        self._num_queries = 0
        self._waited = 0.0
        self._busy_s = 0.0

    def batch_done(self, worker: Worker, now_s: float) -> None:
        """Count the worker's oldest batch, which it has answered, before that is forgotten."""
        if not self._is_read:
            return
        batch = worker.batches[0]
        started_s = max(batch.sent_s, worker.answered_s)  # it did not begin before the preceding batch was done
        self._busy_s += now_s - started_s
        for computation in batch.computations:
            for query in computation.queries:
                self._num_queries += 1
                self._waited += max(0.0, started_s - query.arrived_s) / computation.slo_s

    def given_up(self, number: int) -> None:
        """Count queries that could not be answered in time: waiting took their whole SLO."""
        if not self._is_read:
            return
        self._num_queries += number
        self._waited += number

    def read(self, model_id: ModelId) -> VersionLoad:
        """Return what was counted, with the time that replicas have been busy with what they have not answered."""
        self._is_read = True
        now_s = self._clock()
        busy_s = self._busy_s
        for worker in self._workers.values():
            if worker.batches:
                busy_s += now_s - max(worker.batches[0].sent_s, worker.answered_s)
        return VersionLoad(model_id.name, model_id.version, self._num_queries, self._waited, busy_s)
