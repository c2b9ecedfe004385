"""Several query frontends on one host: a parent that holds the sockets and keeps its worker processes running.

All workers accept from the same HTTP socket, so that while one is down the others take its connections. For model
containers each has its own port: the first has the cluster's, the others have free ports, which are sent to containers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from clipper_nb.errors import ClusterStartError
from clipper_nb.protocol import environment
from clipper_nb.protocol.handed_sockets import is_listening, listen_at, listen_on_path, reserve_port, rpc_socket_name
from clipper_nb.protocol.parent_death import end_with_parent_hook
from clipper_nb.protocol.restart_delay import RestartDelays
from clipper_nb.runtime.settings import QueryFrontendSettings, inherited_socket
from clipper_nb.runtime.workers.http import connection_counts_path, make_connection_counts

logger = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 8.0
_WRONG_SETTINGS_STATUS = 1


async def serve_with_workers(settings: QueryFrontendSettings, stopping: asyncio.Event) -> None:
    """Keep ``settings.num_frontends`` workers running until *stopping* is set.

    Raises
    ------
    ClusterStartError
        A worker rejects its settings.
    """
    with contextlib.ExitStack() as stack:
        http = stack.enter_context(settings.http.open_socket())
        first_rpc = stack.enter_context(settings.rpc.open_socket())
        others = range(1, settings.num_frontends)
        rpc = [first_rpc, *(stack.enter_context(_beside(first_rpc)) for _ in others)]
        unix = [stack.enter_context(each) for each in _unix_sockets(settings, others)]
        folder = stack.enter_context(_common_folder())
        counts = make_connection_counts(connection_counts_path(folder), settings.num_frontends)
        variables = {
            **os.environ,
            environment.NUM_FRONTENDS: str(settings.num_frontends),
            environment.WORKERS_FOLDER: str(folder),
            environment.WORKERS_PARENT: str(os.getpid()),
            environment.WORKERS_RPC_PORTS: ",".join(str(bound.getsockname()[1]) for bound in rpc),
            environment.HTTP_SOCKET: str(http.fileno()),
            # The capacity of one frontend is divided among them.
            environment.CACHE_SIZE_BYTES: str(settings.cache_size_bytes // settings.num_frontends),
        }
        own = [_descriptors(bound, unix[index] if unix else None) for index, bound in enumerate(rpc)]
        keepers = [
            asyncio.create_task(
                _keep_running(
                    f"{settings.frontend_id}-worker-{index}",
                    {**variables, environment.WORKER_INDEX: str(index), **{name: str(fd) for name, fd in fds.items()}},
                    (http.fileno(), *fds.values()),
                    stopping,
                    partial(counts.leave, index),
                ),
                name=f"worker {index}",
            )
            for index, fds in enumerate(own)
        ]
        done, pending = await asyncio.wait(keepers, return_when=asyncio.FIRST_EXCEPTION)
        stopping.set()
        if pending:
            await asyncio.wait(pending)
        for keeper in done:
            keeper.result()


def _descriptors(rpc: socket.socket, unix: socket.socket | None) -> dict[str, int]:
    """Return the descriptors that a worker inherits, by the variables that tell it so."""
    of_rpc = {environment.RPC_SOCKET: rpc.fileno()}
    return of_rpc if unix is None else {**of_rpc, environment.RPC_UNIX_SOCKET: unix.fileno()}


def _beside(first: socket.socket) -> socket.socket:
    """Return a socket with a free port at the address of another one; it listens if the other one does."""
    host = first.getsockname()[0]
    return listen_at(host, 0) if is_listening(first) else reserve_port(host, 0)


def _unix_sockets(settings: QueryFrontendSettings, others: range) -> list[socket.socket]:
    """Return the Unix sockets of all workers, of which the first was handed down; empty if it was not.

    Without that they are made in the folder of the settings, if there is one.
    """
    if settings.rpc_unix_socket_fd is None and settings.rpc_unix_folder is not None:
        names = map(rpc_socket_name, range(settings.num_frontends))
        return [listen_on_path(settings.rpc_unix_folder / name, for_everybody=True) for name in names]
    if settings.rpc_unix_socket_fd is None:
        return []
    first = inherited_socket(settings.rpc_unix_socket_fd)
    path = Path(first.getsockname())
    return [first, *(listen_on_path(path.with_name(rpc_socket_name(index))) for index in others)]


@contextlib.contextmanager
def _common_folder() -> Iterator[Path]:
    """Yield the workers' common folder: one in the cluster's folder, which is removed with it, or a temporary one."""
    cluster_folder = os.environ.get(environment.CLUSTER_FOLDER)
    if cluster_folder:
        folder = Path(cluster_folder, "workers")
        folder.mkdir(mode=0o700, exist_ok=True)
        yield folder
    else:
        with tempfile.TemporaryDirectory(prefix="clipper_nb-") as temporary:
            yield Path(temporary)


async def _keep_running(
    name: str,
    variables: dict[str, str],
    fds: tuple[int, ...],
    stopping: asyncio.Event,
    on_end: Callable[[], None],
) -> None:
    delays = RestartDelays()
    while not stopping.is_set():
        started_s = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", environment.QUERY_FRONTEND_MODULE,
            env={**variables, environment.FRONTEND_ID: name}, pass_fds=fds,
        )  # fmt: skip
        status = await _run(process, stopping)
        on_end()
        if stopping.is_set():
            return
        if status == _WRONG_SETTINGS_STATUS:
            raise ClusterStartError(f"{name} ended with status {status}; its reason is above.")
        delay_s = delays.after_end(lived_s=time.monotonic() - started_s)
        logger.warning("%s ended with status %s; starting it again in %.2f s", name, status, delay_s)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stopping.wait(), delay_s)


async def _run(process: asyncio.subprocess.Process, stopping: asyncio.Event) -> int:
    """Return the process's exit status when it has ended; end it when *stopping* is set."""
    ending = asyncio.ensure_future(process.wait())
    told = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({ending, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if not ending.done():
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        done, _ = await asyncio.wait({ending}, timeout=_STOP_TIMEOUT_S)
        if not done:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    return await ending


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel end this worker when its parent ends; nothing else would."""
    end_with_parent = end_with_parent_hook()
    if end_with_parent is not None:
        end_with_parent()
    if os.getppid() != parent_pid:
        raise SystemExit(0)
