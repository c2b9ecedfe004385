"""A process that started a cluster is known by its machine's boot, its surroundings, its id and its start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clipper_nb.container_managers.docker import starter as starter_module
from clipper_nb.container_managers.docker.starter import has_ended, this_starter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")

_TELL = """
import sys
from clipper_nb.container_managers.docker.starter import this_starter
print(this_starter(), flush=True)
sys.stdin.read()
"""


def test_process_that_runs_has_not_ended() -> None:
    assert not has_ended(this_starter())


def test_process_that_was_killed_has_ended() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        starter = process.stdout.readline().strip()
        assert f"/{process.pid}/" in starter
        assert not has_ended(starter)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert has_ended(starter)  # its parent has not read its status yet
    assert has_ended(starter)


def test_later_process_with_its_id_is_another_one() -> None:
    place, _, ticks = this_starter().rsplit("/", 2)
    assert has_ended(f"{place}/{os.getpid()}/{int(ticks) - 1}")


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is in no container."""
    monkeypatch.setattr(starter_module, "_NAMESPACE_OF_MACHINE", str(os.stat("/proc/self/ns/pid").st_ino))


@pytest.mark.usefixtures("outside")
def test_process_of_an_earlier_boot_has_ended(tmp_path: Path) -> None:
    before = this_starter(_machine(tmp_path / "before", boot="first"))
    assert before
    assert has_ended(before, _machine(tmp_path / "after", boot="second"))


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("other", [{"machine_id": "b" * 32}, {"name": "copy"}], ids=["id", "name"])
def test_nothing_is_known_of_another_machine(tmp_path: Path, other: dict[str, str]) -> None:
    starter = this_starter(_machine(tmp_path / "here", boot="first"))
    assert not has_ended(starter, _machine(tmp_path / "there", boot="second", **other))


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("machine_id", ["", "uninitialized"])
def test_machine_without_an_id_knows_no_earlier_boot(tmp_path: Path, machine_id: str) -> None:
    starter = this_starter(_machine(tmp_path / "before", boot="first", machine_id=machine_id))
    assert not has_ended(starter, _machine(tmp_path / "after", boot="second", machine_id=machine_id))


def test_container_knows_nothing_of_an_earlier_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter_module, "_NAMESPACE_OF_MACHINE", "another")
    starter = this_starter(_machine(tmp_path / "before", boot="first"))
    assert not has_ended(starter, _machine(tmp_path / "after", boot="second"))


def test_id_of_the_machine_stays_on_it(tmp_path: Path) -> None:
    assert "a" * 32 not in this_starter(_machine(tmp_path))


def _machine(root: Path, *, boot: str = "first", machine_id: str = "a" * 32, name: str = "host") -> Path:
    """Return the root of a machine that was booted, with the processes of this one."""
    files = {"proc/sys/kernel/random/boot_id": boot, "proc/sys/kernel/hostname": name, "etc/machine-id": machine_id}
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"{text}\n")
    for pid in ("self", str(os.getpid())):
        (root / "proc" / pid).symlink_to(f"/proc/{pid}")
    return root


@pytest.mark.parametrize(
    "starter", ["", "nonsense", "/1/2", "other:boot:4026531836/999999999/1", "boot:4026531836/999999999/1"]
)
def test_nothing_is_known_of_processes_elsewhere(starter: str) -> None:
    assert not has_ended(starter)


def test_nothing_is_known_of_other_surroundings() -> None:
    """Another container of the same machine counts its processes anew."""
    place, _, ticks = this_starter().rsplit("/", 2)
    boot, _, namespace = place.rpartition(":")
    assert not has_ended(f"{boot}:{int(namespace) + 1}/999999999/{ticks}")
