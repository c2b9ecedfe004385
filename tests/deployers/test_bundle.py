"""The folder of a deploy is gone at its end, and that of a notebook that was killed at the next deploy."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from clipper_nb.deployers.bundle import bundle
from clipper_nb.protocol.model_folder import PythonMetadata


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are, here and in processes."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_bundle_describes_the_model_and_is_removed_afterwards(temporary_folder):
    with bundle(PythonMetadata(input_type="doubles", source="f")) as folder:
        assert folder.parent == temporary_folder
        metadata = json.loads((folder / "metadata.json").read_text())
    assert (metadata["kind"], metadata["source"]) == ("python_closure", "f")
    assert list(temporary_folder.iterdir()) == []


def test_next_deploy_removes_leftovers_of_a_killed_notebook(temporary_folder):
    program = """
import os, signal
from clipper_nb.deployers.bundle import bundle
from clipper_nb.protocol.model_folder import PythonMetadata
with bundle(PythonMetadata(input_type="doubles")):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False)
    assert len(list(temporary_folder.iterdir())) == 1
    with bundle(PythonMetadata(input_type="doubles")) as folder:
        assert list(temporary_folder.iterdir()) == [folder]
