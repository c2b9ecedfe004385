"""What fails in a batch fails alone, and costs the others a bounded number of further batches."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fake_clock import FakeLoop
from tests.support.fake_replica import FakeReplica, RecordingObserver, make_dispatcher
from tests.support.queries import make_computation

BATCH_S = 0.01
"""How long the model takes for any batch."""


class Bench:
    """A dispatcher whose replicas compute at once, or raise if an input is poisoned."""

    def __init__(self, *, num_replicas=1, batch_size=64, has_answered=True):
        self.loop = FakeLoop()
        self.observer = RecordingObserver()
        self.poison = set()
        self.dispatcher = make_dispatcher(self.loop, lambda: self.observer, batch_size=batch_size)
        self.replicas = [FakeReplica(number) for number in range(num_replicas)]
        self.num_batches = 0
        for replica in self.replicas:
            self.dispatcher.add_replica(replica)
        if has_answered:
            self.submit(b"first")
            self.run()
            self.num_batches = 0

    def submit(self, *payloads, slo_s=10.0):
        now_s = self.loop.time()
        computations = [make_computation(payload, now_s + slo_s, slo_s=slo_s) for payload in payloads]
        for computation in computations:
            self.dispatcher.submit(computation)
        return computations

    def step(self):
        """Let every busy replica end its batch; return the sizes of these batches."""
        self.loop.end_turn()
        busy = [(replica, replica.batches.pop()) for replica in self.replicas if replica.batches]
        self.loop.advance(BATCH_S)
        for replica, batch in busy:
            self.num_batches += 1
            if self.poison & set(batch):
                self.dispatcher.batch_failed(replica.replica_id, "Model digits-net:1 raised ValueError: no")
            else:
                self.dispatcher.batch_answered(replica.replica_id, [f"output of {p.decode()}" for p in batch])
        return [len(batch) for _, batch in busy]

    def run(self):
        while self.step():
            pass


def outcome(computation):
    """Return the output of a computation, or the reason why there is none."""
    [query] = computation.queries
    return (query.reason or query.output) if query.is_answered else None


def outcomes(computations):
    return [outcome(computation) for computation in computations]


def expected(computations, poison):
    return [
        "model_error" if computation.payload in poison else f"output of {computation.payload.decode()}"
        for computation in computations
    ]


def inputs(count):
    return [b"input %d" % number for number in range(count)]


def test_one_bad_input_of_64_costs_twelve_more_batches():
    bench = Bench()
    bench.poison = {b"input 37"}
    computations = bench.submit(*inputs(64))
    bench.run()
    assert outcomes(computations) == expected(computations, bench.poison)
    assert bench.num_batches == 1 + 12
    assert sum(bench.observer.isolated) == 126
    assert bench.observer.failed == [1]
    assert sum(size for size, _ in bench.observer.answered) == 1 + 63


@given(st.data())
@settings(deadline=None)
def test_every_query_gets_its_own_outcome(data):
    size = data.draw(st.integers(1, 64))
    payloads = inputs(size)
    max_bad = size if size <= 8 else 3
    poison = set(data.draw(st.lists(st.sampled_from(payloads), max_size=max_bad)))
    bench = Bench(num_replicas=data.draw(st.integers(1, 3)), batch_size=data.draw(st.sampled_from([-1, 1, 5, 64])))
    bench.poison = poison
    computations = bench.submit(*payloads)
    bench.run()
    assert outcomes(computations) == expected(computations, poison)
    assert sum(bench.observer.failed) == len(poison)
    assert bench.dispatcher.queue_length == 0


@given(size=st.integers(2, 300), num_replicas=st.integers(1, 3), has_answered=st.booleans())
@settings(deadline=None)
def test_model_that_always_fails_is_not_computed_for_nothing(size, num_replicas, has_answered):
    bench = Bench(num_replicas=num_replicas, batch_size=300, has_answered=has_answered)
    bench.poison = set(inputs(size))
    costs = []
    for _ in range(8):
        before = bench.num_batches
        computations = bench.submit(*inputs(size))
        bench.run()
        costs.append(bench.num_batches - before)
        assert outcomes(computations) == ["model_error"] * size
    # A part may be under way at another replica.
    assert costs[0] <= (1 + 2 + 4 + 8 if has_answered else 3) + num_replicas - 1
    assert costs[-1] <= 3 + num_replicas - 1
    assert sum(bench.observer.failed) == 8 * size


def test_hopeless_batch_gets_the_error_of_the_model():
    bench = Bench(has_answered=False)
    bench.poison = set(inputs(8))
    computations = bench.submit(*inputs(8))
    bench.run()
    assert {c.queries[0].explanation for c in computations} == {"Model digits-net:1 raised ValueError: no"}


@pytest.mark.parametrize(("slo_s", "position"), [(1.0, 0), (100.0, -1)])
def test_parts_and_queue_are_sent_by_deadline(slo_s, position):
    bench = Bench()
    bench.poison = {b"input 0"}
    bench.submit(*inputs(4), slo_s=10.0)
    bench.loop.end_turn()
    bench.submit(b"another", slo_s=slo_s)
    order = []
    while bench.step():
        bench.loop.end_turn()
        order += bench.replicas[0].batches
    assert len(order) == 5
    assert order[position] == [b"another"]


def test_late_query_leaves_its_part():
    bench = Bench()
    bench.poison = {b"input 0"}
    computations = bench.submit(*inputs(4))
    bench.step()
    assert bench.dispatcher.is_isolated(computations[3])
    computations[3].queries[0].answer_default("model_error", "Late.")
    assert bench.replicas[0].batches == []
    bench.run()
    assert bench.num_batches == 1 + 4, "the halves, and the quarters of the first"
    assert outcomes(computations[:3]) == expected(computations[:3], bench.poison)


def test_part_of_a_lost_replica_is_tried_at_another():
    bench = Bench(num_replicas=3)
    bench.poison = {b"input 0"}
    computations = bench.submit(*inputs(4))
    bench.step()
    bench.loop.end_turn()
    lost = next(replica for replica in bench.replicas if replica.batches)
    bench.replicas.remove(lost)
    bench.dispatcher.remove_replica(lost.replica_id)
    bench.run()
    assert outcomes(computations) == expected(computations, bench.poison)


def test_last_draining_replica_computes_the_parts():
    bench = Bench()
    bench.poison = {b"input 3"}
    computations = bench.submit(*inputs(4))
    bench.loop.end_turn()
    bench.dispatcher.drain_replica(0)
    bench.run()
    assert outcomes(computations) == expected(computations, bench.poison)
    assert not bench.dispatcher.has_replica(0)


def test_parts_of_a_removed_version_are_given_up():
    bench = Bench()
    bench.poison = {b"input 3"}
    computations = bench.submit(*inputs(4))
    bench.step()
    bench.dispatcher.close()
    bench.run()
    assert bench.num_batches == 1
    assert outcomes(computations) == ["no_ready_replica"] * 4


def test_parts_teach_no_batch_size():
    bench = Bench(batch_size=-1)
    for _ in range(40):
        bench.submit(*inputs(64))
        bench.run()
    [worker] = bench.dispatcher._workers.values()
    before = worker.policy.max_size, worker.latency_model.predict_s(1)
    bench.poison = {b"input 0"}
    computations = bench.submit(*inputs(int(before[0])))
    bench.run()
    assert outcomes(computations) == expected(computations, bench.poison)
    assert (worker.policy.max_size, worker.latency_model.predict_s(1)) == before


@pytest.mark.parametrize("num_outputs", [0, 3, 5])
def test_wrong_number_of_outputs_is_of_the_whole_batch(num_outputs):
    bench = Bench()
    computations = bench.submit(*inputs(4))
    bench.loop.end_turn()
    bench.dispatcher.batch_answered(0, ["x"] * num_outputs)
    assert outcomes(computations) == ["model_error"] * 4
    assert bench.dispatcher.queue_length == 0


def test_joined_queries_share_the_outcome():
    bench = Bench()
    bench.poison = {b"input 0"}
    outputs = []
    computations = bench.submit(*inputs(2))
    for computation in computations:
        computation.on_output = lambda computation, output: outputs.append((computation.payload, output))
        computation.join(make_computation(b"", math.inf).queries[0])
    bench.run()
    assert [[query.reason or query.output for query in c.queries] for c in computations] == [
        ["model_error"] * 2,
        ["output of input 1"] * 2,
    ]
    assert sorted(outputs) == [(b"input 0", None), (b"input 1", "output of input 1")], "what failed is not cached"
