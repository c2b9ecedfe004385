"""An HTTP server that answers as a test says, for what talks to the API server of a Kubernetes."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = Callable[[str, str, dict[str, str], Any], "tuple[int, Any]"]
"""From method, path, parameters and body to status and JSON; an iterator's values are lines of a stream."""


@contextlib.contextmanager
def serving(answer: Answer, folder: Path) -> Iterator[Path]:
    """Yield the kubeconfig of a server that answers so, in *folder*."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            url = urlsplit(self.path)
            parameters = {name: values[0] for name, values in parse_qs(url.query).items()}
            status, reply = answer(self.command, url.path, parameters, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if isinstance(reply, Iterator):
                self.send_header("Connection", "close")
                self.end_headers()
                for each in reply:
                    with contextlib.suppress(OSError):  # the client may have left
                        self.wfile.write(json.dumps(each).encode() + b"\n")
                return
            data = _encode(reply)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def __getattr__(self, name: str) -> Any:
            if name.startswith("do_"):
                return self._handle
            raise AttributeError(name)

        def log_message(self, *_: Any) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield write_kubeconfig(folder, f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_kubeconfig(folder: Path, address: str) -> Path:
    """Write a kubeconfig with one server, and return its path."""
    path = folder / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": address}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    return path


def _encode(reply: Any) -> bytes:
    return reply.encode() if isinstance(reply, str) else json.dumps(reply).encode()
