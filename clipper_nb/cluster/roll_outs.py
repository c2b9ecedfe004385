"""``conn.roll_outs``: the last roll-out of each application, by its name.

A handle holds a name and no state: it asks the cluster each time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

from clipper_nb.cluster.argument_checks import check_timeout
from clipper_nb.cluster.by_name import ByName, live
from clipper_nb.cluster.ports import RollOutCalls
from clipper_nb.errors import ClusterUnreachableError, NotFoundError, RollOutTimeoutError, StateUnavailableError
from clipper_nb.protocol import names
from clipper_nb.protocol.roll_out import RollOutEvent, RollOutInfo, Status

_LOOK_INTERVAL_S = 0.5
_PASSING = (ClusterUnreachableError, StateUnavailableError)
_PATIENCE_S = 60.0
"""How long an awaited roll-out may be out of reach, while frontends or Redis restart."""


class RollOuts(ByName["RollOutHandle"]):
    """The last roll-out of each application by the application's name."""

    def __init__(self, calls: Callable[[], RollOutCalls]) -> None:
        self._calls = calls

    def __getitem__(self, app_name: str) -> RollOutHandle:
        handle = RollOutHandle(self._calls, names.known_name("application name", app_name))
        _ = handle.info
        return handle

    def __iter__(self) -> Iterator[str]:
        return iter([found.app_name for found in self._calls().get_roll_outs()])

    def __repr__(self) -> str:
        def describe() -> str:
            return "; ".join(map(str, self._calls().get_roll_outs())) or "none"

        return live(lambda: f"<RollOuts: {describe()}>", "<RollOuts: {}>")


class RollOutHandle:
    """One roll-out: what ``conn.roll_out()`` returns, and ``conn.roll_outs["digits"]``; a cell may ``await`` it.

    Attributes
    ----------
    app_name : str
    """

    def __init__(self, calls: Callable[[], RollOutCalls], app_name: str) -> None:
        self._calls = calls
        self.app_name = app_name

    @property
    def info(self) -> RollOutInfo:
        """Everything that is known of it. Raises ``NotFoundError`` if the application has none."""
        for found in self._calls().get_roll_outs():
            if found.app_name == self.app_name:
                return found
        raise NotFoundError(f"Application '{self.app_name}' has no roll-out.")

    @property
    def status(self) -> Status:
        """``running``, ``paused``, ``promoted``, ``rolled_back``, ``aborted`` or ``ended``."""
        return self.info.status

    @property
    def plan(self) -> str:
        """How long it takes at least, and which differences it can see."""
        return self.info.plan

    @property
    def events(self) -> list[RollOutEvent]:
        """What happened so far, oldest first."""
        return list(self.info.events)

    def wait(self, timeout_s: float) -> RollOutInfo:
        """Return it when it has ended, however it did.

        Raises
        ------
        RollOutTimeoutError
            It is still under way after so many seconds; it goes on.
        ClusterUnreachableError, StateUnavailableError
            Nothing answers at the end of that time; a restart of a frontend or of Redis is waited for.
        """
        check_timeout(timeout_s)
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                info = self.info
            except _PASSING:
                if time.monotonic() >= deadline_s:
                    raise
            else:
                if not info.is_under_way:
                    return info
                if time.monotonic() >= deadline_s:
                    raise RollOutTimeoutError(str(info), timeout_s)
            time.sleep(min(_LOOK_INTERVAL_S, max(0.0, deadline_s - time.monotonic())))

    def abort(self) -> None:
        """Restore the traffic of before. Raises ``NotFoundError`` if it has ended."""
        self._calls().abort_roll_out(self.app_name)

    def promote(self) -> None:
        """Send all queries to the version now. Raises ``NotFoundError`` if it has ended."""
        self._calls().promote_roll_out(self.app_name)

    def __await__(self) -> Generator[Any, None, RollOutInfo]:
        return self._ended().__await__()

    async def _ended(self) -> RollOutInfo:
        answered_s = time.monotonic()
        while True:
            try:
                info = await asyncio.to_thread(lambda: self.info)
            except _PASSING:
                if time.monotonic() - answered_s > _PATIENCE_S:
                    raise
            else:
                answered_s = time.monotonic()
                if not info.is_under_way:
                    return info
            await asyncio.sleep(_LOOK_INTERVAL_S)

    def __repr__(self) -> str:
        return live(lambda: f"<RollOut {self.info}>", f"<RollOut for {self.app_name!r}: {{}}>")
