"""Starts and stops of whole clusters that are cut: what there is before each, and what it is to lead to.

The clusters live on without the notebook that started them, so that what a killed one leaves can be looked at.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.container_managers.local.process_table import this_machine
from clipper_nb.deployers.python import create_endpoint
from clipper_nb.errors import ClipperException, ClusterNotFoundError
from tests.end_to_end.cuts.cluster_state import SLO_MICROS, answering
from tests.support.clusters import leftovers, new_local_manager

ABSENT, KEPT, RUNNING = "absent", "kept", "running"
_MODEL = "e:1"


@dataclass(frozen=True)
class Lifecycle:
    """A start or stop, from one state of a cluster to another."""

    name: str
    before: str
    after: str
    run: Callable[[ClipperConnection], object]
    has_endpoint: bool = True
    """Whether the cluster has one, whose token, replica and certificate come back with it."""

    @property
    def is_start(self) -> bool:
        """Whether there is nothing to connect to before."""
        return self.before != RUNNING

    def bring_about(self, conn: ClipperConnection) -> None:
        """Bring a cluster, of which there is nothing, to the state before."""
        if self.before == ABSENT:
            return
        conn.start_clipper(tls=True, query_token=True)
        create_endpoint(conn, "e", "doubles", answering(_MODEL), slo_micros=SLO_MICROS)
        conn.create_token("e", name="phone")
        if self.before == KEPT:
            conn.stop_all(keep=True)


LIFECYCLES = {
    each.name: each
    for each in [
        Lifecycle(
            "start_clipper, with TLS",
            ABSENT,
            RUNNING,
            lambda conn: conn.start_clipper(tls=True, query_token=True),
            has_endpoint=False,
        ),
        Lifecycle("start_clipper, of a kept cluster", KEPT, RUNNING, lambda conn: conn.start_clipper()),
        Lifecycle("stop_all, kept", RUNNING, KEPT, lambda conn: conn.stop_all(keep=True)),
        Lifecycle("stop_all", RUNNING, ABSENT, lambda conn: conn.stop_all()),
    ]
}


def root_of(cluster_name: str) -> Path:
    """Return the folder of a cluster's folder: of its own, since clusters below one root start one after the other."""
    return Path(tempfile.gettempdir()) / f"cuts-{cluster_name}"


def manager_of(cluster_name: str) -> LocalContainerManager:
    """Return a manager as each notebook makes it."""
    return new_local_manager(cluster_name, root_folder=root_of(cluster_name), detach=True)


def state_of(cluster_name: str, *, has_endpoint: bool) -> str:
    """Return in which of the states a cluster is, or what is wrong with it."""
    manager = manager_of(cluster_name)
    found = leftovers(manager)
    if not found:
        return ABSENT
    record, is_left_alone = manager._folder.read_record(), found == [str(manager._folder.path)]
    if is_left_alone and (record is None or record.keeping == "never"):
        return ABSENT  # but for a folder in which nothing has begun, which the next start removes
    owner = None if record is None else record.owner
    if owner is not None and not this_machine().runs(owner) and not is_left_alone:
        return "left by the notebook that started it, and has not ended yet"
    conn = ClipperConnection(manager)
    try:
        conn.connect()
        wrong = _missing(conn) if has_endpoint else conn.get_all_apps()
        return RUNNING if not wrong else f"running, but {wrong}"
    except ClusterNotFoundError:
        is_kept = record is not None and record.keeping == "always" and is_left_alone
        return KEPT if is_kept else f"left: {found}"
    except ClipperException as exc:
        return f"neither running nor stopped: {exc}"


def _missing(conn: ClipperConnection) -> str:
    """Return what a cluster does not have of its endpoint."""
    if conn.get_tls_authority() is None:
        return "without its certificate"
    if [token["token_name"] for token in conn.get_tokens("e")] != ["phone"]:
        return "without its token"
    replicas = conn.get_all_model_replicas()
    if len(replicas) != 1 or conn.get_num_replicas("e") != 1:
        return f"with the replicas {replicas}"
    answer = conn.predict("e", [1.0])
    return "" if answer.output == _MODEL else f"it answers {answer}"
