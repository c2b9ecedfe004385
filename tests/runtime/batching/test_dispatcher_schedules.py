"""Whatever happens in whatever order, the dispatcher gives every query its own answer, once."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from clipper_nb.runtime.batching.backlog import MAX_ATTEMPTS
from clipper_nb.runtime.batching.deadline_timer import DeadlineTimer
from clipper_nb.runtime.batching.query import Computation, Query
from tests.support.examples import examples
from tests.support.fake_clock import FakeLoop
from tests.support.fake_replica import MODEL_ID, FakeReplica, RecordingObserver, make_dispatcher


def output_of(payload):
    """The model: every input has an output of its own."""
    return f"output of {payload.decode()}"


class CheckedReplica(FakeReplica):
    """A replica that sees to it that it is only sent what it should be."""

    def __init__(self, replica_id, machine, max_batches_in_flight):
        super().__init__(replica_id)
        self.max_batches_in_flight = max_batches_in_flight
        self.machine = machine
        self.in_flight = []
        self.is_lost = False
        self.is_draining = False

    def send_batch(self, payloads, origins=()):
        assert not self.is_lost, "a batch for a replica that is lost"
        assert not (self.is_draining and self.machine.usable()), "a batch for a replica that drains"
        assert len(self.in_flight) < self.max_batches_in_flight, "a batch too many for a busy replica"
        self.machine.notice_withdrawn()
        assert payloads, "an empty batch"
        assert self.machine.suspected.isdisjoint(payloads) or self.machine.suspected.issuperset(payloads), "mixed"
        if self.machine.batch_size > 0:
            assert len(payloads) <= self.machine.batch_size
        for payload in payloads:
            assert self.machine.computations[payload].is_wanted, "a computation that nobody wants"
            assert payload not in self.machine.removed, "an input of the version that is gone"
        if not super().send_batch(payloads, origins):
            self.machine.leave(self)
            self.machine.num_undelivered += len(payloads)
            return False
        self.in_flight.append(list(payloads))
        for payload in payloads:
            self.machine.num_sent[payload] += 1
            assert self.machine.num_sent[payload] - self.machine.num_raised[payload] <= MAX_ATTEMPTS, "a third try"
        return True


class EveryQueryGetsItsOwnAnswer(RuleBasedStateMachine):
    """Random schedules of queries, answers, failures, replicas that come, drain and go, and time."""

    def __init__(self):
        super().__init__()
        self.loop = FakeLoop()
        self.observer = RecordingObserver()
        self.numbers = itertools.count()
        self.replicas = []
        self.computations = {}
        self.num_sent = {}
        self.num_raised = {}  # payload → how often a model raised on a batch with it
        self.queries = {}  # query → payload
        self.answers = {}  # query → when it was answered
        self.cancelled = set()
        self.excused = set()  # payloads that a model failed on, or that ended two replicas
        self.suspected = set()  # payloads that a replica had when it was lost
        self.removed = set()  # payloads that were there when the version was removed
        self.num_undelivered = 0

    @initialize(batch_size=st.sampled_from([-1, 1, 2, 3, 10]))
    def begin(self, batch_size):
        self.batch_size = batch_size
        self.dispatcher = make_dispatcher(self.loop, lambda: self.observer, batch_size=batch_size)

    # --- what clients do

    @rule(num_inputs=st.integers(1, 5), slo_s=st.sampled_from([0.1, 0.5, 2.0]))
    def ask(self, num_inputs, slo_s):
        for _ in range(num_inputs):
            payload = b"input %d" % next(self.numbers)
            computation = Computation(MODEL_ID, payload, deadline_s=self.loop.time() + slo_s, slo_s=slo_s)
            self.computations[payload] = computation
            self.num_sent[payload] = self.num_raised[payload] = 0
            self._join(computation, slo_s)
            self.dispatcher.submit(computation)

    @precondition(lambda self: self._pending())
    @rule(data=st.data(), slo_s=st.sampled_from([0.1, 2.0]))
    def ask_the_same(self, data, slo_s):
        computation = data.draw(st.sampled_from(self._pending()))
        deadline_s = self._join(computation, slo_s).deadline_s
        if deadline_s < computation.deadline_s:
            self.dispatcher.move_deadline_earlier(computation, deadline_s=deadline_s, slo_s=slo_s)

    @precondition(lambda self: self._waiting())
    @rule(data=st.data())
    def give_up(self, data):
        query = data.draw(st.sampled_from(self._waiting()))
        query.cancel()
        self.cancelled.add(query)

    # --- what replicas do

    @rule(max_batches_in_flight=st.integers(1, 2))
    def replica_joins(self, max_batches_in_flight):
        replica = CheckedReplica(next(self.numbers), self, max_batches_in_flight)
        self.replicas.append(replica)
        self.dispatcher.add_replica(replica)

    @precondition(lambda self: self._busy())
    @rule(data=st.data())
    def replica_answers(self, data):
        replica = data.draw(st.sampled_from(self._busy()))
        batch = self._finish(replica)
        self.dispatcher.batch_answered(replica.replica_id, [output_of(payload) for payload in batch])
        self._leave_if_done(replica)

    @precondition(lambda self: self._busy())
    @rule(data=st.data())
    def model_raises(self, data):
        replica = data.draw(st.sampled_from(self._busy()))
        batch = self._finish(replica)
        self.excused.update(batch)
        for payload in batch:
            self.num_raised[payload] += 1
        self.dispatcher.batch_failed(replica.replica_id, "It raised.")
        self._leave_if_done(replica)

    @precondition(lambda self: self._busy())
    @rule(data=st.data(), num_outputs=st.integers(0, 6))
    def model_returns_the_wrong_number(self, data, num_outputs):
        replica = data.draw(st.sampled_from(self._busy()))
        batch = self._finish(replica)
        outputs = [output_of(payload) for payload in batch][:num_outputs]
        outputs += ["too many"] * (num_outputs - len(outputs))
        if num_outputs != len(batch):
            self.excused.update(batch)
        self.dispatcher.batch_answered(replica.replica_id, outputs)
        self._leave_if_done(replica)

    @precondition(lambda self: self.replicas)
    @rule(data=st.data())
    def replica_is_lost(self, data):
        replica = data.draw(st.sampled_from(self.replicas))
        for payload in replica.in_flight[0] if replica.in_flight else ():
            self.suspected.add(payload)
            if self.num_sent[payload] - self.num_raised[payload] == MAX_ATTEMPTS:
                self.excused.add(payload)
        self.leave(replica)
        self.dispatcher.remove_replica(replica.replica_id)

    @precondition(lambda self: self.replicas)
    @rule(data=st.data())
    def replica_drains(self, data):
        replica = data.draw(st.sampled_from(self.replicas))
        replica.is_draining = True
        self.dispatcher.drain_replica(replica.replica_id)
        self._leave_if_done(replica)

    @precondition(lambda self: self.replicas)
    @rule(data=st.data())
    def replica_is_used_again(self, data):
        replica = data.draw(st.sampled_from(self.replicas))
        replica.is_draining = False
        self.dispatcher.add_replica(replica)

    @precondition(lambda self: self.replicas)
    @rule(data=st.data())
    def replica_becomes_unreachable(self, data):
        data.draw(st.sampled_from(self.replicas)).is_reachable = False

    # --- what else happens

    @rule(batch_size=st.sampled_from([-1, 1, 4]))
    def batch_size_changes(self, batch_size):
        self.batch_size = batch_size
        self.dispatcher.set_batch_size(batch_size)

    @rule()
    def version_is_removed(self):
        self.removed.update(self.computations)
        self.dispatcher.close()
        assert self.dispatcher.queue_length == 0

    @rule()
    def turn_ends(self):
        self.loop.end_turn()
        self.notice_withdrawn()
        idle = [r for r in self.replicas if not r.in_flight and not r.is_draining]
        if idle:
            num_queued = self.dispatcher.queue_length
            held = [c for c in self.computations.values() if self.dispatcher.is_held(c)]
            assert num_queued == len(held), "something waits while a replica is idle"
            spared = [r for r in self.usable() if not r.in_flight or self.suspected.isdisjoint(r.in_flight[0])]
            assert not held or len(spared) <= 1, "a suspect waits while two replicas could be tried"

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.6]))
    def time_passes(self, seconds):
        self.loop.advance(seconds)
        self.notice_withdrawn()

    # --- what always holds

    @invariant()
    def replicas_are_those_that_are_connected(self):
        if hasattr(self, "dispatcher"):
            assert self.dispatcher.num_replicas == len(self.usable())
            assert all(self.dispatcher.has_replica(replica.replica_id) for replica in self.usable())

    @invariant()
    def nobody_waits_beyond_the_deadline(self):
        assert all(query.deadline_s > self.loop.time() for query in self._waiting())

    @invariant()
    def every_batch_is_counted_once(self):
        in_flight = sum(len(batch) for replica in self.replicas for batch in replica.in_flight)
        ended = sum(size for size, _ in self.observer.answered) + sum(self.observer.failed) + sum(self.observer.lost)
        isolated = sum(self.dispatcher.is_isolated(c) for c in self.computations.values()) if self.computations else 0
        num_first_sent = sum(self.num_sent.values()) + self.num_undelivered - sum(self.observer.isolated)
        assert ended + in_flight + isolated == num_first_sent

    def teardown(self):
        self.loop.advance(10.0)
        for query in self.queries:
            assert (query in self.answers) != (query in self.cancelled)
        # A computation that is over keeps nobody waiting.
        assert not any(computation.is_wanted for computation in self.computations.values())

    # --- behind the rules

    def leave(self, replica):
        """A replica is gone."""
        replica.is_lost = True
        for batch in replica.in_flight[1:]:  # it had not come to these, so they do not count as tries
            self.num_undelivered += len(batch)
            for payload in batch:
                self.num_sent[payload] -= 1
        replica.in_flight.clear()
        if replica in self.replicas:
            self.replicas.remove(replica)

    def notice_withdrawn(self):
        """What was taken back from a replica does not count as a try there."""
        for replica in self.replicas:
            for position, batch in enumerate(self.dispatcher._workers[replica.replica_id].batches):
                if batch.is_withdrawn and position < len(replica.in_flight):
                    for payload in replica.in_flight[position]:
                        self.num_sent[payload] -= 1
                    replica.in_flight[position] = []

    def usable(self):
        """Return the replicas that take whatever comes."""
        return [replica for replica in self.replicas if not replica.is_draining]

    def _finish(self, replica):
        return replica.in_flight.pop(0)

    def _leave_if_done(self, replica):
        if replica.is_draining and not replica.in_flight:
            self.leave(replica)

    def _join(self, computation, slo_s):
        now_s = self.loop.time()
        query = Query(next(self.numbers), arrived_s=now_s, deadline_s=now_s + slo_s, on_answered=self._on_answered)
        self.queries[query] = computation.payload
        computation.join(query)
        # A timer of its own, for these queries have different SLOs.
        DeadlineTimer(self.loop, self._on_deadline).add(query)
        return query

    def _on_deadline(self, query):
        assert query.deadline_s <= self.loop.time()
        query.answer_default("model_too_slow" if query.computation.sent_s is not None else "queued_too_long", "Late.")

    def _on_answered(self, query):
        payload = self.queries[query]
        assert query not in self.answers, "answered twice"
        assert query not in self.cancelled, "answered after it was cancelled"
        self.answers[query] = self.loop.time()
        if query.reason is None:
            assert query.output == output_of(payload), "the answer of another query"
            assert self.num_sent[payload] > 0
        elif query.reason == "model_error":
            assert payload in self.excused, "a model error where no model failed"
        elif query.reason == "no_ready_replica":
            assert payload in self.removed, "no replica, for a version that was not removed"
        elif query.reason == "model_too_slow":
            assert self._has_it(payload), "no replica has it"
            assert self.loop.time() >= query.deadline_s
        else:
            assert query.reason == "queued_too_long"
            assert not self._has_it(payload), "a replica has it"
            assert self.loop.time() >= query.deadline_s or "a batch takes about" in query.explanation

    def _busy(self):
        return [replica for replica in self.replicas if replica.in_flight]

    def _has_it(self, payload):
        return any(payload in batch for replica in self.replicas for batch in replica.in_flight)

    def _waiting(self):
        return [query for query in self.queries if not query.is_answered]

    def _pending(self):
        return [computation for computation in self.computations.values() if computation.is_wanted]


TestEveryQueryGetsItsOwnAnswer = EveryQueryGetsItsOwnAnswer.TestCase
TestEveryQueryGetsItsOwnAnswer.settings = examples(100, stateful_step_count=60)
