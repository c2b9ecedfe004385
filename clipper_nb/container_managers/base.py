"""What a container manager promises to the connection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from clipper_nb.clients.trust import Trust, frontend_url
from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.container_managers.tls.identity import trust_in
from clipper_nb.display.diagnosis import Finding
from clipper_nb.display.progress import QUIET, Progress
from clipper_nb.errors import ClipperException
from clipper_nb.protocol.containers import ObservedContainer
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.resource_limits import NO_LIMITS, ResourceLimits
from clipper_nb.protocol.tls_identity import TlsIdentity

if TYPE_CHECKING:
    from clipper_nb.container_managers.monitoring.records import ClusterMonitoring
    from clipper_nb.images.builder import ImageBuilder


class ContainerManager(ABC):
    """Starts and stops the containers of one cluster; only :class:`ClipperConnection` calls it.

    Every method has a deadline, and raises only this package's errors.
    """

    cluster_name: str
    clipper_query_port: int
    clipper_management_port: int
    clipper_rpc_port: int
    others_reach: str | None = None
    """A clause that says why others than users of this machine reach the query frontend, which then asks for a token by
    default."""

    @abstractmethod
    def start_clipper(self, options: ClusterOptions, progress: Progress = QUIET, *, fresh: bool = False) -> bool:
        """Start a cluster of this name and connect to it; when it returns, both frontends answer.

        If a cluster of that name was kept, resume its configuration, unless *fresh*, which removes it first. Return
        whether one was resumed; the caller then starts its replicas.

        Raises ``ClusterStartError`` with the end of the failing process's log, and leaves nothing behind but a cluster
        that was kept.
        """

    def complete_start(self) -> None:  # noqa: B027 - most managers have nothing to do
        """Let the cluster live on without this process, if it is to; called when the caller has started all of it.

        Until then it may end with this process, so that one that is killed leaves no half of a cluster.
        """

    @abstractmethod
    def connect(self) -> None:
        """Connect to the running cluster of this name, which another process may have started.

        Raises ``ClusterNotFoundError`` when there is none, ``ClusterUnreachableError`` when it does not answer.
        """

    @abstractmethod
    def get_query_addr(self) -> str:
        """Return ``host:port`` of the query frontend, without scheme."""

    @abstractmethod
    def get_admin_addr(self) -> str:
        """Return ``host:port`` of the management frontend, without scheme."""

    def get_tls_identity(self) -> TlsIdentity | None:
        """Return what the frontends prove themselves with; ``None`` if they speak HTTP. Also after ``connect()``."""
        return None

    def get_trust(self) -> Trust | None:
        """Return how clients know the frontends over TLS; ``None`` if these speak HTTP."""
        return trust_in(self.get_tls_identity())

    def get_query_url(self) -> str:
        """Return ``http://host:port`` of the query frontend, or ``https://``."""
        return frontend_url(self.get_query_addr(), self.get_trust())

    def get_admin_url(self) -> str:
        """Return ``http://host:port`` of the management frontend, or ``https://``."""
        return frontend_url(self.get_admin_addr(), self.get_trust())

    def get_admin_endpoint(self) -> str:
        """Return where this process sends admin calls: ``unix:`` and a socket's path, or else ``get_admin_url()``.

        A socket that only this user can reach proves who answers before the token is sent.
        """
        return self.get_admin_url()

    @abstractmethod
    def get_admin_token(self) -> str:
        """Return the bearer token that the management frontend requires."""

    def get_query_token(self) -> str | None:
        """Return the token that clients of the query frontend need; ``None`` if the cluster asks for none.

        It is the option ``query_token`` that the cluster was started with; also after ``connect()``.
        """
        return None

    @abstractmethod
    def make_image_builder(self) -> ImageBuilder:
        """Return an image builder whose images this manager can start."""

    def make_monitoring(self) -> ClusterMonitoring | None:
        """Return what starts and finds the cluster's Prometheus; ``None`` if this manager starts none."""
        return None

    @abstractmethod
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
        """Start or stop replicas to reach the requested number; calling it twice is harmless.

        *environment* holds variables of the replicas besides the manager's own. With ``False`` for *network_access*
        they reach the query frontend alone; with ``None`` that is the manager's choice.

        When it returns, stopped replicas have finished their queries and ended; started ones may still be loading.
        Raises ``ImageNotFoundError``, or ``InvalidRequestError`` for an unknown input type, for limits that it
        cannot set and replicas that it cannot isolate, before it changes anything.
        """

    @abstractmethod
    def observe_replicas(self, model_id: ModelId | None = None) -> list[ObservedContainer]:
        """Return the replicas of a version, or of all, oldest first; includes those that wait for a restart."""

    def find_start_problem(self, model_id: ModelId) -> ClipperException | None:
        """Return why replicas of a version that were asked for cannot start, if it is known before any has started.

        Those that start and end are told by ``observe_replicas``.
        """
        return None

    @abstractmethod
    def get_log_tail(self, container_name: str, *, max_lines: int = 40) -> str:
        """Return the last lines that a container wrote; empty when it wrote none or is unknown."""

    @abstractmethod
    def get_logs(self, logging_dir: str) -> list[str]:
        """Copy every container's log into *logging_dir*, created if missing; return the files' paths."""

    def get_log_folder(self) -> str:
        """Return where logs are copied to if the caller names no folder: in the cluster's own folder, if it has one.

        A folder in the cluster's own is created, for this user only. Raises ``ClusterNotFoundError`` if that is gone.
        """
        return "clipper_logs/"

    @abstractmethod
    def stop_models(self, models: Mapping[str, Sequence[str]]) -> None:
        """Stop all replicas of the given versions, by model name; unknown ones are fine."""

    @abstractmethod
    def stop_all_model_containers(self) -> None:
        """Stop every replica of the cluster."""

    @abstractmethod
    def stop_all(self, *, graceful: bool = True, keep: bool = False) -> None:
        """Stop the cluster and remove its processes, sockets and files; does nothing if there is no cluster.

        *keep* leaves what ``start_clipper`` resumes it from.
        """

    def check_machine(self) -> list[Finding]:
        """Check what a cluster of this manager depends on, for ``conn.doctor()``; raises nothing, takes seconds."""
        return []

    def find_unenforced(self, limits: ResourceLimits) -> list[str]:
        """Return which of the limits replicas are not held to exactly, each as the text of a sentence's subject."""
        return []

    def get_num_replicas(self, model_id: ModelId) -> int:
        """Return how many replicas a version has."""
        return len(self.observe_replicas(model_id))
