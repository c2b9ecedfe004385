"""The processes of the test cluster are known again by scripts/kubernetes/processes, from their start to their end."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

PARTS = Path(__file__).parents[2] / "scripts" / "kubernetes"
SOURCE = f"set -euo pipefail; . {PARTS}/settings; . {PARTS}/processes; "


def shell(commands: str, state: Path) -> str:
    ended = subprocess.run(
        ["bash", "-c", SOURCE + commands],
        env={**os.environ, "KUBERNETES_DIR": str(state)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_process_runs_from_its_start_on(tmp_path: Path) -> None:
    """Until the command runs, its process has the arguments of the script: four in five were taken for ended."""
    seen = "for i in {1..50}; do start p sleep 20; if runs p; then echo seen; fi; kill -KILL $(pid_of p); done"
    assert shell(seen, tmp_path).split() == ["seen"] * 50


def test_it_does_not_run_after_its_end(tmp_path: Path) -> None:
    ended = "start p sleep 20; stop p; runs p || echo stopped; start p true; wait $(pid_of p); runs p || echo ended"
    assert shell(ended, tmp_path).split() == ["stopped", "ended"]


def test_another_process_with_its_number_is_not_it(tmp_path: Path) -> None:
    other = 'start p sleep 20; runs p; kill -KILL $(pid_of p); echo "$$ 1" >$STATE/pids/p; runs p || echo other'
    assert shell(other, tmp_path) == "other\n"


def test_what_ends_while_it_starts_is_said(tmp_path: Path) -> None:
    end = "start p sh -c 'echo a reason; exit 3'; (wait_for 10 p false) 2>&1 || true"
    said = shell(end, tmp_path)
    assert said.startswith("a reason\n")
    assert "p ended while it was started; above is the end of" in said
