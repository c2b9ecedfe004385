"""What a new cluster on Kubernetes is made with: a namespace, images that nodes find, secrets, a class of volumes."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from clipper_nb.container_managers.kubernetes.api import KubernetesApi
from clipper_nb.container_managers.kubernetes.checks import default_storage_class
from clipper_nb.container_managers.kubernetes.images import IF_NOT_PRESENT, PodImages
from clipper_nb.container_managers.kubernetes.settings import KubernetesSettings
from clipper_nb.container_managers.kubernetes.state import ClusterState, CoreImage
from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.container_managers.tls.identity import choose_identity
from clipper_nb.display.progress import Progress
from clipper_nb.errors import ClipperException, ClusterError, ClusterUnreachableError, ExistsError
from clipper_nb.images.docker_builder import DockerBuilder
from clipper_nb.protocol.containers import MANAGEMENT_FRONTEND, QUERY_FRONTEND, REDIS


def require_namespace(api: KubernetesApi, namespace: str, *, may_create: bool) -> None:
    """Return once the namespace is there, as far as the caller may see that.

    Raises
    ------
    ClipperException
        It does not exist, and may not be created.
    """
    try:
        is_there = api.get("Namespace", namespace) is not None
    except ClusterUnreachableError:
        raise
    except ClusterError:  # who may use a namespace need not be allowed to look at it
        return
    if is_there:
        return
    if not may_create:
        raise ClipperException(
            f"Namespace '{namespace}' does not exist. Pass create_namespace_if_not_exists=True to create it."
        )
    with contextlib.suppress(ExistsError):
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})


class NewCluster:
    """Makes the states of new clusters.

    Parameters
    ----------
    api : KubernetesApi
    builder : DockerBuilder
        Of the frontends' image.
    images : PodImages
    settings : KubernetesSettings
    storage_class : str, optional
        Of Redis's volume: ``None`` for the default class of the Kubernetes, empty for no volume.
    """

    def __init__(
        self,
        api: KubernetesApi,
        builder: DockerBuilder,
        images: PodImages,
        settings: KubernetesSettings,
        storage_class: str | None,
    ) -> None:
        self._api = api
        self._builder = builder
        self._images = images
        self._settings = settings
        self._storage_class = storage_class

    def state(
        self,
        cluster: str,
        options: ClusterOptions,
        hosts: Sequence[str],
        progress: Progress,
        kept: ClusterState | None = None,
    ) -> ClusterState:
        """Return the state of a new cluster, whose images are built and pushed; *hosts* are names of its frontends.

        With *kept* it is that of a resumed one, which has the secrets, the volume and the Services that it had.
        """
        has_own_redis = self._settings.external_redis is None
        tls = choose_identity(cluster, options, hosts, None if kept is None else kept.tls)
        images = self._frontend_images(options, progress)
        if has_own_redis:
            images[REDIS] = self._redis_image(progress)
        if kept is not None:
            return kept.resumed(options, images, tls)
        storage_class = self._storage_class
        if storage_class is None and has_own_redis:
            storage_class = default_storage_class(self._api)
        return ClusterState.new(
            options,
            images,
            tls=tls,
            storage_class=storage_class or None,
            query_service=self._settings.services.query,
            management_service=self._settings.services.management,
        )

    def _frontend_images(self, options: ClusterOptions, progress: Progress) -> dict[str, CoreImage]:
        """Return the image of each frontend, built and pushed if need be."""
        query, management = options.query_frontend_image, options.management_frontend_image
        if query is None or management is None:
            ours = self._builder.build_base("frontend", progress=progress)
            query, management = query or ours, management or ours
        found = {}
        for role, image in ((QUERY_FRONTEND, query), (MANAGEMENT_FRONTEND, management)):
            placed = self._images.find(image, progress)
            found[role] = CoreImage(placed.reference, placed.pull_policy)
        return found

    def _redis_image(self, progress: Progress) -> CoreImage:
        """Return the image of Redis: from the registry if the engine has it, else nodes pull it by its name."""
        name = self._settings.redis_image
        with contextlib.suppress(ClipperException):
            return CoreImage(self._images.find(name, progress).reference, IF_NOT_PRESENT)
        return CoreImage(name, IF_NOT_PRESENT)
