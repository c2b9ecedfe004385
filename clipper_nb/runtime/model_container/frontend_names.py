"""The addresses of all query frontends, from the one name that has them, as they come and go."""

from __future__ import annotations

import logging
import socket
import threading

logger = logging.getLogger(__name__)

_INTERVAL_S = 1.0
"""Name servers answer from memory, and a new frontend gets no queries before its replicas are there."""


class FrontendNames:
    """Looks up a name again and again, in a thread of its own: a name server that is slow delays no prediction.

    Parameters
    ----------
    host : str
        The name, such as that of a headless Service.
    port : int
        The RPC port of each of them.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._addresses = look_up(host, port)
        threading.Thread(target=self._keep_looking, name="frontend names", daemon=True).start()

    def addresses(self) -> tuple[str, ...]:
        """Return ``host:port`` of each query frontend, as found last; a name that is unknown now changes nothing."""
        return self._addresses

    def _keep_looking(self) -> None:
        pause = threading.Event()
        while not pause.wait(_INTERVAL_S):
            found = look_up(self._host, self._port)
            if found and found != self._addresses:
                logger.info("the query frontends are at %s", ", ".join(found))
                self._addresses = found


def look_up(host: str, port: int) -> tuple[str, ...]:
    """Return the addresses of a name, sorted; none while it is unknown, or its server away."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    hosts = {str(address[0]) for *_, address in found}
    return tuple(sorted(f"[{each}]:{port}" if ":" in each else f"{each}:{port}" for each in hosts))
