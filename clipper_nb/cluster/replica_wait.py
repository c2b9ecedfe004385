"""Waits for replicas to be connected."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.cluster.new_version import NewVersion
from clipper_nb.cluster.replica_arrival import ReplicaArrival
from clipper_nb.cluster.start_failures import start_error, timeout_error
from clipper_nb.cluster.version_claim import VersionClaim
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.protocol.containers import ObservedContainer
from clipper_nb.protocol.descriptions import ReplicaInfo
from clipper_nb.protocol.names import ModelId

_FIRST_LOOK_S = 0.03
_LONGEST_LOOK_INTERVAL_S = 0.3
_SHARE_OF_WAIT = 0.1
"""Replicas that load for long are looked at less often: each look takes time from them."""


def wait_for_replicas(
    manager: ContainerManager,
    management: ManagementClient,
    claim: VersionClaim,
    wanted: NewVersion,
    *,
    observed_before: Sequence[ObservedContainer],
    started_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Return when exactly as many replicas as wanted are connected to every query frontend.

    *observed_before* has the replicas from before anything was started: earlier exits are not reported.

    Raises
    ------
    ClaimLostError
        The version was stopped by another caller meanwhile.
    ModelImportError, ModelLoadError, ReplicaStartError, IncompatibleEnvironmentError
        A replica ended before it was connected, or serves an input type different from the version's.
    ImageNotFoundError, ReplicaStartError
        No replica can start, and the container manager knows why.
    StartTimeoutError
        They are not connected within the version's timeout, counted from *started_s*.
    """
    model_id = wanted.model_id
    known_exits = {container.name: container.num_exits for container in observed_before}
    with ReplicaArrival(claim, wanted) as arrival:
        while True:
            claim.check()
            if arrival.wait(_look_interval_s(clock() - started_s)):
                return
            observed = manager.observe_replicas(model_id)
            for container in observed:
                if container.num_exits > known_exits.get(container.name, 0):
                    raise start_error(model_id, container, manager.get_log_tail(container.name))
            problem = manager.find_start_problem(model_id)
            if problem is not None:
                raise problem
            waited_s = clock() - started_s
            if waited_s > wanted.timeout_s:
                connected = _connected_to_each(management, model_id)
                log = manager.get_log_tail(observed[-1].name) if observed else ""
                raise timeout_error(model_id, connected, wanted.num_replicas, waited_s, log)


def _look_interval_s(waited_s: float) -> float:
    return min(max(_FIRST_LOOK_S, _SHARE_OF_WAIT * waited_s), _LONGEST_LOOK_INTERVAL_S)


def _connected_to_each(management: ManagementClient, model_id: ModelId) -> list[list[ReplicaInfo]]:
    """Return the replicas of a version that are connected to each query frontend."""
    return [
        [replica for replica in frontend.replicas if replica.model_id == model_id]
        for frontend in management.get_query_frontends()
    ]
