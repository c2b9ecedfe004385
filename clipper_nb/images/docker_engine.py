"""Finds and calls the Docker Engine, and turns its failures into errors of this package."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Generator, Iterator
from functools import cached_property
from types import ModuleType
from typing import Any, cast

from clipper_nb.display.progress import Progress
from clipper_nb.errors import (
    ClusterError,
    DiskFullError,
    EngineUnreachableError,
    ImageNotFoundError,
    InvalidRequestError,
    RegistryError,
)
from clipper_nb.images.build_failures import HOW_TO_FREE, NO_SPACE

_TIMEOUT_S = 60.0
_FIRST_ANSWER_TIMEOUT_S = 10.0
_STREAM_TIMEOUT_S = 1800.0
"""A build or a transfer may be silent for as long as pip compiles."""

_REGISTRY = r"[A-Za-z0-9.-]+(?::\d+)?"
_REPOSITORY = r"[a-z0-9]+(?:(?:[._]|__|-+|/)[a-z0-9]+)*"
_IMAGE_NAME = re.compile(
    rf"(?:{_REGISTRY}/)?{_REPOSITORY}(?::[\w][\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?", re.ASCII
)


class DockerEngine:
    """The engine that ``DOCKER_HOST``, the current Docker context or the usual socket leads to.

    It is looked for when it is first used. ``client`` and ``stream_client`` raise :class:`EngineUnreachableError`.
    """

    def __init__(self) -> None:
        self._client: Any = None
        self._stream_client: Any = None

    @property
    def client(self) -> Any:
        """The ``docker.DockerClient`` for everything that answers soon."""
        if self._client is None:
            self._client = _connect(_TIMEOUT_S)
        return self._client

    @property
    def stream_client(self) -> Any:
        """The client for builds and transfers."""
        if self._stream_client is None:
            self._stream_client = _connect(_STREAM_TIMEOUT_S)
        return self._stream_client

    @cached_property
    def is_podman(self) -> bool:
        """True if Podman answers in the place of a Docker Engine."""
        with translated("asking for its version"):
            components = self.client.version().get("Components") or ()
        return any("podman" in component["Name"].lower() for component in components)

    def check_that_it_stays(self) -> None:
        """Raise :class:`EngineUnreachableError` when it is shutting down: it then answers only on old connections."""
        _connect(_FIRST_ANSWER_TIMEOUT_S).close()

    def find_image(self, image: str) -> Any | None:
        """Return the ``docker`` image with that name or id when the engine has it."""
        check_image_name(image)
        with translated(f"looking for image '{image}'"):
            try:
                return self.client.images.get(image)
            except docker_module().errors.ImageNotFound:
                return None

    def pull(self, image: str, progress: Progress) -> Any:
        """Fetch an image from its registry and return it; raises :class:`RegistryError`."""
        repository, tag = split_tag(image)
        progress.step(f"Pull {image}")
        with translated(f"pulling '{image}'"):
            try:
                events = self.stream_client.api.pull(repository, tag=tag, stream=True, decode=True)
                follow_transfer(events, f"'{image}' cannot be pulled", progress)
            except docker_module().errors.APIError as exc:
                raise RegistryError(f"'{image}' cannot be pulled: {explain(exc)}") from exc
        found = self.find_image(image)
        if found is None:
            raise RegistryError(f"'{image}' was pulled, yet the engine does not have it.")
        return found

    def find_or_pull(self, image: str, progress: Progress) -> Any:
        """Return the image with that name, fetched if the engine lacks it; raises :class:`ImageNotFoundError`."""
        found = self.find_image(image)
        if found is not None:
            return found
        if "/" not in image:
            raise ImageNotFoundError(image, "Images are made by build_model(), or by `docker build` on this engine.")
        try:
            return self.pull(image, progress)
        except RegistryError as exc:
            raise ImageNotFoundError(image, f"The engine does not have it, and {exc}") from exc


def docker_module() -> ModuleType:
    """Return the package ``docker``, which is needed only to use an engine."""
    try:
        import docker
        import docker.errors
    except ImportError as exc:
        raise ClusterError("Docker needs the package docker: pip install 'clipper-nb[notebook]'.") from exc
    return cast("ModuleType", docker)


def check_image_name(image: object) -> None:
    """Raise :class:`InvalidRequestError` for a name that no image can have, often a registry with ``http://``."""
    if not isinstance(image, str) or not _IMAGE_NAME.fullmatch(image):
        raise InvalidRequestError(
            f"{image!r} is not the name of an image, like 'python:3.11-slim-bookworm' or 'localhost:5000/team/name:1': "
            "no capitals in the name, and no 'http://'."
        )


def split_tag(image: str) -> tuple[str, str]:
    """Return repository and tag of an image's name, or its digest; the tag is ``latest`` when it has neither."""
    repository, at, digest = image.partition("@")
    if at:
        return repository, digest
    repository, colon, tag = image.rpartition(":")
    if colon and "/" not in tag:
        return repository, tag
    return image, "latest"


def follow_transfer(events: Generator[dict[str, Any], None, None], failure: str, progress: Progress) -> None:
    """Read the stream of a pull or push to its end; an error in it is an error, though the reply's status was 200."""
    with contextlib.closing(events):
        for event in events:
            if "error" in event:
                raise RegistryError(f"{failure}: {event['error']}")
            if event.get("status"):
                progress.detail(" ".join(filter(None, [event.get("id"), event["status"], event.get("progress")])))


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what the engine, or the connection to it, raises into our error, which says what was being done."""
    docker = docker_module()
    import requests.exceptions
    import urllib3.exceptions

    try:
        yield
    except docker.errors.APIError as exc:
        words = explain(exc)
        if NO_SPACE in words.lower():
            raise DiskFullError(f"The Docker Engine has no space left, {what}. {HOW_TO_FREE}") from exc
        raise ClusterError(f"The Docker Engine refused, {what}: {words}") from exc
    except (docker.errors.DockerException, requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as exc:
        raise EngineUnreachableError(engine_address(), f"{what}: {exc}") from exc


def explain(exc: Any) -> str:
    """Return the engine's own message."""
    return str(exc.explanation or exc).strip().rstrip(".") + "."


def engine_address() -> str:
    """Return the address of the engine that is used."""
    host = os.environ.get("DOCKER_HOST")
    if host:
        return host
    with contextlib.suppress(Exception):  # a broken context file counts as none
        from docker.context import ContextAPI

        return str(ContextAPI.get_current_context().Host)
    return "unix:///var/run/docker.sock"


def _connect(timeout_s: float) -> Any:
    docker = docker_module()
    with translated("connecting to it"):
        if os.environ.get("DOCKER_HOST"):
            client = docker.from_env(timeout=_FIRST_ANSWER_TIMEOUT_S)
        else:
            client = docker.DockerClient(base_url=engine_address(), timeout=_FIRST_ANSWER_TIMEOUT_S)
        client.ping()
    client.api.timeout = timeout_s
    return client
