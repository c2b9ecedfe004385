"""Embedded clusters for tests: each with a name of its own, and proof that nothing of it stays."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.protocol.environment import CLUSTER_FOLDER


def new_cluster_name() -> str:
    """Return a name that no other test uses."""
    return f"test-{uuid.uuid4().hex[:8]}"


@contextlib.contextmanager
def running_cluster(**start_options: Any) -> Iterator[ClipperConnection]:
    """Give a connection to a fresh cluster, and see afterwards that no process or file of it is left."""
    manager = LocalContainerManager(
        new_cluster_name(), clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0
    )
    conn = ClipperConnection(manager)
    conn.start_clipper(**start_options)
    try:
        yield conn
    finally:
        conn.stop_all()
        assert leftovers(manager) == []


def leftovers(manager: LocalContainerManager) -> list[str]:
    """Return what is left of a cluster: command lines of processes, and its folder."""
    folder = manager._folder.path
    found = [str(folder)] if folder.exists() else []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(CLUSTER_FOLDER) == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
    return found


def pid_of(conn: ClipperConnection, role: str) -> int:
    """Return the process that runs now in *role*."""
    manager = conn.cm
    assert isinstance(manager, LocalContainerManager)
    pids = [container.pid for container in manager._observe() if container.role == role and container.pid]
    return pids[0]


def kill(conn: ClipperConnection, role: str) -> int:
    """Kill the process in *role* with SIGKILL, and return its process id."""
    pid = pid_of(conn, role)
    os.kill(pid, signal.SIGKILL)
    return pid


def eventually(is_true: Callable[[], Any], *, within_s: float, what: str) -> float:
    """Wait for something that happens by itself; return how many seconds it took."""
    started_s = time.monotonic()
    while not is_true():
        waited_s = time.monotonic() - started_s
        assert waited_s < within_s, f"{what}: not within {within_s} s"
        time.sleep(0.01)
    return time.monotonic() - started_s


def http_request(
    address: str,
    method: str,
    path: str,
    body: bytes | str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    """Return status and parsed JSON (or text) of one plain HTTP request on a connection of its own."""
    host, port = address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        reply = connection.getresponse()
        text = reply.read()
    finally:
        connection.close()
    try:
        return reply.status, json.loads(text)
    except ValueError:
        return reply.status, text.decode()


def query(conn: ClipperConnection, application: str, body: Any) -> tuple[int, Any]:
    """Send one predict request as any client would."""
    return http_request(conn.get_query_addr(), "POST", f"/{application}/predict", json.dumps(body))
