"""Images for tests of image building: each with a name of its own, and gone afterwards."""

from __future__ import annotations

import contextlib
import io
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


def new_image_name(what: str) -> str:
    """Return a tag that no other test uses."""
    return f"test-{what}-{uuid.uuid4().hex[:8]}:1"


@contextlib.contextmanager
def image_of(client: Any, dockerfile: str) -> Iterator[str]:
    """Build an image for the ``with``, and give its tag."""
    tag = new_image_name("base")
    build_image(client, tag, dockerfile)
    try:
        yield tag
    finally:
        remove_image(client, tag)


def build_image(client: Any, tag: str, dockerfile: str) -> None:
    """Build an image from a Dockerfile that needs no files."""
    client.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=tag, rm=True, forcerm=True)


def remove_image(client: Any, tag: str) -> None:
    """Remove an image if it is there."""
    import docker.errors

    with contextlib.suppress(docker.errors.ImageNotFound):
        client.images.remove(tag)


def run_python(client: Any, image: str, program: str) -> str:
    """Return what a program prints in a container of the image."""
    return client.containers.run(image, ["python", "-c", program], remove=True).decode().strip()


@dataclass(frozen=True)
class OwnBase:
    """A base image that these tests alone build upon: what was made from it carries its label."""

    image: str
    label: str

    def leftovers(self, client: Any) -> list[str]:
        """Return containers, and images without a name, that builds from it left."""
        wanted = {"label": self.label}
        containers = client.api.containers(all=True, filters=wanted)
        images = client.api.images(filters={**wanted, "dangling": True})
        return [thing["Id"] for thing in [*containers, *images]]
