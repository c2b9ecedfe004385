"""Builds images with Docker: one base per kind and Python minor version, and on it a thin image per model version."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from clipper_nb.images.builder import DEFAULT_BASE_IMAGE, DeployedImage, ImageBuilder, ImageRequest
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
from clipper_nb.images.local_packages import find_local_packages
from clipper_nb.protocol import environment as names
from clipper_nb.protocol.names import ModelId
from clipper_nb.version import __version__

_BASE_PREFIX = "clipper_nb-"
_MODEL_FOLDER = "/model"
"""Where the bundle lies in an image; ``model.Dockerfile.j2`` puts it there."""
_WITH_VERSION = "version"
_READER_LABEL = "ai.clipper.reader"
_READER_LABELS = {_READER_LABEL: "", names.LABEL_CLUSTER: ""}
"""Of the container that an image's files are read from; the image's labels would make it one of the cluster's."""
_LONGEST_READ, _LONGEST_BUILD = "10m", "24h"
_CANCEL_TIMEOUT_S = 5.0
"""The engine ends the step of an interrupted build within about a second."""
_ENDS_IN_DIGEST = re.compile(r"-[0-9a-f]{12}$")
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "FTP_PROXY", "ALL_PROXY")
_LOOPBACK = re.compile(r"(?:\w+://)?(?:[^/@]*@)?(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d*)?(?:/.*)?", re.IGNORECASE)
"""An address of this machine itself; proxies are often written without ``http://``."""


@dataclass(frozen=True)
class BuiltImage:
    """An image that a builder of ours made.

    Attributes
    ----------
    tags : tuple of str
    kind : str
        ``"model"`` for a model version; ``"frontend"``, ``"python_closure"`` and the like for what they stand on.
    cluster, model, version : str or None
        Of a model version.
    size_bytes : int
        With the layers that it shares with others.
    """

    tags: tuple[str, ...]
    kind: str
    cluster: str | None
    model: str | None
    version: str | None
    size_bytes: int


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
        metadata = _metadata(bundle)
        packages = choose_packages(
            request.packages,
            metadata.get("requirements", ()),
            metadata.get("unpinnable", {}),
            _in_base(metadata["kind"]),
        )
        base = self.build_base(metadata["kind"], request.base_image, progress)
        r_packages = list(metadata.get("r_packages", {}))
        system_packages = metadata.get("system_packages", [])
        requirements, package_files = find_local_packages(packages)
        dockerfile = templates.render_model_image(
            base_image=base,
            requirements=requirements,
            labels=_image_labels(request),
            has_package_files=bool(package_files),
            r_packages=r_packages,
            system_packages=system_packages,
        )
        files = {**folder_files(bundle, prefix="bundle"), **package_files}
        with pack_context(dockerfile, files) as context:
            image = request.tag(digest_packed(context))
            is_new = self._engine.find_image(image) is None
            if is_new:
                progress.step(f"Build image {image}")
                self._build(
                    image, context, progress, base_image=base, packages=[*packages, *r_packages],
                    system_packages=system_packages,
                )  # fmt: skip
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
            # A container that never starts: it is the engine's only way to read an image's files.
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
                if exc.status_code != 409:  # in use: whoever uses it may keep it
                    raise

    def find_deployed(self, cluster_name: str) -> list[DeployedImage]:
        labels = [f"{names.LABEL_CLUSTER}={cluster_name}", f"{names.LABEL_IMAGE_LIFETIME}={_WITH_VERSION}"]
        with translated("listing images"):
            found = self._engine.client.api.images(filters={"label": labels})
        deployed = []
        for summary in found:
            model_id = ModelId(summary["Labels"][names.LABEL_MODEL], summary["Labels"][names.LABEL_MODEL_VERSION])
            # An image that a user made from one inherits its labels.
            tags = [tag for tag in summary["RepoTags"] or () if _is_deployed(tag, cluster_name, model_id)]
            deployed += [DeployedImage(tag, model_id) for tag in tags]
        return deployed

    def images(self) -> list[BuiltImage]:
        """Return every image on the engine that a builder of ours made, whatever the cluster."""
        with translated("listing images"):
            # Not client.images.list(), which asks for each image once more and fails when one is gone meanwhile.
            found = self._engine.client.api.images(filters={"label": names.LABEL_IMAGE_KIND})
        return sorted(filter(None, map(_describe, found)), key=lambda image: image.tags)

    def build_base(self, kind: str, base_image: str = DEFAULT_BASE_IMAGE, progress: Progress = QUIET) -> str:
        """Return the tag of the image of a kind (``"frontend"``, ``"python_closure"``, …), built if it is not there.

        Raises
        ------
        BaseImageError
            *base_image* cannot be had, or its Python is not of the notebook's minor version.
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
            labels=_base_labels(kind),
            has_ca_bundle=ca_bundle is not None,
            is_compiled=bool(compiled),
        )
        repository = f"{_BASE_PREFIX}{kind}"
        release = "{}-py{}.{}".format(__version__, *library.python_minor())
        # The base image's id is part of it: a base image may change under its name.
        tag = f"{repository}:{release}-{digest_context(dockerfile, {**files, 'base-image-id': base_id.encode()})}"
        if self._engine.find_image(tag) is None:
            progress.step(f"Build image {tag} (once)")
            with pack_context(dockerfile, files) as context:
                self._build(tag, context, progress, base_image=base_image, packages=requirements)
        if base_image == library.default_base_image():
            with translated(f"tagging '{tag}'"):
                self._engine.client.api.tag(tag, repository, release)
        return tag

    def remove_leftovers(self) -> None:
        """Remove what builders and readers left that were killed half-way.

        By age on the engine's own clock: its client may be on any machine. What a container runs from stays.
        """
        client = self._engine.client
        with contextlib.suppress(ClipperException), translated("removing what is left of interrupted builds"):
            client.containers.prune(filters={"label": _READER_LABEL, "until": _LONGEST_READ})
            models = f"{names.LABEL_IMAGE_KIND}={templates.MODEL_KIND}"
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
        self, tag: str, context: IO[bytes], progress: Progress, *, base_image: str, packages: Sequence[str],
        system_packages: Sequence[str] = (),
    ) -> None:  # fmt: skip
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
                    **self._network_settings(),
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
                                    packages=packages,
                                    system_packages=system_packages,
                                    step=log.step,
                                    log=log.of_step,
                                    error=str(event["error"]),
                                )
                            )
        except BaseException:
            self._remove_steps(log.made_images)
            raise

    def _remove_steps(self, made_images: Sequence[str]) -> None:
        """Remove the images of a failed build's steps, which have no name, but for what others stand on."""
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

    def _network_settings(self) -> dict[str, Any]:
        """Return the build arguments for pip and proxies, and the host's network when one of them is on loopback."""
        arguments = {name: self._variables[name] for name in templates.BUILD_ARGUMENTS if self._variables.get(name)}
        for name in _PROXY_VARIABLES:
            for spelling in (name, name.lower()):
                if self._variables.get(spelling):
                    arguments[spelling] = self._variables[spelling]
        is_local = any(
            _LOOPBACK.fullmatch(word)
            for name, value in arguments.items()
            if not name.upper().startswith("NO_")
            for word in value.split()
        )
        return {"buildargs": arguments, "network_mode": "host" if is_local else None}

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


def _metadata(bundle: Path) -> dict[str, Any]:
    """Return what the deployer wrote; a folder without metadata holds a Python function."""
    path = bundle / "metadata.json"
    if not path.exists():
        return {"kind": "python_closure"}
    try:
        metadata: dict[str, Any] = json.loads(path.read_text())
        return {**metadata, "kind": str(metadata["kind"])}
    except (OSError, ValueError, TypeError, KeyError) as exc:
        raise InvalidRequestError(f"{path.name} in the model's folder has no 'kind': {exc}.") from exc


def _is_deployed(tag: str, cluster_name: str, model_id: ModelId) -> bool:
    repository, end = split_tag(tag)
    is_ours = repository.rpartition("/")[2] == f"{cluster_name}-{model_id.name}"
    return is_ours and _ENDS_IN_DIGEST.search(end) is not None


def _image_labels(request: ImageRequest) -> dict[str, str]:
    lifetime = {names.LABEL_IMAGE_LIFETIME: _WITH_VERSION} if request.goes_with_version else {}
    return {
        **lifetime,
        names.LABEL_CLUSTER: request.cluster_name,
        names.LABEL_MODEL: request.model_id.name,
        names.LABEL_MODEL_VERSION: request.model_id.version,
        "org.opencontainers.image.title": request.model_id.name,
        "org.opencontainers.image.version": request.model_id.version,
    }


def _base_labels(kind: str) -> dict[str, str]:
    return {
        names.LABEL_IMAGE_KIND: kind,
        names.LABEL_PACKAGE_VERSION: __version__,
        "org.opencontainers.image.title": f"clipper_nb {kind}",
        "org.opencontainers.image.version": __version__,
        "org.opencontainers.image.licenses": "Apache-2.0",
    }


def _describe(summary: Mapping[str, Any]) -> BuiltImage | None:
    """Return what the engine's list tells of an image; ``None`` when it has no name, or is a user's ``FROM`` ours."""
    labels = summary["Labels"]
    is_model = labels[names.LABEL_IMAGE_KIND] == templates.MODEL_KIND
    prefix = "" if is_model else _BASE_PREFIX
    tags = [tag for tag in summary["RepoTags"] or () if tag.startswith(prefix) and not tag.startswith("<none>")]
    if not tags:
        return None
    return BuiltImage(
        tags=tuple(sorted(tags)),
        kind=labels[names.LABEL_IMAGE_KIND],
        cluster=labels.get(names.LABEL_CLUSTER) if is_model else None,
        model=labels.get(names.LABEL_MODEL) if is_model else None,
        version=labels.get(names.LABEL_MODEL_VERSION) if is_model else None,
        size_bytes=summary["Size"],
    )
