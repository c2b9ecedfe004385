"""The core of a cluster on Docker (Redis and both frontends): its images, its start, its readiness."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from clipper_nb.clients.trust import Trust
from clipper_nb.container_managers import specs
from clipper_nb.container_managers.docker import create_arguments as docker_specs
from clipper_nb.container_managers.docker import redis as docker_redis
from clipper_nb.container_managers.docker.admin_folder import (
    NOT_MOUNTED,
    AdminFolder,
    find_admin_folder,
    make_admin_folder,
    removed_on_failure,
)
from clipper_nb.container_managers.docker.containers import DockerContainers
from clipper_nb.container_managers.docker.host_ports import run_at_free_ports
from clipper_nb.container_managers.docker.networks import describe_network
from clipper_nb.container_managers.readiness import answers, check_core, is_ready, wait_for
from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.container_managers.tls.identity import trust_in
from clipper_nb.container_managers.uninterrupted import uninterrupted
from clipper_nb.display.progress import Progress
from clipper_nb.errors import ClusterStartError, ClusterUnreachableError
from clipper_nb.images.docker_builder import DockerBuilder
from clipper_nb.images.docker_engine import DockerEngine
from clipper_nb.images.user_ids import UserIds, decode_user_ids, encode_user_ids
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import MANAGEMENT_FRONTEND, QUERY_FRONTEND, REDIS, ContainerSpec
from clipper_nb.protocol.replica_proof import replica_secret
from clipper_nb.protocol.tls_identity import TlsIdentity, encode_identity

logger = logging.getLogger(__name__)

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_EXTERNAL_REDIS_TIMEOUT_S = 15.0
_NAMES_OF_HOST = ("host.docker.internal", "host.containers.internal")
"""What a container calls the machine that publishes ports, by Docker and Podman."""
_EVERY_ADDRESS = ("", "0.0.0.0", "::")
_NUM_TOKEN_BYTES = 24

SET_ASIDE = "-kept"
"""How the names of containers end that have ended, but are not removed before new ones answer."""


@dataclass(frozen=True)
class CorePorts:
    """Ports of the host; 0 is any free one."""

    query: int
    management: int
    rpc: int


@dataclass(frozen=True)
class CoreSecrets:
    """What the processes of one cluster prove themselves with."""

    admin_token: str = field(repr=False)
    redis_password: str = field(repr=False)
    """Of the cluster's own Redis."""
    tls: TlsIdentity | None = None
    """Of the frontends; ``None`` if they speak HTTP."""

    @classmethod
    def new(cls) -> CoreSecrets:
        """Return random ones."""
        return cls(secrets.token_urlsafe(_NUM_TOKEN_BYTES), secrets.token_urlsafe(_NUM_TOKEN_BYTES))


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
        self.settings = settings

    def require_images(self, options: ClusterOptions, progress: Progress) -> dict[str, str]:
        """Return the image of each role, built or pulled if the engine does not have it."""
        query, management = options.query_frontend_image, options.management_frontend_image
        if query is None or management is None:
            ours = self._builder.build_base("frontend", progress=progress)
            query, management = query or ours, management or ours
        images = {QUERY_FRONTEND: query, MANAGEMENT_FRONTEND: management}
        if self.settings.redis_ip is None:
            images[REDIS] = self.settings.redis_image
        for image in images.values():
            if self._engine.find_image(image) is None:
                self._engine.pull(image, progress)
        return images

    def start(
        self,
        images: Mapping[str, str],
        options: ClusterOptions,
        wanted: CorePorts,
        secrets: CoreSecrets,
        user_ids: UserIds,
        start_id: str,
    ) -> None:
        """Start the core and return once both frontends answer at ports of the host.

        Raises ``ClusterStartError`` with the end of the failing container's log; the caller removes what was started.
        """
        settings = self.settings
        labels = {
            environment.LABEL_OPTIONS: json.dumps(_shown(options), sort_keys=True),
            environment.LABEL_USER_IDS: encode_user_ids(user_ids),
            environment.LABEL_START: start_id,
        }
        redis = settings.redis_variables
        if settings.redis_ip is None:
            spec, redis = docker_redis.own_redis(secrets.redis_password)
            own_labels = {environment.LABEL_START: start_id, **settings.extra.get("labels", {})}
            extra = {"user": user_ids.of_core(REDIS), **settings.extra, "labels": own_labels}
            uninterrupted(
                partial(
                    self._containers.run, spec, images[REDIS], extra=extra, prepare=docker_redis.put_data_folder
                )
            )  # fmt: skip
        redis = {**redis, **specs.new_run_id()}
        names = self._names_of(specs.MANAGEMENT_FRONTEND_NAME)
        management = _with_identity(
            specs.management_frontend_spec("python", options, redis, secrets.admin_token, names, tls=secrets.tls),
            secrets.tls,
        )
        published, folder = self._start_management_frontend(management, images, wanted, labels)
        with removed_on_failure(folder):
            ports = replace(wanted, **published)
            trust = trust_in(secrets.tls)
            if settings.redis_ip is not None:
                self._wait_for_external_redis(ports, trust)
            published = self._start_query_frontend(images, options, wanted, secrets, redis, labels)
            ports = replace(ports, **published)
            self.wait_until_it_answers(ports, trust)
            if folder is not None and not folder.socket_path.exists():
                self._go_without(folder, management, images, ports, labels, trust)

    def find_admin_folder(self) -> AdminFolder | None:
        """Return the folder in which this user reaches the management frontend's socket, if there is one."""
        found = self._containers.find(**{environment.LABEL_ROLE: MANAGEMENT_FRONTEND})
        current = [container for container in found if not container.name.endswith(SET_ASIDE)]
        return find_admin_folder(current[0].attrs) if current else None

    def _start_query_frontend(
        self,
        images: Mapping[str, str],
        options: ClusterOptions,
        wanted: CorePorts,
        secrets: CoreSecrets,
        redis: Mapping[str, str],
        labels: Mapping[str, str],
    ) -> dict[str, int]:
        """Start it in the networks of replicas too, which it knows; return its ports on the host."""
        names, secret = self._names_of(specs.QUERY_FRONTEND_NAME), replica_secret(secrets.admin_token)
        spec = specs.query_frontend_spec("python", options, redis, names, secret=secret, tls=secrets.tls)
        networks = {
            environment.CONTAINER_NETWORK: docker_specs.models_network(self._cluster),
            environment.PROVEN_NETWORK: docker_specs.proven_network(self._cluster),
        }
        described = {variable: describe_network(self._engine, name) for variable, name in networks.items()}
        spec = replace(spec, environment={**spec.environment, **described})
        ports = {"query": wanted.query, "rpc": wanted.rpc}
        return self._start_frontend(spec, images, ports, labels, dict.fromkeys(networks.values(), spec.name))

    def _start_management_frontend(
        self, spec: ContainerSpec, images: Mapping[str, str], wanted: CorePorts, labels: Mapping[str, str]
    ) -> tuple[dict[str, int], AdminFolder | None]:
        """Start it with a folder that it shares with this machine, if the engine can do that."""
        ports = {"management": wanted.management}
        start_id = labels[environment.LABEL_START]
        folder = make_admin_folder(self._engine.client.api.base_url, _user_of(spec, labels), start_id)
        if folder is not None:
            try:
                return self._start_frontend(spec, images, ports, labels, folder=folder), folder
            except BaseException as exc:
                folder.remove()
                if not any(words in str(exc) for words in NOT_MOUNTED):
                    raise
        return self._start_frontend(spec, images, ports, labels), None

    def _go_without(
        self,
        folder: AdminFolder,
        spec: ContainerSpec,
        images: Mapping[str, str],
        ports: CorePorts,
        labels: Mapping[str, str],
        trust: Trust | None,
    ) -> None:
        """Start the management frontend again without the folder, which the engine or its containers cannot use."""
        logger.info("admin calls go through a port: the engine's containers cannot use a folder of this machine")
        self._containers.stop(self._containers.find(**{environment.LABEL_ROLE: spec.role}), timeout_s=_STOP_TIMEOUT_S)
        folder.remove()
        self._start_frontend(spec, images, {"management": ports.management}, labels)
        self.wait_until_it_answers(ports, trust)

    def wait_until_it_answers(
        self, ports: CorePorts, trust: Trust | None, check: Callable[[], None] | None = None
    ) -> None:
        """Return when both frontends answer.

        During a start, which has no *check*, raise :class:`ClusterStartError` if they do not in time, or keep ending.
        Otherwise raise :class:`ClusterUnreachableError`, or what *check* raises; earlier ends do not matter then.
        """
        host = self.settings.host
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        for role, port in ((MANAGEMENT_FRONTEND, ports.management), (QUERY_FRONTEND, ports.query)):
            try:
                wait_for(partial(answers, host, port, trust), deadline_s, check or self._check)
            except ClusterUnreachableError as exc:
                what = f"The {role} does not answer at {host}:{port}."
                if check is None:
                    raise ClusterStartError(what, self._log_tail_of(role)) from exc
                raise ClusterUnreachableError(what) from exc

    def known_hosts(self) -> list[str]:
        """Return the names and addresses at which clients reach the frontends of the cluster."""
        names = [*self._names_of(specs.QUERY_FRONTEND_NAME), *self._names_of(specs.MANAGEMENT_FRONTEND_NAME)]
        published = self.settings.publish_address
        return [*names, *([] if published in _EVERY_ADDRESS else [published])]

    def _names_of(self, spec_name: str) -> list[str]:
        """Return the names under which a frontend is reached: from this machine, from containers, from their host."""
        container = docker_specs.container_name(self._cluster, spec_name)
        return [self.settings.host, container, spec_name, *_NAMES_OF_HOST]

    def _start_frontend(
        self,
        spec: ContainerSpec,
        images: Mapping[str, str],
        wanted_ports: Mapping[str, int],
        labels: Mapping[str, str],
        networks: Mapping[str, str] | None = None,
        *,
        folder: AdminFolder | None = None,
    ) -> dict[str, int]:
        """Start a frontend on the requested ports of the host, or on free ones, and return them."""
        settings = self.settings
        networks = dict(networks or {})
        if settings.network is not None:
            networks[settings.network] = docker_specs.container_name(self._cluster, spec.name)
        user = _user_of(spec, labels)
        extra = {"user": user, **settings.extra, "labels": {**labels, **settings.extra.get("labels", {})}}
        if folder is not None:
            extra = folder.arguments({**extra, "user": settings.extra.get("user", folder.container_user(user))})
        if docker_redis.is_on_host(settings.redis_ip):
            extra = {**extra, "extra_hosts": {**docker_redis.HOST_FROM_INSIDE, **extra.get("extra_hosts", {})}}

        def run(ports: Mapping[str, int]) -> None:
            uninterrupted(
                partial(
                    self._containers.run, spec, images[spec.role], extra=extra, host_ports=ports,
                    publish_address=settings.publish_address, networks=networks,
                )
            )  # fmt: skip

        return run_at_free_ports(run, wanted_ports, spec.name)

    def _wait_for_external_redis(self, ports: CorePorts, trust: Trust | None) -> None:
        """Wait until the management frontend reaches Redis; this machine may have another route to it."""
        settings = self.settings
        ready = partial(is_ready, settings.host, ports.management, trust)
        try:
            wait_for(ready, time.monotonic() + _EXTERNAL_REDIS_TIMEOUT_S, self._check)
        except ClusterUnreachableError as exc:
            raise ClusterStartError(
                f"Redis at {settings.redis_ip}:{settings.redis_port} does not answer the cluster's containers.",
                self._log_tail_of(MANAGEMENT_FRONTEND),
            ) from exc

    def _check(self) -> None:
        new = [container for container in self._containers.observe() if not container.name.endswith(SET_ASIDE)]
        check_core(new, partial(self._containers.log_tail, max_lines=40))

    def _log_tail_of(self, role: str) -> str:
        found = self._containers.find(**{environment.LABEL_ROLE: role})
        return "".join(self._containers.log_tail(container.name, 40) for container in found)


def _with_identity(management: ContainerSpec, tls: TlsIdentity | None) -> ContainerSpec:
    """Return the spec of a management frontend whose container keeps what other processes need to join or resume."""
    if tls is None:
        return management
    return replace(management, environment={**management.environment, environment.TLS_IDENTITY: encode_identity(tls)})


def _user_of(spec: ContainerSpec, labels: Mapping[str, str]) -> str:
    return decode_user_ids(labels[environment.LABEL_USER_IDS]).of_core(spec.role)


def _shown(options: ClusterOptions) -> dict[str, Any]:
    """Return what a label may show of options: everything but the token, which the containers have as a file."""
    return {name: value for name, value in options.stored().items() if name != "query_token"}
