"""Which of the engine's images a builder of ours made, from the engine's list alone."""

from __future__ import annotations

from typing import Any

import pytest

from clipper_nb.images.builder import DEFAULT_BASE_IMAGE, ImageRequest
from clipper_nb.images.built_images import (
    base_labels,
    built_images,
    deployed_images,
    deployed_labels,
    model_labels,
    recipe_of,
    runs_our_program,
)
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


def test_what_the_user_asked_for_is_kept_with_an_image():
    request = ImageRequest("c", ModelId("m", "1"), "/bundle", "my/base:1", ["humanize", "./mine.whl"])
    labels = {environment.LABEL_IMAGE_KIND: "model", **model_labels(request)}
    assert recipe_of(labels, f"team/c-m:1-{DIGEST}") == (["humanize", "./mine.whl"], "my/base:1")
    assert recipe_of(_model(), f"c-m:1-{DIGEST}") == ([], DEFAULT_BASE_IMAGE)


def test_image_that_no_builder_made_has_no_recipe():
    assert recipe_of({}, "c-m:1") is None
    assert recipe_of(base_labels("python_closure"), "clipper_nb-python_closure:0") is None
    assert recipe_of(_model(), "mine:1") is None  # FROM one of ours


@pytest.mark.parametrize(
    ("command", "labels", "expected"),
    [
        (["python", "-m", "clipper_nb.runtime.model_container"], base_labels("python_closure"), True),
        (["python", "mine.py"], base_labels("python_closure"), False),  # FROM one of ours
        (["python", "-m", "clipper_nb.runtime.model_container"], {environment.LABEL_PACKAGE_VERSION: "0.0.1"}, False),
        (["python", "-m", "clipper_nb.runtime.model_container"], None, False),
        (None, base_labels("python_closure"), False),
    ],
)
def test_only_images_that_run_our_program_do_without_a_network(command, labels, expected):
    assert runs_our_program({"Cmd": command, "Labels": labels}) == expected
