"""``python -m tests.support.leftovers FILE`` fails when a cluster is there that was started after FILE was written.

Older ones are not this run's: a user's own, or those of a run that was cut off.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import docker
import psutil

from clipper_nb.protocol.environment import CLUSTER_FOLDER, LABEL_CLUSTER


class Part(NamedTuple):
    """A process or container of a cluster."""

    cluster: str
    name: str
    created_at_s: float


def main() -> None:
    """List what is left, and exit with its number."""
    started_at_s = Path(sys.argv[1]).stat().st_mtime
    parts = [*_processes(), *_containers()]
    # A cluster is as old as its oldest part: it may have replaced another one meanwhile.
    older = {part.cluster for part in parts if part.created_at_s < int(started_at_s)}
    left = [part.name for part in parts if part.cluster not in older]
    print("\n".join(left) or "no process and no container is left")
    sys.exit(min(len(left), 100))


def _processes() -> Iterator[Part]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            folder = process.environ().get(CLUSTER_FOLDER)
            if folder and process.status() != psutil.STATUS_ZOMBIE:
                yield Part(folder, " ".join(process.cmdline()), process.create_time())


def _containers() -> list[Part]:
    client = docker.from_env(timeout=30)
    try:
        found = client.api.containers(all=True, filters={"label": LABEL_CLUSTER})
    finally:
        client.close()
    # One that is being removed has no name any more.
    return [Part(one["Labels"][LABEL_CLUSTER], (one["Names"] or [one["Id"]])[0], one["Created"]) for one in found]


if __name__ == "__main__":
    main()
