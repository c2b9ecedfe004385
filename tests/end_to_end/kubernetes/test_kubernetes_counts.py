"""Sums over query frontends do not fall when frontends are replaced or killed."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone

import pytest

from clipper_nb import ClipperConnection, ClipperException
from clipper_nb.deployers.python import create_endpoint
from clipper_nb.metrics import counter
from tests.support.clusters import eventually
from tests.support.kubernetes_managers import api_of, new_kubernetes_manager, pods_of, running_on_kubernetes
from tests.support.load import Load

pytestmark = [pytest.mark.kubernetes, pytest.mark.docker, pytest.mark.timeout(300)]
SLO_MICROS = 10_000_000
SHOWN = ("clipper_app_queries_total", "clipper_model_predictions_total", "clipper_user_seen_total")


def answer(inputs: list) -> list:
    counter("seen").inc(len(inputs))
    time.sleep(0.01)
    return [x.sum() for x in inputs]


def sums(conn: ClipperConnection) -> list[float]:
    shown = conn.inspect_instance()
    return [sum(series["value"] for series in shown.get(name, ())) for name in SHOWN]


class Watch:
    """Reads the sums again and again, until it is told to stop."""

    def __init__(self, conn: ClipperConnection) -> None:
        self.seen: list[list[float]] = []
        self._conn = conn
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._stopping.wait(0.2):
            try:
                self.seen.append(sums(self._conn))
            except ClipperException:  # the frontend that was asked is just ending
                continue

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=30)


def test_no_sum_falls_while_frontends_are_replaced_and_killed(kubernetes, namespace):
    manager = new_kubernetes_manager(kubernetes, namespace)
    api, role = api_of(manager), "query_frontend"
    with running_on_kubernetes(manager, query_token=False, num_frontend_replicas=2) as conn:
        create_endpoint(conn, "app", "doubles", answer, slo_micros=SLO_MICROS)
        watch = Watch(conn)
        before = pods_of(manager, role)
        with Load(conn.get_query_addr(), "app", num_clients=4, max_s=200, retries=True) as load:
            load.wait_for(50)
            now = datetime.now(timezone.utc).isoformat()
            change = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": now}}}}}
            api.patch("Deployment", f"query-frontend-at-{manager.cluster_name}", change)  # kubectl rollout restart
            eventually(
                lambda: len(pods_of(manager, role)) == 2 and not set(before) & set(pods_of(manager, role)),
                within_s=120, what="both are replaced",
            )  # fmt: skip
            load.wait_for(50)
            num_answered = sum(reply.status == 200 for reply in load.replies)
            assert sums(conn)[0] >= num_answered, "an orderly end loses nothing"
            api.delete("Pod", pods_of(manager, role)[0], grace_s=0)
            load.wait_for(50)
        time.sleep(1.5)  # one more report of what the model counts
        watch.stop()
        assert len(watch.seen) > 10
        for name, values in zip(SHOWN, zip(*watch.seen, strict=True), strict=True):
            assert list(values) == sorted(values), f"{name} fell"
            assert values[-1] > 100
