"""Reads which release of this package a cluster runs, and checks that this one may deploy to it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from clipper_nb.clients.frontend_client import FrontendClient
from clipper_nb.clients.trust import Trust
from clipper_nb.errors import IncompatibleClusterError
from clipper_nb.version import __version__


def read_version(address: str, what: str, trust: Trust | None = None) -> str:
    """Return the release that a frontend runs; *what* names it in errors. Raises ``ClusterUnreachableError``."""
    with closing(FrontendClient.at(address, what, trust=trust)) as frontend:
        return frontend.live()


def check_versions(cluster_name: str, versions: Sequence[str]) -> None:
    """Raise :class:`IncompatibleClusterError` for the first version of another release."""
    for version in versions:
        if not is_compatible(version):
            raise IncompatibleClusterError(cluster_name, version, __version__)


def is_compatible(version: str) -> bool:
    """Return whether a cluster of that version understands this one: the first two numbers are the same. (pure)"""
    return version.split(".")[:2] == __version__.split(".")[:2]
