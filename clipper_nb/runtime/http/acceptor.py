"""Accepts the connections of one listening socket, for a server that counts those that it does not have yet."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Collection
from typing import Any, Protocol

logger = logging.getLogger(__name__)

_FULL_INTERVAL_S = 1.0


class AcceptingServer(Protocol):
    """The interface of a server for its acceptor."""

    loop: asyncio.AbstractEventLoop
    max_connections: int
    tls: ssl.SSLContext | None
    handshake_timeout_s: float

    unfinished: set[asyncio.Protocol]
    """The protocols of connections whose handshake is under way: the server takes out those that it adds to its own."""

    @property
    def connections(self) -> Collection[object]:
        """Those that it has."""

    def make_connection(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""


class Acceptor:
    """Accepts one connection per turn of the event loop; with TLS, the server has it after the handshake.

    A handshake that fails or takes too long ends without a line in the log: any client can begin one.

    Parameters
    ----------
    server : AcceptingServer
    listening : socket
    """

    def __init__(self, server: AcceptingServer, listening: socket.socket) -> None:
        self._server = server
        self._listening = listening
        self._loop = server.loop
        self._timer: asyncio.TimerHandle | None = None
        self._handing_over: set[asyncio.Task[None]] = set()
        tls = server.tls
        self._options: dict[str, Any] = {} if tls is None else {
            "ssl": tls, "ssl_handshake_timeout": server.handshake_timeout_s,
        }  # fmt: skip
        listening.setblocking(False)
        self._watch()

    def close(self) -> None:
        """Accept no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._listening.fileno() >= 0:
            self._loop.remove_reader(self._listening.fileno())
            self._listening.close()

    def _watch(self) -> None:
        self._loop.add_reader(self._listening.fileno(), self._on_readable)

    def _on_readable(self) -> None:
        self._take()

    def _pause(self, wait_s: float) -> None:
        self._loop.remove_reader(self._listening.fileno())
        self._timer = self._loop.call_later(wait_s, self._resume)

    def _resume(self) -> None:
        self._watch()
        self._take()

    def _take(self) -> None:
        try:
            accepted, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process was faster, or the client is gone
        except OSError as exc:  # the limit of open files is reached
            logger.warning("cannot take a connection: %s", exc)
            self._pause(_FULL_INTERVAL_S)
            return
        if self._server.tls is not None and self._num_connections() >= self._server.max_connections:
            accepted.close()  # nothing can be said to the client before a handshake, which costs too much now
            return
        accepted.setblocking(False)
        connection = self._server.make_connection()
        self._server.unfinished.add(connection)
        self._number_changed()
        task = self._loop.create_task(self._hand_over(accepted, connection))
        self._handing_over.add(task)
        task.add_done_callback(self._handing_over.discard)

    def _number_changed(self) -> None:
        """Note that a connection was accepted, or has failed before the server had it."""

    def _num_connections(self) -> int:
        return len(self._server.connections) + len(self._server.unfinished)

    async def _hand_over(self, accepted: socket.socket, connection: asyncio.Protocol) -> None:
        try:
            with contextlib.suppress(OSError):  # the client is gone, or does not speak TLS
                await self._loop.connect_accepted_socket(lambda: connection, accepted, **self._options)
        finally:
            if connection in self._server.unfinished:
                self._server.unfinished.remove(connection)
                self._number_changed()
