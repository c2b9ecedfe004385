"""What a container manager promises to the connection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.display.diagnosis import Finding
from clipper_nb.display.progress import QUIET, Progress
from clipper_nb.protocol.containers import ObservedContainer
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.resource_limits import NO_LIMITS, ResourceLimits

if TYPE_CHECKING:
    from clipper_nb.images.builder import ImageBuilder


class ContainerManager(ABC):
    """Starts and stops the containers of one cluster; only :class:`ClipperConnection` calls it.

    Every method has a deadline, and raises errors of ours alone.
    """

    cluster_name: str
    clipper_query_port: int
    clipper_management_port: int
    clipper_rpc_port: int

    @abstractmethod
    def start_clipper(self, options: ClusterOptions, progress: Progress = QUIET) -> None:
        """Start a cluster of this name. When it returns both frontends answer, and the manager is connected to it.

        Raises ``ClusterStartError`` with the end of the guilty log, and leaves nothing behind, when it cannot.
        """

    @abstractmethod
    def connect(self) -> None:
        """Find the running cluster of this name, whoever started it.

        Raises ``ClusterNotFoundError`` when there is none, ``ClusterUnreachableError`` when it does not answer.
        """

    @abstractmethod
    def get_query_addr(self) -> str:
        """Return ``host:port`` of the query frontend, without scheme."""

    @abstractmethod
    def get_admin_addr(self) -> str:
        """Return ``host:port`` of the management frontend, without scheme."""

    @abstractmethod
    def get_admin_token(self) -> str:
        """Return the bearer token that the management frontend wants."""

    @abstractmethod
    def make_image_builder(self) -> ImageBuilder:
        """Return what builds images that this manager can start."""

    @abstractmethod
    def set_num_replicas(
        self,
        model_id: ModelId,
        *,
        input_type: str,
        image: str,
        num_replicas: int,
        load_timeout_s: float,
        limits: ResourceLimits = NO_LIMITS,
        progress: Progress = QUIET,
    ) -> None:
        """Start or stop replicas until as many are there; calling it twice is harmless.

        When it returns those that were to stop have ended, after finishing what they had; those that were started
        may still be loading. Raises ``ImageNotFoundError``, or ``InvalidRequestError`` for limits that it cannot set,
        before anything is changed.
        """

    @abstractmethod
    def observe_replicas(self, model_id: ModelId | None = None) -> list[ObservedContainer]:
        """Return the replicas of a version, or of all, oldest first; also those that wait to be started again."""

    @abstractmethod
    def get_log_tail(self, container_name: str, *, max_lines: int = 40) -> str:
        """Return the last lines that a container wrote; empty when it wrote none or is not known."""

    @abstractmethod
    def get_logs(self, logging_dir: str) -> list[str]:
        """Copy every container's log into *logging_dir*, made if need be; return the files' paths."""

    @abstractmethod
    def stop_models(self, models: Mapping[str, Sequence[str]]) -> None:
        """Stop all replicas of the given versions, by model name; unknown ones are fine."""

    @abstractmethod
    def stop_all_model_containers(self) -> None:
        """Stop every replica of the cluster."""

    @abstractmethod
    def stop_all(self, *, graceful: bool = True) -> None:
        """Stop the cluster and remove what it left: processes, sockets, files. No cluster is fine too."""

    def check_machine(self) -> list[Finding]:
        """Look over what a cluster of this manager stands on, for ``conn.doctor()``; raises nothing, takes seconds."""
        return []

    def get_num_replicas(self, model_id: ModelId) -> int:
        """Return how many replicas of a version are there."""
        return len(self.observe_replicas(model_id))
