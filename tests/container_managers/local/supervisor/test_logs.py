"""The logs of a cluster are bounded in size and number."""

from __future__ import annotations

import os

import pytest

from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local.supervisor.logs import ClusterLogs


@pytest.fixture
def folder(tmp_path):
    """A folder that has been made."""
    made = ClusterFolder(tmp_path / "c")
    made.create()
    return made


def names(folder):
    return sorted(path.name for path in folder.logs_path.iterdir())


def test_every_full_log_is_rotated_also_the_supervisors_own(folder):
    logs = ClusterLogs(folder, largest_size_bytes=10)
    folder.supervisor_log_path.write_text("x" * 11)
    folder.log_path("full").write_text("x" * 11)
    folder.log_path("small").write_text("x" * 10)
    logs.look()
    logs.look()
    assert names(folder) == ["full.log", "full.log.1", "small.log"]
    assert (folder.path / "supervisor.log.1").read_text() == "x" * 11
    assert folder.supervisor_log_path.stat().st_size == 0


def test_logs_of_running_and_last_ended_processes_are_kept(folder):
    logs = ClusterLogs(folder, num_ended=2)
    folder.log_path("runs").write_text("")
    logs.has_begun("runs")
    for number in range(100):
        for path in (folder.log_path(f"m-{number}"), folder.logs_path / f"m-{number}.log.1"):
            path.write_text("")
        logs.has_begun(f"m-{number}")
        logs.has_ended(f"m-{number}")
    assert names(folder) == ["m-98.log", "m-98.log.1", "m-99.log", "m-99.log.1", "runs.log"]


def test_log_of_a_process_that_runs_again_is_kept(folder):
    logs = ClusterLogs(folder, num_ended=1)
    folder.log_path("a").write_text("")
    logs.has_ended("a")
    logs.has_begun("a")
    logs.has_ended("b")
    logs.has_ended("c")
    assert names(folder) == ["a.log"]


def test_logs_of_before_a_resumption_count_as_ended(folder):
    for number, name in enumerate(("m-new", "m-old", "redis-0")):
        path = folder.log_path(name)
        path.write_text("")
        os.utime(path, (1000 - number, 1000 - number))
    logs = ClusterLogs(folder, num_ended=1)
    logs.has_begun("redis-0")
    logs.has_ended("m")
    assert names(folder) == ["redis-0.log"]
