"""Clients that ask for predictions and check every reply: a process of its own, told what to do on its standard input.

Started by ``traffic.py``, which describes the commands and the report. Each line of the input is a command, each line
of the output an answer, both JSON.

Every input is a number that no other query has, and the model adds the number of its version to it, so a reply shows
whose it is and which version made it. A query whose connection was closed before any byte of its reply came is sent
again on a connection that is new or has just answered, as HTTP client libraries do with what may be repeated. With a
*patience* a connection that stays silent for so long is closed, as by a client's timeout: a machine whose power is cut
says nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import resource
import sys
import time
from collections import deque
from typing import Any

import httptools
import msgspec
import uvloop
from load.tally import Tally

MAX_TRIES = 3
INPUT_STEP = 16
"""Between two inputs; larger than any version's number, so that an output fits one input only."""
_TICK_S = 0.001
_LATEST_REPLY_S = 10.0
_LATE_S = 0.005
_LOOK_INTERVAL_S = 0.1


class Reply(msgspec.Struct):
    """What the body of a reply says."""

    query_id: int
    output: float
    default: bool
    default_reason: str | None = None


_decode = msgspec.json.Decoder(Reply).decode


class Query:
    """One query and what is known of it."""

    __slots__ = ("due_s", "era", "sent_s", "tries", "value")

    def __init__(self, value: int, era: int, due_s: float) -> None:
        self.value = value
        self.era = era
        self.due_s = due_s
        self.sent_s = 0.0
        self.tries = 0


class Connection(asyncio.Protocol):
    """One keep-alive connection, with one query at a time."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._has_heard = False
        self._last_query_id = -1
        self.query: Query | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self._clients.on_free(self)

    def send(self, query: Query) -> None:
        """Ask; the connection must be free."""
        self.query = query
        self._has_heard = False
        query.tries += 1
        query.sent_s = time.monotonic()
        self.transport.write(self._clients.format_request(query))

    def close_if_silent(self, since_s: float) -> bool:
        """Close it if its query was sent before that instant; return whether it was."""
        is_silent = self.query is not None and self.query.sent_s < since_s
        if is_silent:
            self.transport.abort()
        return is_silent

    def data_received(self, data: bytes) -> None:
        self._has_heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as exc:
            self._clients.tally.note(f"not HTTP: {exc}: {data[:200]!r}")
            self.transport.abort()

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        query, self.query = self.query, None
        if query is None:
            self._clients.tally.num_wrong += 1
            self._clients.tally.note(f"a reply that nobody asked for: {self._body[:200]!r}")
            return
        query_id = self._clients.on_reply(query, self._parser.get_status_code(), self._body)
        if query_id is not None:
            if query_id <= self._last_query_id:  # a frontend counts the queries in the order of their arrival
                self._clients.tally.num_wrong += 1
                self._clients.tally.note(f"query id {query_id} after {self._last_query_id} on one connection")
            self._last_query_id = query_id
        if self._parser.should_keep_alive():
            self._clients.on_free(self)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        query, self.query = self.query, None
        self._clients.on_lost(self, query, self._has_heard)


class Clients:
    """All connections, and the queries that they are to send."""

    def __init__(self, address: str, application: str, default_output: float) -> None:
        host, port = address.split(":")
        self._host, self._port = host, int(port)
        self._head = (
            f"POST /{application}/predict HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
            "Content-Length: "
        ).encode()
        self._default_output = default_output
        self._next_value = random.randrange(2**20) * 2**30 // INPUT_STEP * INPUT_STEP
        # Which versions may answer, era by era: a query may be answered as in any era from its own to the present.
        self._eras: list[frozenset[int]] = [frozenset({1})]
        self.tally = Tally()
        self._loop = asyncio.get_running_loop()
        self._num_wanted = 0
        self._connections: set[Connection] = set()
        self._free: deque[Connection] = deque()
        self._waiting: deque[Query] = deque()
        self._refills = False
        self._looks_next_s = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what the connections tell

    def format_request(self, query: Query) -> bytes:
        """Return the bytes of a query's request."""
        body = b'{"input":[%d]}' % query.value
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)

    def on_free(self, connection: Connection) -> None:
        """Give a connection its next query."""
        if connection not in self._connections:
            connection.transport.close()
        elif self._waiting:
            connection.send(self._waiting.popleft())
        elif self._refills:
            connection.send(self._make_query(time.monotonic()))
        else:
            self._free.append(connection)

    def on_reply(self, query: Query, status: int, body: bytes) -> int | None:
        """Judge a reply, and return its query id."""
        tally = self.tally
        latency_s = time.monotonic() - query.due_s
        (tally.latencies if query.tries == 1 else tally.latencies_tried_again).add(latency_s)
        tally.num_answered += 1
        if status != 200:
            tally.statuses[status] += 1
            tally.note(f"status {status}: {body[:200]!r}")
            return None
        try:
            reply = _decode(body)
        except msgspec.DecodeError:
            reply = None
        if reply is None or not self._is_right(query, reply):
            tally.num_wrong += 1
            tally.note(f"{query.value}, versions {self._eras[query.era :]}: {body[:200]!r}")
        elif reply.default:
            tally.defaults[reply.default_reason or ""] += 1
        else:
            tally.num_predictions += 1
        return None if reply is None else reply.query_id

    def on_lost(self, connection: Connection, query: Query | None, has_heard: bool) -> None:
        """Ask again what was lost before its reply began, on another connection."""
        self._connections.discard(connection)
        with contextlib.suppress(ValueError):
            self._free.remove(connection)
        if query is not None:
            if has_heard or query.tries >= MAX_TRIES:
                self.tally.num_lost += 1
                self.tally.note(f"connection lost after {query.tries} tries, reply begun: {has_heard}")
            else:
                self.tally.num_tried_again += 1
                self._waiting.appendleft(query)  # others that are free may have been closed at the same instant
        self._replace_lost()

    # --- what to send

    async def run(self, *, num_connections: int, duration_s: float, rate: float | None) -> dict[str, Any]:
        """Send queries for *duration_s*, wait for their replies, and return the report.

        With a *rate* they are sent at random instants, so many a second whatever the replies; without, each connection
        sends the next query when it has its reply.
        """
        await self._connect(num_connections)
        self.tally = tally = Tally()
        cpu_before_s = _cpu_s()
        end_s = tally.began_s + duration_s
        if rate is None:
            await self._send_in_turn(end_s)
        else:
            await self._send_at_rate(rate, end_s)
        issuing_s = time.monotonic() - tally.began_s
        await self._wait_for_replies()
        report = self.report(issuing_s, _cpu_s() - cpu_before_s)
        await self._disconnect()
        return report

    def report(self, issuing_s: float, cpu_s: float) -> dict[str, Any]:
        """Return what became of the queries so far."""
        tally = self.tally
        return {
            "duration_s": issuing_s,
            "num_sent": tally.num_sent,
            "num_answered": tally.num_answered,
            "num_predictions": tally.num_predictions,
            "defaults": dict(tally.defaults),
            "num_errors": sum(tally.statuses.values()),
            "num_wrong": tally.num_wrong,
            "num_lost": tally.num_lost,
            "num_tried_again": tally.num_tried_again,
            "num_silent": tally.num_silent,
            "latency": tally.latencies.as_dict(),
            "latency_tried_again": tally.latencies_tried_again.as_dict(),
            "num_above_ms": {str(ms): tally.latencies.num_above(ms / 1000) for ms in self.limits_ms},
            "slowest_at_s": tally.latencies.max_at_s,
            "longest_lag_ms": 1000 * tally.longest_lag_s,
            "num_sent_late": tally.num_sent_late,
            "cpu_share": cpu_s / issuing_s,
            "examples": tally.examples,
        }

    limits_ms: tuple[float, ...] = ()
    """Latencies above which replies are to be counted."""
    patience_s: float | None = None
    """After which a connection that says nothing is closed."""

    def expect(self, versions: frozenset[int]) -> None:
        """From now on these versions may answer what is sent."""
        self._eras.append(versions)

    def _is_right(self, query: Query, reply: Reply) -> bool:
        if reply.default:
            return reply.output == self._default_output
        version = reply.output - query.value
        return any(version in versions for versions in self._eras[query.era :])

    def _make_query(self, due_s: float) -> Query:
        self._next_value += INPUT_STEP
        self.tally.num_sent += 1
        return Query(self._next_value, len(self._eras) - 1, due_s)

    def _issue(self, query: Query) -> None:
        if self._free:
            self._free.popleft().send(query)
        else:
            self._waiting.append(query)

    async def _send_in_turn(self, end_s: float) -> None:
        self._refills = True
        while self._free:
            self._free.popleft().send(self._make_query(time.monotonic()))
        await asyncio.sleep(max(0.0, end_s - time.monotonic()))
        self._refills = False

    async def _send_at_rate(self, rate: float, end_s: float) -> None:
        """Send what is due, in ticks; how late a tick is shows whether this process was too slow."""
        next_s = time.monotonic()
        while next_s < end_s:
            now_s = time.monotonic()
            while next_s <= now_s:
                self.tally.longest_lag_s = max(self.tally.longest_lag_s, now_s - next_s)
                self.tally.num_sent_late += now_s - next_s > _LATE_S
                self._issue(self._make_query(now_s))
                next_s += random.expovariate(rate)
            self._close_silent()
            await asyncio.sleep(max(_TICK_S, next_s - time.monotonic()))

    async def _wait_for_replies(self) -> None:
        """Return when every query is answered, or it has been too long; then they are lost."""
        deadline_s = time.monotonic() + _LATEST_REPLY_S
        tally = self.tally
        while tally.num_answered + tally.num_lost < tally.num_sent and time.monotonic() < deadline_s:
            self._close_silent()
            await asyncio.sleep(0.005)
        if missing := tally.num_sent - tally.num_answered - tally.num_lost:
            tally.num_lost += missing
            tally.note(f"{missing} queries without a reply {_LATEST_REPLY_S:g} s after the last was sent")

    def _close_silent(self) -> None:
        now_s = time.monotonic()
        if self.patience_s is None or now_s < self._looks_next_s:
            return
        self._looks_next_s = now_s + _LOOK_INTERVAL_S
        silent = [each.close_if_silent(now_s - self.patience_s) for each in self._connections]
        self.tally.num_silent += sum(silent)

    # --- connections

    async def _connect(self, num_connections: int) -> None:
        self._num_wanted = num_connections
        self._replace_lost()
        while len(self._free) < num_connections:
            await asyncio.sleep(0.001)

    async def _disconnect(self) -> None:
        self._num_wanted = 0
        for connection in list(self._connections):
            connection.transport.abort()
        while self._connections:
            await asyncio.sleep(0.001)
        self._free.clear()
        self._waiting.clear()

    def _replace_lost(self) -> None:
        while len(self._connections) < self._num_wanted:
            connection = Connection(self)
            self._connections.add(connection)
            task = self._loop.create_task(self._open(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self, connection: Connection) -> None:
        while self._num_wanted:
            try:
                opening = self._loop.create_connection(lambda: connection, self._host, self._port)
                await asyncio.wait_for(opening, self.patience_s)
                return
            except (OSError, asyncio.TimeoutError):
                await asyncio.sleep(0.02)
        self._connections.discard(connection)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def obey(clients: Clients) -> None:
    """Obey commands until the input ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    runs: set[asyncio.Task[None]] = set()
    began_s = time.monotonic()

    async def run(arguments: dict[str, Any]) -> None:
        answer({"report": await clients.run(**arguments)})

    while line := await reader.readline():
        command, arguments = json.loads(line)
        if command == "run":
            task = asyncio.create_task(run(arguments))
            runs.add(task)
            task.add_done_callback(runs.discard)
            began_s = time.monotonic()
        elif command == "expect":
            clients.expect(frozenset(arguments["versions"]))
            answer({"expecting": arguments["versions"]})
        elif command == "look":
            answer({"so_far": clients.report(time.monotonic() - began_s, 0.0)})
        else:
            raise ValueError(command)


def answer(message: dict[str, Any]) -> None:
    """Write one line."""
    print(json.dumps(message), flush=True)


async def main() -> None:
    """Make the clients, and obey."""
    options = json.loads(sys.argv[1])
    clients = Clients(options["address"], options["application"], options["default_output"])
    clients.limits_ms, clients.patience_s = tuple(options["limits_ms"]), options["patience_s"]
    await obey(clients)


if __name__ == "__main__":
    uvloop.run(main())
