"""The Docker Engine itself is restarted: the cluster serves again, by itself, with all that was configured."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from clipper_nb import ClipperConnection, ClipperException
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.support.clusters import eventually

pytestmark = [pytest.mark.docker, pytest.mark.cluster, pytest.mark.slow]

ENGINE_UP = Path(__file__).parents[3] / "scripts" / "engine-up"
_NOT_OURS = 3


def test_the_cluster_is_back_with_its_configuration_after_the_engine_was_restarted(conn: ClipperConnection) -> None:
    create_endpoint(conn, "app", "doubles", lambda inputs: ["one" for _ in inputs], slo_micros=1_000_000)
    deploy_python_closure(conn, "app", 2, "doubles", lambda inputs: ["two" for _ in inputs], num_replicas=2)
    conn.set_model_version("app", 1)
    before = (conn.get_all_apps(verbose=True), conn.get_all_models(verbose=True))
    addresses = (conn.get_query_addr(), conn.get_admin_addr())

    restarted = subprocess.run([ENGINE_UP, "restart"], capture_output=True, text=True, timeout=100, check=False)
    if restarted.returncode == _NOT_OURS:
        pytest.skip("the engine that answers was not started by scripts/engine-up, so it may be somebody else's too")
    assert restarted.returncode == 0, restarted.stderr

    eventually(lambda: _predicts(conn, "one"), within_s=60, what="the current version answers again")
    eventually(lambda: len(conn.get_all_model_replicas()) == 3, within_s=60, what="all replicas are connected again")
    assert (conn.get_all_apps(verbose=True), conn.get_all_models(verbose=True)) == before
    found = ClipperConnection(type(conn.cm)(conn.cm.cluster_name))
    found.connect()
    assert (found.get_query_addr(), found.get_admin_addr()) == addresses
    found.set_model_version("app", 2)
    assert _predicts(conn, "two")


def _predicts(conn: ClipperConnection, output: str) -> bool:
    """Whether the application answers *output*, and no default."""
    try:
        prediction = conn.predict("app", [1.0])
    except ClipperException:  # the frontend is not back yet
        return False
    return not prediction.default and prediction.output == output
