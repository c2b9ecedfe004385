"""What a cluster should hold, and how it is brought there between two cuts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import deploy_python_closure
from clipper_nb.errors import ClipperException
from clipper_nb.protocol.records import CONTAINERLESS_IMAGE
from tests.support.clusters import observe

CONTAINERLESS = None
ABSENT = "absent"
SLO_MICROS = 3_000_000
_DEADLINE_S = 40.0


@dataclass(frozen=True)
class ClusterState:
    """Applications with their linked model, versions (``"m:1"``) with their replicas, the current version by model."""

    applications: Mapping[str, str | None] = field(default_factory=dict)
    versions: Mapping[str, int | None] = field(default_factory=dict)
    current: Mapping[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, str]:
        """Return it as sentences, which can be compared one by one."""
        return {
            **describe_applications(self.applications),
            **{f"version {name}": describe_replicas(number) for name, number in self.versions.items()},
            **{f"current version of {model}": version for model, version in self.current.items()},
        }


def describe_applications(applications: Mapping[str, str | None]) -> dict[str, str]:
    """Return which applications are registered, and what they are linked to."""
    return {
        **{f"application {name}": "registered" for name in applications},
        **{f"link of {name}": model for name, model in applications.items() if model is not None},
    }


def describe_replicas(number: int | None) -> str:
    """Return what a registered version is."""
    return "containerless" if number is CONTAINERLESS else f"{number} replicas"


def answering(version: str) -> Callable[[list[Any]], list[str]]:
    """Return a model that tells its version."""
    return lambda inputs: [version for _ in inputs]


def ensure(conn: ClipperConnection, wanted: ClusterState) -> None:
    """Bring the cluster to that state, whatever a cut has left; what is right already costs one look."""
    deadline_s = time.monotonic() + _DEADLINE_S
    while True:
        try:
            _remove_applications(conn, wanted)
            _remove_versions(conn, wanted)
            _add_versions(conn, wanted)
            _add_applications(conn, wanted)
            return
        except ClipperException:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.3)


def _remove_applications(conn: ClipperConnection, wanted: ClusterState) -> None:
    for application in conn.get_all_apps(verbose=True):
        name, linked = application["name"], application["linked_models"]
        if name not in wanted.applications:
            conn.unregister_application(name)
        elif linked and linked[0] != wanted.applications[name]:
            conn.unlink_model_from_app(name, linked[0])


def _remove_versions(conn: ClipperConnection, wanted: ClusterState) -> None:
    running = {container.model for container in observe(conn, "replica") if container.model}
    for version in sorted({*conn.get_all_models(), *running} - set(wanted.versions)):
        model, _, number = version.partition(":")
        conn.stop_versioned_models({model: [number]})


def _add_versions(conn: ClipperConnection, wanted: ClusterState) -> None:
    for version, replicas in wanted.versions.items():
        _ensure_version(conn, version, replicas)
    current = {model["model_name"]: model["model_version"] for model in conn.get_all_models(True) if _is_current(model)}
    for model, number in wanted.current.items():
        if current.get(model) != number:
            conn.set_model_version(model, number)


def _ensure_version(conn: ClipperConnection, version: str, replicas: int | None) -> None:
    model, _, number = version.partition(":")
    record = conn.get_model_info(model, number)
    if record is not None and (record["container_name"] == CONTAINERLESS_IMAGE) is not (replicas is CONTAINERLESS):
        conn.stop_versioned_models({model: [number]})
        record = None
    if record is None:
        _add_version(conn, model, number, replicas)
    elif replicas is not CONTAINERLESS and _num_connected(conn, version) != replicas:
        try:
            conn.set_num_replicas(model, replicas, number, timeout_s=10)
        except ClipperException:  # its image may be gone
            conn.stop_versioned_models({model: [number]})
            raise


def _add_version(conn: ClipperConnection, model: str, number: str, replicas: int | None) -> None:
    if replicas is CONTAINERLESS:
        conn.register_model(model, number, "doubles")
        return
    with contextlib.suppress(ClipperException):
        conn.stop_versioned_models({model: [number]})  # replicas that nobody registered
    deploy_python_closure(conn, model, number, "doubles", answering(f"{model}:{number}"), num_replicas=replicas)


def _num_connected(conn: ClipperConnection, version: str) -> int:
    return sum(replica["model_id"] == version for replica in conn.get_all_model_replicas(verbose=True))


def _add_applications(conn: ClipperConnection, wanted: ClusterState) -> None:
    there = {application["name"]: application["linked_models"] for application in conn.get_all_apps(verbose=True)}
    for name, model in wanted.applications.items():
        if name not in there:
            conn.register_application(name, "doubles", "default", SLO_MICROS)
        if model is not None and not there.get(name):
            conn.link_model_to_app(name, model)


def _is_current(model: Mapping[str, Any]) -> bool:
    return bool(model["is_current_version"])
