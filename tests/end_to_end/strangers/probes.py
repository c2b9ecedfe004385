"""What is sent to the listeners of a cluster, and what came of it in a few words.

Model code runs this too, in its replica: so it needs the standard library alone.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace

ANSWERED = "answered"
UNREACHABLE = "not reachable"
UNTRUSTED = "rejects the certificate"
NO_ANSWER = "no answer"
_TIMEOUT_S = 5.0
_HTTP = {200: ANSWERED, 401: "needs a token", 403: "rejected", 421: "rejected"}
_OTHERS = {b"-NOAUTH": "needs a password", b"\xff": "needs a proof", b'{"result"': ANSWERED}
"""How replies of Redis, of the port for replicas and of the supervisor begin."""


@dataclass(frozen=True)
class Probe:
    """One thing that somebody might ask."""

    what: str
    address: str
    """``host:port``, or the path of a Unix socket."""
    message: bytes
    is_http: bool = False
    inside: str = ""
    """Its address for model code in a container, if that is another one."""

    def with_headers(self, headers: Mapping[str, str]) -> Probe:
        """Return the same request with other header lines."""
        start, _, rest = self.message.partition(b"\r\n")
        lines = rest.split(b"\r\n")
        names = {name.lower().encode() for name in headers}
        kept = [line for line in lines if line.partition(b":")[0].lower() not in names]
        added = [f"{name}: {value}".encode() for name, value in headers.items()]
        return replace(self, message=b"\r\n".join([start, *added, *kept]))


def http_probe(what: str, address: str, request: str, body: bytes = b"", *, inside: str = "") -> Probe:
    """Return an HTTP request; *request* is its method and path."""
    head = f"{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return Probe(what, address, head.encode() + body, is_http=True, inside=inside)


def send(address: str, message: bytes, tls: ssl.SSLContext | None = None) -> str:
    """Send a message, in clear or by TLS, and return what came of it."""
    try:
        with _connect(address) as connection:
            if tls is None:
                return _exchange(connection, message)
            with tls.wrap_socket(connection, server_hostname=address.rpartition(":")[0]) as encrypted:
                return _exchange(encrypted, message)
    except ssl.SSLCertVerificationError:
        return UNTRUSTED
    except OSError:
        return UNREACHABLE


def _exchange(connection: socket.socket, message: bytes) -> str:
    connection.sendall(message)
    reply = connection.recv(65536)
    if not reply:
        return NO_ANSWER
    if reply.startswith(b"HTTP/1.1 "):
        status = int(reply.split()[1])
        return _HTTP.get(status, f"HTTP {status}")
    for beginning, outcome in _OTHERS.items():
        if reply.startswith(beginning):
            return outcome
    return f"replied {reply[:20]!r}"


def _connect(address: str) -> socket.socket:
    if not address.startswith("/"):
        host, _, port = address.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), timeout=_TIMEOUT_S)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_TIMEOUT_S)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection
