"""Without PySpark everything else works, and who deploys a PySpark model is told what to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.cluster

# In a fresh interpreter, in which neither PySpark nor py4j is there.
_PROGRAM = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pyspark", "py4j"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from clipper_nb import ClipperConnection, DeploymentError, LocalContainerManager
from clipper_nb.deployers.pyspark import create_endpoint, deploy_pyspark_model

manager = LocalContainerManager(sys.argv[1], clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0)
with ClipperConnection(manager) as conn:
    for deploy in (
        lambda: deploy_pyspark_model(conn, "model", 1, "doubles", print, None, None),
        lambda: create_endpoint(conn, "model", "doubles", print, None, None),
    ):
        try:
            deploy()
        except DeploymentError as exc:
            print(exc)
    print(conn.get_all_apps(), conn.get_all_models())
"""


def test_the_deployer_says_what_to_install() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", _PROGRAM, "without-pyspark"], capture_output=True, text=True, check=True, timeout=60
    )
    *refusals, left = finished.stdout.splitlines()
    assert len(refusals) == 2
    assert all("openjdk-17-jre-headless): pip install 'clipper-nb[pyspark]'" in refusal for refusal in refusals)
    assert left == "[] []"
