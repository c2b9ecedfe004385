"""Reaches a Service through the API server, with ``kubectl port-forward``, which is started again when it ends."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import threading
import weakref
from collections.abc import Sequence

from clipper_nb.container_managers.kubernetes.api import KubernetesApi
from clipper_nb.errors import ClusterUnreachableError
from clipper_nb.images.child_environment import child_environment

_START_TIMEOUT_S = 15.0
_RESTART_INTERVAL_S = 0.5
_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


class PortForward:
    """A port of this machine's loopback that leads to a Service, until ``close`` or until nobody holds it.

    Parameters
    ----------
    api : KubernetesApi
    namespace : str
    service : str
    port : int
        The Service's.
    tried : sequence
        Addresses at which the Service was not reached, for the error.

    Raises
    ------
    ClusterUnreachableError
        There is no ``kubectl`` here, or it cannot connect.
    """

    def __init__(
        self, api: KubernetesApi, namespace: str, service: str, port: int, tried: Sequence[tuple[str, int]] = ()
    ) -> None:
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            raise ClusterUnreachableError(
                f"Service '{service}' is not reached from here{_tried(tried)}. Let it be of another type, "
                "service_types={'query': 'NodePort', 'management': 'NodePort'} or 'LoadBalancer', or install kubectl, "
                "which opens a tunnel."
            )
        self._command = [
            kubectl, *api.kubectl_options(), "--namespace", namespace, "port-forward", "--address", "127.0.0.1",
            f"service/{service}",
        ]  # fmt: skip
        self._port = port
        self._state = _State()
        self._local_port = self._start(0)
        self._finalizer = weakref.finalize(self, self._state.end)
        threading.Thread(
            target=_keep_open, args=(self._state, self._command, self._local_port, self._port),
            name="clipper_nb tunnel", daemon=True,
        ).start()  # fmt: skip

    @property
    def address(self) -> tuple[str, int]:
        """Host and port on this machine."""
        return "127.0.0.1", self._local_port

    def close(self) -> None:
        """End the tunnel."""
        self._finalizer()

    def _start(self, local_port: int) -> int:
        process = _spawn(self._command, local_port, self._port)
        found = _read_port(process)
        if found is None:
            _end(process)
            raise ClusterUnreachableError(
                f"`{' '.join(self._command)}` did not open a tunnel within {_START_TIMEOUT_S:g} s."
            )
        self._state.process = process
        return found


class _State:
    """What the thread and the owner share."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.is_over = threading.Event()

    def end(self) -> None:
        """End the process for good."""
        self.is_over.set()
        if self.process is not None:
            _end(self.process)


def _keep_open(state: _State, command: Sequence[str], local_port: int, port: int) -> None:
    """Start the process again when it ends: its pod was replaced."""
    while not state.is_over.is_set():
        assert state.process is not None
        state.process.wait()
        if state.is_over.wait(_RESTART_INTERVAL_S):
            return
        state.process = _spawn(command, local_port, port)
        _read_port(state.process)
        if state.is_over.is_set():
            _end(state.process)


def _spawn(command: Sequence[str], local_port: int, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*command, f"{local_port or ''}:{port}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True, env=child_environment(),
    )  # fmt: skip


def _read_port(process: subprocess.Popen[str]) -> int | None:
    """Return the port that the process tells, and read on what it writes, so that it never waits for a reader."""
    found: list[int] = []
    told = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                match = _FORWARDING.search(line)
                if match and not found:
                    found.append(int(match[1]))
                    told.set()
        told.set()

    threading.Thread(target=read, name="clipper_nb tunnel's words", daemon=True).start()
    told.wait(_START_TIMEOUT_S)
    return found[0] if found else None


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=2)
        return
    process.kill()


def _tried(tried: Sequence[tuple[str, int]]) -> str:
    return f" (at {', '.join(f'{host}:{port}' for host, port in tried)})" if tried else ""
