"""What the API server says of pods, as the connection reads it; and why they do not start. (pure)"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from clipper_nb.container_managers.kubernetes import names
from clipper_nb.container_managers.kubernetes.pods import CONTAINER, Manifest
from clipper_nb.errors import ClipperException, ImageNotFoundError, ReplicaStartError
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import ObservedContainer
from clipper_nb.protocol.names import ModelId

_CERTAIN = ("ErrImageNeverPull", "InvalidImageName", "ImagePullBackOff", "ImageInspectError")
"""Reasons for which a container waits in vain; the first failure of a pull may pass."""
_FAILED_PULL = "ErrImagePull"
_MISSING = re.compile(r"not found|manifest unknown|unauthorized|denied|no basic auth|does not exist", re.IGNORECASE)
_CANNOT_START = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
UNSCHEDULABLE_GRACE_S = 10.0
"""How long a pod may wait for a node: others may be ending now."""
_IMAGE_HINT = (
    "Nodes without the registry's password cannot pull from it: name a Secret that has it in image_pull_secrets. "
    "Without registry= the nodes must share the notebook's Docker Engine."
)
_NODE_HINT = (
    "Ask for less (limits=ResourceLimits(...), the manager's requests= and node_selector=), stop versions that are not "
    "used, or add nodes."
)
_QUOTA_HINT = "The namespace's quota is used up: stop versions, ask for less, or have it raised."


def observe_pod(pod: Manifest) -> ObservedContainer:
    """Return a pod as a container."""
    labels, annotations = pod["metadata"].get("labels", {}), pod["metadata"].get("annotations", {})
    status = container_status(pod)
    last = _last_end(status)
    has_ended = "terminated" in status.get("state", {})
    return ObservedContainer(
        name=pod["metadata"]["name"],
        role=labels.get(environment.LABEL_ROLE, ""),
        model=annotations.get(names.ANNOTATION_MODEL),
        image=annotations.get(names.ANNOTATION_IMAGE) or pod["spec"]["containers"][0]["image"],
        is_running=_is_running(status),
        num_exits=int(status.get("restartCount", 0)) + has_ended,
        exit_status=_exit_status(last),
        was_out_of_memory=last.get("reason") == "OOMKilled",
    )


def _is_running(status: Mapping[str, Any]) -> bool:
    """Return whether a container runs or is being started: nodes tell a second late which, and replicas may answer."""
    state = status.get("state", {})
    return "running" in state or state.get("waiting", {}).get("reason") == "ContainerCreating"


def container_status(pod: Manifest) -> Mapping[str, Any]:
    """Return the status of a pod's container; empty before a node has the pod."""
    for status in pod.get("status", {}).get("containerStatuses") or ():
        if status["name"] == CONTAINER:
            found: Mapping[str, Any] = status
            return found
    return {}


def is_ending(pod: Manifest) -> bool:
    """Return whether a pod was deleted, or evicted, and is there still."""
    return bool(pod["metadata"].get("deletionTimestamp")) or pod.get("status", {}).get("phase") in (
        "Failed", "Succeeded",
    )  # fmt: skip


def is_over(pod: Manifest) -> bool:
    """Return whether a pod was deleted and its container has ended; nodes keep its object for some more seconds."""
    return is_ending(pod) and "running" not in container_status(pod).get("state", {})


def is_surely_over(pod: Manifest) -> bool:
    """Return the same; one that is said to be created may run already, since nodes tell that a second late."""
    return is_ending(pod) and not _is_running(container_status(pod))


def is_ready(pod: Manifest) -> bool:
    """Return whether a pod is ready to serve."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def oldest_first(pods: Iterable[Manifest]) -> list[Manifest]:
    """Return pods by age; those of one second by when they ran, then by name."""
    return sorted(pods, key=_age)


def _age(pod: Manifest) -> tuple[str, str, str]:
    started = container_status(pod).get("state", {}).get("running", {}).get("startedAt", "")
    return str(pod["metadata"]["creationTimestamp"]), started or "9", str(pod["metadata"]["name"])


def _last_end(status: Mapping[str, Any]) -> Mapping[str, Any]:
    ended: Mapping[str, Any] = status.get("state", {}).get("terminated") or status.get("lastState", {}).get(
        "terminated", {}
    )
    return ended


def _exit_status(ended: Mapping[str, Any]) -> int | None:
    """Return an exit status as Python counts: a shell's 128 + n is the signal n, as -n."""
    if "exitCode" not in ended:
        return None
    if ended.get("reason") == "OOMKilled":
        return -signal.SIGKILL
    code = int(ended["exitCode"])
    return 128 - code if 128 < code < 128 + 65 else code


@dataclass(frozen=True)
class StartProblem:
    """Why a pod does not start, and what to do."""

    reason: str
    """Continues a sentence whose subject is the pod."""
    hint: str = ""
    image: str | None = None
    """The image that is missing, if that is why."""

    def error(self, model_id: ModelId) -> ClipperException:
        """Return the error of a version whose replicas do not start."""
        if self.image is not None:
            return ImageNotFoundError(self.image, f"It {self.reason}. {self.hint}")
        return ReplicaStartError(str(model_id), self.reason, hint=self.hint)


def find_problem(
    pods: Sequence[Manifest], deployment: Manifest | None = None, now: datetime | None = None
) -> StartProblem | None:
    """Return why pods cannot start, if that is known and does not pass by itself."""
    now = now or datetime.now(timezone.utc)
    for pod in pods:
        found = _container_problem(pod) or _scheduling_problem(pod, now)
        if found is not None:
            return found
    return None if deployment is None else _deployment_problem(deployment)


def _container_problem(pod: Manifest) -> StartProblem | None:
    waiting = container_status(pod).get("state", {}).get("waiting") or {}
    reason, message = str(waiting.get("reason", "")), _sentence(waiting)
    node = pod["spec"].get("nodeName", "")
    if reason in _CANNOT_START:
        return StartProblem(f"cannot be started on node {node} ({reason}): {message}")
    if reason in _CERTAIN or (reason == _FAILED_PULL and _MISSING.search(message)):
        image = str(observe_pod(pod).image)
        return StartProblem(f"cannot be had on node {node} ({reason}): {message}", _IMAGE_HINT, image)
    return None


def _scheduling_problem(pod: Manifest, now: datetime) -> StartProblem | None:
    for condition in pod.get("status", {}).get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            since = datetime.fromisoformat(str(pod["metadata"]["creationTimestamp"]).replace("Z", "+00:00"))
            if (now - since).total_seconds() >= UNSCHEDULABLE_GRACE_S:
                return StartProblem(f"finds no node: {_sentence(condition)}", _NODE_HINT)
    return None


def _deployment_problem(deployment: Manifest) -> StartProblem | None:
    for condition in deployment.get("status", {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            message = _sentence(condition)
            return StartProblem(f"cannot be created: {message}", _QUOTA_HINT if "quota" in message else "")
    return None


def _sentence(told: Mapping[str, Any]) -> str:
    return str(told.get("message", "")).strip().rstrip(".")
