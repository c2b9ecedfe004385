"""Work that takes long, done in small steps: all of it together has a little of each turn of the event loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

SLICE_S = 0.002
"""Of each turn; a step that was begun may take longer."""


class Work(Protocol):
    """Something that takes long."""

    def step(self) -> bool:
        """Do a little of it; return whether more can be done now."""


class Turns:
    """Lets several works take turns, one step each, for about two milliseconds of each turn of the event loop.

    A thread would not do: the parsers hold the interpreter's lock for as long as they parse.

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
        """Do *work* until a step says that no more can be done now; not for work that has not said so yet."""
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
