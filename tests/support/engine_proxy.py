"""A way to the Docker Engine that can be cut, so that only one connection loses it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

_ENGINE_SOCKET = "/var/run/docker.sock"


class EngineProxy:
    """Carries bytes between a TCP port of loopback and the engine's socket, until it is cut."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection and take no more."""
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(_ENGINE_SOCKET)
            self._open += [client, engine]
            for source, target in ((client, engine), (engine, client)):
                threading.Thread(target=_carry, args=(source, target), daemon=True).start()


@contextlib.contextmanager
def engine_proxy() -> Iterator[EngineProxy]:
    """Give a proxy, cut in the end."""
    proxy = EngineProxy()
    try:
        yield proxy
    finally:
        proxy.cut()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
