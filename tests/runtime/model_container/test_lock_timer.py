"""A replica ends when its model keeps the interpreter's lock, and only then."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from clipper_nb.runtime.model_container.lock_timer import lock_limit_s

LIMIT_S = 0.2

# The thread that restarts the timer runs only while the main thread gives the lock back.
PROGRAM = f"""
import hashlib, signal, sys, threading, time
from clipper_nb.runtime.model_container.lock_timer import start_lock_timer

def keep_restarting():
    while True:
        restart()
        time.sleep(0.02)

def hold_the_lock(n):
    return sum(range(n))

def compute_in_python():
    while time.process_time() < 2 * {LIMIT_S}:
        hold_the_lock(1000)

def compute_without_the_lock():
    while time.process_time() < 2 * {LIMIT_S}:
        hashlib.pbkdf2_hmac("sha256", b"", b"", 10_000)

PREPARE
restart = start_lock_timer({LIMIT_S})
threading.Thread(target=keep_restarting, daemon=True).start()
print("begins", flush=True)
COMPUTE
print("ends", flush=True)
"""

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux measures a thread's processor time")


def run(compute: str, prepare: str = "") -> subprocess.CompletedProcess[str]:
    program = PROGRAM.replace("PREPARE", prepare).replace("COMPUTE", compute)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)


@pytest.mark.slow
@linux_only
def test_process_that_keeps_the_lock_ends_and_says_where():
    ended = run("hold_the_lock(10**9)")
    assert ended.returncode == signal.SIGVTALRM
    assert ended.stdout == "begins\n"
    assert "in hold_the_lock" in ended.stderr
    assert "in keep_restarting" in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("compute", ["compute_in_python()", "compute_without_the_lock()"])
def test_long_computation_that_lets_threads_run_goes_on(compute):
    ended = run(compute)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "begins\nends\n", "")


@pytest.mark.slow
@linux_only
def test_paused_process_goes_on():
    program = PROGRAM.replace("PREPARE", "").replace("COMPUTE", "hold_the_lock(2 * 10**6)")
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        time.sleep(2 * LIMIT_S)
        process.send_signal(signal.SIGCONT)
        assert process.stdout.read() == "ends\n"
    assert process.returncode == 0


@pytest.mark.slow
def test_signal_that_the_model_uses_is_left_to_it():
    ended = run("hold_the_lock(5 * 10**7)", "signal.signal(signal.SIGVTALRM, print)")
    assert (ended.returncode, ended.stdout) == (0, "begins\nends\n")


def test_limit_is_above_all_others():
    """Until then the query frontend acts, which knows the SLOs; afterwards the replica is lost to it anyway."""
    assert lock_limit_s(1.0) == lock_limit_s(30.0) == 35.0
    assert lock_limit_s(600.0) == 605.0
    assert lock_limit_s(None) is None
