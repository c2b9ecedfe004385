"""Who may ask the frontends of a running cluster: names in ``Host``, and pages of other servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import running_cluster
from tests.support.doors import ask

pytestmark = [pytest.mark.cluster, pytest.mark.also_on_docker, pytest.mark.also_on_kubernetes]

PAGE = "https://app.example.org"


@pytest.fixture(scope="module")
def conn(kind: str) -> Iterator[ClipperConnection]:
    with running_cluster(kind, allowed_hosts=["models.example.org"], allow_origins=[PAGE]) as conn:
        create_endpoint(conn, "app", "doubles", lambda xs: [x.sum() for x in xs])
        yield conn


PATHS = [
    ("query", "POST", "/app/predict"),
    ("query", "GET", "/metrics"),
    ("query", "GET", "/readyz"),
    ("query", "GET", "/livez"),
    ("admin", "GET", "/metrics"),
    ("admin", "POST", "/admin/get_all_models"),
]


@pytest.mark.parametrize(("frontend", "method", "path"), PATHS)
def test_strange_names_and_pages_get_nothing(conn: ClipperConnection, frontend: str, method: str, path: str) -> None:
    address = getattr(conn.cm, f"get_{frontend}_addr")()
    port = address.split(":")[1]
    assert ask(address, method, path, Host=f"evil.example:{port}").status == 421
    assert ask(address, method, path, Origin="http://evil.example").status == 403
    known = ask(address, method, path, Host=f"models.example.org:{port}")
    assert known.status in (200, 401)
    assert known.getheader("X-Content-Type-Options") == "nosniff"


def test_allowed_page_asks_applications(conn: ClipperConnection) -> None:
    preflight = ask(conn.get_query_addr(), "OPTIONS", "/app/predict", Origin=PAGE)
    assert (preflight.status, preflight.getheader("Access-Control-Allow-Origin")) == (204, PAGE)
    reply = ask(conn.get_query_addr(), "POST", "/app/predict", Origin=PAGE)
    assert (reply.status, reply.getheader("Access-Control-Allow-Origin")) == (200, PAGE)
    assert ask(conn.get_admin_addr(), "OPTIONS", "/admin/get_all_models", Origin=PAGE).status == 403


def test_names_that_the_cluster_gives_are_known(conn: ClipperConnection, kind: str) -> None:
    """Those of Docker's network are asked by containers beside the cluster, a Service's by pods."""
    names = ["localhost", "127.0.0.1"]
    if kind == "docker":
        names += [f"{conn.cm.cluster_name}-query_frontend-0", "query_frontend-0", "host.docker.internal"]
    if kind == "kubernetes":
        service = f"query-frontend-at-{conn.cm.cluster_name}"
        names = [service, f"{service}.{conn.cm.namespace}.svc", conn.get_query_addr().split(":")[0]]
    assert [ask(conn.get_query_addr(), "POST", "/app/predict", Host=f"{name}:1337").status for name in names] == [
        200 for _ in names
    ]
