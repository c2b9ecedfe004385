"""A copy of what the API server has follows it, also when a watch is lost."""

from __future__ import annotations

import threading
import time

import pytest

from clipper_nb.container_managers.kubernetes.api import KubernetesApi
from clipper_nb.container_managers.kubernetes.reflector import Reflector
from tests.support.api_server import serving


class Server:
    """Has pods, and answers lists and watches; a watch waits for the next of *changes*."""

    def __init__(self):
        self.pods: dict[str, dict] = {}
        self.version = 1
        self.streams: list[list[dict]] = []
        self.has_streams = threading.Semaphore(0)
        self.num_lists = 0
        self.is_down = False

    def answer(self, method, path, parameters, body):
        if self.is_down:
            return 500, {"message": "down"}
        if "watch" not in parameters:
            self.num_lists += 1
            return 200, {"items": list(self.pods.values()), "metadata": {"resourceVersion": str(self.version)}}
        return 200, self.next_stream()

    def next_stream(self):
        if self.has_streams.acquire(timeout=10):
            yield from self.streams.pop(0)

    def send(self, *events):
        self.streams.append(list(events))
        self.has_streams.release()


def pod(uid, version="2"):
    return {"metadata": {"uid": uid, "name": uid, "resourceVersion": version}}


def event(kind, uid, version="2"):
    return {"type": kind, "object": pod(uid, version)}


@pytest.fixture
def server(tmp_path):
    server = Server()
    with serving(server.answer, tmp_path) as kubeconfig:
        server.reflector = Reflector(KubernetesApi("team", kubeconfig), "Pod", {"a": "b"})
        yield server
        server.reflector.stop()
        server.send()
        server.send()


def names(server):
    return sorted(each["metadata"]["name"] for each in server.reflector.objects())


def until(server, wanted):
    assert server.reflector.wait_until(lambda _: names(server) == wanted, 5), names(server)


def test_before_it_runs_it_asks_the_server(server):
    server.pods = {"p": pod("p")}
    assert names(server) == ["p"]
    assert server.num_lists == 1


def test_changes_are_followed_without_another_list(server):
    server.pods = {"p": pod("p")}
    server.reflector.start()
    assert server.reflector.wait_until(lambda _: server.reflector._is_in_sync, 5)
    num_lists = server.num_lists
    server.send(event("ADDED", "q"), event("BOOKMARK", "x", "9"))
    until(server, ["p", "q"])
    server.send(event("DELETED", "p"))
    until(server, ["q"])
    assert server.num_lists == num_lists


def test_a_forgotten_version_is_listed_again(server):
    server.reflector.start()
    until(server, [])
    server.pods = {"late": pod("late")}
    server.send({"type": "ERROR", "object": {"kind": "Status", "code": 410}})
    until(server, ["late"])


def test_a_lost_server_is_found_again(server):
    server.reflector.start()
    until(server, [])
    server.is_down = True
    server.send()
    time.sleep(0.2)
    server.pods, server.is_down = {"new": pod("new")}, False
    until(server, ["new"])


def test_a_stop_ends_a_watch_that_waits(server):
    server.reflector.start()
    until(server, [])
    server.reflector.stop()
    server.reflector._thread.join(5)
    assert not server.reflector._thread.is_alive()


def test_waiting_in_vain_ends(server):
    assert not server.reflector.wait_until(lambda objects: bool(objects), 0.05)
