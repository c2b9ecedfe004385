"""``python -m clipper_nb.runtime.health_check``: exit with 0 if this container's frontend answers, else with 1.

With ``started`` it also waits for what a new query frontend beside others needs before it gets queries: replicas.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys
from pathlib import Path

from clipper_nb.protocol import environment

_TIMEOUT_S = 3.0
_REPLICAS_WITHIN_S = 15.0
"""A frontend that is older has the replicas that there are: a model without any must not keep it from serving."""


def main(arguments: list[str]) -> None:
    """Send the frontend a liveness request, or ask whether it has started."""
    path = "/readyz" if "started" in arguments and _age_s() < _REPLICAS_WITHIN_S else "/livez"
    raise SystemExit(0 if _is_ok(path) else 1)


def _is_ok(path: str) -> bool:
    connection = _connection(int(os.environ[environment.HTTP_PORT]))
    try:
        connection.request("GET", path, headers=_authorization())
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _authorization() -> dict[str, str]:
    """Return the header that a query frontend asks for, if its clients need a token."""
    path = os.environ.get(environment.file_variable(environment.QUERY_TOKEN))
    return {"Authorization": f"Bearer {Path(path).read_text().strip()}"} if path else {}


def _age_s() -> float:
    """Return for how long this container's first process has run, as Linux tells it."""
    started_ticks = int(Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19])
    up_s = float(Path("/proc/uptime").read_text().split()[0])
    return up_s - started_ticks / os.sysconf("SC_CLK_TCK")


def _connection(port: int) -> http.client.HTTPConnection:
    if not os.environ.get(environment.file_variable(environment.TLS_CERTIFICATE)):
        return http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    # Only this container's frontend answers at its loopback address, and its own token is no secret to it.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=_TIMEOUT_S, context=context)


if __name__ == "__main__":
    main(sys.argv[1:])
