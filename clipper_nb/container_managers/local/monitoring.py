"""Prometheus and Grafana of an embedded cluster: programs of this machine, run by the cluster's supervisor.

They have no rights of root: a cluster of root runs them as a user that no account has. That user cannot enter the
cluster's folder, so they start in a folder of their own, and all their paths are relative to it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local.log_files import read_tail
from clipper_nb.container_managers.local.processes import HOST
from clipper_nb.container_managers.local.supervisor.control import SupervisorClient
from clipper_nb.container_managers.monitoring.files import Files, grafana_files, prometheus_files, write_files
from clipper_nb.container_managers.monitoring.programs import (
    GRAFANA_NAME,
    GRAFANA_PROBE,
    NUM_PASSWORD_BYTES,
    PROMETHEUS_NAME,
    START_TIMEOUT_S,
    Probe,
    grafana_variables,
    prometheus_arguments,
    prometheus_probe,
)
from clipper_nb.container_managers.monitoring.records import (
    DEFAULT_GRAFANA_PORT,
    DEFAULT_PROMETHEUS_PORT,
    USER,
    ClusterMonitoring,
    Monitoring,
    MonitoringOptions,
    ScrapeTargets,
)
from clipper_nb.container_managers.readiness import wait_for
from clipper_nb.display.progress import QUIET, Progress
from clipper_nb.errors import ClusterStartError, ClusterUnreachableError, InvalidRequestError
from clipper_nb.images.user_ids import UNUSED
from clipper_nb.protocol.containers import MONITORING, ContainerSpec, Observe, Start, Stop

_STOP_TIMEOUT_S = 20.0
_MAX_EXITS = 1
_NUM_TRIES = 5
_IS_BUSY = "address already in use"
_GRAFANA_HOME = Path("/usr/share/grafana")
_HERE = "/proc/self/cwd"
"""The folder that a process started in, whether or not it could enter those above."""


@dataclass(frozen=True)
class _Program:
    """One of both programs, as it is started."""

    spec: ContainerSpec
    port: int
    probe: Probe


class LocalMonitoring(ClusterMonitoring):
    """Runs them for one embedded cluster.

    Parameters
    ----------
    folder : ClusterFolder
    supervisor : SupervisorClient
    """

    def __init__(self, folder: ClusterFolder, supervisor: SupervisorClient) -> None:
        self._folder = folder
        self._supervisor = supervisor
        self._path = folder.monitoring_path / "run"

    def find(self) -> Monitoring | None:
        known = self._folder.read_monitoring()
        if known is None:
            return None
        names = {each.name for each in fields(Monitoring)}  # a newer release may have added some
        return Monitoring(**{name: value for name, value in known.items() if name in names})

    def start(self, targets: ScrapeTargets, options: MonitoringOptions, progress: Progress = QUIET) -> Monitoring:
        if options.prometheus_image is not None or options.grafana_image is not None:
            raise InvalidRequestError("Images are for Docker; the embedded cluster runs programs of this machine.")
        with self._folder.lock(timeout_s=START_TIMEOUT_S):
            found, runs = self.find(), self._runs()
            if found is not None and runs:
                return found
            if runs:  # the notebook that started it was killed before it could say where it answers
                self._stop()
            return self._start_all(targets, options, progress)

    def _start_all(self, targets: ScrapeTargets, options: MonitoringOptions, progress: Progress) -> Monitoring:
        prometheus, grafana = _find_prometheus(), shutil.which("grafana-server")
        try:
            progress.step("Start Prometheus")
            self._write(prometheus_files(targets, asks_for_password=True))
            port = self._start_at_free_port(
                partial(_prometheus, prometheus, targets), options.prometheus_port, DEFAULT_PROMETHEUS_PORT
            )
            monitoring = Monitoring(f"{HOST}:{port}", user=USER if targets.token or grafana else None)
            if grafana is not None:
                progress.step("Start Grafana")
                monitoring = self._start_grafana(grafana, targets, monitoring, options)
            self._folder.write_monitoring(monitoring)
        except BaseException:
            self._stop()
            raise
        return monitoring

    def _start_grafana(
        self, program: str, targets: ScrapeTargets, prometheus: Monitoring, options: MonitoringOptions
    ) -> Monitoring:
        password = secrets.token_urlsafe(NUM_PASSWORD_BYTES)
        self._write(grafana_files(targets, prometheus.prometheus_url, _HERE, asks_for_password=True))
        port = self._start_at_free_port(
            partial(_grafana, program, password), options.grafana_port, DEFAULT_GRAFANA_PORT
        )
        return Monitoring(prometheus.prometheus_addr, f"{HOST}:{port}", USER, password)

    def _start_at_free_port(self, make: Callable[[int], _Program], asked: int | None, default: int) -> int:
        """Start a program, and again at another port if its own was taken before it listened; return the port."""
        wanted = default if asked is None else asked
        for num_left in reversed(range(_NUM_TRIES)):
            program = make(_free_port(wanted))
            try:
                self._start(program)
            except ClusterStartError as exc:
                if not num_left or _IS_BUSY not in exc.log_tail:
                    raise
            else:
                return program.port
            self._supervisor.call(Stop((program.spec.name,)), timeout_s=_STOP_TIMEOUT_S)
        raise AssertionError("unreachable")

    def _write(self, files: Files) -> None:
        self._folder.monitoring_path.mkdir(mode=0o700, exist_ok=True)
        for name in ("run", "run/data"):
            (self._folder.monitoring_path / name).mkdir(mode=0o700, exist_ok=True)
        write_files(files, self._path)
        if os.geteuid() == 0:
            self._hand_over(files)

    def _hand_over(self, files: Files) -> None:
        """Let the user of Prometheus read its files, which stay root's, and write its data.

        No other user comes further than to the cluster's folder.
        """
        user = _user_id()
        os.chown(self._path / "data", user, user, follow_symlinks=False)
        for name, file in files.items():
            if file.is_secret:
                os.chown(self._path / name, user, user, follow_symlinks=False)
            for folder in (self._path / name).relative_to(self._path).parents:
                (self._path / folder).chmod(0o755)

    def _start(self, program: _Program) -> None:
        self._supervisor.call(Start((program.spec,)))
        is_ready = partial(self._is_ready, program)
        try:
            wait_for(is_ready, time.monotonic() + START_TIMEOUT_S, partial(self._check, program))
        except ClusterUnreachableError as exc:
            raise ClusterStartError(
                f"{program.probe.what} does not answer on port {program.port} after {START_TIMEOUT_S:g} s.",
                self._log_tail(program),
            ) from exc

    def _is_ready(self, program: _Program) -> bool:
        """Return whether it answers, and not another program that took its port."""
        if not program.probe.answers(HOST, program.port):
            return False
        observed = [each for each in self._supervisor.call(Observe()) if each.name == program.spec.name]
        return any(each.pid is not None and _listens(each.pid, program.port) for each in observed)

    def _check(self, program: _Program) -> None:
        for container in self._supervisor.call(Observe()):
            if container.name == program.spec.name and container.num_exits > _MAX_EXITS:
                raise ClusterStartError(
                    f"{program.probe.what} ended with status {container.exit_status}, again and again.",
                    self._log_tail(program),
                )

    def _log_tail(self, program: _Program) -> str:
        return read_tail(self._folder.log_path(program.spec.name), 20)

    def _runs(self) -> bool:
        return any(container.role == MONITORING for container in self._supervisor.call(Observe()))

    def _stop(self) -> None:
        self._supervisor.call(Stop((PROMETHEUS_NAME, GRAFANA_NAME)), timeout_s=_STOP_TIMEOUT_S)


def _find_prometheus() -> str:
    found = shutil.which("prometheus")
    if found is None:
        raise InvalidRequestError(
            "There is no program 'prometheus' on the PATH. Install it (Debian: apt-get install prometheus, and then "
            "systemctl disable --now prometheus, since it starts a service), or write the files for one that runs "
            "elsewhere: conn.export_monitoring(folder)."
        )
    return found


def _listens(pid: int, port: int) -> bool:
    """Return whether a process, or one that it started, listens at a port; also if this user may not see that."""
    import psutil

    try:
        first = psutil.Process(pid)
        for process in (first, *first.children(recursive=True)):
            connections = process.net_connections if psutil.version_info >= (6,) else process.connections
            if any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in connections("tcp")):
                return True
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        pass
    return False


def _prometheus(program: str, targets: ScrapeTargets, port: int) -> _Program:
    arguments = prometheus_arguments(f"{HOST}:{port}", folder="", has_password=targets.token is not None)
    return _Program(_spec(PROMETHEUS_NAME, [program, *arguments]), port, prometheus_probe(targets.token))


def _grafana(program: str, password: str, port: int) -> _Program:
    home = next(
        (path for path in (Path(program).resolve().parents[1], _GRAFANA_HOME) if (path / "conf").is_dir()),
        _GRAFANA_HOME,
    )
    variables = {
        **grafana_variables(f"{_HERE}/"),
        "GF_PATHS_DATA": f"{_HERE}/data/grafana",
        "GF_SECURITY_ADMIN_PASSWORD": password,
        "GF_SERVER_HTTP_ADDR": HOST,
        "GF_SERVER_HTTP_PORT": str(port),
    }
    return _Program(_spec(GRAFANA_NAME, [program, "--homepath", str(home)], variables), port, GRAFANA_PROBE)


def _spec(name: str, command: list[str], variables: dict[str, str] | None = None) -> ContainerSpec:
    return ContainerSpec(
        name=name,
        role=MONITORING,
        command=(*_as_plain_user(), *command),
        environment=variables or {},
        working_folder="monitoring/run",
    )


def _user_id() -> int:
    return int(UNUSED.of_monitoring("").partition(":")[0])


def _as_plain_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    program, user = shutil.which("setpriv"), str(_user_id())
    if program is None:
        raise InvalidRequestError(
            "As root, Prometheus is started as a user without rights by 'setpriv' of the package util-linux, which is "
            "not on the PATH. Install it, or run the notebook as another user."
        )
    return [program, "--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs"]


def _free_port(wanted: int) -> int:
    """Return *wanted* if it is free, else a port that is; another program may take it before it is used."""
    for port in (wanted, 0):
        try:
            with socket.create_server((HOST, port)) as probe:
                return int(probe.getsockname()[1])
        except OSError:
            continue
    raise ClusterStartError(f"There is no free port on {HOST}.")
