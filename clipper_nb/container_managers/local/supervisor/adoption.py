"""What a supervisor writes down of its processes, and how the next one adopts them if it was killed.

Their parent is the guardian then, so their exit statuses are not known, only that they have ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass

import msgspec

from clipper_nb.container_managers.local.process_table import ProcessTable
from clipper_nb.container_managers.local.supervisor.launching import UNKNOWN_STATUS
from clipper_nb.protocol.cluster_record import ProcessIdentity
from clipper_nb.protocol.containers import ContainerSpec


@dataclass(frozen=True)
class Supervised:
    """A process that should run, and the one that did when this was written."""

    spec: ContainerSpec
    num_exits: int = 0
    process: ProcessIdentity | None = None


def decode_supervised(value: object) -> list[Supervised]:
    """Return the records of which *value* is the JSON; raises ``ValueError`` for anything else."""
    return msgspec.convert(value, list[Supervised])


class AdoptedProcess:
    """A process that another supervisor started; it may have ended since.

    Parameters
    ----------
    identity : ProcessIdentity
    table : ProcessTable
    """

    def __init__(self, identity: ProcessIdentity, table: ProcessTable) -> None:
        self.identity = identity
        self.pid = identity.pid
        self._fd = _open(identity, table)
        self._has_ended = asyncio.Event()
        if self._fd is None:
            self._has_ended.set()
        else:
            asyncio.get_running_loop().add_reader(self._fd, self._end)

    async def wait(self) -> int:
        await self._has_ended.wait()
        return UNKNOWN_STATUS

    def send_signal(self, number: int) -> None:
        if self._fd is not None:
            signal.pidfd_send_signal(self._fd, number)

    def _end(self) -> None:
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None
        self._has_ended.set()


def _open(identity: ProcessIdentity, table: ProcessTable) -> int | None:
    """Return a descriptor of exactly that process; ``None`` if it has ended."""
    try:
        fd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    if table.runs(identity):  # looked at only now: the descriptor stays bound to whichever process has the id
        return fd
    os.close(fd)
    return None
