"""A dispatcher with a loop that the test turns."""

from __future__ import annotations

import itertools

from tests.support.fake_clock import FakeLoop
from tests.support.fake_replica import FakeReplica, RecordingObserver, make_dispatcher
from tests.support.queries import make_computation


class Bench:
    """A dispatcher with a loop that the test turns."""

    def __init__(self, batch_size=100):
        self.loop = FakeLoop()
        self.observer = RecordingObserver()
        self.dispatcher = make_dispatcher(self.loop, lambda: self.observer, batch_size=batch_size)
        self._ids = itertools.count()

    def add_replica(self, max_batches_in_flight=1):
        replica = FakeReplica(next(self._ids))
        replica.max_batches_in_flight = max_batches_in_flight
        self.dispatcher.add_replica(replica)
        self.loop.end_turn()
        return replica

    def submit(self, *payloads, deadline_s=1001.0, slo_s=1.0):
        computations = [make_computation(payload, deadline_s, slo_s=slo_s) for payload in payloads]
        for computation in computations:
            self.dispatcher.submit(computation)
        return computations

    def answer(self, replica, *outputs):
        self.dispatcher.batch_answered(replica.replica_id, list(outputs))
        self.loop.end_turn()


def outcome(computation):
    """Return what each query of a computation was told: its output, or the reason for the default."""
    return [(query.reason or query.output) if query.is_answered else None for query in computation.queries]


def experienced(bench):
    """Return a replica that takes two batches at a time and is known to take 10 ms for each."""
    replica = bench.add_replica(2)
    for _ in range(12):
        bench.submit(b"warm up")
        bench.loop.end_turn()
        bench.loop.advance(0.01)
        bench.answer(replica, "W")
        bench.loop.advance(0.05)  # nobody comes back so soon that waiting would pay
    replica.batches.clear()
    return replica
