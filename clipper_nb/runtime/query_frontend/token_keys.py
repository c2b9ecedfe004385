"""The keys by which requests with an application's token find the application, while the token is good.

A request is answered if its key is among the applications, so a token costs a query nothing, and is revoked in the same
step in which this frontend acts on the change.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, Protocol, TypeVar

from clipper_nb.protocol.application_tokens import ApplicationToken

_LONGEST_PAUSE_S = 60.0
"""How late a clock that was set forward is noticed."""

_ServedT = TypeVar("_ServedT")


class Clock(Protocol):
    """Monotonic time, and callbacks on it."""

    time: Callable[[], float]

    def call_at(self, when_s: float, callback: Callable[[], object]) -> asyncio.TimerHandle: ...


class TokenKeys(Generic[_ServedT]):
    """Adds a key for each token that is good to the applications by name, and removes it when the token is not.

    A token has expired as soon as the clock on the wall says so, or as much time has passed as it had left when it came
    here: setting the clock back makes none live longer. One that has expired stays so, whatever the clock says later.

    Parameters
    ----------
    applications : dict
        The served applications by name; the keys of tokens are added to it.
    clock : Clock
    wall_clock : callable
        Returns seconds since the epoch.
    """

    def __init__(
        self, applications: dict[str, _ServedT], clock: Clock, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._applications = applications
        self._clock = clock
        self._wall_clock = wall_clock
        self._tokens: dict[str, ApplicationToken] = {}
        """Those that are good, by their ids."""
        self._deadlines_s: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def apply(self, applications: Iterable[str], tokens: Mapping[str, ApplicationToken | None]) -> None:
        """Act on changed tokens, by their ids, and on changed *applications*, which are known by name already."""
        names = set(applications)
        for token_id, token in tokens.items():
            self._remove(token_id)
            if token is not None:
                self._add(token)
                names.add(token.application_name)
        if names:
            self._lead_to(names)
        self._watch()

    def _add(self, token: ApplicationToken) -> None:
        if token.expires_at is not None:
            left_s = token.expires_at - self._wall_clock()
            if left_s <= 0:
                return
            self._deadlines_s[token.token_id] = self._clock.time() + left_s
        self._tokens[token.token_id] = token

    def _lead_to(self, names: set[str]) -> None:
        """Let the tokens' keys lead to what the applications of these names are now."""
        for token in self._tokens.values():
            if token.application_name in names:
                served = self._applications.get(token.application_name)
                if served is None:
                    self._applications.pop(token.key, None)
                else:
                    self._applications[token.key] = served

    def _remove(self, token_id: str) -> None:
        token = self._tokens.pop(token_id, None)
        self._deadlines_s.pop(token_id, None)
        if token is not None:
            self._applications.pop(token.key, None)

    def _watch(self) -> None:
        """Look again when the next token expires."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._deadlines_s:
            soonest_s = min(self._deadlines_s.values())
            self._timer = self._clock.call_at(min(soonest_s, self._clock.time() + _LONGEST_PAUSE_S), self._look)

    def _look(self) -> None:
        self._timer = None
        now_s, wall_s = self._clock.time(), self._wall_clock()
        for token_id, deadline_s in list(self._deadlines_s.items()):
            expires_at = self._tokens[token_id].expires_at
            if now_s >= deadline_s or (expires_at is not None and wall_s >= expires_at):
                self._remove(token_id)
        self._watch()
