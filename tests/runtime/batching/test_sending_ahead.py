"""A busy replica gets its next batch ahead where that helps, and what waits behind an overdue one goes elsewhere."""

from __future__ import annotations

import pytest

from tests.support.dispatcher_bench import Bench, experienced, outcome


def test_batch_goes_ahead_once_as_large_as_the_running_batch():
    bench = Bench()
    replica = experienced(bench)
    bench.submit(b"a", b"b")
    bench.loop.end_turn()
    bench.submit(b"c")
    bench.loop.end_turn()
    assert replica.batches == [[b"a", b"b"]]
    bench.submit(b"d")
    bench.loop.end_turn()
    assert replica.batches == [[b"a", b"b"], [b"c", b"d"]]
    bench.submit(b"e", b"f")
    bench.loop.end_turn()
    assert len(replica.batches) == 2, "two at a time"


def test_nothing_is_sent_ahead_if_the_running_batch_is_overdue():
    bench = Bench()
    replica = experienced(bench)
    bench.submit(b"a")
    bench.loop.end_turn()
    bench.loop.advance(0.1)
    bench.submit(b"b")
    bench.loop.end_turn()
    assert replica.batches == [[b"a"]]
    other = bench.add_replica()
    assert other.batches == [[b"b"]]


def test_nothing_is_sent_ahead_of_the_parts_of_a_failed_batch():
    bench = Bench(batch_size=2)
    replica = experienced(bench)
    first, _, third, fourth, *_ = bench.submit(b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h")
    bench.loop.end_turn()
    bench.dispatcher.batch_failed(replica.replica_id, "It raised.")
    bench.loop.end_turn()
    bench.answer(replica, "C", "D")
    bench.answer(replica, "A")
    assert replica.batches[:4] == [[b"a", b"b"], [b"c", b"d"], [b"a"], [b"b"]]
    assert outcome(first) + outcome(third) + outcome(fourth) == ["A", "C", "D"]


def test_what_waits_behind_an_overdue_batch_goes_elsewhere():
    bench = Bench(batch_size=2)
    replica, other = experienced(bench), bench.add_replica()
    computations = bench.submit(b"a", b"b", b"x", b"x", b"c", b"d")
    bench.loop.end_turn()
    assert replica.batches == [[b"a", b"b"], [b"c", b"d"]]
    bench.loop.advance(0.01)
    bench.answer(other, "X", "X")
    bench.loop.advance(0.2)
    assert other.batches == [[b"x", b"x"]], "the SLO of 1 s has time"
    bench.loop.advance(0.1)
    assert other.batches == [[b"x", b"x"], [b"c", b"d"]]
    bench.answer(other, "C", "D")
    bench.answer(replica, "A", "B")
    bench.answer(replica, "not C", "not D")
    answers = [["A"], ["B"], ["X"], ["X"], ["C"], ["D"]]
    assert [outcome(computation) for computation in computations] == answers
    bench.loop.advance(10.0)
    assert bench.loop.num_timers <= 1, "only that of hangs"


def test_an_error_of_a_batch_that_was_taken_back_is_ignored():
    bench = Bench(batch_size=1)
    replica, other = experienced(bench), bench.add_replica()
    first, _, second = bench.submit(b"a", b"x", b"b")
    bench.loop.end_turn()
    assert replica.batches == [[b"a"], [b"b"]]
    bench.answer(other, "X")
    bench.loop.advance(0.3)
    bench.answer(replica, "A")
    bench.dispatcher.batch_failed(replica.replica_id, "It raised.")
    bench.answer(other, "B")
    assert outcome(first) + outcome(second) == ["A", "B"]
    assert bench.observer.failed == []


def test_answers_come_in_the_order_of_the_batches():
    bench = Bench(batch_size=2)
    replica = experienced(bench)
    computations = bench.submit(b"a", b"b", b"c", b"d")
    bench.loop.end_turn()
    assert replica.batches == [[b"a", b"b"], [b"c", b"d"]]
    bench.answer(replica, "A", "B")
    bench.answer(replica, "C", "D")
    assert [outcome(computation) for computation in computations] == [["A"], ["B"], ["C"], ["D"]]


@pytest.mark.parametrize("slo_s", [0.04, 0.05])
def test_nothing_is_sent_ahead_if_both_batches_exceed_the_slo(slo_s):
    bench = Bench(batch_size=1)
    replica = experienced(bench)
    bench.submit(b"a", b"b", deadline_s=bench.loop.time() + slo_s, slo_s=slo_s)
    bench.loop.end_turn()
    assert len(replica.batches) == (1 if slo_s < 0.02 / 0.45 else 2)


def test_nothing_is_sent_ahead_before_batch_latency_is_known():
    bench = Bench(batch_size=1)
    replica = bench.add_replica(2)
    bench.submit(b"a", b"b")
    bench.loop.end_turn()
    assert replica.batches == [[b"a"]]


def test_the_second_batch_of_a_lost_replica_was_not_tried():
    bench = Bench(batch_size=1)
    replica = experienced(bench)
    first, second = bench.submit(b"a", b"b")
    bench.loop.end_turn()
    assert replica.batches == [[b"a"], [b"b"]]
    bench.dispatcher.remove_replica(replica.replica_id)
    assert (first.attempts, second.attempts) == (1, 0)
    assert bench.dispatcher.queue_length == 2


def test_a_draining_replica_answers_all_that_it_has():
    bench = Bench(batch_size=1)
    replica = experienced(bench)
    computations = bench.submit(b"a", b"b")
    bench.loop.end_turn()
    assert len(replica.batches) == 2
    other = bench.add_replica()
    bench.dispatcher.drain_replica(replica.replica_id)
    bench.answer(replica, "A")
    bench.answer(replica, "B")
    assert [outcome(computation) for computation in computations] == [["A"], ["B"]]
    assert other.batches == []
    assert not bench.dispatcher.has_replica(replica.replica_id)
