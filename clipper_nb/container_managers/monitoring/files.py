"""The files of a Prometheus and a Grafana for one cluster, rendered from ``container_templates/monitoring``."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from clipper_nb.container_managers.monitoring.password import hash_password
from clipper_nb.container_managers.monitoring.records import DEFAULT_PROMETHEUS_PORT, ScrapeTargets
from clipper_nb.errors import InvalidRequestError
from clipper_nb.images.templates import monitoring_file, render_monitoring
from clipper_nb.protocol.tls_identity import TlsIdentity
from clipper_nb.version import __version__

PROMETHEUS_CONFIG = "prometheus.yml"
WEB_CONFIG = "web.yml"
_QUERY, _MANAGEMENT = "query_frontend", "management_frontend"
_END = "-----END CERTIFICATE-----"


@dataclass(frozen=True)
class MonitoringFile:
    """One file."""

    text: str
    is_secret: bool = False
    """True if only its owner may read it."""

    @property
    def mode(self) -> int:
        """Its permissions."""
        return 0o600 if self.is_secret else 0o644


Files = Mapping[str, MonitoringFile]
"""By path, relative to their folder."""


def prometheus_files(targets: ScrapeTargets, *, asks_for_password: bool) -> dict[str, MonitoringFile]:
    """Return the configuration of a Prometheus; *asks_for_password* makes it as secret as the cluster's metrics."""
    files = {
        PROMETHEUS_CONFIG: MonitoringFile(
            render_monitoring(
                PROMETHEUS_CONFIG,
                cluster=targets.cluster,
                jobs=[_QUERY, _MANAGEMENT],
                scheme="http" if targets.tls is None else "https",
                has_token=targets.token is not None,
                server_name=None if targets.tls is None else _server_name(targets.tls),
            )
        ),
        "rules/clipper.yml": MonitoringFile(monitoring_file("rules/clipper.yml")),
        f"targets/{_QUERY}.json": _targets(targets.cluster, targets.query_addr),
        f"targets/{_MANAGEMENT}.json": _targets(targets.cluster, targets.management_addr),
    }
    if targets.token is not None:
        files["tokens/query_token"] = MonitoringFile(targets.token, is_secret=True)
        if asks_for_password:
            hashed = hash_password(targets.token)
            files[WEB_CONFIG] = MonitoringFile(render_monitoring(WEB_CONFIG, password_hash=hashed), is_secret=True)
    if targets.tls is not None:
        files["tls/authority.pem"] = MonitoringFile(targets.tls.authority or _first(targets.tls.certificates))
    return files


def grafana_files(
    targets: ScrapeTargets, prometheus_url: str, folder: str, *, asks_for_password: bool
) -> dict[str, MonitoringFile]:
    """Return what a Grafana is provisioned with: the data source and the dashboard.

    *folder* is where it finds them: the path that the paths of the files are relative to.
    """
    password = targets.token if asks_for_password else None
    source = render_monitoring("grafana/datasource.yml", cluster=targets.cluster, url=prometheus_url, password=password)
    provider = render_monitoring("grafana/dashboards.yml", folder=str(PurePosixPath(folder, "grafana/dashboards")))
    return {
        "grafana/provisioning/datasources/clipper.yml": MonitoringFile(source, is_secret=password is not None),
        "grafana/provisioning/dashboards/clipper.yml": MonitoringFile(provider),
        "grafana/dashboards/clipper.json": MonitoringFile(dashboard()),
    }


def dashboard() -> str:
    """Return the dashboard, whose title names this release: a copy of an older one shows that."""
    found = json.loads(monitoring_file("grafana/clipper.json"))
    found["title"] = f"{found['title']} {__version__}"
    return json.dumps(found, indent=1) + "\n"


def write_files(files: Files, folder: Path) -> list[str]:
    """Write the files below *folder*, each in one step, and return their paths.

    Raises
    ------
    InvalidRequestError
        One cannot be written.
    """
    written = []
    for name, file in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, file)
        except OSError as exc:
            raise InvalidRequestError(
                f"{path} cannot be written: {exc.strerror}. Name another folder, or free this one."
            ) from exc
        written.append(str(path))
    return written


def _write(path: Path, file: MonitoringFile) -> None:
    descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # for this user only
    try:
        with open(descriptor, "w") as opened:
            opened.write(file.text)
        os.chmod(new, file.mode)
        os.replace(new, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise


def _targets(cluster: str, address: str) -> MonitoringFile:
    return MonitoringFile(json.dumps([{"targets": [address], "labels": {"cluster": cluster}}]) + "\n")


def _first(certificates: str) -> str:
    return certificates[: certificates.index(_END) + len(_END)] + "\n"


def _server_name(tls: TlsIdentity) -> str | None:
    """Return the name in a certificate of the user's, which may be another one than clients on this machine use."""
    if tls.authority:
        return None
    from cryptography import x509  # a cluster that uses TLS has it

    certificate = x509.load_pem_x509_certificate(_first(tls.certificates).encode())
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    names: list[str] = found.get_values_for_type(x509.DNSName)
    return names[0].replace("*", "clipper", 1) if names else None


def write_export(folder: Path, targets: ScrapeTargets) -> list[str]:
    """Write the files of a Prometheus and a Grafana of the user's own, and return their paths."""
    path = folder.absolute()
    files = {
        **prometheus_files(targets, asks_for_password=False),
        **grafana_files(targets, f"http://localhost:{DEFAULT_PROMETHEUS_PORT}", str(path), asks_for_password=False),
    }
    return write_files(files, path)
