"""A server that answers requests of clients as a query frontend does, or in the other ways that a test scripts."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.certificates import Files

BREAK = "break"
"""In place of a reply: the connection ends without one."""


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    connection: int
    """The client's port, which is one per connection."""


@dataclass
class Script:
    """What the server answers, and what it was asked.

    Attributes
    ----------
    input_type : str
    slo_micros : int
    before : list
        For each of the first predictions ``BREAK``, a status with a body and headers, or seconds to wait; then it
        answers each input with the input.
    """

    input_type: str = "doubles"
    slo_micros: int = 100_000
    before: list[Any] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    closes: bool = False
    """Whether it closes each connection after its reply, without saying so."""
    url: str = ""

    @property
    def bodies(self) -> list[Any]:
        """The bodies of the predictions."""
        return [asked.body for asked in self.asked if asked.method == "POST"]

    def answer(self, asked: Asked) -> Any:
        """Return status, body and headers, or ``BREAK``."""
        if asked.path == "/":
            return 200, {"applications": [{"name": "app"}, {"name": "other"}]}, {}
        if asked.method == "GET":
            facts = {"name": "app", "input_type": self.input_type, "latency_slo_micros": self.slo_micros}
            return (200, facts, {}) if asked.path == "/app" else (404, {"error": "Not found", "cause": "No."}, {})
        first = self.before.pop(0) if self.before else 0
        if isinstance(first, (int, float)):
            time.sleep(first)
            return 200, _echo(asked.body), {}
        return first


def _echo(body: Any) -> Any:
    inputs = body["input_batch"] if "input_batch" in body else [body["input"]]
    answers = [{"query_id": n, "output": one, "default": False, "model": "m:1"} for n, one in enumerate(inputs)]
    return {"batch_predictions": answers} if "input_batch" in body else answers[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that left."""


def _make_handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"null")
            asked = Asked(self.command, self.path, dict(self.headers), body, self.client_address[1])
            script.asked.append(asked)
            answer = script.answer(asked)
            self.close_connection = script.closes or answer == BREAK
            if answer == BREAK:
                return
            status, reply, headers = answer
            text = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(text)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler


@contextmanager
def scripted_frontend(
    wrap: Callable[[Any], Any] = lambda listening: listening, scheme: str = "http", **options: Any
) -> Iterator[Script]:
    """Run a server whose listening socket is wrapped by *wrap*; *options* are those of its ``Script``."""
    script = Script(**options)
    with _Server(("127.0.0.1", 0), _make_handler(script)) as server:
        server.socket = wrap(server.socket)
        script.url = f"{scheme}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()


def over_tls(files: Files) -> Callable[[Any], Any]:
    """Return what makes a server speak TLS with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    return lambda listening: context.wrap_socket(listening, server_side=True)
