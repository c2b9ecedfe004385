"""Removes the images of stopped versions: those that deploys built, when no other version needs them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.errors import ClipperException
from clipper_nb.images.builder import ImageBuilder, choose_unused
from clipper_nb.protocol.names import ModelId


def remove_unused_images(
    builder: ImageBuilder,
    manager: ContainerManager,
    management: ManagementClient,
    stopped: Mapping[ModelId, str],
    *,
    claimed_here: ModelId | None = None,
) -> None:
    """Remove the images of versions that were stopped, or could not be deployed, unless another version has them.

    Images stay when that cannot be determined.

    Parameters
    ----------
    builder : ImageBuilder
    manager : ContainerManager
    management : ManagementClient
    stopped : dict
        The image of each version; empty where it is not known. Versions that another caller deploys again are left
        alone.
    claimed_here : ModelId, optional
        The version whose deploy by this caller failed.
    """
    with contextlib.suppress(ClipperException):
        # In this order: every image found by now was built for a version that is still claimed, registered, or unused.
        deployed = builder.find_deployed(manager.cluster_name)
        claimed = {claim.model_id for claim in management.get_claims()} - {claimed_here}
        registered = {model.image for model in management.get_models()}
        running = {replica.image for replica in manager.observe_replicas() if replica.image}
        gone = {model_id: image for model_id, image in stopped.items() if model_id not in claimed}
        for image in choose_unused(deployed, gone, registered | running):
            builder.remove(image)
