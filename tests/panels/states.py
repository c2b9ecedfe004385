"""States of a cluster for tests of what panels show."""

from __future__ import annotations

from typing import Any

from clipper_nb.panels.cluster_state import ApplicationState, ClusterState, VersionState
from clipper_nb.protocol.containers import REPLICA, ObservedContainer
from clipper_nb.protocol.input_types import InputType


def application(name: str = "digits", **fields: Any) -> ApplicationState:
    """Return an application with an SLO of 20 ms that is linked to ``net``."""
    given = {"input_type": InputType.DOUBLES, "default_output": "-1", "slo_s": 0.02, "linked_model": "net", **fields}
    return ApplicationState(name, **given)


def version(name: str = "1", *, model: str = "net", at: float = 1.0, wanted: int = 1, **fields: Any) -> VersionState:
    """Return a version with as many replicas as wanted."""
    exits, status = fields.pop("num_exits", 0), fields.pop("exit_status", None)
    containers = [
        ObservedContainer(
            f"{model}_{name}-{index}", REPLICA, f"{model}:{name}", is_running=True, num_exits=exits, exit_status=status
        )
        for index in range(wanted)
    ]
    given = {"is_current": True, "is_containerless": False, "num_connected": wanted, **fields}
    return VersionState(model, name, InputType.DOUBLES, at, containers=containers, **given)


def cluster(*things: ApplicationState | VersionState, **fields: Any) -> ClusterState:
    """Return a cluster that was seen."""
    return ClusterState(
        "tests",
        "http://127.0.0.1:1337",
        **{"seen_at": 100.0, **fields},
        applications=[thing for thing in things if isinstance(thing, ApplicationState)],
        versions=[thing for thing in things if isinstance(thing, VersionState)],
    )
