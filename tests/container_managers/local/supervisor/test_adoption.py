"""A supervisor that follows one that was killed takes over what ran."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from clipper_nb.container_managers.local.process_table import this_machine
from clipper_nb.container_managers.local.supervisor.adoption import (
    AdoptedProcess,
    Supervised,
    decode_supervised,
)
from clipper_nb.container_managers.local.supervisor.launching import (
    UNKNOWN_STATUS,
    can_watch_forked_processes,
)
from clipper_nb.protocol.cluster_record import ProcessIdentity
from clipper_nb.protocol.containers import REPLICA, ContainerSpec

pytestmark = pytest.mark.skipif(not can_watch_forked_processes(), reason="needs a kernel with pidfds")

SPEC = ContainerSpec("m_1-a", REPLICA, ("python",), {"WORD": "x"}, model="m:1", image="m:1")


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits until it is ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as started:
        yield started
        started.kill()


def _identity(process: subprocess.Popen[bytes]) -> ProcessIdentity:
    entry = this_machine().read(process.pid)
    assert entry is not None
    return entry.identity


def test_what_is_written_down_comes_back(process: subprocess.Popen[bytes]) -> None:
    supervised = [Supervised(SPEC, 3, _identity(process)), Supervised(SPEC)]
    assert decode_supervised(json.loads(json.dumps(supervised, default=vars))) == supervised


def test_adopted_process_is_signalled_and_waited_for(process: subprocess.Popen[bytes]) -> None:
    async def run() -> int:
        adopted = AdoptedProcess(_identity(process), this_machine())
        assert adopted.pid == process.pid
        adopted.send_signal(9)
        return await asyncio.wait_for(adopted.wait(), 20)

    assert asyncio.run(run()) == UNKNOWN_STATUS
    assert process.wait() == -9


def test_another_process_with_the_id_is_left_alone(process: subprocess.Popen[bytes]) -> None:
    async def run() -> int:
        adopted = AdoptedProcess(ProcessIdentity(process.pid, "earlier"), this_machine())
        adopted.send_signal(9)
        return await adopted.wait()

    assert asyncio.run(run()) == UNKNOWN_STATUS
    assert process.poll() is None
