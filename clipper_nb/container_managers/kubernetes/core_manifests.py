"""All objects of a cluster's core, from what it was started with. (pure)"""

from __future__ import annotations

from dataclasses import replace

from clipper_nb.container_managers import specs
from clipper_nb.container_managers.kubernetes import core_objects as objects
from clipper_nb.container_managers.kubernetes import names
from clipper_nb.container_managers.kubernetes.images import PodImage
from clipper_nb.container_managers.kubernetes.pods import Manifest
from clipper_nb.container_managers.kubernetes.policies import network_policies
from clipper_nb.container_managers.kubernetes.settings import KubernetesSettings, ServiceTypes
from clipper_nb.container_managers.kubernetes.state import KEY, ClusterState
from clipper_nb.container_managers.secret_files import secret_path, with_secrets_as_files
from clipper_nb.protocol import environment
from clipper_nb.protocol.clipper_containers import NONE
from clipper_nb.protocol.containers import MANAGEMENT_FRONTEND, QUERY_FRONTEND, REDIS, ContainerSpec
from clipper_nb.protocol.replica_proof import replica_secret

_REDIS_CONFIG_FILE = "CLIPPER_REDIS_CONFIG_FILE"
# Every change is on disk before it is confirmed; the file is rewritten before it grows much larger than that.
_REDIS_COMMAND = (
    "redis-server", secret_path(_REDIS_CONFIG_FILE), "--dir", "/data", "--protected-mode", "no", "--hz", "1",
    "--appendonly", "yes", "--appendfsync", "always", "--save", "",
    "--auto-aof-rewrite-percentage", "100", "--auto-aof-rewrite-min-size", "4mb",
)  # fmt: skip


def core_specs(settings: KubernetesSettings, cluster: str, state: ClusterState) -> list[ContainerSpec]:
    """Return what the core's containers are; Redis is among them if it is the cluster's own."""
    redis = settings.external_redis
    found = []
    if redis is None:
        content = f"requirepass {state.redis_password}\n"
        found.append(replace(specs.redis_spec(_REDIS_COMMAND), secret_files={_REDIS_CONFIG_FILE: content}))
        address = f"redis://:{state.redis_password}@{names.redis_name(cluster)}:{names.REDIS_PORT}"
        redis = {environment.REDIS_URL: address}
    variables = {**redis, environment.RUN_ID: state.run_id}
    options, hosts, tls = state.cluster_options, known_hosts(settings.namespace, cluster), state.tls
    management = specs.management_frontend_spec("python", options, variables, state.admin_token, hosts, tls=tls)
    query = specs.query_frontend_spec(
        "python",
        replace(options, num_frontend_replicas=1),  # each in a pod of its own
        variables,
        hosts,
        secret=replica_secret(state.admin_token),
        clipper_containers=NONE,  # any pod may reach them where no plugin enforces the policies
        tls=tls,
    )
    # Each has the name of its pod.
    own = {name: value for name, value in query.environment.items() if name != environment.FRONTEND_ID}
    query = replace(query, environment={**own, environment.FRONTENDS_ARE_APART: "1"})
    return [*found, with_secrets_as_files(management), with_secrets_as_files(query)]


def known_hosts(namespace: str, cluster: str) -> list[str]:
    """Return the names under which pods reach the frontends."""
    services = (names.query_frontend_name(cluster), names.management_frontend_name(cluster))
    return [host for service in services for host in names.host_names(service, namespace)]


def secret_content(state: ClusterState, core: list[ContainerSpec]) -> dict[str, str]:
    """Return what the cluster's Secret has: the state, and the files of the core's pods."""
    files = {
        objects.file_key(spec.role, variable): text for spec in core for variable, text in spec.secret_files.items()
    }
    return {KEY: state.encode(), **files}


def core_manifests(
    settings: KubernetesSettings,
    cluster: str,
    state: ClusterState,
    *,
    has_budgets: bool,
) -> list[Manifest]:
    """Return the objects of the core in the order in which they are created: the Secret, which has the name, first.

    Parameters
    ----------
    settings : KubernetesSettings
    cluster : str
    state : ClusterState
    has_budgets : bool
        Whether the server knows PodDisruptionBudgets as ``policy/v1``, as Kubernetes does since 1.21.
    """
    settings = replace(
        settings,
        storage_class=state.storage_class,
        services=ServiceTypes(state.query_service, state.management_service),
    )
    core = core_specs(settings, cluster, state)
    made = [
        objects.own_secret(cluster, secret_content(state, core)),
        objects.service_account(cluster),
        *network_policies(cluster, has_own_redis=settings.external_redis is None),
        objects.rpc_service(cluster),
    ]
    if has_budgets:
        made += [objects.disruption_budget(cluster, role) for role in (MANAGEMENT_FRONTEND, QUERY_FRONTEND)]
    num_frontends = state.cluster_options.num_frontend_replicas
    for spec in core:
        image = PodImage(state.images[spec.role].reference, state.images[spec.role].pull_policy)
        if spec.role == REDIS:
            made += objects.redis_objects(settings, cluster, spec, image)
        elif spec.role == QUERY_FRONTEND:
            frontend = objects.query_frontend_of(settings, cluster, num_frontends)
            made += objects.frontend_objects(settings, cluster, spec, image, frontend)
        else:
            frontend = objects.management_frontend_of(settings, cluster)
            made += objects.frontend_objects(settings, cluster, spec, image, frontend)
    return made
