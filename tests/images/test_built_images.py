"""Which of the engine's images a builder of ours made, from the engine's list alone."""

from __future__ import annotations

from typing import Any

import pytest

from clipper_nb.images.builder import DEFAULT_BASE_IMAGE, ImageRequest
from clipper_nb.images.built_images import base_labels, built_images, deployed_images, deployed_labels, model_labels
from clipper_nb.protocol import environment
from clipper_nb.protocol.names import ModelId

DIGEST = "0123456789ab"


def _listed(labels: dict[str, str], *tags: str) -> dict[str, Any]:
    """Return an image as the engine lists it."""
    return {"Labels": labels, "RepoTags": list(tags) or None, "Size": 7}


def _model(*, goes_with_version: bool = False) -> dict[str, str]:
    request = ImageRequest("c", ModelId("m", "1"), "/bundle", DEFAULT_BASE_IMAGE, (), None, goes_with_version)
    return {environment.LABEL_IMAGE_KIND: "model", **model_labels(request)}


def test_models_are_distinguished_from_base_images():
    listed = [_listed(_model(), "c-m:b", "c-m:a"), _listed(base_labels("frontend"), "clipper_nb-frontend:0")]
    model, base = built_images(listed)
    assert (model.tags, model.kind, model.cluster, model.model, model.version) == (
        ("c-m:a", "c-m:b"), "model", "c", "m", "1",
    )  # fmt: skip
    assert (base.kind, base.cluster, base.model, base.version, base.size_bytes) == ("frontend", None, None, None, 7)


@pytest.mark.parametrize("tags", [(), ("<none>:<none>",), ("my-own:1",)])
def test_unnamed_and_user_derived_images_are_not_ours(tags):
    assert built_images([_listed(base_labels("python_closure"), *tags)]) == []


@pytest.mark.parametrize("registry", ["", "localhost:5000/team/"])
def test_image_of_a_deploy_is_found_wherever_it_was_pushed(registry):
    tag = f"{registry}c-m:1-{DIGEST}"
    (found,) = deployed_images([_listed(_model(goes_with_version=True), tag)], "c")
    assert (found.image, found.model_id) == (tag, ModelId("m", "1"))


@pytest.mark.parametrize("tag", ["c-m:1", f"mine:1-{DIGEST}", f"d-m:1-{DIGEST}"])
def test_user_image_inheriting_deploy_labels_is_not_deployed(tag):
    assert deployed_images([_listed(_model(goes_with_version=True), tag)], "c") == []


def test_labels_distinguish_deployed_from_user_built_images():
    wanted = set(deployed_labels("c"))
    assert wanted <= {f"{name}={value}" for name, value in _model(goes_with_version=True).items()}
    assert not wanted <= {f"{name}={value}" for name, value in _model().items()}
