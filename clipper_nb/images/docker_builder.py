"""Builds images with Docker: one base per kind and Python minor version, and on it a thin image per model version."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from clipper_nb.display.progress import QUIET, Progress
from clipper_nb.errors import (
    BaseImageError,
    ClipperException,
    ImageNotFoundError,
    InvalidRequestError,
    RegistryError,
)
from clipper_nb.images import library, templates
from clipper_nb.images.base_image import BaseImage
from clipper_nb.images.build_failures import FailedBuild, explain_failed_build
from clipper_nb.images.build_log import BuildLog
from clipper_nb.images.build_settings import network_settings
from clipper_nb.images.builder import DEFAULT_BASE_IMAGE, DeployedImage, ImageBuilder, ImageRequest, ImageSource
from clipper_nb.images.built_images import (
    BuiltImage,
    built_images,
    deployed_images,
    deployed_labels,
    model_labels,
    recipe_of,
)
from clipper_nb.images.bundle_layer import add_bundle
from clipper_nb.images.captured_packages import choose_packages
from clipper_nb.images.context import Files, bundle_files, digest_context, digest_packed, folder_files, pack_context
from clipper_nb.images.docker_engine import (
    DockerEngine,
    check_image_name,
    docker_module,
    explain,
    follow_transfer,
    split_tag,
    translated,
)
from clipper_nb.images.image_files import READER_LABEL, copy_model_folder, read_files
from clipper_nb.images.install_steps import APT, PIP, InstallStep, R
from clipper_nb.images.local_packages import find_local_packages
from clipper_nb.images.working_folder import working_folder
from clipper_nb.protocol import environment as variables
from clipper_nb.protocol.model_folder import RMetadata, read_metadata

_LONGEST_READ, _LONGEST_BUILD = "10m", "24h"
_CLEANING_INTERVAL_S = 600.0
"""The engine goes through all its images for it, and creates no container meanwhile."""
_CANCEL_TIMEOUT_S = 5.0
"""The engine ends the step of an interrupted build within about a second."""


@dataclass(frozen=True)
class _ModelBuild:
    """What the image of a model version is built from, besides its bundle."""

    image: str
    request: ImageRequest
    base: str
    installs: Sequence[InstallStep]
    dockerfile: str
    package_files: Files

    @property
    def labels(self) -> dict[str, str]:
        return {variables.LABEL_IMAGE_KIND: templates.MODEL_KIND, **model_labels(self.request)}

    def packages_key(self, settings: Mapping[str, str]) -> str:
        """Return a text that identifies what comes before the bundle."""
        above = self.dockerfile.partition(templates.BUNDLE_STEP)[0]
        return digest_context(f"{above}{network_settings(settings)}", self.package_files)


class DockerBuilder(ImageBuilder):
    """Builds through the engine; byte-identical input is found in its cache.

    Parameters
    ----------
    engine : DockerEngine
    variables : mapping, optional
        The environment that pip's settings, proxies and certificates are taken from.
    """

    def __init__(self, engine: DockerEngine, variables: Mapping[str, str] = os.environ) -> None:
        self._engine = engine
        self._variables = variables
        self._installed: dict[str, str] = {}
        """Images on which packages are installed and bundles are still missing, by what they were made from."""
        self._next_cleaning_s = 0.0

    def build(self, request: ImageRequest, progress: Progress = QUIET) -> str:
        bundle = Path(request.model_data_path)
        if not bundle.is_dir():
            raise InvalidRequestError(f"model_data_path {request.model_data_path!r} is not a folder.")
        check_image_name(request.tag("digest"))  # before anything is built
        self._remove_leftovers_sometimes()
        metadata = read_metadata(bundle)
        in_base = _in_base(metadata.base_kind)
        packages = choose_packages(request.packages, metadata.requirements, metadata.unpinnable, in_base)
        base = self._build_base(metadata.base_kind, request.base_image, in_base, progress)
        requirements, package_files = find_local_packages(packages)
        steps = [
            InstallStep(APT, metadata.system_packages),  # first, since the others may need them
            InstallStep(R, tuple(metadata.r_packages) if isinstance(metadata, RMetadata) else ()),
            InstallStep(PIP, packages, requirements),
        ]
        installs = [step for step in steps if step.packages]
        dockerfile = templates.render_model_image(
            base_image=base, installs=installs, labels=model_labels(request), has_package_files=bool(package_files)
        )
        files = {**folder_files(bundle, prefix=templates.BUNDLE_FOLDER), **package_files}
        with pack_context(dockerfile, files) as context:
            image = request.tag(digest_packed(context))
            is_new = self._engine.find_image(image) is None
            if is_new:
                progress.step(f"Build image {image}")
                self._build_model(
                    _ModelBuild(image, request, base, installs, dockerfile, package_files), context, progress
                )
        if request.container_registry is not None:
            try:
                self._push(image, progress)
            except BaseException:
                if is_new:
                    with contextlib.suppress(ClipperException):
                        self.remove(image)
                raise
        return image

    def read_model_files(self, image: str, names: Sequence[str]) -> dict[str, bytes]:
        return read_files(self._engine, image, names)

    @contextlib.contextmanager
    def open_source(self, image: str) -> Iterator[ImageSource | None]:
        found = self._engine.find_image(image)
        if found is None:
            raise ImageNotFoundError(image, "The engine does not have it any more.")
        recipe = recipe_of(found.labels, image)
        if recipe is None:
            yield None
            return
        with working_folder(Path(tempfile.gettempdir()), "clipper_nb-source-") as working:
            copy_model_folder(self._engine, image, working / "bundle")
            yield ImageSource(bundle_files(working / "bundle"), *recipe)

    def remove(self, image: str) -> None:
        docker = docker_module()
        with translated(f"removing image '{image}'"):
            try:
                self._engine.client.images.remove(image)
            except docker.errors.ImageNotFound:
                pass
            except docker.errors.APIError as exc:
                if exc.status_code != 409:  # in use: its user may keep it
                    raise

    def find_deployed(self, cluster_name: str) -> list[DeployedImage]:
        with translated("listing images"):
            found = self._engine.client.api.images(filters={"label": deployed_labels(cluster_name)})
        return deployed_images(found, cluster_name)

    def images(self) -> list[BuiltImage]:
        """Return every image on the engine that this package's builders made, for any cluster."""
        with translated("listing images"):
            # Not client.images.list(), which requests each image once more and fails when one is gone meanwhile.
            found = self._engine.client.api.images(filters={"label": variables.LABEL_IMAGE_KIND})
        return built_images(found)

    def build_base(self, kind: str, base_image: str = DEFAULT_BASE_IMAGE, progress: Progress = QUIET) -> str:
        """Return the tag of the image of a kind (``"frontend"``, ``"python_closure"``, …), built if it is not there.

        Raises
        ------
        BaseImageError
            *base_image* could not be found or pulled, or its Python is not of the notebook's minor version.
        """
        return self._build_base(kind, base_image, _in_base(kind), progress)

    def _build_base(self, kind: str, base_image: str, requirements: Sequence[str], progress: Progress) -> str:
        if kind not in templates.library_images():
            raise InvalidRequestError(
                f"There is no base image of kind {kind!r}; there are: {', '.join(templates.library_images())}."
            )
        base_image = library.default_base_image() if base_image == DEFAULT_BASE_IMAGE else base_image
        base_id = self._require(base_image, progress)
        ca_bundle = library.find_ca_bundle(self._variables)
        base = BaseImage(kind, base_image, str(base_id), requirements, ca_bundle, library.library_of_this_process())
        found = self._engine.find_image(base.tag)
        if found is None:
            base = replace(base, code=library.Library.read())  # it is built from the files as they are now
            progress.step(f"Build image {base.tag} (once)")
            with pack_context(base.dockerfile, base.files) as context:
                installs = [InstallStep(PIP, requirements)]
                self._build(base.tag, context, progress, base_image=base_image, installs=installs)
        is_users_default = found is not None and f"{base.repository}:{base.release}" in found.tags
        if base_image == library.default_base_image() and not is_users_default:
            with translated(f"tagging '{base.tag}'"):
                self._engine.client.api.tag(base.tag, base.repository, base.release)
        return base.tag

    def remove_leftovers(self) -> None:
        """Remove what builders and readers that were killed half-way left behind.

        Age is measured by the engine's own clock, since its client may be on any machine. What a container runs from
        stays.
        """
        client = self._engine.client
        with contextlib.suppress(ClipperException), translated("removing what is left of interrupted builds"):
            client.containers.prune(filters={"label": READER_LABEL, "until": _LONGEST_READ})
            models = f"{variables.LABEL_IMAGE_KIND}={templates.MODEL_KIND}"
            client.images.prune(filters={"dangling": True, "label": models, "until": _LONGEST_BUILD})

    # --- the engine's part

    def _remove_leftovers_sometimes(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._next_cleaning_s:
            self._next_cleaning_s = now_s + _CLEANING_INTERVAL_S
            self.remove_leftovers()

    def _require(self, base_image: str, progress: Progress) -> str:
        """Return the id of a base image, pulled when the engine does not have it."""
        found = self._engine.find_image(base_image)
        if found is None:
            try:
                found = self._engine.pull(base_image, progress)
            except RegistryError as exc:
                raise BaseImageError(f"The engine does not have the base image '{base_image}', and {exc}") from exc
        return str(found.id)

    def _build_model(self, model: _ModelBuild, context: IO[bytes], progress: Progress) -> None:
        """Build a model version's image: only its bundle is new if its packages are installed in an image already."""
        key = model.packages_key(self._variables)
        installed = self._installed.get(key) if model.installs else model.base
        below = None if installed is None else self._engine.find_image(installed)
        if below is None or not add_bundle(self._engine, below, context, model.image, model.labels):
            log = self._build(model.image, context, progress, base_image=model.base, installs=model.installs)
            if templates.BUNDLE_STEP in log.image_below:
                self._installed[key] = log.image_below[templates.BUNDLE_STEP]

    def _build(
        self, tag: str, context: IO[bytes], progress: Progress, *, base_image: str, installs: Sequence[InstallStep]
    ) -> BuildLog:
        log = BuildLog()
        try:
            with translated(f"building '{tag}'"):
                events = self._engine.stream_client.api.build(
                    fileobj=context,
                    custom_context=True,
                    tag=tag,
                    rm=True,
                    forcerm=True,
                    decode=True,
                    **network_settings(self._variables),
                )
                # A closed stream ends the build: also when the user interrupts it.
                with contextlib.closing(events):
                    for event in events:
                        for line in log.add(event.get("stream", "")):
                            progress.detail(line)
                        if "error" in event:
                            raise explain_failed_build(
                                FailedBuild(
                                    image=tag,
                                    base_image=base_image,
                                    python_minor=library.python_minor(),
                                    installs=installs,
                                    step=log.step,
                                    log=log.of_step,
                                    error=str(event["error"]),
                                )
                            )
        except BaseException:
            self._remove_steps(log.made_images)
            raise
        return log

    def _remove_steps(self, made_images: Sequence[str]) -> None:
        """Remove the images of a failed build's steps, which have no name, except for what others build on."""
        deadline_s = time.monotonic() + _CANCEL_TIMEOUT_S
        with contextlib.suppress(ClipperException):
            for image in reversed(made_images):
                found = self._engine.find_image(image)
                if found is None or found.tags:
                    break
                while not self._remove_step(image) and time.monotonic() < deadline_s:
                    time.sleep(0.1)

    def _remove_step(self, image: str) -> bool:
        """Remove the image; ``False`` when the container of an interrupted step is still there."""
        with translated(f"removing image '{image}'"):
            try:
                self._engine.client.images.remove(image, noprune=True)
            except docker_module().errors.APIError as exc:
                if "is being used by" not in explain(exc) and "is using" not in explain(exc):
                    raise
                return False
        return True

    def _push(self, image: str, progress: Progress) -> None:
        repository, tag = split_tag(image)
        progress.step(f"Push {image}")
        with translated(f"pushing '{image}'"):
            try:
                events = self._engine.stream_client.api.push(repository, tag=tag, stream=True, decode=True)
                follow_transfer(events, f"'{image}' cannot be pushed", progress)
            except docker_module().errors.APIError as exc:
                raise RegistryError(f"'{image}' cannot be pushed: {explain(exc)}") from exc


def _in_base(kind: str) -> list[str]:
    """Return what the base image of a kind of model has besides its upstream image."""
    return library.library_requirements() + library.kind_requirements(kind)
