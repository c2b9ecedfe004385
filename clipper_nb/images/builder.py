"""The interface of image builders, and what an image is built from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from clipper_nb.display.progress import QUIET, Progress
from clipper_nb.images.context import Files
from clipper_nb.protocol.names import ModelId

DEFAULT_BASE_IMAGE = "default"

_LONGEST_TAG = 128  # characters, on Docker


@dataclass(frozen=True)
class ImageRequest:
    """What an image is built from."""

    cluster_name: str
    model_id: ModelId
    model_data_path: str
    """The bundle: a folder that becomes the model's folder in the image."""
    base_image: str = DEFAULT_BASE_IMAGE
    packages: Sequence[str] = ()
    """pip requirements."""
    container_registry: str | None = None

    goes_with_version: bool = False
    """Whether the image is removed when its version is stopped: a deploy builds such images, ``build_model`` others."""

    owns_files: bool = False
    """Whether nobody else has the bundle's files, which may become the image's own in place of copies."""

    def tag(self, digest: str) -> str:
        """Return ``[registry/]cluster-model:version-digest``; a version that leaves no room for the digest is cut."""
        registry = "" if self.container_registry is None else self.container_registry.rstrip("/") + "/"
        name, version = self.model_id
        return f"{registry}{self.cluster_name}-{name}:{version[: _LONGEST_TAG - len(digest) - 1]}-{digest}"


@dataclass(frozen=True)
class ImageSource:
    """What an image was built from, as far as another cluster needs it to build the same again."""

    files: Files
    """The bundle: the files of the model's folder by their paths in it, also its empty folders."""
    packages: Sequence[str] = ()
    """The pip requirements that the user named; others are in the bundle's metadata."""
    base_image: str = DEFAULT_BASE_IMAGE


@dataclass(frozen=True)
class DeployedImage:
    """An image that a deploy built for a version."""

    image: str
    model_id: ModelId


def choose_unused(
    images: Iterable[DeployedImage], stopped: Mapping[ModelId, str], in_use: Collection[str]
) -> list[str]:
    """Return which images go with the versions that were stopped.

    Parameters
    ----------
    images : iterable of DeployedImage
        All that deploys built; what the user built or named is not among them, and stays.
    stopped : dict
        The image that each version had.
    in_use : collection of str
        The images of versions that are registered, and of replicas that run.
    """
    theirs = set(stopped.values())
    return [
        each.image for each in images if (each.model_id in stopped or each.image in theirs) and each.image not in in_use
    ]


class ImageBuilder(ABC):
    """Builds images that one kind of container manager can start.

    Attributes
    ----------
    can_complete : bool
        Whether :meth:`complete` works: the deploy of a version then starts its replicas before all files are there.
    has_base_images : bool
        Whether ``base_image`` of a request may name another image than the default.
    """

    can_complete: bool = False
    has_base_images: bool = True

    def complete(self, image: str, files: Mapping[str, bytes]) -> None:
        """Put further files into the model's folder of an image whose replicas wait for them; each appears whole."""
        raise NotImplementedError

    @abstractmethod
    def build(self, request: ImageRequest, progress: Progress = QUIET) -> str:
        """Build the image, unless it is there, and return its tag, which ends in a digest of all that goes in.

        So one tag always means the same content: no image is ever replaced. Raises ``ImageBuildError`` with the end of
        the log when it cannot.
        """

    def read_model_files(self, image: str, names: Sequence[str]) -> dict[str, bytes]:
        """Return those of the named files that are in an image's model folder; raises ``ImageNotFoundError``.

        A builder that cannot read images returns no files; ``fetch_model()`` and ``get_model_source()`` then fail.
        """
        return {}

    def open_source(self, image: str) -> AbstractContextManager[ImageSource | None]:
        """Return a context that yields what an image was built from; ``None`` if this builder did not build it.

        The files are there until the end of the ``with``. Raises ``ImageNotFoundError``. A builder that cannot read
        images yields ``None``; then ``export_configuration()`` names the image instead of including its files.
        """
        return nullcontext()

    @abstractmethod
    def remove(self, image: str) -> None:
        """Remove an image that no replica runs; an unknown one is fine."""

    def find_deployed(self, cluster_name: str) -> list[DeployedImage]:
        """Return the images that deploys built for a cluster's versions, to be removed with those.

        Called after versions were stopped, and after a deploy that failed. A builder that cannot list them returns
        none; all images then stay.
        """
        return []
