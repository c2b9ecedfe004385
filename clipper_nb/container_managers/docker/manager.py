"""The whole cluster as containers of a Docker Engine."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.container_managers.docker import create_arguments as docker_specs
from clipper_nb.container_managers.docker import redis as docker_redis
from clipper_nb.container_managers.docker.admin_folder import AdminFolder
from clipper_nb.container_managers.docker.checks import check_engine
from clipper_nb.container_managers.docker.containers import DockerContainers
from clipper_nb.container_managers.docker.core import CorePorts, CoreSecrets, CoreSettings, DockerCore
from clipper_nb.container_managers.docker.core_containers import (
    RunningCluster,
    check_it_goes_on,
    read_kept,
    read_running,
    set_aside,
)
from clipper_nb.container_managers.docker.keeper import Keeper
from clipper_nb.container_managers.docker.monitoring import DockerMonitoring, DockerPlace
from clipper_nb.container_managers.docker.replicas import DockerReplicas
from clipper_nb.container_managers.docker.resources import ClusterResources
from clipper_nb.container_managers.docker.under_way import StartUnderWay, exists_error
from clipper_nb.container_managers.docker.user_ids import choose_user_ids
from clipper_nb.container_managers.machine_checks import check_ports
from clipper_nb.container_managers.replica_scaling import ReplicaScaling, ReplicaSettings
from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.container_managers.tls.identity import choose_identity, trust_in
from clipper_nb.display.diagnosis import Finding
from clipper_nb.display.progress import QUIET, Progress, show_progress
from clipper_nb.errors import (
    ClipperException,
    ClusterNotFoundError,
    ImageNotFoundError,
)
from clipper_nb.images.built_images import BuiltImage
from clipper_nb.images.docker_builder import DockerBuilder
from clipper_nb.images.docker_engine import DockerEngine
from clipper_nb.images.user_ids import UserIds, check_user_ids
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import ContainerSpec, ObservedContainer
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.number_rules import check_port_numbers
from clipper_nb.protocol.resource_limits import NO_LIMITS, ResourceLimits
from clipper_nb.protocol.tls_identity import TlsIdentity


class DockerContainerManager(ReplicaScaling):
    """A cluster of containers: Redis, both frontends, and one container per replica.

    The engine is the one that ``DOCKER_HOST`` or the current Docker context points to. It restarts containers that
    crash, also after a restart of the engine itself; the cluster lives until ``stop_all()``.

    Parameters
    ----------
    cluster_name : str
        Clusters with different names live side by side on one engine.
    docker_ip_address : str
        The address at which this machine reaches the published ports.
    use_centralized_log : bool
        Clipper's Fluentd. Not supported: pass ``extra_container_kwargs={"log_config": ...}`` for a log driver.
    fluentd_port : int
        Not used.
    clipper_query_port, clipper_management_port, clipper_rpc_port : int
        Ports of the host. A busy one is replaced by a free one; after ``start_clipper`` or ``connect`` the attributes
        hold the ports in use.
    redis_ip, redis_port : str, int
        Address of an external Redis for the configuration, as seen from the frontends' containers; ``"localhost"`` is
        the engine's host. Without it the cluster runs its own. An external Redis keeps the configuration after
        ``stop_all()``.
    prometheus_port : int
        Port of the host for the Prometheus of ``start_monitoring()``; a busy one is replaced by a free one.
    docker_network : str, optional
        A network of yours that both frontends join too, so that your own containers reach them by name
        (``<cluster>-query_frontend-0:1337``). The cluster's own networks are created and removed with it.
    extra_container_kwargs : dict, optional
        More arguments of docker-py's ``containers.create`` for every container; labels and environment are merged.
    publish_address : str
        The host's address that ports are published on; the default is reachable from this machine only.
    redis_password, redis_username : str, optional
        Credentials for the external Redis.
    redis_tls : bool
        Connect to the external Redis with TLS.
    redis_ca_file : path, optional
        The certificates to verify it with, in PEM; by default the system's.
    redis_image : str
        Image of the cluster's own Redis.
    model_container_kwargs : dict, optional
        More arguments for the replicas only, such as ``{"device_requests": [...]}`` for GPUs.
    default_limits : ResourceLimits, optional
        Limits of replicas whose deploy sets none. Default: no limit on memory or cores, 512 processes.
    container_user_ids : range, optional
        User and group ids of the containers, at least 16: none of them may belong to an account of the engine's
        machine. Redis, both frontends and each model version have their own. Default: 2,013,265,920 to 2,013,266,943,
        and 10,001 to 11,024 where the engine maps user ids. Programs in a container find a name for those alone.

    Examples
    --------
    >>> from clipper_nb import ClipperConnection, DockerContainerManager
    >>> conn = ClipperConnection(DockerContainerManager())
    >>> conn.start_clipper()
    """

    def __init__(
        self,
        cluster_name: str = "default-cluster",
        docker_ip_address: str = "localhost",
        use_centralized_log: bool = False,
        fluentd_port: int = 24224,
        clipper_query_port: int = environment.DEFAULT_QUERY_PORT,
        clipper_management_port: int = environment.DEFAULT_MANAGEMENT_PORT,
        clipper_rpc_port: int = environment.DEFAULT_RPC_PORT,
        redis_ip: str | None = None,
        redis_port: int = 6379,
        prometheus_port: int = 9090,
        docker_network: str | None = None,
        extra_container_kwargs: Mapping[str, Any] | None = None,
        *,
        publish_address: str = "127.0.0.1",
        redis_password: str | None = None,
        redis_username: str | None = None,
        redis_tls: bool = False,
        redis_ca_file: str | Path | None = None,
        redis_image: str = docker_redis.DEFAULT_IMAGE,
        model_container_kwargs: Mapping[str, Any] | None = None,
        default_limits: ResourceLimits = NO_LIMITS,
        container_user_ids: range | None = None,
    ) -> None:
        docker_specs.check_is_supported(use_centralized_log=use_centralized_log, docker_network=docker_network)
        self.cluster_name = self.cluster_identifier = docker_specs.check_docker_cluster_name(cluster_name)
        self.public_hostname = docker_ip_address
        check_port_numbers(
            clipper_query_port=clipper_query_port, clipper_management_port=clipper_management_port,
            clipper_rpc_port=clipper_rpc_port, redis_port=redis_port, prometheus_port=prometheus_port,
        )  # fmt: skip
        self.clipper_query_port, self.clipper_management_port = clipper_query_port, clipper_management_port
        self.clipper_rpc_port = clipper_rpc_port
        self.redis_ip, self.redis_port = redis_ip, redis_port
        self.external_redis = redis_ip is not None
        self.docker_network = docker_network
        self._prometheus_port = prometheus_port
        self._redis_image = redis_image
        extra = docker_specs.check_extra_arguments(extra_container_kwargs)
        model_extra = {**extra, **docker_specs.check_extra_arguments(model_container_kwargs)}
        self._asked_user_ids = None if container_user_ids is None else check_user_ids(container_user_ids)
        self._engine = DockerEngine()
        self._containers = DockerContainers(self._engine, self.cluster_name)
        self._resources = ClusterResources(self._engine, self.cluster_name)
        self._under_way = StartUnderWay(self._engine, self._containers, self.cluster_name)
        self._replicas = DockerReplicas(self._engine, self._containers, self.cluster_name, default_limits, model_extra)
        self._builder = DockerBuilder(self._engine)
        settings = CoreSettings(
            host=docker_ip_address,
            publish_address=publish_address,
            network=docker_network,
            redis_ip=redis_ip,
            redis_port=redis_port,
            redis_variables=docker_redis.external_variables(
                self.cluster_name, redis_ip, redis_port, redis_username, redis_password, redis_tls, redis_ca_file
            ),
            redis_image=redis_image,
            extra=extra,
        )
        self._core = DockerCore(self._engine, self._containers, self._builder, self.cluster_name, settings)
        self._keeper: Keeper | None = None
        self._admin_folder: AdminFolder | None = None
        self._running: RunningCluster | None = None

    def __repr__(self) -> str:
        return f"DockerContainerManager(cluster_name={self.cluster_name!r})"

    @property
    def docker_client(self) -> Any:
        """The ``docker.DockerClient`` in use."""
        return self._engine.client

    # --- the cluster

    def start_clipper(self, options: ClusterOptions, progress: Progress = QUIET, *, fresh: bool = False) -> bool:
        progress.step("Look for the Docker Engine")
        self._settle_killed_start()
        found = self._containers.find()
        kept = read_kept(found)
        if kept is None and found:
            raise exists_error(self.cluster_name)
        is_removed = kept is not None and fresh
        if is_removed:
            kept = None
        if kept is not None:
            kept.check_resumable(self.cluster_name)
            kept.check_user_ids(self._asked_user_ids)
            options = options.over(kept.options)
        tls = choose_identity(
            self.cluster_name, options, self._core.known_hosts(), None if kept is None else kept.secrets.tls
        )
        user_ids = choose_user_ids(self._engine, self._asked_user_ids if kept is None else kept.user_ids)
        if is_removed:
            self.stop_all(graceful=False)
        self._builder.remove_leftovers()
        images = self._core.require_images(options, progress)
        progress.step("Start Redis and both frontends")
        with self._under_way.noted() as start_id:
            if kept is None:
                self._start_new(start_id, images, options, replace(CoreSecrets.new(), tls=tls), user_ids)
            else:
                secrets, ports = replace(kept.secrets, tls=tls), kept.resumed_ports(self._ports())
                with set_aside(self._containers, kept):
                    self._start_core(start_id, images, options, ports, secrets, user_ids)
        return kept is not None

    def connect(self) -> None:
        running = read_running(self._containers.find(), self.cluster_name)
        self._containers.restart_ended()
        self._core.wait_until_it_answers(running.ports, trust_in(running.secrets.tls), self._check_it_goes_on)
        self._under_way.complete()
        self._use(running)

    def get_query_addr(self) -> str:
        return f"{self.public_hostname}:{self.clipper_query_port}"

    def get_admin_addr(self) -> str:
        return f"{self.public_hostname}:{self.clipper_management_port}"

    def get_admin_endpoint(self) -> str:
        return self.get_admin_url() if self._admin_folder is None else f"unix:{self._admin_folder.socket_path}"

    def get_admin_token(self) -> str:
        return self._known().secrets.admin_token

    def get_query_token(self) -> str | None:
        return None if self._running is None else self._running.secrets.query_token

    def get_tls_identity(self) -> TlsIdentity | None:
        return None if self._running is None else self._running.secrets.tls

    def make_image_builder(self) -> DockerBuilder:
        return self._builder

    def make_monitoring(self) -> DockerMonitoring:
        ids = None if self._running is None else self._running.user_ids
        settings = self._core.settings
        place = DockerPlace(
            self.cluster_name, self.public_hostname, settings.publish_address, self._prometheus_port, ids,
            settings.extra,
        )  # fmt: skip
        return DockerMonitoring(self._engine, self._containers, place)

    def stop_all(self, *, graceful: bool = True, keep: bool = False) -> None:
        if keep:
            self._settle_killed_start()
        self._end_watch()
        self._running = None
        self._replicas.stop_all(timeout_s=10 if graceful else 0)
        self.make_monitoring().stop(timeout_s=10 if graceful else 0)
        folder = self._core.find_admin_folder() or self._admin_folder  # whose container may have been removed by hand
        end = self._containers.end if keep else self._containers.stop
        end(self._containers.find(), timeout_s=10 if graceful else 0)
        self._under_way.remove_folder()
        if folder is not None:
            folder.remove()
        self._admin_folder = None
        if keep:
            self._under_way.forget()
        else:
            self._resources.remove()

    def check_machine(self) -> list[Finding]:
        user_ids = self._asked_user_ids if self._running is None else self._running.user_ids
        found = check_engine(self._engine, None if self.external_redis else self._redis_image, user_ids)
        return found if self._running is not None else [*found, check_ports(asdict(self._ports()), "127.0.0.1")]

    # --- replicas

    def _require_image(self, image: str, limits: ResourceLimits, progress: Progress) -> ReplicaSettings:
        return self._replicas.require_image(image, limits, self.get_admin_token(), progress)

    def _start_replicas(self, replicas: Sequence[ContainerSpec], settings: ReplicaSettings) -> None:
        self._replicas.start(replicas, settings, self._known().user_ids)

    def _stop_replicas(self, names: Sequence[str]) -> None:
        self._containers.stop_replicas(names)

    def observe_replicas(self, model_id: ModelId | None = None) -> list[ObservedContainer]:
        return self._replicas.observe(model_id)

    # --- logs and images

    def get_log_tail(self, container_name: str, *, max_lines: int = 40) -> str:
        return self._containers.log_tail(container_name, max_lines)

    def get_log_folder(self) -> str:
        folder = self._admin_folder
        return str(folder.make_copied_logs()) if folder is not None and folder.is_own() else super().get_log_folder()

    def _write_logs(self, folder: Path) -> list[str]:
        return self._containers.write_logs(folder)

    def build_base_image(self, kind: str = "python_closure") -> str:
        """Return the tag of the base image of a kind of model, for your own ``FROM``.

        The image is built if the engine does not have it.

        Examples
        --------
        >>> conn.cm.build_base_image()
        'clipper_nb-python_closure:0.1.0-py3.11-3f0c5dd2a1b7'
        """
        with show_progress(f"Build the base image for {kind}") as progress:
            return self._builder.build_base(kind, progress=progress)

    def get_images(self) -> list[BuiltImage]:
        """Return the images that were built for this cluster's model versions, and their base images."""
        return [image for image in self._builder.images() if image.cluster in (None, self.cluster_name)]

    def remove_images(self, images: Sequence[str] | None = None) -> list[str]:
        """Remove images by tag and return the tags of those removed; images that a container uses stay.

        Without *images*, removes those of all this cluster's model versions, which cannot be started again then.
        """
        known = {tag: image for image in self.get_images() for tag in image.tags}
        wanted = [tag for tag, image in known.items() if image.cluster] if images is None else list(images)
        for tag in wanted:
            if tag not in known:
                raise ImageNotFoundError(tag, "get_images() lists those that were built for this cluster.")
            self._builder.remove(tag)
        return [tag for tag in wanted if self._engine.find_image(tag) is None]

    # --- within

    def _start_new(
        self,
        start_id: str,
        images: Mapping[str, str],
        options: ClusterOptions,
        secrets: CoreSecrets,
        user_ids: UserIds,
    ) -> None:
        try:
            if not self._resources.take_name(start_id):
                raise exists_error(self.cluster_name)
            self._start_core(start_id, images, options, self._ports(), secrets, user_ids)
        except BaseException:
            # Also if the user interrupts the cell. A cluster of this name that another caller started must stay.
            with contextlib.suppress(ClipperException):
                if self._resources.take_name(start_id):
                    self.stop_all(graceful=False)
            raise

    def _start_core(
        self,
        start_id: str,
        images: Mapping[str, str],
        options: ClusterOptions,
        wanted: CorePorts,
        secrets: CoreSecrets,
        user_ids: UserIds,
    ) -> None:
        self._resources.make()
        self._core.start(images, options, wanted, secrets, user_ids, start_id)
        self._use(read_running(self._containers.find(), self.cluster_name))

    def _known(self) -> RunningCluster:
        if self._running is None:
            raise ClusterNotFoundError(f"Not connected to cluster '{self.cluster_name}'.")
        return self._running

    def _settle_killed_start(self) -> None:
        self._under_way.settle(partial(self.stop_all, graceful=False))

    def _check_it_goes_on(self) -> None:
        check_it_goes_on(self._containers.find(), self.cluster_name)

    def _ports(self) -> CorePorts:
        return CorePorts(self.clipper_query_port, self.clipper_management_port, self.clipper_rpc_port)

    def _use(self, running: RunningCluster) -> None:
        self.clipper_query_port, self.clipper_management_port = running.ports.query, running.ports.management
        self.clipper_rpc_port = running.ports.rpc
        self._running = running
        self._admin_folder = self._core.find_admin_folder()
        self._begin_watch()

    def _begin_watch(self) -> None:
        self._end_watch()
        management = ManagementClient.at(self.get_admin_endpoint(), self.get_admin_token(), self.get_trust())
        core_files = self._known().secrets.by_role
        self._keeper = Keeper(self, self._engine, self._containers, self.cluster_name, management, core_files)
        self._keeper.start()

    def _end_watch(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.stop()
