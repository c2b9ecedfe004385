"""Records with everything filled in that a test does not care about."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from clipper_nb.protocol.descriptions import (
    ApplicationInfo,
    ReplicaInfo,
    VersionInfo,
    describe_application,
    describe_model_version,
    describe_replica,
)
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Application, Configuration, ModelVersion, Replica
from clipper_nb.protocol.route import Route, link_to


def make_application(
    name: str = "digits",
    input_type: InputType = InputType.STRINGS,
    *,
    default_output: str = "unknown",
    slo_micros: int = 100_000,
    registered_at: float = 1.0,
) -> Application:
    """Return an application."""
    return Application(name, input_type, default_output, slo_micros, registered_at)


def make_version(
    name: str = "digits-net",
    version: str = "1",
    input_type: InputType = InputType.STRINGS,
    *,
    batch_size: int = -1,
    registered_at: float = 1.0,
    **options: Any,
) -> ModelVersion:
    """Return a model version."""
    return ModelVersion(name, version, input_type, "image:1", (), batch_size, registered_at, **options)


def make_application_info(name: str = "digits", *, linked_model: str | None = None, **fields: Any) -> ApplicationInfo:
    """Return the description of an application."""
    return describe_application(make_application(name, **fields), [] if linked_model is None else [linked_model])


def make_version_info(
    name: str = "digits-net",
    version: str = "1",
    *,
    num_replicas: int | None = None,
    is_current: bool = True,
    **fields: Any,
) -> VersionInfo:
    """Return the description of a model version."""
    described = describe_model_version(make_version(name, version), is_current=is_current, num_replicas=0)
    return replace(described, num_replicas=num_replicas, **fields)


def make_replica_info(
    name: str = "digits-net", version: str = "1", input_type: InputType = InputType.STRINGS
) -> ReplicaInfo:
    """Return the description of a connected replica."""
    return describe_replica(Replica(name, version, 0, input_type))


def make_configuration(
    *versions: ModelVersion,
    applications: tuple[Application, ...] = (),
    links: dict[str, str] | None = None,
    current: dict[str, str] | None = None,
    revision: int = 1,
) -> Configuration:
    """Return a configuration; of each model the version named last is current unless *current* says otherwise."""
    return Configuration(
        revision=revision,
        applications={application.name: application for application in applications},
        versions={ModelId(version.name, version.version): version for version in versions},
        current_versions={version.name: version.version for version in versions} if current is None else current,
        routes=make_routes(links or {}),
    )


def make_routes(links: dict[str, str]) -> dict[str, Route]:
    """Return the routes of linked applications, by their names."""
    return {name: link_to(model_name) for name, model_name in links.items()}
