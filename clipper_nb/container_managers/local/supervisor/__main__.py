"""``python -m clipper_nb.container_managers.local.supervisor FOLDER``: run the cluster of that folder."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local.process_table import this_machine
from clipper_nb.container_managers.local.supervisor.supervisor import Supervisor


async def _run(folder_path: Path, users_umask: int) -> None:
    folder = ClusterFolder(folder_path)
    record = folder.read_record()
    if record is None:
        raise SystemExit(f"{folder.record_path} cannot be read")
    supervisor = Supervisor(folder, record, replica_umask=users_umask)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.shut_down)
    await supervisor.run(this_machine().this_process())


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    # Only its user can access what it creates, including sockets, in whatever folder.
    asyncio.run(_run(Path(sys.argv[1]), os.umask(0o077)))
