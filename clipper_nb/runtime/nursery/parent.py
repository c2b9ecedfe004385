"""A process that forks replicas: it obeys its end of a socket, until the supervisor closes the other end."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass

from clipper_nb.protocol.nursery import Answer, Fork, Request, receive_request, send_message
from clipper_nb.runtime.nursery.fitness import find_threads
from clipper_nb.runtime.nursery.forking import fork_to


@dataclass(frozen=True)
class Birth:
    """What a process was forked for."""

    request: Fork
    log_fd: int
    permit_fd: int
    """Becomes readable when the supervisor knows of the process, and closed when it has given it up."""
    template_fd: int | None = None
    """The end of a socket for the template that it leaves once it has loaded its model."""
    heir_fd: int | None = None
    """The end of a socket for the nursery that it leaves once it has imported what its model needs."""


class Parent:
    """Forks replicas on request.

    Parameters
    ----------
    end : socket
        Its end of the socket; closed in what it forks.
    supervisor_pid : int
        Becomes the parent of what it forks.
    """

    def __init__(self, end: socket.socket, supervisor_pid: int) -> None:
        self._end = end
        self._supervisor_pid = supervisor_pid

    def obey(self) -> Birth:
        """Answer requests; return in forked processes only. Ends this process when the supervisor closes the socket."""
        while (received := receive_request(self._end)) is not None:
            request, descriptors = received
            answer = self.answer(request)
            if isinstance(request, Fork) and answer.pid == 0:
                self._end.close()
                return Birth(request, *descriptors)
            for fd in descriptors:
                os.close(fd)
            send_message(self._end, answer)
        os._exit(0)  # what libraries do at the exit is for replicas alone

    def answer(self, request: Request) -> Answer:
        """Fork; the answer's process id is 0 in the new process."""
        sys.stdout.flush()
        sys.stderr.flush()
        pid = fork_to(self._supervisor_pid, find_threads, self._look_meanwhile)
        return Answer(refusal=pid) if isinstance(pid, str) else Answer(pid=pid)

    def _look_meanwhile(self) -> None:
        """Look at what may speak against the new process, which does nothing before the supervisor has its id."""
