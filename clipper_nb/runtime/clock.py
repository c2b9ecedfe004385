"""The event loop's callbacks on a clock that is precise enough for an SLO.

uvloop's own clock ticks in whole milliseconds and stands still during a turn, which is too coarse for deadlines and
latencies of a few milliseconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any


class LoopClock:
    """Returns the time and schedules callbacks, on ``time.monotonic``.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        Runs the callbacks; its timers may be off by about half a millisecond.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.call_soon = loop.call_soon
        self.time = time.monotonic

    def call_at(self, when_s: float, callback: Callable[[], Any]) -> asyncio.TimerHandle:
        """Call *callback* at about *when_s*."""
        return self._loop.call_later(max(0.0, when_s - time.monotonic()), callback)
