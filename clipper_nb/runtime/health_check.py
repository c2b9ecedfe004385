"""``python -m clipper_nb.runtime.health_check``: exit with 0 if this container's frontend answers, else with 1."""

from __future__ import annotations

import http.client
import os

from clipper_nb.protocol import environment

_TIMEOUT_S = 3.0


def main() -> None:
    """Send the frontend a liveness request."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ[environment.HTTP_PORT]), timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/livez")
        is_alive = connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        is_alive = False
    raise SystemExit(0 if is_alive else 1)


if __name__ == "__main__":
    main()
