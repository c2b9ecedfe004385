"""A version's share is raised step by step, and given up by itself, whatever is killed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from clipper_nb import (
    ClipperConnection,
    ClusterUnreachableError,
    ExistsError,
    InvalidRequestError,
    NotFoundError,
    StateUnavailableError,
)
from clipper_nb.cluster.roll_outs import RollOutHandle
from clipper_nb.deployers.python import deploy_python_closure
from clipper_nb.errors import RollOutTimeoutError
from tests.support.clusters import eventually, kill, running_cluster
from tests.support.load import Load

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker]

SLO_MICROS = 5_000_000
PINNED = {"m:1": 1.0}


@pytest.fixture(scope="module")
def conn(kind: str) -> Iterator[ClipperConnection]:
    """Version 1 of a model answers; 2 is equal, 3 raises on every 20th input."""
    with running_cluster(kind, num_frontend_replicas=2) as conn:
        conn.register_application("app", "doubles", "default", SLO_MICROS)
        for version in (1, 2):
            deploy_python_closure(conn, "m", version, "doubles", lambda xs: [x.sum() for x in xs])
            conn.set_traffic("app", PINNED)

        def fail(xs: list) -> list:
            if any(x.sum() % 20 == 0 for x in xs):
                raise ValueError("every twentieth")
            return [x.sum() for x in xs]

        deploy_python_closure(conn, "m", 3, "doubles", fail)
        yield conn


def test_equal_version_gets_all_queries(conn: ClipperConnection) -> None:
    conn.set_traffic("app", PINNED)
    with Load(conn.get_query_addr(), "app", num_clients=4):
        rolling = conn.roll_out("app", "m:2", steps=(20, 50, 100), step_s=1.5, min_queries=20)
        assert "20 % → 50 % → 100 %" in rolling.plan
        assert rolling.status == "running"
        with pytest.raises(ExistsError, match="A roll-out of m:2 sets the traffic of application 'app'"):
            conn.set_traffic("app", PINNED)
        with pytest.raises(ExistsError, match="has a roll-out under way: m:2 at"):
            conn.roll_out("app", "m:3")
        with pytest.raises(RollOutTimeoutError, match="still under way, and it goes on"):
            rolling.wait(0.01)

        async def end() -> str:
            return (await asyncio.wait_for(_ended(rolling), 60)).status

        assert asyncio.run(end()) == "promoted"
    assert conn.get_traffic("app").shares == {"m:2": 1.0}
    assert [event.text for event in rolling.events] == [
        "m:2 gets 20 %", "m:2 gets 50 %", "m:2 gets 100 %: it was not worse at any step"
    ]  # fmt: skip
    assert rolling.info.candidate.num_queries >= 40
    assert list(conn.roll_outs) == ["app"]
    assert "promoted" in repr(conn.roll_outs["app"])


async def _ended(rolling: object) -> object:
    return await rolling


def _has_moved(rolling: RollOutHandle, num_events: int) -> bool:
    try:
        info = rolling.info
    except (ClusterUnreachableError, StateUnavailableError):  # what was killed is not back
        return False
    return len(info.events) > num_events or info.status == "promoted"


def test_worse_version_is_rolled_back_by_itself(conn: ClipperConnection) -> None:
    conn.set_traffic("app", PINNED)
    with Load(conn.get_query_addr(), "app", num_clients=4, max_s=60):
        info = conn.roll_out("app", "m:3", steps=(50, 100), step_s=30).wait(40)
    assert info.status == "rolled_back"
    assert "m:3 is worse" in info.reason
    assert "are default outputs, and 0 % of the" in info.reason
    assert conn.get_traffic("app").shares == PINNED
    with pytest.raises(NotFoundError, match="has ended: rolled_back"):
        conn.roll_outs["app"].promote()


def test_roll_out_survives_kills_of_all_frontends_and_redis(conn: ClipperConnection) -> None:
    conn.set_traffic("app", PINNED)
    with Load(conn.get_query_addr(), "app", num_clients=4, max_s=90, retries=True) as load:
        rolling = conn.roll_out("app", "m:2", steps=(10, 30, 60, 100), step_s=2, min_queries=20)
        for role in ("management_frontend", "query_frontend", "redis"):
            num_events = len(rolling.events)
            kill(conn, role)
            eventually(lambda seen=num_events: _has_moved(rolling, seen), within_s=40, what="the next step")
        info = rolling.wait(60)
    assert info.status == "promoted"
    assert [event.text for event in info.events][:2] == ["m:2 gets 10 %", "m:2 gets 30 %"]
    assert {reply.status for reply in load.replies} <= {0, 200}
    assert [reply for reply in load.replies if reply.status == 200 and reply.body["default"]] == []


def test_user_ends_it(conn: ClipperConnection) -> None:
    """Without queries it pauses, and goes on by itself when they come; both calls end it at once."""
    conn.set_traffic("app", PINNED)
    rolling = conn.roll_out("app", "m:2", steps=(30, 100), step_s=0.5, min_queries=5, patience_s=0.6)
    eventually(lambda: rolling.status == "paused", within_s=30, what="the pause")
    assert "a step needs 5" in rolling.info.reason
    rolling.abort()
    assert (rolling.status, conn.get_traffic("app").shares) == ("aborted", PINNED)
    conn.roll_out("app", "m:2", steps=(30, 100), step_s=60).promote()
    assert conn.get_traffic("app").shares == {"m:2": 1.0}


def test_version_that_goes_ends_it(conn: ClipperConnection) -> None:
    conn.set_traffic("app", PINNED)
    deploy_python_closure(conn, "m", 4, "doubles", lambda xs: [x.sum() for x in xs])
    rolling = conn.roll_out("app", "m:4", steps=(30, 100), step_s=60)
    conn.stop_versioned_models({"m": [4]})
    assert rolling.wait(30).status == "ended"
    assert conn.get_traffic("app").shares == PINNED


def test_careless_roll_outs_are_refused(conn: ClipperConnection) -> None:
    conn.set_traffic("app", PINNED)
    with pytest.raises(InvalidRequestError, match="m:1 answers all queries of application 'app' already"):
        conn.roll_out("app", "m:1")
    with pytest.raises(NotFoundError, match="version '9'"):
        conn.roll_out("app", "m:9")
    with pytest.raises(InvalidRequestError, match="per cents that rise to 100"):
        conn.roll_out("app", "m:2", steps=(10, 5, 100))
    with pytest.raises(InvalidRequestError, match="step_s must be a number of seconds above 0"):
        conn.roll_out("app", "m:2", step_s=0)
    conn.set_num_replicas("m", 0, 2)
    with pytest.raises(InvalidRequestError, match="m:2 has no connected replica"):
        conn.roll_out("app", "m:2")
