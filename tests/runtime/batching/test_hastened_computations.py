"""A query that joins a computation may move its deadline earlier."""

from __future__ import annotations

from tests.support.dispatcher_bench import Bench, outcome


def test_hastened_computation_overtakes():
    """A query with a shorter SLO may join one that waits."""
    bench = Bench(batch_size=1)
    replica = bench.add_replica()
    bench.submit(b"busy")
    bench.loop.end_turn()
    [patient] = bench.submit(b"patient", deadline_s=1009.0, slo_s=9.0)
    bench.submit(b"other", deadline_s=1005.0)
    bench.dispatcher.move_deadline_earlier(patient, deadline_s=1001.0, slo_s=1.0)
    for _ in range(3):
        bench.answer(replica, "X")
    assert replica.batches == [[b"busy"], [b"patient"], [b"other"]]


def test_hastened_computation_is_counted_once():
    bench = Bench()
    [computation] = bench.submit(b"a", deadline_s=1009.0)
    bench.dispatcher.move_deadline_earlier(computation, deadline_s=1001.0, slo_s=1.0)
    assert bench.dispatcher.queue_length == 1
    bench.add_replica()
    assert bench.dispatcher.queue_length == 0


def test_hastened_computation_that_comes_back_is_sent_once():
    bench = Bench()
    [computation] = bench.submit(b"a", deadline_s=1009.0)
    bench.dispatcher.move_deadline_earlier(computation, deadline_s=1001.0, slo_s=1.0)
    lost, other, _spared = (bench.add_replica() for _ in range(3))
    assert lost.batches == [[b"a"]]
    bench.dispatcher.remove_replica(lost.replica_id)
    bench.loop.end_turn()
    assert other.batches == [[b"a"]]
    bench.answer(other, "A")
    assert outcome(computation) == ["A"]
    assert other.batches == [[b"a"]]


def test_computation_that_is_at_a_replica_may_be_hastened():
    bench = Bench()
    replica = bench.add_replica()
    [computation] = bench.submit(b"a", deadline_s=1009.0)
    bench.loop.end_turn()
    bench.dispatcher.move_deadline_earlier(computation, deadline_s=1001.0, slo_s=1.0)
    bench.answer(replica, "A")
    assert replica.batches == [[b"a"]]
