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
from clipper_nb.protocol.parent_death import end_with_parent_hook
from clipper_nb.protocol.restart_delay import RestartDelays
from clipper_nb.runtime.settings import QueryFrontendSettings
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
        host = first_rpc.getsockname()[0]
        others = [
            stack.enter_context(socket.create_server((host, 0), backlog=1024))
            for _ in range(settings.num_frontends - 1)
        ]
        rpc = [first_rpc, *others]
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
        keepers = [
            asyncio.create_task(
                _keep_running(
                    f"{settings.frontend_id}-worker-{index}",
                    {**variables, environment.WORKER_INDEX: str(index), environment.RPC_SOCKET: str(bound.fileno())},
                    (http.fileno(), bound.fileno()),
                    stopping,
                    partial(counts.leave, index),
                ),
                name=f"worker {index}",
            )
            for index, bound in enumerate(rpc)
        ]
        done, pending = await asyncio.wait(keepers, return_when=asyncio.FIRST_EXCEPTION)
        stopping.set()
        if pending:
            await asyncio.wait(pending)
        for keeper in done:
            keeper.result()


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
