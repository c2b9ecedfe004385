"""What a cluster should hold, and how it is brought there between two cuts."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clipper_nb import ClipperConnection
from clipper_nb.container_managers.local.monitoring import LocalMonitoring
from clipper_nb.deployers.python import deploy_python_closure
from clipper_nb.errors import ClipperException
from clipper_nb.protocol.containers import MONITORING
from clipper_nb.protocol.records import CONTAINERLESS_IMAGE
from tests.end_to_end.cuts.traffic_state import TrafficState, add_traffic, remove_traffic
from tests.support.clusters import http_request, observe

CONTAINERLESS = None
ABSENT = "absent"
SLO_MICROS = 3_000_000
_DEADLINE_S = 40.0


@dataclass(frozen=True)
class ClusterState:
    """Applications with their linked model, versions (``"m:1"``) with their replicas, the current version by model,
    the bounds of versions that are autoscaled (``(1, 3)``), and whether Prometheus watches."""

    applications: Mapping[str, str | None] = field(default_factory=dict)
    versions: Mapping[str, int | None] = field(default_factory=dict)
    current: Mapping[str, str] = field(default_factory=dict)
    traffic: TrafficState = field(default_factory=TrafficState)
    autoscaling: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    is_watched: bool = False

    def facts(self) -> dict[str, str]:
        """Return it as sentences, which can be compared one by one."""
        return {
            **describe_applications(self.applications),
            **{f"version {name}": describe_replicas(number) for name, number in self.versions.items()},
            **{f"current version of {model}": version for model, version in self.current.items()},
            **self.traffic.facts(),
            **describe_autoscaling(self.autoscaling),
            **describe_monitoring(is_watched=self.is_watched),
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


def describe_autoscaling(autoscaling: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """Return within which bounds the cluster sets the number of a version's replicas."""
    return {f"autoscaling of {name}": f"{smallest}-{largest}" for name, (smallest, largest) in autoscaling.items()}


def describe_monitoring(*, is_watched: bool) -> dict[str, str]:
    """Return whether Prometheus watches the cluster."""
    return {"Prometheus": "runs"} if is_watched else {}


def autoscaling_of(models: Iterable[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """Return the bounds of autoscaled versions, of all that are registered."""
    return {
        f"{model['model_name']}:{model['model_version']}": (found["min_replicas"], found["max_replicas"])
        for model in models
        if (found := model["autoscaling"]) is not None
    }


def autoscale(conn: ClipperConnection, version: str, bounds: tuple[int, int]) -> None:
    """Let the cluster choose; the few queries of these tests give it no reason to."""
    model, _, number = version.partition(":")
    conn.set_num_replicas(
        model, version=number, min=bounds[0], max=bounds[1], target=1.0, stable_s=3600.0, timeout_s=10.0
    )  # fmt: skip


def is_watched(conn: ClipperConnection) -> bool:
    """Return whether Prometheus runs, where the cluster says that it does."""
    monitoring = conn.cm.make_monitoring()
    found = None if monitoring is None else monitoring.find()
    if found is None or not any(container.role == MONITORING for container in observe(conn)):
        return False
    with contextlib.suppress(OSError):
        return http_request(found.prometheus_addr, "GET", "/-/ready")[0] in (200, 401)
    return False


def telling(inputs: list[Any]) -> list[str]:
    """Tell by which version these are answered: a model that is deployed without a number."""
    variables = dict(os.environ)
    return [f"{variables['CLIPPER_MODEL_NAME']}:{variables['CLIPPER_MODEL_VERSION']}" for _ in inputs]


def answering(version: str) -> Callable[[list[Any]], list[str]]:
    """Return a model that tells its version."""
    return lambda inputs: [version for _ in inputs]


def ensure(conn: ClipperConnection, wanted: ClusterState) -> None:
    """Bring the cluster to that state, whatever a cut has left; what is right already costs one look."""
    deadline_s = time.monotonic() + _DEADLINE_S
    while True:
        try:
            remove_traffic(conn, wanted.traffic)
            _remove_applications(conn, wanted)
            _remove_versions(conn, wanted)
            _add_versions(conn, wanted)
            _add_applications(conn, wanted)
            add_traffic(conn, wanted.traffic)
            if not wanted.is_watched:
                _end_monitoring(conn)
            return
        except ClipperException:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.3)


def _end_monitoring(conn: ClipperConnection) -> None:
    """Stop Prometheus, which no call does."""
    monitoring = conn.cm.make_monitoring()
    if isinstance(monitoring, LocalMonitoring) and any(container.role == MONITORING for container in observe(conn)):
        monitoring._stop()
        (monitoring._folder.path / "monitoring.json").unlink(missing_ok=True)


def _remove_applications(conn: ClipperConnection, wanted: ClusterState) -> None:
    for application in conn.get_all_apps(verbose=True):
        name, linked = application["name"], application["linked_models"]
        if name not in wanted.applications:
            conn.unregister_application(name)
        elif linked and linked[0] != wanted.applications[name] and name not in wanted.traffic.shares:
            conn.unlink_model_from_app(name, linked[0])


def _remove_versions(conn: ClipperConnection, wanted: ClusterState) -> None:
    running = {container.model for container in observe(conn, "replica") if container.model}
    for version in sorted({*conn.get_all_models(), *running} - set(wanted.versions)):
        model, _, number = version.partition(":")
        conn.stop_versioned_models({model: [number]})


def _add_versions(conn: ClipperConnection, wanted: ClusterState) -> None:
    for version, replicas in wanted.versions.items():
        _ensure_version(conn, version, replicas)
    models = conn.get_all_models(verbose=True)
    for version, bounds in autoscaling_of(models).items():
        if wanted.autoscaling.get(version) != bounds:
            model, _, number = version.partition(":")
            conn.set_num_replicas(model, wanted.versions[version], number, timeout_s=10)
    for version, bounds in wanted.autoscaling.items():
        if autoscaling_of(models).get(version) != bounds:
            autoscale(conn, version, bounds)
    current = {model["model_name"]: model["model_version"] for model in models if _is_current(model)}
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
