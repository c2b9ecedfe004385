"""The whole cluster as supervised processes of this machine; needs neither Docker nor a network."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from clipper_nb.container_managers.local.cluster_folder import cluster_folder, stays_sentence
from clipper_nb.container_managers.local.core import core_specs
from clipper_nb.container_managers.local.enforced_limits import unenforced_limits
from clipper_nb.container_managers.local.joining import check_it_goes_on, is_running, not_running_error
from clipper_nb.container_managers.local.kept_cluster import (
    check_can_be_kept,
    check_resumable,
    choose_keeping,
    exists_error,
    find_kept,
    new_record,
    resumed_record,
    started_record,
    starting_record,
    stopped_record,
    supervisor_finding,
)
from clipper_nb.container_managers.local.log_files import log_parts, read_tail
from clipper_nb.container_managers.local.monitoring import LocalMonitoring
from clipper_nb.container_managers.local.process_table import this_machine
from clipper_nb.container_managers.local.processes import (
    HOST,
    is_guarded,
    kill_processes_of,
    processes_of,
    start_supervisor,
    wait_for_orphan,
    wait_for_supervisor,
)
from clipper_nb.container_managers.local.redis import check_redis_server, find_redis_server
from clipper_nb.container_managers.local.service_unit import write_unit
from clipper_nb.container_managers.local.supervisor.control import SupervisorClient
from clipper_nb.container_managers.log_copies import create_copy
from clipper_nb.container_managers.machine_checks import check_disk, check_ports
from clipper_nb.container_managers.readiness import answers, check_core, wait_for
from clipper_nb.container_managers.replica_scaling import ReplicaScaling, ReplicaSettings
from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.container_managers.tls.identity import choose_identity
from clipper_nb.display.diagnosis import Finding
from clipper_nb.display.progress import QUIET, Progress
from clipper_nb.errors import (
    ClusterFolderError,
    ClusterNotFoundError,
    ClusterStartError,
    ClusterUnreachableError,
    ImageNotFoundError,
    InvalidRequestError,
)
from clipper_nb.images.folder_builder import FolderBuilder, environment_python
from clipper_nb.protocol import environment
from clipper_nb.protocol.cluster_record import ClusterRecord
from clipper_nb.protocol.containers import (
    REPLICA,
    ContainerSpec,
    Observe,
    ObservedContainer,
    ShutDown,
    Start,
    Stop,
)
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.number_rules import check_port_numbers
from clipper_nb.protocol.replica_proof import replica_secret
from clipper_nb.protocol.resource_limits import ResourceLimits
from clipper_nb.protocol.tls_identity import TlsIdentity

logger = logging.getLogger(__name__)

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 40.0


class LocalContainerManager(ReplicaScaling):
    """A cluster of local processes: Redis, both frontends, and one process per replica.

    A separate supervisor process runs them. It works while the kernel is busy, restarts what crashes, and stops the
    cluster when this process ends, unless ``detach=True``.

    Parameters
    ----------
    cluster_name : str
        Clusters with different names live side by side.
    clipper_query_port, clipper_management_port : int
        Ports on loopback. A busy one is replaced by a free one; after ``start_clipper`` or ``connect`` the attributes
        hold the ports in use.
    clipper_rpc_port : int, optional
        The port on loopback for model containers of your own, open from the start; a busy one is replaced too. By
        default it is open from when a version is registered that such containers may serve. The cluster's replicas
        use a Unix socket in its folder.
    detach : bool
        Let the cluster live on when this process ends; ``stop_all()`` from any process ends it. If it ends otherwise,
        as with its machine, ``start_clipper()`` brings it back.
    root_folder : path, optional
        The folder that holds the clusters' folders. Default: ``$CLIPPER_HOME``, or this user's folder among the
        temporary ones. It must not be a symbolic link, and only this user may write there. ``connect()`` finds a
        cluster by root folder and name, and ``start_clipper()`` one that was stopped with ``keep=True``. A cluster in a
        folder that was passed here is also brought back if it was killed, as by the end of its machine.

    Examples
    --------
    >>> from clipper_nb import ClipperConnection, LocalContainerManager
    >>> conn = ClipperConnection(LocalContainerManager())
    >>> conn.start_clipper()
    """

    def __init__(
        self,
        cluster_name: str = "default-cluster",
        *,
        clipper_query_port: int = environment.DEFAULT_QUERY_PORT,
        clipper_management_port: int = environment.DEFAULT_MANAGEMENT_PORT,
        clipper_rpc_port: int | None = None,
        detach: bool = False,
        root_folder: str | os.PathLike[str] | None = None,
    ) -> None:
        query, management, rpc = clipper_query_port, clipper_management_port, clipper_rpc_port
        check_port_numbers(clipper_query_port=query, clipper_management_port=management, clipper_rpc_port=rpc)
        self.cluster_name = self.cluster_identifier = cluster_name
        self.clipper_query_port, self.clipper_management_port = query, management
        self._opens_rpc_port = rpc is not None
        self.clipper_rpc_port = environment.DEFAULT_RPC_PORT if rpc is None else rpc
        self.detach = detach
        self._has_own_folder = root_folder is not None
        self._folder = cluster_folder(cluster_name, root_folder)
        self._supervisor = SupervisorClient(self._folder.control_socket_path, partial(is_guarded, self._folder))
        self._record: ClusterRecord | None = None
        self._asked: ClusterRecord | None = None  # of a cluster that this manager starts: its record afterwards

    def __repr__(self) -> str:
        return f"LocalContainerManager(cluster_name={self.cluster_name!r})"

    # --- the cluster

    def start_clipper(self, options: ClusterOptions, progress: Progress = QUIET, *, fresh: bool = False) -> bool:
        if options.query_frontend_image is not None or options.management_frontend_image is not None:
            raise InvalidRequestError("Frontend images are for Docker; the embedded cluster runs this package.")
        redis_server = find_redis_server()
        with self._folder.lock(timeout_s=_START_TIMEOUT_S):
            self._folder.check()
            wait_for_orphan(self._folder)
            if self._supervisor_lives():
                raise exists_error(self.cluster_name)
            kept = None if fresh else find_kept(self._folder)
            if kept is not None:
                check_resumable(kept)
                options = options.over(kept.options)
            tls = choose_identity(self.cluster_name, options, kept=None if kept is None else kept.tls)
            if kept is not None:
                self._end_processes()
            elif stays := self._remove_leftovers():
                raise ClusterFolderError(stays_sentence(self._folder.path, stays))
            try:
                progress.step("Start the supervisor")
                self._start_supervisor(options, kept, tls)
                progress.step("Start Redis and both frontends")
                self._start_core(redis_server, options)
            except BaseException:
                self.stop_all(graceful=False, keep=kept is not None)
                raise
            return kept is not None

    def complete_start(self) -> None:
        record, asked, self._asked = self._folder.read_record(), self._asked, None
        if record is not None and asked is not None:
            self._folder.write_record(started_record(record, asked))

    def connect(self) -> None:
        try:
            self._folder.check()
        except ClusterFolderError as exc:
            raise ClusterNotFoundError(f"No cluster with name '{self.cluster_name}' runs here. {exc.msg}") from exc
        record = self._folder.read_record()
        if record is None:
            raise not_running_error(self._folder, self.cluster_name)
        check = partial(check_it_goes_on, self._supervisor, self._folder, self.cluster_name)
        check()
        self._use(record)
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        trust = self.get_trust()
        for port in (record.management_port, record.query_port):
            wait_for(partial(answers, HOST, port, trust), deadline_s, check)

    def get_query_addr(self) -> str:
        return f"{HOST}:{self.clipper_query_port}"

    def get_admin_addr(self) -> str:
        return f"{HOST}:{self.clipper_management_port}"

    def get_admin_endpoint(self) -> str:
        return f"unix:{self._folder.admin_socket_path}"

    def get_admin_token(self) -> str:
        return self._connected_record().admin_token

    def get_query_token(self) -> str | None:
        return self._connected_record().options.get("query_token") or None

    def get_tls_identity(self) -> TlsIdentity | None:
        return self._connected_record().tls

    def make_image_builder(self) -> FolderBuilder:
        return FolderBuilder(self._folder.images_path, self._folder.image_path)

    def make_monitoring(self) -> LocalMonitoring:
        return LocalMonitoring(self._folder, self._supervisor)

    def stop_all(self, *, graceful: bool = True, keep: bool = False) -> None:
        self._folder.check()
        record = self._folder.read_record()
        if keep and record is not None:
            check_can_be_kept(record)
        with contextlib.suppress(ClusterUnreachableError):
            self._supervisor.call(ShutDown(graceful=graceful, keep=keep))
            if record is not None:
                wait_for_supervisor(record, timeout_s=_STOP_TIMEOUT_S)
        if keep:
            self._end_processes()
            if record is not None:
                self._folder.write_record(stopped_record(self._folder.read_record() or record))
        elif stays := self._remove_leftovers():
            logger.warning("%s", stays_sentence(self._folder.path, stays))
        self._record = None

    def install_service(self) -> Path:
        """Write a systemd user unit that resumes this cluster when the machine starts; return its path.

        Then run ``systemctl --user enable --now clipper_nb-<name>``, and ``loginctl enable-linger`` to have it also
        while you are not logged in. ``systemctl --user stop`` stops the cluster as ``stop_all(keep=True)`` does.

        Raises
        ------
        InvalidRequestError
            The manager was not made with ``detach=True`` and a ``root_folder`` that is there after a restart.
        """
        if not (self.detach and self._has_own_folder):
            raise InvalidRequestError(
                "A service needs a cluster that lives on, in a folder of your own: LocalContainerManager("
                f"{self.cluster_name!r}, detach=True, root_folder=...)."
            )
        return write_unit(self.cluster_name, self._folder.path.parent)

    def check_machine(self) -> list[Finding]:
        disk = check_disk(
            self._folder.path, "images and logs", "stop_all() of clusters that you need no more frees some."
        )
        ports = {"query": self.clipper_query_port, "management": self.clipper_management_port,
                 "rpc": self.clipper_rpc_port}  # fmt: skip
        if self._record is None:
            return [check_redis_server(), disk, check_ports(ports, HOST)]
        return [check_redis_server(), disk, supervisor_finding(self._folder, answers=is_running(self._supervisor))]

    def find_unenforced(self, limits: ResourceLimits) -> list[str]:
        return unenforced_limits(limits, sys.platform)

    # --- replicas

    def _require_image(self, image: str, limits: ResourceLimits, progress: Progress) -> ReplicaSettings:
        record = self._connected_record()
        image_folder = self._folder.image_path(image)
        if not image_folder.is_dir():
            raise ImageNotFoundError(image, "Images of the embedded cluster are made by build_model() on this cluster.")
        return ReplicaSettings(
            rpc_host=HOST,
            rpc_port=record.rpc_port,
            rpc_socket=str(self._folder.rpc_socket_path),
            secret=replica_secret(record.admin_token),
            command=(environment_python(image_folder), "-m", environment.MODEL_CONTAINER_MODULE),
            model_folder=str(image_folder),
            limits=limits,
        )

    def _start_replicas(self, replicas: Sequence[ContainerSpec], settings: ReplicaSettings) -> None:
        self._supervisor.call(Start(tuple(replicas)))

    def _stop_replicas(self, names: Sequence[str]) -> None:
        if names:
            self._supervisor.call(Stop(tuple(names)), timeout_s=_STOP_TIMEOUT_S)

    def observe_replicas(self, model_id: ModelId | None = None) -> list[ObservedContainer]:
        replicas = [container for container in self._observe() if container.role == REPLICA]
        return [replica for replica in replicas if model_id is None or replica.model == str(model_id)]

    # --- logs

    def get_log_tail(self, container_name: str, *, max_lines: int = 40) -> str:
        return read_tail(self._folder.log_path(container_name), max_lines)

    def get_log_folder(self) -> str:
        try:
            return str(self._folder.make_copied_logs())
        except FileNotFoundError as exc:
            raise not_running_error(self._folder, self.cluster_name) from exc

    def get_logs(self, logging_dir: str) -> list[str]:
        self._connected_record()
        return super().get_logs(logging_dir)

    def _write_logs(self, folder: Path) -> list[str]:
        logs = [self._folder.supervisor_log_path, *sorted(self._folder.logs_path.glob("*.log"))]
        parts = [part for log in logs for part in log_parts(log)]
        for part in parts:
            with part.open("rb") as log, create_copy(folder / part.name) as copy:
                shutil.copyfileobj(log, copy)
        return [str(folder / part.name) for part in parts]

    # --- starting

    def _start_supervisor(self, options: ClusterOptions, kept: ClusterRecord | None, tls: TlsIdentity | None) -> None:
        record = new_record(
            self.cluster_name,
            options,
            ports=(self.clipper_query_port, self.clipper_management_port, self.clipper_rpc_port),
            opens_rpc_port=self._opens_rpc_port,
            owner=None if self.detach else this_machine().this_process(),
            keeping=choose_keeping(detach=self.detach, has_own_folder=self._has_own_folder),
            tls=tls,
        )
        if kept is None:
            self._folder.create()
        self._asked = record if kept is None else resumed_record(kept, record)
        starter = this_machine().this_process()
        self._folder.write_record(starting_record(self._asked, starter, is_resumed=kept is not None))
        process = start_supervisor(self._folder)

        def check() -> None:
            if process.poll() is not None:
                raise ClusterStartError(
                    f"The cluster's supervisor ended with status {process.returncode}.",
                    read_tail(self._folder.supervisor_log_path, 20),
                )

        wait_for(partial(is_running, self._supervisor), time.monotonic() + _START_TIMEOUT_S, check)
        written = self._folder.read_record()
        assert written is not None  # the supervisor wrote it before it listened
        self._use(written)

    def _start_core(self, redis_server: str, options: ClusterOptions) -> None:
        record = self._connected_record()
        core = core_specs(self._folder, record, redis_server, options)
        self._supervisor.call(Start(core))
        deadline_s, trust = time.monotonic() + _START_TIMEOUT_S, self.get_trust()
        for port, name in ((record.management_port, core[1].name), (record.query_port, core[2].name)):
            try:
                wait_for(partial(answers, HOST, port, trust), deadline_s, self._check_core)
            except ClusterUnreachableError as exc:
                raise ClusterStartError(
                    f"{name} does not answer on port {port} after {_START_TIMEOUT_S:g} s.", self.get_log_tail(name)
                ) from exc

    def _check_core(self) -> None:
        check_core(self._observe(), self.get_log_tail)

    def _use(self, record: ClusterRecord) -> None:
        self._record = record
        self.clipper_query_port = record.query_port
        self.clipper_management_port = record.management_port
        self.clipper_rpc_port = record.rpc_port

    # --- talking to the supervisor

    def _connected_record(self) -> ClusterRecord:
        if self._record is None:
            raise ClusterNotFoundError(f"Not connected to cluster '{self.cluster_name}'.")
        return self._record

    def _observe(self) -> list[ObservedContainer]:
        return list(self._supervisor.call(Observe()))

    def _supervisor_lives(self) -> bool:
        """Return whether the cluster has a supervisor, even one that does not answer."""
        record = self._folder.read_record()
        if record is None:
            return False
        return record.supervisor_pid in {process.pid for process in processes_of(self._folder)} or is_running(
            self._supervisor
        )

    def _end_processes(self) -> None:
        """End what is left of a cluster, and keep what it is resumed from."""
        kill_processes_of(self._folder)
        self._folder.clear()

    def _remove_leftovers(self) -> list[str]:
        """End what is left of a cluster and remove its folder; return the names of files that others put there."""
        kill_processes_of(self._folder)
        return self._folder.remove()
