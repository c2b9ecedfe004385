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
            found = self.find()
            return found if found is not None and self._runs() else self._start_all(targets, options, progress)

    def _start_all(self, targets: ScrapeTargets, options: MonitoringOptions, progress: Progress) -> Monitoring:
        prometheus, grafana = _find_prometheus(), shutil.which("grafana-server")
        password = None if grafana is None else secrets.token_urlsafe(NUM_PASSWORD_BYTES)
        port = _free_port(options.prometheus_port, DEFAULT_PROMETHEUS_PORT)
        monitoring = Monitoring(f"{HOST}:{port}", user=USER if targets.token or grafana else None)
        files = prometheus_files(targets, asks_for_password=True)
        programs = [_prometheus(prometheus, port, targets)]
        if grafana is not None and password is not None:
            grafana_port = _free_port(options.grafana_port, DEFAULT_GRAFANA_PORT)
            monitoring = Monitoring(f"{HOST}:{port}", f"{HOST}:{grafana_port}", USER, password)
            files |= grafana_files(targets, monitoring.prometheus_url, _HERE, asks_for_password=True)
            programs.append(_grafana(grafana, grafana_port, password))
        self._write(files)
        try:
            for program in programs:
                progress.step(f"Start {program.probe.what}")
                self._start(program)
            self._folder.write_monitoring(monitoring)
        except BaseException:
            self._stop()
            raise
        return monitoring

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
        is_ready = partial(program.probe.answers, HOST, program.port)
        try:
            wait_for(is_ready, time.monotonic() + START_TIMEOUT_S, partial(self._check, program))
        except ClusterUnreachableError as exc:
            raise ClusterStartError(
                f"{program.probe.what} does not answer on port {program.port} after {START_TIMEOUT_S:g} s.",
                self._log_tail(program),
            ) from exc

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


def _prometheus(program: str, port: int, targets: ScrapeTargets) -> _Program:
    arguments = prometheus_arguments(f"{HOST}:{port}", folder="", has_password=targets.token is not None)
    return _Program(_spec(PROMETHEUS_NAME, [program, *arguments]), port, prometheus_probe(targets.token))


def _grafana(program: str, port: int, password: str) -> _Program:
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


def _free_port(asked: int | None, default: int) -> int:
    for port in (default if asked is None else asked, 0):
        try:
            with socket.create_server((HOST, port)) as probe:
                return int(probe.getsockname()[1])
        except OSError:
            continue
    raise ClusterStartError(f"There is no free port on {HOST}.")
