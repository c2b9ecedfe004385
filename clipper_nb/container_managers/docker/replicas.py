"""Starts, observes and stops the replicas of a cluster on Docker: how those of an image run, and as which user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from clipper_nb.container_managers.docker import create_arguments as docker_specs
from clipper_nb.container_managers.docker import rpc_folder
from clipper_nb.container_managers.docker.containers import DockerContainers, in_parallel
from clipper_nb.container_managers.replica_scaling import ReplicaSettings
from clipper_nb.container_managers.specs import QUERY_FRONTEND_NAME
from clipper_nb.display.progress import Progress
from clipper_nb.errors import ClusterError, ReplicaStartError
from clipper_nb.images import templates
from clipper_nb.images.built_images import runs_our_program
from clipper_nb.images.docker_engine import DockerEngine
from clipper_nb.images.user_ids import UserIds
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import REPLICA, ContainerSpec, ObservedContainer
from clipper_nb.protocol.names import ModelId, parse_model_id
from clipper_nb.protocol.replica_proof import replica_secret
from clipper_nb.protocol.resource_limits import ResourceLimits

_REPLACED_USERS = ("", "root", "0", "0:0", "root:root", templates.USER)
"""Users of images that replicas do not run as."""


class DockerReplicas:
    """The replicas of one cluster.

    Parameters
    ----------
    engine : DockerEngine
    containers : DockerContainers
    cluster : str
    default_limits : ResourceLimits
        Limits of replicas whose deploy sets none.
    extra : dict
        The user's own arguments for the containers of replicas.
    """

    def __init__(
        self,
        engine: DockerEngine,
        containers: DockerContainers,
        cluster: str,
        default_limits: ResourceLimits,
        extra: Mapping[str, Any],
    ) -> None:
        self._engine = engine
        self._containers = containers
        self._cluster = cluster
        self._default_limits = default_limits
        self._extra = extra

    def require_image(
        self, image: str, limits: ResourceLimits, admin_token: str, progress: Progress
    ) -> ReplicaSettings:
        """Return how replicas of an image run; pulls it if the engine does not have it.

        Raises
        ------
        ImageNotFoundError
            The engine cannot get it.
        """
        found = self._engine.find_or_pull(image, progress)
        user = found.attrs["Config"].get("User", "")
        is_ours = runs_our_program(found.attrs["Config"])
        return ReplicaSettings(
            rpc_host=QUERY_FRONTEND_NAME,
            rpc_port=docker_specs.CONTAINER_PORTS["rpc"],
            offline_socket=rpc_folder.SOCKET if is_ours else None,
            reads_variables=is_ours,
            secret=replica_secret(admin_token),
            user=None if user in _REPLACED_USERS else user,
            limits=limits,
        )

    def start(self, replicas: Sequence[ContainerSpec], settings: ReplicaSettings, user_ids: UserIds) -> None:
        """Start replicas of one image at the same time; they may still be loading when this returns.

        Raises
        ------
        ReplicaStartError
            The engine could not start one.
        """
        extra = {
            **docker_specs.limit_arguments(settings.limits, self._default_limits),
            **docker_specs.network_arguments(settings, self._cluster),
        }
        in_parallel(partial(self._start_one, image_user=settings.user, user_ids=user_ids, extra=extra), replicas)

    def observe(self, model_id: ModelId | None = None) -> list[ObservedContainer]:
        """Return the replicas of a version, or of all."""
        labels = {environment.LABEL_ROLE: REPLICA}
        if model_id is not None:
            labels[environment.LABEL_MODEL], labels[environment.LABEL_MODEL_VERSION] = model_id
        return self._containers.observe(**labels)

    def stop_all(self, *, timeout_s: float) -> None:
        """Stop and remove all of them; each has *timeout_s* to finish its queries."""
        self._containers.stop(self._containers.find(**{environment.LABEL_ROLE: REPLICA}), timeout_s=timeout_s)

    def _start_one(
        self, replica: ContainerSpec, *, image_user: str | None, user_ids: UserIds, extra: Mapping[str, Any]
    ) -> None:
        user = image_user or user_ids.of_version(self._cluster, parse_model_id(str(replica.model)))
        try:
            self._containers.run(replica, str(replica.image), extra={"user": user, **extra, **self._extra})
        except ClusterError as exc:
            raise ReplicaStartError(str(replica.model), f"could not be started. {exc}") from exc
