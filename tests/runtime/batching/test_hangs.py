"""A replica that is busy with one batch for too long is replaced, and what it computed is suspected."""

from __future__ import annotations

import pytest

from clipper_nb.runtime.batching.query import Computation, Query
from tests.support.fake_clock import FakeLoop
from tests.support.fake_replica import MODEL_ID, FakeReplica, RecordingObserver, make_dispatcher


class Bench:
    """A dispatcher with replicas that never answer by themselves."""

    def __init__(self, num_replicas=1, *, hang_timeout_s=30.0, max_batches_in_flight=1):
        self.loop = FakeLoop()
        self.observer = RecordingObserver()
        self.dispatcher = make_dispatcher(self.loop, lambda: self.observer, batch_size=1)
        self.dispatcher.set_hang_timeout(hang_timeout_s)
        self.replicas = [FakeReplica(number) for number in range(num_replicas)]
        for replica in self.replicas:
            replica.max_batches_in_flight = max_batches_in_flight
            self.dispatcher.add_replica(replica)

    def submit(self, payload, *, slo_s=1.0):
        now_s = self.loop.time()
        computation = Computation(MODEL_ID, payload, deadline_s=now_s + slo_s, slo_s=slo_s)
        computation.join(Query(0, now_s, now_s + slo_s, lambda query: None))
        self.dispatcher.submit(computation)
        self.loop.end_turn()
        return computation

    @property
    def ended(self):
        return [replica.replica_id for replica in self.replicas if replica.end_reason is not None]


def reason_of(computation):
    [query] = computation.queries
    return query.reason


@pytest.mark.parametrize(
    ("slo_s", "hang_timeout_s", "limit_s"), [(1.0, 30.0, 30.0), (5.0, 30.0, 50.0), (0.05, 1.0, 1.0)]
)
def test_hang_is_the_longer_of_timeout_and_ten_slos(slo_s, hang_timeout_s, limit_s):
    bench = Bench(hang_timeout_s=hang_timeout_s)
    bench.submit(b"a", slo_s=slo_s)
    bench.loop.advance(limit_s - 0.001)
    assert bench.ended == []
    bench.loop.advance(0.002)
    assert bench.ended == [0]
    assert bench.observer.num_hung == 1
    assert f"one batch of 1 for {limit_s:.1f} s" in bench.replicas[0].end_reason


def test_longest_slo_is_that_of_joined_queries_too():
    bench = Bench()
    computation = bench.submit(b"a", slo_s=0.1)
    now_s = bench.loop.time()
    computation.join(Query(1, now_s, now_s + 4.0, lambda query: None))
    bench.loop.advance(39.0)
    assert bench.ended == []
    bench.loop.advance(2.0)
    assert bench.ended == [0]


def test_replica_that_answers_in_time_is_kept():
    bench = Bench(num_replicas=2)
    for _ in range(10):
        bench.submit(b"a", slo_s=3.0)
        bench.loop.advance(29.0)
        [busy] = [replica for replica in bench.replicas if replica.batches]
        busy.batches.clear()
        bench.dispatcher.batch_answered(busy.replica_id, ["A"])
    bench.loop.advance(1000.0)
    assert bench.ended == []
    assert bench.loop.num_timers == 0, "nothing wakes an idle frontend"


def test_time_in_line_behind_another_batch_does_not_count():
    bench = Bench(max_batches_in_flight=2)
    for _ in range(10):  # until the times of batches are known
        bench.submit(b"warm up")
        bench.loop.advance(0.001)
        bench.dispatcher.batch_answered(0, ["W"])
        bench.loop.advance(0.1)
    bench.submit(b"first")
    bench.submit(b"second")
    assert bench.replicas[0].batches[-2:] == [[b"first"], [b"second"]]
    bench.loop.advance(29.0)
    bench.dispatcher.batch_answered(0, ["F"])
    bench.loop.advance(29.0)
    assert bench.ended == []
    bench.loop.advance(2.0)
    assert bench.ended == [0]


def test_nothing_hangs_without_a_timeout():
    bench = Bench(hang_timeout_s=None)
    bench.submit(b"a")
    bench.loop.advance(100_000.0)
    assert bench.ended == []


def test_shorter_timeout_of_a_new_registration_counts_at_once():
    bench = Bench()
    bench.submit(b"a", slo_s=0.1)
    bench.loop.advance(5.0)
    bench.dispatcher.set_hang_timeout(2.0)
    bench.submit(b"b", slo_s=0.1)
    bench.loop.advance(0.1)
    assert bench.ended == [0]
    bench.loop.advance(100.0)
    assert bench.observer.num_hung == 1


def test_input_that_hung_two_replicas_is_found_out():
    bench = Bench(num_replicas=2, hang_timeout_s=1.0)
    for _ in range(2):
        late = bench.submit(b"endless", slo_s=0.05)
        late.queries[0].answer_default("model_too_slow", "Late.")
        bench.loop.advance(1.0)
        [number] = bench.ended
        bench.dispatcher.remove_replica(number)
        bench.replicas = [replica for replica in bench.replicas if replica.replica_id != number]
        bench.replicas.append(FakeReplica(number + 10))
        bench.dispatcher.add_replica(bench.replicas[-1])
    computation = bench.submit(b"endless")
    assert reason_of(computation) == "model_error"
    assert bench.submit(b"another").sent_s is not None
