"""What a cluster on Kubernetes is made with: the container manager's arguments, checked. (pure)"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from clipper_nb.errors import ClipperException, InvalidRequestError
from clipper_nb.images.user_ids import UNUSED, UserIds
from clipper_nb.protocol import environment
from clipper_nb.protocol.resource_limits import NO_LIMITS, ResourceLimits

CLUSTER_IP, NODE_PORT, LOAD_BALANCER = "ClusterIP", "NodePort", "LoadBalancer"
_TYPES = (CLUSTER_IP, NODE_PORT, LOAD_BALANCER)
_SERVICES = ("redis", "management", "query", "query-rpc", "metric")
_INNER = ("redis", "query-rpc")
"""Services that nothing outside of the cluster may reach."""
DEFAULT_REDIS_IMAGE = "redis:7"


@dataclass(frozen=True)
class ServiceTypes:
    """How the frontends are reached."""

    query: str = NODE_PORT
    management: str = NODE_PORT


@dataclass(frozen=True)
class KubernetesSettings:
    """The container manager's arguments that concern objects."""

    namespace: str
    services: ServiceTypes = ServiceTypes()
    redis_image: str = DEFAULT_REDIS_IMAGE
    external_redis: Mapping[str, str] | None = field(default=None, repr=False)
    """Environment variables with which the frontends connect to it; ``None`` for the cluster's own."""
    image_pull_secrets: tuple[str, ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    resources: ResourceLimits = NO_LIMITS
    """Limits of replicas whose deploy sets none."""
    requests: ResourceLimits = NO_LIMITS
    """What the scheduler keeps free for each replica."""
    storage_class: str | None = None
    """Of the volume of Redis; ``None`` for none: the configuration then lives as long as its pod."""
    storage_size: str = "1Gi"
    user_ids: UserIds = UNUSED


def check_proxy_addr(kubernetes_proxy_addr: object, kubeconfig: object, context: object) -> str | None:
    """Return the URL of a ``kubectl proxy``, or ``None`` if there is none; raises :class:`InvalidRequestError`."""
    if kubernetes_proxy_addr is None:
        return None
    if kubeconfig is not None or context is not None:
        raise InvalidRequestError(
            "kubernetes_proxy_addr is where the API server is called, as the user of that proxy; kubeconfig= and "
            "context= say it in another way. Pass one of them."
        )
    text = kubernetes_proxy_addr if isinstance(kubernetes_proxy_addr, str) else ""
    host, _, port = text.removeprefix("http://").rstrip("/").rpartition(":")
    if not re.fullmatch(r"[\w.-]+|\[[\da-fA-F:]+\]", host) or not (port.isdecimal() and 0 < int(port) < 2**16):
        raise InvalidRequestError(
            "kubernetes_proxy_addr must be host and port of a `kubectl proxy`, such as '127.0.0.1:8001'; it is "
            f"{kubernetes_proxy_addr!r}."
        )
    return f"http://{host}:{port}"


def check_service_types(service_types: object) -> ServiceTypes:
    """Return the types of the services; the texts of errors begin as Clipper's do.

    Raises
    ------
    ClipperException
        It is no dictionary, or one with other keys or values.
    InvalidRequestError
        It publishes a service that only the cluster's own pods may reach.
    """
    if service_types is None:
        return ServiceTypes()
    if not isinstance(service_types, Mapping):
        raise ClipperException(f"service_types must be 'dict' type; it is {service_types!r}.")
    unknown = [key for key in service_types if key not in _SERVICES]
    if unknown:
        raise ClipperException(
            f"service_types has unknown keys: {', '.join(map(repr, unknown))}. It may have {', '.join(_SERVICES)}."
        )
    wrong = {key: value for key, value in service_types.items() if value not in _TYPES}
    if wrong:
        raise ClipperException(
            f"service_types has unknown values: {wrong!r}. Clipper does not support other types of Services than "
            f"{', '.join(_TYPES)}."
        )
    published = [key for key in _INNER if service_types.get(key, CLUSTER_IP) != CLUSTER_IP]
    if published:
        raise InvalidRequestError(
            f"service_types would publish {' and '.join(published)}, which only the cluster's own pods may reach. "
            f"Leave it out, or set it to {CLUSTER_IP!r}."
        )
    return ServiceTypes(service_types.get("query", NODE_PORT), service_types.get("management", NODE_PORT))


def check_tolerations(tolerations: object) -> tuple[Mapping[str, Any], ...]:
    """Return the tolerations; raises :class:`InvalidRequestError` if they are not a list of dictionaries."""
    if not isinstance(tolerations, Sequence) or not all(isinstance(each, Mapping) for each in tolerations):
        raise InvalidRequestError(
            f"tolerations must be a list of dicts as a pod has them, such as [{{'key': 'gpu', 'operator': 'Exists'}}]; "
            f"got {tolerations!r}."
        )
    return tuple(tolerations)


def check_texts(name: str, texts: object) -> tuple[str, ...]:
    """Return a list of texts; raises :class:`InvalidRequestError` for anything else, a single text too."""
    if isinstance(texts, str) or not isinstance(texts, Sequence) or not all(isinstance(each, str) for each in texts):
        raise InvalidRequestError(f"{name} must be a list of texts; got {texts!r}.")
    return tuple(texts)


def check_node_selector(labels: object) -> dict[str, str]:
    """Return the labels that nodes must have; raises :class:`InvalidRequestError`."""
    pairs = labels.items() if isinstance(labels, Mapping) else [(None, None)]
    if not all(isinstance(key, str) and isinstance(value, str) for key, value in pairs):
        raise InvalidRequestError(
            f"node_selector must be a dict of texts, such as {{'kubernetes.io/arch': 'amd64'}}; got {labels!r}."
        )
    return {str(key): str(value) for key, value in pairs}


def external_redis_variables(
    cluster: str, host: str | None, port: int, username: str | None, password: str | None
) -> dict[str, str] | None:
    """Return the environment variables with which the frontends connect to an external Redis."""
    if host is None:
        if username or password:
            raise InvalidRequestError("redis_ip says which Redis the password is for; it is missing.")
        return None
    user = f"{quote(username or '', safe='')}:{quote(password or '', safe='')}@" if username or password else ""
    return {
        environment.REDIS_URL: f"redis://{user}{host}:{port}",
        environment.REDIS_KEY_PREFIX: f"clipper:{cluster}",
    }
