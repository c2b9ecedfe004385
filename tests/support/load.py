"""A bounded load of predict requests from threads, on loopback, with every reply kept."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

_PAUSE_S = 0.3
"""After a connection that failed: thousands in a minute fill a node's table of connections, and later ones are lost."""


@dataclass(frozen=True)
class Reply:
    """One reply; *status* 0 means that the connection broke."""

    value: float
    status: int
    body: dict[str, Any]
    latency_s: float
    received_s: float


class Load:
    """Clients that send one query after the other until told to stop, or until *max_s* is over.

    Every input is different, so that no cache answers. With *retries* a query goes out once more when a connection that
    was kept is closed under it, as HTTP's own clients do: a server may close a silent connection at any time.
    """

    def __init__(
        self,
        address: str,
        application: str,
        *,
        num_clients: int = 8,
        max_s: float = 300.0,
        make_input: Callable[[float], Any] = lambda value: [value],
        retries: bool = False,
    ) -> None:
        self._retries = retries
        self.replies: list[Reply] = []
        self._host, port = address.split(":")
        self._port = int(port)
        self._path = f"/{application}/predict"
        self._make_input = make_input
        self._values = itertools.count(1)
        self._under_way: set[float] = set()
        self._stopping = threading.Event()
        self._deadline_s = time.monotonic() + max_s
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(num_clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=30)
            assert not thread.is_alive()

    def wait_for(self, num_more: int, *, within_s: float = 20.0) -> None:
        """Return when that many more replies have come."""
        wanted = len(self.replies) + num_more
        deadline_s = time.monotonic() + within_s
        while len(self.replies) < wanted:
            assert time.monotonic() < deadline_s, f"{len(self.replies)} replies, not {wanted}, in {within_s} s"
            time.sleep(0.005)

    def wait_until_answered(self, *, within_s: float = 30.0) -> None:
        """Return when every query that is under way now has its reply."""
        wanted = self._under_way.copy()
        deadline_s = time.monotonic() + within_s
        while left := wanted & self._under_way:
            assert time.monotonic() < deadline_s, f"{sorted(left)} have no reply within {within_s} s"
            time.sleep(0.005)

    def _run(self) -> None:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=20)
        while not self._stopping.is_set() and time.monotonic() < self._deadline_s:
            value = float(next(self._values))
            self._under_way.add(value)
            started_s = time.monotonic()
            was_kept = connection.sock is not None
            status, body = self._ask(connection, value)
            if status == 0 and was_kept and self._retries:
                status, body = self._ask(connection, value)
            now_s = time.monotonic()
            self.replies.append(Reply(value, status, body, now_s - started_s, now_s))
            self._under_way.discard(value)
            if status == 0:
                self._stopping.wait(_PAUSE_S)
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, value: float) -> tuple[int, dict[str, Any]]:
        try:
            connection.request("POST", self._path, json.dumps({"input": self._make_input(value)}))
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        except (OSError, http.client.HTTPException):
            connection.close()
            return 0, {}
