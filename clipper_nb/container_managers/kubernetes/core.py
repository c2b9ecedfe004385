"""Starts the core of a cluster on Kubernetes, waits for it, and removes everything of a cluster."""

from __future__ import annotations

import base64
import contextlib
import secrets
import time
from collections.abc import Mapping, Sequence

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
from clipper_nb.errors import ClusterError, ClusterNotFoundError, ClusterStartError, ExistsError
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import REPLICA

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
_OTHERS = ("Service", "NetworkPolicy", "PodDisruptionBudget", "PersistentVolumeClaim", "ServiceAccount")


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

    def read_state(self) -> ClusterState:
        """Return what the cluster was started with; raises :class:`ClusterNotFoundError` if there is none."""
        found = self._api.get("Secret", names.own_name(self._cluster))
        if found is None or KEY not in found.get("data", {}):
            raise ClusterNotFoundError(
                f"Namespace '{self._namespace}' of the Kubernetes at {self._api.address} has no cluster with name "
                f"'{self._cluster}'. Start one with start_clipper()."
            )
        return decode_state(base64.b64decode(found["data"][KEY]), self._cluster)

    def start(self, manifests: Sequence[Manifest]) -> None:
        """Create the objects and return when every pod of the core is ready; a failure leaves nothing.

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
            self._api.create(_with_annotation(own, environment.LABEL_START, start_id))
            try:
                for manifest in others:
                    self._api.create(manifest)
            except ExistsError as exc:
                raise ClusterStartError(f"{exc.msg} It was left by a cluster of that name; try again.") from exc
            self._wait(_wanted(others), time.monotonic() + _START_TIMEOUT_S)
        except BaseException:  # also if the user interrupts the cell
            with contextlib.suppress(ClusterError):
                if self._is_of(start_id):
                    self.stop(graceful=False)
            raise

    def stop(self, *, graceful: bool = True) -> None:
        """Remove all objects of the cluster, that which holds its name last; does nothing if there are none."""
        for kind in (*_OWNERS, *_OTHERS):
            self._delete_all(kind, wait_for_dependents=kind in _OWNERS)
        started_s = time.monotonic()
        while left := self._left():
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
        self._api.delete("Secret", own)

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

    def _left(self) -> list[str]:
        """Return what of the cluster is still there, besides its Secrets."""
        kinds = (*_OWNERS, "Pod", *_OTHERS, "Endpoints")
        return [f"{kind} {found['metadata']['name']}" for kind in kinds for found in self._api.find(kind, self._labels)]


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
