"""``python -m clipper_nb.keep`` starts the replicas of an autoscaled version, while no notebook is connected."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile

import pytest

from clipper_nb.deployers.python import deploy_python_closure
from tests.support.clusters import eventually, new_manager, removed_afterwards
from tests.support.scaling import want_replicas

pytestmark = pytest.mark.docker


def test_kept_cluster_is_scaled_until_sigterm() -> None:
    manager = new_manager("docker")
    command = [sys.executable, "-m", "clipper_nb.keep", "docker", manager.cluster_name]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, stderr=log) as keeper,
        removed_afterwards(manager) as conn,
    ):
        try:
            conn.start_clipper(query_token=False)  # it waits for it
            deploy_python_closure(conn, "m", 1, "doubles", lambda inputs: [x.sum() for x in inputs])
            manager._end_watch()  # as if this notebook were gone
            want_replicas(conn, "m", "1", 2)
            eventually(lambda: len(conn.get_all_model_replicas()) == 2, within_s=30, what="a second replica")
            keeper.send_signal(signal.SIGTERM)
            assert keeper.wait(timeout=20) == 0
            log.seek(0)
            assert f"keeps cluster {manager.cluster_name}" in log.read()
        finally:
            keeper.kill()
