"""Without R, or without rpy2, everything else works, and who deploys an R function is told what to install."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# In a fresh interpreter, in which rpy2 is not there.
_WITHOUT_RPY2 = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "rpy2":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""
_DEPLOY = """
from clipper_nb import ClipperConnection, DeploymentError, LocalContainerManager
from clipper_nb.deployers.r import create_endpoint, deploy_r_model

manager = LocalContainerManager(sys.argv[1], clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0)
with ClipperConnection(manager) as conn:
    for deploy in (
        lambda: deploy_r_model(conn, "model", 1, "doubles", "f"),
        lambda: create_endpoint(conn, "model", "strings", "f", sample_input="frame"),
    ):
        try:
            deploy()
        except DeploymentError as exc:
            print(exc)
    print(conn.get_all_apps(), conn.get_all_models())
"""
_LOAD = """
import pathlib
from clipper_nb import DeploymentError
from clipper_nb.runtime.model_container.loader import load_model

folder = pathlib.Path(sys.argv[1])
(folder / "metadata.json").write_text('{"kind": "r"}')
try:
    load_model(folder)
except DeploymentError as exc:
    print(exc)
"""


def _run(program: str, argument: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, argument], capture_output=True, text=True, timeout=100, check=False,
        env={**os.environ, **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.cluster
def test_deployer_says_what_to_install_without_rpy2() -> None:
    *told, left = _run(_WITHOUT_RPY2 + _DEPLOY, f"without-rpy2-{os.getpid()}").splitlines()
    assert len(told) == 2
    for sentence in told:
        assert "apt install r-base-core" in sentence
        assert "pip install 'clipper-nb[r]'" in sentence
        assert "No module named 'rpy2'" in sentence
    assert left == "[] []"


@pytest.mark.slow
def test_replica_says_what_to_install_without_rpy2(tmp_path: Path) -> None:
    assert "pip install 'clipper-nb[r]'" in _run(_WITHOUT_RPY2 + _LOAD, str(tmp_path))


@pytest.mark.r
def test_deployer_says_what_to_install_without_r() -> None:
    program = "from clipper_nb.deployers.r_session import start_r\ntry: start_r()\nexcept Exception as exc: print(exc)"
    assert "apt install r-base-core" in _run(program, "", PATH="/nonexistent", R_HOME="")


@pytest.mark.slow
def test_import_needs_neither() -> None:
    names = "clipper_nb, clipper_nb.r_commands, clipper_nb.deployers.r, clipper_nb.runtime.model_container.r_model"
    assert _run(f"{_WITHOUT_RPY2}import {names}\nprint('imported')", "", PATH="/nonexistent") == "imported\n"
