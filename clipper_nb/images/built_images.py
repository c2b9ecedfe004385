"""Images that this package's builders made: their labels, and how the engine's list shows them. (pure)"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from clipper_nb.images import templates
from clipper_nb.images.builder import DEFAULT_BASE_IMAGE, DeployedImage, ImageRequest
from clipper_nb.images.docker_engine import split_tag
from clipper_nb.protocol import environment as variables
from clipper_nb.protocol.names import ModelId
from clipper_nb.version import __version__

BASE_PREFIX = "clipper_nb-"
"""Prefix of the names of images that model versions build on."""
_WITH_VERSION = "version"
_ENDS_IN_DIGEST = re.compile(r"-[0-9a-f]{12}$")

Summary = Mapping[str, Any]
"""One image in the engine's list of images."""


@dataclass(frozen=True)
class BuiltImage:
    """An image that one of this package's builders made.

    Attributes
    ----------
    tags : tuple of str
    kind : str
        ``"model"`` for a model version; ``"frontend"``, ``"python_closure"`` and the like for what those build on.
    cluster, model, version : str or None
        Of a model version.
    size_bytes : int
        With the layers that it shares with others.
    """

    tags: tuple[str, ...]
    kind: str
    cluster: str | None
    model: str | None
    version: str | None
    size_bytes: int


def model_labels(request: ImageRequest) -> dict[str, str]:
    """Return the labels of a model version's image."""
    lifetime = {variables.LABEL_IMAGE_LIFETIME: _WITH_VERSION} if request.goes_with_version else {}
    return {
        **lifetime,
        **_recipe_labels(request),
        variables.LABEL_CLUSTER: request.cluster_name,
        variables.LABEL_MODEL: request.model_id.name,
        variables.LABEL_MODEL_VERSION: request.model_id.version,
        "org.opencontainers.image.title": request.model_id.name,
        "org.opencontainers.image.version": request.model_id.version,
    }


def _recipe_labels(request: ImageRequest) -> dict[str, str]:
    """Return the labels for what the user asked for beside the bundle; an image of defaults has none."""
    packages = {variables.LABEL_IMAGE_PACKAGES: json.dumps(list(request.packages))} if request.packages else {}
    is_default = request.base_image == DEFAULT_BASE_IMAGE
    return packages if is_default else {**packages, variables.LABEL_IMAGE_BASE: request.base_image}


def recipe_of(labels: Mapping[str, str], image: str) -> tuple[list[str], str] | None:
    """Return the packages and the base image that a deploy or ``build_model`` named; ``None`` for a user's own image.

    An image that a user built from one of ours has our labels too, but another name.
    """
    model_id = ModelId(labels.get(variables.LABEL_MODEL, ""), labels.get(variables.LABEL_MODEL_VERSION, ""))
    is_model = labels.get(variables.LABEL_IMAGE_KIND) == templates.MODEL_KIND
    if not is_model or not _is_deployed(image, labels.get(variables.LABEL_CLUSTER, ""), model_id):
        return None
    packages: list[str] = json.loads(labels.get(variables.LABEL_IMAGE_PACKAGES, "[]"))
    return packages, labels.get(variables.LABEL_IMAGE_BASE, DEFAULT_BASE_IMAGE)


def base_labels(kind: str) -> dict[str, str]:
    """Return the labels of the image that model versions of a kind build on, or the frontends run from."""
    return {
        variables.LABEL_IMAGE_KIND: kind,
        variables.LABEL_PACKAGE_VERSION: __version__,
        "org.opencontainers.image.title": f"clipper_nb {kind}",
        "org.opencontainers.image.version": __version__,
        "org.opencontainers.image.licenses": "Apache-2.0",
    }


def runs_our_program(config: Mapping[str, Any]) -> bool:
    """Return whether an image with that configuration runs this release's model container.

    A program of the user's in an image that was built from one of ours inherits the labels alone.
    """
    is_of_this_release = (config.get("Labels") or {}).get(variables.LABEL_PACKAGE_VERSION) == __version__
    return is_of_this_release and (config.get("Cmd") or [])[1:] == ["-m", variables.MODEL_CONTAINER_MODULE]


def deployed_labels(cluster_name: str) -> list[str]:
    """Return the labels of every image that a deploy built for a cluster."""
    return [f"{variables.LABEL_CLUSTER}={cluster_name}", f"{variables.LABEL_IMAGE_LIFETIME}={_WITH_VERSION}"]


def built_images(summaries: Iterable[Summary]) -> list[BuiltImage]:
    """Return the images that this package's builders made, among those with a label for their kind."""
    return sorted(filter(None, map(_describe, summaries)), key=lambda image: image.tags)


def deployed_images(summaries: Iterable[Summary], cluster_name: str) -> list[DeployedImage]:
    """Return the images that deploys built for a cluster, among those with ``deployed_labels``."""
    deployed = []
    for summary in summaries:
        model_id = ModelId(summary["Labels"][variables.LABEL_MODEL], summary["Labels"][variables.LABEL_MODEL_VERSION])
        # An image that a user built from one inherits its labels.
        tags = [tag for tag in summary["RepoTags"] or () if _is_deployed(tag, cluster_name, model_id)]
        deployed += [DeployedImage(tag, model_id) for tag in tags]
    return deployed


def _is_deployed(tag: str, cluster_name: str, model_id: ModelId) -> bool:
    repository, end = split_tag(tag)
    is_ours = repository.rpartition("/")[2] == f"{cluster_name}-{model_id.name}"
    return is_ours and _ENDS_IN_DIGEST.search(end) is not None


def _describe(summary: Summary) -> BuiltImage | None:
    """Return an image of the engine's list; ``None`` when it has no name, or is a user's image ``FROM`` one of ours."""
    labels = summary["Labels"]
    is_model = labels[variables.LABEL_IMAGE_KIND] == templates.MODEL_KIND
    prefix = "" if is_model else BASE_PREFIX
    tags = [tag for tag in summary["RepoTags"] or () if tag.startswith(prefix) and not tag.startswith("<none>")]
    if not tags:
        return None
    return BuiltImage(
        tags=tuple(sorted(tags)),
        kind=labels[variables.LABEL_IMAGE_KIND],
        cluster=labels.get(variables.LABEL_CLUSTER) if is_model else None,
        model=labels.get(variables.LABEL_MODEL) if is_model else None,
        version=labels.get(variables.LABEL_MODEL_VERSION) if is_model else None,
        size_bytes=summary["Size"],
    )
