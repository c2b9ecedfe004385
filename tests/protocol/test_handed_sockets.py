"""A reserved port is nobody else's, and refuses callers until it listens."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from clipper_nb.protocol.handed_sockets import is_listening, listen_at, listen_on_path, reserve_port

HOST = "127.0.0.1"


def test_reserved_port_refuses_callers_until_it_listens():
    with reserve_port(HOST, 0) as reserved:
        address = reserved.getsockname()
        assert not is_listening(reserved)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        reserved.listen()
        assert is_listening(reserved)
        socket.create_connection(address).close()


@pytest.mark.parametrize("take", [reserve_port, listen_at])
def test_reserved_port_is_taken(take):
    with reserve_port(HOST, 0) as reserved, pytest.raises(OSError, match="in use"):
        take(HOST, reserved.getsockname()[1])


def test_unix_socket_is_for_its_user_and_replaces_a_predecessors(tmp_path):
    path = tmp_path / "0.sock"
    listen_on_path(path).close()
    mask = os.umask(0)
    try:
        with listen_on_path(path) as listening, socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(path))
            assert is_listening(listening)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(mask)
