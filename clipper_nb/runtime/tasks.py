"""Ends tasks of an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_S = 0.2


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended, and ignore their exceptions.

    Cancelling once is not enough: before Python 3.12 ``asyncio.wait_for`` loses a cancellation that coincides with the
    awaited result (https://github.com/python/cpython/issues/86296), and a task that loops would never end.
    """
    tasks = list(tasks)
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
