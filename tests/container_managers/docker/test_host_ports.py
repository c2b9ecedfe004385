"""Ports of the host: the requested ones, or free ones in place of those that are busy."""

from __future__ import annotations

import pytest

from clipper_nb.container_managers.docker.host_ports import run_at_free_ports
from clipper_nb.errors import ClusterError, ClusterStartError


class Engine:
    """Rejects busy ports as Docker and Podman do."""

    def __init__(self, *busy, sentence="Bind for 127.0.0.1:{port} failed: port is already allocated"):
        self.busy, self.sentence, self.calls = set(busy), sentence, []

    def run(self, ports):
        self.calls.append(dict(ports))
        for port in ports.values():
            if port in self.busy:
                raise ClusterError(self.sentence.format(port=port))


def test_free_ports_are_taken_as_requested():
    engine = Engine()
    assert run_at_free_ports(engine.run, {"query": 1337, "rpc": 7000}, "frontend") == {"query": 1337, "rpc": 7000}
    assert len(engine.calls) == 1


@pytest.mark.parametrize(
    "sentence",
    ["Bind for 127.0.0.1:{port} failed: port is already allocated", "listen :{port}: address already in use"],
)
def test_a_busy_port_alone_is_replaced(sentence):
    engine = Engine(1337, sentence=sentence)
    ports = run_at_free_ports(engine.run, {"query": 1337, "rpc": 7000}, "frontend")
    assert ports["rpc"] == 7000
    assert ports["query"] not in (0, 1337)


def test_zero_is_any_free_port():
    engine = Engine()
    assert run_at_free_ports(engine.run, {"query": 0}, "frontend")["query"] > 0


def test_another_failure_is_not_tried_again():
    calls = []

    def run(ports):
        calls.append(ports)
        raise ClusterError("no space left on device")

    with pytest.raises(ClusterError, match="no space left"):
        run_at_free_ports(run, {"query": 1337}, "frontend")
    assert len(calls) == 1


def test_tries_end_where_all_ports_are_busy():
    engine = Engine(*range(65536))
    with pytest.raises(ClusterStartError, match="No free port of the host was found for frontend in 10 tries"):
        run_at_free_ports(engine.run, {"query": 1337}, "frontend")
    assert len(engine.calls) == 10
