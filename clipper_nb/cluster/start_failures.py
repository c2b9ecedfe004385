"""Turns what was observed of replicas that do not start into the error that says what to do. (pure)"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass
from typing import Any, Union

from clipper_nb.errors import (
    IncompatibleEnvironmentError,
    ModelImportError,
    ModelLoadError,
    ParityError,
    ReplicaMemoryError,
    ReplicaStartError,
    StartTimeoutError,
)
from clipper_nb.protocol.containers import ObservedContainer
from clipper_nb.protocol.load_report import (
    SAMPLE_MISMATCH,
    UNSTEADY_ANSWER,
    LoadFailure,
    parse_load_failure,
    without_load_failure,
)
from clipper_nb.protocol.names import ModelId

_HINT_MEMORY = "Allow it more: limits=ResourceLimits(memory=...)."
_HINT_FRONTENDS = (
    "They are connected to {} of the {} query frontends. Containers that know only CLIPPER_IP and CLIPPER_PORT, such "
    "as those written for Clipper, need start_clipper(num_frontend_replicas=1)."
)
_HINT_KILLED = "It was killed; out of memory is the usual reason."

StartError = Union[ReplicaStartError, IncompatibleEnvironmentError]


class RemoteTraceback(Exception):
    """The traceback of a replica, shown as the cause of an error here; never raised."""

    def __init__(self, traceback_text: str) -> None:
        super().__init__(traceback_text)
        self.traceback_text = traceback_text

    def __str__(self) -> str:
        return f'\n"""\n{self.traceback_text.rstrip()}\n"""'


@dataclass(frozen=True)
class _LoadProblem:
    """A reason why a model is not loaded, and the error that reports it."""

    is_reason: Callable[[LoadFailure], object]
    error: Callable[..., StartError]
    facts: Callable[[LoadFailure], Any]
    """What the error is built from: its message, or the versions that differ."""
    hint: str = ""


_LOAD_PROBLEMS = (
    _LoadProblem(
        lambda failure: failure.conflicts,
        IncompatibleEnvironmentError,
        lambda failure: failure.conflicts,
        "Install the notebook's versions in the image (a base_image with its Python, its packages in pkgs_to_install), "
        "or the image's versions in the notebook, and deploy again.",
    ),
    _LoadProblem(
        lambda failure: failure.missing_library,
        ModelImportError,
        lambda failure: f"needs '{failure.missing_library}', a library of the operating system",
        "No Python package has it. Pass system_packages=[...] with the Debian package that has it ('libgomp1' for "
        "libgomp.so.1), or a base_image= that has it.",
    ),
    _LoadProblem(
        lambda failure: failure.missing_module is not None,
        ModelImportError,
        lambda failure: f"cannot import '{failure.missing_module}'",
        "Pass pkgs_to_install=[...] with the package that has it, or import it only where it is installed.",
    ),
    _LoadProblem(
        lambda failure: failure.exception_type == SAMPLE_MISMATCH,
        ParityError,
        lambda failure: f"gives different answers from the notebook, {failure.message}",
        "The usual reason is that its packages differ from the notebook's. A function whose answers change from "
        "call to call has no samples: leave sample_inputs out (from R: compare_sample = FALSE).",
    ),
    _LoadProblem(
        lambda failure: failure.exception_type == UNSTEADY_ANSWER,
        ParityError,
        lambda failure: f"gives an answer that {failure.message}",
    ),
    _LoadProblem(
        lambda failure: True,
        ModelLoadError,
        lambda failure: f"cannot load the model: {failure.exception_type}: {failure.message}",
    ),
)
"""Checked in this order; the last matches every failure."""


def start_error(model_id: ModelId, container: ObservedContainer, log: str) -> StartError:
    """Return why a replica ended before it was ready, from the end of its *log*."""
    tail = without_load_failure(log)
    if container.was_out_of_memory:
        return ReplicaMemoryError(
            str(model_id), "was killed at its memory limit before it was ready", exit_status=container.exit_status,
            log_tail=tail, hint=_HINT_MEMORY,
        )  # fmt: skip
    failure = parse_load_failure(log)
    if failure is not None:
        return _load_error(model_id, container.exit_status, failure, tail)
    status = container.exit_status
    reason = f"was ended by signal {-status}" if status and status < 0 else f"ended with exit status {status}"
    return ReplicaStartError(
        str(model_id), f"{reason} before it was ready", exit_status=status, log_tail=tail,
        hint=_HINT_KILLED if status == -9 else "",
    )  # fmt: skip


def timeout_error(
    model_id: ModelId, connected: Sequence[Sized], num_replicas: int, waited_s: float, log: str
) -> StartTimeoutError:
    """Return the error for replicas that are not connected in time.

    Parameters
    ----------
    model_id : ModelId
    connected : list
        The replicas that each query frontend has.
    num_replicas : int
        How many each should have.
    waited_s : float
    log : str
        The end of the log of the replica that was started last.
    """
    num_reached = sum(len(replicas) >= num_replicas for replicas in connected)
    return StartTimeoutError(
        str(model_id),
        num_ready=min(map(len, connected), default=0),
        num_replicas=num_replicas,
        waited_s=waited_s,
        hint=_HINT_FRONTENDS.format(num_reached, len(connected)) if 0 < num_reached < len(connected) else "",
        log_tail=without_load_failure(log),
    )


def _load_error(model_id: ModelId, exit_status: int | None, failure: LoadFailure, log_tail: str) -> StartError:
    problem = next(problem for problem in _LOAD_PROBLEMS if problem.is_reason(failure))
    error = problem.error(
        str(model_id), problem.facts(failure), exit_status=exit_status, log_tail=log_tail, hint=problem.hint
    )
    error.__cause__ = RemoteTraceback(failure.traceback_text)
    return error
