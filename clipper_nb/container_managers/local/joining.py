"""Whether the cluster of a folder runs, and goes on, as a caller that connects to it has to know."""

from __future__ import annotations

from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local.kept_cluster import find_kept
from clipper_nb.container_managers.local.supervisor.control import ClusterEndingError, SupervisorClient
from clipper_nb.errors import ClusterNotFoundError, ClusterUnreachableError
from clipper_nb.protocol.containers import Observe

_TIMEOUT_S = 5.0


def is_running(supervisor: SupervisorClient) -> bool:
    """Return whether a supervisor answers, and does not end its cluster."""
    try:
        supervisor.call(Observe(), timeout_s=_TIMEOUT_S)
    except ClusterUnreachableError:
        return False
    return True


def check_it_goes_on(supervisor: SupervisorClient, folder: ClusterFolder, cluster_name: str) -> None:
    """Raise :class:`ClusterNotFoundError` if the cluster does not run, or is ending."""
    try:
        supervisor.call(Observe(), timeout_s=_TIMEOUT_S)
    except ClusterEndingError as exc:
        raise _ending_error(cluster_name) from exc
    except ClusterUnreachableError as exc:
        raise not_running_error(folder, cluster_name) from exc


def not_running_error(folder: ClusterFolder, cluster_name: str) -> ClusterNotFoundError:
    """Return the error of a caller that connects to a cluster that does not run."""
    if find_kept(folder) is not None:
        return ClusterNotFoundError(
            f"The cluster '{cluster_name}' is stopped, and kept in {folder.path}. start_clipper() brings it back."
        )
    return ClusterNotFoundError(
        f"No cluster with name '{cluster_name}' runs here (looked in {folder.path}). Start one with start_clipper()."
    )


def _ending_error(cluster_name: str) -> ClusterNotFoundError:
    """Return the error of a caller that connects to a cluster that is just being stopped."""
    return ClusterNotFoundError(
        f"The cluster '{cluster_name}' is ending: its stop_all() is under way, or its notebook has ended. "
        "start_clipper() can start it again in a few seconds."
    )
