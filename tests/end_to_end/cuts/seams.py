"""Where a notebook's process reaches out: each request, supervisor command and engine call is told before and after.

The HTTP seam is urllib3's own, so that whatever of the package sends a request, now or later, is seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

import urllib3

from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local.supervisor.control import SupervisorClient
from clipper_nb.errors import ClusterUnreachableError
from clipper_nb.protocol.cluster_record import RECORD_FILE
from clipper_nb.protocol.containers import Command
from tests.end_to_end.cuts.steps import AFTER, BEFORE, ENGINE_CALL, RECORD_WRITE, REQUEST, SUPERVISOR_COMMAND, Step

_ENGINE_VERSION = re.compile(r"^/v\d+\.\d+(?=/)")
_LONG_ID = re.compile(r"[0-9a-f]{12,}")


class Listener(Protocol):
    """Is told of each step; says whether the step is to be refused."""

    def begin(self, kind: str, label: str) -> Step:
        """Number a step."""

    def reach(self, step: Step, moment: str) -> bool:
        """Say that a step begins or has ended; True asks for an error in its place."""


def watch_seams(listener: Listener) -> None:
    """Tell the listener of all that this process sends from now on."""
    _wrap(urllib3.connectionpool.HTTPConnectionPool, "urlopen", _http_label, _http_error, listener)
    _wrap(SupervisorClient, "call", _supervisor_label, _supervisor_error, listener)
    _wrap(ClusterFolder, "write_record", lambda *_: (RECORD_WRITE, RECORD_FILE), _http_error, listener)


def _wrap(
    owner: type,
    name: str,
    label_of: Callable[..., tuple[str, str]],
    error: Callable[[str, str], Any],
    listener: Listener,
) -> None:
    original = getattr(owner, name)

    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        step = listener.begin(*label_of(self, *args, **kwargs))
        if listener.reach(step, BEFORE):
            return error(step.label, BEFORE)
        result = original(self, *args, **kwargs)
        if listener.reach(step, AFTER):
            return error(step.label, AFTER)
        return result

    setattr(owner, name, watched)


def _http_label(pool: Any, method: str, url: str, *args: Any, **kwargs: Any) -> tuple[str, str]:
    path = urlsplit(url).path
    if not _is_for_engine(pool, path):
        return REQUEST, f"{method} {path}"
    return ENGINE_CALL, f"{method} {_without_own_names(_ENGINE_VERSION.sub('', path))}"


def _is_for_engine(pool: Any, path: str) -> bool:
    """Return whether a request is for the Docker Engine, over its socket or over TCP."""
    return type(pool).__module__.startswith("docker.") or _ENGINE_VERSION.match(path) is not None


def _without_own_names(path: str) -> str:
    """Return a path of the engine without what differs from one call to the next."""
    path = _LONG_ID.sub("<id>", path)
    return re.sub(r"/images/.+?(/json|/push|/tag|)$", r"/images/<name>\1", path)


def _http_error(label: str, moment: str) -> urllib3.HTTPResponse:
    """Answer as an engine does that fails; only engine calls are refused."""
    body = json.dumps({"message": f"the test refuses {label}"}).encode()
    return urllib3.HTTPResponse(
        body=body, status=500, reason="Internal Server Error", preload_content=False,
        headers={"Content-Type": "application/json", "Content-Length": str(len(body))},
    )  # fmt: skip


def _supervisor_label(client: Any, command: Command, **arguments: Any) -> tuple[str, str]:
    return SUPERVISOR_COMMAND, command.name


def _supervisor_error(label: str, moment: str) -> None:
    if moment == BEFORE:
        raise ClusterUnreachableError(f"The cluster's supervisor failed on '{label}': OSError: the test refuses it")
    raise ClusterUnreachableError("The cluster's supervisor cannot be reached: it closed the connection.")
