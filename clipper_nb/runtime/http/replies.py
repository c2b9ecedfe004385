"""The replies of one client's connection: in the order of its requests, as fast as it reads, within its time limits.

What one client costs is bounded: the requests and bytes that wait for an answer; the replies that it does not read; and
the time for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from clipper_nb.protocol import rest
from clipper_nb.runtime.http.exchange import Exchange, ExchangeWithHeaders
from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.http.reader import RequestReader
from clipper_nb.runtime.http.waiting_bytes import WaitingBytes

MAX_PIPELINED: Final = 128
KEEP_ALIVE_TIMEOUT_S: Final = 300.0
_MAX_PIPELINED_BYTES: Final = 1024 * 1024
_LINGER_S = 1.0
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class ReplyingConnection(asyncio.Protocol):
    """Sends replies, and reads no more than it can answer; a subclass parses what is read.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
    limits : HttpLimits
    waiting : WaitingBytes
        Counts what waits for an answer, of all connections.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: HttpLimits, waiting: WaitingBytes) -> None:
        self._loop = loop
        self._loop_time_s = loop.time
        self._limits = limits
        self._waiting = waiting
        self._transport: asyncio.Transport
        self._send: Callable[[bytes], None]
        self._reader = RequestReader(limits.max_body_size_bytes)
        self._counted_size_bytes = 0  # of the unfinished body, within the waiting bytes of all connections
        self._on_reply = self.write_replies
        self._exchanges: list[Exchange] = []  # few, and compiled a list is faster than a deque
        self.is_closing = False
        """True if no further request is accepted."""
        self._is_reading = True
        self._is_writable = True
        self._holds_back = False  # enough is in progress, or input waits already: more input is kept and waits
        self._is_resting = False  # paused within a large body, while others have their turn
        self._unparsed: memoryview | None = None  # received, and waits for time or room to be parsed
        self._parse_soon: asyncio.Handle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._wait_began_s = self._loop_time_s()
        self._wait_limit_s = KEEP_ALIVE_TIMEOUT_S
        self._has_replied = False  # since the last check: then the time limit starts at the next one
        self._unsent_size_bytes = 0  # at the last check
        self._unsent_progress_s = 0.0
        self._reply_headers = b""  # further lines of the current request's reply

    def pause_writing(self) -> None:
        self._is_writable = False
        self._read_or_pause()

    def resume_writing(self) -> None:
        self._is_writable = True
        self.wait_for(self._present_limit_s())  # its time limit starts now: while it did not read we did not either
        self._read_or_pause()

    # --- the current request

    def _new_exchange(self, keep_alive: bool, size_bytes: int = 0) -> Exchange:
        """Return an exchange for the current request."""
        if not self._reply_headers:
            return Exchange(self._on_reply, self._waiting, keep_alive, size_bytes)
        return ExchangeWithHeaders(self._on_reply, self._waiting, keep_alive, size_bytes, self._reply_headers)

    def _forget_request(self) -> None:
        """Drop the received part of the current request."""
        self._reader.forget_request()
        self._waiting.remove(self._counted_size_bytes, is_unfinished=True)
        self._counted_size_bytes = 0

    def refuse(self, status: HTTPStatus, error: str, cause: str) -> None:
        """Reply with an error, after the requests in progress, and close."""
        if self.is_closing:
            return
        self._begin_last_exchange().respond(status, rest.format_error(error, cause))

    def refuse_overload(self, cause: str) -> None:
        """Reject the request that is being received, because the server is overloaded."""
        self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "Overloaded", cause)

    def _begin_last_exchange(self) -> Exchange:
        """Return an exchange for the current request, after whose reply the connection ends."""
        exchange = self._new_exchange(keep_alive=False)
        self._exchanges.append(exchange)
        self.is_closing = True
        self._forget_request()  # its received part is useless now
        return exchange

    # --- replies

    def _send_continue(self) -> None:
        """Send ``100 Continue`` to a client that waits for it, unless earlier replies are due."""
        if self._reader.owes_continue and not self._exchanges:
            self._reader.owes_continue = False
            if not self._transport.is_closing():
                self._transport.write(_CONTINUE)

    def _start_first(self) -> None:
        """Start the request whose reply is next, if it waits for its turn."""
        first = self._exchanges[0]
        if first.start is not None:
            start, first.start = first.start, None
            start()

    def write_replies(self) -> None:
        """Write all replies that are ready and next in order."""
        exchanges = self._exchanges
        if self.is_closing and not exchanges:
            return
        if len(exchanges) == 1 and exchanges[0].keep_alive:  # the usual case
            exchange = exchanges.pop()
            reply = exchange.reply
            if reply is not None:
                self._send(reply)  # a closing transport ignores it
                if exchange.large_body:
                    self._send(exchange.large_body)
            if self._holds_back or not self._is_reading:
                self._read_or_pause()
            if self._reader.has_begun:
                self.wait_for(self._present_limit_s())
            else:
                self._has_replied = True
            return
        replies = []
        while exchanges and exchanges[0].reply is not None:
            exchange = exchanges.pop(0)
            replies.append(exchange.reply)
            if exchange.large_body:
                self._write(replies)
                self._write([exchange.large_body])
                replies = []
            if not exchange.keep_alive:
                self._write(replies)
                self._close()
                return
        self._write(replies)
        if self._holds_back or not self._is_reading:
            self._read_or_pause()
        if not exchanges:
            self.wait_for(self._present_limit_s())
        else:
            self._start_first()

    def _write(self, replies: list[bytes | None]) -> None:
        if replies and not self._transport.is_closing():
            self._transport.write(b"".join(reply for reply in replies if reply is not None))

    # --- ends

    def reject(self) -> None:
        """Reply that there are too many connections, and close immediately."""
        self.refuse_overload("There are too many connections.")
        self._transport.close()

    def close_when_idle(self) -> None:
        """Close a connection that is between requests."""
        if not self._exchanges and not self._reader.has_begun:
            self._transport.close()

    def abort(self) -> None:
        """Close immediately."""
        self._transport.abort()

    def _close(self) -> None:
        """Close after the client has had time to read; it may still be sending."""
        self.is_closing = True
        self._exchanges.clear()
        if self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._linger_timer = self._loop.call_later(_LINGER_S, self._transport.close)

    # --- time limits

    def check_timeout(self, now_s: float) -> None:
        """End the connection if the client has exceeded its time limit."""
        if self._has_replied:
            self._has_replied = False
            self._wait_began_s, self._wait_limit_s = now_s, KEEP_ALIVE_TIMEOUT_S
        if self._is_stalled(now_s):
            self._transport.abort()
        elif self._unsent_size_bytes or self._exchanges or self.is_closing:
            return
        elif now_s - self._wait_began_s > self._wait_limit_s:
            if not self._reader.has_begun:
                self._transport.close()
            else:
                self.refuse(HTTPStatus.REQUEST_TIMEOUT, "Request timeout", "The request did not arrive in time.")

    def _is_stalled(self, now_s: float) -> bool:
        """Return whether the client has read nothing of its replies for too long."""
        unsent_before = self._unsent_size_bytes
        self._unsent_size_bytes = unsent = self._transport.get_write_buffer_size()
        if unsent == 0 or unsent_before == 0 or unsent < unsent_before:
            self._unsent_progress_s = now_s
            return False
        return now_s - self._unsent_progress_s > self._limits.reply_timeout_s

    def _present_limit_s(self) -> float:
        """Return the client's current time limit, once all earlier replies have been sent."""
        if not self._reader.has_begun:
            return KEEP_ALIVE_TIMEOUT_S
        if self._reader.in_head:
            return self._limits.header_timeout_s
        self._send_continue()
        return self._limits.body_timeout_s

    def wait_for(self, limit_s: float) -> None:
        """Start a time limit for the client."""
        self._has_replied = False
        self._wait_began_s = self._loop_time_s()
        self._wait_limit_s = limit_s

    # --- room

    def _parse_unparsed(self) -> None:
        """Parse waiting data, for as long as it may."""
        raise NotImplementedError

    def _may_take(self) -> bool:
        """Return whether the client reads its replies and does not have too many requests in progress."""
        return (
            self._is_writable
            and len(self._exchanges) < MAX_PIPELINED
            and sum(exchange.size_bytes for exchange in self._exchanges) < _MAX_PIPELINED_BYTES
        )

    def _read_or_pause(self) -> None:
        """Continue with data that waits to be parsed while more may be accepted, else read.

        When enough is in progress, one more piece is read: otherwise the end of the connection would go unnoticed.
        """
        if self.is_closing:
            self._unparsed = None
        may_take = self._may_take()
        if may_take and self._unparsed is not None and self._parse_soon is None:
            self._parse_soon = self._loop.call_soon(self._parse_unparsed)
        self._holds_back = not may_take or self._unparsed is not None
        wanted = self._is_writable and self._unparsed is None and not self._is_resting
        if wanted != self._is_reading and not self._transport.is_closing():
            self._is_reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
