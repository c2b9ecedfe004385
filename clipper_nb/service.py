"""``python -m clipper_nb.service start|stop NAME ROOT``: what the systemd unit of a detached cluster runs."""

from __future__ import annotations

import contextlib
import logging
import sys

from clipper_nb.connection import ClipperConnection
from clipper_nb.container_managers.local.manager import LocalContainerManager
from clipper_nb.errors import ExistsError


def main(action: str, cluster_name: str, root_folder: str) -> None:
    """Resume or start a cluster, or stop it and keep it."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    conn = ClipperConnection(LocalContainerManager(cluster_name, root_folder=root_folder, detach=True))
    if action == "stop":
        conn.stop_all(keep=True)
        return
    with contextlib.suppress(ExistsError):  # started by a notebook already
        conn.start_clipper()


if __name__ == "__main__":
    main(*sys.argv[1:])
