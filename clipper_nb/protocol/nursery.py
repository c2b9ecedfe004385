"""Messages between an embedded cluster's supervisor and the processes from which replicas are forked.

A *nursery* has imported libraries, a *template* has loaded a version's model; both fork replicas on request. Each has
one end of a Unix socket of the type ``SOCK_SEQPACKET``. A request and its answer are one message of JSON each;
descriptors travel beside a request.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import Union

import msgspec

NAME_SIZE_BYTES = 256
"""Room for the name of a forked process where the kernel shows the arguments and variables of its nursery."""

_MAX_MESSAGE_SIZE_BYTES = 1 << 20
_MAX_DESCRIPTORS = 4


class Import(msgspec.Struct, frozen=True, tag_field="request", tag="import"):
    """Import these modules, in order; those that cannot be imported are left out."""

    modules: tuple[str, ...]


class Fork(msgspec.Struct, frozen=True, tag_field="request", tag="fork"):
    """Fork a replica, which becomes a child of the supervisor.

    The descriptors beside it are the replica's log, a pipe from which it reads one byte before it begins, for the first
    replica of a version the end of a socket for the version's template, and if that needs libraries that the nursery
    has not imported, the end of one for the nursery's heir. If the pipe is closed the replica ends: the supervisor has
    not got its process id.
    """

    environment: Mapping[str, str]
    """Variables to add."""
    working_folder: str
    umask: int
    model_folder: str
    """Empty for a frontend."""
    imports: tuple[str, ...] = ()
    """The modules that the heir has imported."""


Request = Union[Import, Fork]


class Answer(msgspec.Struct, frozen=True):
    """The answer to a request; also what the socket of a template or an heir says first, once there is one."""

    pid: int | None = None
    """The forked process; in the first message about a template or an heir, that one."""
    refusal: str | None = None
    """Why nothing was forked, as the rest of a sentence that begins with the process."""
    is_stale: bool = False
    """True if a new nursery would fork."""
    modules: tuple[str, ...] = ()
    """Installed modules that loading the model, or importing its libraries, imported."""


def padded_name(name: str) -> str:
    """Return a name as the environment of a nursery has room for it; whoever reads it there strips it."""
    return name[:NAME_SIZE_BYTES].ljust(NAME_SIZE_BYTES)


def open_socket() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a socket for these messages."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send_message(end: socket.socket, message: Request | Answer, descriptors: Sequence[int] = ()) -> None:
    """Send one message."""
    socket.send_fds(end, [msgspec.json.encode(message)], list(descriptors))


def receive_request(end: socket.socket) -> tuple[Request, list[int]] | None:
    """Return the next request and its descriptors; ``None`` if the other end is closed."""
    data, descriptors, _, _ = socket.recv_fds(end, _MAX_MESSAGE_SIZE_BYTES, _MAX_DESCRIPTORS)
    for fd in descriptors:
        os.set_inheritable(fd, False)
    return (decode_request(data), descriptors) if data else None


def decode_request(data: bytes) -> Request:
    """Return the request in a message; raises ``ValueError`` for anything else."""
    request: Request = msgspec.json.decode(data, type=Request)
    return request


def decode_answer(data: bytes) -> Answer:
    """Return the answer in a message; raises ``ValueError`` for anything else."""
    return msgspec.json.decode(data, type=Answer)
