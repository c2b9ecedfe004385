"""The dispatchers of all versions, in step with the configuration and with who is connected."""

from __future__ import annotations

import pytest

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Configuration
from clipper_nb.protocol.rpc import ErrorResponse
from clipper_nb.runtime.batching.dispatcher import Dispatcher
from clipper_nb.runtime.batching.model_pool import ModelPool
from tests.support.fake_clock import FakeLoop
from tests.support.fake_replica import MODEL_ID, FakeReplica, RecordingObserver
from tests.support.queries import make_computation
from tests.support.records import make_configuration, make_version

OTHER_ID = ModelId("digits-net", "2")


class Bench:
    """A pool with a loop that the test turns, and a list of what it told."""

    def __init__(self):
        self.loop = FakeLoop()
        self.batch_sizes = {}
        self.num_changes = 0
        self.forgotten = []
        self.pool = ModelPool(
            self._make_dispatcher, on_replicas_changed=self._on_replicas_changed, on_forgotten=self.forgotten.append
        )

    def join(self, replica_id=0, model_id=MODEL_ID, input_type=InputType.STRINGS):
        replica = FakeReplica(replica_id, model_id, input_type)
        self.pool.replica_joined(replica)
        return replica

    def submit(self, payload=b"a", model_id=MODEL_ID):
        computation = make_computation(payload)
        self.pool.find(model_id).submit(computation)
        self.loop.end_turn()
        return computation

    def _make_dispatcher(self, model_id, batch_size):
        self.batch_sizes[model_id] = batch_size
        observer = RecordingObserver()
        return Dispatcher(
            model_id,
            batch_size=batch_size,
            observer=lambda: observer,
            clock=self.loop.time,
            call_soon=self.loop.call_soon,
            call_at=self.loop.call_at,
        )

    def _on_replicas_changed(self):
        self.num_changes += 1


def outcome(computation):
    [query] = computation.queries
    return (query.reason or query.output) if query.is_answered else None


def test_unknown_version_has_no_dispatcher():
    assert Bench().pool.find(MODEL_ID) is None


def test_registered_version_has_a_dispatcher_with_its_batch_size():
    bench = Bench()
    bench.pool.apply(make_configuration(make_version(batch_size=7)))
    assert bench.pool.find(MODEL_ID).model_id == MODEL_ID
    assert bench.batch_sizes == {MODEL_ID: 7}
    assert [dispatcher.model_id for dispatcher in bench.pool] == [MODEL_ID]


def test_version_may_have_replicas_before_it_is_registered():
    """A deploy registers last; the replicas it waited for must be used then."""
    bench = Bench()
    replica = bench.join()
    assert bench.pool.usable_replicas() == [replica.replica]
    assert bench.batch_sizes == {MODEL_ID: -1}
    bench.pool.apply(make_configuration(make_version(batch_size=1)))
    bench.submit(b"a")
    assert replica.batches == [[b"a"]]


def test_registered_batch_size_applies_to_earlier_replicas():
    bench = Bench()
    replica = bench.join()
    bench.pool.apply(make_configuration(make_version(batch_size=2)))
    for payload in (b"a", b"b", b"c"):
        bench.pool.find(MODEL_ID).submit(make_computation(payload))
    bench.loop.end_turn()
    assert replica.batches == [[b"a", b"b"]]


def test_replica_serves_its_own_version_only():
    bench = Bench()
    bench.pool.apply(make_configuration(make_version(), make_version(version="2")))
    first, second = bench.join(), bench.join(0, OTHER_ID)
    bench.submit(b"a", MODEL_ID)
    bench.submit(b"b", OTHER_ID)
    assert (first.batches, second.batches) == ([[b"a"]], [[b"b"]])


def test_answers_reach_the_query():
    bench = Bench()
    replica = bench.join()
    computation = bench.submit()
    bench.pool.batch_answered(replica.replica, ["A"])
    assert outcome(computation) == "A"


@pytest.mark.parametrize(
    ("message", "first_line"), [("no\nmore", "no"), ("\n  no", "no"), ("", ""), ("line\rfeed", "line")]
)
def test_model_error_quotes_type_and_first_line(message, first_line):
    bench = Bench()
    replica = bench.join()
    computation = bench.submit()
    bench.pool.batch_failed(replica.replica, ErrorResponse(1, "ValueError", message, "Traceback …"))
    assert outcome(computation) == "model_error"
    assert computation.queries[0].explanation == f"Model digits-net:1 raised ValueError: {first_line}"


def test_traceback_of_a_model_error_is_in_the_log(caplog):
    bench = Bench()
    replica = bench.join()
    bench.submit()
    bench.pool.batch_failed(replica.replica, ErrorResponse(1, "ValueError", "no", "Traceback: line 3"))
    assert "replica 0 of digits-net:1 failed on a batch: Traceback: line 3" in caplog.text


ONE_OF_TWO = ErrorResponse(0, "ValueError", "no", "Traceback …")


@pytest.mark.parametrize(
    ("error", "isolate_errors", "is_isolated"),
    [
        (ONE_OF_TWO, True, True),
        (ONE_OF_TWO, False, False),
        (ErrorResponse(0, "ValueError", "no", ""), True, True),  # of a container without tracebacks
        (ErrorResponse(0, "PredictionError", "3 outputs for 2 inputs", ""), True, False),
        (ErrorResponse(0, "ProtocolError", "malformed answer", ""), True, False),
        (ErrorResponse(0, "PredictionError", "raised by the model", "Traceback …"), True, True),
    ],
)
def test_what_the_model_raised_is_isolated(error, isolate_errors, is_isolated):
    bench = Bench()
    bench.pool.apply(make_configuration(make_version(batch_size=2, isolate_errors=isolate_errors)))
    replica = bench.join()
    computations = [make_computation(payload) for payload in (b"a", b"b")]
    for computation in computations:
        bench.pool.find(MODEL_ID).submit(computation)
    bench.loop.end_turn()
    bench.pool.batch_failed(replica.replica, error)
    bench.loop.end_turn()
    assert replica.batches == [[b"a", b"b"]] + [[b"a"]] * is_isolated
    assert [outcome(computation) for computation in computations] == [None if is_isolated else "model_error"] * 2


@pytest.mark.parametrize(("hang_timeout_s", "is_replaced"), [(20.0, True), (None, False)])
def test_registered_hang_timeout_is_kept(hang_timeout_s, is_replaced):
    bench = Bench()
    bench.pool.apply(make_configuration(make_version(hang_timeout_s=hang_timeout_s)))
    replica = bench.join()
    bench.submit()
    bench.loop.advance(25.0)
    assert (replica.end_reason is not None) == is_replaced


def test_every_replica_change_is_reported():
    bench = Bench()
    replica = bench.join()
    assert bench.num_changes == 1
    bench.pool.replica_draining(replica.replica)
    assert bench.num_changes == 2
    bench.pool.replica_lost(replica.replica)
    assert bench.num_changes == 3


def test_change_is_reported_once_it_is_visible():
    """Whoever is told announces the replicas at once."""
    bench = Bench()
    seen = []
    bench.pool._on_replicas_changed = lambda: seen.append(len(bench.pool.usable_replicas()))
    first = bench.join(0)
    bench.join(1)
    bench.pool.replica_draining(first.replica)
    bench.pool.replica_lost(first.replica)
    assert seen == [1, 2, 1, 1]


def test_draining_replica_is_not_usable():
    bench = Bench()
    first, second = bench.join(0), bench.join(1)
    bench.pool.replica_draining(first.replica)
    assert bench.pool.usable_replicas() == [second.replica]


def test_draining_replica_stays_unused_in_a_new_configuration():
    bench = Bench()
    bench.pool.apply(make_configuration(make_version()))
    leaving = bench.join(0)
    computation = bench.submit(b"a")
    other = bench.join(1)
    bench.pool.replica_draining(leaving.replica)
    bench.pool.apply(make_configuration(make_version(), make_version("other"), revision=2))
    assert bench.pool.usable_replicas() == [other.replica]
    bench.pool.batch_answered(leaving.replica, ["A"])
    bench.submit(b"b")
    assert outcome(computation) == "A"
    assert (leaving.batches, other.batches) == ([[b"a"]], [[b"b"]])


def test_lost_replica_is_forgotten_and_its_query_goes_to_another():
    bench = Bench()
    bench.pool.apply(make_configuration(make_version()))
    lost = bench.join(0)
    computation = bench.submit()
    other, spared = bench.join(1), bench.join(2)
    bench.pool.replica_lost(lost.replica)
    bench.loop.end_turn()
    assert other.batches == [[b"a"]]
    assert bench.pool.usable_replicas() == [other.replica, spared.replica]
    bench.pool.batch_answered(other.replica, ["A"])
    assert outcome(computation) == "A"


def test_version_without_registration_and_replicas_is_forgotten():
    bench = Bench()
    replica = bench.join()
    bench.pool.replica_lost(replica.replica)
    assert bench.forgotten == [MODEL_ID]
    assert bench.pool.find(MODEL_ID) is None
    assert bench.pool.usable_replicas() == []


def test_registered_version_stays_without_replicas():
    bench = Bench()
    bench.pool.apply(make_configuration(make_version()))
    bench.pool.replica_lost(bench.join().replica)
    assert bench.forgotten == []
    assert bench.pool.find(MODEL_ID).num_replicas == 0


def test_unregistered_version_stays_while_it_has_replicas():
    bench = Bench()
    bench.pool.apply(make_configuration(make_version()))
    replica = bench.join()
    bench.pool.apply(Configuration(revision=2))
    assert bench.forgotten == []
    assert bench.pool.find(MODEL_ID).num_replicas == 1
    bench.pool.replica_lost(replica.replica)
    assert bench.forgotten == [MODEL_ID]
    assert bench.pool.find(MODEL_ID) is None


def test_unregistered_version_without_replicas_fails_its_queue():
    bench = Bench()
    bench.pool.apply(make_configuration(make_version()))
    computation = bench.submit()
    bench.pool.apply(Configuration(revision=2))
    assert outcome(computation) == "no_ready_replica"
    assert bench.forgotten == [MODEL_ID]


def test_replica_finishes_queued_queries_after_unregistration():
    """Versions are unregistered first and their replicas stopped then."""
    bench = Bench()
    bench.pool.apply(make_configuration(make_version(batch_size=1)))
    replica = bench.join()
    first, second = bench.submit(b"a"), bench.submit(b"b")
    bench.pool.apply(Configuration(revision=2))
    bench.pool.replica_draining(replica.replica)
    bench.pool.batch_answered(replica.replica, ["A"])
    bench.pool.batch_answered(replica.replica, ["B"])
    assert (outcome(first), outcome(second)) == ("A", "B")


def test_replica_finishes_its_batch_after_unregistration():
    bench = Bench()
    bench.pool.apply(make_configuration(make_version()))
    replica = bench.join()
    computation = bench.submit()
    bench.pool.apply(Configuration(revision=2))
    bench.pool.batch_answered(replica.replica, ["A"])
    assert outcome(computation) == "A"


def test_same_configuration_again_changes_nothing():
    bench = Bench()
    configuration = make_configuration(make_version())
    bench.pool.apply(configuration)
    dispatcher = bench.pool.find(MODEL_ID)
    replica = bench.join()
    computation = bench.submit()
    bench.pool.apply(configuration)
    assert bench.pool.find(MODEL_ID) is dispatcher
    bench.pool.batch_answered(replica.replica, ["A"])
    assert outcome(computation) == "A"


def test_messages_of_unknown_replicas_change_nothing():
    pool = Bench().pool
    replica = FakeReplica().replica
    pool.replica_draining(replica)
    pool.replica_lost(replica)
    pool.batch_answered(replica, ["A"])
    pool.batch_failed(replica, ErrorResponse(1, "E", "m", ""))


# --- replicas that take another input type than their version


def test_replica_of_another_input_type_gets_no_queries(caplog):
    bench = Bench()
    bench.pool.apply(make_configuration(make_version(input_type=InputType.DOUBLES)))
    replica = bench.join(input_type=InputType.STRINGS)
    bench.submit()
    assert replica.batches == []
    assert bench.pool.usable_replicas() == []
    assert "takes strings, but the version was registered with doubles" in caplog.text


def test_earlier_replica_of_another_input_type_gets_no_queries():
    bench = Bench()
    replica = bench.join(input_type=InputType.STRINGS)
    bench.pool.apply(make_configuration(make_version(input_type=InputType.DOUBLES)))
    bench.submit()
    assert replica.batches == []
    assert bench.pool.usable_replicas() == []


def test_refused_replica_may_drain_and_go():
    bench = Bench()
    bench.pool.apply(make_configuration(make_version(input_type=InputType.DOUBLES)))
    replica = bench.join(input_type=InputType.STRINGS)
    bench.pool.replica_draining(replica.replica)
    bench.pool.replica_lost(replica.replica)
    bench.pool.apply(Configuration(revision=2))
    assert bench.forgotten == [MODEL_ID]


def test_refused_replica_is_used_after_its_type_is_registered():
    """Who registered with the wrong type and mends it need not start the container again."""
    bench = Bench()
    bench.pool.apply(make_configuration(make_version(input_type=InputType.DOUBLES)))
    replica = bench.join(input_type=InputType.STRINGS)
    bench.pool.apply(Configuration(revision=2))
    bench.pool.apply(make_configuration(make_version(input_type=InputType.STRINGS, registered_at=2.0), revision=3))
    assert bench.pool.usable_replicas() == [replica.replica]
    bench.submit(b"a")
    assert replica.batches == [[b"a"]]


@pytest.mark.parametrize("ending", ["answered", "failed"])
def test_replica_refused_while_busy_may_still_answer(ending):
    """Its answer is on the way and must not stop the frontend from reading the messages behind it."""
    bench = Bench()
    bench.pool.apply(make_configuration(make_version()))
    replica = bench.join()
    bench.submit()
    bench.pool.apply(Configuration(revision=2))
    bench.pool.apply(make_configuration(make_version(input_type=InputType.DOUBLES, registered_at=2.0), revision=3))
    if ending == "answered":
        bench.pool.batch_answered(replica.replica, ["A"])
    else:
        bench.pool.batch_failed(replica.replica, ErrorResponse(1, "E", "m", ""))
    bench.pool.replica_lost(replica.replica)
    assert bench.pool.usable_replicas() == []


@pytest.mark.parametrize("in_between", [[Configuration(revision=2)], []], ids=["two revisions", "one revision"])
def test_inputs_of_a_removed_version_never_reach_its_successor(in_between):
    """They were checked against the input type of the version that is gone."""
    bench = Bench()
    bench.pool.apply(make_configuration(make_version(batch_size=1)))
    old = bench.join()
    sent, queued = bench.submit(b"sent"), bench.submit(b"queued")
    for configuration in in_between:
        bench.pool.apply(configuration)
    bench.pool.apply(make_configuration(make_version(input_type=InputType.DOUBLES, registered_at=2.0), revision=3))
    assert outcome(queued) == "no_ready_replica"
    new = bench.join(1, input_type=InputType.DOUBLES)
    bench.pool.replica_lost(old.replica)
    bench.loop.end_turn()
    assert new.batches == []
    assert outcome(sent) == "no_ready_replica"


def test_refused_busy_replica_gets_no_queued_queries():
    """Not even when there is nobody else: it takes another input type."""
    bench = Bench()
    bench.pool.apply(make_configuration(make_version()))
    refused = bench.join(0)
    bench.submit(b"text")
    bench.pool.apply(make_configuration(make_version(input_type=InputType.DOUBLES, registered_at=2.0), revision=2))
    fitting = bench.join(1, input_type=InputType.DOUBLES)
    bench.submit(b"8 bytes.")
    bench.pool.replica_lost(fitting.replica)
    bench.pool.batch_answered(refused.replica, ["TEXT"])
    bench.loop.end_turn()
    assert refused.batches == [[b"text"]]
