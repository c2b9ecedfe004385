"""What a base image is made from, and its name by that. (pure)"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from clipper_nb.images import templates
from clipper_nb.images.built_images import BASE_PREFIX, base_labels
from clipper_nb.images.context import Files, digest_context
from clipper_nb.images.library import Library, python_minor
from clipper_nb.version import __version__


@dataclass(frozen=True)
class BaseImage:
    """The image of a kind of model, or of the frontends: an upstream image with the library on it."""

    kind: str
    upstream: str
    upstream_id: str
    requirements: Sequence[str]
    ca_bundle: bytes | None
    code: Library

    @property
    def repository(self) -> str:
        return f"{BASE_PREFIX}{self.kind}"

    @property
    def release(self) -> str:
        return "{}-py{}.{}".format(__version__, *python_minor())

    @functools.cached_property
    def dockerfile(self) -> str:
        return templates.render_library_image(
            self.kind,
            base_image=self.upstream,
            python_minor=python_minor(),
            requirements=self.requirements,
            labels=base_labels(self.kind),
            has_ca_bundle=self.ca_bundle is not None,
            is_compiled=self.code.is_compiled,
        )

    @property
    def files(self) -> Files:
        return {**self.code.files, **self._own_certificates}

    @functools.cached_property
    def tag(self) -> str:
        """The image's name, by all that it is made from: an upstream image may change under its name."""
        made_from = {"library": self.code.digest.encode(), "base-image-id": self.upstream_id.encode()}
        digest = digest_context(self.dockerfile, {**made_from, **self._own_certificates})
        return f"{self.repository}:{self.release}-{digest}"

    @property
    def _own_certificates(self) -> dict[str, bytes]:
        return {} if self.ca_bundle is None else {"ca-bundle.crt": self.ca_bundle}
