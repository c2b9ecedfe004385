"""A process that started a cluster is known by its machine's boot, its surroundings, its id and its start."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("starter", ["", "nonsense", "/1/2", "other-boot:4026531836/999999999/1"])
def test_nothing_is_known_of_processes_elsewhere(starter: str) -> None:
    assert not has_ended(starter)


def test_nothing_is_known_of_other_surroundings() -> None:
    """Another container of the same machine counts its processes anew."""
    place, _, ticks = this_starter().rsplit("/", 2)
    boot, _, namespace = place.partition(":")
    assert not has_ended(f"{boot}:{int(namespace) + 1}/999999999/{ticks}")
