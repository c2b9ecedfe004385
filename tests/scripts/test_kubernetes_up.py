"""scripts/kubernetes-up says what is wrong before it starts anything."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--nodes", "0"], "--nodes takes a number from 1 to 9, not '0'"),
        (["--nodes", "10"], "--nodes takes a number from 1 to 9, not '10'"),
        (["--nodes"], "--nodes takes a number from 1 to 9, not ''"),
        (["--node"], "usage: kubernetes-up [--nodes N]"),
    ],
)
def test_what_it_cannot_do_is_said(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    ended = subprocess.run(
        [SCRIPTS / "kubernetes-up", *arguments],
        env={**os.environ, "KUBERNETES_DIR": str(state)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert sentence in ended.stderr
    assert not state.exists()
