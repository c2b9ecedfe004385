"""A way to a frontend that notes each HTTP request that goes by."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator

_HEAD = re.compile(rb"(?:^|\n)(GET|POST) (\S+) HTTP/1\.1\r\n")


class CountingProxy:
    """Carries bytes between a port of loopback and a frontend.

    Attributes
    ----------
    address : str
        ``host:port``, where to send requests.
    requests : list of str
        What was asked so far: ``"POST /admin/add_app"``.
    num_connections : int
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[str] = []
        self.num_connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Break all connections and take no more."""
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.num_connections += 1
                frontend = socket.create_connection(self._target)
                self._sockets += [client, frontend]
                threading.Thread(target=self._carry, args=(client, frontend, self.requests), daemon=True).start()
                threading.Thread(target=self._carry, args=(frontend, client, []), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, seen: list[str]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                seen += [f"{method.decode()} {path.decode()}" for method, path in _HEAD.findall(data)]
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def counting_proxy(target: str) -> Iterator[CountingProxy]:
    """Yield a proxy to ``host:port``, closed in the end."""
    proxy = CountingProxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
