"""A cluster on a real Kubernetes: deployed, queried, changed, hurt, and removed without a trace."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

import pytest

from clipper_nb import (
    ClipperConnection,
    ClusterNotFoundError,
    ImageNotFoundError,
    KubernetesContainerManager,
    ModelLoadError,
    ReplicaMemoryError,
    ReplicaStartError,
    ResourceLimits,
)
from clipper_nb.deployers.python import deploy_python_closure
from clipper_nb.protocol.names import ModelId
from tests.support.clusters import eventually, query
from tests.support.kubernetes_clusters import KubernetesCluster
from tests.support.kubernetes_managers import (
    api_of,
    new_kubernetes_manager,
    objects_of,
    pods_of,
    running_on_kubernetes,
)

pytestmark = [pytest.mark.kubernetes, pytest.mark.docker, pytest.mark.timeout(300)]
SLO_MICROS = 10_000_000  # a lost query would get the default output then; a busy machine is no loss


@pytest.fixture(scope="module")
def conn(kubernetes: KubernetesCluster, namespace: str) -> Iterator[ClipperConnection]:
    """A cluster with two query frontends and two replicas of one model, which returns what it is and sees."""
    with running_on_kubernetes(new_kubernetes_manager(kubernetes, namespace), num_frontend_replicas=2) as conn:
        conn.register_application("app", "ints", "-1", SLO_MICROS)
        deploy_python_closure(conn, "model", "1", "ints", lambda xs: [1] * len(xs), num_replicas=2)
        conn.link_model_to_app("app", "model")
        yield conn


def manager_of(conn: ClipperConnection) -> KubernetesContainerManager:
    assert isinstance(conn.cm, KubernetesContainerManager)
    return conn.cm


def ask(conn: ClipperConnection, number: int = 30) -> list[object]:
    """Return the outputs of queries, each on a connection of its own, and so at any of the frontends."""
    replies = [query(conn, "app", {"input": [each]}) for each in range(number)]
    assert [reply["default_reason"] for _, reply in replies if reply["default"]] == []
    return [reply["output"] for _, reply in replies]


def frontends_of(conn: ClipperConnection) -> list[tuple[str, int]]:
    """Return the query frontends that are present, and how many replicas each has."""
    with manager_of_client(conn) as management:
        return sorted((each.frontend_id, len(each.replicas)) for each in management.get_query_frontends())


def manager_of_client(conn: ClipperConnection):
    from contextlib import closing

    from clipper_nb.clients.management_client import ManagementClient

    return closing(ManagementClient.at(conn.cm.get_admin_url(), conn.cm.get_admin_token()))


def delete_pod(conn: ClipperConnection, name: str) -> None:
    api_of(manager_of(conn)).delete("Pod", name)


def test_every_frontend_has_every_replica(conn):
    assert ask(conn) == [1] * 30
    names = pods_of(manager_of(conn), "query_frontend")
    assert [number for _, number in frontends_of(conn)] == [2, 2]
    assert {name for name, _ in frontends_of(conn)} == set(names)


def test_metrics_are_those_of_both_frontends(conn):
    def num_queries() -> float:
        [series] = conn.inspect_instance()["clipper_app_queries_total"]
        return series["value"]

    before = num_queries()
    assert ask(conn, 40) == [1] * 40
    assert num_queries() == before + 40


def test_a_new_version_answers_once_its_deploy_returns(conn):
    deploy_python_closure(conn, "model", "2_b", "ints", lambda xs: [2] * len(xs))
    assert ask(conn) == [2] * 30
    conn.set_model_version("model", "1")
    assert ask(conn) == [1] * 30
    conn.stop_versioned_models({"model": ["2_b"]})
    assert [replica.model for replica in conn.cm.observe_replicas()] == ["model:1"] * 2


def test_replicas_become_as_many_as_asked_and_lose_no_query(conn):
    conn.set_num_replicas("model", 4)
    assert [number for _, number in frontends_of(conn)] == [4, 4]
    assert ask(conn) == [1] * 30
    conn.set_num_replicas("model", 2)
    assert ask(conn) == [1] * 30
    assert [number for _, number in frontends_of(conn)] == [2, 2]


def test_a_deleted_replica_is_replaced_and_no_query_lost(conn):
    before = [replica.name for replica in conn.cm.observe_replicas()]
    delete_pod(conn, before[0])
    assert ask(conn) == [1] * 30
    eventually(
        lambda: [number for _, number in frontends_of(conn)] == [2, 2]
        and before[0] not in [replica.name for replica in conn.cm.observe_replicas()],
        within_s=60, what="another replica is connected",
    )  # fmt: skip


def test_a_deleted_query_frontend_is_replaced_with_replicas(conn):
    gone = pods_of(manager_of(conn), "query_frontend")[0]
    delete_pod(conn, gone)
    assert ask(conn, 100) == [1] * 100
    eventually(
        lambda: gone not in dict(frontends_of(conn)) and [number for _, number in frontends_of(conn)] == [2, 2],
        within_s=60, what="another query frontend has both replicas",
    )  # fmt: skip
    assert ask(conn) == [1] * 30


def test_the_configuration_outlives_the_pod_of_redis(conn):
    manager = manager_of(conn)
    before = api_of(manager).get("Pod", pods_of(manager, "redis")[0])["metadata"]["uid"]
    for role in ("redis", "management_frontend"):
        delete_pod(conn, pods_of(manager, role)[0])
    eventually(
        lambda: any(
            pod["metadata"]["uid"] != before and pod["status"]["phase"] == "Running"
            for pod in api_of(manager).find("Pod", {"ai.clipper.role": "redis"})
        ),
        within_s=60, what="Redis runs again",
    )  # fmt: skip
    other = ClipperConnection(new_kubernetes_manager_like(manager))
    eventually(lambda: connects(other), within_s=60, what="the management frontend answers")
    assert list(other.get_all_apps()) == ["app"]
    assert ask(other) == [1] * 30


def new_kubernetes_manager_like(manager: KubernetesContainerManager) -> KubernetesContainerManager:
    return KubernetesContainerManager(
        manager.cluster_name, namespace=manager.namespace, kubeconfig=manager._api._kubeconfig, useInternalIP=True
    )


def connects(conn: ClipperConnection) -> bool:
    from clipper_nb import ClipperException

    try:
        conn.connect()
        conn.get_all_apps()
    except ClipperException:
        return False
    return True


def test_a_replica_has_its_variables_and_its_own_secrets_alone(conn):
    def show(xs):
        return [{"value": os.environ["GREETING"], "names": sorted(os.environ), "uid": os.getuid()} for _ in xs]

    variables = {"GREETING": "$(HOME) & $HOME"}
    deploy_python_closure(conn, "shown", "1", "ints", show, environment_variables=variables)
    conn.register_application("shown", "ints", "-1", SLO_MICROS)
    conn.link_model_to_app("shown", "shown")
    _, reply = query(conn, "shown", {"input": [1]})
    assert reply["output"]["value"] == "$(HOME) & $HOME"
    assert reply["output"]["uid"] > 10_000
    assert not [name for name in reply["output"]["names"] if "TOKEN" in name or "REDIS" in name]
    conn.stop_models(["shown"])


@pytest.mark.parametrize(
    ("limits", "setup", "error", "message"),
    [
        (ResourceLimits(memory="900g"), None, ReplicaStartError, "finds no node: .*Insufficient memory"),
        (ResourceLimits(memory="128m"), "fill", ReplicaMemoryError, "killed at its memory limit"),
        (ResourceLimits(), "fail", ModelLoadError, "ValueError: no model here"),
    ],
)
def test_why_replicas_do_not_start_is_told_within_seconds(conn, limits, setup, error, message):
    def fill():
        kept = bytearray(400 * 1024**2)
        kept[::4096] = b"x" * len(kept[::4096])

    def fail():
        raise ValueError("no model here")

    before, started_s = conn.cm.observe_replicas(), time.monotonic()
    with pytest.raises(error, match=message):
        deploy_python_closure(
            conn, "broken", "1", "ints", lambda xs: xs, limits=limits, setup={"fill": fill, "fail": fail}.get(setup)
        )
    assert time.monotonic() - started_s < 40
    assert conn.cm.observe_replicas() == before
    assert conn.cm.observe_replicas(ModelId("broken", "1")) == []


def test_an_image_that_no_node_can_pull_is_told(conn, kubernetes):
    if kubernetes.registry is None:
        pytest.fail("this Kubernetes has no registry: set KUBERNETES_REGISTRY")
    with pytest.raises(ImageNotFoundError, match=r"cannot be had on node .*not found"):
        conn.deploy_model("absent", "1", "ints", f"{kubernetes.registry}/clipper-nowhere:1")


def test_logs_of_the_container_before_are_read_too(conn):
    manager = manager_of(conn)
    deploy_python_closure(conn, "ends", "1", "ints", _end_at_a_query)
    [replica] = conn.cm.observe_replicas(ModelId("ends", "1"))
    conn.register_application("ends", "ints", "-1", SLO_MICROS)
    conn.link_model_to_app("ends", "ends")
    query(conn, "ends", {"input": [1]})
    eventually(
        lambda: conn.cm.observe_replicas(ModelId("ends", "1"))[0].num_exits > 0, within_s=30, what="it has ended"
    )
    assert conn.cm.observe_replicas(ModelId("ends", "1"))[0].exit_status == 7
    assert "the last words" in manager.get_log_tail(replica.name, max_lines=200)
    conn.stop_models(["ends"])


def _end_at_a_query(xs):
    import os
    import sys

    sys.stderr.write("the last words\n")
    sys.stderr.flush()
    os._exit(7)


def test_a_model_reaches_the_query_frontends_and_nothing_else(conn, kubernetes):
    """Without a plugin that enforces them a pod reaches everything; the docs and the doctor say so."""
    manager = manager_of(conn)

    def connects_to(places):
        import socket

        found = []
        for place in places:
            try:
                socket.create_connection(tuple(place), timeout=2).close()
            except OSError as exc:
                found.append(type(exc).__name__)
            else:
                found.append("connected")
        return found

    def try_to(texts):
        import json

        return [connects_to(json.loads(text)) for text in texts]

    deploy_python_closure(conn, "spy", "1", "strings", try_to)
    conn.register_application("spy", "strings", "-1", 20_000_000)
    conn.link_model_to_app("spy", "spy")
    server = api_of(manager).address.removeprefix("https://").split(":")
    pods = api_of(manager).find("Pod", {"ai.clipper.model.name": "model"})
    other = next(pod for pod in pods if pod["status"].get("podIP"))  # one that has just ended has none any more
    places = [
        ("query-frontend-rpc-at-" + manager.cluster_name, 7000), ("redis-at-" + manager.cluster_name, 6379),
        ("mgmt-frontend-at-" + manager.cluster_name, 1338), (server[0], int(server[1])),
        (other["status"]["podIP"], 7000),
    ]  # fmt: skip
    _, reply = query(conn, "spy", {"input": json.dumps(places)})
    assert reply["output"][0] == "connected", reply
    assert not getattr(kubernetes, "is_ours", False) or "connected" not in reply["output"][1:], reply
    conn.stop_models(["spy"])


def test_a_kept_cluster_comes_back_with_all_that_it_had(conn, kubernetes, namespace):
    """The last one: it ends every pod."""
    manager = manager_of(conn)
    before = [conn.get_query_addr(), conn.cm.get_admin_token(), conn.get_all_apps(), conn.get_all_models()]
    conn.stop_all(keep=True)
    kept = {name.split()[0] for name in objects_of(manager)}
    assert kept == {"Secret", "Service", "Endpoints", "PersistentVolumeClaim"}
    other = ClipperConnection(new_kubernetes_manager(kubernetes, namespace, manager.cluster_name))
    with pytest.raises(ClusterNotFoundError, match=r"is stopped, and kept .* start_clipper\(\) brings it back"):
        other.connect()
    other.start_clipper()
    found = [other.get_query_addr(), other.cm.get_admin_token(), other.get_all_apps(), other.get_all_models()]
    assert found == before
    assert [number for _, number in frontends_of(other)] == [2, 2]
    assert ask(other) == [1] * 30
