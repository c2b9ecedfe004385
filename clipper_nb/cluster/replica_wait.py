"""Waits for replicas to be connected."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.cluster.start_failures import start_error, timeout_error
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.errors import ReplicaStartError
from clipper_nb.protocol.containers import ObservedContainer
from clipper_nb.protocol.names import ModelId

_POLL_INTERVAL_S = 0.03


def wait_for_replicas(
    manager: ContainerManager,
    management: ManagementClient,
    model_id: ModelId,
    num_replicas: int,
    *,
    input_type: str,
    observed_before: Sequence[ObservedContainer],
    started_s: float,
    timeout_s: float,
    check: Callable[[], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return when exactly *num_replicas* replicas of *model_id* are connected to every query frontend.

    *observed_before* is what ran before anything was started: what ended earlier is no news. *check* raises when
    there is nothing to wait for any more.

    Raises
    ------
    ModelImportError, ModelLoadError, ReplicaStartError, IncompatibleEnvironmentError
        A replica ended before it was connected, or serves another input type than *input_type*.
    StartTimeoutError
        They are not connected *timeout_s* after *started_s*.
    """
    known_exits = {container.name: container.num_exits for container in observed_before}
    while True:
        check()
        connected = _connected_to_each(management, model_id)
        for replica in (replica for replicas in connected for replica in replicas):
            if replica["input_type"] != input_type:
                raise ReplicaStartError(
                    str(model_id), f"serves inputs of type {replica['input_type']}, and the version takes {input_type}"
                )
        counts = [len(replicas) for replicas in connected] or [0]
        if all(count == num_replicas for count in counts):
            return
        observed = manager.observe_replicas(model_id)
        for container in observed:
            if container.num_exits > known_exits.get(container.name, 0):
                raise start_error(model_id, container, manager.get_log_tail(container.name))
        waited_s = clock() - started_s
        if waited_s > timeout_s:
            log = manager.get_log_tail(observed[-1].name) if observed else ""
            raise timeout_error(model_id, connected, num_replicas, waited_s, log)
        sleep(_POLL_INTERVAL_S)


def _connected_to_each(management: ManagementClient, model_id: ModelId) -> list[list[dict[str, Any]]]:
    """Return the replicas of a version that are connected to each query frontend."""
    return [
        [replica for replica in frontend["replicas"] if replica["model_id"] == str(model_id)]
        for frontend in management.get_query_frontends()
    ]
