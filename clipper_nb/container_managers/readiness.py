"""Waits until a frontend answers, or until the core of its cluster keeps ending."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

from clipper_nb.clients.frontend_client import FrontendClient
from clipper_nb.clients.http_client import HttpClient
from clipper_nb.errors import ClusterStartError, ClusterUnreachableError
from clipper_nb.protocol.containers import REPLICA, ObservedContainer

_POLL_INTERVAL_S = 0.02
_TIMEOUT_S = 0.5
_MAX_EXITS = 1
"""A starting container of the core may end once, if it starts before what it needs."""


def answers(host: str, port: int) -> bool:
    """Return whether a frontend answers there; a starting frontend delays the connection instead of refusing it."""
    with closing(_frontend(host, port)) as frontend:
        try:
            frontend.live(timeout_s=_TIMEOUT_S)
        except ClusterUnreachableError:
            return False
        return True


def is_ready(host: str, port: int) -> bool:
    """Return whether a frontend answers there that it is ready."""
    with closing(_frontend(host, port)) as frontend:
        try:
            return frontend.ready(timeout_s=_TIMEOUT_S) is None
        except ClusterUnreachableError:
            return False


def _frontend(host: str, port: int) -> FrontendClient:
    # A refused connection is not retried here: the caller polls.
    return FrontendClient(HttpClient(f"{host}:{port}", "frontend", num_connect_retries=0))


def wait_for(is_true: Callable[[], Any], deadline_s: float, check: Callable[[], None]) -> None:
    """Return when *is_true*; *check* may raise to end a wait that cannot succeed."""
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
