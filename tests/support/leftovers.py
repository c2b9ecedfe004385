"""``python -m tests.support.leftovers`` fails when a cluster of any name is still there, as processes or containers."""

from __future__ import annotations

import contextlib
import sys

import docker
import psutil

from clipper_nb.protocol.environment import CLUSTER_FOLDER, LABEL_CLUSTER


def main() -> None:
    """List what is left, and exit with its number."""
    left = [*_processes(), *_containers()]
    print("\n".join(left) or "no process and no container is left")
    sys.exit(min(len(left), 100))


def _processes() -> list[str]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if CLUSTER_FOLDER in process.environ() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
    return found


def _containers() -> list[str]:
    client = docker.from_env(timeout=30)
    try:
        found = client.containers.list(all=True, ignore_removed=True, filters={"label": LABEL_CLUSTER})
        return [container.name for container in found]
    finally:
        client.close()


if __name__ == "__main__":
    main()
