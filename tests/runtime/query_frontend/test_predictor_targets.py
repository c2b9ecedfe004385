"""Queries of an application with several targets are divided among them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.request_origin import RequestOrigin
from clipper_nb.protocol.route import make_route
from clipper_nb.runtime.routing.asked_version import UnknownVersionError
from tests.support.predictor_bench import LINKED, OTHER_ID, Bench, outcomes
from tests.support.records import make_version

KEYS = [b"%d" % number for number in range(300)]


def divided(**weights):
    """Return a configuration of two versions with weights for ``v1``, ``v2`` and ``current``, which is version 2."""
    targets = {"v1": "digits-net:1", "v2": "digits-net:2", "current": "digits-net"}
    route = make_route({targets[name]: weight for name, weight in weights.items()})
    version = make_version(version="2", registered_at=2.0)
    return replace(LINKED, revision=2, routes={"digits": route},
                   versions={**LINKED.versions, OTHER_ID: version}, current_versions={"digits-net": "2"})  # fmt: skip


def targets_of(bench, keys, **asked):
    served = bench.predictor.find_application("digits")
    return [bench.predictor.find_target(served, asked.get("version"), key).model_id.version for key in keys]


def bench_of_two(**weights):
    bench = Bench(divided(**weights))
    return bench, bench.join(), bench.join(OTHER_ID)


def test_each_query_has_one_of_the_targets():
    bench, first, second = bench_of_two(v1=1, v2=1)
    queries = [bench.ask(b"%d" % number)[0] for number in range(40)]
    assert len(first.batches) > 0
    assert len(second.batches) > 0
    for replica in (first, second):
        while replica.batches:
            bench.answer(replica, *(bytes(payload).decode() for payload in replica.batches.pop(0)))
    assert outcomes(queries) == [str(number) for number in range(40)]


def test_key_decides_in_body_before_header():
    bench, *_ = bench_of_two(v1=1, v2=1)
    served = bench.predictor.find_application("digits")
    by_key = dict(zip(KEYS, targets_of(bench, KEYS), strict=True))
    assert {*by_key.values()} == {"1", "2"}
    one, two = (next(key for key, version in by_key.items() if version == wanted) for wanted in "12")
    find = bench.predictor.find_target
    assert find(served, None, None, RequestOrigin(key=one)).model_id.version == "1"
    assert find(served, None, two, RequestOrigin(key=one)).model_id.version == "2"
    assert {find(served, None, None, RequestOrigin("id")).model_id.version for _ in range(50)} == {"1", "2"}


def test_target_without_a_replica_is_passed_over():
    bench = Bench(divided(v1=1, v2=1))
    assert {*targets_of(bench, KEYS)} == {"1", "2"}  # none can answer
    assert {query.reason for query in bench.ask(b"x")} == {"no_ready_replica"}
    bench.join(OTHER_ID)
    assert {*targets_of(bench, KEYS)} == {"2"}
    assert bench.predictor.unready_applications() == {}


def test_application_is_unready_when_no_target_has_a_replica():
    bench = Bench(divided(v1=1, current=1))
    assert bench.predictor.unready_reason("digits") == (
        "version '1' of model 'digits-net' has no connected replica; version '2' of model 'digits-net' has no "
        "connected replica"
    )


def test_one_target_needs_no_choice():
    for weights, version in (({"v1": 5}, "1"), ({"current": 5}, "2")):
        bench, *_ = bench_of_two(**weights)
        served = bench.predictor.find_application("digits")
        assert (served.split, served.default_target.model_id.version) == (None, version)
        assert {*targets_of(bench, KEYS)} == {version}


def test_target_of_a_model_follows_its_current_version():
    bench, *_ = bench_of_two(v1=50, current=50)
    assert {*targets_of(bench, KEYS)} == {"1", "2"}
    configuration = bench.predictor.configuration
    bench.predictor.apply(replace(configuration, revision=3, current_versions={"digits-net": "1"}))
    assert {*targets_of(bench, KEYS)} == {"1"}
    bench.predictor.apply(replace(configuration, revision=4, current_versions={}))
    assert {*targets_of(bench, KEYS)} == {"1"}


def test_version_that_is_asked_for_wins():
    bench, *_ = bench_of_two(v1=1)
    assert targets_of(bench, [b"k"], version="2") == targets_of(bench, [b"k"], version="digits-net:2") == ["2"]
    for unknown in ("3", "other:1", "digits-net:", ":1:1"):
        with pytest.raises(UnknownVersionError, match=f"Requested version: {unknown} does not exist for model: digits"):
            targets_of(bench, [b"k"], version=unknown)


def test_version_of_another_input_type_is_refused():
    """It would read the bytes of the inputs as something else, and answer nonsense."""
    doubles = make_version(version="2", input_type=InputType.DOUBLES)
    bench = Bench(replace(LINKED, versions={**LINKED.versions, OTHER_ID: doubles}))
    bench.join(OTHER_ID)
    with pytest.raises(
        UnknownVersionError, match=r"digits-net:2 takes doubles, and application 'digits' takes strings"
    ):
        bench.ask(b"x", version="2")


def test_cached_answer_is_its_versions():
    bench = Bench(divided(v1=1, v2=1), cache_size_bytes=100_000)
    first, second = bench.join(), bench.join(OTHER_ID)
    queries = [bench.ask(b"same")[0] for _ in range(30)]
    bench.answer(first, "of 1")
    bench.answer(second, "of 2")
    assert {*outcomes(queries)} == {"of 1", "of 2"}
    assert [len(replica.batches) for replica in (first, second)] == [1, 1]
    assert {*outcomes([bench.ask(b"same")[0] for _ in range(30)])} == {"of 1", "of 2"}
