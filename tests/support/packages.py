"""Packages for pip, made and served within a test: nothing of them is anywhere else."""

from __future__ import annotations

import base64
import contextlib
import http.server
import ssl
import threading
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

_BACKEND = """
import pathlib, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as wheel:
        for path, text in {files!r}.items():
            wheel.writestr(path, text)
    return name
"""


def write_wheel(folder: Path, name: str, *, requires: Sequence[str] = (), extra_bytes: int = 0) -> Path:
    """Make version 1.0 of a package with one module, of its own name, whose ``VALUE`` is its name.

    Parameters
    ----------
    folder : Path
    name : str
    requires : list of str
        As in its metadata.
    extra_bytes : int
        Make it this much bigger.
    """
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, text in _wheel_files(name, requires).items():
            wheel.writestr(member, text)
        if extra_bytes:
            wheel.writestr(f"{name}.bin", bytes(extra_bytes))
    return path


def write_project(folder: Path, name: str) -> Path:
    """Make the folder of a project that pip can build without fetching anything."""
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "1.0"\n'
    )
    (folder / "backend.py").write_text(_BACKEND.format(name=name, files=_wheel_files(name, ())))
    return folder


def _wheel_files(name: str, requires: Sequence[str]) -> dict[str, str]:
    extras = sorted({word.split("'")[1] for line in requires for word in line.split("extra ==")[1:]})
    metadata = [
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0",
        *(f"Provides-Extra: {extra}" for extra in extras),
        *(f"Requires-Dist: {line}" for line in requires),
    ]
    return {
        f"{name}.py": f"VALUE = {name!r}\n",
        f"{name}-1.0.dist-info/METADATA": "\n".join(metadata) + "\n",
        f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{name}-1.0.dist-info/RECORD": "",
    }


class Server:
    """A web server on a free port of the loopback interface; ``requests`` are the addresses that were asked for."""

    def __init__(self, handler: type[_Handler], scheme: str = "http", tls: ssl.SSLContext | None = None, **facts: Any):
        self.requests: list[str] = []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, self.requests, **facts))
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"

    @contextlib.contextmanager
    def running(self) -> Iterator[Server]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, requests: list[str], *args: Any, credentials: str = "", **facts: Any) -> None:
        self._requests = requests
        self._expected = f"Basic {base64.b64encode(credentials.encode()).decode()}" if credentials else None
        super().__init__(*args, **facts)

    def do_GET(self) -> None:
        self._requests.append(self.path)
        with contextlib.suppress(ConnectionError):  # pip may have no room for what it asked for
            self._answer()

    def _answer(self) -> None:
        if self._expected in (None, self.headers["Authorization"]):
            super().do_GET()
        else:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="packages"')
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


class _ProxyHandler(_Handler):
    def _answer(self) -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.path, timeout=10) as reply:
            body = reply.read()
        self.send_response(200)
        self.send_header("Content-Type", reply.headers["Content-Type"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def package_index(
    folder: Path, wheels: Sequence[Path], tls: ssl.SSLContext | None = None, *, credentials: str = ""
) -> Iterator[Server]:
    """Serve wheels as an index for pip, at ``<url>/simple/``, to all or to those with ``user:password``."""
    for wheel in wheels:
        project = folder / "simple" / wheel.name.split("-")[0].replace("_", "-")
        project.mkdir(parents=True, exist_ok=True)
        wheel.rename(project / wheel.name)
    scheme = "http" if tls is None else "https"
    with Server(_Handler, scheme, tls, directory=str(folder), credentials=credentials).running() as server:
        yield server


@contextlib.contextmanager
def forward_proxy() -> Iterator[Server]:
    """Serve as a proxy for plain HTTP."""
    with Server(_ProxyHandler).running() as server:
        yield server
