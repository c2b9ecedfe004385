"""Names of images are checked and taken apart before the engine sees them; transfers are read to their end."""

from __future__ import annotations

import pytest

from clipper_nb.display.progress import QUIET
from clipper_nb.errors import InvalidRequestError, RegistryError
from clipper_nb.images.docker_engine import check_image_name, follow_transfer, split_tag

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("image", "repository", "tag"),
    [
        ("python", "python", "latest"),
        ("python:3.11-slim-bookworm", "python", "3.11-slim-bookworm"),
        ("team/model", "team/model", "latest"),
        ("localhost:5000/c-m", "localhost:5000/c-m", "latest"),
        ("localhost:5000/team/c-m:1.0_rc-1", "localhost:5000/team/c-m", "1.0_rc-1"),
        ("Registry.example.com/a__b/c--d:X", "Registry.example.com/a__b/c--d", "X"),
        (f"python@{DIGEST}", "python", DIGEST),
        (f"localhost:5000/python:3.11@{DIGEST}", "localhost:5000/python:3.11", DIGEST),
        ("0123456789ab", "0123456789ab", "latest"),
        (DIGEST, "sha256", DIGEST.removeprefix("sha256:")),
    ],
)
def test_image_name_is_split_into_repository_and_tag(image, repository, tag):
    check_image_name(image)
    assert split_tag(image) == (repository, tag)


@pytest.mark.parametrize(
    "name",
    [None, 1, b"python", "", "Python", "a b", "a:b:c", "-a", "a-", "a:", "/a", "a//b", "http://localhost:5000/a",
     "localhost:5000/Team/a", "a\n", "a\nRUN evil", "a@sha256:12", "$BASE"],
)  # fmt: skip
def test_impossible_image_name_is_refused(name):
    with pytest.raises(InvalidRequestError, match="is not the name of an image"):
        check_image_name(name)


def test_error_in_the_stream_of_a_transfer_is_an_error():
    def events():
        yield {"status": "Preparing", "id": "abc"}
        yield {"errorDetail": {}, "error": "no basic auth credentials"}
        yield {"status": "of which nothing is read"}

    stream = events()
    with pytest.raises(RegistryError, match="it cannot be pushed: no basic auth credentials"):
        follow_transfer(stream, "it cannot be pushed", QUIET)
    assert list(stream) == []
