"""Waits for replicas to be connected, and says why when they will not be."""

from __future__ import annotations

import time
from collections.abc import Sequence

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.cluster.new_version import NewVersion
from clipper_nb.cluster.replica_arrival import ReplicaArrival
from clipper_nb.cluster.version_claim import VersionClaim
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.container_managers.specs import ObservedContainer
from clipper_nb.errors import (
    IncompatibleEnvironmentError,
    ModelImportError,
    ModelLoadError,
    ParityError,
    RemoteTraceback,
    ReplicaMemoryError,
    ReplicaStartError,
    StartTimeoutError,
)
from clipper_nb.protocol.descriptions import ReplicaInfo
from clipper_nb.protocol.load_report import SAMPLE_MISMATCH, LoadFailure, parse_load_failure, without_load_failure
from clipper_nb.protocol.names import ModelId

_LOOK_INTERVAL_S = 0.03
_HINT_PACKAGES = "Pass pkgs_to_install=[...] with the package that has it, or import it only where it is there."
_HINT_LIBRARY = (
    "No Python package has it. Pass system_packages=[...] with the package of Debian that has it ('libgomp1' for "
    "libgomp.so.1), or a base_image= that has it."
)
_HINT_PARITY = (
    "Other packages there than here are the usual reason. A function whose answers change from call to call has no "
    "samples: leave sample_inputs out (from R: compare_sample = FALSE)."
)
_HINT_ENVIRONMENT = (
    "Have the notebook's versions in the image (a base_image with its Python, its packages in pkgs_to_install), or the "
    "image's in the notebook, and deploy again."
)
_HINT_MEMORY = "Give it more: limits=ResourceLimits(memory=...)."
_HINT_FRONTENDS = (
    "They are connected to {} of the {} query frontends. Containers that know only CLIPPER_IP and CLIPPER_PORT, as "
    "those written for Clipper, need start_clipper(num_frontend_replicas=1)."
)
_HINT_KILLED = "It was killed; out of memory is the usual reason."


def wait_for_replicas(
    manager: ContainerManager,
    management: ManagementClient,
    claim: VersionClaim,
    wanted: NewVersion,
    *,
    observed_before: Sequence[ObservedContainer],
    started_s: float,
) -> None:
    """Return when exactly as many replicas as wanted are connected to every query frontend.

    *observed_before* is what ran before anything was started: what ended earlier is no news.

    Raises
    ------
    ClaimLostError
        The version was stopped by another caller meanwhile.
    ModelImportError, ModelLoadError, ReplicaStartError, IncompatibleEnvironmentError
        A replica ended before it was connected, or serves another input type than the version's.
    StartTimeoutError
        They are not connected in the version's time after *started_s*.
    """
    model_id = wanted.model_id
    known_exits = {container.name: container.num_exits for container in observed_before}
    arrival = ReplicaArrival(management, claim.claim_id, wanted)
    while True:
        claim.check()
        if arrival.wait(_LOOK_INTERVAL_S):
            return
        observed = manager.observe_replicas(model_id)
        for container in observed:
            if container.num_exits > known_exits.get(container.name, 0):
                raise _start_error(model_id, container, manager.get_log_tail(container.name))
        waited_s = time.monotonic() - started_s
        if waited_s > wanted.timeout_s:
            connected = _connected_to_each(management, model_id)
            raise _timeout_error(manager, model_id, observed, connected, wanted.num_replicas, waited_s)


def _connected_to_each(management: ManagementClient, model_id: ModelId) -> list[list[ReplicaInfo]]:
    """Return the replicas of a version that are connected to each query frontend."""
    return [
        [replica for replica in frontend.replicas if replica.model_id == model_id]
        for frontend in management.get_query_frontends()
    ]


def _start_error(
    model_id: ModelId, container: ObservedContainer, log: str
) -> ReplicaStartError | IncompatibleEnvironmentError:
    if container.was_out_of_memory:
        return ReplicaMemoryError(
            str(model_id), "was killed at its memory limit before it was ready", exit_status=container.exit_status,
            log_tail=without_load_failure(log), hint=_HINT_MEMORY,
        )  # fmt: skip
    failure = parse_load_failure(log)
    tail = without_load_failure(log)
    if failure is None:
        status = container.exit_status
        killed = status is not None and status < 0
        reason = f"was ended by signal {-status}" if killed and status else f"ended with exit status {status}"
        return ReplicaStartError(
            str(model_id), f"{reason} before it was ready", exit_status=status, log_tail=tail,
            hint=_HINT_KILLED if status == -9 else "",
        )  # fmt: skip
    return _load_error(model_id, container, failure, tail)


def _load_error(
    model_id: ModelId, container: ObservedContainer, failure: LoadFailure, log_tail: str
) -> ReplicaStartError | IncompatibleEnvironmentError:
    error: ReplicaStartError | IncompatibleEnvironmentError
    if failure.conflicts:
        error = IncompatibleEnvironmentError(
            str(model_id), failure.conflicts, exit_status=container.exit_status, log_tail=log_tail,
            hint=_HINT_ENVIRONMENT,
        )  # fmt: skip
    elif failure.missing_library is not None:
        error = ModelImportError(
            str(model_id), f"needs '{failure.missing_library}', a library of the operating system",
            exit_status=container.exit_status, log_tail=log_tail, hint=_HINT_LIBRARY,
        )  # fmt: skip
    elif failure.missing_module is not None:
        error = ModelImportError(
            str(model_id), f"cannot import '{failure.missing_module}'", exit_status=container.exit_status,
            log_tail=log_tail, hint=_HINT_PACKAGES,
        )  # fmt: skip
    elif failure.exception_type == SAMPLE_MISMATCH:
        error = ParityError(
            str(model_id), f"answers otherwise than the notebook, {failure.message}",
            exit_status=container.exit_status, log_tail=log_tail, hint=_HINT_PARITY,
        )  # fmt: skip
    else:
        error = ModelLoadError(
            str(model_id), f"cannot load the model: {failure.exception_type}: {failure.message}",
            exit_status=container.exit_status, log_tail=log_tail,
        )  # fmt: skip
    error.__cause__ = RemoteTraceback(failure.traceback_text)
    return error


def _timeout_error(
    manager: ContainerManager,
    model_id: ModelId,
    observed: Sequence[ObservedContainer],
    connected: Sequence[Sequence[object]],
    num_replicas: int,
    waited_s: float,
) -> StartTimeoutError:
    num_reached = sum(len(replicas) >= num_replicas for replicas in connected)
    logs = [manager.get_log_tail(container.name) for container in observed]
    return StartTimeoutError(
        str(model_id),
        num_ready=min(map(len, connected), default=0),
        num_replicas=num_replicas,
        waited_s=waited_s,
        hint=_HINT_FRONTENDS.format(num_reached, len(connected)) if 0 < num_reached < len(connected) else "",
        log_tail=without_load_failure(logs[-1]) if logs else "",
    )
