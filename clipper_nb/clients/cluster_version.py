"""Which release of this package a cluster runs, and whether this one may deploy to it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from clipper_nb.clients.http_client import HttpClient
from clipper_nb.errors import IncompatibleClusterError
from clipper_nb.version import __version__

_TIMEOUT_S = 5.0
_UNKNOWN = "before 0.1.0"
"""It did not say yet."""


def read_version(address: str, what: str) -> str:
    """Return the version that a frontend tells; *what* names it in errors.

    Raises
    ------
    ClusterUnreachableError
        It does not answer.
    """
    http = HttpClient(address, what)
    try:
        _status, body = http.request("GET", "/livez", timeout_s=_TIMEOUT_S, is_repeatable=True)
    finally:
        http.close()
    try:
        told = json.loads(body)
    except ValueError:
        return _UNKNOWN
    return str(told.get("version", _UNKNOWN)) if isinstance(told, dict) else _UNKNOWN


def check_versions(cluster_name: str, versions: Sequence[str]) -> None:
    """Raise :class:`IncompatibleClusterError` for the first version that is not of this one's release."""
    for version in versions:
        if not is_compatible(version):
            raise IncompatibleClusterError(cluster_name, version, __version__)


def is_compatible(version: str) -> bool:
    """Whether a cluster of that version understands this one: their first two numbers are the same. (pure)"""
    return version.split(".")[:2] == __version__.split(".")[:2]
