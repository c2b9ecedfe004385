"""How long a query frontend may act on its copy of the configuration."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

from clipper_nb.protocol.redis_keys import LEASE_S

# Continues while the machine sleeps, if the system has such a clock: other machines may be awake meanwhile.
_CLOCK: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


class Lease:
    """Decides by the clock, not by a timer, whether the configuration may be acted on.

    A frontend that was suspended for long is taken for dead, and changes are confirmed without it. When it resumes, its
    queries may come before its timers: each checks the lease first.

    Parameters
    ----------
    clock : callable
        Returns seconds, and includes time in which the process was suspended.
    """

    def __init__(self, clock: Callable[[], float] = _CLOCK) -> None:
        self.clock = clock
        self.until_s = -math.inf
        """Instant of its clock at which the lease ends."""
        self._on_renewed: list[Callable[[], None]] = []

    @property
    def has_run_out(self) -> bool:
        """True if the configuration must be checked again first."""
        return self.clock() > self.until_s

    def renew(self, looked_s: float) -> None:
        """Extend the lease after a check of the store that began at *looked_s*, with or without a new configuration."""
        self.until_s = max(self.until_s, looked_s + LEASE_S)
        if not self.has_run_out:
            waiting, self._on_renewed = self._on_renewed, []
            for callback in waiting:
                callback()

    def when_renewed(self, callback: Callable[[], None]) -> None:
        """Call *callback* once, when the lease has been renewed."""
        self._on_renewed.append(callback)
