"""Whether this release of the package may deploy to a cluster of another one. (pure)"""

from __future__ import annotations

from collections.abc import Sequence

from clipper_nb.errors import IncompatibleClusterError
from clipper_nb.version import __version__


def check_versions(cluster_name: str, versions: Sequence[str]) -> None:
    """Raise :class:`IncompatibleClusterError` for the first version that is not of this one's release."""
    for version in versions:
        if not is_compatible(version):
            raise IncompatibleClusterError(cluster_name, version, __version__)


def is_compatible(version: str) -> bool:
    """Whether a cluster of that version understands this one: their first two numbers are the same."""
    return version.split(".")[:2] == __version__.split(".")[:2]
