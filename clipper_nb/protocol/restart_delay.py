"""How long a process that ended waits for its restart. (pure)"""

from __future__ import annotations

FIRST_RESTART_DELAY_S = 0.05
LONGEST_RESTART_DELAY_S = 10.0
LONGEST_READY_RESTART_DELAY_S = 1.0
"""For a replica that was ready when it ended: its model works, and an input or a person ended it."""
STEADY_AFTER_S = 10.0
"""A process that lived this long is not crashing in a loop."""

_MAX_DOUBLINGS = 30


def restart_delay_s(num_quick_exits: int, *, was_ready: bool = False) -> float:
    """Return how long to wait before the next start, after this many quick ends in a row."""
    doublings = min(max(0, num_quick_exits - 1), _MAX_DOUBLINGS)
    longest_s = LONGEST_READY_RESTART_DELAY_S if was_ready else LONGEST_RESTART_DELAY_S
    return min(FIRST_RESTART_DELAY_S * 2.0**doublings, longest_s)


class RestartDelays:
    """The restart delays of one process.

    Examples
    --------
    >>> delays = RestartDelays()
    >>> [delays.after_end(lived_s=0.3) for _ in range(3)]
    [0.05, 0.1, 0.2]
    >>> delays.after_end(lived_s=3600.0)
    0.05
    """

    def __init__(self) -> None:
        self._num_quick_exits = 0

    def after_end(self, *, lived_s: float, was_ready: bool = False) -> float:
        """Return how long to wait after the process ended, *lived_s* after its start."""
        self._num_quick_exits = 1 if lived_s >= STEADY_AFTER_S else self._num_quick_exits + 1
        return restart_delay_s(self._num_quick_exits, was_ready=was_ready)
