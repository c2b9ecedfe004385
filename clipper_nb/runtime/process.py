"""What all frontend processes share: logging, the limit of open files, uvloop, a clean end on a signal."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from clipper_nb.errors import ClipperException
from clipper_nb.protocol import environment
from clipper_nb.runtime.http.open_files import raise_open_files_limit
from clipper_nb.runtime.malloc import keep_small_blocks

logger = logging.getLogger(__name__)

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def run_until_signalled(serve: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run ``serve(stopping)`` on a new event loop; SIGTERM and SIGINT set *stopping*.

    If the settings are wrong, ends the process with status 1 and one line.
    """
    index = os.environ.get(environment.WORKER_INDEX)
    log_format = LOG_FORMAT if index is None else LOG_FORMAT.replace("%(name)s", f"worker {index} %(name)s")
    logging.basicConfig(level=logging.INFO, format=log_format, stream=sys.stderr)
    keep_small_blocks()
    raise_open_files_limit()  # every connection is an open file
    try:
        event_loop_runner()(_serve(serve))
    except ClipperException as exc:
        logger.error("%s", exc)
        raise SystemExit(1) from None
    finally:
        gc.freeze()  # the interpreter's end would search all modules for garbage, which takes 80 ms


def keep_garbage_collector_short() -> None:
    """Restrict the garbage collector mostly to new objects; call this when everything has been created.

    A full collection took 30 ms, longer than many an SLO, and found almost nothing: only connections that end leave
    cycles. Nor does it find anything now, while callers wait for this frontend.
    """
    gc.freeze()
    gc.set_threshold(20_000, 50, 1000)


def event_loop_runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Return what runs a coroutine on a new event loop, of uvloop if there is one."""
    try:
        import uvloop
    except ImportError:  # not available on Windows
        return asyncio.run
    return uvloop.run


async def _serve(serve: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await serve(stopping)
