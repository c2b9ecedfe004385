"""The clusters whose listeners are asked, and what there is to ask of each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.container_managers.docker.rpc_folder import SOCKET
from clipper_nb.deployers.python import create_endpoint
from tests.end_to_end.strangers import callers
from tests.end_to_end.strangers.callers import Ask
from tests.end_to_end.strangers.probes import Probe, http_probe
from tests.support.clusters import new_cluster_name, running_cluster
from tests.support.docker_clusters import container_of

_GREETING = bytes([0xFF, *bytes(8), 0x7F, 3, 0]) + b"NULL".ljust(20, b"\0") + bytes(32)
"""How ZeroMQ's protocol begins."""


@contextlib.contextmanager
def embedded_cluster(*, query_token: bool, tls: bool = False) -> Iterator[ClipperConnection]:
    """Give an embedded cluster with an application, started as most are."""
    manager = LocalContainerManager(new_cluster_name(), clipper_query_port=0, clipper_management_port=0)
    with running_cluster(manager=manager, query_token=query_token, tls=tls, cache_size=0) as conn:
        create_endpoint(conn, "app", "doubles", lambda inputs: [7.0 for _ in inputs], slo_micros=20_000_000)
        yield conn


@contextlib.contextmanager
def docker_cluster() -> Iterator[ClipperConnection]:
    """Give a cluster on Docker with an application, started as most are."""
    with running_cluster("docker", cache_size=0) as conn:
        create_endpoint(conn, "app", "doubles", lambda inputs: [7.0 for _ in inputs], slo_micros=20_000_000)
        yield conn


def embedded_probes(conn: ClipperConnection) -> list[Probe]:
    """Return what can be asked of an embedded cluster; its folder has the sockets."""
    folder = conn.cm._folder  # type: ignore[attr-defined]
    return [
        *_frontend_probes(conn),
        _admin_call("an admin call, over a Unix socket", str(folder.admin_socket_path)),
        Probe("queries of a model, over the RPC port", f"127.0.0.1:{conn.cm.clipper_rpc_port}", _GREETING),
        Probe("queries of a model, over a Unix socket", str(folder.rpc_socket_path), _GREETING),
        Probe("the configuration in Redis", str(folder.redis_socket_path), b"PING\r\n"),
        Probe("the supervisor", str(folder.control_socket_path), b'{"command":"observe"}\n'),
    ]


def docker_probes(conn: ClipperConnection) -> list[Probe]:
    """Return what can be asked of a cluster on Docker: over ports of this machine, and in the cluster's networks."""
    query, admin = (f"{role}-0" for role in ("query_frontend", "management_frontend"))
    rpc, redis = (_address_of(conn, role) for role in ("query_frontend", "redis"))
    return [
        *_frontend_probes(conn, inside=(f"{query}:1337", f"{admin}:1338")),
        _admin_call("an admin call, over a Unix socket", conn.cm.get_admin_endpoint().removeprefix("unix:")),
        Probe("queries of a model, over the RPC port", f"127.0.0.1:{conn.cm.clipper_rpc_port}", _GREETING,
              inside=f"{query}:7000"),
        Probe("queries of a model, in the models' network", f"{rpc}:7000", _GREETING),
        Probe("queries of a model, over a Unix socket", "/nowhere", _GREETING, inside=SOCKET),
        Probe("the configuration in Redis", f"{redis}:6379", b"PING\r\n", inside="redis-0:6379"),
    ]  # fmt: skip


def callers_of(conn: ClipperConnection) -> dict[str, Ask]:
    """Return those who may ask an embedded cluster, by what the document calls them."""
    return {**_outside(), "model code": callers.model(conn, "prober")}


def tls_probes(conn: ClipperConnection) -> list[Probe]:
    """Return what can be asked of both frontends over a network."""
    metrics = http_probe("metrics of the management frontend", conn.cm.get_admin_addr(), "GET /metrics")
    return [*_frontend_probes(conn), metrics]


def clients_of(conn: ClipperConnection) -> dict[str, Ask]:
    """Return the clients of a cluster with TLS: with its authority, without, and those that encrypt nothing."""
    return {
        "a client with `get_tls_authority()`": callers.by_tls(conn.get_tls_authority()),
        "a client with this machine's authorities": callers.by_tls(None),
        "a client without TLS": callers.same_user,
    }


def callers_of_docker(conn: ClipperConnection) -> dict[str, Ask]:
    """Return those who may ask a cluster on Docker."""
    return {
        **_outside(),
        "model code": callers.model(conn, "prober"),
        "model code with `network_access=True`": callers.model(conn, "prober-with-network", network_access=True),
    }


def _outside() -> dict[str, Ask]:
    return {
        "another process of this user": callers.same_user,
        "another user": callers.another_user,
        "a page in the browser": callers.page,
        "a page that took this machine's name": callers.page_that_renamed,
    }


def _frontend_probes(conn: ClipperConnection, inside: tuple[str, str] = ("", "")) -> list[Probe]:
    query, admin = conn.get_query_addr(), conn.cm.get_admin_addr()
    return [
        http_probe("predict", query, "POST /app/predict", b'{"input": [1.0]}', inside=inside[0]),
        http_probe("metrics", query, "GET /metrics", inside=inside[0]),
        http_probe("whether it lives", query, "GET /livez", inside=inside[0]),
        replace(_admin_call("an admin call", admin), inside=inside[1]),
    ]


def _admin_call(what: str, address: str) -> Probe:
    return http_probe(what, address, "POST /admin/get_all_models", b"{}")


def _address_of(conn: ClipperConnection, role: str) -> str:
    networks = container_of(conn, role).attrs["NetworkSettings"]["Networks"]
    return str(next(iter(networks.values()))["IPAddress"])
