"""Processes are identified by what a step of the clock does not change."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest

from clipper_nb.container_managers.local.process_table import (
    LinuxProcessTable,
    ProcessEntry,
    ProcessTable,
    descendants,
    this_machine,
)
from clipper_nb.errors import ClusterStartError
from clipper_nb.protocol.cluster_record import ProcessIdentity

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def proc(tmp_path):
    """A folder like /proc, of a machine that booted at 1,000,000 s of wall time."""
    boot_id = tmp_path / "sys" / "kernel" / "random"
    boot_id.mkdir(parents=True)
    (boot_id / "boot_id").write_text("first-boot\n")
    (tmp_path / "stat").write_text("btime 1000000\n")
    (tmp_path / "uptime").write_text("5000.0 9000.0\n")
    return tmp_path


def run_fake(proc, pid, *, state="S", parent_pid=1, session_id=77, start_ticks=4242):
    (proc / str(pid)).mkdir(exist_ok=True)
    fields = [state, parent_pid, 77, session_id, 0, -1, *[0] * 13, start_ticks, *[0] * 30]
    (proc / str(pid) / "stat").write_text(f"{pid} (python) {' '.join(map(str, fields))}\n")


def test_identity_survives_a_step_of_the_clock(proc):
    run_fake(proc, 12)
    before = LinuxProcessTable(proc).read(12).identity
    (proc / "stat").write_text("btime 1000002\n")  # what the kernel shows after a step of 2 s
    assert LinuxProcessTable(proc).runs(before)


@linux_only
def test_real_process_is_known_after_a_step_of_the_clock(monkeypatch):
    table = this_machine()
    before = table.read(os.getpid()).identity
    booted_at_s = psutil.boot_time()
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: booted_at_s + 2.0)
    assert psutil.Process().create_time() == pytest.approx(before_create_time(before) + booted_at_s + 2.0, abs=0.02)
    assert table.runs(before)


def before_create_time(identity):
    """Return the seconds from boot to the start of a process."""
    return int(identity.start.rpartition("/")[2]) / os.sysconf("SC_CLK_TCK")


@linux_only
def test_elsewhere_psutil_identifies_a_process_without_wall_time(monkeypatch):
    table = ProcessTable()
    before = table.read(os.getpid()).identity
    booted_at_s = psutil.boot_time()
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: booted_at_s - 3600.0)
    assert table.runs(before)


def test_elsewhere_the_extra_with_psutil_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(ClusterStartError, match=r"pip install 'clipper-nb\[notebook\]'"):
        ProcessTable().read(os.getpid())


def test_later_process_with_the_same_id_is_another(proc):
    run_fake(proc, 12)
    before = LinuxProcessTable(proc).read(12).identity
    run_fake(proc, 12, start_ticks=4243)
    assert not LinuxProcessTable(proc).runs(before)


def test_process_of_another_boot_is_another(proc):
    run_fake(proc, 12)
    before = LinuxProcessTable(proc).read(12).identity
    (proc / "sys" / "kernel" / "random" / "boot_id").write_text("second-boot\n")
    assert not LinuxProcessTable(proc).runs(before)


def test_zombie_does_not_run(proc):
    run_fake(proc, 12, state="Z")
    entry = LinuxProcessTable(proc).read(12)
    assert entry.is_zombie
    assert not LinuxProcessTable(proc).runs(entry.identity)


def test_missing_process_does_not_run(proc):
    assert LinuxProcessTable(proc).read(12) is None
    assert not LinuxProcessTable(proc).runs(ProcessIdentity(12, "first-boot/4242"))


def test_all_processes_are_listed(proc):
    run_fake(proc, 12)
    run_fake(proc, 13, parent_pid=12)
    assert {pid: entry.parent_pid for pid, entry in LinuxProcessTable(proc).read_all().items()} == {12: 1, 13: 12}


@pytest.fixture
def child():
    """A process that waits."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("table", [this_machine(), ProcessTable()])
def test_signal_reaches_the_very_process_alone(table, child):
    identity = table.read(child.pid).identity
    table.send_signal(replace(identity, start="another"), signal.SIGKILL)
    assert table.runs(identity)
    assert child.poll() is None
    table.send_signal(identity, signal.SIGKILL)
    assert child.wait(timeout=10) == -signal.SIGKILL
    table.send_signal(identity, signal.SIGKILL)  # nobody is there any more


@pytest.mark.parametrize("table", [this_machine(), ProcessTable()])
def test_wait_for_end_ends_with_the_very_process(table, child):
    identity = table.read(child.pid).identity
    table.wait_for_end(replace(identity, start="another"), timeout_s=60.0)
    table.wait_for_end(identity, timeout_s=0.0)
    assert table.runs(identity)
    child.kill()
    table.wait_for_end(identity, timeout_s=60.0)
    assert not table.runs(identity)


@pytest.mark.parametrize("table", [this_machine(), ProcessTable()])
def test_variable_of_a_process_is_read_to_its_end(table):
    with subprocess.Popen(
        [sys.executable, "-c", "input(input)"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={"LONG": "a=b" * 5000, "LONGER": "", "LO": "é"},
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            process.stdout.read(1)  # while a program is being loaded, it has no variables yet
            assert [table.variable(process.pid, name) for name in ("LONG", "LONGER", "LO", "L")] == [
                "a=b" * 5000, "", "é", None,
            ]  # fmt: skip
        finally:
            process.kill()
    assert table.variable(process.pid, "LO") is None


def test_descendants_are_found_at_every_depth():
    parents = {1: 0, 2: 1, 3: 2, 4: 3, 5: 1, 6: 5}
    entries = {pid: ProcessEntry(ProcessIdentity(pid, "x"), parent, 0) for pid, parent in parents.items()}
    assert descendants(entries, [2]) == {3, 4}
    assert descendants(entries, [2, 5]) == {3, 4, 6}
    assert descendants(entries, [4]) == set()
