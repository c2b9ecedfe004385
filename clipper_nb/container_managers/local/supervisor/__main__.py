"""``python -m clipper_nb.container_managers.local.supervisor FOLDER``: run the cluster of that folder."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local.process_table import this_machine
from clipper_nb.container_managers.local.supervisor.guardian import guard
from clipper_nb.container_managers.local.supervisor.supervisor import Supervisor, bind_sockets
from clipper_nb.protocol.cluster_record import ClusterRecord


async def _run(
    folder: ClusterFolder, record: ClusterRecord, sockets: Mapping[str, socket.socket], main_pid: int, users_umask: int
) -> None:
    guardian = this_machine().read(main_pid) if main_pid != os.getpid() else None
    supervisor = Supervisor(
        folder,
        folder.read_record() or record,
        sockets,
        guardian=None if guardian is None else guardian.identity,
        replica_umask=users_umask,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.end_with_machine)
    await supervisor.run(this_machine().this_process())


def main() -> None:
    """Be the guardian of a supervisor, or the supervisor where the system cannot have one."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    # Only its user can access what it creates, including sockets, in whatever folder.
    users_umask = os.umask(0o077)
    folder = ClusterFolder(Path(sys.argv[1]))
    record = folder.read_record()
    if record is None:
        raise SystemExit(f"{folder.record_path} cannot be read")
    sockets = bind_sockets(folder, record)
    main_pid = os.getpid()
    gc.freeze()  # what both share is not searched for garbage, which would copy it
    status = guard(was_up=folder.control_socket_path.exists)
    if status is not None:
        sys.exit(status)
    asyncio.run(_run(folder, record, sockets, main_pid, users_umask))
    gc.freeze()  # the interpreter's end would search all modules for garbage, while stop_all() waits for it


if __name__ == "__main__":
    main()
