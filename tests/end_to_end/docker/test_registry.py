"""Images that are pushed to a registry when a version is deployed, and pulled again where they are missing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipper_nb import ClipperConnection, ImageNotFoundError, RegistryError
from clipper_nb.closures.function_pickle import pickle_function
from clipper_nb.deployers.python import deploy_python_closure
from tests.support.clusters import query
from tests.support.registry import Refuses, Registry, running_registry

pytestmark = [pytest.mark.docker, pytest.mark.slow]  # the first push sends all layers


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that takes everything."""
    with running_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


def _deploy(conn: ClipperConnection, name: str, registry: Registry | None) -> str:
    """Deploy version 1 of a model whose output is its name, and return its image."""
    address = None if registry is None else registry.address
    deploy_python_closure(conn, name, 1, "doubles", lambda inputs: [name for _ in inputs], registry=address)
    info = conn.get_model_info(name, 1)
    assert info is not None
    return str(info["container_name"])


def _local_images(conn: ClipperConnection) -> set[str]:
    return {tag for image in conn.cm.get_images() if image.cluster for tag in image.tags}


def test_deployed_image_is_in_the_registry(shared: ClipperConnection, registry: Registry) -> None:
    image = _deploy(shared, "pushed", registry)
    assert image.startswith(f"{registry.address}/{shared.cm.cluster_name}-pushed:1-")
    assert registry.tags(f"{shared.cm.cluster_name}-pushed") == [image.rpartition(":")[2]]


def test_without_a_registry_nothing_is_pushed(shared: ClipperConnection, registry: Registry) -> None:
    image = _deploy(shared, "local", None)
    assert image.startswith(f"{shared.cm.cluster_name}-local:1-")
    assert not [name for name in registry.repositories() if name.endswith("-local")]


def test_new_replica_pulls_an_image_that_is_missing(shared: ClipperConnection, registry: Registry) -> None:
    shared.register_application("pulled", "doubles", "default", 5_000_000)
    image = _deploy(shared, "pulled", registry)
    shared.link_model_to_app("pulled", "pulled")
    shared.set_num_replicas("pulled", 0)
    assert shared.cm.remove_images([image]) == [image]
    assert image not in _local_images(shared)

    shared.set_num_replicas("pulled", 1)
    assert image in _local_images(shared)
    assert query(shared, "pulled", {"input": [time.monotonic()]})[1]["output"] == "pulled"


def test_deploy_pulls_an_image_that_is_missing(shared: ClipperConnection, registry: Registry, tmp_path: Path) -> None:
    """As on another machine than the one that built it."""
    (tmp_path / "func.pkl").write_bytes(_pickled_constant("built elsewhere"))
    image = shared.build_model("elsewhere", 1, str(tmp_path), container_registry=registry.address)
    shared.cm.remove_images([image])
    shared.deploy_model("elsewhere", 1, "doubles", image)
    assert shared.get_model_info("elsewhere", 1)["container_name"] == image
    assert len([name for name in shared.get_all_model_replicas() if name.startswith("elsewhere:")]) == 1


def test_image_that_the_registry_does_not_have_is_not_found(shared: ClipperConnection, registry: Registry) -> None:
    with pytest.raises(ImageNotFoundError, match=rf"{registry.address}/nobodys:1.*cannot be pulled: .*nobodys"):
        shared.deploy_model("nobodys", 1, "doubles", f"{registry.address}/nobodys:1")
    assert shared.get_model_info("nobodys", 1) is None


@pytest.mark.parametrize(
    ("refuses", "words"), [("strangers", "no basic auth credentials"), ("writes", "unsupported|read-?only|405")]
)
def test_refused_push_fails_the_deploy_and_leaves_nothing(
    shared: ClipperConnection, tmp_path: Path, refuses: Refuses, words: str
) -> None:
    """The engine says so in the stream, after it has answered that all is well."""
    before = _local_images(shared)
    with (
        running_registry(tmp_path, refuses=refuses) as closed,
        pytest.raises(RegistryError, match=f"cannot be pushed: .*({words})"),
    ):
        _deploy(shared, "refused", closed)
    _check_nothing_of(shared, "refused", before)


def test_registry_that_does_not_run_fails_the_deploy_soon(shared: ClipperConnection, tmp_path: Path) -> None:
    before = _local_images(shared)
    with running_registry(tmp_path) as registry:
        pass
    started_s = time.monotonic()
    with pytest.raises(RegistryError, match=r"cannot be pushed: .*connection refused"):
        _deploy(shared, "lost", registry)
    assert time.monotonic() - started_s < 60
    _check_nothing_of(shared, "lost", before)


def _check_nothing_of(conn: ClipperConnection, name: str, images_before: set[str]) -> None:
    assert not [model for model in conn.get_all_models() if model.startswith(f"{name}:")]
    assert not [container for container in conn.cm.observe_replicas() if container.model == f"{name}:1"]
    assert _local_images(conn) == images_before


def _pickled_constant(output: str) -> bytes:
    return pickle_function(lambda inputs: [output for _ in inputs])[0]
