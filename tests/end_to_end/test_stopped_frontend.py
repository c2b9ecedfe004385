"""A query frontend that stood still answers nothing from the configuration of before."""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.support.clusters import pid_of, running_cluster

pytestmark = pytest.mark.cluster


@contextmanager
def _standing_still(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _connect(conn: ClipperConnection) -> http.client.HTTPConnection:
    host, port = conn.get_query_addr().split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    connection.connect()
    return connection


def _send(connection: http.client.HTTPConnection, value: int) -> None:
    connection.request("POST", "/app/predict", json.dumps({"input": [value]}))


def test_queries_after_a_switch_get_the_new_version() -> None:
    """The switch is confirmed without the frontend, which counts as dead; its sockets take queries all the time."""
    with running_cluster("local") as conn, ExitStack() as stack:
        create_endpoint(conn, "app", "ints", lambda xs: ["old" for _ in xs], slo_micros=5_000_000)
        deploy_python_closure(conn, "app", 2, "ints", lambda xs: ["new" for _ in xs])
        conn.set_model_version("app", 1)
        connections = [stack.enter_context(closing(_connect(conn))) for _ in range(15)]
        for connection in connections:
            _send(connection, 0)
            assert json.load(connection.getresponse())["output"] == "old"
        with _standing_still(pid_of(conn, "query_frontend")):
            conn.set_model_version("app", 2)
            connections += [stack.enter_context(closing(_connect(conn))) for _ in range(15)]
            for value, connection in enumerate(connections, start=1):
                _send(connection, value)
        answers = Counter(json.load(connection.getresponse())["output"] for connection in connections)
        assert answers == {"new": 30}
        conn.set_model_version("app", 1)  # which waits for the frontend again
        _send(connections[0], 99)
        assert json.load(connections[0].getresponse())["output"] == "old"
