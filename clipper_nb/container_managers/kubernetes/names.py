"""Names and labels of what a cluster has on Kubernetes. (pure)"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from clipper_nb.errors import InvalidNameError, InvalidRequestError
from clipper_nb.protocol import environment
from clipper_nb.protocol.names import ModelId
from clipper_nb.version import __version__

_CLUSTER_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_LONGEST_CLUSTER_NAME = 40
"""The longest name of a Service, ``query-frontend-rpc-at-…``, has at most 63 characters."""
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_NUM_DIGEST_CHARACTERS = 8

LABEL_VERSION_ID = "ai.clipper.model.version_id"
"""A digest of model and version, which selects the pods of a version: a version may be no label's value."""
LABEL_NETWORK = "ai.clipper.network_access"
"""``full`` on replicas that may reach more than the query frontends."""
ANNOTATION_MODEL = "ai.clipper.model"
"""``name:version``."""
ANNOTATION_IMAGE = "ai.clipper.image"
"""The tag that the version has; pods run it by its digest where a registry has it."""

ANNOTATION_KEPT = "ai.clipper.kept"
"""On the Secret of a cluster that was stopped to be kept."""

REDIS_PORT = 6379


def check_kubernetes_cluster_name(name: object) -> str:
    """Return *name* if objects and images can be named after it; raises :class:`InvalidNameError`."""
    if isinstance(name, str) and len(name) <= _LONGEST_CLUSTER_NAME and _CLUSTER_NAME.fullmatch(name):
        return name
    raise InvalidNameError(
        "cluster name on Kubernetes",
        name,
        f"objects are named after it: use lower case letters, digits and inner '-', at most {_LONGEST_CLUSTER_NAME} "
        "characters.",
    )


def check_namespace(name: object) -> str:
    """Return *name* if a namespace can have it; raises :class:`InvalidRequestError`."""
    if isinstance(name, str) and _NAMESPACE.fullmatch(name):
        return name
    raise InvalidRequestError(
        f"namespace is {name!r}; it must be lower case letters, digits and inner '-', at most 63 characters."
    )


def query_frontend_name(cluster: str) -> str:
    """Return the name of the query frontends' Deployment and Service, as Clipper named it."""
    return f"query-frontend-at-{cluster}"


def rpc_service_name(cluster: str) -> str:
    """Return the name of the headless Service that has the addresses of all query frontends."""
    return f"query-frontend-rpc-at-{cluster}"


def management_frontend_name(cluster: str) -> str:
    """Return the name of the management frontend's Deployment and Service, as Clipper named it."""
    return f"mgmt-frontend-at-{cluster}"


def redis_name(cluster: str) -> str:
    """Return the name of the StatefulSet and Service of Redis, as Clipper named it."""
    return f"redis-at-{cluster}"


def own_name(cluster: str) -> str:
    """Return the name of the cluster's Secret, whose creator owns the cluster's name, and of its service account."""
    return f"clipper-at-{cluster}"


def host_names(service: str, namespace: str) -> list[str]:
    """Return the names under which pods reach a Service."""
    return [service, f"{service}.{namespace}", f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local"]


def version_name(cluster: str, model_id: ModelId) -> str:
    """Return the name of a version's Deployment and Secret: readable, unique, and short enough for its pods' names."""
    digest = hashlib.sha256("\0".join((cluster, *model_id)).encode()).hexdigest()[:_NUM_DIGEST_CHARACTERS]
    readable = re.sub(r"[^a-z0-9]+", "-", model_id.version.lower())
    parts = [cluster[:14], model_id.name[:14], readable[:8]]
    return "-".join([*filter(None, (part.strip("-") for part in parts)), digest])


def version_id(model_id: ModelId) -> str:
    """Return the digest that the pods of a version are selected by."""
    return hashlib.sha256("\0".join(model_id).encode()).hexdigest()[:16]


def label_value(text: str) -> str:
    """Return *text* if a label can have it, else what of it a label can have, with a digest."""
    if _LABEL_VALUE.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:_NUM_DIGEST_CHARACTERS]
    readable = re.sub(r"[^-A-Za-z0-9_.]+", "-", text)[:50].strip("-_.")
    return f"{readable}-{digest}" if readable else digest


def cluster_labels(cluster: str, role: str | None = None) -> dict[str, str]:
    """Return the labels of everything that belongs to a cluster, or of what belongs to one of its roles."""
    labels = {
        environment.LABEL_CLUSTER: cluster,
        environment.LABEL_PACKAGE_VERSION: label_value(__version__),
        "app.kubernetes.io/instance": cluster,
        "app.kubernetes.io/managed-by": "clipper_nb",
        "app.kubernetes.io/name": "clipper",
    }
    if role is not None:
        labels |= {environment.LABEL_ROLE: role, "app.kubernetes.io/component": role}
    return labels


def version_labels(cluster: str, model_id: ModelId, role: str) -> dict[str, str]:
    """Return the labels of what belongs to a version."""
    return {
        **cluster_labels(cluster, role),
        environment.LABEL_MODEL: model_id.name,
        environment.LABEL_MODEL_VERSION: label_value(model_id.version),
        environment.LABEL_REPLICA: label_value(f"{model_id.name}_{model_id.version}"),
        LABEL_VERSION_ID: version_id(model_id),
    }


def selector(cluster: str, role: str, model_id: ModelId | None = None) -> dict[str, str]:
    """Return the labels that select the pods of a role, or of a version: none that another release would change."""
    selected = {environment.LABEL_CLUSTER: cluster, environment.LABEL_ROLE: role}
    return selected if model_id is None else {**selected, LABEL_VERSION_ID: version_id(model_id)}


def selector_text(labels: Mapping[str, str]) -> str:
    """Return labels as a query has them."""
    return ",".join(f"{key}={value}" for key, value in labels.items())
