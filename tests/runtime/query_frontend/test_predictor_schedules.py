"""Whatever happens in whatever order, the predictor gives every query its own answer, once and in time."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import DEFAULT_REASONS
from clipper_nb.protocol.rpc import ErrorResponse
from clipper_nb.runtime.routing.asked_version import UnknownVersionError
from tests.support.examples import examples
from tests.support.fake_replica import FakeReplica
from tests.support.predictor_bench import Bench
from tests.support.records import make_application, make_configuration, make_version


class BusyReplica(FakeReplica):
    """A replica that knows what it computes now."""

    batch = None

    def send_batch(self, payloads, origins=()):
        assert self.batch is None, "a second batch for a busy replica"
        assert payloads, "an empty batch"
        if not super().send_batch(payloads, origins):
            return False
        self.batch = list(payloads)
        return True


def output_of(model_id, payload):
    return f"{model_id} of {payload.decode()}"


class EveryQueryGetsItsOwnAnswer(RuleBasedStateMachine):
    """Random schedules through cache, queue and replicas, with two applications, two versions and changes of both."""

    def __init__(self):
        super().__init__()
        applications = (
            make_application("quick", slo_micros=50_000),
            make_application("patient", slo_micros=2_000_000),
        )
        self.configuration = make_configuration(
            make_version(batch_size=3),
            make_version(version="2"),
            applications=applications,
            links={"quick": "digits-net", "patient": "digits-net"},
        )
        self.bench = Bench(self.configuration, cache_size_bytes=1500)
        self.loop = self.bench.loop
        self.replicas = []
        self.waiting = {}  # query → (version, payload, deadline)
        self.registrations = itertools.count(2)
        self.may_fail = set()  # (version, payload) that a model failed on, lost twice, or whose version went

    # --- clients

    @rule(
        application=st.sampled_from(["quick", "patient"]),
        inputs=st.lists(st.integers(0, 4), min_size=1, max_size=4),
        version=st.sampled_from([None, "1", "2"]),
    )
    def ask(self, application, inputs, version):
        served = self.bench.predictor.find_application(application)
        current = self.configuration.current_versions.get("digits-net")
        model_id = ModelId("digits-net", version or current or "")
        now_s = self.loop.time()
        payloads = iter([b"%d" % number for number in inputs])
        early = []

        def on_answered(query):
            if query in self.waiting:
                self._check(query)
            else:
                early.append(query)

        try:
            target = self.bench.predictor.find_target(served, version)
        except UnknownVersionError:
            assert model_id not in self.configuration.versions
            return
        queries = [
            self.bench.predictor.predict(served, target, payload, arrived_s=now_s, on_answered=on_answered)
            for payload in payloads
        ]
        for query, number in zip(queries, inputs, strict=True):
            self.waiting[query] = (model_id, b"%d" % number, now_s + served.slo_s)
        for query in early:
            self._check(query)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data):
        query = data.draw(st.sampled_from(list(self.waiting)))
        query.cancel()
        del self.waiting[query]

    # --- replicas

    @rule(version=st.sampled_from(["1", "2"]))
    def replica_joins(self, version):
        self.replicas.append(self.bench.join(ModelId("digits-net", version), BusyReplica))

    @precondition(lambda self: self._busy())
    @rule(data=st.data())
    def replica_answers(self, data):
        replica, batch = self._finish(data)
        outputs = [output_of(replica.replica.model_id, payload) for payload in batch]
        self.bench.pool.batch_answered(replica.replica, outputs)

    @precondition(lambda self: self._busy())
    @rule(data=st.data())
    def model_raises(self, data):
        replica, batch = self._finish(data)
        self.may_fail.update((replica.replica.model_id, payload) for payload in batch)
        self.bench.pool.batch_failed(replica.replica, ErrorResponse(0, "E", "m", ""))

    @precondition(lambda self: self.replicas)
    @rule(data=st.data())
    def replica_is_lost(self, data):
        replica = data.draw(st.sampled_from(self.replicas))
        self.replicas.remove(replica)
        self.may_fail.update((replica.replica.model_id, payload) for payload in replica.batch or ())
        self.bench.pool.replica_lost(replica.replica)

    @precondition(lambda self: self.replicas)
    @rule(data=st.data())
    def replica_drains(self, data):
        replica = data.draw(st.sampled_from(self.replicas))
        self.bench.pool.replica_draining(replica.replica)

    # --- the configuration

    @rule(version=st.sampled_from(["1", "2"]))
    def version_is_removed(self, version):
        model_id = ModelId("digits-net", version)
        self.may_fail.update((model_id, b"%d" % number) for number in range(5))
        versions = {key: value for key, value in self.configuration.versions.items() if key != model_id}
        current = self.configuration.current_versions
        self._apply(versions=versions, current_versions={} if current.get("digits-net") == version else current)

    @rule(version=st.sampled_from(["1", "2"]))
    def version_is_registered(self, version):
        record = make_version(version=version, batch_size=2, registered_at=float(next(self.registrations)))
        if record.model_id not in self.configuration.versions:
            versions = {**self.configuration.versions, record.model_id: record}
            self._apply(versions=versions, current_versions={"digits-net": version})

    # --- time

    @rule()
    def turn_ends(self):
        self.loop.end_turn()

    @rule(seconds=st.sampled_from([0.005, 0.03, 0.5]))
    def time_passes(self, seconds):
        self.loop.advance(seconds)

    @invariant()
    def nobody_waits_beyond_the_slo(self):
        assert all(slo_end_s > self.loop.time() for _, _, slo_end_s in self.waiting.values())

    @invariant()
    def cache_keeps_its_size(self):
        assert self.bench.cache.size_bytes <= 1500

    def teardown(self):
        self.loop.advance(10.0)
        assert not self.waiting

    # --- behind the rules

    def _check(self, query):
        model_id, payload, slo_end_s = self.waiting.pop(query)
        assert self.loop.time() <= slo_end_s, "answered after the SLO"
        if query.reason is None:
            assert query.output == output_of(model_id, payload), "the answer of another query"
        elif query.reason == "model_error":
            assert (model_id, payload) in self.may_fail, "a model error where no model failed"
        else:
            assert query.reason in DEFAULT_REASONS
            assert query.reason != "not_linked"

    def _finish(self, data):
        replica = data.draw(st.sampled_from(self._busy()))
        batch, replica.batch = replica.batch, None
        return replica, batch

    def _busy(self):
        return [replica for replica in self.replicas if replica.batch is not None]

    def _apply(self, **changes):
        self.configuration = replace(self.configuration, revision=self.configuration.revision + 1, **changes)
        self.bench.predictor.apply(self.configuration)


TestEveryQueryGetsItsOwnAnswer = EveryQueryGetsItsOwnAnswer.TestCase
TestEveryQueryGetsItsOwnAnswer.settings = examples(80, stateful_step_count=50)
