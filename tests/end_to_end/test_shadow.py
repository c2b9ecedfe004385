"""A shadow: asked with the same inputs, seen in its report, and never in a reply."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from clipper_nb import ClipperConnection, InvalidRequestError, NotFoundError
from clipper_nb.deployers.python import deploy_python_closure
from tests.support.clusters import eventually, running_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker]

SLO_MICROS = 2_000_000
TIMEOUT_S = 40.0


@pytest.fixture(scope="module")
def conn(kind: str) -> Iterator[ClipperConnection]:
    """Two query frontends, and version 1 of a model, which answers; others are shadows."""
    with running_cluster(kind, num_frontend_replicas=2) as conn:
        conn.register_application("app", "doubles", "default", SLO_MICROS)
        deploy_python_closure(conn, "m", 1, "doubles", lambda xs: [x.sum() for x in xs])
        conn.set_traffic("app", {"m:1": 1})
        yield conn


def _deploy(conn: ClipperConnection, version: int, function: Any) -> None:
    deploy_python_closure(conn, "m", version, "doubles", function)


def _report(conn: ClipperConnection, num_done: int) -> Any:
    """Return the report, once so many queries were compared, dropped or failed."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while True:
        report = conn.shadow_report("app")
        sums = report.attrs
        done = sums["num_compared"] + sums["num_dropped"] + sum(sums["num_failed"].values())
        if done >= num_done or time.monotonic() > deadline_s:
            return report
        time.sleep(0.05)


def test_report_compares_both_answers(conn: ClipperConnection) -> None:
    """Version 2 rounds otherwise, which is no difference, and is wrong above 10, which is one."""
    _deploy(conn, 2, lambda xs: [x.sum() * (1 + 1e-12) if x.sum() < 10 else -1.0 for x in xs])
    conn.shadow("app", "m:2")
    answers = [conn.predict("app", [float(number)]) for number in range(20)]
    assert [answer.output for answer in answers] == [float(number) for number in range(20)]
    assert {answer.model for answer in answers} == {"m:1"}
    report = _report(conn, 20)
    assert report.attrs["num_asked"] == report.attrs["num_compared"] == 20
    assert report.attrs["agreement"] == 0.5
    assert report.attrs["mean_shadow_latency_ms"] > 0
    assert sorted(report.loc[~report["agrees"].astype(bool), "input"].str[0]) == [float(n) for n in range(10, 20)]
    assert set(report["shadow_output"][~report["agrees"].astype(bool)]) == {"-1.0"}
    conn.shadow("app", None)
    with pytest.raises(NotFoundError, match="Application 'app' has no shadow"):
        conn.shadow_report("app")


def test_shadow_is_in_no_count_of_the_application(conn: ClipperConnection) -> None:
    """Repeated inputs are found in the cache, whose hits and misses are those of the replies alone."""
    _deploy(conn, 3, lambda xs: [0.0 for _ in xs])
    conn.shadow("app", "m:3", share=1.0)
    for _ in range(3):
        conn.predict("app", [99.0])
    assert _report(conn, 3).attrs["num_agreed"] == 0
    history = conn.why(conn.predict("app", [99.0]))
    assert history.is_from_cache
    conn.shadow("app", None)


def test_shadow_that_ends_its_replica_harms_nothing(conn: ClipperConnection) -> None:
    def end(xs: Any) -> Any:
        import os

        os._exit(3)

    _deploy(conn, 4, lambda xs: [1.0 for _ in xs] if xs[0].sum() < 1000 else end(xs))
    conn.shadow("app", "m:4")
    answers = [conn.predict("app", [float(number)]) for number in range(1000, 1010)]
    assert [answer.output for answer in answers] == [float(number) for number in range(1000, 1010)]
    report = _report(conn, 10)
    assert report.attrs["num_compared"] == 0
    assert report.attrs["num_dropped"] + sum(report.attrs["num_failed"].values()) == 10
    conn.stop_versioned_models({"m": [4]})
    with pytest.raises(NotFoundError, match="has no shadow"):
        conn.shadow_report("app")


def test_shadow_that_hangs_harms_nothing(conn: ClipperConnection) -> None:
    def hang(xs: Any) -> Any:
        import time

        time.sleep(10)

    _deploy(conn, 5, lambda xs: [1.0 for _ in xs] if xs[0].sum() < 1000 else hang(xs))
    conn.shadow("app", "m:5")
    started_s = time.monotonic()
    answers = [conn.predict("app", [2000.0 + number]) for number in range(50)]
    assert [answer.output for answer in answers] == [2000.0 + number for number in range(50)]
    eventually(lambda: conn.shadow_report("app").attrs["num_asked"] == 50, within_s=5, what="both have said so")
    assert conn.shadow_report("app").attrs["num_compared"] == 0
    assert time.monotonic() - started_s < 10, "no reply waited for the shadow"
    conn.shadow("app", None)


def test_share_chooses_queries_at_random(conn: ClipperConnection) -> None:
    conn.shadow("app", "m:3", share=0.5)
    for number in range(100):
        conn.predict("app", [3000.0 + number])
    assert 20 < _report(conn, 21).attrs["num_asked"] < 80  # by chance it is not in one of 10^8 runs
    conn.shadow("app", None)


def test_careless_shadows_are_refused(conn: ClipperConnection) -> None:
    with pytest.raises(
        InvalidRequestError, match="m:1 answers queries of application 'app', whose traffic is m:1 100 %"
    ):
        conn.shadow("app", "m:1")
    with pytest.raises(NotFoundError, match="version '9'"):
        conn.shadow("app", "m:9")
    with pytest.raises(InvalidRequestError, match="shadow\\(\\) needs a version"):
        conn.shadow("app", "m")
    with pytest.raises(InvalidRequestError, match="share must be a number above 0"):
        conn.shadow("app", "m:3", share=0)
