"""Messages to an embedded cluster's supervisor: commands, containers that should run, containers as observed.

A command is one line of JSON, ``{"command": "stop", "names": ["m_1-4f2a1c"]}``; so is the reply, ``{"result": null}``
or ``{"error": "…"}``. The supervisor and the notebook may be of different releases: unknown fields are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Union

import msgspec

from clipper_nb.protocol.resource_limits import NO_LIMITS, ResourceLimits
from clipper_nb.protocol.typed_values import read_value

QUERY_FRONTEND = "query_frontend"
MANAGEMENT_FRONTEND = "management_frontend"
REDIS = "redis"
REPLICA = "replica"
MONITORING = "monitoring"
"""Prometheus and Grafana, if they were asked for."""


@dataclass(frozen=True)
class ContainerSpec:
    """One container that should run."""

    name: str
    role: str
    command: tuple[str, ...]
    """Empty for the image's own."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Not in the ``repr``: it has passwords, and the variables of a user's model."""
    working_folder: str = "."
    """Relative to the cluster's folder."""
    sockets: Mapping[str, str] = field(default_factory=dict)
    """What it serves: from the environment variable that passes it a listening socket to the socket's name
    (``query``, ``management``, ``rpc``; on the embedded cluster also
    ``management_unix`` and ``rpc_unix``)."""
    secret_files: Mapping[str, str] = field(default_factory=dict, repr=False)
    """From the environment variable that tells it a file's path to the content, which nobody else can read."""
    model: str | None = None
    """``name:version`` of a replica's model version."""
    image: str | None = None
    """Tag of the image that a replica runs."""
    stop_timeout_s: float = 5.0
    limits: ResourceLimits = NO_LIMITS
    """A replica's, on the embedded cluster."""


@dataclass(frozen=True)
class ObservedContainer:
    """One container as observed."""

    name: str
    role: str
    model: str | None
    is_running: bool
    num_exits: int = 0
    """How often it ended by itself; it is restarted each time."""
    exit_status: int | None = None
    """Its last exit status; a negative number is the signal that ended it."""
    pid: int | None = None
    was_out_of_memory: bool = False
    """True if its last end was a kill at its memory limit."""
    image: str | None = None
    """Tag of the image that a replica runs."""


class _Command(msgspec.Struct, frozen=True, tag_field="command"):
    @property
    def name(self) -> str:
        """Return the command's name on the wire."""
        return str(self.__struct_config__.tag)


class Start(_Command, frozen=True, tag="start"):
    """Run these containers from now on; those that already run are not touched."""

    specs: tuple[ContainerSpec, ...]


class Stop(_Command, frozen=True, tag="stop"):
    """Stop these; the reply comes when they have ended."""

    names: tuple[str, ...]


class Observe(_Command, frozen=True, tag="observe"):
    """List the containers; the reply's result is a list of :class:`ObservedContainer`."""


class ShutDown(_Command, frozen=True, tag="shut_down"):
    """Stop everything and end; the reply comes first."""

    graceful: bool
    keep: bool = False
    """Leave the folder, from which the cluster can be resumed."""


Command = Union[Start, Stop, Observe, ShutDown]


class Reply(msgspec.Struct, frozen=True):
    """The supervisor's answer."""

    result: tuple[ObservedContainer, ...] | None = None
    """The answer to :class:`Observe`."""
    error: str | msgspec.UnsetType = msgspec.UNSET
    """Why the command failed."""


def encode_command(command: Command) -> bytes:
    """Return the line of a command."""
    return _encode({"command": command.name, **msgspec.structs.asdict(command)})


def decode_command(line: bytes) -> Command:
    """Return the command in a line; raises ``ValueError`` for anything else."""
    command: Command = read_value(json.loads(line), Command)
    return command


def encode_reply(reply: Reply) -> bytes:
    """Return the line of a reply."""
    fields = {"result": reply.result} if reply.error is msgspec.UNSET else {"error": reply.error}
    return _encode(fields)


def decode_reply(line: bytes) -> Reply:
    """Return the reply in a line; raises ``ValueError`` for anything else."""
    reply: Reply = read_value(json.loads(line), Reply)
    return reply


def _encode(fields: Mapping[str, Any]) -> bytes:
    # The standard library's encoder: it passes paths that are not UTF-8.
    return json.dumps(fields, default=vars).encode() + b"\n"
