"""The supervisor itself: holds the listening sockets, runs the processes, obeys its socket, keeps its watches."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local.process_table import this_machine
from clipper_nb.container_managers.local.processes import HOST
from clipper_nb.container_managers.local.supervisor.control import listen
from clipper_nb.container_managers.local.supervisor.descendants import Descendants, adopt_orphans
from clipper_nb.container_managers.local.supervisor.logs import ClusterLogs
from clipper_nb.container_managers.local.supervisor.process import SupervisedProcess
from clipper_nb.container_managers.reaper import Reaper
from clipper_nb.errors import ClusterFolderError
from clipper_nb.protocol import environment
from clipper_nb.protocol.cluster_record import ClusterRecord, ProcessIdentity
from clipper_nb.protocol.containers import (
    MANAGEMENT_FRONTEND,
    QUERY_FRONTEND,
    REDIS,
    REPLICA,
    Command,
    ContainerSpec,
    ObservedContainer,
    ShutDown,
    Start,
    Stop,
)

_T = TypeVar("_T")

logger = logging.getLogger(__name__)

_OWNER_CHECK_INTERVAL_S = 0.5
_LOG_CHECK_INTERVAL_S = 0.5
_DESCENDANT_CHECK_INTERVAL_S = 2.0
_REAP_TIMEOUT_S = 30.0
_STOP_ORDER = ((REPLICA, MANAGEMENT_FRONTEND), (QUERY_FRONTEND,), (REDIS,))


class Supervisor:
    """Runs one embedded cluster until it receives a shutdown command or its owner ends.

    The HTTP and RPC ports are bound here and handed down, so a restarted frontend keeps its port, and clients that
    connect meanwhile wait for it instead of being refused.

    Parameters
    ----------
    folder : ClusterFolder
        Its record holds the requested ports.
    record : ClusterRecord
    replica_umask : int
        For the files that models write, whose access is their users' choice. Only this user can read all others.
    """

    def __init__(self, folder: ClusterFolder, record: ClusterRecord, *, replica_umask: int) -> None:
        self._folder = folder
        self._record = record
        self._replica_umask = replica_umask
        self._table = this_machine()
        self._adopts_orphans = adopt_orphans()
        self._logs = ClusterLogs(folder)
        self._descendants = Descendants(
            lambda: self._processes.values(),
            table=self._table,
            folder=folder,
            adopts=self._adopts_orphans,
        )
        self._processes: dict[str, SupervisedProcess] = {}
        self._sockets: dict[str, socket.socket] = {}
        self._reaper: Reaper | None = None
        self._shutdown = asyncio.Event()
        self._is_graceful = True

    async def run(self, identity: ProcessIdentity) -> None:
        """Run the cluster, as the process *identity*, until shutdown; then remove everything."""
        self._sockets = {
            "query": bind_near(self._record.query_port),
            "management": bind_near(self._record.management_port),
            "rpc": bind_near(self._record.rpc_port),
        }
        ports = {f"{name}_port": bound.getsockname()[1] for name, bound in self._sockets.items()}
        self._record = replace(self._record, supervisor_pid=identity.pid, supervisor_start=identity.start, **ports)
        self._folder.write_record(self._record)
        server = await listen(self._folder.control_socket_path, self._carry_out)
        watches = [asyncio.create_task(_every(interval_s, action)) for interval_s, action in self._watches()]
        await self._shutdown.wait()
        logger.info("shutting down")
        if self._reaper is not None:
            self._reaper.stop()
        for watch in watches:
            watch.cancel()
        await self._stop_everything()
        await self._descendants.end_all()
        server.close()
        for bound in self._sockets.values():
            bound.close()
        self._remove_folder()

    def shut_down(self) -> None:
        """End the cluster; safe in a signal handler."""
        self._shutdown.set()

    # --- commands

    async def _carry_out(self, command: Command) -> Sequence[ObservedContainer] | None:
        if isinstance(command, Start):
            self._start(command.specs)
        elif isinstance(command, Stop):
            await self._stop([name for name in command.names if name in self._processes])
        elif isinstance(command, ShutDown):
            self._is_graceful = command.graceful
            self._shutdown.set()
        else:
            return [process.observe() for process in self._processes.values()]
        return None

    def _start(self, container_specs: Sequence[ContainerSpec]) -> None:
        for spec in container_specs:
            if self._shutdown.is_set() or spec.name in self._processes:
                continue
            process = SupervisedProcess(
                spec,
                cluster_path=self._folder.path,
                log_path=self._folder.log_path(spec.name),
                sockets={name: bound.fileno() for name, bound in self._sockets.items()},
                environment={environment.CLUSTER_FOLDER: str(self._folder.path), "PYTHONUNBUFFERED": "1"},
                end_descendants=self._descendants.end,
                umask=self._replica_umask if spec.role == REPLICA else -1,
            )
            self._logs.has_begun(spec.name)
            self._processes[spec.name] = process
            process.start()
            if spec.role == MANAGEMENT_FRONTEND and self._reaper is None:
                self._reaper = self._start_reaper(spec.environment[environment.ADMIN_TOKEN])

    # --- stopping

    def _start_reaper(self, admin_token: str) -> Reaper:
        """Start to stop undesired replicas; the reaper's thread asks the loop, which owns the processes."""
        loop = asyncio.get_running_loop()

        async def observe() -> list[ObservedContainer]:
            return [process.observe() for process in self._processes.values() if process.spec.role == REPLICA]

        async def stop(names: list[str]) -> None:
            await self._stop(name for name in names if name in self._processes)

        def on_loop(work: Coroutine[Any, Any, _T]) -> _T:
            return asyncio.run_coroutine_threadsafe(work, loop).result(_REAP_TIMEOUT_S)

        reaper = Reaper(
            ManagementClient.at(f"{HOST}:{self._record.management_port}", admin_token),
            lambda: on_loop(observe()),
            lambda names: on_loop(stop(names)),
        )
        reaper.start()
        return reaper

    async def _stop(self, names: Iterable[str]) -> None:
        processes = [self._processes[name] for name in names]
        self._descendants.look()  # while their parents still run
        await asyncio.gather(*(process.stop(graceful=self._is_graceful) for process in processes))
        for process in processes:
            if self._processes.pop(process.spec.name, None) is not None:
                self._logs.has_ended(process.spec.name)

    async def _stop_everything(self) -> None:
        for roles in _STOP_ORDER:
            await self._stop([name for name, process in self._processes.items() if process.spec.role in roles])

    def _remove_folder(self) -> None:
        try:
            stays = self._folder.remove()
        except ClusterFolderError as exc:
            logger.warning("%s", exc)
        else:
            if stays:
                logger.warning("%s stays: these entries are not the cluster's: %s", self._folder.path, stays)

    # --- watching

    def _watches(self) -> Iterable[tuple[float, Callable[[], None]]]:
        """Yield the periodic actions of a running cluster, each with its interval in seconds."""
        yield _OWNER_CHECK_INTERVAL_S, self._check_owner
        yield _LOG_CHECK_INTERVAL_S, self._logs.look
        if self._adopts_orphans:
            yield _DESCENDANT_CHECK_INTERVAL_S, self._descendants.look

    def _check_owner(self) -> None:
        owner = self._record.owner
        if owner is not None and not self._table.runs(owner):
            logger.info("process %d, which owns the cluster, has ended", owner.pid)
            self._shutdown.set()


async def _every(interval_s: float, action: Callable[[], None]) -> None:
    """Run an action periodically until cancelled; log what it raises."""
    while True:
        try:
            action()
        except Exception:
            logger.exception("a watch failed")
        await asyncio.sleep(interval_s)


def bind_near(port: int) -> socket.socket:
    """Return a socket that listens on loopback, at *port* or, if that is busy, at a free one."""
    for candidate in (port, 0):
        try:
            return socket.create_server((HOST, candidate), backlog=1024)
        except OSError:
            if candidate == 0:
                raise
            logger.info("port %d is busy; taking a free one", port)
    raise AssertionError("unreachable")
