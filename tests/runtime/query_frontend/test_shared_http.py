"""Connections on a socket that several servers share, here in one process: who takes which, and how one leaves."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import tempfile
from pathlib import Path

import pytest

from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.workers.http import ConnectionCounts, SharedHttpServer, make_connection_counts

_REQUEST = b"POST /app/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


async def start_servers(number, answer=None):
    """Return the address and that many servers on it; each answers with its number."""
    with tempfile.TemporaryDirectory() as folder:
        counts = make_connection_counts(Path(folder, "connections"), number)
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    servers = []
    for worker in range(number):

        def endpoint(name, body, arrived_s, respond, worker=worker):
            if answer is not None:
                return answer(worker, respond)
            respond(200, str(worker).encode())
            return None

        server = SharedHttpServer(endpoint, None, HttpLimits(1000, 5, 5, max_connections=1000), counts, worker)
        await server.start(listening.dup())
        servers.append(server)
    address = listening.getsockname()[:2]
    listening.close()
    return address, servers


async def reply(reader):
    """Return head and body of one reply."""
    head = await reader.readuntil(b"\r\n\r\n")
    return head, await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))


async def connect(address, number):
    """Return that many connections."""
    return [await asyncio.open_connection(*address) for _ in range(number)]


async def until(is_true):
    """Return when something is so that happens by itself."""
    deadline_s = asyncio.get_running_loop().time() + 20
    while not is_true():
        assert asyncio.get_running_loop().time() < deadline_s
        await asyncio.sleep(0.01)


async def close_all(connections, servers):
    for _, writer in connections:
        writer.close()
    await asyncio.gather(*(server.stop() for server in servers))


def test_connections_that_come_together_are_spread():
    async def test():
        address, servers = await start_servers(3)
        connections = await connect(address, 60)
        await until(lambda: sum(len(server.connections) for server in servers) == 60)
        assert all(15 <= len(server.connections) <= 25 for server in servers)
        await close_all(connections, servers)

    asyncio.run(test())


def test_busier_frontend_takes_connections_of_a_hung_one():
    async def test():
        address, servers = await start_servers(2)
        servers[1].loop.remove_reader(servers[1]._acceptor._listening.fileno())  # it hangs, and has the fewest
        connections = await connect(address, 20)
        await until(lambda: len(servers[0].connections) == 20)
        assert not servers[1].connections
        await close_all(connections, servers)

    asyncio.run(test())


def test_connections_that_end_are_no_longer_counted(tmp_path):
    counts = make_connection_counts(tmp_path / "connections", 2)
    assert not counts.has_its_share(0)
    ConnectionCounts(tmp_path / "connections").tell(0, 3)  # as another process does
    assert not counts.has_its_share(0)  # the other is not there
    counts.tell(1, 2)
    assert counts.has_its_share(0)
    counts.tell(0, 2)
    assert not counts.has_its_share(0)
    counts.tell(0, 3)
    counts.leave(1)
    assert not counts.has_its_share(0)


def test_leaving_frontend_answers_its_requests_and_loses_none():
    """Clients that ask one thing after the other: every reply comes, and the last one says that the connection ends."""

    async def test():
        waiting = []

        def later(worker, respond):
            waiting.append(respond)
            asyncio.get_running_loop().call_later(0.02, respond, 200, b"1")

        address, servers = await start_servers(1, later)
        connections = await connect(address, 8)

        async def ask(reader, writer):
            while True:
                writer.write(_REQUEST)
                head, body = await reply(reader)
                assert body == b"1"
                if b"Connection: close" in head:
                    assert await reader.read() == b""
                    return

        clients = [asyncio.create_task(ask(*connection)) for connection in connections]
        await until(lambda: len(waiting) > 16)
        await servers[0].stop()
        await asyncio.wait_for(asyncio.gather(*clients), 20)
        await close_all(connections, servers)

    asyncio.run(test())


def test_new_client_of_a_leaving_frontend_is_taken_by_another():
    async def test():
        address, servers = await start_servers(2)
        leaving = asyncio.create_task(servers[0].stop())
        await asyncio.sleep(0)
        connections = await connect(address, 10)
        for reader, writer in connections:
            writer.write(_REQUEST)
            assert (await reply(reader))[1] == b"1"
        await leaving
        await close_all(connections, servers)

    asyncio.run(test())


def test_silent_client_does_not_delay_a_leaving_frontend():
    async def test():
        address, servers = await start_servers(1)
        connections = await connect(address, 1)
        await until(lambda: servers[0].connections)
        await asyncio.wait_for(servers[0].stop(), 20)
        assert await asyncio.wait_for(connections[0][0].read(), 20) == b""
        await close_all(connections, servers)

    asyncio.run(test())


@pytest.mark.slow
def test_when_no_more_files_may_be_opened_it_tries_again(caplog):
    class Full:
        """A listening socket that cannot give a connection the first time."""

        def __init__(self, real):
            self.real, self.num_failures = real, 0

        def accept(self):
            if not self.num_failures:
                self.num_failures += 1
                raise OSError(errno.EMFILE, "Too many open files")
            return self.real.accept()

        def __getattr__(self, name):
            return getattr(self.real, name)

    async def test():
        address, servers = await start_servers(1)
        acceptor = servers[0]._acceptor
        acceptor._listening = Full(acceptor._listening)
        connections = await connect(address, 1)
        await until(lambda: servers[0].connections)
        assert acceptor._listening.num_failures == 1
        assert "Too many open files" in caplog.text
        with contextlib.suppress(OSError):
            await close_all(connections, servers)

    asyncio.run(test())
