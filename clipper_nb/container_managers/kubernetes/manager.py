"""The whole cluster as pods of a Kubernetes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.container_managers.kubernetes import names
from clipper_nb.container_managers.kubernetes.access import Access
from clipper_nb.container_managers.kubernetes.api import KubernetesApi
from clipper_nb.container_managers.kubernetes.checks import check_kubernetes
from clipper_nb.container_managers.kubernetes.core import KubernetesCore
from clipper_nb.container_managers.kubernetes.core_manifests import core_manifests, known_hosts
from clipper_nb.container_managers.kubernetes.core_objects import PORTS
from clipper_nb.container_managers.kubernetes.frontends import Frontends
from clipper_nb.container_managers.kubernetes.images import PodImages
from clipper_nb.container_managers.kubernetes.keeper import Keeper
from clipper_nb.container_managers.kubernetes.logs import read_log, write_logs
from clipper_nb.container_managers.kubernetes.manifests import to_yaml, without_status
from clipper_nb.container_managers.kubernetes.model_objects import make_version_pods
from clipper_nb.container_managers.kubernetes.new_cluster import NewCluster, require_namespace
from clipper_nb.container_managers.kubernetes.reflector import Reflector
from clipper_nb.container_managers.kubernetes.replicas import KubernetesReplicas
from clipper_nb.container_managers.kubernetes.settings import (
    DEFAULT_REDIS_IMAGE,
    KubernetesSettings,
    check_node_selector,
    check_proxy_addr,
    check_service_types,
    check_texts,
    check_tolerations,
    external_redis_variables,
)
from clipper_nb.container_managers.kubernetes.state import ClusterState
from clipper_nb.container_managers.log_copies import copy_logs
from clipper_nb.container_managers.reconcile import reconcile_replicas
from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.display.diagnosis import Finding
from clipper_nb.display.progress import QUIET, Progress
from clipper_nb.errors import (
    ClipperException,
    ClusterNotFoundError,
    ExistsError,
)
from clipper_nb.images.docker_builder import DockerBuilder
from clipper_nb.images.docker_engine import DockerEngine
from clipper_nb.images.user_ids import UNUSED, check_user_ids
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import ObservedContainer
from clipper_nb.protocol.input_types import InputType, parse_input_type
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.replica_proof import replica_secret
from clipper_nb.protocol.resource_limits import NO_LIMITS, ResourceLimits
from clipper_nb.protocol.tls_identity import TlsIdentity


class KubernetesContainerManager(ContainerManager):
    """A cluster of pods: Redis, a management frontend, query frontends, and one Deployment per model version.

    Kubernetes restarts what crashes and moves what a lost node had; the cluster lives until ``stop_all()``. Needs
    ``pip install 'clipper-nb[notebook,kubernetes]'``, and a Docker Engine in the notebook's place, which builds images.

    Parameters
    ----------
    cluster_name : str
        Clusters with different names, or in different namespaces, live side by side.
    kubernetes_proxy_addr : str, optional
        Host and port of a ``kubectl proxy``: the API server is called there, without credentials of this process. The
        frontends are reached as without it; Clipper reached them there too, where their tokens would not arrive.
    redis_ip, redis_port : str, int
        Address of an external Redis for the configuration, as seen from pods. Without it the cluster runs its own.
    useInternalIP : bool
        Whether to try the addresses that nodes have among themselves before those from outside.
    namespace : str
        Where all objects are.
    service_types : dict, optional
        How ``"query"`` and ``"management"`` are published: ``"NodePort"`` (default), ``"LoadBalancer"`` or
        ``"ClusterIP"``, which is reached through a tunnel that ``kubectl`` opens. Nothing else is published.
    create_namespace_if_not_exists : bool
        Create the namespace; ``stop_all()`` leaves it.
    kubeconfig : path, optional
        Default: ``KUBECONFIG``, then ``~/.kube/config``, then the account of the pod in which this process is.
    context : str, optional
        Of the kubeconfig; its current one by default.
    registry : str, optional
        Where images are pushed and nodes pull them, by their digests: ``"registry.example.com/team"``. Without one the
        nodes must share the notebook's Docker Engine.
    image_pull_secrets : list of str
        Names of Secrets in the namespace with which nodes pull images.
    node_selector : dict, optional
        Labels that nodes must have.
    tolerations : list of dict
        Taints that pods tolerate, as pods have them.
    resources : ResourceLimits
        Limits of replicas whose deploy sets none.
    requests : ResourceLimits
        What the scheduler keeps free for each replica. Default: as much as its limits.
    storage_class : str, optional
        Class of Redis's volume. Default: the default class of the Kubernetes, if there is one; ``""`` for no volume.
    storage_size : str
        Size of that volume.
    redis_password, redis_username : str, optional
        Credentials for the external Redis.
    redis_image : str
        Image of the cluster's own Redis.
    container_user_ids : range, optional
        User and group ids of the containers, at least 16, as a policy of the Kubernetes may ask for.

    Raises
    ------
    InvalidNameError, InvalidRequestError, ClipperException
        An argument is not usable.

    Examples
    --------
    >>> from clipper_nb import ClipperConnection, KubernetesContainerManager
    >>> conn = ClipperConnection(KubernetesContainerManager(registry="registry.example.com/team"))
    >>> conn.start_clipper(num_frontend_replicas=2)
    """

    others_reach = "every pod of the Kubernetes reaches its query frontends"

    def __init__(
        self,
        cluster_name: str = "default-cluster",
        kubernetes_proxy_addr: str | None = None,
        redis_ip: str | None = None,
        redis_port: int = 6379,
        useInternalIP: bool = False,  # noqa: N803  Clipper's name
        namespace: str = "default",
        service_types: Mapping[str, str] | None = None,
        create_namespace_if_not_exists: bool = False,
        *,
        kubeconfig: str | Path | None = None,
        context: str | None = None,
        registry: str | None = None,
        image_pull_secrets: Sequence[str] = (),
        node_selector: Mapping[str, str] | None = None,
        tolerations: Sequence[Mapping[str, Any]] = (),
        resources: ResourceLimits = NO_LIMITS,
        requests: ResourceLimits = NO_LIMITS,
        storage_class: str | None = None,
        storage_size: str = "1Gi",
        redis_password: str | None = None,
        redis_username: str | None = None,
        redis_image: str = DEFAULT_REDIS_IMAGE,
        container_user_ids: range | None = None,
    ) -> None:
        self.cluster_name = names.check_kubernetes_cluster_name(cluster_name)
        self.cluster_identifier = self.cluster_name
        self.clipper_query_port = environment.DEFAULT_QUERY_PORT
        self.clipper_management_port = environment.DEFAULT_MANAGEMENT_PORT
        self.clipper_rpc_port = PORTS["rpc"]
        self.redis_ip, self.redis_port = redis_ip, redis_port
        self.external_redis = redis_ip is not None
        self.namespace = names.check_namespace(namespace)
        self._creates_namespace = create_namespace_if_not_exists
        self._settings = KubernetesSettings(
            namespace=namespace,
            services=check_service_types(service_types),
            redis_image=redis_image,
            external_redis=external_redis_variables(cluster_name, redis_ip, redis_port, redis_username, redis_password),
            image_pull_secrets=check_texts("image_pull_secrets", image_pull_secrets),
            node_selector=check_node_selector(node_selector or {}),
            tolerations=check_tolerations(tolerations),
            resources=resources,
            requests=requests,
            storage_size=storage_size,
            user_ids=UNUSED if container_user_ids is None else check_user_ids(container_user_ids),
        )
        self._engine = DockerEngine()
        self._builder = DockerBuilder(self._engine)
        self._images = PodImages(self._engine, registry)
        proxy = check_proxy_addr(kubernetes_proxy_addr, kubeconfig, context)
        self._api = KubernetesApi(namespace, kubeconfig, context, proxy=proxy)
        self._new_cluster = NewCluster(self._api, self._builder, self._images, self._settings, storage_class)
        self._core = KubernetesCore(self._api, self.cluster_name, namespace)
        self._access = Access(self._api, self.cluster_name, namespace, uses_internal_ip=useInternalIP)
        self._replicas = self._new_replicas()
        self._keeper: Keeper | None = None
        self._state: ClusterState | None = None
        self._query_host = self._management_host = ""

    def __repr__(self) -> str:
        return f"KubernetesContainerManager(cluster_name={self.cluster_name!r}, namespace={self.namespace!r})"

    # --- the cluster

    def start_clipper(self, options: ClusterOptions, progress: Progress = QUIET, *, fresh: bool = False) -> bool:
        progress.step("Look for the Kubernetes")
        require_namespace(self._api, self.namespace, may_create=self._creates_namespace)
        kept = self._core.find_kept()
        if kept is not None and fresh:
            self.stop_all(graceful=False)
            kept = None
        if kept is not None:
            kept.check_resumable(self.cluster_name)
        elif self._core.exists():
            raise self._core.exists_error()
        state = self._new_state(options, progress, None if kept is None else kept.state)
        manifests = self._core_manifests(state)
        progress.step("Start Redis and the frontends")
        try:
            self._core.start(manifests, kept)
        except ExistsError as exc:
            raise self._core.exists_error() from exc
        try:
            self._use(state)
        except BaseException:
            with contextlib.suppress(ClipperException):
                self.stop_all(graceful=False, keep=kept is not None)
            raise
        return kept is not None

    def connect(self) -> None:
        self._use(self._core.read_state())

    def get_query_addr(self) -> str:
        return f"{self._query_host or 'localhost'}:{self.clipper_query_port}"

    def get_admin_addr(self) -> str:
        return f"{self._management_host or 'localhost'}:{self.clipper_management_port}"

    def get_admin_token(self) -> str:
        return self._known().admin_token

    def get_query_token(self) -> str | None:
        return None if self._state is None else self._state.query_token

    def get_tls_identity(self) -> TlsIdentity | None:
        return None if self._state is None else self._state.tls

    def make_image_builder(self) -> DockerBuilder:
        return self._builder

    def stop_all(self, *, graceful: bool = True, keep: bool = False) -> None:
        self._end_keeper()
        self._state = None
        self._access.close()
        if keep:
            self._core.keep(graceful=graceful)
        else:
            self._core.stop(graceful=graceful)

    def check_machine(self) -> list[Finding]:
        state = self._state
        has_volume = None if state is None or self.external_redis else state.storage_class is not None
        return check_kubernetes(self._api, has_volume=has_volume)

    def find_unenforced(self, limits: ResourceLimits) -> list[str]:
        return [f"processes={limits.processes} is not enforced"] if limits.processes else []

    def manifests(self, **options: Any) -> str:
        """Return the objects of the cluster as YAML: of the one that is connected, or of a new one.

        ``kubectl apply`` of them makes the same cluster, to which ``connect()`` connects: for those who keep what runs
        in a repository. They contain the cluster's secrets. Images are built and pushed if need be.

        Parameters
        ----------
        **options
            Arguments of ``start_clipper`` for a new cluster, as fields of ``ClusterOptions``.

        Examples
        --------
        >>> Path("cluster.yaml").write_text(conn.cm.manifests())
        """
        if self._state is None:
            return to_yaml(self._core_manifests(self._new_state(ClusterOptions.of({}, **options), QUIET)))
        found = self._core_manifests(self._state)
        for version in self._replicas.versions():
            name = names.version_name(self.cluster_name, version)
            found += [without_status(each) for kind in ("Secret", "Deployment") if (each := self._api.get(kind, name))]
        return to_yaml(found)

    # --- replicas

    def set_num_replicas(
        self,
        model_id: ModelId,
        *,
        input_type: InputType | str,
        image: str,
        num_replicas: int,
        load_timeout_s: float,
        limits: ResourceLimits = NO_LIMITS,
        environment: Mapping[str, str] | None = None,
        network_access: bool | None = None,
        progress: Progress = QUIET,
    ) -> None:
        canonical = parse_input_type(input_type)
        observed = self._replicas.observe(model_id)
        difference = reconcile_replicas(num_replicas, observed, image)
        if num_replicas <= 0 or (not difference.num_to_start and difference.names_to_stop):
            progress.step(f"Stop {len(difference.names_to_stop)} replicas of {model_id}")
            self._replicas.reduce(model_id, num_replicas, difference.names_to_stop)
            return
        if not difference.num_to_start:
            return
        found = self._images.find(image, progress)
        progress.step(f"Start {difference.num_to_start} replicas of {model_id}")
        pods = make_version_pods(
            self.cluster_name,
            model_id,
            image,
            found,
            input_type=canonical,
            load_timeout_s=load_timeout_s,
            secret=replica_secret(self.get_admin_token()),
            variables=environment or {},
            has_network=bool(network_access),
            limits=limits,
        )
        self._replicas.start(pods, num_replicas)

    def observe_replicas(self, model_id: ModelId | None = None) -> list[ObservedContainer]:
        return self._replicas.observe(model_id)

    def find_start_problem(self, model_id: ModelId) -> ClipperException | None:
        return self._replicas.find_problem(model_id)

    def stop_models(self, models: Mapping[str, Sequence[str]]) -> None:
        wanted = {ModelId(name, version) for name, versions in models.items() for version in versions}
        for version in self._replicas.versions():
            if version in wanted:
                self._replicas.stop_version(version)

    def stop_all_model_containers(self) -> None:
        for version in self._replicas.versions():
            self._replicas.stop_version(version)

    # --- logs

    def get_log_tail(self, container_name: str, *, max_lines: int = 40) -> str:
        pod = self._api.get("Pod", container_name)
        return "" if pod is None else read_log(self._api, pod, max_lines)

    def get_logs(self, logging_dir: str) -> list[str]:
        pods = self._api.find("Pod", {environment.LABEL_CLUSTER: self.cluster_name})
        return copy_logs(logging_dir, partial(write_logs, self._api, pods))

    # --- within

    def _new_state(self, options: ClusterOptions, progress: Progress, kept: ClusterState | None = None) -> ClusterState:
        if kept is not None:
            options = options.over(kept.options)
        hosts = known_hosts(self.namespace, self.cluster_name)
        if options.tls:
            hosts += self._access.node_addresses()
        return self._new_cluster.state(self.cluster_name, options, hosts, progress, kept)

    def _core_manifests(self, state: ClusterState) -> list[dict[str, Any]]:
        return core_manifests(
            self._settings, self.cluster_name, state, has_budgets=self._api.has_api("policy/v1")
        )  # fmt: skip

    def _use(self, state: ClusterState) -> None:
        self._end_keeper()
        frontends = Frontends.find(self._access, self.cluster_name)
        self._query_host, self.clipper_query_port = frontends.query
        self._management_host, self.clipper_management_port = frontends.management
        self._state = state
        frontends.wait_until_they_answer(self.get_trust(), self._core.check_it_goes_on)
        self._begin_keeper()

    def _new_replicas(self) -> KubernetesReplicas:
        self._reflector = Reflector(self._api, "Pod", {environment.LABEL_CLUSTER: self.cluster_name})
        return KubernetesReplicas(self._api, self.cluster_name, self._settings, self._reflector)

    def _begin_keeper(self) -> None:
        self._replicas = self._new_replicas()
        management = ManagementClient.at(self.get_admin_endpoint(), self.get_admin_token(), self.get_trust())
        self._keeper = Keeper(
            self, self._reflector, management, self._replicas.observe, self._replicas.stop_named, self._replicas.scale
        )  # fmt: skip
        self._keeper.start()

    def _end_keeper(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.stop()

    def _known(self) -> ClusterState:
        if self._state is None:
            raise ClusterNotFoundError(f"Not connected to cluster '{self.cluster_name}'.")
        return self._state
