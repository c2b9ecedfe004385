"""HTTP over a Unix socket: requests, errors and deadlines are those of any frontend."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from clipper_nb.clients.http_client import HttpClient
from clipper_nb.errors import ClusterUnreachableError
from clipper_nb.protocol.handed_sockets import listen_on_path

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "admin.sock"


@pytest.fixture
def listening(path: Path) -> Iterator[socket.socket]:
    with listen_on_path(path) as listening:
        listening.settimeout(10)
        yield listening


def _client(path: Path) -> closing[HttpClient]:
    return closing(HttpClient(f"unix:{path}", "management frontend", num_connect_retries=0))


def _answer(listening: socket.socket, heads: list[bytes], num_requests: int) -> None:
    connected, _ = listening.accept()
    with connected:
        for _ in range(num_requests):
            heads.append(connected.recv(65536))
            connected.sendall(REPLY)


def test_requests_share_a_connection_and_name_this_machine(path: Path, listening: socket.socket) -> None:
    heads: list[bytes] = []
    server = threading.Thread(target=_answer, args=(listening, heads, 2))
    server.start()
    with _client(path) as client:
        for _ in range(2):
            assert client.request("GET", "/livez", timeout_s=10) == (200, b"ok")
    server.join()
    assert all(head.startswith(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n") for head in heads)


def test_socket_that_is_not_there_is_named(path: Path) -> None:
    with _client(path) as client, pytest.raises(ClusterUnreachableError, match=r"at unix:\S*/admin.sock cannot be"):
        client.request("GET", "/livez", timeout_s=10)


@pytest.mark.usefixtures("listening")
def test_silent_server_is_given_up_at_the_deadline(path: Path) -> None:
    with _client(path) as client, pytest.raises(ClusterUnreachableError, match=r"within 0\.05 s"):
        client.request("GET", "/livez", timeout_s=0.05)
