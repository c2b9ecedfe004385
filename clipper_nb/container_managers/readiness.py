"""Waits until a frontend answers, or the core of its cluster keeps ending."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterable
from typing import Any

from clipper_nb.errors import ClusterStartError, ClusterUnreachableError
from clipper_nb.protocol.containers import REPLICA, ObservedContainer

_POLL_INTERVAL_S = 0.02
_MAX_EXITS = 1
"""Of a container of the core that starts: it may have ended once before what it needs was there."""


def answers(host: str, port: int, path: str = "/livez") -> bool:
    """Whether a frontend answers there; a frontend that is being started keeps us waiting, not refused."""
    connection = http.client.HTTPConnection(host, port, timeout=0.5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_for(is_true: Callable[[], Any], deadline_s: float, check: Callable[[], None]) -> None:
    """Return when *is_true*; *check* may raise what makes waiting senseless."""
    while not is_true():
        check()
        if time.monotonic() > deadline_s:
            raise ClusterUnreachableError("The cluster's processes have not answered in time.")
        time.sleep(_POLL_INTERVAL_S)


def check_core(containers: Iterable[ObservedContainer], get_log_tail: Callable[[str], str]) -> None:
    """Raise ``ClusterStartError`` when Redis or a frontend keeps ending."""
    for container in containers:
        if container.role != REPLICA and container.num_exits > _MAX_EXITS:
            raise ClusterStartError(
                f"{container.name} ended with status {container.exit_status}, again and again.",
                get_log_tail(container.name),
            )
