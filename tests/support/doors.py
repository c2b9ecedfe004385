"""Plain requests with any head, and the whole reply."""

from __future__ import annotations

import http.client
from contextlib import closing


def ask(address: str, method: str, path: str, **headers: str) -> http.client.HTTPResponse:
    """Return the reply to one request, which was read; a ``POST`` has the body of a prediction."""
    host, port = address.split(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=20)) as connection:
        connection.request(method, path, b'{"input": [1.0]}' if method == "POST" else None, headers)
        reply = connection.getresponse()
        reply.read()
        return reply
