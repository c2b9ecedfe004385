"""The objects of a cluster's core: Redis, both frontends, their Services and what they are told. (pure)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clipper_nb.container_managers.kubernetes import names
from clipper_nb.container_managers.kubernetes.images import PodImage
from clipper_nb.container_managers.kubernetes.pods import (
    Manifest,
    container,
    metadata,
    own_name,
    pod_template,
    resources,
    secret_file_variables,
    secret_volume,
    variables,
)
from clipper_nb.container_managers.kubernetes.settings import CLUSTER_IP, KubernetesSettings
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import QUERY_FRONTEND, REDIS, ContainerSpec
from clipper_nb.protocol.resource_limits import NO_LIMITS, ResourceLimits

PORTS = {
    "query": environment.DEFAULT_QUERY_PORT,
    "management": environment.DEFAULT_MANAGEMENT_PORT,
    "rpc": environment.DEFAULT_RPC_PORT,
}
"""Where the frontends listen in their pods, and their Services too."""

_PORT_VARIABLES = {environment.HTTP_SOCKET: environment.HTTP_PORT, environment.RPC_SOCKET: environment.RPC_PORT}
_WITHDRAWAL_S = 3
"""How long a frontend goes on serving after its pod was deleted: until every node sends new connections elsewhere."""
_DRAIN_S = 12
_CORE_REQUESTS = ResourceLimits(memory="64m", cpus=0.01)
_DATA_FOLDER = "/data"


# What a restart cannot mend must not turn into one: it is tried for minutes.
_EVERY_SECOND: Manifest = {"periodSeconds": 1, "failureThreshold": 300}
_STARTED: Manifest = {
    "exec": {"command": ["python", "-m", environment.HEALTH_CHECK_MODULE, "started"]},
    "timeoutSeconds": 5,
    **_EVERY_SECOND,
}
"""A query frontend gets queries once the replicas have found it."""


@dataclass(frozen=True)
class Frontend:
    """What distinguishes the two frontends."""

    name: str
    port: str
    service_type: str
    num_replicas: int = 1


def file_key(role: str, variable: str) -> str:
    """Return under which key the cluster's Secret has the file of a role that a variable tells."""
    return f"{role}.{variable}"


def redis_objects(settings: KubernetesSettings, cluster: str, spec: ContainerSpec, image: PodImage) -> list[Manifest]:
    """Return the StatefulSet of Redis and its Service."""
    name, labels = names.redis_name(cluster), names.cluster_labels(cluster, REDIS)
    selected = names.selector(cluster, REDIS)
    files = {variable: file_key(REDIS, variable) for variable in spec.secret_files}
    made = container(
        image.reference,
        image.pull_policy,
        command=spec.command,
        environment=secret_file_variables(spec.secret_files),
        mounts=[{"name": "data", "mountPath": _DATA_FOLDER}],
        ports=[{"name": "redis", "containerPort": names.REDIS_PORT}],
        livenessProbe={"tcpSocket": {"port": "redis"}, "periodSeconds": 10, "failureThreshold": 6},
        readinessProbe={"tcpSocket": {"port": "redis"}, "periodSeconds": 1},
        resources=resources(NO_LIMITS, NO_LIMITS, _CORE_REQUESTS),
    )
    has_volume = settings.storage_class is not None
    volumes = [secret_volume(names.own_name(cluster), files)]
    template = pod_template(
        settings,
        labels,
        selected,
        made,
        user=settings.user_ids.of_core(REDIS),
        service_account=names.own_name(cluster),
        volumes=volumes if has_volume else [*volumes, {"name": "data", "emptyDir": {}}],
        grace_s=10,
    )
    stateful_set = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(name, labels),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": selected},
            "serviceName": name,
            "template": template,
            **({"volumeClaimTemplates": [_claim(settings, labels)]} if has_volume else {}),
        },
    }
    return [_service(name, labels, selected, CLUSTER_IP, {"redis": names.REDIS_PORT}), stateful_set]


def _claim(settings: KubernetesSettings, labels: Mapping[str, str]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata("data", labels),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": settings.storage_size}},
            "storageClassName": settings.storage_class,
        },
    }


def frontend_objects(
    settings: KubernetesSettings, cluster: str, spec: ContainerSpec, image: PodImage, frontend: Frontend
) -> list[Manifest]:
    """Return the Deployment of a frontend and its Service."""
    labels, selected = names.cluster_labels(cluster, spec.role), names.selector(cluster, spec.role)
    template = _frontend_template(settings, cluster, spec, image, labels)
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(frontend.name, labels),
        "spec": {
            "replicas": frontend.num_replicas,
            "selector": {"matchLabels": selected},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": template,
        },
    }
    service = _service(
        frontend.name, labels, selected, frontend.service_type, {frontend.port: PORTS[frontend.port]}
    )  # fmt: skip
    return [service, deployment]


def _frontend_template(
    settings: KubernetesSettings, cluster: str, spec: ContainerSpec, image: PodImage, labels: Mapping[str, str]
) -> Manifest:
    ports = {_PORT_VARIABLES[variable]: str(PORTS[name]) for variable, name in spec.sockets.items()}
    files = {variable: file_key(spec.role, variable) for variable in spec.secret_files}
    scheme = "HTTPS" if environment.file_variable(environment.TLS_CERTIFICATE) in spec.secret_files else "HTTP"
    alive: Manifest = {"httpGet": {"path": "/livez", "port": "http", "scheme": scheme}, "timeoutSeconds": 3}
    made = container(
        image.reference,
        image.pull_policy,
        command=spec.command,
        environment=[
            *variables({**spec.environment, **ports, environment.BIND_ADDRESS: "0.0.0.0"}),
            *secret_file_variables(spec.secret_files),
            *([own_name(environment.FRONTEND_ID)] if spec.role == QUERY_FRONTEND else []),
        ],
        ports=[
            {"name": "http" if variable == environment.HTTP_SOCKET else name, "containerPort": PORTS[name]}
            for variable, name in spec.sockets.items()
        ],
        startupProbe=_STARTED if spec.role == QUERY_FRONTEND else {**alive, **_EVERY_SECOND},
        livenessProbe={**alive, "periodSeconds": 10, "failureThreshold": 3},
        readinessProbe={**alive, "periodSeconds": 2, "failureThreshold": 2},
        lifecycle={"preStop": {"exec": {"command": ["sleep", str(_WITHDRAWAL_S)]}}},
        resources=resources(NO_LIMITS, NO_LIMITS, _CORE_REQUESTS),
    )
    return pod_template(
        settings,
        labels,
        names.selector(cluster, spec.role),
        made,
        user=settings.user_ids.of_core(spec.role),
        service_account=names.own_name(cluster),
        volumes=[secret_volume(names.own_name(cluster), files)],
        grace_s=_WITHDRAWAL_S + _DRAIN_S,
    )


def query_frontend_of(settings: KubernetesSettings, cluster: str, num_replicas: int) -> Frontend:
    """Return what distinguishes the query frontends."""
    return Frontend(names.query_frontend_name(cluster), "query", settings.services.query, num_replicas)


def management_frontend_of(settings: KubernetesSettings, cluster: str) -> Frontend:
    """Return what distinguishes the management frontend."""
    return Frontend(names.management_frontend_name(cluster), "management", settings.services.management)


def rpc_service(cluster: str) -> Manifest:
    """Return the headless Service by whose name replicas find all query frontends, also those that start or drain."""
    labels = names.cluster_labels(cluster, QUERY_FRONTEND)
    made = _service(
        names.rpc_service_name(cluster), labels, names.selector(cluster, QUERY_FRONTEND), CLUSTER_IP,
        {"rpc": PORTS["rpc"]},
    )  # fmt: skip
    made["spec"] |= {"clusterIP": "None", "publishNotReadyAddresses": True}
    return made


def disruption_budget(cluster: str, role: str) -> Manifest:
    """Return the budget by which a drain of nodes leaves at least one pod of a role running."""
    name = names.query_frontend_name(cluster) if role == QUERY_FRONTEND else names.management_frontend_name(cluster)
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(name, names.cluster_labels(cluster, role)),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": names.selector(cluster, role)}},
    }


def service_account(cluster: str) -> Manifest:
    """Return the account of all pods: it has no rights, and no pod has its token."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(names.own_name(cluster), names.cluster_labels(cluster)),
        "automountServiceAccountToken": False,
    }


def own_secret(cluster: str, content: Mapping[str, str]) -> Manifest:
    """Return the cluster's Secret: its creator owns the cluster's name."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(names.own_name(cluster), names.cluster_labels(cluster)),
        "stringData": dict(content),
        "type": "Opaque",
    }


def _service(
    name: str, labels: Mapping[str, str], selected: Mapping[str, str], kind: str, ports: Mapping[str, int]
) -> Manifest:
    spec: dict[str, Any] = {
        "ports": [{"name": each, "port": port, "targetPort": port} for each, port in ports.items()],
        "selector": dict(selected),
        "type": kind,
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata(name, labels), "spec": spec}
