"""Brings what a file of an exported configuration has into a cluster: all of it, or nothing."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from clipper_nb.cluster.configuration.archive import Archive, open_archive
from clipper_nb.cluster.configuration.manifest import ExportedApplication, ExportedBundle, ExportedVersion, Manifest
from clipper_nb.cluster.new_version import NewVersion
from clipper_nb.cluster.ports import DeployCalls
from clipper_nb.errors import (
    ClipperException,
    ExistsError,
    IncompatibleEnvironmentError,
    InvalidRequestError,
)
from clipper_nb.images.builder import DEFAULT_BASE_IMAGE
from clipper_nb.images.working_folder import working_folder
from clipper_nb.protocol.environment_variables import EnvironmentVariables, check_variables
from clipper_nb.protocol.model_environment import PYTHON, describe_environment, find_conflicts
from clipper_nb.protocol.model_folder import METADATA_FILE, parse_metadata
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import options_of

Existing = Literal["refuse", "skip"]
AddToken = Callable[[str, str, str, "float | None"], None]
"""Takes an application's and a token's name, the token's digest, and the seconds for which it is good."""


@dataclass(frozen=True)
class ImportedConfiguration:
    """What an import brought into a cluster.

    Attributes
    ----------
    applications : tuple of str
    models : tuple of str
        ``"name:version"`` of each version.
    skipped : tuple of str
        The applications and versions of the file that the cluster had already, and kept as they were.
    """

    applications: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


def import_configuration(
    conn: DeployCalls,
    path: Path,
    *,
    existing: Existing,
    timeout_s: float,
    has_base_images: bool,
    add_token: AddToken,
) -> ImportedConfiguration:
    """Import a file of ``export_configuration()``; everything that can be checked is checked before anything changes.

    *add_token* adds a token to an application: by its name, its digest, and how long it is good.

    Raises
    ------
    ConfigurationFileError
        It is no such file.
    ExistsError
        The cluster has one of its applications or versions, and *existing* is ``"refuse"``.
    """
    if existing not in ("refuse", "skip"):
        raise InvalidRequestError(f'existing must be "refuse" or "skip", not {existing!r}.')
    with open_archive(path) as archive:
        choice = _choose(archive.manifest, conn, existing)
        for version in choice.versions:
            _check_environment(version, archive.read(version, METADATA_FILE))
        planned = [
            (version, _plan(conn, version, timeout_s, choice, has_base_images=has_base_images))
            for version in choice.versions
        ]
        _carry_out(conn, archive, planned, choice, add_token)
    return ImportedConfiguration(
        tuple(application.name for application in choice.applications),
        tuple(str(version.model_id) for version in choice.versions),
        tuple(choice.skipped),
    )


@dataclass(frozen=True)
class _Choice:
    """What of a file is new to a cluster."""

    applications: Sequence[ExportedApplication]
    versions: Sequence[ExportedVersion]
    begun: Collection[str]
    """Applications of the cluster that an import had registered when it was killed, so that the rest is missing."""
    skipped: Sequence[str]
    models_with_current: Collection[str]
    """Models of the cluster that have a current version, which stays current."""


def _choose(manifest: Manifest, conn: DeployCalls, existing: Existing) -> _Choice:
    applications = {found["name"]: found for found in conn.get_all_apps(verbose=True)}
    begun = {each.name for each in manifest.applications if existing == "skip" and _is_begun(each, applications)}
    models = conn.get_all_models(verbose=True)
    versions = {ModelId(model["model_name"], model["model_version"]) for model in models}
    skipped = [
        f"application '{each.name}'" for each in manifest.applications if each.name in applications.keys() - begun
    ]
    skipped += [f"version {each.model_id}" for each in manifest.versions if each.model_id in versions]
    if skipped and existing == "refuse":
        raise ExistsError(
            f"The cluster has {', '.join(skipped)} already; nothing was imported. Remove what is in the way, or pass "
            'existing="skip" to keep the cluster\'s own and import the rest.'
        )
    return _Choice(
        [each for each in manifest.applications if each.name not in applications.keys() - begun],
        [each for each in manifest.versions if each.model_id not in versions],
        begun,
        skipped,
        {model["model_name"] for model in models if model["is_current_version"]},
    )


def _is_begun(application: ExportedApplication, known: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether the cluster has the same application, and nothing is linked to it that is in the file."""
    found = known.get(application.name)
    if found is None or found["linked_models"] or not (application.linked_models or application.traffic):
        return False
    same = (found["input_type"], found["default_output"], found["latency_slo_micros"])
    return same == (application.input_type, application.default_output, application.slo_micros)


def _check_environment(version: ExportedVersion, metadata: bytes | None) -> None:
    """Raise an error for a model that no replica here could load; the model itself is not loaded."""
    environment = {} if metadata is None else parse_metadata(metadata).environment
    python = {name: found for name, found in environment.items() if name == PYTHON}
    conflicts = find_conflicts(python, describe_environment(()))
    if conflicts:
        raise IncompatibleEnvironmentError(
            str(version.model_id), conflicts, sides=("its notebook", "this one"),
            hint="Import it from a notebook with that Python.",
        )  # fmt: skip


def _plan(
    conn: DeployCalls, version: ExportedVersion, timeout_s: float, choice: _Choice, *, has_base_images: bool
) -> NewVersion:
    """Return the version as it will be deployed, checked as any other before a deploy."""
    bundle = version.bundle or ExportedBundle(files=())
    new = conn.new_version(
        *version.model_id, version.input_type, image=version.image, labels=list(version.labels),
        num_replicas=version.num_replicas, autoscaling=version.autoscaling, batch_size=version.batch_size,
        timeout_s=timeout_s, **options_of(version),
        packages=list(bundle.packages),
        base_image=bundle.base_image if has_base_images else DEFAULT_BASE_IMAGE,
        becomes_current=version.is_current and version.name not in choice.models_with_current,
    )  # fmt: skip
    return replace(new, environment_variables=_variables_of(version, os.environ))


def _variables_of(version: ExportedVersion, notebook: Mapping[str, str]) -> EnvironmentVariables:
    """Return the version's variables; those without a value in the file have the notebook's."""
    values = {
        name: notebook.get(name) if value is None else value for name, value in version.environment_variables.items()
    }
    missing = [name for name, value in values.items() if value is None]
    if missing:
        raise InvalidRequestError(
            f"{version.model_id} needs the environment variables {', '.join(missing)}, and the file was exported "
            "without their values. Set them in os.environ before the import."
        )
    return check_variables({name: value for name, value in values.items() if value is not None})


def _carry_out(
    conn: DeployCalls,
    archive: Archive,
    planned: Sequence[tuple[ExportedVersion, NewVersion]],
    choice: _Choice,
    add_token: AddToken,
) -> None:
    """Deploy, then register and link; when a step fails, or is interrupted, undo all steps before it."""
    with contextlib.ExitStack() as undoing:
        for version, new in planned:
            name, number = version.model_id
            _step(
                undoing, partial(_deploy, conn, archive, version, new),
                undo=partial(conn.stop_versioned_models, {name: [number]}),
            )  # fmt: skip
        for application in choice.applications:
            if application.name in choice.begun:
                _complete(conn, application, add_token)
                continue
            _step(
                undoing, partial(_register, conn, application, add_token),
                undo=partial(conn.unregister_application, application.name),
            )  # fmt: skip
        undoing.pop_all()


def _step(undoing: contextlib.ExitStack, do: Callable[[], None], *, undo: Callable[[], None]) -> None:
    try:
        do()
    except ExistsError:  # another caller's, since it was not there before
        raise
    except BaseException:  # also an interrupt, in the middle of a call that was carried out
        _undo(undo)
        raise
    undoing.callback(_undo, undo)


def _undo(undo: Callable[[], None]) -> None:
    with contextlib.suppress(ClipperException):
        undo()


def _deploy(conn: DeployCalls, archive: Archive, version: ExportedVersion, new: NewVersion) -> None:
    if version.bundle is not None:
        with working_folder(Path(tempfile.gettempdir()), "clipper_nb-import-") as folder:
            archive.extract(version, folder)
            conn.deploy_version(new, str(folder), owns_files=True)
    elif version.num_replicas:
        conn.deploy_image(new)
    else:
        conn.register_version(new)


def _register(conn: DeployCalls, application: ExportedApplication, add_token: AddToken) -> None:
    conn.register_application(
        application.name, application.input_type, application.default_output, application.slo_micros
    )
    _complete(conn, application, add_token)


def _complete(conn: DeployCalls, application: ExportedApplication, add_token: AddToken) -> None:
    """Add to a registered application what it lacks: tokens, and its link or traffic."""
    now_s = time.time()
    for token in application.tokens:
        lifetime_s = None if token.expires_at is None else token.expires_at - now_s
        if lifetime_s is None or lifetime_s > 0:
            with contextlib.suppress(ExistsError):  # of an import that was killed
                add_token(application.name, token.name, token.digest, lifetime_s)
    for model in application.linked_models:
        conn.link_model_to_app(application.name, model)
    if application.traffic:
        policy = application.policy
        options = {} if policy is None else {"policy": policy.name, **policy.options}
        conn.set_traffic(application.name, application.traffic, **options)
