"""The first frontends of an embedded cluster are copies of one process, and share nothing but memory."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import psutil
import pytest

from clipper_nb import ClipperConnection
from tests.support.clusters import eventually, observe, running_cluster

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has descriptors of processes"),
]

ROLES = ("management_frontend", "query_frontend")


@pytest.fixture(scope="module")
def conn() -> Iterator[ClipperConnection]:
    with running_cluster() as running:
        yield running


def running_pid(conn: ClipperConnection, role: str) -> int | None:
    """Return the process of a frontend; ``None`` while it is started again."""
    return next((each.pid for each in observe(conn, role) if each.is_running), None)


def ports_of(process: psutil.Process) -> set[int]:
    return {each.laddr.port for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN}


def test_frontends_share_memory_and_nothing_else(conn):
    management_frontend, query_frontend = (psutil.Process(running_pid(conn, role)) for role in ROLES)
    assert "started as a program" not in conn.cm._folder.supervisor_log_path.read_text()
    for role, process in zip(ROLES, (management_frontend, query_frontend), strict=True):
        assert process.cmdline()[1:3] == ["-m", f"clipper_nb.runtime.{role}"]
        assert os.getsid(process.pid) == process.pid
        memory = process.memory_full_info()
        assert memory.uss < 0.5 * memory.rss, "two programs share the third that is libraries"
    assert ports_of(management_frontend) == {conn.cm.clipper_management_port}
    assert ports_of(query_frontend) == {conn.cm.clipper_query_port, conn.cm.clipper_rpc_port}


@pytest.mark.parametrize("role", ROLES)
def test_frontend_that_was_killed_comes_back_as_a_program(conn, role):
    before = {each: running_pid(conn, each) for each in ROLES}
    os.kill(before[role], signal.SIGKILL)
    eventually(lambda: running_pid(conn, role) not in (None, before[role]), within_s=20, what="it is back")
    conn.register_application(f"after-{role.replace('_', '-')}", "doubles", "x", 100_000)
    after = {each: running_pid(conn, each) for each in ROLES}
    assert {each for each in ROLES if before[each] != after[each]} == {role}
    assert psutil.Process(after[role]).cmdline()[1:] == ["-m", f"clipper_nb.runtime.{role}"]
