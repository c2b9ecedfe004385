"""An input that ends the replica that computes it, once a second, costs others next to nothing."""

from __future__ import annotations

import ctypes
import threading
import time

import pytest
from load.server_metrics import read_lateness
from load.traffic import DEFAULT_OUTPUT, Traffic

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import eventually, observe, query, running_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.serial]

SLO_MS = 300
NUM_CLIENTS = 8
KILLER = [-1.0]


class _Killer:
    """A client that sends the same fatal input once a second, until the block ends."""

    def __init__(self, conn: ClipperConnection) -> None:
        self.replies: list[dict] = []
        self._conn = conn
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Killer:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._has_ended.set()
        self._thread.join(timeout=10)

    def refused(self) -> list[dict]:
        """Return the replies that say that the input was not computed."""
        return [reply for reply in self.replies if "is not computed again" in reply["default_explanation"]]

    def _run(self) -> None:
        while not self._has_ended.wait(1.0):
            self.replies.append(query(self._conn, "app", {"input": KILLER})[1])


def test_others_are_answered_while_an_input_kills_once_a_second():
    def predict(inputs: list) -> list:
        time.sleep(0.01)
        if any(x[0] < 0 for x in inputs):
            ctypes.string_at(0)  # a segmentation fault, as in a native library
        return [x[0] + 1 for x in inputs]

    with running_cluster(cache_size=0) as conn:
        create_endpoint(conn, "app", "doubles", predict, DEFAULT_OUTPUT, slo_micros=1000 * SLO_MS, num_replicas=2)
        with Traffic(conn.get_query_addr(), "app") as traffic, _Killer(conn) as killer:
            report = traffic.run_closed(num_clients=NUM_CLIENTS, duration_s=7.0)
            eventually(lambda: len(killer.refused()) >= 2, within_s=20, what="the input is found out")
        lateness = read_lateness(conn.get_query_addr(), "app")
        eventually(lambda: len(conn.get_all_model_replicas()) == 2, within_s=20, what="both replicas are back")
        replicas = observe(conn, "replica")
        num_exits = sum(replica.num_exits for replica in replicas)
        # By these the supervisor knows that a replica was ready when it ended, and need not wait long.
        marks = [conn.cm._folder.log_path(replica.name).with_suffix(".ready") for replica in replicas]
        eventually(lambda: all(mark.exists() for mark in marks), within_s=20, what="the supervisor is told")
    assert report.num_failed == 0, report
    assert report.num_predictions >= 0.99 * report.num_sent, report
    assert "no_ready_replica" not in report.defaults, "one replica is there at all times"
    # A stall of the machine delays what is under way, one query of each client; more than a few of them are a fault.
    assert lateness.num_later_than(0.02) <= 0.001 * lateness.num_answers + 3 * NUM_CLIENTS
    assert num_exits == 2, "it was tried again once, apart"
    refused = killer.refused()
    assert killer.replies[-len(refused) :] == refused, "once it is found out, it is never computed again"
    assert {reply["default_reason"] for reply in refused} == {"model_error"}
