"""Does long work in small steps, which together take a small part of each turn of the event loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

SLICE_S = 0.002
"""Budget of each turn; the last step may exceed it."""


class Work(Protocol):
    """Work that takes long."""

    def step(self) -> bool:
        """Do one short step; return whether more can be done now."""


class Turns:
    """Alternates between several works, one step each, for about two milliseconds of each turn of the event loop.

    A thread would not help: the parsers hold the interpreter's lock while they parse.

    Parameters
    ----------
    call_soon : callable
        Runs a function in the event loop's next turn.
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, call_soon: Callable[[Callable[[], None]], Any], clock: Callable[[], float]) -> None:
        self._call_soon = call_soon
        self._clock = clock
        self._works: deque[Work] = deque()
        self._is_due = False

    def add(self, work: Work) -> None:
        """Do *work* until a step returns false; do not add work whose last step returned true."""
        self._works.append(work)
        if not self._is_due:
            self._is_due = True
            self._call_soon(self._run)

    def _run(self) -> None:
        works = self._works
        until_s = self._clock() + SLICE_S
        while works:
            work = works.popleft()
            if work.step():
                works.append(work)
            if self._clock() >= until_s:
                break
        self._is_due = bool(works)
        if works:
            self._call_soon(self._run)
