"""The notebook that benchmarks/startup.py runs by two builds: here once, briefly, by this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid

import pytest
from loop import notebook

pytestmark = [pytest.mark.cluster]


def test_the_loop_of_a_notebook_is_measured(tmp_path):
    """Every answer is right, every step has a number, and no process is left."""
    output = tmp_path / "measured.json"
    environment = {**os.environ, notebook.MARK: uuid.uuid4().hex}
    subprocess.run(
        [
            sys.executable, notebook.__file__, "plain", str(output),
            "--num-edits", "2", "--num-replicas", "2", "--pause-s", "0",
        ],
        env=environment, check=True, timeout=100,
    )  # fmt: skip
    measured = json.loads(output.read_text())
    assert [one["what"] for one in measured] == [
        notebook.IMPORT,
        notebook.START,
        notebook.ALL_MEMORY.format(0),
        notebook.FIRST_DEPLOY,
        notebook.SECOND_DEPLOY,
        notebook.LATER_DEPLOY,
        notebook.OWN_WORK,
        notebook.SWITCH,
        notebook.SWITCH,
        notebook.ALL_MEMORY.format(1),
        notebook.REPLICA_MEMORY.format(1),
        notebook.SCALE.format(2),
        notebook.ALL_MEMORY.format(2),
        notebook.REPLICA_MEMORY.format(2),
        notebook.STOP,
    ]
    assert all(one["value"] > 0 for one in measured)
