"""Time that passes only when a test says so: a clock, an event loop for callbacks, and one for coroutines."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import selectors
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_ResultT = TypeVar("_ResultT")


class FakeClock:
    """A monotonic clock that stands still."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds


class FakeHandle:
    """A callback that is due at some time and may be cancelled."""

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._callback = callback
        self._args = args
        self.is_cancelled = False

    def cancel(self) -> None:
        """Never run it."""
        self.is_cancelled = True

    def run(self) -> None:
        """Run it unless it was cancelled."""
        if not self.is_cancelled:
            self._callback(*self._args)


class FakeLoop:
    """The part of an event loop that calls back, without coroutines: the test ends turns and lets time pass."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self._now_s = now_s
        self._ready: deque[FakeHandle] = deque()
        self._timers: list[tuple[float, int, FakeHandle]] = []
        self._order = itertools.count()

    def time(self) -> float:
        """Now, on the loop's clock."""
        return self._now_s

    def call_soon(self, callback: Callable[..., object], *args: Any) -> FakeHandle:
        """Run *callback* at the end of the turn."""
        handle = FakeHandle(callback, args)
        self._ready.append(handle)
        return handle

    def call_at(self, when_s: float, callback: Callable[..., object], *args: Any) -> FakeHandle:
        """Run *callback* at *when_s*."""
        handle = FakeHandle(callback, args)
        heapq.heappush(self._timers, (when_s, next(self._order), handle))
        return handle

    def call_later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> FakeHandle:
        """Run *callback* after *delay_s*."""
        return self.call_at(self._now_s + delay_s, callback, *args)

    def end_turn(self) -> None:
        """Run what is due at the end of the turn, and what follows from it."""
        while self._ready:
            self._ready.popleft().run()

    def advance(self, seconds: float) -> None:
        """Let time pass, running every timer at its own time."""
        end_s = self._now_s + seconds
        self.end_turn()
        while self._timers and self._timers[0][0] <= end_s:
            when_s, _, handle = heapq.heappop(self._timers)
            self._now_s = max(self._now_s, when_s)
            handle.run()
            self.end_turn()
        self._now_s = max(self._now_s, end_s)

    def be_busy(self, seconds: float) -> None:
        """Let time pass without running what is due, as a long callback does."""
        self._now_s += seconds

    @property
    def num_timers(self) -> int:
        """Timers that are set."""
        return sum(not handle.is_cancelled for _, _, handle in self._timers)


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Where a loop would wait, its clock jumps."""

    jumped_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits for something that never happens"
            self.jumped_s += max(0.0, timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits: its clock jumps to the next timer. For coroutines without sockets."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Now, on the loop's clock."""
        return 1000.0 + self._jumping.jumped_s


def run_in_virtual_time(main: Coroutine[Any, Any, _ResultT]) -> _ResultT:
    """Run *main* to its end as ``asyncio.run`` does, at once however long it waits."""
    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(_cancel_all_tasks())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _cancel_all_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
