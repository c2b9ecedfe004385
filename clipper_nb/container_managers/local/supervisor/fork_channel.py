"""The supervisor's end of a socket to a process that forks replicas."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence

from clipper_nb.protocol.nursery import Answer, Request, decode_answer, open_socket, send_message

_MAX_ANSWER_SIZE_BYTES = 1 << 20


class NotForkedError(Exception):
    """Nothing was forked.

    Attributes
    ----------
    is_stale : bool
        True if a new process would fork.
    """

    def __init__(self, reason: str, *, is_stale: bool = False) -> None:
        super().__init__(reason)
        self.is_stale = is_stale


class ChannelClosedError(NotForkedError):
    """The process at the other end has ended, or does not answer; nothing more will come from it."""

    def __init__(self) -> None:
        super().__init__("it has ended, or does not answer", is_stale=True)


class ForkChannel:
    """Sends requests, one at a time, and returns their answers.

    After a failure it stays closed, which ends the process at the other end.
    """

    def __init__(self) -> None:
        self._own_end, self.other_end = open_socket()
        self._own_end.setblocking(False)
        self._turn = asyncio.Lock()
        self.is_open = True

    def close(self) -> None:
        """Close the socket; whoever waits for an answer sees that it is closed."""
        self.is_open = False
        self.other_end.close()
        if self._turn.locked():
            with contextlib.suppress(OSError):
                self._own_end.shutdown(socket.SHUT_RDWR)
        else:
            self._own_end.close()

    async def ask(self, request: Request, descriptors: Sequence[int] = (), *, timeout_s: float) -> Answer:
        """Send a request and return the answer; raises ``ChannelClosedError``."""
        async with self._turn:
            with self._closed_on_failure():
                if not self.is_open:
                    raise OSError
                send_message(self._own_end, request, descriptors)
                return await self._receive(timeout_s)
        raise AssertionError("unreachable")

    async def hear(self, *, timeout_s: float) -> Answer:
        """Return what the other end says first; raises ``ChannelClosedError``."""
        async with self._turn:
            with self._closed_on_failure():
                return await self._receive(timeout_s)
        raise AssertionError("unreachable")

    async def _receive(self, timeout_s: float) -> Answer:
        loop = asyncio.get_running_loop()
        data = await asyncio.wait_for(loop.sock_recv(self._own_end, _MAX_ANSWER_SIZE_BYTES), timeout_s)
        return decode_answer(data)

    @contextlib.contextmanager
    def _closed_on_failure(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, asyncio.TimeoutError) as exc:
            self.is_open = False
            self.other_end.close()
            self._own_end.close()
            raise ChannelClosedError from exc
