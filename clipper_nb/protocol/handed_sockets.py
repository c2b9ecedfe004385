"""Sockets that are opened by one process and served by another, which may be restarted meanwhile."""

from __future__ import annotations

import os
import socket
from pathlib import Path

_BACKLOG = 1024


def listen_at(host: str, port: int) -> socket.socket:
    """Return a socket that listens at a TCP port, or at a free one for 0; may raise ``OSError``."""
    return socket.create_server((host, port), backlog=_BACKLOG)


def reserve_port(host: str, port: int) -> socket.socket:
    """Return a socket that has a TCP port and does not listen yet; whoever connects is refused.

    Without ``SO_REUSEADDR``, so that no other process can take the port meanwhile. May raise ``OSError``.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def listen_on_path(path: Path, *, for_everybody: bool = False) -> socket.socket:
    """Return a socket that listens at *path*, for this user unless *for_everybody*, in place of a predecessor's."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        old_umask = os.umask(0o111 if for_everybody else 0o177)
        try:
            listening.bind(str(path))
        finally:
            os.umask(old_umask)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def is_listening(bound: socket.socket) -> bool:
    """Return whether a socket listens, and has not only an address."""
    return bool(bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def rpc_socket_name(frontend_index: int) -> str:
    """Return the name of a query frontend's Unix socket for replicas; those of one cluster are in one folder."""
    return f"{frontend_index}.sock"
