"""Starts the core of a cluster on Kubernetes, waits for it, and removes everything of a cluster, or keeps it."""

from __future__ import annotations

import base64
import contextlib
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clipper_nb.clients.cluster_version import is_compatible
from clipper_nb.container_managers.kubernetes import names
from clipper_nb.container_managers.kubernetes.api import KubernetesApi
from clipper_nb.container_managers.kubernetes.logs import read_log
from clipper_nb.container_managers.kubernetes.observations import (
    find_problem,
    is_ending,
    is_over,
    is_ready,
    observe_pod,
    oldest_first,
)
from clipper_nb.container_managers.kubernetes.pods import Manifest
from clipper_nb.container_managers.kubernetes.state import KEY, ClusterState, decode_state
from clipper_nb.errors import (
    ClusterError,
    ClusterNotFoundError,
    ClusterStartError,
    ExistsError,
    InvalidRequestError,
)
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import MANAGEMENT_FRONTEND, QUERY_FRONTEND, REDIS, REPLICA
from clipper_nb.version import __version__

_START_TIMEOUT_S = 180.0
"""Nodes may pull images first."""
_STOP_TIMEOUT_S = 90.0
_FORCED_AFTER_S = 25.0
"""A node that was lost never says that its pods have ended."""
_INTERVAL_S = 0.2
_NUM_START_ID_BYTES = 8
_MAX_EXITS = 2
_LOG_LINES = 40
_OWNERS = ("Deployment", "StatefulSet")
"""They are gone when all pods are that they own."""
_POLICIES = ("NetworkPolicy", "PodDisruptionBudget", "ServiceAccount")
_KEPT = ("Service", "PersistentVolumeClaim")
"""They stay with a cluster that is kept: its addresses and its configuration."""


@dataclass(frozen=True)
class KeptCluster:
    """A cluster that was stopped to be kept."""

    secret: Manifest = field(repr=False)
    """Its Secret, as the server has it."""
    state: ClusterState

    def check_resumable(self, cluster: str) -> None:
        """Raise :class:`ClusterStartError` if this release cannot run it."""
        if not is_compatible(self.state.package_version):
            raise ClusterStartError(
                f"The kept cluster '{cluster}' was run by clipper_nb {self.state.package_version}; this is clipper_nb "
                f"{__version__}. Nothing was changed. Resume it with that release, or call start_clipper(fresh=True), "
                "which removes it first."
            )


class KubernetesCore:
    """The core of one cluster, and everything that has its labels.

    Parameters
    ----------
    api : KubernetesApi
    cluster : str
    namespace : str
    """

    def __init__(self, api: KubernetesApi, cluster: str, namespace: str) -> None:
        self._api = api
        self._cluster = cluster
        self._namespace = namespace
        self._labels = {environment.LABEL_CLUSTER: cluster}

    def exists(self) -> bool:
        """Return whether the name is taken."""
        return self._api.get("Secret", names.own_name(self._cluster)) is not None

    def exists_error(self) -> ExistsError:
        """Return the error of a start under a name that is taken."""
        return ExistsError(
            f"A cluster with name '{self._cluster}' already exists in namespace '{self._namespace}', or is being "
            "started, or was stopped only in part. Use connect() to work with it, stop_all() to end it and remove the "
            "rest, or another cluster_name."
        )

    def read_state(self) -> ClusterState:
        """Return what the cluster was started with; raises :class:`ClusterNotFoundError` if none runs."""
        found = self._api.get("Secret", names.own_name(self._cluster))
        where = f"Namespace '{self._namespace}' of the Kubernetes at {self._api.address}"
        if found is None or KEY not in found.get("data", {}):
            raise ClusterNotFoundError(
                f"{where} has no cluster with name '{self._cluster}'. Start one with start_clipper()."
            )
        if _is_kept(found):
            raise ClusterNotFoundError(
                f"The cluster '{self._cluster}' is stopped, and kept in {where[0].lower()}{where[1:]}. start_clipper() "
                "brings it back."
            )
        return self._decode(found)

    def check_it_goes_on(self) -> None:
        """Raise :class:`ClusterNotFoundError` if the cluster has ended, or is ending: what owns its pods goes first."""
        self.read_state()
        owners = [owner for kind in _OWNERS for owner in self._api.find(kind, self._labels) if not is_ending(owner)]
        roles = {owner["metadata"]["labels"].get(environment.LABEL_ROLE) for owner in owners}
        for role in (QUERY_FRONTEND, MANAGEMENT_FRONTEND):
            if role not in roles:
                raise ClusterNotFoundError(
                    f"Cluster '{self._cluster}' is ending, or was started or stopped only in part: it has no {role} "
                    "any more. stop_all() removes what is left of it."
                )

    def find_kept(self) -> KeptCluster | None:
        """Return the cluster of this name if it was stopped to be kept."""
        found = self._api.get("Secret", names.own_name(self._cluster))
        return KeptCluster(found, self._decode(found)) if found is not None and _is_kept(found) else None

    def start(self, manifests: Sequence[Manifest], kept: KeptCluster | None = None) -> None:
        """Create the objects and return when every pod of the core is ready; a failure leaves nothing but *kept*.

        Raises
        ------
        ExistsError
            A cluster has that name. The first of the objects decides who owns it.
        ClusterStartError
            A pod cannot start, with the end of its log; or one of the objects was left by another cluster.
        """
        own, *others = manifests
        start_id = secrets.token_hex(_NUM_START_ID_BYTES)
        try:
            self._claim(_with_annotation(own, environment.LABEL_START, start_id), kept)
            self._create(others, () if kept is None else _KEPT)
            self._wait(_wanted(others), time.monotonic() + _START_TIMEOUT_S)
        except BaseException:  # also if the user interrupts the cell
            with contextlib.suppress(ClusterError):
                if self._is_of(start_id):
                    self.stop(graceful=False, kept=kept)
            raise

    def keep(self, *, graceful: bool) -> None:
        """Stop the cluster, all but what ``start`` resumes it from; does nothing if none runs.

        Raises
        ------
        InvalidRequestError
            Its configuration would be lost; nothing was changed.
        """
        own = self._api.get("Secret", names.own_name(self._cluster))
        if own is None or _is_kept(own):
            return
        state = self._decode(own)
        if REDIS in state.images and state.storage_class is None:
            raise InvalidRequestError(
                f"Cluster '{self._cluster}' cannot be kept: its Redis has no volume, so the configuration would be "
                "lost with its pod. It runs on; connect() to it, and export_configuration() to a file, or start it "
                "with storage_class=."
            )
        self.stop(graceful=graceful, kept=KeptCluster(own, state))

    def stop(self, *, graceful: bool = True, kept: KeptCluster | None = None) -> None:
        """Remove all objects of the cluster, that which holds its name last; does nothing if there are none.

        With *kept* its addresses, its volume and its Secret stay, which is what it was then.
        """
        others = _POLICIES if kept is not None else (*_KEPT, *_POLICIES)
        for kind in (*_OWNERS, *others):
            self._delete_all(kind, wait_for_dependents=kind in _OWNERS)
        started_s = time.monotonic()
        while left := self._left((*_OWNERS, "Pod", *others, *(() if kept is not None else ("Endpoints",)))):
            waited_s = time.monotonic() - started_s
            # What has ended by itself needs no node's word for it, which takes ten more seconds.
            self._remove_pods(are_all=not graceful or waited_s > _FORCED_AFTER_S)
            if waited_s > _STOP_TIMEOUT_S:
                raise ClusterError(
                    f"Cluster '{self._cluster}' is being removed, and after {waited_s:.0f} s there still are "
                    f"{', '.join(left[:5])}. Call stop_all() again."
                )
            time.sleep(_INTERVAL_S)
        own = names.own_name(self._cluster)
        for each in self._api.find("Secret", self._labels):
            if each["metadata"]["name"] != own:
                self._api.delete("Secret", each["metadata"]["name"])
        if kept is None:
            self._api.delete("Secret", own)
        else:
            annotations = {names.ANNOTATION_KEPT: "true", environment.LABEL_START: None}
            self._api.patch("Secret", own, {"data": kept.secret["data"], "metadata": {"annotations": annotations}})

    def check_pods(self) -> None:
        """Raise :class:`ClusterStartError` if a pod of the core cannot start."""
        for pod in self._pods():
            seen = observe_pod(pod)
            problem = find_problem([pod])
            if problem is not None:
                subject = f"Pod {seen.name}" if problem.image is None else f"The image '{problem.image}'"
                raise ClusterStartError(f"{subject} {problem.reason}. {problem.hint}".strip())
            if seen.num_exits > _MAX_EXITS:
                raise ClusterStartError(
                    f"{seen.name} ended with status {seen.exit_status}, again and again.",
                    read_log(self._api, pod, _LOG_LINES),
                )

    # --- within

    def _decode(self, secret: Manifest) -> ClusterState:
        return decode_state(base64.b64decode(secret["data"][KEY]), self._cluster)

    def _claim(self, own: Manifest, kept: KeptCluster | None) -> None:
        """Create the Secret, or change that of *kept*: of several callers one does."""
        if kept is None:
            self._api.create(own)
            return
        version = kept.secret["metadata"]["resourceVersion"]
        annotations = {**own["metadata"]["annotations"], names.ANNOTATION_KEPT: None}
        change = {
            "metadata": {"resourceVersion": version, "annotations": annotations},
            "stringData": own["stringData"],
        }
        if self._api.patch("Secret", own["metadata"]["name"], change) is None:
            raise ClusterNotFoundError(f"The kept cluster '{self._cluster}' was removed by another caller.")

    def _create(self, manifests: Sequence[Manifest], may_exist: Sequence[str]) -> None:
        for manifest in manifests:
            try:
                self._api.create(manifest)
            except ExistsError as exc:
                if manifest["kind"] not in may_exist:
                    raise ClusterStartError(f"{exc.msg} It was left by a cluster of that name; try again.") from exc

    def _pods(self) -> list[Manifest]:
        """Return the pods of the core, oldest first."""
        found = oldest_first(self._api.find("Pod", self._labels))
        return [pod for pod in found if pod["metadata"]["labels"].get(environment.LABEL_ROLE) != REPLICA]

    def _wait(self, wanted: Mapping[str, int], deadline_s: float) -> None:
        while True:
            ready = [observe_pod(pod).role for pod in self._pods() if is_ready(pod) and not is_ending(pod)]
            missing = [role for role, number in wanted.items() if ready.count(role) < number]
            if not missing:
                return
            self.check_pods()
            if time.monotonic() > deadline_s:
                pods = [pod for pod in self._pods() if observe_pod(pod).role in missing]
                log = "".join(read_log(self._api, pod, _LOG_LINES) for pod in pods)
                raise ClusterStartError(
                    f"{' and '.join(missing)} did not become ready within {_START_TIMEOUT_S:g} s.", log
                )
            time.sleep(_INTERVAL_S)

    def _is_of(self, start_id: str) -> bool:
        """Return whether the cluster of this name is that which this start created."""
        found = self._api.get("Secret", names.own_name(self._cluster))
        annotations = {} if found is None else found["metadata"].get("annotations", {})
        return bool(annotations.get(environment.LABEL_START) == start_id)

    def _delete_all(self, kind: str, *, wait_for_dependents: bool = False) -> None:
        for found in self._api.find(kind, self._labels):
            self._api.delete(kind, found["metadata"]["name"], wait_for_dependents=wait_for_dependents)

    def _remove_pods(self, *, are_all: bool) -> None:
        for pod in self._api.find("Pod", self._labels):
            if are_all or is_over(pod):
                self._api.delete("Pod", pod["metadata"]["name"], grace_s=0)

    def _left(self, kinds: Sequence[str]) -> list[str]:
        """Return what of the cluster is still there, of some kinds."""
        return [f"{kind} {found['metadata']['name']}" for kind in kinds for found in self._api.find(kind, self._labels)]


def _is_kept(secret: Manifest) -> bool:
    return names.ANNOTATION_KEPT in (secret["metadata"].get("annotations") or {})


def _with_annotation(manifest: Manifest, name: str, value: str) -> Manifest:
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), name: value}}}


def _wanted(manifests: Sequence[Manifest]) -> dict[str, int]:
    """Return how many pods of each role there must be."""
    return {
        manifest["metadata"]["labels"][environment.LABEL_ROLE]: manifest["spec"]["replicas"]
        for manifest in manifests
        if manifest["kind"] in _OWNERS
    }
