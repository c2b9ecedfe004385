"""How Prometheus and Grafana are started, and asked whether they answer: the same on every kind of cluster."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from clipper_nb.container_managers.monitoring.files import PROMETHEUS_CONFIG, WEB_CONFIG
from clipper_nb.container_managers.monitoring.records import USER

PROMETHEUS_NAME, GRAFANA_NAME = "prometheus-0", "grafana-0"
START_TIMEOUT_S = 60.0
NUM_PASSWORD_BYTES = 12
_ANSWER_TIMEOUT_S = 2.0
_MAX_DATA_SIZE = "1GB"


@dataclass(frozen=True)
class Probe:
    """What is asked to see whether a program answers."""

    what: str
    path: str
    authorization: str | None = None

    def answers(self, host: str, port: int) -> bool:
        """Return whether it answers there."""
        headers = {} if self.authorization is None else {"Authorization": self.authorization}
        with closing(HTTPConnection(host, port, timeout=_ANSWER_TIMEOUT_S)) as connection:
            try:
                connection.request("GET", self.path, headers=headers)
                return connection.getresponse().status == 200
            except (OSError, HTTPException):
                return False


def prometheus_probe(token: str | None) -> Probe:
    """Return how Prometheus is asked; *token* is the password that it has."""
    given = None if token is None else "Basic " + b64encode(f"{USER}:{token}".encode()).decode()
    return Probe("Prometheus", "/-/ready", given)


GRAFANA_PROBE = Probe("Grafana", "/api/health")


def prometheus_arguments(listen: str, *, folder: str, has_password: bool) -> list[str]:
    """Return the arguments of a Prometheus whose files and data are in *folder*."""
    arguments = [
        f"--config.file={folder}{PROMETHEUS_CONFIG}", f"--storage.tsdb.path={folder}data",
        f"--storage.tsdb.retention.size={_MAX_DATA_SIZE}", f"--web.listen-address={listen}", "--log.level=warn",
        "--enable-feature=exemplar-storage",
    ]  # fmt: skip
    return [*arguments, f"--web.config.file={folder}{WEB_CONFIG}"] if has_password else arguments


def grafana_variables(folder: str) -> Mapping[str, str]:
    """Return the settings of a Grafana whose files and data are in *folder*, as environment variables."""
    return {
        "GF_PATHS_DATA": f"{folder}data",
        "GF_PATHS_LOGS": f"{folder}data/log",
        "GF_PATHS_PLUGINS": f"{folder}data/plugins",
        "GF_PATHS_PROVISIONING": f"{folder}grafana/provisioning",
        "GF_SECURITY_ADMIN_USER": USER,
        "GF_USERS_ALLOW_SIGN_UP": "false",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
    }
