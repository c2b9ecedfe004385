"""Waits until a frontend answers, or until the core of its cluster keeps ending."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

from clipper_nb.clients.frontend_client import FrontendClient
from clipper_nb.clients.http_client import HttpClient
from clipper_nb.clients.trust import Trust
from clipper_nb.errors import ClusterStartError, ClusterUnreachableError
from clipper_nb.protocol.containers import REPLICA, ObservedContainer

_SHORTEST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.05
_PAUSE_PER_WAITED = 0.05
"""What has just begun is asked often, and what takes long is noticed 5 % late."""
_TIMEOUT_S = 0.5
_MAX_EXITS = 1
"""A starting container of the core may end once, if it starts before what it needs."""


def answers(host: str, port: int, trust: Trust | None = None) -> bool:
    """Return whether a frontend answers there; a starting frontend delays the connection instead of refusing it."""
    with closing(_frontend(host, port, trust)) as frontend:
        try:
            frontend.live(timeout_s=_TIMEOUT_S)
        except ClusterUnreachableError:
            return False
        return True


def is_ready(host: str, port: int, trust: Trust | None = None) -> bool:
    """Return whether a frontend answers there that it is ready."""
    with closing(_frontend(host, port, trust)) as frontend:
        try:
            return frontend.ready(timeout_s=_TIMEOUT_S) is None
        except ClusterUnreachableError:
            return False


def _frontend(host: str, port: int, trust: Trust | None) -> FrontendClient:
    # A refused connection is not retried here: the caller polls.
    return FrontendClient(HttpClient(f"{host}:{port}", "frontend", num_connect_retries=0, trust=trust))


def wait_for(is_true: Callable[[], Any], deadline_s: float, check: Callable[[], None]) -> None:
    """Return when *is_true*; *check* may raise to end a wait that cannot succeed."""
    started_s = time.monotonic()
    while not is_true():
        check()
        now_s = time.monotonic()
        if now_s > deadline_s:
            raise ClusterUnreachableError("The cluster's processes have not answered in time.")
        time.sleep(pause_s(now_s - started_s))


def pause_s(waited_s: float) -> float:
    """Return how long to pause before asking again, after *waited_s* of asking. (pure)"""
    return min(_LONGEST_PAUSE_S, _SHORTEST_PAUSE_S + _PAUSE_PER_WAITED * waited_s)


def check_core(containers: Iterable[ObservedContainer], get_log_tail: Callable[[str], str]) -> None:
    """Raise ``ClusterStartError`` when Redis or a frontend keeps ending."""
    for container in containers:
        if container.role != REPLICA and container.num_exits > _MAX_EXITS:
            raise ClusterStartError(
                f"{container.name} ended with status {container.exit_status}, again and again.",
                get_log_tail(container.name),
            )
