"""Containers as the engine inspected them last: one request lists them, and what still runs is not inspected again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

_RUNNING = "running"

Summary = Mapping[str, Any]
"""One container in the engine's list of containers."""


class Inspections:
    """The containers of a cluster, as *inspect* returned them when they last changed.

    A container that runs has not changed as long as the list shows the same uptime. The engine counts it anew at every
    start, in whole seconds, and updates the list a moment after a container has ended. So a change is seen up to a
    second late, which is enough for callers that look again.

    Parameters
    ----------
    inspect : callable
        Returns the container with an id, or ``None`` if there is none.
    """

    def __init__(self, inspect: Callable[[str], Any | None]) -> None:
        self._inspect = inspect
        self._known: dict[str, tuple[Summary, Any]] = {}

    def of(self, wanted: Sequence[Summary], existing: Iterable[Summary]) -> list[Any]:
        """Return the containers of the list that are *wanted* and still exist; forget all that are not *existing*."""
        new = {summary["Id"]: (summary, self._of(summary)) for summary in wanted}
        known = self._known | new
        self._known = {id_: known[id_] for id_ in (summary["Id"] for summary in existing) if id_ in known}
        return [container for _, container in new.values() if container is not None]

    def _of(self, summary: Summary) -> Any | None:
        before, container = self._known.get(summary["Id"], (None, None))
        if container is not None and before is not None and _runs_on(before, summary):
            return container
        return self._inspect(summary["Id"])


def _runs_on(before: Summary, now: Summary) -> bool:
    return bool(before["State"] == now["State"] == _RUNNING and before["Status"] == now["Status"])
