"""Replicas drain, are lost and join again, and their queries are answered all the same."""

from __future__ import annotations

import pytest

from clipper_nb.runtime.batching.dispatcher import Dispatcher
from tests.support.dispatcher_bench import Bench, outcome
from tests.support.queries import make_computation


def test_draining_replica_finishes_and_gets_nothing_new():
    bench = Bench()
    draining, other = bench.add_replica(), bench.add_replica()
    [computation] = bench.submit(b"a")
    bench.loop.end_turn()
    bench.dispatcher.drain_replica(draining.replica_id)
    bench.submit(b"b")
    bench.submit(b"c")
    bench.loop.end_turn()
    bench.submit(b"d")
    assert bench.dispatcher.num_replicas == 1
    assert not bench.dispatcher.has_replica(draining.replica_id)
    bench.answer(draining, "A")
    assert outcome(computation) == ["A"]
    assert draining.batches == [[b"a"]]
    assert other.batches == [[b"b", b"c"]]


def test_idle_replica_that_drains_gets_nothing_new():
    bench = Bench()
    draining, other = bench.add_replica(), bench.add_replica()
    bench.submit(b"a")
    bench.dispatcher.drain_replica(draining.replica_id)
    bench.loop.end_turn()
    assert (draining.batches, other.batches) == ([], [[b"a"]])


def test_last_replica_finishes_what_is_queued_before_it_goes():
    """Whoever scales to nothing loses no query that was taken in before."""
    bench = Bench(batch_size=1)
    replica = bench.add_replica()
    computations = bench.submit(b"a", b"b", b"c")
    bench.loop.end_turn()
    bench.dispatcher.drain_replica(replica.replica_id)
    assert bench.dispatcher.num_replicas == 0, "there is nobody for queries that come now"
    for output in ("A", "B", "C"):
        bench.answer(replica, output)
    assert replica.batches == [[b"a"], [b"b"], [b"c"]]
    assert [outcome(computation) for computation in computations] == [["A"], ["B"], ["C"]]
    bench.submit(b"d")
    bench.loop.end_turn()
    assert len(replica.batches) == 3


def test_draining_idle_replica_takes_queries_of_the_same_turn():
    bench = Bench()
    replica = bench.add_replica()
    bench.submit(b"a")
    bench.dispatcher.drain_replica(replica.replica_id)
    assert replica.batches == [[b"a"]]
    bench.answer(replica, "A")
    bench.submit(b"b")
    bench.loop.end_turn()
    assert replica.batches == [[b"a"]]


def test_draining_replica_that_fails_is_done_too():
    bench = Bench()
    replica = bench.add_replica()
    bench.submit(b"a")
    bench.loop.end_turn()
    bench.dispatcher.drain_replica(replica.replica_id)
    bench.dispatcher.batch_failed(replica.replica_id, "It raised.")
    bench.submit(b"b")
    bench.loop.end_turn()
    assert replica.batches == [[b"a"]]


def test_query_of_a_lost_replica_goes_to_another():
    bench = Bench()
    lost = bench.add_replica()
    [computation] = bench.submit(b"a")
    bench.loop.end_turn()
    other, _spared = bench.add_replica(), bench.add_replica()
    bench.dispatcher.remove_replica(lost.replica_id)
    assert computation.sent_s is None
    bench.loop.end_turn()
    assert other.batches == [[b"a"]]
    assert bench.observer.lost == [1]
    bench.answer(other, "A")
    assert outcome(computation) == ["A"]


def test_query_of_a_lost_replica_waits_for_another_to_join():
    bench = Bench()
    bench.submit(b"a")
    lost = bench.add_replica()
    bench.dispatcher.remove_replica(lost.replica_id)
    assert bench.add_replica().batches == [[b"a"]]


def test_query_that_ended_two_replicas_is_not_sent_again():
    bench = Bench()
    replicas = [bench.add_replica() for _ in range(3)]
    [computation] = bench.submit(b"deadly")
    bench.loop.end_turn()
    for replica in replicas[:2]:
        assert replica.batches == [[b"deadly"]]
        bench.dispatcher.remove_replica(replica.replica_id)
        bench.loop.end_turn()
    assert replicas[2].batches == []
    assert outcome(computation) == ["model_error"]
    assert "Two replicas of digits-net:1 were lost" in computation.queries[0].explanation


def test_query_of_a_lost_replica_that_is_late_is_not_sent_again():
    bench = Bench()
    lost, other = bench.add_replica(), bench.add_replica()
    [computation] = bench.submit(b"a")
    bench.loop.end_turn()
    computation.queries[0].answer_default("model_too_slow", "Late.")
    bench.dispatcher.remove_replica(lost.replica_id)
    bench.loop.end_turn()
    assert other.batches == []


def test_query_that_could_not_be_sent_keeps_both_its_tries():
    bench = Bench()
    gone = bench.add_replica()
    gone.is_reachable = False
    replicas = [bench.add_replica() for _ in range(3)]
    [computation] = bench.submit(b"a")
    bench.loop.end_turn()
    assert replicas[0].batches == [[b"a"]]
    assert not bench.dispatcher.has_replica(gone.replica_id)
    bench.dispatcher.remove_replica(replicas[0].replica_id)
    bench.loop.end_turn()
    assert replicas[1].batches == [[b"a"]]
    bench.answer(replicas[1], "A")
    assert outcome(computation) == ["A"]


def test_unreachable_replicas_do_not_use_up_the_tries():
    bench = Bench()
    for _ in range(5):
        bench.add_replica().is_reachable = False
    last = bench.add_replica()
    bench.submit(b"a")
    bench.loop.end_turn()
    assert last.batches == [[b"a"]]
    assert bench.dispatcher.num_replicas == 1


def test_lost_replica_affects_no_other_query():
    bench = Bench(batch_size=1)
    lost, other = bench.add_replica(), bench.add_replica()
    first, second = bench.submit(b"a", b"b")
    bench.loop.end_turn()
    bench.dispatcher.remove_replica(lost.replica_id)
    bench.answer(other, "B")
    assert (outcome(first), outcome(second)) == ([None], ["B"])
    bench.add_replica()
    bench.answer(other, "A")
    assert outcome(first) == ["A"]


def test_draining_replica_that_is_used_again_goes_on():
    bench = Bench()
    replica = bench.add_replica()
    [computation] = bench.submit(b"a")
    bench.loop.end_turn()
    bench.dispatcher.drain_replica(replica.replica_id)
    bench.dispatcher.add_replica(replica)
    assert bench.dispatcher.num_replicas == 1
    bench.submit(b"b")
    bench.loop.end_turn()
    assert replica.batches == [[b"a"]], "it is still busy"
    bench.answer(replica, "A")
    assert outcome(computation) == ["A"]
    assert replica.batches[1:] == [[b"b"]]


@pytest.mark.parametrize("go", [Dispatcher.drain_replica, Dispatcher.remove_replica])
def test_replica_may_leave_twice_or_be_unknown(go):
    bench = Bench()
    replica = bench.add_replica()
    go(bench.dispatcher, 99)
    go(bench.dispatcher, replica.replica_id)
    go(bench.dispatcher, replica.replica_id)
    bench.dispatcher.remove_replica(replica.replica_id)
    assert bench.dispatcher.num_replicas == 0


def test_replicas_are_counted_while_they_can_be_used():
    bench = Bench()
    replicas = [bench.add_replica() for _ in range(3)]
    assert bench.dispatcher.num_replicas == 3
    bench.dispatcher.drain_replica(replicas[0].replica_id)
    bench.dispatcher.remove_replica(replicas[1].replica_id)
    assert bench.dispatcher.num_replicas == 1
    assert [bench.dispatcher.has_replica(number) for number in range(4)] == [False, False, True, False]


def test_queued_queries_of_a_removed_version_get_defaults():
    bench = Bench()
    told = []
    computation = make_computation(on_output=lambda computation, output: told.append(output))
    bench.dispatcher.submit(computation)
    bench.dispatcher.close()
    assert outcome(computation) == ["no_ready_replica"]
    explanation = computation.queries[0].explanation
    assert explanation.startswith("No connected models found for query: version '1' of model 'digits-net' was removed")
    assert told == [None]
    assert bench.dispatcher.queue_length == 0


def test_running_query_of_a_removed_version_is_not_retried():
    bench = Bench()
    lost, other = bench.add_replica(), bench.add_replica()
    [computation] = bench.submit(b"a")
    bench.loop.end_turn()
    bench.dispatcher.close()
    assert outcome(computation) == [None], "it may still be answered"
    bench.dispatcher.remove_replica(lost.replica_id)
    bench.loop.end_turn()
    assert other.batches == []
    assert outcome(computation) == ["no_ready_replica"]
