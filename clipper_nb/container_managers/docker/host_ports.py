"""Publishes ports of containers at ports of the engine's host that are free there."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping

from clipper_nb.errors import ClusterError, ClusterStartError

_NUM_TRIES = 10
_IS_BUSY = re.compile(r"already allocated|address already in use")


def run_at_free_ports(
    run: Callable[[Mapping[str, int]], None], wanted: Mapping[str, int], container: str
) -> dict[str, int]:
    """Call *run* with ports of the host until none of them is busy, and return them.

    Parameters
    ----------
    run : callable
        Starts a container that publishes the ports that it gets, or leaves none.
    wanted : dict
        The ports to begin with, by name; 0 is any free one.
    container : str
        For messages.

    Raises
    ------
    ClusterStartError
        Other ports were busy too, ten times.
    ClusterError
        Whatever else *run* raises.
    """
    ports = {name: port or _free_port() for name, port in wanted.items()}
    for _ in range(_NUM_TRIES):
        try:
            run(ports)
        except ClusterError as exc:
            if not _IS_BUSY.search(str(exc)):
                raise
            busy = [name for name, port in ports.items() if re.search(rf":{port}\b", str(exc))] or list(ports)
            ports.update({name: _free_port() for name in busy})
        else:
            return ports
    raise ClusterStartError(f"No free port of the host was found for {container} in {_NUM_TRIES} tries.")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
