"""When a container takes a query frontend for lost."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.rpc import NewContainer
from clipper_nb.runtime.model_container.connection import FrontendConnection
from clipper_nb.runtime.model_container.session import SILENCE_TIMEOUT_S


def test_frontend_with_unread_messages_is_not_lost() -> None:
    """A prediction may take longer than a frontend may be silent; what it said meanwhile is still unread then."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connection = FrontendConnection(f"127.0.0.1:{listening.getsockname()[1]}", _introduce, can_prove=False)
        with contextlib.closing(connection):
            connection.keep_up(now_s=time.monotonic())
            frontend, _ = listening.accept()
            with frontend:
                much_later_s = time.monotonic() + 2 * SILENCE_TIMEOUT_S
                frontend.sendall(b"x")
                _wait_until_readable(connection)
                connection.keep_up(now_s=much_later_s)
                assert connection.fileno is not None


def test_silent_frontend_is_lost() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connection = FrontendConnection(f"127.0.0.1:{listening.getsockname()[1]}", _introduce, can_prove=False)
        with contextlib.closing(connection):
            connection.keep_up(now_s=time.monotonic())
            connection.keep_up(now_s=time.monotonic() + 2 * SILENCE_TIMEOUT_S)
            assert connection.fileno is None


def test_a_far_frontend_is_connected_to_beside_the_predictions() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        connection = FrontendConnection(address, _introduce, can_prove=False, is_far=True)
        with contextlib.closing(connection):
            deadline_s = time.monotonic() + 5
            while connection.fileno is None:
                connection.keep_up(now_s=time.monotonic())
                time.sleep(0.001)
                assert time.monotonic() < deadline_s
            frontend, _ = listening.accept()
            with frontend:
                frontend.settimeout(5)
                assert frontend.recv(100)  # its greeting


def test_a_far_frontend_whose_machine_is_gone_delays_nothing() -> None:
    with _silent_address() as address:
        connection = FrontendConnection(address, _introduce, can_prove=False, is_far=True)
        started_s = time.monotonic()
        for _ in range(5):
            connection.keep_up(now_s=time.monotonic())
        assert connection.is_connecting
        connection.close()
        assert time.monotonic() - started_s < 2.0  # a single attempt that is waited for takes that long
        assert not connection.is_connecting


@contextlib.contextmanager
def _silent_address() -> Iterator[str]:
    """Yield an address that answers no attempt to connect: its queue is full."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def _introduce(challenge: bytes) -> NewContainer:
    return NewContainer("m", "1", InputType.DOUBLES)


def _wait_until_readable(connection: FrontendConnection) -> None:
    fd = connection.fileno
    assert fd is not None
    copy = socket.socket(fileno=socket.dup(fd))
    with copy:
        copy.settimeout(10)
        assert copy.recv(1, socket.MSG_PEEK) == b"x"
