"""What the kernel lists of a process is read whatever its name is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clipper_nb.container_managers.process_identity import ProcessStat, read_boot_id, read_stat

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def _stat(name: str, state: str) -> str:
    fields = [state, 5, 77, 6, 0, -1, *[0] * 13, 4242, *[0] * 30]
    return f"12 ({name}) {' '.join(map(str, fields))}\n"


@pytest.mark.parametrize("name", ["python", "a) S 1 (b c"])
@pytest.mark.parametrize(("state", "is_zombie"), [("S", False), ("Z", True), ("X", True)])
def test_program_name_may_look_like_other_fields(tmp_path: Path, name: str, state: str, is_zombie: bool) -> None:
    (tmp_path / "12").mkdir()
    (tmp_path / "12" / "stat").write_text(_stat(name, state))
    assert read_stat(12, tmp_path) == ProcessStat(5, 6, 4242, is_zombie)


def test_missing_process_and_boot_are_unknown(tmp_path: Path) -> None:
    assert read_stat(12, tmp_path) is None
    assert read_boot_id(tmp_path) == ""


@linux_only
def test_child_starts_in_this_boot_after_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        this, other = read_stat(os.getpid()), read_stat(child.pid)
        child.communicate()
    assert this is not None
    assert other is not None
    assert other.parent_pid == os.getpid()
    assert other.start_ticks >= this.start_ticks
    assert read_boot_id()
