"""The queue of one model version, earliest deadline first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.runtime.batching.deadline_queue import DeadlineQueue
from tests.support.examples import examples
from tests.support.queries import make_computation


def filled(*computations):
    queue = DeadlineQueue()
    for computation in computations:
        queue.put(computation)
    return queue


def answer_all(computation):
    for query in computation.queries:
        query.answer_default("queued_too_long", "Late.")


def test_most_urgent_goes_first():
    computations = [make_computation(deadline_s=deadline_s) for deadline_s in (3.0, 1.0, 2.0)]
    queue = filled(*computations)
    assert [computation.deadline_s for computation in queue.take(2)[0]] == [1.0, 2.0]
    assert queue.take(2)[0] == [computations[0]]


def test_older_of_two_equal_deadlines_goes_first():
    computations = [make_computation(bytes([number])) for number in range(5)]
    assert filled(*computations).take(5)[0] == computations


@pytest.mark.parametrize(("size", "num_taken"), [(0, 0), (1, 1), (3, 3), (4, 3), (1000, 3)])
def test_take_returns_at_most_the_requested_number(size, num_taken):
    queue = filled(*(make_computation() for _ in range(3)))
    assert len(queue.take(size)[0]) == num_taken
    assert len(queue) == 3 - num_taken


def test_unwanted_computation_is_dropped_and_frees_its_place():
    told = []
    unwanted = make_computation(deadline_s=1.0, on_output=lambda computation, output: told.append(output))
    wanted = make_computation(deadline_s=2.0)
    queue = filled(unwanted, wanted)
    answer_all(unwanted)
    assert queue.take(1)[0] == [wanted]
    assert told == [None], "the cache must forget it, or others would join what never comes"
    assert len(queue) == 0


def test_unwanted_backlog_does_not_grow():
    """A model without replicas may be asked for ever."""
    queue = DeadlineQueue()
    for number in range(100):
        computation = make_computation(deadline_s=float(number))
        queue.put(computation)
        assert len(queue) == 1
        answer_all(computation)


def test_hastened_computation_moves_ahead_once():
    patient, other = make_computation(b"p", deadline_s=9.0, slo_s=9.0), make_computation(b"o", deadline_s=5.0)
    queue = filled(patient, other)
    queue.move_deadline_earlier(patient, deadline_s=1.0, slo_s=0.5)
    assert (patient.deadline_s, patient.slo_s) == (1.0, 0.5)
    assert queue.take(10)[0] == [patient, other]
    assert queue.take(10)[0] == []


def test_hastened_computation_keeps_the_shorter_slo():
    """A query with a long SLO may be nearly late."""
    computation = make_computation(deadline_s=9.0, slo_s=0.5)
    queue = filled(computation)
    queue.move_deadline_earlier(computation, deadline_s=1.0, slo_s=60.0)
    assert computation.slo_s == 0.5


def test_hastened_computation_already_taken_does_not_return():
    told = []
    computation = make_computation(deadline_s=9.0, on_output=lambda computation, output: told.append(output))
    queue = filled(computation)
    queue.take(1)[0]
    queue.move_deadline_earlier(computation, deadline_s=1.0, slo_s=1.0)
    assert queue.take(1)[0] == []
    queue.put(computation)
    queue.move_deadline_earlier(computation, deadline_s=0.5, slo_s=0.5)
    assert queue.take(2)[0] == [computation]
    answer_all(computation)
    assert queue.take(2)[0] == []
    assert told == [], "it is at a replica: its end is still to come"


def test_empty_queue_returns_nothing():
    queue = DeadlineQueue()
    assert queue.take(5)[0] == []
    assert queue.drain() == []
    assert len(queue) == 0


def test_late_computations_make_room_for_others():
    computations = [make_computation(deadline_s=float(number)) for number in range(6)]
    queue = filled(*computations)
    assert queue.take(2, done_by_s=1.5) == (computations[2:4], computations[:2])
    assert queue.take(9, done_by_s=0.0) == (computations[4:], [])


def test_late_computations_are_sent_when_no_others_wait():
    """How long a batch takes is only guessed; without sending one it would never be known better."""
    computations = [make_computation(deadline_s=float(number)) for number in range(4)]
    queue = filled(*computations)
    assert queue.take(3, done_by_s=9.0) == (computations[1:], [])
    assert queue.drain() == computations[:1]


def test_slo_is_that_of_the_most_urgent():
    queue = filled(make_computation(deadline_s=2.0, slo_s=0.1), make_computation(deadline_s=1.0, slo_s=5.0))
    assert queue.tightest_slo_s() == 5.0


def test_drain_empties_the_queue_and_returns_only_wanted_ones():
    computations = [make_computation(deadline_s=number) for number in range(4)]
    queue = filled(*computations)
    answer_all(computations[1])
    assert queue.drain() == [computations[0], computations[2], computations[3]]
    assert len(queue) == 0


@examples(100)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=20), st.lists(st.integers(1, 6), max_size=10))
def test_wanted_computations_come_out_once_in_order(entries, sizes):
    computations = [make_computation(deadline_s=float(deadline_s)) for deadline_s, _ in entries]
    queue = filled(*computations)
    for computation, (_, is_wanted) in zip(computations, entries, strict=True):
        if not is_wanted:
            answer_all(computation)
    taken = []
    for size in sizes:
        batch = queue.take(size)[0]
        assert len(batch) <= size
        taken += batch
    taken += queue.drain()
    # Python's sort is stable: the older of two stays first.
    wanted = [computation for computation in computations if computation.is_wanted]
    assert taken == sorted(wanted, key=lambda computation: computation.deadline_s)


@examples(100)
@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from("abc")), max_size=20), st.integers(1, 6))
def test_applications_share_the_queue_by_deadline(entries, size):
    queue = DeadlineQueue()
    for deadline_s, application in entries:
        computation = make_computation(deadline_s=float(deadline_s))
        computation.application = application
        queue.put(computation)
    taken = []
    while len(queue):
        taken += queue.take(size)[0]
    assert [computation.deadline_s for computation in taken] == sorted(float(deadline_s) for deadline_s, _ in entries)
