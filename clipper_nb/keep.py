"""``python -m clipper_nb.keep docker|kubernetes NAME``: stays connected to a cluster, which is autoscaled meanwhile."""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence

from clipper_nb.connection import ClipperConnection
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.errors import ClipperException

logger = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 5.0


def main(arguments: Sequence[str]) -> None:
    """Do for a cluster what a connected notebook does, until SIGTERM: start and stop replicas of autoscaled versions.

    On Docker also bring back containers that were killed. It waits for a cluster that is not there, and connects again
    to one that was stopped and started.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        keep(ClipperConnection(_manager(_parse(arguments))))


def keep(conn: ClipperConnection, wait: Callable[[float], None] = time.sleep) -> None:
    """Stay connected to the cluster of the connection's manager, and *wait* between two looks; never returns."""
    is_connected, last_problem = False, ""
    while True:
        try:
            if is_connected:
                conn.get_all_apps()
            else:
                conn.connect()
                logger.info("keeps cluster %s", conn.cm.cluster_name)
            is_connected, last_problem = True, ""
        except ClipperException as exc:
            is_connected = False
            if str(exc) != last_problem:
                logger.warning("%s It is tried again every %g s.", exc, _LOOK_INTERVAL_S)
            last_problem = str(exc)
        wait(_LOOK_INTERVAL_S)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m clipper_nb.keep", description=main.__doc__)
    parser.add_argument("kind", choices=["docker", "kubernetes"])
    parser.add_argument("name", help="the cluster's name, cluster_name= of its container manager")
    parser.add_argument("--namespace", default="default", help="on Kubernetes (default)")
    return parser.parse_args(arguments)


def _manager(options: argparse.Namespace) -> ContainerManager:
    if options.kind == "docker":
        from clipper_nb.container_managers.docker.manager import DockerContainerManager

        return DockerContainerManager(options.name)
    from clipper_nb.container_managers.kubernetes.manager import KubernetesContainerManager

    return KubernetesContainerManager(options.name, namespace=options.namespace)


if __name__ == "__main__":
    main(sys.argv[1:])
