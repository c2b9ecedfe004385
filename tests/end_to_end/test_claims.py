"""Two callers at once, and callers that are cut off: one of them wins whole, and nothing of the other is left."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from clipper_nb import (
    ClaimLostError,
    ClipperConnection,
    ClipperException,
    ExistsError,
    ModelNotFoundError,
    VersionClaimedError,
)
from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.cluster.version_claim import VersionClaim
from clipper_nb.deployers.python import deploy_python_closure
from clipper_nb.protocol.names import ModelId
from tests.support.clusters import connection_beside, eventually, running_cluster, source_of

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker]


@pytest.fixture(scope="module")
def cluster(kind: str) -> Iterator[ClipperConnection]:
    """A cluster with an application."""
    with running_cluster(kind) as conn:
        conn.register_application("app", "doubles", "-1.0", slo_micros=5_000_000)
        yield conn


@contextmanager
def other_notebook(conn: ClipperConnection) -> Iterator[ClipperConnection]:
    """Another connection to the same cluster."""
    other = connection_beside(conn)
    other.connect()
    try:
        yield other
    finally:
        other._forget_cluster()


def outcome_of(call: Callable[[], object]) -> threading.Thread:
    """Start *call* in a thread, whose ``error`` is what it raised, or ``None``."""

    def run() -> None:
        try:
            call()
        except ClipperException as exc:
            thread.error = exc  # type: ignore[attr-defined]

    thread = threading.Thread(target=run)
    thread.error = None  # type: ignore[attr-defined]
    thread.start()
    return thread


def constantly(value: float) -> Callable[[list[object]], list[float]]:
    return lambda xs: [value for _ in xs]


def replicas_of(conn: ClipperConnection, name: str) -> list[str]:
    return [str(c.model) for c in conn.cm.observe_replicas() if str(c.model).startswith(f"{name}:")]


@pytest.mark.also_on_docker
def test_one_of_two_deploys_of_a_version_wins_whole(cluster: ClipperConnection) -> None:
    """What serves is the function of the one that was told so, and the other's is refused by a sentence."""
    with other_notebook(cluster) as other:
        for turn in range(2):
            name = f"both-{turn}"
            deploys = [
                outcome_of(partial(deploy_python_closure, conn, name, 1, "doubles", constantly(value)))
                for conn, value in ((cluster, 1.0), (other, 2.0))
            ]
            for deploy in deploys:
                deploy.join(100)
            errors = [deploy.error for deploy in deploys]  # type: ignore[attr-defined]
            [loser] = [error for error in errors if error is not None]
            assert isinstance(loser, ExistsError)
            winner = 1.0 if errors[0] is None else 2.0
            cluster.link_model_to_app("app", name)
            assert cluster.predict("app", [0.0]).output == winner
            assert replicas_of(cluster, name) == [f"{name}:1"]
            cluster.unlink_model_from_app("app", name)
            cluster.stop_models([name])
            assert replicas_of(cluster, name) == []


def test_deploy_that_is_stopped_by_another_caller_ends_at_once(cluster: ClipperConnection) -> None:
    def slow_load() -> Callable[[list[object]], list[int]]:
        class SlowToLoad:
            def __call__(self, xs: list[object]) -> list[int]:
                return [1 for _ in xs]

            def __setstate__(self, state: dict[str, object]) -> None:
                time.sleep(100)

            def __getstate__(self) -> dict[str, object]:
                return {"some": "state"}

        return SlowToLoad()

    deploy = outcome_of(lambda: deploy_python_closure(cluster, "slow", 1, "doubles", slow_load()))
    with other_notebook(cluster) as other:
        eventually(lambda: replicas_of(other, "slow") == ["slow:1"], within_s=60, what="the replica is started")
        with pytest.raises(VersionClaimedError, match=r"slow:1 is being deployed or scaled by process \d+ on "):
            deploy_python_closure(other, "slow", 1, "doubles", lambda xs: xs)
        other.stop_models(["slow"])
    deploy.join(30)
    assert isinstance(deploy.error, ClaimLostError)  # type: ignore[attr-defined]
    assert replicas_of(cluster, "slow") == []
    assert cluster.get_all_models() == []


def test_scale_beside_a_stop_ends_and_leaves_no_replica(cluster: ClipperConnection) -> None:
    deploy_python_closure(cluster, "scaled", 1, "doubles", lambda xs: [1 for _ in xs])
    with other_notebook(cluster) as other:
        scale = outcome_of(lambda: other.set_num_replicas("scaled", 3))
        eventually(lambda: len(replicas_of(cluster, "scaled")) > 1, within_s=30, what="more replicas are started")
        cluster.stop_models(["scaled"])
        scale.join(30)
    assert not scale.is_alive()
    assert isinstance(scale.error, (ClaimLostError, ExistsError, ModelNotFoundError, type(None)))  # type: ignore[attr-defined]
    eventually(lambda: replicas_of(cluster, "scaled") == [], within_s=20, what="no replica is left")
    assert cluster.get_all_models() == []


@pytest.mark.also_on_docker
def test_deploy_of_a_killed_notebook_is_stopped(cluster: ClipperConnection) -> None:
    """Its kernel closes the connection that held the claim, and what nobody wants is stopped within five seconds."""
    deploy_python_closure(cluster, "cut", 1, "doubles", lambda xs: [1 for _ in xs])
    notebook = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(f"""
            from clipper_nb import (
                ClipperConnection, DockerContainerManager, KubernetesContainerManager, LocalContainerManager
            )
            from clipper_nb.cluster.version_claim import VersionClaim
            from clipper_nb.protocol.names import ModelId
            conn = ClipperConnection({source_of(cluster.cm)})
            conn.connect()
            with VersionClaim(conn._management, ModelId("cut", "2"), is_new=True):
                conn.cm.set_num_replicas(
                    ModelId("cut", "2"), input_type="doubles", image=conn.get_model_info("cut", 1)["container_name"],
                    num_replicas=2, load_timeout_s=60,
                )
                print("started", flush=True)
                input()
        """)], env={**os.environ, "PYTHONPATH": os.getcwd()}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with notebook:
        assert notebook.stdout is not None
        assert notebook.stdout.readline() == "started\n"
        time.sleep(3)  # longer than an unheld claim lasts
        assert sorted(replicas_of(cluster, "cut")) == ["cut:1", "cut:2", "cut:2"]
        notebook.kill()
        notebook.wait(10)
    eventually(lambda: replicas_of(cluster, "cut") == ["cut:1"], within_s=20, what="only what is registered runs")
    deploy_python_closure(cluster, "cut", 2, "doubles", lambda xs: [2 for _ in xs])
    cluster.stop_models(["cut"])


def test_claim_lapses_only_when_its_holder_is_gone(cluster: ClipperConnection) -> None:
    management = ManagementClient.at(cluster.cm.get_admin_addr(), cluster.cm.get_admin_token())
    model_id = ModelId("claimed", "1")
    with VersionClaim(management, model_id, is_new=True) as claim:
        with pytest.raises(VersionClaimedError), VersionClaim(management, model_id, is_new=True):
            pass
        assert claim.take_back()
        claim.check()
        assert [found.model for found in management.get_claims()] == ["claimed:1"]
    assert management.get_claims() == []
    management.claim_version(model_id, "nobody-holds-it", "a test", is_new=True)
    eventually(lambda: management.get_claims() == [], within_s=20, what="the claim lapses")
    management.close()
