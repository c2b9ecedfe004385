"""What is measured of a version's load: shares of SLOs that were waited, and replicas' time."""

from __future__ import annotations

import pytest

from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.batching.query import Computation, Query
from tests.support.fake_clock import FakeLoop
from tests.support.fake_replica import FakeReplica, RecordingObserver, make_dispatcher

NET = ModelId("net", "1")


class Bench:
    """A dispatcher of single queries, each with an SLO of a second."""

    def __init__(self, num_replicas=1, max_batches_in_flight=1):
        self.loop = FakeLoop()
        observer = RecordingObserver()
        self.dispatcher = make_dispatcher(self.loop, lambda: observer, batch_size=1)
        self.replicas = [FakeReplica(number) for number in range(num_replicas)]
        for replica in self.replicas:
            replica.max_batches_in_flight = max_batches_in_flight
            self.dispatcher.add_replica(replica)
        self.loop.end_turn()
        self.load()

    def submit(self, *payloads):
        now_s = self.loop.time()
        for payload in payloads:
            computation = Computation(NET, payload, now_s + 1.0, 1.0)
            computation.join(Query(0, now_s, now_s + 1.0, None))
            self.dispatcher.submit(computation)
        self.loop.end_turn()

    def answer(self, replica_id=0):
        self.dispatcher.batch_answered(replica_id, ["A"])
        self.loop.end_turn()

    def load(self):
        load = self.dispatcher.load.read(NET)
        return load.num_queries, pytest.approx(load.waited), pytest.approx(load.busy_s)


def test_query_waits_until_a_replica_begins_with_it():
    bench = Bench()
    bench.submit(b"a", b"b")
    bench.loop.advance(0.3)
    bench.answer()
    assert bench.load() == (1, 0.0, 0.3)
    bench.loop.advance(0.2)
    bench.answer()
    assert bench.load() == (2, 0.3, 0.5)


def test_time_with_an_unanswered_batch_counts_meanwhile():
    bench = Bench(num_replicas=2)
    bench.submit(b"a", b"b")
    bench.loop.advance(5.0)
    assert bench.load() == (0, 0.0, 10.0)
    bench.answer(0)
    bench.answer(1)
    bench.loop.advance(5.0)
    assert bench.load() == (2, 0.0, 10.0)


def test_queries_that_are_given_up_waited_for_their_whole_slo():
    bench = Bench()
    for _ in range(20):  # it learns that a batch takes 0.6 s
        bench.submit(b"a")
        bench.loop.advance(0.6)
        bench.answer()
    bench.submit(b"a")
    bench.loop.advance(0.1)
    bench.submit(b"late")
    bench.loop.advance(0.5)
    bench.submit(b"b")
    bench.answer()
    num_queries, waited, _ = bench.load()
    assert (num_queries, waited) == (22, 1.0), "'late' cannot be in time any more"
