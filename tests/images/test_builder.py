"""Tags that name one content, and which images go with versions that were stopped."""

from __future__ import annotations

import pytest

from clipper_nb.images.builder import DeployedImage, ImageRequest, choose_unused
from clipper_nb.images.docker_engine import check_image_name
from clipper_nb.protocol.names import ModelId

ONE, TWO, OTHER = ModelId("m", "1"), ModelId("m", "2"), ModelId("other", "1")
DIGEST = "0123456789ab"


def _tag(version: str, registry: str | None = None) -> str:
    return ImageRequest("c", ModelId("m", version), "/bundle", container_registry=registry).tag(DIGEST)


def test_tag_is_clippers_with_a_digest():
    assert _tag("1") == f"c-m:1-{DIGEST}"
    assert _tag("1", "localhost:5000/team/") == f"localhost:5000/team/c-m:1-{DIGEST}"


@pytest.mark.parametrize("length", [1, 115, 116, 128])
def test_longest_version_leaves_room_for_the_digest(length):
    tag = _tag("v" * length)
    assert tag.endswith(f"-{DIGEST}")
    check_image_name(tag)


@pytest.mark.parametrize(
    ("stopped", "in_use", "unused"),
    [
        ({ONE: "c-m:1-a"}, [], ["c-m:1-a", "c-m:1-b"]),  # the second is of a deploy that was killed
        ({ONE: "c-m:1-a"}, ["c-m:1-a"], ["c-m:1-b"]),  # another version has it
        ({ONE: "mine:1"}, ["c-m:1-a", "c-m:1-b"], []),
        ({OTHER: "c-m:2-c"}, [], ["c-m:2-c"]),  # made for another version, of which nothing is left
        ({OTHER: "c-m:2-c"}, ["c-m:2-c"], []),
        ({OTHER: ""}, [], []),
        ({}, [], []),
    ],
)
def test_images_go_with_their_versions_unless_in_use(stopped, in_use, unused):
    deployed = [DeployedImage("c-m:1-a", ONE), DeployedImage("c-m:1-b", ONE), DeployedImage("c-m:2-c", TWO)]
    assert choose_unused(deployed, stopped, in_use) == unused
