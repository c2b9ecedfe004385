"""What carries a cluster's mark is found and ended, and nothing else."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest

from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local.log_files import open_log
from clipper_nb.container_managers.local.process_table import this_machine
from clipper_nb.container_managers.local.processes import (
    kill_processes_of,
    process_runs,
    processes_of,
)
from clipper_nb.protocol.cluster_record import ProcessIdentity
from clipper_nb.protocol.environment import CLUSTER_FOLDER

_WAIT = (sys.executable, "-c", "input()")
_PARENT = (sys.executable, "-c", f"import subprocess; subprocess.run({_WAIT!r}, env={{}}, start_new_session=True)")


@pytest.fixture
def folder(tmp_path):
    """A folder that has been made."""
    made = ClusterFolder(tmp_path / "c")
    made.create()
    return made


@pytest.fixture
def start():
    """Start processes that wait, and end them after the test."""
    with contextlib.ExitStack() as stack:

        def start_one(command=_WAIT, **options):
            process = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, **options)
            )
            stack.callback(process.kill)
            return process

        yield start_one


def marked(folder):
    return {**os.environ, CLUSTER_FOLDER: str(folder.path)}


def pids_of(folder):
    return {process.pid for process in processes_of(folder)}


def test_marked_process_is_ended_even_if_its_folder_is_gone(folder, start):
    other = start(env={**os.environ, CLUSTER_FOLDER: str(folder.path) + "2"})
    process = start(env=marked(folder))
    folder.remove()
    assert pids_of(folder) == {process.pid}
    kill_processes_of(folder)
    assert process.wait(timeout=10) == -9
    assert other.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells where a process writes")
def test_process_without_environment_is_found_by_its_log(folder, start):
    with open_log(folder.log_path("m")) as log:
        process = start(env={}, stdout=log)
    assert pids_of(folder) == {process.pid}


def test_recorded_process_is_found_but_not_one_that_reuses_a_pid(folder, start):
    seen, later = (this_machine().read(start().pid).identity for _ in range(2))
    folder.write_descendants([seen, ProcessIdentity(later.pid, "another start")])
    assert pids_of(folder) == {seen.pid}


def test_child_of_a_marked_process_is_ended_with_it(folder, start):
    parent = start(_PARENT, env=marked(folder))
    while len(found := processes_of(folder)) < 2:
        assert parent.poll() is None
    kill_processes_of(folder)
    assert not any(map(this_machine().runs, found))


@pytest.mark.parametrize(("start_text", "is_it"), [(None, True), ("another start", False)])
def test_owner_without_a_known_start_is_matched_by_its_id(start_text, is_it):
    """As in a record of release 0.1, whose supervisor ends by itself when its owner has ended."""
    assert process_runs(os.getpid(), start_text) is is_it
