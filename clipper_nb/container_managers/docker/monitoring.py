"""Prometheus and Grafana of a cluster on Docker: containers from images that the engine has, each with a volume."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from clipper_nb.container_managers.docker.archives import owner_of, pack_tree
from clipper_nb.container_managers.docker.containers import DockerContainers
from clipper_nb.container_managers.docker.create_arguments import CONTAINER_PORTS, container_name
from clipper_nb.container_managers.docker.host_ports import run_at_free_ports
from clipper_nb.container_managers.docker.networks import make_volume
from clipper_nb.container_managers.docker.secret_files import read_secrets
from clipper_nb.container_managers.monitoring.files import WEB_CONFIG, Files, grafana_files, prometheus_files
from clipper_nb.container_managers.monitoring.programs import (
    GRAFANA_NAME,
    GRAFANA_PROBE,
    NUM_PASSWORD_BYTES,
    PROMETHEUS_NAME,
    START_TIMEOUT_S,
    Probe,
    grafana_variables,
    prometheus_arguments,
    prometheus_probe,
)
from clipper_nb.container_managers.monitoring.records import (
    DEFAULT_GRAFANA_PORT,
    DEFAULT_PROMETHEUS_PORT,
    USER,
    ClusterMonitoring,
    Monitoring,
    MonitoringOptions,
    ScrapeTargets,
)
from clipper_nb.container_managers.readiness import wait_for
from clipper_nb.container_managers.specs import MANAGEMENT_FRONTEND_NAME, QUERY_FRONTEND_NAME
from clipper_nb.container_managers.uninterrupted import uninterrupted
from clipper_nb.display.progress import QUIET, Progress
from clipper_nb.errors import ClusterStartError, ClusterUnreachableError, ImageNotFoundError
from clipper_nb.images.docker_engine import DockerEngine
from clipper_nb.images.user_ids import UserIds
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import MONITORING, ContainerSpec

_PROMETHEUS_IMAGE, _GRAFANA_IMAGE = "prom/prometheus", "grafana/grafana"
_VOLUME, _FOLDER = "/clipper", "run"
"""The volume's root belongs to root, the folder to the container's user."""
_HERE = f"{_VOLUME}/{_FOLDER}/"
_PASSWORD = "GF_SECURITY_ADMIN_PASSWORD__FILE"
_PORT = "http"
_PAUSE_S = 0.2


@dataclass(frozen=True)
class DockerPlace:
    """Where the containers of a cluster's monitoring are."""

    cluster: str
    host: str
    """The address at which this machine reaches published ports."""
    publish_address: str
    default_port: int = DEFAULT_PROMETHEUS_PORT
    user_ids: UserIds | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """The user's own arguments for containers."""


@dataclass(frozen=True)
class _Program:
    """One of both programs, as its container is started."""

    spec: ContainerSpec
    image: str
    files: Files
    port: int
    inner_port: int
    port_label: str
    probe: Probe


class DockerMonitoring(ClusterMonitoring):
    """Runs them for one cluster.

    Parameters
    ----------
    engine : DockerEngine
    containers : DockerContainers
    place : DockerPlace
    """

    def __init__(self, engine: DockerEngine, containers: DockerContainers, place: DockerPlace) -> None:
        self._engine = engine
        self._containers = containers
        self._place = place

    def find(self) -> Monitoring | None:
        found = self._containers.find(**{environment.LABEL_ROLE: MONITORING})
        by_name = {container.labels[environment.LABEL_NAME]: container for container in found}
        prometheus, grafana = by_name.get(PROMETHEUS_NAME), by_name.get(GRAFANA_NAME)
        if prometheus is None:
            return None
        asks = WEB_CONFIG in " ".join(prometheus.attrs["Config"]["Cmd"] or ())
        address = f"{self._place.host}:{prometheus.labels[environment.LABEL_METRIC_PORT]}"
        if grafana is None:
            return Monitoring(address, user=USER if asks else None)
        port = grafana.labels[environment.LABEL_GRAFANA_PORT]
        return Monitoring(address, f"{self._place.host}:{port}", USER, read_secrets(grafana)[_PASSWORD])

    def start(self, targets: ScrapeTargets, options: MonitoringOptions, progress: Progress = QUIET) -> Monitoring:
        found = self.find()
        if found is not None:
            return found
        inside = replace(
            targets,
            query_addr=f"{container_name(self._place.cluster, QUERY_FRONTEND_NAME)}:{CONTAINER_PORTS['query']}",
            management_addr=(
                f"{container_name(self._place.cluster, MANAGEMENT_FRONTEND_NAME)}:{CONTAINER_PORTS['management']}"
            ),
        )
        programs = [self._prometheus(inside, options)]
        grafana = self._grafana(inside, options)
        if grafana is not None:
            programs.append(grafana)
        ours: list[str] = []
        try:
            for program in programs:
                progress.step(f"Start {program.probe.what}")
                self._start(program, ours)
        except BaseException:
            # Not what another caller has started meanwhile.
            self._containers.stop([each for name in ours for each in self._find(name)], timeout_s=0)
            raise
        started = self.find()
        if started is None:
            raise ClusterStartError("The container of Prometheus was removed while it was started. Try again.")
        return started

    def stop(self, *, timeout_s: float) -> None:
        """End both, and remove their containers; their volumes stay until the cluster's are removed."""
        self._containers.stop(self._containers.find(**{environment.LABEL_ROLE: MONITORING}), timeout_s=timeout_s)

    def _prometheus(self, targets: ScrapeTargets, options: MonitoringOptions) -> _Program:
        image = options.prometheus_image or _PROMETHEUS_IMAGE
        if self._engine.find_image(image) is None:
            raise ImageNotFoundError(
                image,
                f"Nothing is downloaded here: run docker pull {image}, or name one with prometheus_image=..., or "
                "write the files for a Prometheus that runs elsewhere: conn.export_monitoring(folder).",
            )
        has_password = targets.token is not None
        command = prometheus_arguments(f":{DEFAULT_PROMETHEUS_PORT}", folder=_HERE, has_password=has_password)
        return _Program(
            ContainerSpec(PROMETHEUS_NAME, MONITORING, tuple(command)),
            image,
            prometheus_files(targets, asks_for_password=True),
            self._place.default_port if options.prometheus_port is None else options.prometheus_port,
            DEFAULT_PROMETHEUS_PORT,
            environment.LABEL_METRIC_PORT,
            prometheus_probe(targets.token),
        )

    def _grafana(self, targets: ScrapeTargets, options: MonitoringOptions) -> _Program | None:
        image = options.grafana_image or _GRAFANA_IMAGE
        if self._engine.find_image(image) is None:
            if options.grafana_image is not None:
                raise ImageNotFoundError(image, f"Nothing is downloaded here: run docker pull {image}.")
            return None
        spec = ContainerSpec(
            GRAFANA_NAME,
            MONITORING,
            (),
            environment=grafana_variables(_HERE),
            secret_files={_PASSWORD: secrets.token_urlsafe(NUM_PASSWORD_BYTES)},
        )
        url = f"http://{PROMETHEUS_NAME}:{DEFAULT_PROMETHEUS_PORT}"
        return _Program(
            spec,
            image,
            grafana_files(targets, url, _HERE, asks_for_password=True),
            DEFAULT_GRAFANA_PORT if options.grafana_port is None else options.grafana_port,
            DEFAULT_GRAFANA_PORT,
            environment.LABEL_GRAFANA_PORT,
            GRAFANA_PROBE,
        )

    def _find(self, name: str) -> list[Any]:
        return self._containers.find(**{environment.LABEL_ROLE: MONITORING, environment.LABEL_NAME: name})

    def _start(self, program: _Program, ours: list[str]) -> None:
        volume = f"{self._place.cluster}-{program.spec.name.partition('-')[0]}"
        make_volume(self._engine, self._place.cluster, volume, "")
        port = uninterrupted(partial(self._run, program, volume))
        ours.append(program.spec.name)
        answers = partial(program.probe.answers, self._place.host, port)
        try:
            wait_for(answers, time.monotonic() + START_TIMEOUT_S, self._checker(program))
        except ClusterUnreachableError as exc:
            raise ClusterStartError(
                f"{program.probe.what} does not answer at {self._place.host}:{port} after {START_TIMEOUT_S:g} s.",
                self._log_tail(program),
            ) from exc

    def _run(self, program: _Program, volume: str) -> int:
        """Start the container at the requested port of the host, or a free one; return the port."""
        place = self._place
        user = (place.user_ids or UserIds(1)).of_monitoring(place.cluster)

        def run(ports: Mapping[str, int]) -> None:
            extra = {
                **place.extra,
                "user": user,
                "restart_policy": {"Name": "unless-stopped"},
                "labels": {program.port_label: str(ports[_PORT]), **place.extra.get("labels", {})},
                "ports": {f"{program.inner_port}/tcp": (place.publish_address, ports[_PORT])},
                "volumes": {volume: {"bind": _VOLUME, "mode": "rw"}},
            }
            self._containers.run(program.spec, program.image, extra=extra, prepare=_putter(program.files))

        return run_at_free_ports(run, {_PORT: program.port}, program.probe.what)[_PORT]

    def _checker(self, program: _Program) -> Callable[[], None]:
        def check() -> None:
            time.sleep(_PAUSE_S)  # each look is several requests to the engine
            for container in self._containers.observe(**{environment.LABEL_NAME: program.spec.name}):
                if container.num_exits > 1:
                    raise ClusterStartError(
                        f"{program.probe.what} ended with status {container.exit_status}, again and again.",
                        self._log_tail(program),
                    )

        return check

    def _log_tail(self, program: _Program) -> str:
        return self._containers.log_tail(container_name(self._place.cluster, program.spec.name), 20)


def _putter(files: Files) -> Callable[[Any, str, str | None], None]:
    """Return what writes the files into a container that was created and not started yet."""

    def put(api: Any, container_id: str, user: str | None) -> None:
        api.put_archive(container_id, _VOLUME, pack_tree(_FOLDER, files, owner_of(user) or (0, 0)))

    return put
