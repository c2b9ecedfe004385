"""Images of pods: those of the notebook's engine, which nodes share, or of a registry, by their digests."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clipper_nb.display.progress import Progress
from clipper_nb.errors import EngineUnreachableError, ImageNotFoundError, RegistryError
from clipper_nb.images import templates
from clipper_nb.images.built_images import runs_our_program
from clipper_nb.images.docker_engine import (
    DockerEngine,
    check_image_name,
    docker_module,
    explain,
    split_tag,
    translated,
)

IF_NOT_PRESENT, NEVER = "IfNotPresent", "Never"
_REPLACED_USERS = ("", "root", "0", "0:0", "root:root", templates.USER)
"""Users of images that pods do not run as."""


@dataclass(frozen=True)
class PodImage:
    """An image as pods name it."""

    reference: str
    pull_policy: str
    runs_our_program: bool = False
    """Whether it is a model version's, and its program this release's."""
    user: str | None = None
    """The number of the image's own user, if pods run as that one."""


class PodImages:
    """Finds the images of pods, and brings them to where nodes find them.

    Parameters
    ----------
    engine : DockerEngine
        The notebook's engine, where images are built. There may be none: then only images of a registry can be used.
    registry : str, optional
        Where nodes pull images from, such as ``registry.example.com/team``. Without one the nodes share the engine's
        images, and pull what a registry is named in.
    """

    def __init__(self, engine: DockerEngine, registry: str | None = None) -> None:
        self._engine = engine
        self._registry = registry
        self._pushed: dict[str, str] = {}
        """From an image's id to its reference in the registry."""

    def find(self, image: str, progress: Progress) -> PodImage:
        """Return an image as pods name it; pushes it to the registry if there is one.

        Raises
        ------
        ImageNotFoundError
            The engine has no such image, and nodes cannot pull it.
        RegistryError
            It cannot be pushed.
        """
        check_image_name(image)
        try:
            found = self._engine.find_image(image)
        except EngineUnreachableError:
            found = None
            if not _names_a_registry(image):
                raise
        if found is None:
            if not _names_a_registry(image):
                raise ImageNotFoundError(
                    image, "Images are made by build_model(), or by `docker build` on the notebook's engine."
                )
            return PodImage(image, IF_NOT_PRESENT)
        config: Mapping[str, Any] = found.attrs["Config"]
        user = str(config.get("User") or "")
        number = user.partition(":")[0]
        is_own = user not in _REPLACED_USERS and number.isdigit()
        reference, policy = self._place(image, found, progress)
        return PodImage(reference, policy, runs_our_program(config), number if is_own else None)

    def _place(self, image: str, found: Any, progress: Progress) -> tuple[str, str]:
        """Return how nodes name the image, and whether they pull it."""
        if self._registry is None:
            return image, IF_NOT_PRESENT if _names_a_registry(image) else NEVER
        if found.id not in self._pushed:
            self._pushed[found.id] = self._push(image, found, self._registry.rstrip("/"), progress)
        return self._pushed[found.id], IF_NOT_PRESENT

    def _push(self, image: str, found: Any, registry: str, progress: Progress) -> str:
        """Push the image to the registry, and return its reference there by its digest."""
        name, tag = split_tag(image)
        repository = name if name.startswith(f"{registry}/") else f"{registry}/{name.rpartition('/')[2]}"
        progress.step(f"Push {repository}:{tag}")
        with translated(f"tagging '{repository}:{tag}'"):
            found.tag(repository, tag)
        try:
            digest = self._digest_of_push(repository, tag, progress)
        finally:
            if repository != name:
                with contextlib.suppress(Exception):  # the name was for the push alone
                    self._engine.client.images.remove(f"{repository}:{tag}", noprune=True)
        return f"{repository}@{digest}"

    def _digest_of_push(self, repository: str, tag: str, progress: Progress) -> str:
        failure = f"'{repository}:{tag}' cannot be pushed"
        digest = ""
        with translated(f"pushing '{repository}:{tag}'"):
            try:
                events = self._engine.stream_client.api.push(repository, tag=tag, stream=True, decode=True)
                with contextlib.closing(events):
                    for event in events:
                        if "error" in event:
                            raise RegistryError(f"{failure}: {event['error']}")
                        progress.detail(" ".join(filter(None, [event.get("id"), event.get("status")])))
                        digest = (event.get("aux") or {}).get("Digest", digest)
            except docker_module().errors.APIError as exc:
                raise RegistryError(f"{failure}: {explain(exc)}") from exc
        if not digest:
            raise RegistryError(f"{failure}: the engine did not say under which digest the registry has it.")
        return digest


def _names_a_registry(image: str) -> bool:
    return "/" in image
