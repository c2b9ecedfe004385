"""How often a deploy asks the frontends: every request of it is counted on its way there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.support.clusters import running_cluster
from tests.support.counting_proxy import CountingProxy, counting_proxy

pytestmark = pytest.mark.cluster

OF_A_DEPLOY = {
    "POST /admin/get_deploy_state": 1,
    "POST /admin/claim_version": 1,
    "POST /admin/hold_claim": 1,  # until its replicas are connected
    "POST /admin/add_model": 1,
}


class Watched(LocalContainerManager):
    """A cluster whose frontends are reached through proxies."""

    proxies: tuple[CountingProxy, CountingProxy]

    def get_query_addr(self) -> str:
        return self.proxies[0].address

    def get_admin_addr(self) -> str:
        return self.proxies[1].address

    def get_admin_endpoint(self) -> str:
        return self.get_admin_addr()

    def requests(self) -> Counter[str]:
        """Return what was asked since the last time."""
        seen = Counter(request for proxy in self.proxies for request in proxy.requests)
        for proxy in self.proxies:
            proxy.requests.clear()
        return seen


def without_hold_of_a_long_build(seen: Counter[str]) -> Counter[str]:
    """Return what was asked; the claim is held by one request more when a build takes longer than 0.3 s."""
    if seen["POST /admin/hold_claim"] == 2:
        seen["POST /admin/hold_claim"] = 1
    return seen


@pytest.fixture(scope="module")
def conn() -> Iterator[ClipperConnection]:
    with (
        running_cluster("local") as owner,
        counting_proxy(owner.get_query_addr()) as queries,
        counting_proxy(owner.get_admin_addr()) as admin,
    ):
        manager = Watched(owner.cm.cluster_name)
        manager.proxies = (queries, admin)
        other = ClipperConnection(manager)
        other.connect()
        manager.requests()
        yield other
        other._forget_cluster()


@pytest.mark.parametrize("num_replicas", [1, 3])
def test_a_deploy_makes_at_most_six_requests(conn: ClipperConnection, num_replicas: int) -> None:
    deploy_python_closure(
        conn, f"net-{num_replicas}", 1, "doubles", lambda xs: [1 for _ in xs], num_replicas=num_replicas
    )
    seen = conn.cm.requests()  # type: ignore[attr-defined]
    assert without_hold_of_a_long_build(seen) == OF_A_DEPLOY
    assert seen.total() <= 6


def test_an_endpoint_makes_at_most_eight_requests(conn: ClipperConnection) -> None:
    create_endpoint(conn, "sums", "doubles", lambda xs: [x.sum() for x in xs], slo_micros=5_000_000)
    seen = conn.cm.requests()  # type: ignore[attr-defined]
    assert without_hold_of_a_long_build(seen) == Counter(OF_A_DEPLOY) + Counter(
        ["POST /admin/get_deploy_state", "POST /admin/add_app", "POST /admin/add_model_links"]
    )
    assert seen.total() <= 8
    assert conn.predict("sums", [1.0, 2.0]).output == 3.0


def test_requests_share_connections(conn: ClipperConnection) -> None:
    """The two that are held have one each while they are open."""
    [_, admin] = conn.cm.proxies  # type: ignore[attr-defined]
    before = admin.num_connections
    deploy_python_closure(conn, "kept", 1, "doubles", lambda xs: [1 for _ in xs])
    for _ in range(5):
        conn.get_all_models()
    assert admin.num_connections - before <= 2
    conn.cm.requests()  # type: ignore[attr-defined]


def test_scaling_makes_few_requests_however_long_it_takes(conn: ClipperConnection) -> None:
    deploy_python_closure(conn, "scaled", 1, "doubles", lambda xs: [1 for _ in xs])
    conn.cm.requests()  # type: ignore[attr-defined]
    conn.set_num_replicas("scaled", 3, 1)
    assert conn.cm.requests().total() <= 6  # type: ignore[attr-defined]
