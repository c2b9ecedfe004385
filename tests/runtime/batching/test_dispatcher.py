"""The dispatcher hands queued computations to replicas, and every query gets its own answer."""

from __future__ import annotations

import itertools

import pytest

from clipper_nb.runtime.batching.dispatcher import Dispatcher
from tests.support.fake_clock import FakeLoop
from tests.support.fake_replica import FakeReplica, RecordingObserver, make_dispatcher
from tests.support.queries import make_computation, make_query


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


# --- sending


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


# --- answers


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


# --- replicas that go


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


# --- queries that move_deadline_earlier a computation


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
