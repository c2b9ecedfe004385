"""Notes which turns of a query frontend's event loop take long; ``PYTHONPATH`` brings it into the process.

A callback in each turn looks at the time that the thread has had on the processor, which other processes of the machine
do not change much. So the loop never waits while this watches it.
"""

import asyncio
import os
import sys
import time
from collections.abc import Coroutine
from typing import Any

import uvloop

_THRESHOLD_S = 0.002


async def _watched(main: Coroutine[Any, Any, Any], path: str) -> Any:
    loop = asyncio.get_running_loop()
    log = open(path, "a", buffering=1)  # noqa: SIM115 - as long as the process lives
    turn_began_s = time.thread_time()

    def end_turn() -> None:
        nonlocal turn_began_s
        took_s = time.thread_time() - turn_began_s
        if took_s > _THRESHOLD_S:
            log.write(f"{1000 * took_s:.1f}\n")
        turn_began_s = time.thread_time()
        loop.call_soon(end_turn)

    end_turn()
    return await main


if os.environ.get("LONG_TURNS") and "clipper_nb.runtime.query_frontend" in sys.orig_argv:
    _run = uvloop.run
    uvloop.run = lambda main, **options: _run(_watched(main, os.environ["LONG_TURNS"]), **options)
