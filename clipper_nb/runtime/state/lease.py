"""For how long a query frontend may act on the configuration that it has."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

from clipper_nb.protocol.redis_keys import LEASE_S

# Goes on while the machine sleeps, where there is such a clock: others may be awake meanwhile.
_CLOCK: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


class Lease:
    """Says whether the configuration may be acted on, by the clock and not by a timer.

    A frontend that stood still for long is taken for dead, and changes are confirmed without it. When it goes on, its
    queries may come before its timers: each looks here first.

    Parameters
    ----------
    clock : callable
        Gives seconds, also of the time in which the process stood still.
    """

    def __init__(self, clock: Callable[[], float] = _CLOCK) -> None:
        self.clock = clock
        self.until_s = -math.inf
        """Instant on the clock."""
        self._on_renewed: list[Callable[[], None]] = []

    @property
    def has_run_out(self) -> bool:
        """Whether the configuration must be looked at again first."""
        return self.clock() > self.until_s

    def renew(self, looked_s: float) -> None:
        """Extend it: a look at the store that began at *looked_s* has ended, with the configuration or without."""
        self.until_s = max(self.until_s, looked_s + LEASE_S)
        if not self.has_run_out:
            waiting, self._on_renewed = self._on_renewed, []
            for callback in waiting:
                callback()

    def when_renewed(self, callback: Callable[[], None]) -> None:
        """Call *callback* once, when the lease has been renewed."""
        self._on_renewed.append(callback)
