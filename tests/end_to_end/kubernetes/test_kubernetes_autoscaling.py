"""The Deployment of an autoscaled version has as many replicas as its load needs."""

from __future__ import annotations

import time

import pytest

from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import eventually, query
from tests.support.kubernetes_clusters import KubernetesCluster
from tests.support.kubernetes_managers import new_kubernetes_manager, running_on_kubernetes
from tests.support.load import Load

pytestmark = [pytest.mark.kubernetes, pytest.mark.docker, pytest.mark.timeout(300)]
SLO_MICROS = 10_000_000  # a lost query would get the default output then; a busy machine is no loss


def slow(inputs: list) -> list:
    """Take 100 ms for each input."""
    time.sleep(0.1 * len(inputs))
    return [x.sum() for x in inputs]


def test_pods_follow_the_load_and_no_query_is_lost(kubernetes: KubernetesCluster, namespace: str) -> None:
    manager = new_kubernetes_manager(kubernetes, namespace)
    with running_on_kubernetes(manager, query_token=False) as conn:
        create_endpoint(conn, "slow", "doubles", slow, slo_micros=SLO_MICROS, batch_size=1)
        conn.set_num_replicas("slow", min=1, max=3, target=0.02, period_s=2, stable_s=3)
        with Load(conn.get_query_addr(), "slow", num_clients=8, max_s=120) as load:
            eventually(lambda: len(conn.get_all_model_replicas()) == 3, within_s=90, what="growth")
            load.wait_for(100)
        assert [reply for reply in load.replies if reply.status != 200 or reply.body["default"]] == []
        statuses = []

        def has_fallen() -> bool:
            status, reply = query(conn, "slow", {"input": [len(statuses)]})
            statuses.append((status, reply["default"]))
            time.sleep(0.5)
            return len(conn.get_all_model_replicas()) == conn.get_num_replicas("slow") == 1

        eventually(has_fallen, within_s=120, what="fall")
        assert set(statuses) == {(200, False)}
