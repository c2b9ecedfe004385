"""Images go with their versions: those that deploys built, when no other version needs them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.errors import ClipperException
from clipper_nb.images.builder import ImageBuilder
from clipper_nb.management_client import ManagementClient
from clipper_nb.protocol.names import ModelId


def remove_unused_images(
    builder: ImageBuilder, manager: ContainerManager, management: ManagementClient, stopped: Mapping[ModelId, str]
) -> None:
    """Remove the images of versions that were stopped, or could not be deployed, unless another version has them.

    A deploy under way is known by its replicas. Where that cannot be found out, the images stay.

    Parameters
    ----------
    builder : ImageBuilder
    manager : ContainerManager
    management : ManagementClient
    stopped : dict
        The image of each version; empty where it is not known.
    """
    with contextlib.suppress(ClipperException):
        running = {replica.image for replica in manager.observe_replicas() if replica.image}
        registered = {model["container_name"] for model in management.get_models()}
        builder.remove_unused(manager.cluster_name, stopped, running | registered)
