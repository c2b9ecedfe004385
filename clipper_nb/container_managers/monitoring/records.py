"""What a monitored cluster is: where its metrics are, and where Prometheus and Grafana answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from clipper_nb.display.progress import QUIET, Progress
from clipper_nb.protocol.tls_identity import TlsIdentity

DEFAULT_PROMETHEUS_PORT = 9090
DEFAULT_GRAFANA_PORT = 3000
USER = "clipper"
"""Who reads a Prometheus that has a password, and who administrates Grafana."""


@dataclass(frozen=True)
class ScrapeTargets:
    """Where a Prometheus reads the metrics of a cluster."""

    cluster: str
    query_addr: str
    management_addr: str
    token: str | None = field(default=None, repr=False)
    """What both frontends ask for; ``None`` if they ask for nothing."""
    tls: TlsIdentity | None = None


@dataclass(frozen=True)
class MonitoringOptions:
    """The arguments of ``start_monitoring``."""

    prometheus_port: int | None = None
    """``None`` is the manager's own choice, 0 any free port."""
    grafana_port: int | None = None
    prometheus_image: str | None = None
    grafana_image: str | None = None


@dataclass(frozen=True)
class Monitoring:
    """Where a cluster's Prometheus answers, and its Grafana, if there is one."""

    prometheus_addr: str
    """``host:port``."""
    grafana_addr: str | None = None
    user: str | None = None
    """The name for both, if they ask for one; its password is the cluster's ``query_token``, of Grafana always
    ``grafana_password``."""
    grafana_password: str | None = field(default=None, repr=False)

    @property
    def prometheus_url(self) -> str:
        """The address with its scheme."""
        return f"http://{self.prometheus_addr}"

    @property
    def grafana_url(self) -> str | None:
        """The address with its scheme."""
        return None if self.grafana_addr is None else f"http://{self.grafana_addr}"


class ClusterMonitoring(ABC):
    """Starts and finds the Prometheus of one cluster."""

    @abstractmethod
    def start(self, targets: ScrapeTargets, options: MonitoringOptions, progress: Progress = QUIET) -> Monitoring:
        """Start Prometheus, and Grafana where it is installed, unless they run; return when they answer.

        *targets* are as this machine reaches them. Raises ``ClusterStartError`` with the end of the log of what does
        not start, and leaves nothing of it; ``InvalidRequestError`` or ``ImageNotFoundError`` without a Prometheus.
        """

    @abstractmethod
    def find(self) -> Monitoring | None:
        """Return where they answer, also if another process started them; ``None`` if none was started."""
