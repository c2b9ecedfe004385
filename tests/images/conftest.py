"""A builder on the real engine, and names whose images are removed afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from clipper_nb.images.builder import DEFAULT_BASE_IMAGE, ImageRequest
from clipper_nb.images.docker_builder import DockerBuilder
from clipper_nb.images.docker_engine import DockerEngine
from clipper_nb.protocol.names import ModelId
from tests.support.clusters import new_cluster_name
from tests.support.docker_images import OwnBase, image_of, new_image_name, remove_image

_PIP_AND_PROXIES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(scope="package")
def engine() -> Iterator[DockerEngine]:
    """The engine; its connections are closed at the end."""
    engine = DockerEngine()
    yield engine
    engine.client.close()
    engine.stream_client.close()


@pytest.fixture(scope="package")
def client(engine: DockerEngine) -> Any:
    """The engine as docker-py sees it."""
    return engine.client


@pytest.fixture(scope="package")
def make_builder(engine: DockerEngine) -> Callable[..., DockerBuilder]:
    """Give a function that returns a builder whose environment has more variables than the tests'."""

    def make(variables: Mapping[str, str] | None = None) -> DockerBuilder:
        replaced = {spelling for name in variables or () for spelling in (name, name.lower())}
        hidden = {s for name in _PIP_AND_PROXIES for s in (name, name.lower())} if variables else replaced
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        return DockerBuilder(engine, {**environment, **(variables or {})})

    return make


@pytest.fixture(scope="package")
def builder(make_builder: Callable[..., DockerBuilder]) -> DockerBuilder:
    """A builder with the tests' own environment, which has the image of Python functions."""
    builder = make_builder()
    builder.build_base("python_closure")
    return builder


@pytest.fixture
def model_request(tmp_path: Path, builder: DockerBuilder) -> Iterator[Callable[..., ImageRequest]]:
    """Give a function that returns requests for the image of a model; their images are removed afterwards."""
    clusters = {new_cluster_name()}
    default_cluster = next(iter(clusters))

    def make(
        content: str = "model",
        *,
        version: str = "1",
        packages: Sequence[str] = (),
        base_image: str = DEFAULT_BASE_IMAGE,
        cluster_name: str = default_cluster,
        name: str = "model",
        registry: str | None = None,
        goes_with_version: bool = False,
    ) -> ImageRequest:
        bundle = tmp_path / f"bundle-{content}"
        bundle.mkdir(exist_ok=True)
        (bundle / "func.pkl").write_text(content)
        clusters.add(cluster_name)
        return ImageRequest(
            cluster_name, ModelId(name, version), str(bundle), base_image, packages, registry, goes_with_version
        )

    yield make
    for image in builder.images():
        if image.cluster in clusters:
            for tag in image.tags:
                builder.remove(tag)


@pytest.fixture(scope="package")
def remove_later(client: Any) -> Iterator[list[str]]:
    """A list of tags that are removed after all tests of images, in order."""
    tags: list[str] = []
    yield tags
    for tag in tags:
        remove_image(client, tag)


@pytest.fixture(scope="package")
def own_base(client: Any, builder: DockerBuilder, remove_later: list[str]) -> Iterator[OwnBase]:
    """It has the library's requirements already, so building upon it is quick.

    Its temporary folder is the shared memory of a container: 64 MB.
    """
    label = f"clipper_nb.test={new_image_name('label')}"
    below = f"FROM {builder.build_base('python_closure')}\nLABEL {label}\nENV TMPDIR=/dev/shm\n"
    with image_of(client, below) as image:
        tag = builder.build_base("python_closure", image)
        base = OwnBase(image, label)
        yield base
        remove_image(client, tag)
        assert base.leftovers(client) == []
