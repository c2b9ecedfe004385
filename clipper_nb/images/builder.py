"""What builds the image of a model version."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from clipper_nb.progress import QUIET, Progress
from clipper_nb.protocol.names import ModelId

DEFAULT_BASE_IMAGE = "default"


@dataclass(frozen=True)
class ImageRequest:
    """What an image is to be made from."""

    cluster_name: str
    model_id: ModelId
    model_data_path: str
    """The bundle: a folder that becomes the model's folder in the image."""
    base_image: str = DEFAULT_BASE_IMAGE
    packages: Sequence[str] = ()
    """pip requirements."""
    container_registry: str | None = None

    @property
    def image(self) -> str:
        """Its tag: that of Clipper, ``[registry/]cluster-model:version``."""
        registry = "" if self.container_registry is None else self.container_registry.rstrip("/") + "/"
        return f"{registry}{self.cluster_name}-{self.model_id}"


class ImageBuilder(ABC):
    """Makes images that one kind of container manager can start."""

    @abstractmethod
    def build(self, request: ImageRequest, progress: Progress = QUIET) -> str:
        """Build the image and return its tag; it replaces an image of the same tag in one step.

        Raises ``ImageBuildError`` with the end of the log, and leaves what was there, when it cannot.
        """

    def read_model_files(self, image: str, names: Sequence[str]) -> dict[str, bytes]:
        """Return those of the named files that are in an image's model folder; raises ``ImageNotFoundError``.

        Where a builder cannot tell, ``fetch_model()`` and ``get_model_source()`` cannot either.
        """
        return {}

    @abstractmethod
    def remove(self, image: str) -> None:
        """Remove an image that no replica runs; an unknown one is fine."""
