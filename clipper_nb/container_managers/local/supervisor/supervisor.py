"""The supervisor itself: holds the listening sockets, runs the processes, obeys its socket, keeps its watches."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local.process_table import this_machine
from clipper_nb.container_managers.local.processes import HOST
from clipper_nb.container_managers.local.supervisor.adoption import (
    AdoptedProcess,
    Supervised,
    decode_supervised,
)
from clipper_nb.container_managers.local.supervisor.control import ClusterEndingError, listen
from clipper_nb.container_managers.local.supervisor.cores import Cores, choose_cores
from clipper_nb.container_managers.local.supervisor.descendants import Descendants, adopt_orphans
from clipper_nb.container_managers.local.supervisor.frontend_pair import pair_frontends
from clipper_nb.container_managers.local.supervisor.launching import (
    Launch,
    LaunchedProcess,
    Spawning,
    can_watch_forked_processes,
)
from clipper_nb.container_managers.local.supervisor.logs import ClusterLogs
from clipper_nb.container_managers.local.supervisor.memory_watch import CHECK_INTERVAL_S, MemoryWatch
from clipper_nb.container_managers.local.supervisor.process import StartProcess, SupervisedProcess, ready_path
from clipper_nb.container_managers.local.supervisor.reaping import start_reaper
from clipper_nb.container_managers.local.supervisor.replica_launcher import ReplicaLauncher
from clipper_nb.container_managers.specs import another_replica
from clipper_nb.errors import ClusterFolderError
from clipper_nb.protocol import environment
from clipper_nb.protocol.cluster_record import ClusterRecord, ProcessIdentity
from clipper_nb.protocol.containers import (
    MANAGEMENT_FRONTEND,
    MONITORING,
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
from clipper_nb.protocol.handed_sockets import listen_at, listen_on_path, reserve_port
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.replica_proof import replica_secret

if TYPE_CHECKING:
    from clipper_nb.container_managers.reaper import Reaper

logger = logging.getLogger(__name__)

_OWNER_CHECK_INTERVAL_S = 0.5
_LOG_CHECK_INTERVAL_S = 0.5
_LAUNCHER_CHECK_INTERVAL_S = 0.25
_DESCENDANT_CHECK_INTERVAL_S = 2.0
_REAPER_DELAY_S = 2.0
"""The first replica needs the processor more until then."""
_STOP_ORDER = ((REPLICA, MANAGEMENT_FRONTEND, MONITORING), (QUERY_FRONTEND,), (REDIS,))


class Supervisor:
    """Runs one embedded cluster until it receives a shutdown command or its owner ends.

    The HTTP and RPC ports are bound before and handed down, so a restarted frontend keeps its port, and clients that
    connect meanwhile wait for it instead of being refused.

    Parameters
    ----------
    folder : ClusterFolder
        Its record holds the requested ports.
    record : ClusterRecord
    sockets : dict
        The listening sockets by name, as :func:`bind_sockets` returns them.
    guardian : ProcessIdentity, optional
        The parent of this process, if that starts it again.
    replica_umask : int
        For the files that models write, whose access is their users' choice. Only this user can read all others.
    """

    def __init__(
        self,
        folder: ClusterFolder,
        record: ClusterRecord,
        sockets: Mapping[str, socket.socket],
        *,
        guardian: ProcessIdentity | None,
        replica_umask: int,
    ) -> None:
        self._folder = folder
        self._record = record
        self._sockets = sockets
        self._guardian = guardian
        self._replica_umask = replica_umask
        self._table = this_machine()
        self._adopts_orphans = adopt_orphans()
        self._logs = ClusterLogs(folder)
        self._spawning = Spawning()
        self._variables = {**os.environ, environment.CLUSTER_FOLDER: str(folder.path), "PYTHONUNBUFFERED": "1"}
        self._launcher = ReplicaLauncher(self._variables, spawning=self._spawning, adopts=self._adopts_orphans)
        self._descendants = Descendants(
            self._known_pids,
            table=self._table,
            folder=folder,
            spawning=self._spawning,
            adopts=self._adopts_orphans,
            guardian_pid=None if guardian is None else guardian.pid,
        )
        self._processes: dict[str, SupervisedProcess] = {}
        self._memory_watch = MemoryWatch(lambda: self._processes.values(), self._descendants.started_by)
        self._reaping: asyncio.Task[None] | None = None
        self._reaper: Reaper | None = None
        self._shutdown = asyncio.Event()
        self._is_graceful = True
        self._keeps_folder = False

    async def run(self, identity: ProcessIdentity) -> None:
        """Run the cluster, as the process *identity*, until shutdown; then remove everything, unless it is kept."""
        self._record = self._own_record(identity)
        self._folder.write_record(self._record)
        self._adopt()
        server = await listen(self._folder.control_socket_path, self._carry_out)
        watches = [asyncio.create_task(_every(interval_s, action)) for interval_s, action in self._watches()]
        await self._shutdown.wait()
        logger.info("shutting down")
        if self._reaper is not None:
            self._reaper.stop()
        for task in (*watches, self._reaping):
            if task is not None:
                task.cancel()
        await self._stop_everything()
        await self._launcher.end()
        await self._descendants.end_all()
        server.close()
        for bound in self._sockets.values():
            bound.close()
        if not self._keeps_folder:
            self._remove_folder()

    def end_with_machine(self) -> None:
        """End the cluster as if it was killed; safe in a signal handler."""
        self._keeps_folder = self._newest_record().keeping != "never"
        self._shutdown.set()

    def _own_record(self, identity: ProcessIdentity) -> ClusterRecord:
        ports = {f"{name}_port": self._sockets[name].getsockname()[1] for name in ("query", "management", "rpc")}
        guardian = self._guardian or ProcessIdentity(0, "")
        return replace(
            self._record,
            supervisor_pid=identity.pid,
            supervisor_start=identity.start,
            guardian_pid=guardian.pid,
            guardian_start=guardian.start,
            **ports,
        )

    def _adopt(self) -> None:
        """Take over what a supervisor ran that was killed."""
        supervised = decode_supervised(self._folder.read_supervised())
        for each in supervised:
            adopted = None if each.process is None else AdoptedProcess(each.process, self._table)
            self._run(self._make_launch(each.spec), self._start_alone, adopted=adopted, num_exits=each.num_exits)
        if supervised:
            logger.warning("a supervisor was killed; this one goes on with its %d processes", len(supervised))

    async def _start_alone(self, launch: Launch, stopping: asyncio.Event) -> LaunchedProcess | None:
        """Start a process, after ending one of its name whose id was not written down."""
        await self._descendants.end(launch.spec.name)
        return await self._launcher.launch(launch, stopping)

    # --- commands

    async def _carry_out(self, command: Command) -> Sequence[ObservedContainer] | None:
        if self._shutdown.is_set() and not isinstance(command, (Stop, ShutDown)):
            raise ClusterEndingError
        if isinstance(command, Start):
            self._start(command.specs)
        elif isinstance(command, Stop):
            await self._stop_known(command.names)
        elif isinstance(command, ShutDown):
            self._is_graceful = command.graceful
            self._keeps_folder = command.keep
            self._shutdown.set()
        else:
            return [process.observe() for process in self._processes.values()]
        return None

    def _start(self, container_specs: Sequence[ContainerSpec]) -> None:
        if self._shutdown.is_set():
            return
        launches: list[Launch] = []
        for spec in container_specs:
            if spec.name not in self._processes:
                launches.append(self._make_launch(spec, launches))
        start: StartProcess = self._launcher.launch
        if self._adopts_orphans and can_watch_forked_processes():
            start = pair_frontends(launches, spawning=self._spawning, otherwise=start)
        for launch in launches:
            self._run(launch, start)
        self._write_down()

    def _run(
        self, launch: Launch, start: StartProcess, *, adopted: AdoptedProcess | None = None, num_exits: int = 0
    ) -> None:
        name = launch.spec.name
        self._logs.has_begun(name)
        self._processes[name] = SupervisedProcess(
            launch,
            start=start,
            end_descendants=self._descendants.end,
            identify=self._identify,
            on_change=self._write_down,
            adopted=adopted,
            num_exits=num_exits,
        )
        self._processes[name].start()
        if launch.spec.role == REPLICA and self._reaping is None:
            self._reaping = asyncio.create_task(self._reap_later(), name="reaper")

    def _write_down(self) -> None:
        """Write down what should run and what does, before anything else happens, for the next supervisor."""
        try:
            supervised = [Supervised(each.spec, each.num_exits, each.identity) for each in self._processes.values()]
            self._folder.write_supervised(supervised)
        except (OSError, ClusterFolderError) as exc:
            logger.warning("the list of processes cannot be saved: %s", exc)

    def _identify(self, pid: int) -> ProcessIdentity | None:
        entry = self._table.read(pid)
        return None if entry is None else entry.identity

    def _make_launch(self, spec: ContainerSpec, others: Sequence[Launch] = ()) -> Launch:
        """Return what a process is started with; *others* are started beside it."""
        log_path = self._folder.log_path(spec.name)
        socket_fds = {variable: self._sockets[name].fileno() for variable, name in spec.sockets.items()}
        variables = {
            **self._variables,
            **({environment.READY_FILE: str(ready_path(log_path))} if spec.role == REPLICA else {}),
            **spec.environment,
            **{variable: str(fd) for variable, fd in socket_fds.items()},
            **{
                variable: str(self._folder.write_secret(spec.name, variable, content))
                for variable, content in spec.secret_files.items()
            },
            environment.CONTAINER_NAME: spec.name,
        }
        return Launch(
            spec,
            variables=variables,
            working_folder=self._folder.path / spec.working_folder,
            log_path=log_path,
            socket_fds=tuple(socket_fds.values()),
            umask=self._replica_umask if spec.role == REPLICA else -1,
            cores=self._choose_cores(spec, others),
        )

    def _choose_cores(self, spec: ContainerSpec, others: Sequence[Launch]) -> Cores | None:
        if not hasattr(os, "sched_getaffinity"):
            return None
        launches = [*others, *(process.launch for process in self._processes.values())]
        taken = [launch.cores for launch in launches if launch.cores is not None]
        return choose_cores(spec.limits.cpus, os.sched_getaffinity(0), taken)

    def _known_pids(self) -> dict[int, str]:
        """Return the names of the processes that the supervisor started or had forked, by their ids."""
        supervised = {process.pid: name for name, process in self._processes.items() if process.pid is not None}
        return {**supervised, **self._launcher.pids()}

    # --- stopping

    async def _reap_later(self) -> None:
        """Stop undesired replicas, once the first replica has had time to load."""
        await asyncio.sleep(_REAPER_DELAY_S)
        self._reaper = await asyncio.to_thread(
            start_reaper,
            self._folder.admin_socket_path,
            self._record.admin_token,
            asyncio.get_running_loop(),
            self._observe_replicas,
            self._stop_known,
            self._start_more,
        )

    async def _observe_replicas(self) -> list[ObservedContainer]:
        return [process.observe() for process in self._processes.values() if process.spec.role == REPLICA]

    async def _start_more(self, model_id: ModelId, number: int) -> None:
        """Start copies of a version's replicas until so many run."""
        specs = [each.spec for each in self._processes.values() if each.spec.model == str(model_id)]
        secret = replica_secret(self._record.admin_token)
        self._start([another_replica(specs[-1], secret) for _ in range(len(specs), number)] if specs else ())

    async def _stop_known(self, names: Iterable[str]) -> None:
        await self._stop([name for name in names if name in self._processes])

    async def _stop(self, names: Iterable[str]) -> None:
        processes = [self._processes[name] for name in names]
        self._descendants.look()  # while their parents still run
        await asyncio.gather(*(process.stop(graceful=self._is_graceful) for process in processes))
        for process in processes:
            if self._processes.pop(process.spec.name, None) is not None:
                self._logs.has_ended(process.spec.name)
                self._folder.remove_secrets(process.spec.name)
        self._write_down()
        await self._launcher.end_unused(process.launch for process in self._processes.values())

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
        yield CHECK_INTERVAL_S, self._memory_watch.look
        yield _LAUNCHER_CHECK_INTERVAL_S, self._launcher.look
        if self._adopts_orphans:
            yield _DESCENDANT_CHECK_INTERVAL_S, self._descendants.look

    def _check_owner(self) -> None:
        owner = self._record.owner
        if owner is None or self._table.runs(owner):
            return
        self._record = self._newest_record()  # of a detached cluster, until its start was complete
        if self._record.owner is not None:
            logger.info("process %d, which owns the cluster, has ended", owner.pid)
            self._keeps_folder = self._record.keeping == "always"
            self._shutdown.set()

    def _newest_record(self) -> ClusterRecord:
        """Return the record as the process left it that started the cluster, once it has."""
        return self._folder.read_record() or self._record


async def _every(interval_s: float, action: Callable[[], None]) -> None:
    """Run an action periodically until cancelled; log what it raises."""
    while True:
        try:
            action()
        except Exception:
            logger.exception("a watch failed")
        await asyncio.sleep(interval_s)


def bind_sockets(folder: ClusterFolder, record: ClusterRecord) -> dict[str, socket.socket]:
    """Return a cluster's sockets by name: on loopback, at its record's ports or free ones, and in its folder."""
    return {
        "query": bind_near(record.query_port),
        "management": bind_near(record.management_port),
        "rpc": bind_near(record.rpc_port, listen_at if record.opens_rpc_port else reserve_port),
        "management_unix": listen_on_path(folder.admin_socket_path),
        "rpc_unix": listen_on_path(folder.rpc_socket_path),
    }


def bind_near(port: int, bind: Callable[[str, int], socket.socket] = listen_at) -> socket.socket:
    """Return a socket that listens on loopback, or has only its address, at *port* or, if that is busy, a free one."""
    for candidate in (port, 0):
        try:
            return bind(HOST, candidate)
        except OSError:
            if candidate == 0:
                raise
            logger.info("port %d is busy; taking a free one", port)
    raise AssertionError("unreachable")
