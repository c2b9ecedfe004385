"""A query is answered once; a computation answers all who share it."""

from __future__ import annotations

import gc

import pytest

from clipper_nb.protocol.records import DEFAULT_REASONS
from clipper_nb.runtime.batching import query as reasons
from clipper_nb.runtime.batching.query import Computation, Query
from tests.support.queries import make_computation, make_query


def test_query_is_answered_with_the_output():
    answered = []
    query = make_query(on_answered=answered.append)
    query.answer("3")
    assert answered == [query]
    assert query.is_answered
    assert (query.output, query.reason, query.explanation) == ("3", None, None)


def test_query_is_answered_with_the_default_and_why():
    answered = []
    query = make_query(on_answered=answered.append)
    query.answer_default(reasons.MODEL_ERROR, "It raised.")
    assert answered == [query]
    assert (query.reason, query.explanation) == ("model_error", "It raised.")


@pytest.mark.parametrize("first", ["answer", "default", "cancel"])
@pytest.mark.parametrize("second", ["answer", "default"])
def test_only_the_first_answer_counts(first, second):
    answered = []
    query = make_query(on_answered=lambda query: answered.append((query.output, query.reason)))
    acts = {
        "answer": lambda: query.answer("3"),
        "default": lambda: query.answer_default(reasons.MODEL_TOO_SLOW, "Late."),
        "cancel": query.cancel,
    }
    acts[first]()
    state = (query.output, query.reason, query.explanation)
    acts[second]()
    assert len(answered) == (first != "cancel")
    assert (query.output, query.reason, query.explanation) == state


def test_answer_is_complete_when_it_is_reported():
    """Whoever is told reads it at once."""
    seen = []
    make_query(on_answered=lambda query: seen.append((query.is_answered, query.output))).answer("3")
    make_query(on_answered=lambda query: seen.append((query.is_answered, query.reason))).answer_default("r", "e")
    assert seen == [(True, "3"), (True, "r")]


def test_all_queries_of_a_computation_get_its_output():
    computation = make_computation(num_queries=3)
    computation.succeed("3")
    assert [query.output for query in computation.queries] == ["3"] * 3


def test_all_queries_of_a_failed_computation_get_the_default():
    computation = make_computation(num_queries=2)
    computation.fail("It raised.")
    assert [query.reason for query in computation.queries] == ["model_error"] * 2


def test_all_queries_of_an_abandoned_computation_get_the_reason():
    computation = make_computation(num_queries=2)
    computation.give_up(reasons.NO_READY_REPLICA, "It was removed.")
    answers = [(query.reason, query.explanation) for query in computation.queries]
    assert answers == [("no_ready_replica", "It was removed.")] * 2


def test_computation_is_wanted_until_its_last_query_is_answered():
    computation = make_computation(num_queries=2)
    first, second = computation.queries
    assert computation.is_wanted
    first.answer_default(reasons.QUEUED_TOO_LONG, "Late.")
    assert computation.is_wanted
    second.cancel()
    assert not computation.is_wanted


def test_computation_without_queries_is_not_wanted():
    assert not make_computation(num_queries=0).is_wanted


def test_late_query_keeps_its_default():
    computation = make_computation(num_queries=2)
    computation.queries[0].answer_default(reasons.MODEL_TOO_SLOW, "Late.")
    computation.succeed("3")
    assert [(query.output, query.reason) for query in computation.queries] == [("", "model_too_slow"), ("3", None)]


@pytest.mark.parametrize(
    ("end", "output"),
    [
        (lambda computation: computation.succeed("3"), "3"),
        (lambda computation: computation.fail("It raised."), None),
        (lambda computation: computation.give_up("no_ready_replica", "It was removed."), None),
        (lambda computation: computation.abandon(), None),
    ],
)
def test_cache_hears_of_the_end_before_the_queries_do(end, output):
    """A client that asks again on its answer must find it, not join what is over."""
    told = []
    computation = make_computation(on_output=lambda computation, output: told.append(output))
    computation.join(make_query(on_answered=lambda query: told.append("query")))
    end(computation)
    assert told[0] == output
    assert told.count(output) == 1


def test_reasons_are_those_of_the_records():
    legal = {reasons.NOT_LINKED, reasons.NO_READY_REPLICA, reasons.QUEUED_TOO_LONG}
    assert legal | {reasons.MODEL_TOO_SLOW, reasons.MODEL_ERROR, reasons.NOT_CONFIDENT} == set(DEFAULT_REASONS)


@pytest.mark.parametrize("ending", ["answered", "late", "cancelled", "failed"])
def test_finished_query_leaves_no_work_to_the_garbage_collector(ending):
    """Its pauses would make thousands of others late."""
    gc.collect()
    gc.disable()  # nothing else of this process may be what it finds
    gc.freeze()
    for _ in range(10):
        computation = make_computation(b"a")
        [query] = computation.queries
        if ending == "late":
            query.answer_default("model_too_slow", "Late.")
        elif ending == "cancelled":
            query.cancel()
        if ending == "failed":
            computation.fail("It raised.")
        else:
            computation.succeed("A")
        del computation, query
    found = [type(left) for left in gc.get_objects() if isinstance(left, (Query, Computation))]
    gc.enable()
    assert found == []


@pytest.mark.parametrize("size_bytes", [10, 100_000])
@pytest.mark.parametrize("is_wanted", [False, True])
def test_only_a_large_unwanted_input_is_released(size_bytes, is_wanted):
    told = []
    computation = make_computation(num_queries=2, on_output=lambda computation, output: told.append(output))
    computation.payload = b"x" * size_bytes
    for query in computation.queries[is_wanted:]:
        query.cancel()
    computation.forget_if_abandoned()
    is_kept = is_wanted or size_bytes == 10
    assert len(computation.payload) == (size_bytes if is_kept else 0)
    assert told == ([] if is_kept else [None])
    computation.succeed("3")
    assert told == (["3"] if is_kept else [None])
