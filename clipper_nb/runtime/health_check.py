"""``python -m clipper_nb.runtime.health_check``: exit with 0 if this container's frontend answers, else with 1."""

from __future__ import annotations

import http.client
import os
import ssl

from clipper_nb.protocol import environment

_TIMEOUT_S = 3.0


def main() -> None:
    """Send the frontend a liveness request."""
    connection = _connection(int(os.environ[environment.HTTP_PORT]))
    try:
        connection.request("GET", "/livez")
        is_alive = connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        is_alive = False
    raise SystemExit(0 if is_alive else 1)


def _connection(port: int) -> http.client.HTTPConnection:
    if not os.environ.get(environment.file_variable(environment.TLS_CERTIFICATE)):
        return http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    # Only this container's frontend answers at its loopback address, and it is told no secret.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=_TIMEOUT_S, context=context)


if __name__ == "__main__":
    main()
