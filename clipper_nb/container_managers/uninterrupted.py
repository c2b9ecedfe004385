"""Does what a Ctrl-C in its middle would leave half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

_Result = TypeVar("_Result")


def uninterrupted(action: Callable[[], _Result]) -> _Result:
    """Run *action* to completion before delivering Ctrl-C, which waits so long."""
    interrupt = signal.getsignal(signal.SIGINT)
    if not callable(interrupt) or threading.current_thread() is not threading.main_thread():
        return action()  # no interrupt can arrive here
    received: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda signum, frame: received.append((signum, frame)))
    try:
        return action()
    finally:
        signal.signal(signal.SIGINT, interrupt)
        if received:
            interrupt(*received[-1])
