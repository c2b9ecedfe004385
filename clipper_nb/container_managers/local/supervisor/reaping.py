"""Runs the reaper beside the supervisor's event loop, which owns the processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from clipper_nb.protocol.containers import ObservedContainer
from clipper_nb.protocol.names import ModelId

if TYPE_CHECKING:
    from clipper_nb.container_managers.reaper import Reaper

_T = TypeVar("_T")

_TIMEOUT_S = 30.0


def start_reaper(
    admin_socket_path: Path,
    admin_token: str,
    loop: asyncio.AbstractEventLoop,
    observe: Callable[[], Coroutine[Any, Any, list[ObservedContainer]]],
    stop: Callable[[list[str]], Coroutine[Any, Any, None]],
    start: Callable[[ModelId, int], Coroutine[Any, Any, None]],
) -> Reaper:
    """Start to stop undesired replicas and to start missing ones; the functions run on *loop*, this runs outside of it.

    A cluster without replicas needs no HTTP client, whose import takes 70 ms and 6 MB.
    """
    from clipper_nb.clients.management_client import ManagementClient
    from clipper_nb.container_managers.reaper import Reaper

    def on_loop(work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(_TIMEOUT_S)

    reaper = Reaper(
        ManagementClient.at(f"unix:{admin_socket_path}", admin_token),
        lambda: on_loop(observe()),
        lambda names: on_loop(stop(names)),
        lambda model_id, number: on_loop(start(model_id, number)),
    )
    reaper.start()
    return reaper
