"""A replica serves every query frontend that one name stands for, as they come and go."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.model_container import frontend_names
from clipper_nb.runtime.model_container.client import ModelContainerClient
from clipper_nb.runtime.model_container.frontend_names import FrontendNames, look_up


class Echo:
    def predict(self, inputs):
        return list(inputs)


class Frontend:
    """A query frontend's port, which takes connections and says nothing."""

    def __init__(self):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.settimeout(5)
        self.address = f"127.0.0.1:{self.listening.getsockname()[1]}"

    def accept(self):
        return self.listening.accept()[0]


@contextmanager
def running(addresses):
    """Run a replica that finds the addresses in a list, until the end of the block."""
    client = ModelContainerClient(
        Echo(), ModelId("m", "1"), InputType.INTEGERS, ["by-name:7000"], find_addresses=lambda: tuple(addresses)
    )
    thread = threading.Thread(target=client.run)
    thread.start()
    try:
        yield
    finally:
        client.stop()
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.slow
def test_new_frontends_get_the_replica_and_old_ones_keep_it():
    with ExitStack() as stack:
        first, second = Frontend(), Frontend()
        for each in (first, second):
            stack.enter_context(each.listening)
        addresses: list[str] = []
        with running(addresses):
            addresses.append(first.address)
            to_first = stack.enter_context(first.accept())
            addresses[:] = [second.address]
            stack.enter_context(second.accept())
            to_first.settimeout(1.5)
            while True:  # it still hears the replica
                try:
                    assert to_first.recv(1000)
                except TimeoutError:
                    break
            to_first.close()
            first.listening.settimeout(2.5)
            with pytest.raises(TimeoutError):  # nobody connects again to an address without a name
                first.accept()


def test_a_name_gives_all_its_addresses(monkeypatch):
    def found(host, port, **_):
        addresses = ["10.0.0.2", "10.0.0.1", "10.0.0.2", "fd00::1"]
        return [(0, 0, 0, "", (each, port, 0, 0) if ":" in each else (each, port)) for each in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    assert look_up("frontends", 7000) == ("10.0.0.1:7000", "10.0.0.2:7000", "[fd00::1]:7000")


def test_a_name_that_is_unknown_now_changes_nothing(monkeypatch):
    replies = [("10.0.0.1:7000",), (), ("10.0.0.2:7000",)]
    monkeypatch.setattr(frontend_names, "_INTERVAL_S", 0.01)
    monkeypatch.setattr(frontend_names, "look_up", lambda *_: replies.pop(0) if len(replies) > 1 else replies[0])
    names, seen = FrontendNames("frontends", 7000), []
    deadline_s = time.monotonic() + 5
    while (found := names.addresses()) != ("10.0.0.2:7000",):
        seen.append(found)
        assert time.monotonic() < deadline_s
    assert set(seen) <= {("10.0.0.1:7000",)}


def test_a_name_server_that_is_away_is_no_error(monkeypatch):
    def away(*_, **__):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", away)
    assert look_up("frontends", 7000) == ()
