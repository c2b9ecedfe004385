"""``python -m clipper_nb.runtime.both_frontends FD PID``: fork the management frontend, and be the query frontend.

Three quarters of a frontend's start are imports that the other one needs too. So the first frontends of a cluster are
two copies of one process, which share their memory as long as they do not write to it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import sys
from collections.abc import Mapping

from clipper_nb.protocol.environment import (
    CLUSTER_FOLDER,
    CONTAINER_NAME,
    MANAGEMENT_FRONTEND_MODULE,
    QUERY_FRONTEND_MODULE,
    SOCKETS,
)
from clipper_nb.protocol.nursery import Answer, Fork, receive_request, send_message
from clipper_nb.runtime.management_frontend import __main__ as management_frontend
from clipper_nb.runtime.nursery.appearance import look_like
from clipper_nb.runtime.nursery.fitness import find_threads
from clipper_nb.runtime.nursery.forking import fork_to
from clipper_nb.runtime.process import event_loop_runner, run_until_signalled
from clipper_nb.runtime.query_frontend import __main__ as query_frontend

_OURS = "CLIPPER_"


def main() -> None:
    """Run one frontend in each process."""
    end, supervisor_pid = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    end.set_inheritable(False)
    event_loop_runner()  # imports uvloop
    gc.freeze()  # to look for garbage would copy the pages that both share
    with end:
        is_management_frontend = _fork_management_frontend(end, supervisor_pid)
    if is_management_frontend:
        run_until_signalled(management_frontend.serve)
    else:
        look_like(QUERY_FRONTEND_MODULE, os.environ[CONTAINER_NAME].strip())
        run_until_signalled(query_frontend.serve)


def _fork_management_frontend(end: socket.socket, supervisor_pid: int) -> bool:
    """Do what the supervisor asks for; return whether this is the new process."""
    received = receive_request(end)
    if received is None:
        return False
    request, (log_fd, permit_fd) = received
    assert isinstance(request, Fork)
    pid = fork_to(supervisor_pid, find_threads)
    if pid == 0:
        _become_management_frontend(request.environment, log_fd, permit_fd)
        return True
    for fd in (log_fd, permit_fd, *_sockets(request.environment)):
        os.close(fd)
    with contextlib.suppress(OSError):  # the supervisor has waited for too long, and starts it as a program
        send_message(end, Answer(refusal=pid) if isinstance(pid, str) else Answer(pid=pid))
    return False


def _become_management_frontend(variables: Mapping[str, str], log_fd: int, permit_fd: int) -> None:
    """Give this process a session, log and environment of its own, once the supervisor knows of it."""
    os.setsid()
    for fd in (1, 2):
        os.dup2(log_fd, fd)
    if not os.read(permit_fd, 1):
        os._exit(0)
    for fd in (log_fd, permit_fd, *_sockets(os.environ)):
        os.close(fd)
    for name in [name for name in os.environ if name.startswith(_OURS) and name != CLUSTER_FOLDER]:
        del os.environ[name]
    os.environ.update(variables)
    look_like(MANAGEMENT_FRONTEND_MODULE, os.environ[CONTAINER_NAME])


def _sockets(variables: Mapping[str, str]) -> list[int]:
    """Return the sockets that were handed down to the frontend with these variables."""
    return [int(variables[name]) for name in SOCKETS if name in variables]


if __name__ == "__main__":
    main()
