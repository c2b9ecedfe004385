"""The core of a cluster on Docker (Redis and both frontends): its images, its start, its readiness."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from clipper_nb.container_managers import specs
from clipper_nb.container_managers.docker import create_arguments as docker_specs
from clipper_nb.container_managers.docker import redis as docker_redis
from clipper_nb.container_managers.docker.containers import DockerContainers, uninterrupted
from clipper_nb.container_managers.readiness import answers, check_core, is_ready, wait_for
from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.display.progress import Progress
from clipper_nb.errors import ClusterError, ClusterStartError, ClusterUnreachableError
from clipper_nb.images.docker_builder import DockerBuilder
from clipper_nb.images.docker_engine import DockerEngine
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import MANAGEMENT_FRONTEND, QUERY_FRONTEND, REDIS, ContainerSpec

_START_TIMEOUT_S = 30.0
_EXTERNAL_REDIS_TIMEOUT_S = 15.0
_NUM_PORT_TRIES = 10


@dataclass(frozen=True)
class CorePorts:
    """Ports of the host; 0 is any free one."""

    query: int
    management: int
    rpc: int


@dataclass(frozen=True)
class CoreSettings:
    """The container manager's arguments that concern the core."""

    host: str
    """The address at which this machine reaches published ports."""
    publish_address: str
    network: str | None
    """The user's own network, which both frontends join."""
    redis_ip: str | None
    """The host of an external Redis; ``None`` for the cluster's own."""
    redis_port: int
    redis_variables: Mapping[str, str]
    """Environment variables with which the frontends connect to it."""
    redis_image: str
    extra: Mapping[str, Any]
    """The user's own arguments for containers."""


class DockerCore:
    """Starts the core of one cluster, whose networks and volume exist, and waits for it.

    Parameters
    ----------
    engine : DockerEngine
    containers : DockerContainers
    builder : DockerBuilder
    cluster : str
    settings : CoreSettings
    """

    def __init__(
        self,
        engine: DockerEngine,
        containers: DockerContainers,
        builder: DockerBuilder,
        cluster: str,
        settings: CoreSettings,
    ) -> None:
        self._engine = engine
        self._containers = containers
        self._builder = builder
        self._cluster = cluster
        self._settings = settings

    def require_images(self, options: ClusterOptions, progress: Progress) -> dict[str, str]:
        """Return the image of each role, built or pulled if the engine does not have it."""
        query, management = options.query_frontend_image, options.management_frontend_image
        if query is None or management is None:
            ours = self._builder.build_base("frontend", progress=progress)
            query, management = query or ours, management or ours
        images = {QUERY_FRONTEND: query, MANAGEMENT_FRONTEND: management}
        if self._settings.redis_ip is None:
            images[REDIS] = self._settings.redis_image
        for image in images.values():
            if self._engine.find_image(image) is None:
                self._engine.pull(image, progress)
        return images

    def start(
        self,
        images: Mapping[str, str],
        options: ClusterOptions,
        wanted: CorePorts,
        *,
        admin_token: str,
        redis_password: str,
    ) -> CorePorts:
        """Start the core and return the ports of the host, once both frontends answer there.

        Raises ``ClusterStartError`` with the end of the failing container's log; the caller removes what was started.
        """
        settings = self._settings
        redis = settings.redis_variables
        if settings.redis_ip is None:
            spec, redis = docker_redis.own_redis(redis_password)
            uninterrupted(partial(self._containers.run, spec, images[REDIS], extra=settings.extra))
        management = specs.management_frontend_spec("python", options, redis, admin_token)
        published = self._start_frontend(management, images, {"management": wanted.management})
        ports = replace(wanted, **published)
        if settings.redis_ip is not None:
            self._wait_for_external_redis(ports)
        query = specs.query_frontend_spec("python", options, redis)
        models_network = docker_specs.models_network(self._cluster)
        published = self._start_frontend(
            query, images, {"query": wanted.query, "rpc": wanted.rpc}, {models_network: query.name}
        )
        ports = replace(ports, **published)
        self.wait_until_it_answers(ports, ClusterStartError)
        return ports

    def wait_until_it_answers(
        self, ports: CorePorts, error: type[ClusterStartError] | type[ClusterUnreachableError]
    ) -> None:
        """Return when both frontends answer; raise *error* if they do not in time, or keep ending during a start."""
        host = self._settings.host
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        # For a notebook that connects, earlier ends do not matter.
        check = self._check if error is ClusterStartError else _no_check
        for role, port in ((MANAGEMENT_FRONTEND, ports.management), (QUERY_FRONTEND, ports.query)):
            try:
                wait_for(partial(answers, host, port), deadline_s, check)
            except ClusterUnreachableError as exc:
                what = f"The {role} does not answer at {host}:{port}."
                if error is ClusterStartError:
                    raise ClusterStartError(what, self._log_tail_of(role)) from exc
                raise ClusterUnreachableError(what) from exc

    def _start_frontend(
        self,
        spec: ContainerSpec,
        images: Mapping[str, str],
        wanted_ports: Mapping[str, int],
        networks: Mapping[str, str] | None = None,
    ) -> dict[str, int]:
        """Start a frontend on the requested ports of the host, or on free ones, and return them."""
        settings = self._settings
        networks = dict(networks or {})
        if settings.network is not None:
            networks[settings.network] = docker_specs.container_name(self._cluster, spec.name)
        extra = settings.extra
        if docker_redis.is_on_host(settings.redis_ip):
            extra = {**extra, "extra_hosts": {**docker_redis.HOST_FROM_INSIDE, **extra.get("extra_hosts", {})}}
        ports = {name: port or _free_port() for name, port in wanted_ports.items()}
        for _ in range(_NUM_PORT_TRIES):
            try:
                uninterrupted(
                    partial(
                        self._containers.run, spec, images[spec.role], extra=extra, host_ports=ports,
                        publish_address=settings.publish_address, networks=networks,
                    )
                )  # fmt: skip
            except ClusterError as exc:
                if not re.search(r"already allocated|address already in use", str(exc)):
                    raise
                busy = [name for name, port in ports.items() if re.search(rf":{port}\b", str(exc))] or list(ports)
                ports.update({name: _free_port() for name in busy})
            else:
                return ports
        raise ClusterStartError(f"No free port of the host was found for {spec.name} in {_NUM_PORT_TRIES} tries.")

    def _wait_for_external_redis(self, ports: CorePorts) -> None:
        """Wait until the management frontend reaches Redis; this machine may have another route to it."""
        settings = self._settings
        ready = partial(is_ready, settings.host, ports.management)
        try:
            wait_for(ready, time.monotonic() + _EXTERNAL_REDIS_TIMEOUT_S, self._check)
        except ClusterUnreachableError as exc:
            raise ClusterStartError(
                f"Redis at {settings.redis_ip}:{settings.redis_port} does not answer the cluster's containers.",
                self._log_tail_of(MANAGEMENT_FRONTEND),
            ) from exc

    def _check(self) -> None:
        check_core(self._containers.observe(), partial(self._containers.log_tail, max_lines=40))

    def _log_tail_of(self, role: str) -> str:
        found = self._containers.find(**{environment.LABEL_ROLE: role})
        return "".join(self._containers.log_tail(container.name, 40) for container in found)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _no_check() -> None:
    pass
