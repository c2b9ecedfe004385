"""The kinds of callers: each sends a probe its own way, and tells what came of it."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Callable
from typing import Any

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint
from tests.end_to_end.strangers.probes import Probe, send

Ask = Callable[[Probe], str]
NOT_POSSIBLE = "-"
_NOBODY = 65534
_PAGE = {"Origin": "https://elsewhere.example", "Content-Type": "text/plain"}
_RENAMED = {"Host": "elsewhere.example"}


def same_user(probe: Probe) -> str:
    """Ask as another process of the user who started the cluster."""
    return send(probe.address, probe.message)


def another_user(probe: Probe) -> str:
    """Ask as a process of another user of this machine; only root may become one."""
    assert os.geteuid() == 0, "tests that ask as another user are run by root"
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
            os.write(writer, send(probe.address, probe.message).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return text


def by_tls(authority: str | None) -> Ask:
    """Return what asks as a client that speaks TLS, and trusts an authority or those of this machine."""
    context = ssl.create_default_context(cadata=authority)
    return lambda probe: send(probe.address, probe.message, context)


def page(probe: Probe) -> str:
    """Ask as a page of another server does from the user's browser."""
    return send(probe.address, probe.with_headers(_PAGE).message) if _is_for_browsers(probe) else NOT_POSSIBLE


def page_that_renamed(probe: Probe) -> str:
    """Ask as a page whose own name was made to lead to this machine (DNS rebinding)."""
    return send(probe.address, probe.with_headers(_RENAMED).message) if _is_for_browsers(probe) else NOT_POSSIBLE


def model(conn: ClipperConnection, name: str, **options: Any) -> Ask:
    """Return what asks as the code of a model that this cluster runs; *options* are those of its deploy."""
    create_endpoint(conn, name, "strings", _send_each, slo_micros=60_000_000, batch_size=1, **options)

    def ask(probe: Probe) -> str:
        address = probe.inside or probe.address
        prediction = conn.predict(name, json.dumps([address, probe.message.decode("latin-1")]))
        assert not prediction.default, prediction
        return str(prediction.output)

    return ask


def _send_each(inputs: list[str]) -> list[Any]:
    return [send(address, message.encode("latin-1")) for address, message in map(json.loads, inputs)]


def _is_for_browsers(probe: Probe) -> bool:
    return probe.is_http and not probe.address.startswith("/")
