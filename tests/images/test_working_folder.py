"""Folders of builds: gone at the end, and of a builder that was killed at the next build."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from clipper_nb.images.working_folder import locked, working_folder


def test_working_folder_is_private_and_removed_afterwards(tmp_path):
    with working_folder(tmp_path, "work-") as working:
        assert working.parent == tmp_path
        assert stat.S_IMODE(working.stat().st_mode) == 0o700
        (working / "file").write_text("content")
    assert list(tmp_path.iterdir()) == []


def test_error_in_the_build_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), working_folder(tmp_path, "work-") as working:
        (working / "file").write_text(str(1 / 0))
    assert list(tmp_path.iterdir()) == []


def test_next_build_removes_the_folder_of_a_killed_builder(tmp_path):
    program = f"""
import os, pathlib, signal
from clipper_nb.images.working_folder import working_folder
with working_folder(pathlib.Path({str(tmp_path)!r}), "work-") as working:
    (working / "half").write_text("of a model")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False)
    (abandoned,) = tmp_path.iterdir()
    with working_folder(tmp_path, "work-") as working:
        assert list(tmp_path.iterdir()) == [working]
        assert working != abandoned


def test_folder_of_a_living_builder_stays(tmp_path):
    with working_folder(tmp_path, "work-") as first:
        (first / "half").write_text("of a model")
        with working_folder(tmp_path, "work-") as second:
            assert second != first
        assert (first / "half").exists()


def test_only_folders_with_the_prefix_are_removed_and_no_links(tmp_path):
    kept = tmp_path / "kept"
    for folder in (kept, tmp_path / "other-1", tmp_path / "work-1"):
        folder.mkdir()
        (folder / "file").write_text("content")
    (tmp_path / "work-2").symlink_to(kept, target_is_directory=True)
    with working_folder(tmp_path, "work-"):
        assert (kept / "file").exists()
        assert (tmp_path / "other-1" / "file").exists()
        assert not (tmp_path / "work-1").exists()


def test_lock_is_held_by_one_at_a_time(tmp_path):
    got: list[str] = []

    def wait_for_it() -> None:
        with locked(tmp_path):
            got.append("second")

    waiting = threading.Thread(target=wait_for_it)
    with locked(tmp_path):
        waiting.start()
        with pytest.raises(BlockingIOError), locked(tmp_path, blocking=False):
            raise AssertionError
        got.append("first")
    waiting.join(timeout=10)
    assert got == ["first", "second"]
    assert list(Path(tmp_path).iterdir()) == []
