"""Pods and their metadata as the API server takes them, under the *restricted* profile. (pure)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clipper_nb.container_managers.kubernetes.settings import KubernetesSettings
from clipper_nb.container_managers.secret_files import FOLDER, secret_paths
from clipper_nb.protocol.resource_limits import ResourceLimits

Manifest = dict[str, Any]
"""One object, as its YAML has it."""

_TMP_SIZE = "256Mi"
_READABLE_BY_GROUP = 0o440
CONTAINER = "main"


def metadata(name: str, labels: Mapping[str, str], annotations: Mapping[str, str] | None = None) -> Manifest:
    """Return the metadata of an object."""
    found: Manifest = {"name": name, "labels": dict(labels)}
    return found if not annotations else {**found, "annotations": dict(annotations)}


def literal(text: str) -> str:
    """Return *text* as values and commands must have it: Kubernetes expands ``$(NAME)``, and reads ``$$`` as ``$``."""
    return text.replace("$", "$$")


def variables(values: Mapping[str, str]) -> list[Manifest]:
    """Return environment variables of a container."""
    return [{"name": name, "value": literal(value)} for name, value in sorted(values.items())]


def own_name(variable: str) -> Manifest:
    """Return the variable that tells a container the name of its pod, which no other pod has."""
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}
    return {"name": variable, "valueFrom": source}


def secret_variables(secret: str, keys: Mapping[str, str]) -> list[Manifest]:
    """Return environment variables whose values are in a Secret, by the keys that these have there."""
    return [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
        for name, key in sorted(keys.items())
    ]


def secret_file_variables(files: Mapping[str, str]) -> list[Manifest]:
    """Return the variables that tell a container the paths of its secret files."""
    return variables(secret_paths(files))


def secret_volume(secret: str, keys: Mapping[str, str]) -> Manifest:
    """Return the volume of a container's secret files: from file name to key."""
    items = [{"key": key, "path": name} for name, key in sorted(keys.items())]
    return {
        "name": "secrets",
        "secret": {"secretName": secret, "defaultMode": _READABLE_BY_GROUP, "items": items},
    }


def resources(limits: ResourceLimits, default: ResourceLimits, requests: ResourceLimits) -> Manifest:
    """Return what a container is held to, and what the scheduler keeps free for it."""
    held = _amounts(limits.memory_bytes or default.memory_bytes, limits.cpus or default.cpus)
    kept = _amounts(requests.memory_bytes, requests.cpus)
    return {**({"limits": held} if held else {}), **({"requests": kept} if kept else {})}


def _amounts(memory_bytes: int | None, cpus: float | None) -> dict[str, str]:
    memory = {"memory": str(memory_bytes)} if memory_bytes else {}
    return {**memory, **({"cpu": f"{round(cpus * 1000)}m"} if cpus else {})}


def container(
    image: str,
    pull_policy: str,
    *,
    command: Sequence[str] = (),
    environment: Sequence[Manifest] = (),
    mounts: Sequence[Manifest] = (),
    has_secrets: bool = True,
    **more: Any,
) -> Manifest:
    """Return a container that may write to ``/tmp`` and its *mounts* alone; *more* are fields of its own."""
    secrets = [{"name": "secrets", "mountPath": FOLDER, "readOnly": True}] if has_secrets else []
    made: Manifest = {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": pull_policy,
        "env": list(environment),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [*secrets, {"name": "tmp", "mountPath": "/tmp"}, *mounts],
        **{name: value for name, value in more.items() if value},
    }
    if command:
        made["args"] = [literal(word) for word in command]
    return made


def pod_template(
    settings: KubernetesSettings,
    labels: Mapping[str, str],
    selected: Mapping[str, str],
    made: Manifest,
    *,
    user: str,
    service_account: str,
    volumes: Sequence[Manifest],
    grace_s: int,
    annotations: Mapping[str, str] | None = None,
    **more: Any,
) -> Manifest:
    """Return the template of pods with one container, spread over the nodes.

    *user* is ``"number:number"``, *selected* are the labels by which pods of the same kind are known.
    """
    number = int(user.partition(":")[0])
    spec: Manifest = {
        "automountServiceAccountToken": False,
        "containers": [made],
        "enableServiceLinks": False,
        "securityContext": {
            "fsGroup": number,
            "runAsGroup": number,
            "runAsNonRoot": True,
            "runAsUser": number,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "serviceAccountName": service_account,
        "terminationGracePeriodSeconds": grace_s,
        "topologySpreadConstraints": [
            {
                "labelSelector": {"matchLabels": dict(selected)},
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
            }
        ],
        "volumes": [*volumes, {"name": "tmp", "emptyDir": {"sizeLimit": _TMP_SIZE}}],
        **more,
    }
    if settings.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    if settings.node_selector:
        spec["nodeSelector"] = dict(settings.node_selector)
    if settings.tolerations:
        spec["tolerations"] = [dict(each) for each in settings.tolerations]
    found: Manifest = {"labels": dict(labels)}
    if annotations:
        found["annotations"] = dict(annotations)
    return {"metadata": found, "spec": spec}
