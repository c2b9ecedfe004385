"""What is found in a process that a fork would break or share by mistake."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from clipper_nb.runtime.nursery.fitness import ProcessFacts, find_objection, find_threads, read_facts

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")


@pytest.mark.parametrize(
    ("before", "now", "objection"),
    [
        (ProcessFacts(), ProcessFacts(), None),
        (ProcessFacts({3: "socket:[1]"}), ProcessFacts({3: "socket:[1]"}), None),
        (ProcessFacts({3: "socket:[1]"}), ProcessFacts({3: "socket:[2]"}), "it has socket:[2] open"),
        (ProcessFacts(), ProcessFacts({4: "/dev/nvidia0"}), "it has /dev/nvidia0 open"),
        (ProcessFacts(), ProcessFacts({4: "/dev/urandom"}), None),
        (ProcessFacts({3: "socket:[1]"}), ProcessFacts(), None),
        (ProcessFacts(), ProcessFacts(has_children=True), "it started a process"),
        (ProcessFacts(), ProcessFacts(has_timer=True), "it started a timer"),
    ],
)
def test_what_came_since_is_an_objection(before, now, objection):
    assert find_objection(before, now) == objection


def test_open_file_of_this_process_is_seen():
    before = read_facts()
    fd = os.open("/dev/zero", os.O_RDONLY)
    try:
        assert find_objection(before, read_facts()) == "it has /dev/zero open"
    finally:
        os.close(fd)


def test_child_of_this_process_is_seen_and_left_to_its_owner():
    with subprocess.Popen(["true"]) as child:
        assert read_facts().has_children
        assert child.wait() == 0


def test_timer_of_this_process_is_seen():
    signal.setitimer(signal.ITIMER_REAL, 3600)
    try:
        assert read_facts().has_timer
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def test_running_thread_is_named_by_the_system():
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        assert "more threads" in (find_threads() or "")
    finally:
        end.set()
        thread.join()
