"""The dispatcher hands queued computations to replicas, and every query gets its own answer."""

from __future__ import annotations

import pytest

from tests.support.dispatcher_bench import Bench, outcome
from tests.support.queries import make_computation, make_query


def test_idle_replica_gets_a_query_in_the_same_turn():
    bench = Bench()
    replica = bench.add_replica()
    bench.submit(b"a")
    bench.loop.end_turn()
    assert replica.batches == [[b"a"]]


def test_queries_of_one_turn_go_together():
    bench = Bench()
    replica = bench.add_replica()
    bench.submit(b"a")
    bench.submit(b"b", b"c")
    assert replica.batches == [], "nothing is sent before the turn ends"
    bench.loop.end_turn()
    assert replica.batches == [[b"a", b"b", b"c"]]


def test_most_urgent_query_goes_first():
    bench = Bench(batch_size=2)
    replica = bench.add_replica()
    bench.submit(b"later", deadline_s=1003.0)
    bench.submit(b"last", deadline_s=1004.0)
    bench.submit(b"first", deadline_s=1002.0)
    bench.loop.end_turn()
    assert replica.batches == [[b"first", b"later"]]


def test_batch_is_not_larger_than_the_batch_size():
    bench = Bench(batch_size=2)
    replica = bench.add_replica()
    bench.submit(b"a", b"b", b"c")
    bench.loop.end_turn()
    assert replica.batches == [[b"a", b"b"]]
    assert bench.dispatcher.queue_length == 1
    bench.answer(replica, "A", "B")
    assert replica.batches[1:] == [[b"c"]]


def test_busy_replica_gets_one_batch_at_a_time():
    bench = Bench()
    replica = bench.add_replica()
    bench.submit(b"a")
    bench.loop.end_turn()
    bench.submit(b"b")
    bench.submit(b"c")
    bench.loop.end_turn()
    assert replica.batches == [[b"a"]]
    bench.answer(replica, "A")
    assert replica.batches == [[b"a"], [b"b", b"c"]]


def test_work_is_shared_among_idle_replicas():
    bench = Bench(batch_size=2)
    replicas = [bench.add_replica() for _ in range(3)]
    bench.submit(b"a", b"b", b"c", b"d", b"e")
    bench.loop.end_turn()
    assert [replica.batches for replica in replicas] == [[[b"a", b"b"]], [[b"c", b"d"]], [[b"e"]]]


def test_replica_that_has_been_idle_longest_is_next():
    bench = Bench(batch_size=1)
    first, second = bench.add_replica(), bench.add_replica()
    for payload in (b"a", b"b", b"c"):
        bench.submit(payload)
        bench.loop.end_turn()
        busy = first if len(first.batches) > len(second.batches) else second
        bench.answer(busy, "X")
    assert (first.batches, second.batches) == ([[b"a"], [b"c"]], [[b"b"]])


def test_replica_that_joins_gets_what_has_waited():
    bench = Bench()
    bench.submit(b"a", b"b")
    bench.loop.end_turn()
    assert bench.dispatcher.queue_length == 2
    assert bench.add_replica().batches == [[b"a", b"b"]]


def test_unwanted_queries_are_not_sent():
    bench = Bench()
    replica = bench.add_replica()
    late, cancelled, wanted = bench.submit(b"late", b"cancelled", b"wanted")
    late.queries[0].answer_default("queued_too_long", "Late.")
    cancelled.queries[0].cancel()
    bench.loop.end_turn()
    assert replica.batches == [[b"wanted"]]
    assert outcome(wanted) == [None]


def test_replica_stays_idle_when_every_query_is_unwanted():
    bench = Bench()
    replica = bench.add_replica()
    [unwanted] = bench.submit(b"unwanted")
    unwanted.queries[0].cancel()
    bench.loop.end_turn()
    assert replica.batches == []
    bench.submit(b"a")
    bench.loop.end_turn()
    assert replica.batches == [[b"a"]]


def test_sent_computation_knows_when():
    bench = Bench()
    bench.add_replica()
    [computation] = bench.submit(b"a")
    assert computation.sent_s is None
    bench.loop.advance(0.25)
    assert computation.sent_s == 1000.0


def test_changed_batch_size_holds_for_the_next_batch():
    bench = Bench(batch_size=1)
    replica = bench.add_replica()
    bench.submit(b"a", b"b", b"c", b"d")
    bench.loop.end_turn()
    bench.dispatcher.set_batch_size(2)
    bench.answer(replica, "A")
    assert replica.batches == [[b"a"], [b"b", b"c"]]


def test_same_batch_size_again_keeps_what_was_learned():
    bench = Bench(batch_size=-1)
    replica = bench.add_replica()
    bench.submit(*(bytes([number]) for number in range(20)))
    bench.loop.end_turn()
    bench.answer(replica, "X")
    bench.dispatcher.set_batch_size(-1)
    bench.answer(replica, "X", "X", "X")
    assert [len(batch) for batch in replica.batches] == [1, 3, 5]


def test_each_replica_learns_its_own_batch_size():
    bench = Bench(batch_size=-1)
    quick, slow = bench.add_replica(), bench.add_replica()
    bench.submit(*(bytes([number]) for number in range(50)))
    bench.loop.end_turn()
    bench.answer(quick, "X")
    bench.loop.advance(0.95)
    bench.answer(slow, "X")
    assert (len(quick.batches[-1]), len(slow.batches[-1])) == (3, 1)


def test_query_that_is_late_anyway_yields_to_one_in_time():
    bench = Bench(batch_size=1)
    replica = bench.add_replica()
    bench.submit(b"a")
    bench.loop.end_turn()
    bench.loop.advance(0.1)
    bench.answer(replica, "A")  # so a batch takes about 0.1 s
    bench.submit(b"b")
    bench.loop.end_turn()
    [late] = bench.submit(b"late", deadline_s=1000.25)
    [other] = bench.submit(b"other", deadline_s=1000.5)
    bench.loop.advance(0.1)
    bench.answer(replica, "B")
    assert replica.batches[-1] == [b"other"]
    assert (outcome(late), outcome(other)) == (["queued_too_long"], [None])
    assert "a batch takes about 100.0 ms" in late.queries[0].explanation


def test_every_query_of_a_batch_gets_its_own_output():
    bench = Bench()
    replica = bench.add_replica()
    first, second = bench.submit(b"a", b"b")
    bench.loop.end_turn()
    bench.answer(replica, "A", "B")
    assert (outcome(first), outcome(second)) == (["A"], ["B"])


def test_queries_that_share_a_computation_share_its_output():
    bench = Bench()
    replica = bench.add_replica()
    [computation] = bench.submit(b"a")
    bench.loop.end_turn()
    computation.join(make_query(1002.0))
    bench.answer(replica, "A")
    assert outcome(computation) == ["A", "A"]
    assert replica.batches == [[b"a"]]


def test_batch_is_counted_with_its_latency():
    bench = Bench()
    replica = bench.add_replica()
    bench.submit(b"a", b"b")
    bench.loop.end_turn()
    bench.loop.advance(0.25)
    bench.answer(replica, "A", "B")
    assert bench.observer.answered == [(2, 0.25)]


def test_failed_batch_without_isolation_returns_defaults():
    bench = Bench()
    replica = bench.add_replica()
    bench.dispatcher.isolates_errors = False
    first, second = bench.submit(b"a", b"b")
    bench.loop.end_turn()
    bench.submit(b"c")
    bench.dispatcher.batch_failed(replica.replica_id, "Model digits-net:1 raised ValueError: no")
    bench.loop.end_turn()
    assert outcome(first) + outcome(second) == ["model_error"] * 2
    assert first.queries[0].explanation == "Model digits-net:1 raised ValueError: no"
    assert bench.observer.failed == [2]
    assert replica.batches[1:] == [[b"c"]]


@pytest.mark.parametrize("outputs", [[], ["A"], ["A", "B", "C"]])
def test_wrong_number_of_outputs_is_a_model_error(outputs):
    bench = Bench()
    replica = bench.add_replica()
    computations = bench.submit(b"a", b"b")
    bench.loop.end_turn()
    bench.answer(replica, *outputs)
    assert [outcome(computation) for computation in computations] == [["model_error"]] * 2
    explanation = computations[0].queries[0].explanation
    assert f"returned {len(outputs)} outputs for 2 inputs" in explanation
    assert bench.observer.failed == [2]
    assert bench.observer.answered == []
    bench.submit(b"c")
    bench.loop.end_turn()
    assert replica.batches[1:] == [[b"c"]]


def test_answer_that_comes_after_the_deadline_changes_nothing():
    bench = Bench()
    replica = bench.add_replica()
    [computation] = bench.submit(b"a")
    bench.loop.end_turn()
    computation.queries[0].answer_default("model_too_slow", "Late.")
    bench.answer(replica, "A")
    assert outcome(computation) == ["model_too_slow"]
    assert computation.queries[0].output == ""


def test_query_from_an_answer_callback_joins_the_next_batch():
    bench = Bench()
    replica = bench.add_replica()
    asked = []

    def ask_again(query):
        asked.extend(bench.submit(b"again"))

    computation = make_computation(b"a", num_queries=0)
    computation.join(make_query(on_answered=ask_again))
    bench.dispatcher.submit(computation)
    bench.loop.end_turn()
    bench.answer(replica, "A")
    assert replica.batches == [[b"a"], [b"again"]]
    bench.answer(replica, "AGAIN")
    assert outcome(asked[0]) == ["AGAIN"]
