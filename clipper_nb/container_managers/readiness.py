"""Waits until a frontend answers."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from typing import Any

from clipper_nb.errors import ClusterUnreachableError

_POLL_INTERVAL_S = 0.02


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
