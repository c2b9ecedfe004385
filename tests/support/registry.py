"""A registry of images on a free port of the loopback interface, where the engine needs no TLS."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tests.support.clusters import eventually
from tests.support.ports import quiet_port

Refuses = Literal["nothing", "strangers", "writes"]


class Registry:
    """A running ``docker-registry``; ``address`` is what a user passes as ``registry=``."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.address = f"localhost:{port}"

    def answers(self) -> bool:
        """Tell whether it can be asked yet."""
        with contextlib.suppress(OSError):
            return self._get("/v2/")[0] in (200, 401)
        return False

    def repositories(self) -> list[str]:
        """Return the names of what was pushed."""
        return list(json.loads(self._get("/v2/_catalog")[1])["repositories"])

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository; it has none when nothing was pushed to it."""
        return list(json.loads(self._get(f"/v2/{repository}/tags/list")[1]).get("tags") or ())

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()


@contextlib.contextmanager
def running_registry(folder: Path, *, refuses: Refuses = "nothing") -> Iterator[Registry]:
    """Start a registry that keeps its images in *folder*, and end it afterwards.

    Parameters
    ----------
    folder : Path
    refuses : str
        ``"strangers"`` wants a password that nobody has; ``"writes"`` is read-only.
    """
    registry = Registry(quiet_port())
    config = folder / "registry.yml"
    config.write_text(json.dumps(_configuration(folder, registry.address, refuses)))  # JSON is YAML
    with open(folder / "registry.log", "wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
    try:
        eventually(registry.answers, within_s=10, what="the registry's first answer")
        yield registry
    finally:
        process.terminate()
        process.wait(timeout=10)


def _configuration(folder: Path, address: str, refuses: Refuses) -> dict:
    configuration: dict = {
        "version": 0.1,
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "images")},
            "maintenance": {"readonly": {"enabled": refuses == "writes"}},
        },
        "http": {"addr": address.replace("localhost", "127.0.0.1"), "secret": "of this test"},
    }
    if refuses == "strangers":
        passwords = folder / "passwords"
        passwords.write_text("")
        configuration["auth"] = {"htpasswd": {"realm": "test", "path": str(passwords)}}
    return configuration
