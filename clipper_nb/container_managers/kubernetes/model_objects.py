"""The objects of a model version: the Deployment of its replicas and the Secret of what they are told. (pure)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from clipper_nb.container_managers.kubernetes import names
from clipper_nb.container_managers.kubernetes.core_objects import PORTS
from clipper_nb.container_managers.kubernetes.images import PodImage
from clipper_nb.container_managers.kubernetes.pods import (
    Manifest,
    container,
    metadata,
    own_name,
    pod_template,
    resources,
    secret_file_variables,
    secret_variables,
    secret_volume,
    variables,
)
from clipper_nb.container_managers.kubernetes.policies import FULL
from clipper_nb.container_managers.kubernetes.settings import KubernetesSettings
from clipper_nb.container_managers.specs import replica_spec
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import REPLICA, ContainerSpec
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.replica_proof import make_credentials
from clipper_nb.protocol.resource_limits import ResourceLimits

_READY_FILE = "/tmp/clipper_nb_is_ready"
_GRACE_S = 12
"""For the queries that a replica has when it is stopped."""
_SECRET_FILE = "file."
_VARIABLE = "variable."


@dataclass(frozen=True)
class VersionPods:
    """What the pods of a version run."""

    model_id: ModelId
    tag: str
    """The image's name in the version's record."""
    image: PodImage
    spec: ContainerSpec
    """Of a replica: its environment is what the manager tells it."""
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The variables that come with the version."""
    has_network: bool = False
    limits: ResourceLimits = field(default_factory=ResourceLimits)


def make_version_pods(
    cluster: str,
    model_id: ModelId,
    tag: str,
    image: PodImage,
    *,
    input_type: InputType,
    load_timeout_s: float,
    secret: str,
    variables: Mapping[str, str],
    has_network: bool,
    limits: ResourceLimits,
) -> VersionPods:
    """Return what the pods of a version run; *secret* is what the tokens of the cluster's replicas are made from.

    The replicas of a version share a token, which is in the version's Secret: each gets its name from its pod.
    """
    shared_name = f"{model_id.name}_{model_id.version}"
    spec = replica_spec(
        model_id,
        name=shared_name,
        command=(),
        image=tag,
        input_type=input_type,
        rpc_host=names.rpc_service_name(cluster),
        rpc_port=PORTS["rpc"],
        load_timeout_s=load_timeout_s,
        credentials=make_credentials(secret, model_id, shared_name),
        limits=limits,
    )
    return VersionPods(model_id, tag, image, spec, variables, has_network, limits)


def version_objects(
    settings: KubernetesSettings, cluster: str, pods: VersionPods, num_replicas: int
) -> tuple[Manifest, Manifest]:
    """Return the Secret of a version and its Deployment."""
    name = names.version_name(cluster, pods.model_id)
    labels = names.version_labels(cluster, pods.model_id, REPLICA)
    annotations = {names.ANNOTATION_MODEL: str(pods.model_id), names.ANNOTATION_IMAGE: pods.tag}
    content = {
        **{f"{_SECRET_FILE}{variable}": text for variable, text in pods.spec.secret_files.items()},
        **{f"{_VARIABLE}{variable}": value for variable, value in pods.variables.items()},
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(name, labels, annotations),
        "stringData": content,
        "type": "Opaque",
    }
    selected = names.selector(cluster, REPLICA, pods.model_id)
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(name, labels, annotations),
        "spec": {
            "progressDeadlineSeconds": 600,
            "replicas": num_replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": selected},
            "template": _template(settings, cluster, pods, labels, selected, annotations, name),
        },
    }
    return secret, deployment


def _template(
    settings: KubernetesSettings,
    cluster: str,
    pods: VersionPods,
    labels: Mapping[str, str],
    selected: Mapping[str, str],
    annotations: Mapping[str, str],
    secret: str,
) -> Manifest:
    own = {**pods.spec.environment, environment.READY_FILE: _READY_FILE, environment.FOLLOW_FRONTENDS: "1"}
    files = {variable: f"{_SECRET_FILE}{variable}" for variable in pods.spec.secret_files}
    made = container(
        pods.image.reference,
        pods.image.pull_policy,
        command=pods.spec.command,
        environment=[
            *secret_variables(secret, {name: f"{_VARIABLE}{name}" for name in pods.variables if name not in own}),
            *variables(own),
            *secret_file_variables(files),
            own_name(environment.REPLICA_NAME),
        ],
        readinessProbe=_readiness() if pods.image.runs_our_program else None,
        resources=resources(pods.limits, settings.resources, settings.requests),
    )
    user = pods.image.user or settings.user_ids.of_version(cluster, pods.model_id)
    return pod_template(
        settings,
        {**labels, names.LABEL_NETWORK: FULL} if pods.has_network else labels,
        selected,
        made,
        user=user,
        service_account=names.own_name(cluster),
        volumes=[secret_volume(secret, files)],
        grace_s=_GRACE_S,
        annotations=annotations,
        shareProcessNamespace=True,  # so that what the model leaves behind is reaped
    )


def _readiness() -> Manifest:
    return {"exec": {"command": ["test", "-f", _READY_FILE]}, "periodSeconds": 5, "timeoutSeconds": 5}
