"""What goes wrong on the way of a request becomes an error of ours, and says whether it may pass."""

from __future__ import annotations

import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from clipper_nb.clients.http_client import HttpClient
from clipper_nb.errors import ClusterUnreachableError

BREAK = 0
"""In place of a status: the connection ends without an answer."""


class Frontend(socketserver.ThreadingTCPServer):
    """Answers with the given statuses, one request after the other, and keeps what it was asked."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, statuses: Sequence[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses = list(statuses)
        self.requests: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Frontend

    def do_GET(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        status = self.server.statuses.pop(0)
        if status == BREAK:
            return
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_GET  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def frontend(*statuses: int) -> Iterator[tuple[Frontend, HttpClient]]:
    with Frontend(statuses) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with closing(HttpClient("{}:{}".format(*server.server_address), "query frontend")) as client:
                yield server, client
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("status", [200, 301, 404, 503])
def test_every_status_is_an_answer(status: int) -> None:
    with frontend(status) as (server, client):
        assert client.request("POST", "/a", timeout_s=10) == (status, b"ok")
    assert server.requests == ["POST /a"]


def test_request_that_may_be_repeated_is_sent_once_more() -> None:
    with frontend(BREAK, 200) as (server, client):
        assert client.request("GET", "/livez", timeout_s=10, is_repeatable=True) == (200, b"ok")
    assert server.requests == ["GET /livez"] * 2


@pytest.mark.parametrize(("is_repeatable", "number"), [(False, 1), (True, 2)])
def test_broken_connection_may_recover_soon(is_repeatable: bool, number: int) -> None:
    with frontend(BREAK, BREAK, 200) as (server, client), pytest.raises(ClusterUnreachableError) as caught:
        client.request("POST", "/a", timeout_s=10, is_repeatable=is_repeatable)
    assert caught.value.is_passing
    assert "The query frontend at http://127.0.0.1:" in str(caught.value)
    assert "broke the connection during POST /a" in str(caught.value)
    assert len(server.requests) == number


def test_frontend_that_is_not_there_may_come_back() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with (
        closing(HttpClient(f"127.0.0.1:{port}", "query frontend", num_connect_retries=0)) as client,
        pytest.raises(ClusterUnreachableError, match="cannot be reached") as caught,
    ):
        client.request("GET", "/livez", timeout_s=10)
    assert caught.value.is_passing


def test_frontend_that_keeps_silent_is_not_waited_for_again() -> None:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as silent,
        closing(HttpClient("{}:{}".format(*silent.getsockname()), "query frontend")) as client,
        pytest.raises(ClusterUnreachableError, match=r"has not answered GET /livez within 0\.05 s") as caught,
    ):
        client.request("GET", "/livez", timeout_s=0.05)
    assert not caught.value.is_passing


_SCRIPT = """
import os, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from clipper_nb.clients.http_client import HttpClient

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        text = str(self.client_address[1]).encode()  # one per connection
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = HttpClient(f"127.0.0.1:{server.server_port}", "a server")

def ask():
    return int(client.request("GET", "/", timeout_s=10)[1])

first = ask()
read_end, write_end = os.pipe()
if os.fork() == 0:
    os.write(write_end, str(ask()).encode())
    os._exit(0)
in_child = int(os.read(read_end, 100))
os.wait()
print(ask() == first, in_child == first)
"""


def test_kept_connection_is_not_shared_with_a_forked_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], env={**os.environ, "PYTHONPATH": os.getcwd()}, timeout=60,
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["True", "False"]
