"""Scales replicas with four primitives that a container manager implements.

A manager decides how a replica of an image runs, starts and stops containers, and observes them. What is the same for
every manager is here: names, what to start and stop, versions by name, the errors about logs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.container_managers.log_copies import copy_logs
from clipper_nb.container_managers.reconcile import reconcile_replicas
from clipper_nb.container_managers.specs import new_replica_name, replica_spec
from clipper_nb.display.progress import QUIET, Progress
from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.containers import ContainerSpec
from clipper_nb.protocol.input_types import InputType, parse_input_type
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.replica_proof import make_credentials
from clipper_nb.protocol.resource_limits import NO_LIMITS, ResourceLimits


@dataclass(frozen=True)
class ReplicaSettings:
    """How a replica of an image runs on a container manager."""

    rpc_host: str
    """Address of the query frontend, as the replica reaches it."""
    rpc_port: int
    command: tuple[str, ...] = ()
    """Empty for the image's own."""
    model_folder: str | None = None
    """The folder of the replica's model, if not ``/model``."""
    user: str | None = None
    """The image's own user, if it runs as that one."""
    limits: ResourceLimits = NO_LIMITS
    offline_socket: str | None = None
    """The path of the query frontend's Unix socket for replicas without a network, if there can be such."""
    rpc_socket: str | None = None
    """The path of the query frontend's Unix socket, if the replica uses that instead."""
    secret: str | None = field(default=None, repr=False)
    """What the tokens of replicas are made from; without it they have none."""
    reads_variables: bool = False
    """Whether the program takes the variables of its version from a file; without it they are in its environment."""


class ReplicaScaling(ContainerManager):
    """A container manager that scales by starting and stopping containers.

    A subclass implements ``_require_image``, ``_start_replicas``, ``_stop_replicas``, ``observe_replicas`` and
    ``_write_logs``; it inherits ``set_num_replicas``, ``stop_models``, ``stop_all_model_containers`` and ``get_logs``.
    """

    @abstractmethod
    def _require_image(self, image: str, limits: ResourceLimits, progress: Progress) -> ReplicaSettings:
        """Return how replicas of *image* run with these limits, once the image can be started.

        Raises ``ImageNotFoundError``, or ``InvalidRequestError`` for limits that the manager cannot set.
        """

    @abstractmethod
    def _start_replicas(self, replicas: Sequence[ContainerSpec], settings: ReplicaSettings) -> None:
        """Start at least one replica of one image; they may still be loading when this returns."""

    @abstractmethod
    def _stop_replicas(self, names: Sequence[str]) -> None:
        """Stop replicas once they have finished their queries; unknown names and an empty list are fine."""

    @abstractmethod
    def _write_logs(self, folder: Path) -> list[str]:
        """Copy every container's log into *folder*, which exists; return the files' paths. May raise ``OSError``."""

    def set_num_replicas(
        self,
        model_id: ModelId,
        *,
        input_type: InputType | str,
        image: str,
        num_replicas: int,
        load_timeout_s: float,
        limits: ResourceLimits = NO_LIMITS,
        environment: Mapping[str, str] | None = None,
        network_access: bool | None = None,
        progress: Progress = QUIET,
    ) -> None:
        canonical = parse_input_type(input_type)
        settings = self._require_image(image, limits, progress) if num_replicas > 0 else None
        if settings is not None and not network_access:
            settings = _without_network(settings, image, is_demanded=network_access is False)
        difference = reconcile_replicas(num_replicas, self.observe_replicas(model_id), image)
        if settings is not None and difference.num_to_start:
            progress.step(f"Start {difference.num_to_start} replicas of {model_id}")
            new = [
                _replica(model_id, image, canonical, load_timeout_s, settings, environment or {})
                for _ in range(difference.num_to_start)
            ]
            self._start_replicas(new, settings)
        else:
            progress.step(f"Stop {len(difference.names_to_stop)} replicas of {model_id}")
        self._stop_replicas(difference.names_to_stop)

    def stop_models(self, models: Mapping[str, Sequence[str]]) -> None:
        unwanted = {str(ModelId(name, version)) for name, versions in models.items() for version in versions}
        self._stop_replicas([replica.name for replica in self.observe_replicas() if replica.model in unwanted])

    def stop_all_model_containers(self) -> None:
        self._stop_replicas([replica.name for replica in self.observe_replicas()])

    def get_logs(self, logging_dir: str) -> list[str]:
        return copy_logs(logging_dir, self._write_logs)


def _without_network(settings: ReplicaSettings, image: str, *, is_demanded: bool) -> ReplicaSettings:
    if settings.offline_socket is None and not is_demanded:
        return settings
    if settings.offline_socket is None:
        raise InvalidRequestError(
            f"Replicas of {image} cannot run without a network: they are processes of this machine, or containers "
            "whose program is not this release of clipper_nb. Leave network_access=False out."
        )
    return replace(settings, rpc_socket=settings.offline_socket)


def _replica(
    model_id: ModelId,
    image: str,
    input_type: InputType,
    load_timeout_s: float,
    settings: ReplicaSettings,
    variables: Mapping[str, str],
) -> ContainerSpec:
    name = new_replica_name(model_id)
    return replica_spec(
        model_id,
        name=name,
        command=settings.command,
        image=image,
        input_type=input_type,
        rpc_host=settings.rpc_host,
        rpc_port=settings.rpc_port,
        rpc_socket=settings.rpc_socket,
        credentials=None if settings.secret is None else make_credentials(settings.secret, model_id, name),
        load_timeout_s=load_timeout_s,
        model_folder=settings.model_folder,
        variables=variables,
        is_read=settings.reads_variables,
        limits=settings.limits,
    )
