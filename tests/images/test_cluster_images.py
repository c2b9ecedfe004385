"""Images as a cluster's user sees them: built, listed, removed, and never rebuilt under a registered version."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clipper_nb import ClipperConnection, ImageNotFoundError, InvalidRequestError, VersionExistsError
from clipper_nb.closures.function_pickle import pickle_function
from clipper_nb.errors import ReplicaStartError
from tests.support.clusters import running_cluster

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def conn() -> Iterator[ClipperConnection]:
    """A cluster that this file's tests share; each uses a model of its own."""
    with running_cluster(kind="docker") as conn:
        yield conn


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder."""
    (tmp_path / "func.pkl").write_bytes(pickle_function(lambda inputs: [1 for _ in inputs])[0])
    return tmp_path


def test_registered_version_is_never_rebuilt(conn: ClipperConnection, client: Any, folder: Path) -> None:
    image = conn.build_model("fixed", 1, str(folder))
    conn.deploy_model("fixed", 1, "doubles", image)
    before = client.images.get(image).id
    (folder / "func.pkl").write_bytes(pickle_function(lambda inputs: [2 for _ in inputs])[0])
    with pytest.raises(VersionExistsError, match="already has a version '1'"):
        conn.build_model("fixed", 1, str(folder))
    with pytest.raises(VersionExistsError):
        conn.build_and_deploy_model("fixed", 1, "doubles", str(folder))
    assert client.images.get(image).id == before


def test_image_of_a_version_that_failed_to_load_is_removed(conn: ClipperConnection, client: Any, folder: Path) -> None:
    (folder / "func.pkl").write_bytes(b"no pickle")
    with pytest.raises(ReplicaStartError):
        conn.build_and_deploy_model("broken", 1, "doubles", str(folder))
    assert not [tag for tag in _tags(conn) if "broken" in tag]


def test_images_of_a_cluster_are_listed_with_what_they_stand_on(conn: ClipperConnection, folder: Path) -> None:
    image = conn.build_model("listed", "1.0", str(folder))
    by_tag = {tag: found for found in conn.cm.get_images() for tag in found.tags}
    assert (by_tag[image].kind, by_tag[image].model, by_tag[image].version) == ("model", "listed", "1.0")
    assert {"frontend", "python_closure"} <= {found.kind for found in by_tag.values()}
    assert {found.cluster for found in by_tag.values()} == {conn.cm.cluster_name, None}


def test_images_can_be_removed_and_those_in_use_stay(conn: ClipperConnection, folder: Path) -> None:
    used = conn.build_model("used", 1, str(folder))
    conn.deploy_model("used", 1, "doubles", used)
    idle = conn.build_model("idle", 1, str(folder))
    assert conn.cm.remove_images([used, idle]) == [idle]
    assert used in _tags(conn)
    assert idle not in _tags(conn)


def test_only_images_of_the_cluster_can_be_removed(conn: ClipperConnection) -> None:
    with pytest.raises(ImageNotFoundError, match="no image 'redis:7'"):
        conn.cm.remove_images(["redis:7"])


def test_deploy_with_an_impossible_image_name_is_refused(conn: ClipperConnection) -> None:
    with pytest.raises(InvalidRequestError, match="is not the name of an image"):
        conn.deploy_model("misnamed", 1, "doubles", "No Image")
    assert conn.get_num_replicas("misnamed", 1) == 0


def _tags(conn: ClipperConnection) -> set[str]:
    return {tag for image in conn.cm.get_images() if image.cluster for tag in image.tags}
