"""Limits on replicas of the embedded cluster: what they hold, and what ``doctor()`` says of the others."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import pytest

from clipper_nb import ClipperConnection, ResourceLimits
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import eventually, observe, running_cluster

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there are no limits"),
]

SLO_MICROS = 20_000_000


@pytest.fixture(scope="module")
def conn() -> Any:
    with running_cluster() as conn:
        yield conn


def grow() -> None:
    """Take a gigabyte, and keep it for as long as a query may take."""
    kept = [bytearray(b"x" * (1 << 20)) for _ in range(1024)]
    time.sleep(len(kept) / 50)


def obey(inputs: list[str]) -> list[Any]:
    """Do what the input says, here or in a child process."""
    order = inputs[0]
    if order == "grow":
        grow()
    if order == "let a child grow":
        pid = os.fork()
        if pid == 0:
            grow()
            os._exit(0)
        os.waitpid(pid, 0)
    return [[os.getpid(), sorted(os.sched_getaffinity(0))]]


@pytest.mark.parametrize("order", ["grow", "let a child grow"])
def test_replica_that_eats_memory_is_ended_and_starts_again(conn: ClipperConnection, order: str) -> None:
    name = order.replace(" ", "-")
    create_endpoint(
        conn, name, "strings", obey, slo_micros=SLO_MICROS, batch_size=1, num_replicas=2,
        limits=ResourceLimits(memory="256m"),
    )  # fmt: skip
    assert not any(replica.num_exits for replica in observe(conn, "replica"))
    answer = conn.predict(name, order)
    assert answer.reason == "model_error"  # two replicas ended with it
    eventually(
        lambda: [each.was_out_of_memory for each in observe(conn, "replica")] == [True, True],
        within_s=20, what="both have ended",
    )  # fmt: skip
    log = conn.cm.get_log_tail(observe(conn, "replica")[0].name)
    assert "MiB of memory, and its limit is 256 MiB" in log
    eventually(lambda: conn.predict(name, "").reason is None, within_s=20, what="replicas run again")
    assert "last at its memory limit" in str(conn.doctor())
    conn.stop_models([name])


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core is no limit where there is only one")
def test_replicas_are_held_to_cores_and_doctor_names_the_rest(conn: ClipperConnection) -> None:
    create_endpoint(
        conn, "pinned", "strings", obey, slo_micros=SLO_MICROS, batch_size=1, num_replicas=2,
        limits=ResourceLimits(cpus=0.5, processes=64),
    )  # fmt: skip
    pids = [replica.pid for replica in observe(conn, "replica") if replica.pid and replica.model == "pinned:1"]
    cores = [sorted(os.sched_getaffinity(pid)) for pid in pids]
    assert [len(each) for each in cores] == [1, 1]
    assert cores[0] != cores[1]
    pid, own = conn.predict("pinned", "").output
    assert own in cores
    assert pid in pids
    found = next(finding for finding in conn.doctor().findings if finding.subject == "Limits")
    assert "pinned:1: cpus=0.5 is held to 1 whole core" in found.found
    assert "pinned:1: processes=64 is not enforced" in found.found
    conn.stop_models(["pinned"])
    create_endpoint(conn, "free", "strings", obey, slo_micros=SLO_MICROS)
    assert conn.predict("free", "").output[1] == sorted(os.sched_getaffinity(0))
