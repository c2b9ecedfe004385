"""What counts as the memory of a replica."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clipper_nb.container_managers.local.supervisor.memory_use import MemoryUse

MIB = 1 << 20


def add_process(proc: Path, pid: int, *, children: dict[int, list[int]] | None = None, **files: str) -> None:
    for thread, ids in (children or {pid: []}).items():
        (proc / str(pid) / "task" / str(thread)).mkdir(parents=True)
        (proc / str(pid) / "task" / str(thread) / "children").write_text("".join(f"{each} " for each in ids))
    for name, text in files.items():
        (proc / str(pid) / name).write_text(text)


def test_family_has_children_of_all_threads(tmp_path: Path) -> None:
    add_process(tmp_path, 10, children={10: [20], 11: [21, 22]})
    add_process(tmp_path, 20, children={20: [30]})
    add_process(tmp_path, 22)
    assert MemoryUse(tmp_path).family(10) == {10, 20, 21, 22, 30}  # 21 and 30 have ended just now
    assert MemoryUse(tmp_path).family(99) == {99}


def test_files_that_are_only_mapped_do_not_count(tmp_path: Path) -> None:
    status = (
        "Name:\tpython\nVmRSS:\t  999 kB\nRssAnon:\t  100 kB\nRssFile:\t 7000 kB\nRssShmem:\t 20 kB\nVmSwap:\t 3 kB\n"
    )
    rollup = "1-2 ---p 0 [rollup]\nPss: 999 kB\nPss_Anon: 50 kB\nPss_File: 90 kB\nPss_Shmem: 5 kB\nSwapPss: 2 kB\n"
    add_process(tmp_path, 10, status=status, smaps_rollup=rollup)
    add_process(tmp_path, 11, status="RssAnon:\t1 kB\n", smaps_rollup="Pss:  70 kB\nSwapPss:  1 kB\n")
    use = MemoryUse(tmp_path)
    assert use.resident_bytes([10, 11, 12]) == 124 * 1024
    assert use.proportional_bytes([10, 11, 12]) == (57 + 71) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's files are Linux's")
def test_memory_of_a_real_process_and_its_child_is_found() -> None:
    program = (
        "import os, sys\nx = bytearray(b'x' * (64 << 20))\nchild = os.fork()\n"
        "y = bytearray(b'y' * (32 << 20)) if child == 0 else b''\n"
        "print('ready', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == [b"ready\n"] * 2
        use = MemoryUse()
        family = use.family(process.pid)
        shared, exact = use.resident_bytes(family), use.proportional_bytes(family)
        assert len(family) == 2
        assert process.stdin is not None
        process.stdin.close()
    assert os.getpid() not in family
    assert 160 * MIB < shared < 240 * MIB  # the 64 MiB twice
    assert 96 * MIB < exact < 140 * MIB  # once
