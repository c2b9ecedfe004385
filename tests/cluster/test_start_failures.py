"""Each way in which a replica does not start is an error of its own that says what to do."""

from __future__ import annotations

import pytest

from clipper_nb.cluster.start_failures import start_error, timeout_error
from clipper_nb.errors import (
    IncompatibleEnvironmentError,
    ModelImportError,
    ModelLoadError,
    ParityError,
    ReplicaMemoryError,
    ReplicaStartError,
)
from clipper_nb.protocol.containers import REPLICA, ObservedContainer
from clipper_nb.protocol.load_report import SAMPLE_MISMATCH, UNSTEADY_ANSWER, LoadFailure, format_load_failure
from clipper_nb.protocol.names import ModelId

NET = ModelId("net", "1")


def _ended(exit_status: int | None, **more: bool) -> ObservedContainer:
    return ObservedContainer(
        "net_1-0", REPLICA, "net:1", is_running=False, num_exits=1, exit_status=exit_status, **more
    )


def _failure(exception_type: str = "ValueError", message: str = "no weights", **more: object) -> LoadFailure:
    return LoadFailure(exception_type, message, "Traceback of the replica", **more)


@pytest.mark.parametrize(
    ("failure", "error", "words", "hint"),
    [
        (
            _failure(conflicts={"numpy": ("2.0", "1.26")}, missing_module="numpy"),
            IncompatibleEnvironmentError,
            "numpy",
            "its packages in pkgs_to_install",
        ),
        (
            _failure("ImportError", "libgomp.so.1: cannot open shared object file: No such file", missing_module="x"),
            ModelImportError,
            "needs 'libgomp.so.1', a library of the operating system",
            "system_packages=",
        ),
        (
            _failure("ModuleNotFoundError", "No module named 'sklearn'", missing_module="sklearn"),
            ModelImportError,
            "cannot import 'sklearn'",
            "pkgs_to_install=",
        ),
        (
            _failure(SAMPLE_MISMATCH, "at input 3"),
            ParityError,
            "gives different answers from the notebook, at input 3",
            "leave sample_inputs out",
        ),
        (
            _failure(UNSTEADY_ANSWER, "depends on its neighbours in the batch"),
            ParityError,
            "A replica of net:1 gives an answer that depends on its neighbours in the batch.",
            "",
        ),
        (_failure(), ModelLoadError, "cannot load the model: ValueError: no weights", ""),
    ],
)
def test_load_failure_becomes_the_error_of_its_reason(failure, error, words, hint):
    log = f"loading\n{format_load_failure(failure)}\n"
    found = start_error(NET, _ended(1), log)
    assert type(found) is error
    assert found.exit_status == 1
    assert words in str(found)
    assert hint in str(found)
    assert found.log_tail.rstrip() == "loading"
    assert str(found.__cause__) == '\n"""\nTraceback of the replica\n"""'


@pytest.mark.parametrize(
    ("exit_status", "words"),
    [
        (3, "ended with exit status 3 before it was ready."),
        (0, "ended with exit status 0 before it was ready."),
        (None, "ended with exit status None before it was ready."),
        (-6, "was ended by signal 6 before it was ready."),
        (-9, "was ended by signal 9 before it was ready. It was killed; out of memory is the usual reason."),
    ],
)
def test_silent_end_is_reported_by_its_exit_status(exit_status, words):
    found = start_error(NET, _ended(exit_status), "")
    assert type(found) is ReplicaStartError
    assert str(found) == f"A replica of net:1 {words}"


def test_memory_limit_is_reported_before_the_logged_failure():
    found = start_error(NET, _ended(-9, was_out_of_memory=True), format_load_failure(_failure()))
    assert type(found) is ReplicaMemoryError
    assert "limits=ResourceLimits(memory=...)" in str(found)


def test_start_timeout_shows_the_log_of_the_newest_replica():
    found = timeout_error(NET, [["a"], ["a", "b"]], 2, 20.0, "still loading\n")
    assert (found.num_ready, found.num_replicas) == (1, 2)
    assert "connected to 1 of the 2 query frontends" in str(found)
    assert str(found).endswith("still loading")
