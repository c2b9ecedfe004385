"""A real Prometheus for tests: its programs, an image with it for Docker, and its HTTP API."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import tarfile
from base64 import b64encode
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.support.docker_images import new_image_name, remove_image

_DOCKERFILE = b'FROM debian:bookworm-slim\nCOPY prometheus /bin/prometheus\nENTRYPOINT ["/bin/prometheus"]\n'


def program(name: str = "prometheus") -> str:
    """Return the path of ``prometheus`` or ``promtool``, which ``scripts/test-tools`` installs."""
    found = shutil.which(name)
    assert found is not None, f"there is no {name}: scripts/test-tools installs it"
    return found


def run_promtool(*arguments: str, cwd: Path | None = None, text: str | None = None) -> str:
    """Return the output of promtool, which finds nothing wrong."""
    done = subprocess.run([program("promtool"), *arguments], cwd=cwd, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@contextlib.contextmanager
def prometheus_image(client: Any) -> Iterator[str]:
    """Build an image of this machine's Prometheus for the ``with``, and give its tag."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(_DOCKERFILE)
        tar.addfile(info, io.BytesIO(_DOCKERFILE))
        tar.add(program(), "prometheus")
    context.seek(0)
    tag = new_image_name("prometheus")
    client.images.build(fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True)
    try:
        yield tag
    finally:
        remove_image(client, tag)


class PrometheusApi:
    """Asks a Prometheus.

    Parameters
    ----------
    address : str
        ``host:port``.
    password : str, optional
        Of the user ``clipper``.
    """

    def __init__(self, address: str, password: str | None = None) -> None:
        self._address = address
        self._headers = {}
        if password is not None:
            self._headers["Authorization"] = "Basic " + b64encode(f"clipper:{password}".encode()).decode()

    def get(self, path: str) -> Any:
        """Return the data of an answer; an error is its HTTP status."""
        connection = HTTPConnection(self._address, timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", f"/api/v1/{path}", headers=self._headers)
            reply = connection.getresponse()
            text = reply.read()
        return json.loads(text)["data"] if reply.status == 200 else reply.status

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an expression now; a wrong expression fails."""
        found = self.get(f"query?query={quote(expression)}")
        assert isinstance(found, dict), f"{found}: {expression}"
        series: list[dict[str, Any]] = found["result"]
        return series

    def health(self) -> dict[str, str]:
        """Return the health of each target, or its last error, by its job."""
        found = self.get("targets")
        if not isinstance(found, dict):  # it is still starting
            return {}
        return {each["scrapePool"]: each["lastError"] or each["health"] for each in found["activeTargets"]}
