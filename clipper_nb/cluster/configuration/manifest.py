"""``manifest.json`` of an exported configuration: its records, and what each file beside it must be. (pure)"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec
from msgspec import Struct

from clipper_nb.errors import ConfigurationFileError, InvalidRequestError
from clipper_nb.images.builder import DEFAULT_BASE_IMAGE
from clipper_nb.protocol.application_tokens import check_digest
from clipper_nb.protocol.autoscaling import ScalingRule, check_rule
from clipper_nb.protocol.names import ModelId, check_application_name, check_model_name, check_token_name, check_version
from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.records import VersionOptions
from clipper_nb.protocol.route import check_traffic
from clipper_nb.protocol.typed_values import read_value

FORMAT = 1
"""Another number is another format; within one, unknown fields are ignored and missing ones have defaults."""


class ExportedToken(Struct, frozen=True, kw_only=True):
    """A token of an application, which is good for another cluster's too."""

    name: str
    digest: str
    """SHA-256 of the token."""
    expires_at: float | None = None
    """Seconds since the epoch; ``None`` for never."""


class ExportedApplication(Struct, frozen=True, kw_only=True):
    """An application with its link and its tokens."""

    name: str
    input_type: str
    default_output: str
    slo_micros: int
    linked_models: tuple[str, ...] = ()
    tokens: tuple[ExportedToken, ...] = ()
    """Oldest first."""
    traffic: Mapping[str, float] = {}
    """The weights of models and versions, in place of a link."""
    policy: Policy | None = None
    """By which one of these is chosen, or all are asked."""


class ExportedFile(Struct, frozen=True, kw_only=True):
    """A file of a version's bundle."""

    path: str
    size_bytes: int
    sha256: str
    is_executable: bool = False


class ExportedBundle(Struct, frozen=True, kw_only=True):
    """What the image of a version is built from."""

    files: tuple[ExportedFile, ...]
    empty_folders: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    base_image: str = DEFAULT_BASE_IMAGE


class ExportedVersion(VersionOptions, frozen=True, kw_only=True):
    """A version of a model."""

    name: str
    version: str
    input_type: str
    is_current: bool
    num_replicas: int
    autoscaling: ScalingRule | None = None
    """By which rule that number changes."""
    image: str = ""
    """The image, if there is no bundle; the file does not contain it."""
    bundle: ExportedBundle | None = None
    labels: tuple[str, ...] = ()
    batch_size: int = -1
    environment_variables: Mapping[str, str | None] = {}
    """Values by name; ``None`` where the file was written without them."""

    @property
    def model_id(self) -> ModelId:
        """The version's id."""
        return ModelId(self.name, self.version)

    @property
    def folder(self) -> str:
        """The folder of its files beside the manifest."""
        return f"models/{self.name}/{self.version}"

    @property
    def files(self) -> Sequence[ExportedFile]:
        """The files of its bundle; none without a bundle."""
        return () if self.bundle is None else self.bundle.files


class Manifest(Struct, frozen=True, kw_only=True):
    """Everything that a cluster had: versions in the order in which they were registered."""

    format: int = FORMAT
    release: str
    """The release of clipper_nb that wrote it."""
    cluster_name: str
    applications: tuple[ExportedApplication, ...]
    versions: tuple[ExportedVersion, ...]

    def members(self) -> dict[str, ExportedFile]:
        """Return each file beside the manifest, by its path."""
        return {f"{version.folder}/{file.path}": file for version in self.versions for file in version.files}


def format_manifest(manifest: Manifest) -> bytes:
    """Return the manifest as JSON; equal manifests give equal bytes."""
    return (json.dumps(msgspec.to_builtins(manifest), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def parse_manifest(content: bytes) -> Manifest:
    """Return the manifest in the JSON, with names and paths that are safe to use.

    Raises
    ------
    ConfigurationFileError
        It is of another format, or a field is missing or wrong.
    InvalidNameError
        A name of an application, a model or a version breaks its rule.
    """
    try:
        facts = msgspec.json.decode(content)
        number = facts.get("format") if isinstance(facts, dict) else None
        if number != FORMAT:
            raise ConfigurationFileError(
                f"Its manifest is of format {number!r}, and this release of clipper_nb reads format {FORMAT}. Import "
                f"it with the release that wrote it, or a later one: {_release_of(facts)}."
            )
        manifest: Manifest = read_value(facts, Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise ConfigurationFileError(f"Its manifest cannot be read: {exc}.") from exc
    _check_versions(manifest)
    _check_applications(manifest)
    return manifest


def _release_of(facts: Any) -> str:
    return str(facts.get("release", "unknown"))[:40] if isinstance(facts, dict) else "unknown"


def _check_applications(manifest: Manifest) -> None:
    names = [check_application_name(application.name) for application in manifest.applications]
    _check_unique("application", names)
    current = {version.name for version in manifest.versions if version.is_current}
    for application in manifest.applications:
        unknown = set(application.linked_models) - current
        if unknown or len(application.linked_models) > 1:
            raise ConfigurationFileError(
                f"Application '{application.name}' is linked to {', '.join(application.linked_models)}; it must be "
                "one model that has a current version in the file."
            )
        _check_traffic(application, current, {str(version.model_id) for version in manifest.versions})
        _check_tokens(application)


def _check_tokens(application: ExportedApplication) -> None:
    for token in application.tokens:
        check_token_name(token.name)
        try:
            check_digest(token.digest)
        except InvalidRequestError as exc:
            raise ConfigurationFileError(f"Token '{token.name}' of '{application.name}' cannot be one: {exc}") from exc
    _check_unique(f"token of '{application.name}'", [token.name for token in application.tokens])


def _check_traffic(application: ExportedApplication, current: Collection[str], versions: Collection[str]) -> None:
    if not application.traffic:
        return
    try:
        targets, policy = check_traffic(application.traffic, application.policy)
    except InvalidRequestError as exc:
        raise ConfigurationFileError(f"The traffic of application '{application.name}' is not valid: {exc}") from exc
    needed = [*targets, *([policy.combiner] if policy is not None and policy.combiner is not None else [])]
    unknown = [target for target in needed if target not in current and target not in versions]
    if unknown or application.linked_models:
        raise ConfigurationFileError(
            f"Application '{application.name}' has traffic to {', '.join(needed)}; it must be to models that have a "
            "current version in the file, or to versions in the file, and in place of a link."
        )


def _check_versions(manifest: Manifest) -> None:
    for version in manifest.versions:
        check_model_name(version.name)
        check_version(version.version)
        _check_autoscaling(version)
        if version.bundle is not None:
            _check_bundle(version.bundle)
        elif not version.image:
            raise ConfigurationFileError(f"{version.model_id} has neither a bundle nor an image.")
    _check_unique("version", [str(version.model_id) for version in manifest.versions])
    _check_unique("current version of model", [version.name for version in manifest.versions if version.is_current])


def _check_autoscaling(version: ExportedVersion) -> None:
    try:
        scaling = None if version.autoscaling is None else check_rule(version.autoscaling)
    except InvalidRequestError as exc:
        raise ConfigurationFileError(f"{version.model_id} cannot be autoscaled so: {exc}") from exc
    if scaling is not None and scaling.nearest(version.num_replicas) != version.num_replicas:
        raise ConfigurationFileError(
            f"{version.model_id} has {version.num_replicas} replicas and is autoscaled between {scaling.bounds}."
        )


def _check_bundle(bundle: ExportedBundle) -> None:
    paths = [file.path for file in bundle.files] + list(bundle.empty_folders)
    for path in paths:
        if any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path:
            raise ConfigurationFileError(f"The path {path!r} of a file leaves its folder.")
    _check_unique("path", paths)
    above = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    for path in above.intersection(paths):
        raise ConfigurationFileError(f"The path {path!r} is one of a file, and of a folder.")


def _check_unique(what: str, names: Sequence[str]) -> None:
    twice = [name for name, number in Counter(names).items() if number > 1]
    if twice:
        raise ConfigurationFileError(f"It has two entries for {what} {twice[0]!r}.")
