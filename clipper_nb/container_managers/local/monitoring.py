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
from base64 import b64encode
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local.log_files import read_tail
from clipper_nb.container_managers.local.processes import HOST
from clipper_nb.container_managers.local.supervisor.control import SupervisorClient
from clipper_nb.container_managers.monitoring.files import (
    PROMETHEUS_CONFIG,
    WEB_CONFIG,
    Files,
    grafana_files,
    prometheus_files,
    write_files,
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
from clipper_nb.protocol.names import ModelId

PROMETHEUS_NAME, GRAFANA_NAME = "prometheus-0", "grafana-0"
_START_TIMEOUT_S = 60.0
_ANSWER_TIMEOUT_S = 2.0
_STOP_TIMEOUT_S = 20.0
_MAX_EXITS = 1
_NUM_PASSWORD_BYTES = 12
_MAX_DATA_SIZE = "1GB"
_HERE = "/proc/self/cwd"
"""The folder that a process started in, whether or not it could enter those above."""


@dataclass(frozen=True)
class _Program:
    """One of both programs, as it is started."""

    name: str
    spec: ContainerSpec
    port: int
    ready_path: str
    authorization: str | None = None


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
        return None if known is None else Monitoring(**known)

    def start(self, targets: ScrapeTargets, options: MonitoringOptions, progress: Progress = QUIET) -> Monitoring:
        if options.prometheus_image is not None or options.grafana_image is not None:
            raise InvalidRequestError("Images are for Docker; the embedded cluster runs programs of this machine.")
        found = self.find()
        if found is not None and self._runs():
            return found
        prometheus, grafana = _find_prometheus(), shutil.which("grafana-server")
        password = None if grafana is None else secrets.token_urlsafe(_NUM_PASSWORD_BYTES)
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
                progress.step(f"Start {program.name}")
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
            user = _user_id()
            for folder, _, names in os.walk(self._path):
                for each in (folder, *(os.path.join(folder, name) for name in names)):
                    os.chown(each, user, user, follow_symlinks=False)

    def _start(self, program: _Program) -> None:
        self._supervisor.call(Start((program.spec,)))
        is_ready = partial(_is_ready, program.port, program.ready_path, program.authorization)
        try:
            wait_for(is_ready, time.monotonic() + _START_TIMEOUT_S, partial(self._check, program))
        except ClusterUnreachableError as exc:
            raise ClusterStartError(
                f"{program.name} does not answer on port {program.port} after {_START_TIMEOUT_S:g} s.",
                self._log_tail(program),
            ) from exc

    def _check(self, program: _Program) -> None:
        for container in self._supervisor.call(Observe()):
            if container.name == program.spec.name and container.num_exits > _MAX_EXITS:
                raise ClusterStartError(
                    f"{program.name} ended with status {container.exit_status}, again and again.",
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
    command = [
        program, f"--config.file={PROMETHEUS_CONFIG}", "--storage.tsdb.path=data",
        f"--storage.tsdb.retention.size={_MAX_DATA_SIZE}", f"--web.listen-address={HOST}:{port}", "--log.level=warn",
    ]  # fmt: skip
    authorization = None
    if targets.token is not None:
        command.append(f"--web.config.file={WEB_CONFIG}")
        authorization = "Basic " + b64encode(f"{USER}:{targets.token}".encode()).decode()
    return _Program("Prometheus", _spec(PROMETHEUS_NAME, command), port, "/-/ready", authorization)


def _grafana(program: str, port: int, password: str) -> _Program:
    home = next(
        (path for path in (Path(program).resolve().parents[1], Path("/usr/share/grafana")) if (path / "conf").is_dir()),
        Path("/usr/share/grafana"),
    )
    variables = {
        "GF_PATHS_DATA": f"{_HERE}/data/grafana",
        "GF_PATHS_LOGS": f"{_HERE}/data/grafana/log",
        "GF_PATHS_PLUGINS": f"{_HERE}/data/grafana/plugins",
        "GF_PATHS_PROVISIONING": f"{_HERE}/grafana/provisioning",
        **grafana_settings(password),
        "GF_SERVER_HTTP_ADDR": HOST,
        "GF_SERVER_HTTP_PORT": str(port),
    }
    return _Program("Grafana", _spec(GRAFANA_NAME, [program, "--homepath", str(home)], variables), port, "/api/health")


def grafana_settings(password: str) -> dict[str, str]:
    """Return the settings of a cluster's Grafana on both kinds of cluster, as environment variables."""
    return {
        "GF_SECURITY_ADMIN_USER": USER,
        "GF_SECURITY_ADMIN_PASSWORD": password,
        "GF_USERS_ALLOW_SIGN_UP": "false",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
    }


def _spec(name: str, command: list[str], variables: dict[str, str] | None = None) -> ContainerSpec:
    return ContainerSpec(
        name=name,
        role=MONITORING,
        command=(*_as_plain_user(), *command),
        environment=variables or {},
        working_folder="monitoring/run",
    )


def _user_id() -> int:
    # No version has an empty name.
    return int(UNUSED.of_version("", ModelId("monitoring", "")).partition(":")[0])


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


def _is_ready(port: int, path: str, authorization: str | None) -> bool:
    headers = {} if authorization is None else {"Authorization": authorization}
    with closing(HTTPConnection(HOST, port, timeout=_ANSWER_TIMEOUT_S)) as connection:
        try:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
