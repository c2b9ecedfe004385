"""The Docker Engine itself is restarted: the cluster serves again, by itself, with all that was configured.

Nothing else may run meanwhile: the folder's conftest puts this file last.
"""

from __future__ import annotations

import contextlib
import gc
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipper_nb import ClipperConnection, ClipperException, DockerContainerManager
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.support.clusters import eventually
from tests.support.docker_clusters import container_of

pytestmark = [pytest.mark.docker, pytest.mark.cluster, pytest.mark.slow, pytest.mark.serial]

ENGINE_UP = Path(__file__).parents[3] / "scripts" / "engine-up"
_NOT_OURS = 3


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # docker-py's, each time it finds no engine
def test_cluster_keeps_its_configuration_after_engine_restart(conn: ClipperConnection) -> None:
    create_endpoint(conn, "app", "doubles", lambda inputs: ["one" for _ in inputs], slo_micros=1_000_000)
    deploy_python_closure(conn, "app", 2, "doubles", lambda inputs: ["two" for _ in inputs], num_replicas=2)
    conn.set_model_version("app", 1)
    before = (conn.get_all_apps(verbose=True), conn.get_all_models(verbose=True))
    way_in = _way_in(conn)

    restarted = subprocess.run([ENGINE_UP, "restart"], capture_output=True, text=True, timeout=100, check=False)
    if restarted.returncode == _NOT_OURS:
        pytest.skip("the engine that answers was not started by scripts/engine-up, so it may be somebody else's too")
    assert restarted.returncode == 0, restarted.stderr

    # By the connection from before, without connecting again.
    eventually(lambda: _predicts(conn, "one"), within_s=60, what="the current version answers again")
    eventually(lambda: _num_connected(conn) == 3, within_s=60, what="all replicas are connected again")
    assert (conn.get_all_apps(verbose=True), conn.get_all_models(verbose=True)) == before
    conn.set_num_replicas("app", 2)
    with _second_connection(conn.cm.cluster_name) as found:
        assert _way_in(found) == way_in
        found.set_model_version("app", 2)
    assert _predicts(conn, "two")
    # Its watcher too has found the engine again.
    container_of(conn, "query_frontend").kill()
    eventually(lambda: _predicts(conn, "two"), within_s=30, what="what was killed by hand is back")
    gc.collect()  # here, where the warning does not count


def _way_in(conn: ClipperConnection) -> tuple[str, str, str]:
    return conn.get_query_addr(), conn.get_admin_addr(), conn.cm.get_admin_token()


def _num_connected(conn: ClipperConnection) -> int:
    try:
        return len(conn.get_all_model_replicas())
    except ClipperException:  # the management frontend or Redis is not back yet
        return 0


@contextlib.contextmanager
def _second_connection(cluster_name: str) -> Iterator[ClipperConnection]:
    manager = DockerContainerManager(cluster_name)
    conn = ClipperConnection(manager)
    conn.connect()
    yield conn
    manager._end_watch()
    manager.docker_client.close()
    manager._engine.stream_client.close()


def _predicts(conn: ClipperConnection, output: str) -> bool:
    """Whether the application answers *output*, and no default."""
    try:
        prediction = conn.predict("app", [1.0])
    except ClipperException:  # the frontend is not back yet
        return False
    return not prediction.default and prediction.output == output
