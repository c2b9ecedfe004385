"""The tables of ``docs/security.md`` by their names; each starts a cluster of its own, and asks it."""

from __future__ import annotations

from tests.end_to_end.strangers.clusters import (
    callers_of,
    callers_of_docker,
    clients_of,
    docker_cluster,
    docker_probes,
    embedded_cluster,
    embedded_probes,
    tls_probes,
)
from tests.end_to_end.strangers.table import make_table

DOCKER = "Docker"
TLS = "with TLS"
EMBEDDED = ("embedded", "embedded, with a query token", TLS)
TABLES = (*EMBEDDED, DOCKER)


def table_of(name: str) -> str:
    """Start the cluster of a table, and return what everybody got there."""
    if name == DOCKER:
        with docker_cluster() as conn:
            return make_table(docker_probes(conn), callers_of_docker(conn))
    if name == TLS:
        with embedded_cluster(query_token=False, tls=True) as conn:
            return make_table(tls_probes(conn), clients_of(conn))
    with embedded_cluster(query_token="token" in name) as conn:
        return make_table(embedded_probes(conn), callers_of(conn))
