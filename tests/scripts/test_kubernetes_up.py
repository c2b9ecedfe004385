"""scripts/kubernetes-up and kubernetes-down say what is wrong before they do anything."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.parametrize(
    ("script", "arguments", "sentence"),
    [
        ("kubernetes-up", ["--nodes", "0"], "--nodes takes a number from 1 to 9, not '0'"),
        ("kubernetes-up", ["--nodes", "10"], "--nodes takes a number from 1 to 9, not '10'"),
        ("kubernetes-up", ["--nodes"], "--nodes takes a number from 1 to 9, not ''"),
        ("kubernetes-up", ["--node"], "usage: kubernetes-up [--nodes N]"),
        ("kubernetes-down", ["--node", "1"], "with N from 2 to 9: node-1 is the machine itself"),
        ("kubernetes-down", ["2"], "usage: kubernetes-down [--node N]"),
    ],
)
def test_what_it_cannot_do_is_said(script: str, arguments: list[str], sentence: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    ended = subprocess.run(
        [SCRIPTS / script, *arguments],
        env={**os.environ, "KUBERNETES_DIR": str(state)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert sentence in ended.stderr
    assert not state.exists()
