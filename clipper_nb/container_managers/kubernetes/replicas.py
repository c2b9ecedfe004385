"""Starts, scales, observes and stops the replicas of a cluster on Kubernetes: one Deployment per model version."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial

from clipper_nb.container_managers.kubernetes import names
from clipper_nb.container_managers.kubernetes.api import KubernetesApi
from clipper_nb.container_managers.kubernetes.model_objects import VersionPods, version_objects
from clipper_nb.container_managers.kubernetes.observations import (
    find_problem,
    is_ending,
    is_over,
    is_surely_over,
    observe_pod,
    oldest_first,
)
from clipper_nb.container_managers.kubernetes.pods import Manifest
from clipper_nb.container_managers.kubernetes.reflector import Reflector
from clipper_nb.container_managers.kubernetes.settings import KubernetesSettings
from clipper_nb.errors import ClipperException, ExistsError
from clipper_nb.protocol.containers import REPLICA, ObservedContainer
from clipper_nb.protocol.names import ModelId, parse_model_id

_CREATED_WITHIN_S = 2.0
_TOLD_WITHIN_S = 10.0
"""After which a node has usually said whether a container runs."""
_STOP_TIMEOUT_S = 60.0
"""A pod ends within its grace; one on a node that was lost never does, and no query reaches it."""
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
"""Kubernetes stops the cheapest first, since 1.22; older ones stop the youngest."""


class KubernetesReplicas:
    """The replicas of one cluster.

    Parameters
    ----------
    api : KubernetesApi
    cluster : str
    settings : KubernetesSettings
    reflector : Reflector
        A copy of the pods of the cluster.
    """

    def __init__(self, api: KubernetesApi, cluster: str, settings: KubernetesSettings, reflector: Reflector) -> None:
        self._api = api
        self._cluster = cluster
        self._settings = settings
        self._reflector = reflector

    def observe(self, model_id: ModelId | None = None) -> list[ObservedContainer]:
        """Return the replicas of a version, or of all, oldest first; those that end now are left out."""
        return [observe_pod(pod) for pod in self._pods(model_id)]

    def start(self, pods: VersionPods, num_replicas: int) -> None:
        """Create the Deployment of a version, or scale it; its pods may still be loading when this returns."""
        deployment = self._deployment(pods.model_id)
        if deployment is not None and deployment["metadata"]["annotations"].get(names.ANNOTATION_IMAGE) != pods.tag:
            self.stop_version(pods.model_id)
            deployment = None
        if deployment is None:
            self._create(pods, num_replicas)
        else:
            self._set_number(pods.model_id, num_replicas)
        self._wait_until(pods.model_id, lambda found: len(found) >= num_replicas, _CREATED_WITHIN_S)

    def scale(self, model_id: ModelId, num_replicas: int) -> None:
        """Let a version that has a Deployment have more pods; they may still be loading when this returns."""
        self._set_number(model_id, num_replicas)
        self._wait_until(model_id, lambda found: len(found) >= num_replicas, _CREATED_WITHIN_S)

    def reduce(self, model_id: ModelId, num_replicas: int, unwanted: Sequence[str] = ()) -> None:
        """Stop replicas, *unwanted* ones first, until that many are left, and return when the others have ended."""
        if num_replicas <= 0:
            self.stop_version(model_id)
            return
        for name in unwanted:
            change = {"metadata": {"annotations": {_DELETION_COST: "-1"}}}
            with contextlib.suppress(ClipperException):
                self._api.patch("Pod", name, change)
        self._set_number(model_id, num_replicas)
        self._wait_for_ends(model_id, num_replicas)

    def stop_named(self, names_to_stop: Sequence[str]) -> None:
        """Stop the replicas of these names; unknown ones are fine."""
        wanted = set(names_to_stop)
        by_version: dict[str, list[ObservedContainer]] = {}
        for each in self.observe():
            by_version.setdefault(str(each.model), []).append(each)
        for version, replicas in by_version.items():
            unwanted = [each.name for each in replicas if each.name in wanted]
            if unwanted:
                self.reduce(parse_model_id(version), len(replicas) - len(unwanted), unwanted)

    def stop_version(self, model_id: ModelId) -> None:
        """Remove the Deployment of a version, and return when its replicas have ended; an unknown one is fine."""
        name = names.version_name(self._cluster, model_id)
        self._api.delete("Deployment", name)
        self._wait_for_ends(model_id, 0)
        self._api.delete("Secret", name)

    def versions(self) -> list[ModelId]:
        """Return the versions that have a Deployment."""
        selected = names.selector(self._cluster, REPLICA)
        found = self._api.find("Deployment", selected)
        return [parse_model_id(each["metadata"]["annotations"][names.ANNOTATION_MODEL]) for each in found]

    def find_problem(self, model_id: ModelId) -> ClipperException | None:
        """Return why replicas of a version do not start, if Kubernetes says it."""
        pods = self._pods(model_id)
        deployment = self._deployment(model_id)
        is_short = deployment is not None and len(pods) < deployment["spec"]["replicas"]
        problem = find_problem(pods, deployment if is_short else None)
        return None if problem is None else problem.error(model_id)

    # --- within

    def _pods(
        self, model_id: ModelId | None = None, *, is_past: Callable[[Manifest], bool] = is_ending
    ) -> list[Manifest]:
        wanted = names.selector(self._cluster, REPLICA, model_id).items()
        return oldest_first(
            pod for pod in self._reflector.objects() if wanted <= pod["metadata"]["labels"].items() and not is_past(pod)
        )

    def _deployment(self, model_id: ModelId) -> Manifest | None:
        return self._api.get("Deployment", names.version_name(self._cluster, model_id))

    def _create(self, pods: VersionPods, num_replicas: int) -> None:
        secret, deployment = version_objects(self._settings, self._cluster, pods, num_replicas)
        name = secret["metadata"]["name"]
        try:
            self._api.create(secret)
        except ExistsError:  # of a deploy that was cut off
            self._api.delete("Secret", name)
            self._api.create(secret)
        try:
            self._api.create(deployment)
        except BaseException:
            with contextlib.suppress(ClipperException):
                self._api.delete("Secret", name)
            raise

    def _set_number(self, model_id: ModelId, num_replicas: int) -> None:
        name = names.version_name(self._cluster, model_id)
        self._api.patch("Deployment", name, {"spec": {"replicas": num_replicas}})

    def _wait_until(
        self,
        model_id: ModelId,
        is_true: Callable[[list[Manifest]], bool],
        timeout_s: float,
    ) -> None:
        """Wait until the pods of a version become so, or until that takes too long."""
        self._reflector.wait_until(lambda _: is_true(self._pods(model_id)), timeout_s)

    def _wait_for_ends(self, model_id: ModelId, num_left: int) -> None:
        """Wait until no more containers run; those of whose start no node tells are not waited for long."""
        for is_past, timeout_s in ((is_surely_over, _TOLD_WITHIN_S), (is_over, _STOP_TIMEOUT_S)):
            has_ended = partial(self._has_at_most, num_left, model_id, is_past)
            if self._reflector.wait_until(has_ended, timeout_s):
                return

    def _has_at_most(
        self, number: int, model_id: ModelId, is_past: Callable[[Manifest], bool], _: list[Manifest]
    ) -> bool:
        return len(self._pods(model_id, is_past=is_past)) <= number
