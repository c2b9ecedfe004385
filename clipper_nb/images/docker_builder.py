"""Builds images with Docker: one base per kind and Python minor version, and on it a thin image per model version."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from clipper_nb.display.progress import QUIET, Progress
from clipper_nb.errors import (
    BaseImageError,
    ClipperException,
    ImageNotFoundError,
    InvalidRequestError,
    RegistryError,
)
from clipper_nb.images import library, templates
from clipper_nb.images.build_failures import FailedBuild, explain_failed_build
from clipper_nb.images.build_log import BuildLog
from clipper_nb.images.build_settings import network_settings
from clipper_nb.images.builder import DEFAULT_BASE_IMAGE, DeployedImage, ImageBuilder, ImageRequest
from clipper_nb.images.built_images import (
    BASE_PREFIX,
    BuiltImage,
    base_labels,
    built_images,
    deployed_images,
    deployed_labels,
    model_labels,
)
from clipper_nb.images.captured_packages import choose_packages
from clipper_nb.images.context import digest_context, digest_packed, folder_files, pack_context
from clipper_nb.images.docker_engine import (
    DockerEngine,
    check_image_name,
    docker_module,
    explain,
    follow_transfer,
    split_tag,
    translated,
)
from clipper_nb.images.install_steps import APT, PIP, InstallStep, R
from clipper_nb.images.local_packages import find_local_packages
from clipper_nb.protocol import environment as variables
from clipper_nb.protocol.model_folder import RMetadata, read_metadata
from clipper_nb.version import __version__

_MODEL_FOLDER = "/model"
"""The folder of the bundle in an image; ``model.Dockerfile.j2`` puts it there."""
_READER_LABEL = "ai.clipper.reader"
_READER_LABELS = {_READER_LABEL: "", variables.LABEL_CLUSTER: ""}
"""Labels of the container that reads an image's files; the image's own would make it one of the cluster's."""
_LONGEST_READ, _LONGEST_BUILD = "10m", "24h"
_CANCEL_TIMEOUT_S = 5.0
"""The engine ends the step of an interrupted build within about a second."""


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

    def build(self, request: ImageRequest, progress: Progress = QUIET) -> str:
        bundle = Path(request.model_data_path)
        if not bundle.is_dir():
            raise InvalidRequestError(f"model_data_path {request.model_data_path!r} is not a folder.")
        check_image_name(request.tag("digest"))  # before anything is built
        self.remove_leftovers()
        metadata = read_metadata(bundle)
        packages = choose_packages(
            request.packages, metadata.requirements, metadata.unpinnable, _in_base(metadata.kind)
        )
        base = self.build_base(metadata.kind, request.base_image, progress)
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
        files = {**folder_files(bundle, prefix="bundle"), **package_files}
        with pack_context(dockerfile, files) as context:
            image = request.tag(digest_packed(context))
            is_new = self._engine.find_image(image) is None
            if is_new:
                progress.step(f"Build image {image}")
                self._build(image, context, progress, base_image=base, installs=installs)
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
        if self._engine.find_image(image) is None:
            raise ImageNotFoundError(image, "The engine does not have it any more.")
        with translated(f"reading files of image '{image}'"):
            # A container that never starts: the engine has no other way to read an image's files.
            container = self._engine.client.containers.create(
                image, command=["python"], network_mode="none", labels=_READER_LABELS
            )
            try:
                found = {name: _read_file(container, f"{_MODEL_FOLDER}/{name}") for name in names}
            finally:
                container.remove(force=True)
        return {name: content for name, content in found.items() if content is not None}

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
        if kind not in templates.library_images():
            raise InvalidRequestError(
                f"There is no base image of kind {kind!r}; there are: {', '.join(templates.library_images())}."
            )
        base_image = library.default_base_image() if base_image == DEFAULT_BASE_IMAGE else base_image
        base_id = self._require(base_image, progress)
        ca_bundle = library.find_ca_bundle(self._variables)
        compiled = library.compiled_files()
        files: dict[str, bytes | Path] = {**library.library_files(), **compiled}
        if ca_bundle is not None:
            files["ca-bundle.crt"] = ca_bundle
        requirements = _in_base(kind)
        dockerfile = templates.render_library_image(
            kind,
            base_image=base_image,
            python_minor=library.python_minor(),
            requirements=requirements,
            labels=base_labels(kind),
            has_ca_bundle=ca_bundle is not None,
            is_compiled=bool(compiled),
        )
        repository = f"{BASE_PREFIX}{kind}"
        release = "{}-py{}.{}".format(__version__, *library.python_minor())
        # The base image's id is part of it: a base image may change under its name.
        tag = f"{repository}:{release}-{digest_context(dockerfile, {**files, 'base-image-id': base_id.encode()})}"
        if self._engine.find_image(tag) is None:
            progress.step(f"Build image {tag} (once)")
            with pack_context(dockerfile, files) as context:
                self._build(tag, context, progress, base_image=base_image, installs=[InstallStep(PIP, requirements)])
        if base_image == library.default_base_image():
            with translated(f"tagging '{tag}'"):
                self._engine.client.api.tag(tag, repository, release)
        return tag

    def remove_leftovers(self) -> None:
        """Remove what builders and readers that were killed half-way left behind.

        Age is measured by the engine's own clock, since its client may be on any machine. What a container runs from
        stays.
        """
        client = self._engine.client
        with contextlib.suppress(ClipperException), translated("removing what is left of interrupted builds"):
            client.containers.prune(filters={"label": _READER_LABEL, "until": _LONGEST_READ})
            models = f"{variables.LABEL_IMAGE_KIND}={templates.MODEL_KIND}"
            client.images.prune(filters={"dangling": True, "label": models, "until": _LONGEST_BUILD})

    # --- the engine's part

    def _require(self, base_image: str, progress: Progress) -> str:
        """Return the id of a base image, pulled when the engine does not have it."""
        found = self._engine.find_image(base_image)
        if found is None:
            try:
                found = self._engine.pull(base_image, progress)
            except RegistryError as exc:
                raise BaseImageError(f"The engine does not have the base image '{base_image}', and {exc}") from exc
        return str(found.id)

    def _build(
        self, tag: str, context: IO[bytes], progress: Progress, *, base_image: str, installs: Sequence[InstallStep]
    ) -> None:
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


def _read_file(container: Any, path: str) -> bytes | None:
    """Return a container's file, or ``None`` when there is none."""
    try:
        stream, _ = container.get_archive(path)
        packed = io.BytesIO(b"".join(stream))
    except docker_module().errors.NotFound:
        return None
    with tarfile.open(fileobj=packed) as tar:
        member = tar.next()
        file = None if member is None else tar.extractfile(member)
        return None if file is None else file.read()


def _in_base(kind: str) -> list[str]:
    """Return what the base image of a kind of model has besides its upstream image."""
    return library.library_requirements() + library.kind_requirements(kind)
